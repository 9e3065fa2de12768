"""A server program of either kind with one client at hand, for whatever both of them promise."""

import base64
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jobctl.jobprotocol.frames import Event
from tests.kit_support import Program as GenericProgram
from tests.kit_support import channel as generic_channel
from tests.tcp_support import service
from tests.test_tcp_server import Client, Server

KINDS = ("tcp", "generic")
KEYWORDS = {"mustsaslserver": True}


def b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def plain(user: str, password: str) -> str:
    return f"AUTH PLAIN {b64(f'{chr(0)}{user}{chr(0)}{password}')}"


def token_line(mechanism: str, user: str, token: str) -> str:
    if mechanism == "XOAUTH2":
        return f"AUTH XOAUTH2 {b64(f'user={user}{chr(1)}auth=Bearer {token}{chr(1)}{chr(1)}')}"
    who = f"a={user}" if user else ""
    said = f"n,{who},\1host=mail.example.org\1port=587\1auth=Bearer {token}\1\1"
    return f"AUTH OAUTHBEARER {b64(said)}"


class Asked:
    """
    A program whose service has these keys; passwords may be shown in the clear, for the sake of brevity.

    :param kind: One of :data:`KINDS`.
    """

    def __init__(self, kind: str, environment: dict[str, str] | None = None, **keys: Any) -> None:
        self._tcp: Server | None = None
        self._generic: Any = None
        self._client: Client | None = None
        debug = keys.pop("slave_debug", False)
        how = service(**({"plaintext_auth": True} | keys))
        if kind == "tcp":
            self._tcp = Server(service=how, keywords=KEYWORDS, environment=environment, slave_debug=debug)
            self._client = Client(self._tcp.address)
        else:
            self._generic = GenericProgram("channels.test_smtp_slave", environment=environment)
            self._generic.controller.hello(
                generic_channel(keywords=KEYWORDS, slave_debug=debug), "slave", service=how
            )
        self.greeting = self.reply()
        self.ehlo = self.say("EHLO c.example") if self.greeting else ""

    def __enter__(self) -> "Asked":
        return self

    def __exit__(self, *exc: Any) -> None:
        if self._client is not None:
            self._client.__exit__()
        for program in (self._tcp, self._generic):
            if program is not None:
                program.__exit__()

    @property
    def pid(self) -> int:
        return self._tcp.program.pid if self._tcp is not None else self._generic.process.pid

    @property
    def mechanisms(self) -> list[str]:
        lines = [line[4:] for line in self.ehlo.split("\n") if line[4:].startswith("AUTH ")]
        return lines[0].split()[1:] if lines else []

    def send(self, line: str) -> None:
        data = f"{line}\r\n".encode()
        if self._client is not None:
            self._client.socket.sendall(data)
        else:
            self._generic.peer.send(data)

    def reply(self) -> str:
        if self._client is not None:
            return self._client.reply()
        return str(self._generic.peer.reply().decode().strip().replace("\r\n", "\n"))

    def say(self, line: str) -> str:
        self.send(line)
        return self.reply()

    def again(self, line: str) -> str:
        """The reply to a line as the first of another connection, to a TCP server."""
        assert self._tcp is not None
        with Client(self._tcp.address) as client:
            client.reply()
            return client.say("EHLO c.example", line)

    def event(self) -> Event:
        """The next that is about AUTH."""
        if self._tcp is not None:
            found = self._tcp.program.expect(Event, where=lambda frame: frame.event == "auth")
        else:
            found = self._generic.controller.expect(Event, event="auth")
        assert isinstance(found, Event)
        return found

    def stop(self) -> int:
        """Ask it to go; its exit status."""
        if self._tcp is not None:
            return self._tcp.program.stop()
        self._generic.process.terminate()
        return int(self._generic.ends())

    def ended(self) -> int:
        """Its exit status after QUIT, by which the generic program ends; a TCP server is asked to go."""
        return int(self._generic.ends()) if self._tcp is None else self.stop()

    def log(self) -> str:
        """All that it has said on stderr; it is over then."""
        if self._tcp is not None:
            assert self._client is not None
            self._client.__exit__()
            self.stop()
            return self._tcp.program.log.decode()
        self._generic.peer.close_input()
        return str(self._generic.errors)

    def frames(self) -> list[Any]:
        """What it has told the controller and nobody has looked at; it is over then."""
        if self._tcp is None:
            return list(self._generic.controller.rest())
        found = []
        while True:
            frame, _ = self._tcp.program.seen.get()
            if frame is None:
                return found
            found.append(frame)


def at_once(call: Callable[..., None], cases: Iterable[Any]) -> None:
    """Call it with each case, all at the same time: wrong secrets are answered late, and nobody learns from waiting."""
    with ThreadPoolExecutor(8) as threads:
        for _ in threads.map(call, cases):
            pass


def start_fails(kind: str, environment: dict[str, str] | None = None, **keys: Any) -> tuple[int, str]:
    """Exit status and last words of a program that should not start."""
    how = service(**keys)
    if kind == "generic":
        with GenericProgram("channels.test_smtp_slave", environment=environment) as program:
            program.controller.hello(generic_channel(keywords=KEYWORDS), "slave", service=how)
            return program.ends(), program.errors
    try:
        Server(service=how, keywords=KEYWORDS, environment=environment)
    except AssertionError as why:
        return 78, str(why)
    raise AssertionError("it has started")


__all__ = ["KINDS", "Asked", "at_once", "b64", "plain", "start_fails", "token_line"]
