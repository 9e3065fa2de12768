"""Two independent readers of what an SMTP client has put on the wire: a strict one and the laxest there is."""

import re
import socket
import ssl
import threading
from dataclasses import dataclass

_LAX = re.compile(rb"\r\n|\r|\n")


@dataclass
class Seen:
    """A message as a reader sees it; ``content`` has CRLF at line ends and no stuffed dots."""

    sender: bytes
    recipients: list[bytes]
    content: bytes


class Reader:
    """
    Reads a client's side of a session without hearing the server's: every command counts as accepted.

    :param lax: Any CR, LF or CRLF ends a line, in commands and in content; else only CRLF does.
    """

    def __init__(self, octets: bytes, lax: bool) -> None:
        self._octets = octets
        self._at = 0
        self._lax = lax
        self.messages: list[Seen] = []
        self.commands: list[bytes] = []
        sender, content = b"", b""
        recipients: list[bytes] = []
        while (line := self._line()) is not None:
            verb = line[:4].upper()
            self.commands.append(line)
            if verb == b"MAIL":
                sender, recipients, content = line, [], b""
            elif verb == b"RCPT":
                recipients.append(line)
            elif verb == b"BDAT":
                _, size, *last = line.split()
                content += octets[self._at : self._at + int(size)]
                self._at += int(size)
                if last:
                    self.messages.append(Seen(sender, recipients, content))
            elif verb == b"DATA":
                self.messages.append(Seen(sender, recipients, self._content()))

    def _line(self) -> bytes | None:
        if not self._lax:
            end, after = self._octets.find(b"\r\n", self._at), 2
        else:
            found = _LAX.search(self._octets, self._at)
            end, after = (found.start(), found.end() - found.start()) if found else (-1, 0)
        if end < 0:
            return None
        line = self._octets[self._at : end]
        self._at = end + after
        return line

    def _content(self) -> bytes:
        lines = []
        while (line := self._line()) is not None and line != b".":
            lines.append(line.removeprefix(b"."))
        return b"".join(line + b"\r\n" for line in lines)


class RecordingServer:
    """
    An SMTP server in threads that takes everything and keeps each session's octets as they came.

    :param extensions: What it offers; ``STARTTLS`` needs a certificate.
    """

    def __init__(self, *extensions: str, certificate: str = "") -> None:
        self._extensions = extensions
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
        if self._context is not None:
            self._context.load_cert_chain(certificate)
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=50)
        self.port = self._socket.getsockname()[1]
        self.sessions: list[bytearray] = []
        self.encrypted = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """No new sessions."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def messages(self, lax: bool) -> list[Seen]:
        """What a reader sees in all sessions so far."""
        return [seen for session in self.sessions for seen in Reader(bytes(session), lax).messages]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        record = bytearray()
        self.sessions.append(record)
        try:
            connection.sendall(b"220 recorder ESMTP\r\n")
            self._talk(connection, record, self._context is not None)
        except (OSError, ValueError):
            pass
        finally:
            connection.close()

    def _talk(self, connection: socket.socket, record: bytearray, may_tls: bool) -> None:
        at = 0
        while True:
            end = record.find(b"\r\n", at)
            if end < 0:
                data = connection.recv(1 << 16)
                if not data:
                    return
                record += data
                continue
            line = bytes(record[at:end])
            at = end + 2
            verb = line[:4].upper()
            if verb in (b"EHLO", b"LHLO"):
                offers = ["recorder", *self._extensions, *(["STARTTLS"] if may_tls else [])]
                said = [f"250{' ' if n == len(offers) else '-'}{word}" for n, word in enumerate(offers, 1)]
                connection.sendall(("\r\n".join(said) + "\r\n").encode())
            elif verb == b"STAR" and self._context is not None:
                connection.sendall(b"220 go\r\n")
                with self._context.wrap_socket(connection, server_side=True) as secured:
                    self.encrypted += 1
                    del record[:]
                    self._talk(secured, record, False)
                return
            elif verb == b"DATA":
                connection.sendall(b"354 go\r\n")
                at = self._until(connection, record, max(at - 2, 0))
                connection.sendall(b"250 2.0.0 taken\r\n")
            elif verb == b"BDAT":
                at += int(line.split()[1])
                while len(record) < at:
                    data = connection.recv(1 << 16)
                    if not data:
                        return
                    record += data
                connection.sendall(b"250 2.0.0 taken\r\n")
            else:
                connection.sendall(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
                if verb == b"QUIT":
                    return

    def _until(self, connection: socket.socket, record: bytearray, begin: int) -> int:
        while (end := record.find(b"\r\n.\r\n", begin)) < 0:
            data = connection.recv(1 << 16)
            if not data:
                raise ValueError("content does not end")
            record += data
        return end + 5
