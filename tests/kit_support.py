"""Real channel programs against a small controller and a scripted peer, over real pipes."""

import fcntl
import json
import os
import select
import socket
import subprocess
import sys
import threading
from pathlib import Path

import msgspec

from jobctl.config.settings import ChannelSettings
from jobctl.config.tcp_settings import TcpOptions
from jobctl.jobprotocol.codec import encode, from_program
from jobctl.jobprotocol.frames import (
    Accepted,
    HelloController,
    HelloProgram,
    Message,
    Route,
    Submit,
    VerdictFrame,
)
from jobctl.mail.envelope import Envelope, Recipient

ROOT = Path(__file__).parent.parent
# Nothing here takes long; what hangs is given up with a clear message.
PATIENCE = 20.0
PIECE = 256 * 1024


def channel(name="x_test", **changes):
    """Settings as the loader would make them for an SMTP channel."""
    options = TcpOptions(**changes.pop("options", {}))
    given = {"official_host_name": "x-daemon", "local_host": "mail.example.org", "smtp": "crlf", **changes}
    return ChannelSettings(name=name, options=options, **given)


def readable(fd, patience=PATIENCE):
    """Wait until ``fd`` can be read or is at its end."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(patience * 1000))


class Stream:
    """The test's two ends of a program's stdin and stdout."""

    def __init__(self, reading, writing):
        self._reading = reading
        self._writing = writing
        self._buffer = b""

    def send(self, data):
        view = memoryview(data)
        while view:
            view = view[os.write(self._writing, view) :]

    def close_input(self):
        """End of file for the program."""
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None

    def close_output(self):
        """Nobody reads what the program writes."""
        if self._reading is not None:
            os.close(self._reading)
            self._reading = None

    def until(self, end):
        """What comes up to and with ``end``; fails at end of file."""
        while end not in self._buffer:
            data = self._some()
            assert data, f"end of output; no {end!r} in {self._buffer[-500:]!r}"
            self._buffer += data
        at = self._buffer.index(end) + len(end)
        data, self._buffer = self._buffer[:at], self._buffer[at:]
        return data

    def line(self):
        return self.until(b"\r\n")

    def some(self, most):
        """What is here, or comes next: at least one octet, at most so many."""
        if not self._buffer:
            self._buffer = self._some()
            assert self._buffer, "end of output"
        data, self._buffer = self._buffer[:most], self._buffer[most:]
        return data

    def reply(self):
        """A whole reply, all of its lines."""
        lines = [self.line()]
        while lines[-1][3:4] == b"-":
            lines.append(self.line())
        return b"".join(lines)

    def rest(self):
        """Everything up to the end of file."""
        while data := self._some():
            self._buffer += data
        data, self._buffer = self._buffer, b""
        return data

    @property
    def silent(self):
        """Nothing has come that was not asked for."""
        return not self._buffer and not readable(self._reading, 0)

    def _some(self):
        assert readable(self._reading), f"nothing came; so far {self._buffer[-500:]!r}"
        return os.read(self._reading, 65536)

    def close(self):
        self.close_input()
        self.close_output()


class Controller:
    """The test's end of a job link."""

    def __init__(self, reading, writing):
        self._reading = reading
        self._writing = writing
        self._frames = from_program()
        self._heard = []

    def hello(self, settings, role, host=None, mta=None, service=None, in_clear="", others=()):
        self.send(
            HelloController(
                version=1,
                job="j1",
                channel=settings.name,
                role=role,
                settings=msgspec.to_builtins(settings),
                host=host,
                mta=mta,
                service=None if service is None else msgspec.to_builtins(service),
                in_clear=in_clear,
                channels=tuple(msgspec.to_builtins(one) for one in others),
            )
        )

    def send(self, frame, content=b""):
        self.send_octets(encode(frame, content))

    def send_octets(self, data):
        view = memoryview(data)
        while view:
            view = view[os.write(self._writing, view) :]

    def next(self):
        """The next frame with its content; ``None`` at the end."""
        while not self._heard:
            assert readable(self._reading), "the program says nothing"
            data = os.read(self._reading, 65536)
            if not data:
                return None
            self._heard += self._frames.feed(data)
        return self._heard.pop(0)

    def expect(self, kind, **wanted):
        """The next frame of this kind with these values; others are passed over."""
        while (heard := self.next()) is not None:
            frame, content = heard
            if isinstance(frame, kind) and all(
                getattr(frame, name) == value for name, value in wanted.items()
            ):
                return (frame, content) if kind is Submit else frame
        raise AssertionError(f"the program ended without {kind.__name__} {wanted}")

    def rest(self):
        """All that is still said."""
        frames = []
        while (heard := self.next()) is not None:
            frames.append(heard[0])
        return frames

    def close(self):
        for fd in {self._reading, self._writing} - {None}:
            os.close(fd)
        self._reading = self._writing = None


class Program:
    """
    A running channel program; a context manager that leaves nothing running.

    :param link: With descriptors 3 and 4, as under the controller.
    """

    def __init__(
        self, module, *, environment=None, arguments=(), link=True, journal=None, stdin=None, stdout=None
    ):
        ours, theirs = [], []

        def pipe():
            reading, writing = os.pipe()
            return reading, writing

        theirs_in, ours_out = pipe() if stdin is None else (stdin, None)
        ours_in, theirs_out = pipe() if stdout is None else (None, stdout)
        theirs = [theirs_in, theirs_out]
        wanted = {}
        self.controller = None
        if link:
            link_in, to_program = pipe()
            from_it, link_out = pipe()
            wanted = {3: link_in, 4: link_out}
            theirs += [link_in, link_out]
            self.controller = Controller(from_it, to_program)
        variables = {**os.environ, "PMDF_CHANNEL": "x_test", **(environment or {})}
        for name in [name for name, value in variables.items() if value is None]:
            del variables[name]
        if journal is not None:
            wanted[5] = journal
            variables["JOBCTL_SENT_FD"] = "5"

        def arrange():
            above = {fd: fcntl.fcntl(given, fcntl.F_DUPFD, 20) for fd, given in wanted.items()}
            for fd, given in above.items():
                os.dup2(given, fd)
                os.close(given)

        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env=variables,
            stdin=theirs_in,
            stdout=theirs_out,
            stderr=subprocess.PIPE,
            close_fds=False,
            preexec_fn=arrange,
        )
        for fd in theirs:
            os.close(fd)
        self.peer = Stream(ours_in, ours_out)
        del ours
        self._errors = []
        # Read all the time: a program that says much must not be held up by the test.
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()

    def _read_errors(self):
        self._errors.append(self.process.stderr.read())

    def ends(self):
        """The exit status, when the program has ended by itself."""
        return self.process.wait(PATIENCE)

    @property
    def errors(self):
        """What it wrote to stderr, once it has ended."""
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return b"".join(self._errors).decode()

    def resident(self):
        """Octets of memory the process has now, without shared pages of files."""
        fields = dict(
            line.split(":", 1) for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        )
        return int(fields["RssAnon"].split()[0]) * 1024

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.peer.close()
        if self.controller is not None:
            self.controller.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        self.process.stderr.close()


def message(
    id="E1", recipients=("ann@y.example",), host="y.example", octets=0, sender="bob@x.example", **more
):
    """An assignment of test mail."""
    people = tuple(one if isinstance(one, Recipient) else Recipient(one) for one in recipients)
    return Message(id=id, host=host, envelope=Envelope(sender, people), octets=octets, **more)


def pieces(content, size=PIECE):
    """Content cut as the controller cuts it."""
    return [content[at : at + size] for at in range(0, len(content), size)] or [b""]


class ControlSocket:
    """
    A control socket that knows ``attach`` and plays one controller for each program that comes.

    :param play: Called in a thread with (role, :class:`Controller`) for each.
    :param refuse: Answer with this error instead.
    """

    def __init__(self, path, play=None, refuse=None):
        self.path = str(path)
        self._play = play
        self._refuse = refuse
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen()
        self._threads = []
        self.failures = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection):
        try:
            line = b""
            while not line.endswith(b"\n"):
                line += connection.recv(1)
            request = json.loads(line)
            assert request["op"] == "attach"
            if self._refuse is not None:
                connection.sendall(json.dumps({"id": request["id"], "error": self._refuse}).encode() + b"\n")
                connection.close()
                return
            connection.sendall(
                json.dumps({"id": request["id"], "result": {"attached": True}}).encode() + b"\n"
            )
            fd = connection.detach()
            controller = Controller(fd, fd)
            try:
                self._play(request["role"], controller)
            finally:
                controller.close()
        except BaseException as why:
            self.failures.append(why)

    def close(self):
        """Stop, and raise what went wrong in any thread."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(PATIENCE)
        for why in self.failures:
            raise why

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.close()
        else:
            self._listener.close()


def configuration(directory, control_socket):
    """A configuration file with the channels of a run by hand."""
    path = directory / "jobctl.toml"
    path.write_text(f"""
[job_controller]
control_socket = "{control_socket}"
[job_controller.channel_class."x_*"]
master_command = "test_smtp_master"
slave_command = "test_smtp_slave"
[channel.l]
official_host_name = "mail.example.org"
[channel.x_out]
official_host_name = "x-out-daemon"
smtp = true
daemon = "router"
[channel.x_in]
official_host_name = "x-in-daemon"
smtp = true
[rewrite]
"." = "x_out"
""")
    return path


def serve_slave(controller, settings, *, mta=None, refuse=None):
    """
    Be the controller of one slave until it leaves: every recipient is welcome, every message accepted.

    :return: Submissions as (envelope, source, content).
    """
    controller.hello(settings, "slave", mta=mta)
    arriving, arrived = {}, []
    while (heard := controller.next()) is not None:
        frame, content = heard
        if isinstance(frame, Route):
            controller.send(
                VerdictFrame(id=frame.id, code=250, status="2.1.5", text=f"{frame.recipient} OK.")
            )
        elif isinstance(frame, Submit):
            first, parts = arriving.setdefault(frame.id, (frame, []))
            parts.append(content)
            if frame.abort:
                del arriving[frame.id]
            elif not frame.more:
                del arriving[frame.id]
                arrived.append((first.envelope, first.source, b"".join(parts)))
                controller.send(refuse or Accepted(id=frame.id, ids=(f"E{len(arrived)}",)))
        else:
            assert not isinstance(frame, HelloProgram) or frame.version == 1
    return arrived
