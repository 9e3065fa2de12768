"""One process for one queue: a lock that is held for life (pitfall: two controllers on one spool)."""

import fcntl
import os

from jobctl.errors import StoreBusy, StoreError


class QueueLock:
    """
    An exclusive ``flock`` on a file in the queue directory; the system lets go of it when we die.

    :param path: The lock file; it is made, and never removed (removing it would let two in).
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = -1

    def take(self) -> None:
        """
        :raises StoreBusy: Another process has it; the text tells its number.
        :raises StoreError: The lock file cannot be made.
        """
        while True:
            try:
                file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except OSError as why:
                raise StoreError(f"cannot make the lock file {self._path}: {why.strerror}") from why
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as why:
                owner = os.pread(file, 20, 0).decode("ascii", "replace").strip() or "unknown"
                os.close(file)
                raise StoreBusy(f"the queue of {self._path} is in use by process {owner}") from why
            self._file = file
            # Whoever replaced the file between open and flock has another lock under the same name.
            if self.held():
                break
            os.close(file)
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)

    def held(self) -> bool:
        """Whether the name still leads to the file we locked: nobody replaced the directory or the file."""
        try:
            there = os.stat(self._path)
        except OSError:
            return False
        ours = os.fstat(self._file)
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def release(self) -> None:
        """Let go; may be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
