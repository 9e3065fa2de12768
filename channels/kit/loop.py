"""A loop over a handful of descriptors: what a program needs that speaks on pipes and opens no socket."""

import contextlib
import fcntl
import math
import os
import select
import stat
import time
from collections import deque
from collections.abc import Callable

# What one read takes at most, and what a pipe should hold.  Not the 1 MiB that it may: all pipes of a
# user share an allowance, and beyond it new ones are tiny.
READ_SIZE = 256 * 1024
_PIPE_SIZE = 256 * 1024
# Octets an outlet holds above which whoever produces them pauses.
FULL = 512 * 1024

_READABLE = select.POLLIN | select.POLLHUP | select.POLLERR | select.POLLNVAL
_WRITABLE = select.POLLOUT | select.POLLHUP | select.POLLERR | select.POLLNVAL


class Loop:
    """
    Call whoever waits for a descriptor.

    With poll(2), not epoll: standard input and output may be regular files,
    which epoll refuses and poll calls always ready.
    """

    def __init__(self) -> None:
        self._poll = select.poll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._writers: dict[int, Callable[[], None]] = {}

    def reading(self, fd: int, ready: Callable[[], None] | None) -> None:
        """Call ``ready`` whenever ``fd`` can be read or is at its end; ``None``: no more."""
        self._set(self._readers, fd, ready)

    def writing(self, fd: int, ready: Callable[[], None] | None) -> None:
        """Call ``ready`` whenever ``fd`` takes octets or is broken; ``None``: no more."""
        self._set(self._writers, fd, ready)

    def _set(self, table: dict[int, Callable[[], None]], fd: int, ready: Callable[[], None] | None) -> None:
        if ready is not None:
            table[fd] = ready
        elif table.pop(fd, None) is None:
            return
        mask = (select.POLLIN if fd in self._readers else 0) | (select.POLLOUT if fd in self._writers else 0)
        if mask:
            self._poll.register(fd, mask)
        else:
            # Registered with an empty mask it would still report a hang-up, again and again.
            self._poll.unregister(fd)

    def wait(self, seconds: float | None) -> None:
        """Wait until something can be done, at most so long (``None``: for ever), and have it done."""
        readers, writers = self._readers, self._writers
        limit = None if seconds is None else max(0, math.ceil(seconds * 1000))
        for fd, happened in self._poll.poll(limit):
            if happened & _READABLE and fd in readers:
                readers[fd]()
            if happened & _WRITABLE and fd in writers:
                writers[fd]()


class Outlet:
    """
    A descriptor to write to without ever waiting for it.

    Pipes and sockets are made non-blocking until :meth:`restore`.  Terminals are not: the shell
    that comes after us shares the setting.  Files are never waited for anyway.

    :param lost: Called once, with the reason, when nothing can be written any more; what is
        written afterwards is dropped.
    :ivar trace: Called with what was taken and how many octets wait, ``None``: nobody is.
    :ivar pending: Octets not yet taken.
    :ivar since: When they began to wait, by :func:`time.monotonic`; ``None``: none do.
    :ivar written: Octets taken so far.
    """

    def __init__(self, loop: Loop, fd: int, lost: Callable[[str], None]) -> None:
        self._loop = loop
        self._fd = fd
        self._lost = lost
        self._parts: deque[bytes] = deque()
        self._waiting = False
        self._broken = False
        self._was_blocking = False
        self.trace: Callable[[bytes, int], None] | None = None
        self.pending = 0
        self.since: float | None = None
        self.written = 0
        mode = os.fstat(fd).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            self._was_blocking = os.get_blocking(fd)
            os.set_blocking(fd, False)

    @property
    def full(self) -> bool:
        """So much is waiting that no more should be produced."""
        return self.pending > FULL

    @property
    def broken(self) -> bool:
        """Whoever read from it is gone."""
        return self._broken

    def write(self, data: bytes) -> None:
        """Take octets; they leave with the next :meth:`flush`."""
        if data and not self._broken:
            self._parts.append(data)
            self.pending += len(data)

    def flush(self) -> None:
        """Write what is taken without waiting; the loop writes the rest when it can be."""
        parts = self._parts
        try:
            while parts:
                data = parts.popleft() if len(parts) == 1 else b"".join(parts)
                parts.clear()
                count = self._put(data)
                self.pending -= count
                self.written += count
                if self.trace is not None:
                    self.trace(data[:count], self.pending)
                if count < len(data):
                    parts.append(data[count:])
                    break
        except OSError as why:
            self._break(why.strerror or str(why))
            return
        if bool(parts) is not self._waiting:
            self._waiting = bool(parts)
            self.since = time.monotonic() if parts else None
            self._loop.writing(self._fd, self.flush if parts else None)

    def _put(self, data: bytes) -> int:
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0

    def _break(self, why: str) -> None:
        self.abandon()
        self._lost(why)

    def abandon(self) -> None:
        """Drop what is waiting and whatever is written from now on."""
        self._broken = True
        self._parts.clear()
        self.pending = 0
        self.since = None
        if self._waiting:
            self._waiting = False
            self._loop.writing(self._fd, None)

    def restore(self) -> None:
        """Leave the descriptor as it was found."""
        if self._was_blocking:
            with contextlib.suppress(OSError):
                os.set_blocking(self._fd, True)


def read_some(fd: int) -> bytes | None:
    """
    What a descriptor that was called readable has.

    :return: ``b""`` at its end, whatever the reason; ``None``: nothing after all.
    """
    try:
        return os.read(fd, READ_SIZE)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def enlarge_pipe(fd: int) -> None:
    """Let a pipe hold a piece of content: a burst then costs one turn, not many."""
    with contextlib.suppress(OSError, AttributeError):
        if fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ) < _PIPE_SIZE:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
