"""A web server on loopback that knows users and tokens, or misbehaves."""

import base64
import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

USERS = {"ann": "sesame", "bob": "pa:ss wörd"}
JSON = "application/json"


class Heard:
    """One request."""

    def __init__(self, method: str, path: str, headers: Any, body: bytes) -> None:
        self.method, self.path, self.headers, self.body = method, path, headers, body


class WebVerifier:
    """
    ``/users`` checks passwords by HTTP Basic, ``/tokens`` is an introspection endpoint.

    :param certificate: PEM file with key; ``None``: http.
    :ivar tokens: What introspection says of a token.
    :ivar answer: Status, type and body for every request from now on; ``None``: as it should be.
    :ivar silent: It answers nothing until the end.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.tokens: dict[str, dict[str, Any]] = {}
        self.answer: tuple[int, str, bytes] | None = None
        self.silent = False
        self.heard: list[Heard] = []
        self.came = threading.Event()
        self._over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer._serve(self, b"")

            def do_POST(self) -> None:
                outer._serve(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *args: Any) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self._server.server_port}"
        self._server.handle_error = lambda *args: None  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def __enter__(self) -> "WebVerifier":
        return self

    def __exit__(self, *exc: Any) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        self.heard.append(Heard(request.command, request.path, request.headers, body))
        self.came.set()
        if self.silent:
            self._over.wait()
            return
        status, kind, said = self.answer or self._right(request, body)
        request.send_response(status)
        request.send_header("Content-Type", kind)
        if status in (301, 302, 307, 308):
            request.send_header("Location", f"{self.url}/elsewhere")
        request.send_header("Content-Length", str(len(said)))
        request.end_headers()
        request.wfile.write(said)

    def _right(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, str, bytes]:
        scheme, _, value = (request.headers["Authorization"] or "").partition(" ")
        if request.path.startswith("/users") and scheme == "Basic":
            user, _, password = base64.b64decode(value).decode().partition(":")
            return (200 if USERS.get(user) == password else 401), "text/html", b"<p>so"
        if request.path.startswith("/tokens") and request.command == "POST":
            (token,) = parse_qs(body.decode())["token"]
            return 200, JSON, json.dumps(self.tokens.get(token, {"active": False})).encode()
        return 404, "text/plain", b"?"
