"""A file that lines are appended to; whatever happens to it, mail goes on."""

import os
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

log = Logger()

# Seconds between looks whether the file is still where it was.
LOOK = 1.0
# Seconds without a failure after which it is written again.
CALM = 60.0
# Octets that may wait for one turn's end; more are written at once.
MOST = 1024 * 1024
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class LogFile:
    """
    One write for all lines of a turn of the reactor, and no sync: what the system has is good enough.

    A line is whole in the file or not there at all.  What cannot be written, because the disk is
    full or the directory is gone, is counted, told once, and lost.  A file that was renamed or
    removed is opened anew within a second.

    :ivar lost: Lines that could not be written.
    :param reactor: Its ``callLater`` is used.
    :param monotonic: Seconds that no step of the clock disturbs.
    """

    def __init__(
        self, path: str, reactor: Any, mode: int = 0o640, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = path
        self.lost = 0
        self._reactor = reactor
        self._mode = mode
        self._monotonic = monotonic
        self._lines: list[str] = []
        self._size = 0
        self._later: IDelayedCall | None = None
        self._descriptor = -1
        self._looked = 0.0
        self._failing = 0
        self._failed = 0.0

    def append(self, line: str) -> None:
        """Have a line written at the end of this turn; it has no line end."""
        self._lines.append(line)
        self._size += len(line)
        if self._later is None:
            self._later = self._reactor.callLater(0, self._turn_over)
        elif self._size > MOST:
            self.flush()

    def _turn_over(self) -> None:
        self._later = None
        self.flush()

    def flush(self) -> None:
        """Write what waits."""
        lines, self._lines, self._size = self._lines, [], 0
        if not lines:
            return
        lines.append("")
        data = "\n".join(lines).encode("utf-8", "backslashreplace")
        try:
            self._write(data)
        except OSError as why:
            self._cannot(why, len(lines) - 1)
        else:
            # A disk that is nearly full takes a line now and then: that is no end of the trouble.
            if self._failing and self._monotonic() - self._failed >= CALM:
                log.info(
                    "{path} is written again; {count} lines are lost", path=self.path, count=self._failing
                )
                self._failing = 0

    def _write(self, data: bytes) -> None:
        self._look()
        if self._descriptor < 0:
            self._descriptor = os.open(self.path, _FLAGS, self._mode)
        before = os.lseek(self._descriptor, 0, os.SEEK_END) if _seekable(self._descriptor) else -1
        done = 0
        try:
            while done < len(data):
                done += os.write(self._descriptor, data[done:])
        except OSError:
            if before >= 0:
                # Half a line would spoil the next one, too.
                os.ftruncate(self._descriptor, before)
            raise

    def _look(self) -> None:
        """Others may rename or remove the file at any time: then the next lines go into a new one."""
        now = self._monotonic()
        if self._descriptor < 0 or now - self._looked < LOOK:
            return
        self._looked = now
        try:
            there = os.stat(self.path)
        except OSError:
            self.close()
            return
        mine = os.fstat(self._descriptor)
        if (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino):
            self.close()

    def _cannot(self, why: OSError, count: int) -> None:
        self.lost += count
        self._failed = self._monotonic()
        if not self._failing:
            log.error(
                "{path} cannot be written, its lines are lost until it can: {why}",
                path=self.path,
                why=why.strerror or str(why),
            )
        self._failing += count
        self.close()

    def close(self) -> None:
        """Let go of the file; the next line opens it anew."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            try:
                os.close(descriptor)
            except OSError as why:
                log.error("{path}: {why}", path=self.path, why=why.strerror or str(why))

    def end(self) -> None:
        """Write what waits, and let go."""
        if self._later is not None and self._later.active():
            self._later.cancel()
        self._later = None
        self.flush()
        self.close()


def _seekable(descriptor: int) -> bool:
    try:
        os.lseek(descriptor, 0, os.SEEK_CUR)
    except OSError:
        return False
    return True
