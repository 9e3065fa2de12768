"""Message content on its way in and out: in memory up to 64 KiB, in files above."""

import errno
import os
import secrets
from collections.abc import Callable
from typing import TypeVar
from zlib import crc32

from twisted.logger import Logger
from zope.interface import implementer

from jobctl.errors import StoreError
from jobctl.interfaces import IContent, IStagedContent
from jobctl.store.disk import Disk
from jobctl.store.health import NO_ROOM, Health, from_os
from jobctl.store.records import INLINE

log = Logger()
T = TypeVar("T")


@implementer(IStagedContent)
class StagedContent:
    """Content being written (IStagedContent): a file under ``staging/`` once it is large."""

    def __init__(self, files: "ContentFiles") -> None:
        self.size = self.lines = 0
        self.crc = 0
        self.name = ""
        self.file = -1
        self._files = files
        self._pieces: list[bytes] | None = []

    def write(self, data: bytes) -> None:
        """
        Add octets.

        :raises StoreFull: No room; the staged content is gone.
        :raises StoreError: The disk failed, or it was discarded; the staged content is gone.
        """
        if self._pieces is None and self.file < 0:
            raise StoreError("the content was discarded or enqueued before")
        self.size += len(data)
        self.lines += data.count(b"\n")
        self.crc = crc32(data, self.crc)
        if self._pieces is not None:
            self._pieces.append(data)
            if self.size <= INLINE:
                return
            data = b"".join(self._pieces)
            self._pieces = None
        try:
            if self.file < 0:
                self.name, self.file = self._files.create()
            self._files.disk.write(self.file, data)
        except OSError as why:
            self.discard()
            raise from_os(why) from why

    def whole(self) -> bytes | None:
        """The content while it is small, ``None`` when it lies in a file; it can be taken once."""
        if self._pieces is None:
            return None
        whole = b"".join(self._pieces)
        self._pieces = None
        return whole

    @property
    def usable(self) -> bool:
        """It was neither discarded nor enqueued."""
        return self._pieces is not None or self.file >= 0

    def discard(self) -> None:
        """Forget it; harmless after a discard or after it was enqueued."""
        self._pieces = None
        if self.file >= 0:
            file, self.file = self.file, -1
            self._files.disk.close(file)
            self._files.forget(self.name)


class ContentFiles:
    """
    The files of large content, by name.

    A file has its name in ``staging/`` from its creation until a row that names it is
    committed, and its final name in ``content/xx/`` from when it is synced: so a crash leaves
    nothing behind that a look into ``staging/`` does not find, however large the queue is.
    A link and a later unlink do this, where a rename would lose track of it in between.

    :param free_space: Octets that must stay free on the disk for a new file to be begun.
    """

    def __init__(self, directory: str, free_space: int, disk: Disk, health: Health) -> None:
        self.disk = disk
        self.free_space = free_space
        self._directory = directory
        self._staging = os.path.join(directory, "staging")
        self._content = os.path.join(directory, "content")
        self._health = health
        # Directories below content/ that are known to survive a loss of power.
        self._durable: set[str] = set()

    def prepare(self) -> None:
        """Make the directories, durable."""
        for path in (self._staging, self._content):
            self.disk.make_directory(path)
        self.disk.sync_directory(self._directory)

    def left_over(self) -> list[str]:
        """Names that were on their way in when the last run ended."""
        return os.listdir(self._staging)

    def create(self) -> tuple[str, int]:
        """A new file: its name and descriptor. :raises OSError: It cannot be, or there is too little room."""
        if self.disk.free(self._staging)[0] < self.free_space:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        name = secrets.token_hex(12)
        return name, self.disk.create(os.path.join(self._staging, name))

    def keep(self, content: "bytes | StagedContent") -> tuple[str, int]:
        """
        Make content durable under its final name.

        :return: Name and checksum.
        :raises StoreError: It could not be; nothing is left of it.
        """
        if isinstance(content, bytes):
            staged = StagedContent(self)
            staged.write(content)
        else:
            staged = content
        if self._health.refusing:
            staged.discard()
            raise StoreError(self._health.refusing)
        try:
            self._sync("a content file", self.disk.sync, staged.file)
            final = self.path(staged.name)
            parent = os.path.dirname(final)
            if parent not in self._durable:
                # Also when it is there: a life before this, or another thread, may not have come to sync it.
                self.disk.make_directory(parent)
                self._sync("the content directory", self.disk.sync_directory, self._content)
                self._durable.add(parent)
            self.disk.link(os.path.join(self._staging, staged.name), final)
            self._sync("a content directory", self.disk.sync_directory, parent)
        except OSError as why:
            staged.discard()
            raise from_os(why) from why
        file, staged.file = staged.file, -1
        self.disk.close(file)
        return staged.name, staged.crc

    def _sync(self, what: str, sync: Callable[[T], None], target: T) -> None:
        try:
            sync(target)
        except OSError as why:
            # A full disk can show itself only here; the data never got out, which is no sign of a bad disk.
            if why.errno not in NO_ROOM:
                self._health.refuse(f"a sync of {what} failed ({why.strerror})")
            raise

    def committed(self, name: str) -> None:
        """A row names it: the note that it is on its way goes."""
        self._remove(os.path.join(self._staging, name))

    def forget(self, name: str) -> bool:
        """No row names it: it goes.  ``False``: it could not be removed."""
        return self._remove(self.path(name)) and self._remove(os.path.join(self._staging, name))

    def _remove(self, path: str) -> bool:
        try:
            self.disk.remove(path)
        except OSError as why:
            # It takes up room, no more; the next start looks at staging/ and at the garbage table again.
            log.warn("store: cannot remove {path}: {why}", path=path, why=why.strerror)
            return False
        return True

    def path(self, name: str) -> str:
        """Where it finally lies."""
        return os.path.join(self._content, name[:2], name)


@implementer(IContent)
class InlineContent:
    """Content that was read whole (IContent)."""

    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        self._content = content
        self._at = 0

    def read(self, count: int) -> bytes:
        """Up to ``count`` further octets."""
        if self._at == 0 and count >= self.size:
            self._at = self.size
            return self._content
        piece = self._content[self._at : self._at + count]
        self._at += len(piece)
        return piece

    def close(self) -> None:
        """Give the memory back."""
        self._content = b""
        self._at = self.size


@implementer(IContent)
class FileContent:
    """
    Content read from its file (IContent).

    What is read is checked before its last octets are given out, so that nobody has a
    damaged message whole.

    :param damaged: Called once with the reason when the file is not as written.
    """

    def __init__(self, path: str, size: int, crc: int, damaged: Callable[[str], None]) -> None:
        self.size = size
        self._left = size
        self._crc = crc
        self._sum = 0
        self._damaged = damaged
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self, count: int) -> bytes:
        """
        Up to ``count`` further octets.

        :raises StoreError: It is shorter or other than what was stored.
        """
        if self._left == 0:
            return b""
        if self._file < 0:
            raise StoreError("the content was closed")
        try:
            piece = os.read(self._file, min(count, self._left))
        except OSError as why:
            raise from_os(why) from why
        self._left -= len(piece)
        self._sum = crc32(piece, self._sum)
        if not piece or (self._left == 0 and self._sum != self._crc):
            harm = "shorter than it was" if not piece else "not what was stored (checksum)"
            self.close()
            self._damaged(f"the content file is {harm}")
            raise StoreError(f"the content is {harm}")
        return piece

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


__all__ = ["ContentFiles", "FileContent", "InlineContent", "StagedContent"]
