"""Our ends of the pipes to a program: large reads, writes gathered per reactor turn."""

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python.failure import Failure

# One frame's content, and what is read at a time.
PIECE = 256 * 1024
# Octets the kernel holds for us in each job pipe.  Not the 1 MiB it would allow: a user may have 16384
# pages in pipes by default (pipe-user-pages-soft), and beyond that every new pipe of the user gets two pages.
KERNEL_BUFFER = 256 * 1024


def make_pipe(size: int = KERNEL_BUFFER) -> tuple[int, int]:
    """
    A pipe as (reading end, writing end), both close-on-exec and blocking.

    :param size: Octets the kernel should buffer; a wish, not a condition.
    :raises OSError: No descriptors left.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    # Over the user's allowance, or not Linux: the default size serves as well, slower.
    with suppress(OSError, AttributeError):
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, size)
    return reading, writing


class PipeReader(FileDescriptor):
    """
    Read a descriptor until its writers are gone.

    Twisted's own reader of a process's pipe takes 8 KiB at a time.

    :param received: Called with what was read, never empty.
    :param lost: Called once, when nothing more will come; the descriptor is closed then.
    """

    connected = 1

    def __init__(
        self, reactor: Any, fd: int, received: Callable[[bytes], None], lost: Callable[[], None]
    ) -> None:
        super().__init__(reactor)
        os.set_blocking(fd, False)
        self._fd = fd
        self._received = received
        self._lost = lost
        self.startReading()

    def fileno(self) -> int:
        return self._fd

    def doRead(self) -> Exception | None:
        try:
            data = os.read(self._fd, PIECE)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        self._received(data)
        return None

    def close(self) -> None:
        """Read no more; harmless when that has happened already.  ``lost`` is called."""
        if self.connected:
            self.connectionLost(Failure(ConnectionDone()))

    # As a producer (bridge): the consumer went away.
    stopProducing = close

    def connectionLost(self, reason: Failure) -> None:
        super().connectionLost(reason)
        fd, self._fd = self._fd, -1
        os.close(fd)
        self._lost()


class PipeWriter(FileDescriptor):
    """
    Write a descriptor; what is written in one turn of the reactor leaves together.

    As a consumer it pauses its producer above ``bufferSize`` octets and resumes
    it when the last octet is taken.

    :ivar pending: Octets the kernel has not taken yet.
    :param lost: Called once, when nothing more can be written; the descriptor is closed then.
    """

    connected = 1
    bufferSize = PIECE
    SEND_LIMIT = 2 * PIECE

    def __init__(self, reactor: Any, fd: int, lost: Callable[[], None]) -> None:
        super().__init__(reactor)
        os.set_blocking(fd, False)
        self._fd = fd
        self._lost = lost
        self.pending = 0

    def fileno(self) -> int:
        return self._fd

    def write(self, data: bytes) -> None:
        """Take ``data``; after the reader is gone it is dropped."""
        if self.connected:
            self.pending += len(data)
            super().write(data)

    def writeSomeData(self, data: bytes) -> int | Exception:
        try:
            written = os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError:
            return CONNECTION_LOST
        self.pending -= written
        return written

    def close(self) -> None:
        """Drop what is pending and close; ``lost`` is called.  :meth:`loseConnection` writes it first."""
        if self.connected:
            self.connectionLost(Failure(ConnectionLost()))

    def connectionLost(self, reason: Failure) -> None:
        # A program that closes its stdin need not be through with its stdout: the producer is
        # not told to stop, as the base class would; ``lost`` decides.
        self.producer = None
        super().connectionLost(reason)
        fd, self._fd = self._fd, -1
        os.close(fd)
        self.pending = 0
        self._lost()
