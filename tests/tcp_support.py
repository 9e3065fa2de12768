"""A Job Controller small enough for one test, and peers that misbehave by script."""

import contextlib
import fcntl
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from jobctl.config.settings import ChannelSettings, ServiceSettings
from jobctl.config.tcp_settings import TcpOptions
from jobctl.jobprotocol.codec import encode, from_program
from jobctl.jobprotocol.frames import Accepted, HelloController, HelloProgram, Message, Stop, Submit
from jobctl.mail.envelope import Envelope, Recipient
from tests.dns_server import Zone

PATIENCE = 20.0
BODY = b"Subject: t\r\n\r\nhello\r\n"


def channel(**changes: Any) -> ChannelSettings:
    """A TCP channel that looks nothing up and waits seconds, not minutes."""
    options = TcpOptions(**({"timeout_multiplier": 1} | changes.pop("options", {})))
    base = {"name": "tcp_local", "official_host_name": "tcp-daemon", "local_host": "mail.example.org"}
    return ChannelSettings(**(base | {"smtp": "crlf", "mx": "nomx", "options": options} | changes))


def service(**changes: Any) -> ServiceSettings:
    return ServiceSettings(**({"name": "SMTP", "listen": (), "channel": "tcp_local"} | changes))


def message(
    id: str, port: int = 0, content: bytes = BODY, to: tuple[str, ...] = ("bob@b.example",), **changes: Any
) -> Message:
    """An assignment to a host on loopback."""
    envelope = Envelope(sender="ann@a.example", recipients=tuple(Recipient(address=one) for one in to))
    return Message(
        **({"id": id, "host": "[127.0.0.1]", "envelope": envelope, "octets": len(content)} | changes)
    )


class Program:
    """
    A channel program as a real child, and its controller's end of the pipes.

    Frames are read in a thread; ``handle`` (when given) sees each and may answer with
    :meth:`send`, all others are kept for :meth:`expect`.
    """

    def __init__(
        self,
        module: str,
        settings: ChannelSettings,
        *,
        listen: tuple[socket.socket, ...] = (),
        service: ServiceSettings | None = None,
        handle: "Callable[[Program, Any, bytes], bool] | None" = None,
        environment: dict[str, str] | None = None,
        journal: int | None = None,
        mta: dict[str, object] | None = None,
        others: tuple[ChannelSettings, ...] = (),
    ) -> None:
        self.seen: queue.Queue[tuple[Any, bytes]] = queue.Queue()
        self.status: int | None = None
        self.log = b""
        self._handle = handle
        self._out: list[bytes] = []
        self._lock = threading.Lock()
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        log_read, log_write = os.pipe()
        given = [to_read, to_write, log_write, *(one.fileno() for one in listen)] + (
            [journal] if journal is not None else []
        )
        targets = [3, 4, 2, *range(10, 10 + len(listen))] + ([30] if journal is not None else [])
        # Above the targets, wherever there is room.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in given]
        actions = [
            (os.POSIX_SPAWN_DUP2, source, target) for source, target in zip(high, targets, strict=True)
        ]
        env = os.environ | {"PMDF_CHANNEL": settings.name} | (environment or {})
        if journal is not None:
            env["JOBCTL_SENT_FD"] = "30"
        self.pid = os.posix_spawn(sys.executable, [sys.executable, "-m", module], env, file_actions=actions)
        for fd in [*high, to_read, to_write, log_write]:
            os.close(fd)
        self._threads = [
            threading.Thread(target=self._read_frames, daemon=True),
            threading.Thread(target=self._read_log, args=(log_read,), daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        self.send(
            HelloController(
                version=1,
                job="j1",
                channel=settings.name,
                role="slave" if listen else "master",
                settings=msgspec.to_builtins(settings),
                listen=tuple(range(10, 10 + len(listen))),
                service=None if service is None else msgspec.to_builtins(service),
                mta=mta,
                channels=tuple(msgspec.to_builtins(one) for one in others),
            )
        )
        self.hello = self.expect(HelloProgram)

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *exc: Any) -> None:
        self.close()

    def send(self, frame: Any, content: bytes = b"") -> None:
        data = encode(frame, content)
        with self._lock:
            while data:
                data = data[os.write(self._write, data) :]

    def hang_up(self) -> None:
        """The controller dies: both pipes close."""
        with self._lock:
            if self._write >= 0:
                os.close(self._write)
                self._write = -1

    def expect(self, *kinds: type, where: Callable[[Any], bool] = lambda frame: True) -> Any:
        """The next frame of one of these kinds; others are passed over."""
        return self.expect_with_content(*kinds, where=where)[0]

    def expect_with_content(
        self, *kinds: type, where: Callable[[Any], bool] = lambda frame: True
    ) -> tuple[Any, bytes]:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                frame, content = self.seen.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {kinds} within {PATIENCE} s; log: {self.log!r}") from None
            if frame is None:
                # It ends: what it says of that may still be on its way.
                self._threads[1].join(PATIENCE)
                raise AssertionError(f"the program closed its pipe; log: {self.log!r}")
            if isinstance(frame, kinds) and where(frame):
                return frame, content

    def wait(self) -> int:
        """Its exit status, once it has exited by itself."""
        end = time.monotonic() + PATIENCE
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > end:
                raise AssertionError(f"it does not exit; log: {self.log!r}")
            else:
                threading.Event().wait(0.01)
        for thread in self._threads:
            thread.join()
        return self.status

    def stop(self) -> int:
        self.send(Stop())
        return self.wait()

    def close(self) -> None:
        if self.status is None:
            self.hang_up()
            try:
                self.wait()
            except AssertionError:
                os.kill(self.pid, signal.SIGKILL)
                self.wait()
                raise
        else:
            self.hang_up()

    def _read_frames(self) -> None:
        reader = from_program()
        while data := os.read(self._read, 1 << 18):
            for frame, content in reader.feed(data):
                own = isinstance(frame, HelloProgram) or self._handle is None
                if own or not self._handle(self, frame, content):
                    self.seen.put((frame, content))
        self.seen.put((None, b""))
        os.close(self._read)

    def _read_log(self, fd: int) -> None:
        while data := os.read(fd, 65536):
            self.log += data
        os.close(fd)


class Intake:
    """Accepts every submission, and keeps them whole by the order they came in."""

    def __init__(self) -> None:
        self.messages: list[tuple[Submit, bytes]] = []
        self._open: dict[tuple[int, str], tuple[Submit, list[bytes]]] = {}
        self.aborted = 0

    def __call__(self, program: Program, frame: Any, content: bytes) -> bool:
        if not isinstance(frame, Submit):
            return False
        key = (program.pid, frame.id)
        if frame.abort:
            self._open.pop(key, None)
            self.aborted += 1
            return True
        _, parts = self._open.setdefault(key, (frame, []))
        parts.append(content)
        if not frame.more:
            first, parts = self._open.pop(key)
            self.messages.append((first, b"".join(parts)))
            program.send(Accepted(id=frame.id, ids=(f"E{len(self.messages)}",)))
        return True


def listening(**options: Any) -> socket.socket:
    """A listening socket on loopback."""
    return socket.create_server(("127.0.0.1", 0), backlog=1024, **options)


class Peer:
    """
    An SMTP server that follows a script: one thread for each connection.

    :param script: Called with each connection and its number from 0; returning closes it.
    """

    def __init__(
        self, script: "Callable[[Wire, int], None]", address: str = "127.0.0.1", port: int = 0
    ) -> None:
        self._script = script
        self._socket = socket.create_server((address, port), backlog=100)
        self.port = self._socket.getsockname()[1]
        self.count = 0
        self.sources: list[str] = []
        self._threads: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *exc: Any) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._socket.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, source = self._socket.accept()
            except OSError:
                return
            self.sources.append(source[0])
            thread = threading.Thread(target=self._serve, args=(connection, self.count))
            self.count += 1
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        connection.settimeout(PATIENCE)
        with connection, contextlib.suppress(OSError, EOFError):
            self._script(Wire(connection), number)


class Wire:
    """A connection with the few things that a script says and hears."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._in = connection.makefile("rb")
        self.heard: list[bytes] = []

    def say(self, *lines: str) -> None:
        self.socket.sendall("".join(line + "\r\n" for line in lines).encode("ascii"))

    def line(self) -> bytes:
        line = self._in.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError
        self.heard.append(line[:-2])
        return line[:-2]

    def content(self) -> bytes:
        """Until the final dot, unstuffed."""
        lines = []
        while (line := self._in.readline()) != b".\r\n":
            if not line:
                raise EOFError
            lines.append(line.removeprefix(b"."))
        return b"".join(lines)

    def read(self, count: int) -> bytes:
        """So many octets: a chunk of BDAT."""
        return self._in.read(count)

    def until_closed(self) -> None:
        while self._in.read(65536):
            pass

    def greet(self, *extensions: str) -> None:
        self.say("220 peer ESMTP")
        self.line()
        self.say("250-peer", *(f"250-{one}" for one in extensions), "250 HELP")

    def transaction(
        self, dot: str = "250 2.0.0 taken", answer: "Callable[[bytes], str]" = lambda line: "250 ok"
    ) -> bytes | None:
        """One message by the book; ``None`` after QUIT."""
        while True:
            line = self.line()
            if line == b"DATA":
                self.say("354 go")
                content = self.content()
                self.say(dot)
                return content
            if line == b"QUIT":
                self.say("221 bye")
                return None
            self.say(answer(line))


def serve(
    taken: "list[bytes] | None" = None, offers: tuple[str, ...] = ("PIPELINING", "8BITMIME"), **how: Any
) -> "Callable[[Wire, int], None]":
    """A script that takes everything."""

    def script(wire: Wire, number: int) -> None:
        wire.greet(*offers)
        while (content := wire.transaction(**how)) is not None:
            if taken is not None:
                taken.append(content)

    return script


class NameServerThread:
    """A zone on loopback over UDP, in a thread."""

    def __init__(self, zone: Zone) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._zone = zone
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self) -> "NameServerThread":
        return self

    def __exit__(self, *exc: Any) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            wire, client = self._socket.recvfrom(4096)
            if not wire:
                return
            response = self._zone.answer(wire)
            if response is not None:
                self._socket.sendto(response.to_wire(want_shuffle=False), client)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> int:
    """The most octets of memory that a process has held so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def broken_tls(taken: list[bytes]) -> Callable[[Wire, int], None]:
    """A server that offers STARTTLS and has no idea of it; in the clear it takes mail, kept in ``taken``."""

    def script(wire: Wire, number: int) -> None:
        wire.greet("STARTTLS")
        if wire.line() == b"STARTTLS":
            wire.say("220 go")
            wire.socket.recv(1000)
            wire.say("554 no idea of TLS")
            return
        wire.say("250 ok")
        while (content := wire.transaction()) is not None:
            taken.append(content)

    return script
