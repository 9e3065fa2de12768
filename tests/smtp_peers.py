"""Peers for tests of the whole daemon: a collecting SMTP server, and a client that knows what was answered 250."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable


class Taken:
    """One message that a peer took; ``lines`` are its RCPT commands, ``sender`` is its MAIL command."""

    def __init__(self, sender: bytes, lines: list[bytes], content: bytes) -> None:
        self.sender = sender
        self.lines = lines
        self.recipients = [line[line.find(b"<") + 1 : line.find(b">")] for line in lines]
        self.content = content

    @property
    def body(self) -> bytes:
        """Without the Received field that we put before it."""
        return without_trace(self.content)


def without_trace(content: bytes) -> bytes:
    """The content as it was sent to us: our Received field (and its folded lines) taken off."""
    while content.startswith(b"Received:"):
        end = content.find(b"\r\n")
        while content[end + 2 : end + 3] in (b" ", b"\t"):
            end = content.find(b"\r\n", end + 2)
        content = content[end + 2 :]
    return content


class CollectingServer:
    """
    An SMTP server with PIPELINING in a thread of its own; keeps everything it took.

    :param refuse: Gives a reply for (recipient), or ``b""`` to accept.
    :param address: Where it listens; port 0 is any that is free.
    :param dsn: It offers DSN; ``eight``: 8BITMIME.
    :param offers: Another line of its EHLO reply.
    """

    def __init__(
        self,
        refuse: Callable[[bytes], bytes] | None = None,
        address: tuple[str, int] = ("127.0.0.1", 0),
        dsn: bool = False,
        offers: bytes = b"",
        eight: bool = True,
    ) -> None:
        self._dsn = (b"250-DSN\r\n" if dsn else b"") + (b"250-%b\r\n" % offers if offers else b"")
        self._eight = b"250-8BITMIME\r\n" if eight else b""
        self.taken: list[Taken] = []
        self._address = address
        self._refuse = refuse or (lambda recipient: b"")
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        ready = threading.Event()
        self._ready = ready
        self.port = 0
        self.connections = 0
        self._thread.start()
        ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)

        async def begin() -> None:
            self._server = await asyncio.start_server(self._serve, *self._address, limit=2**28)
            self.port = self._server.sockets[0].getsockname()[1]
            self._ready.set()

        self._loop.run_until_complete(begin())
        self._loop.run_forever()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            writer.write(b"220 sink.example ESMTP\r\n")
            sender, recipients = b"", []
            while line := await reader.readline():
                verb = line[:4].upper()
                if verb == b"EHLO":
                    writer.write(b"250-sink.example\r\n250-PIPELINING\r\n" + self._dsn)
                    writer.write(self._eight + b"250 SIZE\r\n")
                elif verb == b"MAIL":
                    sender, recipients = line, []
                    writer.write(b"250 2.1.0 ok\r\n")
                elif verb == b"RCPT":
                    refusal = self._refuse(line)
                    if not refusal:
                        recipients.append(line)
                    writer.write(refusal or b"250 2.1.5 ok\r\n")
                elif verb == b"DATA":
                    if not recipients:
                        writer.write(b"503 5.5.1 no recipients\r\n")
                        continue
                    writer.write(b"354 go\r\n")
                    await writer.drain()
                    stuffed = b"\r\n" + await reader.readuntil(b"\r\n.\r\n")
                    content = stuffed[:-3].replace(b"\r\n..", b"\r\n.")[2:]
                    self.taken.append(Taken(sender, recipients, content))
                    writer.write(b"250 2.0.0 taken\r\n")
                elif verb == b"QUIT":
                    writer.write(b"221 2.0.0 bye\r\n")
                    break
                else:
                    writer.write(b"250 2.0.0 ok\r\n")
        writer.close()

    def close(self) -> None:
        """End it."""

        def end() -> None:
            if self._server is not None:
                self._server.close()
            self._loop.stop()

        self._loop.call_soon_threadsafe(end)
        self._thread.join(10)


class Sender:
    """
    A client that sends numbered messages and remembers which were answered 250.

    It goes on over lost connections and 4xx replies: with the next message, never the same again.
    """

    def __init__(self, port: int, name: str, count: int, to: str, octets: int = 4096) -> None:
        self._port = port
        self._name = name
        self._count = count
        self._to = to
        self._octets = octets
        self.accepted: dict[str, bytes] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> "Sender":
        """Begin."""
        self._thread.start()
        return self

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join(300)
        assert not self._thread.is_alive()

    @property
    def running(self) -> bool:
        """It has not sent all yet."""
        return self._thread.is_alive()

    def content(self, number: int) -> bytes:
        """The message of that number."""
        head = f"Message-ID: <{self._name}.{number}@test.example>\r\nSubject: {number}\r\n\r\n".encode()
        line = b".dots and text " + str(number).encode() + b"\r\n"
        return head + line * ((self._octets - len(head)) // len(line))

    def _run(self) -> None:
        stream = None
        number = 0
        while number < self._count:
            try:
                if stream is None:
                    stream = socket.create_connection(("127.0.0.1", self._port), 10).makefile("rwb")
                    self._expect(stream, b"220")
                    self._say(stream, b"EHLO test.example\r\n", b"250")
                content = self.content(number)
                self._say(stream, b"MAIL FROM:<sender@test.example>\r\n", b"250")
                self._say(stream, b"RCPT TO:<" + self._to.encode() + b">\r\n", b"250")
                self._say(stream, b"DATA\r\n", b"354")
                number += 1
                self._say(stream, content.replace(b"\r\n.", b"\r\n..") + b".\r\n", b"250")
                self.accepted[f"<{self._name}.{number - 1}@test.example>"] = content
            except (OSError, EOFError, ValueError):
                with contextlib.suppress(OSError):
                    if stream is not None:
                        stream.close()
                stream = None
                threading.Event().wait(0.05)
        if stream is not None:
            with contextlib.suppress(OSError, EOFError, ValueError):
                self._say(stream, b"QUIT\r\n", b"221")

    def _say(self, stream: object, line: bytes, want: bytes) -> None:
        stream.write(line)  # type: ignore[attr-defined]
        stream.flush()  # type: ignore[attr-defined]
        self._expect(stream, want)

    def _expect(self, stream: object, want: bytes) -> None:
        while True:
            line = stream.readline()  # type: ignore[attr-defined]
            if not line:
                raise EOFError
            if line[3:4] != b"-":
                break
        if line[:3] != want:
            raise ValueError(line)


def message_id(content: bytes) -> str:
    """The Message-ID of a content."""
    at = content.find(b"Message-ID: ") + 12
    return content[at : content.find(b"\r\n", at)].decode()
