"""What the store asks of the operating system, in one place, so that tests can make each call fail."""

import os
import sqlite3
from contextlib import suppress


class Disk:
    """Files by path; every method may raise :class:`OSError`."""

    def connect(self, path: str) -> sqlite3.Connection:
        """A connection in autocommit mode that one thread at a time may use; text comes as octets."""
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        connection.text_factory = bytes
        return connection

    def create(self, path: str) -> int:
        """A new file to write and read; its descriptor."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, file: int, data: bytes) -> None:
        """All of ``data``, at the end."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(file, rest) :]

    def sync(self, file: int) -> None:
        """Wait until the disk has it; never called again for a file where it failed once."""
        os.fsync(file)

    def close(self, file: int) -> None:
        os.close(file)

    def link(self, old: str, new: str) -> None:
        os.link(old, new)

    def make_directory(self, path: str) -> None:
        """For our user alone; it may be there already.  Durable once the directory it is in is synced."""
        os.makedirs(path, mode=0o700, exist_ok=True)

    def make_whole_path(self, path: str) -> None:
        """A durable directory, and those above it that are missing."""
        above = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(above):
            self.make_whole_path(above)
        self.make_directory(path)
        # Also when it was there: whoever made it may have had no time for this.  Where we may not look we
        # cannot sync either, and somebody else has made it for us, long ago.
        with suppress(PermissionError):
            self.sync_directory(above)

    def sync_directory(self, path: str) -> None:
        """Make the names in a directory durable."""
        file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self.sync(file)
        finally:
            os.close(file)

    def remove(self, path: str) -> None:
        """Take a name away; it may be gone already."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return

    def free(self, path: str) -> tuple[int, int]:
        """Octets and files (inodes; huge where the file system has no limit) free for us."""
        about = os.statvfs(path)
        files = about.f_favail if about.f_files else 1 << 62
        return about.f_bavail * about.f_frsize, files

    def allocate(self, path: str, octets: int) -> None:
        """A file that really takes up that room."""
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, octets)
        finally:
            os.close(file)
