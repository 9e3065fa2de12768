"""The job link of programs on Twisted: frames on descriptors 3 and 4, joined per reactor turn."""

import contextlib
import fcntl
import os
import select
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Protocol, cast

from twisted.internet import main
from twisted.internet.abstract import FileDescriptor

from channels.kit.sent import Announcements
from jobctl.errors import ProtocolViolation
from jobctl.jobprotocol.codec import encode, from_controller
from jobctl.jobprotocol.frames import MOST_WORK, Alive, Work

_READ_SIZE = 256 * 1024
# As much as an unprivileged process may have: a burst then costs one turn, not many.
_PIPE_SIZE = 1024 * 1024
# Octets waiting for the controller above which whoever produces them must pause until none is.
FULL = 1024 * 1024
ALIVE_INTERVAL = 10.0
# Seconds between two answers to those who watch.
TELL_INTERVAL = 0.2


class LinkOwner(Protocol):
    """Who the link reports to."""

    def link_frame(self, frame: Any, content: bytes) -> None:
        """The controller said something (never an unknown frame)."""

    def link_batch_done(self) -> None:
        """All frames read in one go have been handed over."""

    def link_drained(self) -> None:
        """After :attr:`ReactorLink.full`: there is room again."""

    def link_lost(self, why: str) -> None:
        """The controller is gone; called once, and nothing after it."""

    def connections(self) -> int:
        """How many connections are open, for the heartbeat."""


class _Writer(FileDescriptor):
    """The half towards the controller; only used while the pipe is full."""

    def __init__(self, reactor: Any, fd: int, link: "ReactorLink") -> None:
        super().__init__(reactor)
        self._fd = fd
        self._link = link

    def fileno(self) -> int:
        return self._fd

    def doWrite(self) -> Any:
        return self._link.write_more()

    def connectionLost(self, reason: Any) -> None:
        super().connectionLost(reason)
        self._link.lost("cannot write to the Job Controller")


class ReactorLink(FileDescriptor):
    """
    Talk to the Job Controller.

    What is sent during one reactor turn leaves in one write at its end.  Final dots
    go through :meth:`dot`: they leave at the end of the turn too, after they were
    announced, so that after a crash it is known which messages may have arrived.

    :param journal: Descriptor of the journal of announcements (``JOBCTL_SENT_FD``);
        ``None`` announces by ``sent`` frames.
    :ivar progress: Grows whenever the program gets anything done.
    """

    def __init__(
        self, reactor: Any, owner: LinkOwner, read_fd: int, write_fd: int, journal: int | None
    ) -> None:
        super().__init__(reactor)
        self._clock = reactor
        self._owner = owner
        self._fd = read_fd
        self._write_fd = write_fd
        self._announcements = Announcements(cast(Any, self), journal)
        self._reader = from_controller()
        self._out: list[bytes] = []
        self._pending = 0
        self._dots: list[tuple[Callable[[bytes], None], bytes]] = []
        self._scheduled = False
        self._blocked = False
        self._full = False
        self._lost = False
        self.progress = 0
        self._told_at = 0.0
        for fd in (read_fd, write_fd):
            os.set_blocking(fd, False)
            with contextlib.suppress(OSError):
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        self._writer = _Writer(reactor, write_fd, self)
        self.connected = True
        self.startReading()
        self._heartbeat = reactor.callLater(ALIVE_INTERVAL, self._alive)

    @property
    def full(self) -> bool:
        """So much is waiting for the controller that no more should be produced."""
        return self._full

    @property
    def pending(self) -> int:
        """Octets not yet taken by the pipe."""
        return self._pending

    def send(self, frame: Any, content: bytes = b"") -> None:
        """Send a frame at the end of this turn; without effect once the controller is gone."""
        if self._lost:
            return
        data = encode(frame, content)
        self._out.append(data)
        self._pending += len(data)
        if self._pending > FULL:
            self._full = True
        if not self._scheduled:
            self._schedule()

    def dot(self, id: str, attempt: int) -> None:
        """The final dot of this message is in the octets given to the next :meth:`release`."""
        self._announcements.add(id, attempt)

    def release(self, write: Callable[[bytes], None], data: bytes) -> None:
        """Give ``data`` to ``write`` at the end of this turn, when its dots have been announced."""
        self._dots.append((write, data))
        if not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        self._clock.callLater(0, self._turn_ends)

    def _turn_ends(self) -> None:
        self._scheduled = False
        if self._lost:
            return
        self._announcements.publish()
        if self._out and not self._blocked:
            self.write_more()
        # By frames the announcement must be in the pipe first; what the pipe does not
        # take now keeps the dots back.
        if self._dots and not (self._announcements.by_frame and self._out):
            self._let_dots_go()

    def _let_dots_go(self) -> None:
        dots, self._dots = self._dots, []
        for write, data in dots:
            write(data)

    def write_more(self) -> Any:
        """Write what the pipe takes; called at the end of a turn, or when a full pipe has room again."""
        data = b"".join(self._out) if len(self._out) != 1 else self._out[0]
        try:
            count = os.write(self._write_fd, data) if data else 0
        except BlockingIOError:
            count = 0
        except OSError:
            self.lost("cannot write to the Job Controller")
            return main.CONNECTION_LOST
        self._pending = len(data) - count
        if self._pending:
            self._out = [data[count:]]
            if not self._blocked:
                self._blocked = True
                self._writer.startWriting()
            return None
        self._out = []
        if self._blocked:
            self._blocked = False
            self._writer.stopWriting()
            if self._dots:
                self._let_dots_go()
        if self._full:
            self._full = False
            self._owner.link_drained()
        return None

    def fileno(self) -> int:
        return self._fd

    def doRead(self) -> Any:
        try:
            data = os.read(self._fd, _READ_SIZE)
        except BlockingIOError:
            return None
        except OSError as why:
            return self.lost(f"cannot read from the Job Controller: {why.strerror}")
        if not data:
            return self.lost("the Job Controller closed the link")
        try:
            frames = self._reader.feed(data)
        except ProtocolViolation as why:
            return self.lost(f"the Job Controller broke the protocol: {why}")
        owner = self._owner
        for frame, content in frames:
            owner.link_frame(frame, content)
        owner.link_batch_done()
        return None

    def connectionLost(self, reason: Any) -> None:
        super().connectionLost(reason)
        self.lost("the Job Controller closed the link")

    def lost(self, why: str) -> None:
        """Tell the owner once; dots not yet announced never leave."""
        if self._lost:
            return
        self.close()
        self._owner.link_lost(why)

    def close(self) -> None:
        """Stop reading and writing; nothing is told."""
        self._lost = True
        self._dots = []
        self._out = []
        if self._heartbeat.active():
            self._heartbeat.cancel()
        self.stopReading()
        self._writer.stopWriting()

    def finish(self, seconds: float = 5.0) -> None:
        """Before exiting: write what is waiting, for at most ``seconds``; dots stay back."""
        data = b"".join(self._out)
        poll = select.poll()
        poll.register(self._write_fd, select.POLLOUT)
        end = time.monotonic() + seconds
        with contextlib.suppress(OSError):
            while data and not self._lost and (left := end - time.monotonic()) > 0:
                if poll.poll(left * 1000):
                    data = data[os.write(self._write_fd, data) :]
        self.close()

    def tell(self, work: Iterable[Work]) -> None:
        """Answer ``look``; at most once in a while: whoever asks more often learns nothing new."""
        now = time.monotonic()
        if now - self._told_at >= TELL_INTERVAL:
            self._told_at = now
            some = tuple(islice(work, MOST_WORK))
            self.send(Alive(progress=self.progress, connections=self._owner.connections(), work=some))

    def _alive(self) -> None:
        # Not from sessions alone: a program without work is alive too.
        self.send(Alive(progress=self.progress, connections=self._owner.connections()))
        self._heartbeat = self._clock.callLater(ALIVE_INTERVAL, self._alive)
