"""
Maildirs: names that tell a second delivery, copies that are whole or not there.

A copy is written in ``tmp``, synchronised, linked into ``new``, and counts as
delivered once ``new`` itself is synchronised.  Its name holds the queue entry's
id and arrival, so a delivery whose report was lost is recognised in ``new``
or ``cur`` and not repeated.
"""

import contextlib
import errno
import os
import time
from collections import OrderedDict

from jobctl.jobprotocol.frames import Message
from jobctl.mail.maildir_path import maildir_path

_KEPT = 256
# A directory's time stamp is this coarse: a listing younger than its change by less proves nothing.
_COARSE = 50_000_000
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS)


class Maildir:
    """One mailbox, made when it is missing."""

    def __init__(self, path: str) -> None:
        """:raises OSError: It cannot be made."""
        self.path = path
        self.tmp, self.new, self.cur = (os.path.join(path, part) for part in ("tmp", "new", "cur"))
        self._read: set[str] = set()
        self._listed = -1
        for part in (self.tmp, self.new, self.cur):
            if not os.path.isdir(part):
                _make(part)

    def was_read(self, name: str) -> bool:
        """Whether a reader has moved a copy of this name to ``cur``."""
        changed = os.stat(self.cur).st_mtime_ns
        if changed >= self._listed - _COARSE:
            self._listed = time.time_ns()
            self._read = {entry.partition(":")[0] for entry in os.listdir(self.cur)}
        return name in self._read

    def publish(self, written: str, name: str) -> None:
        """Show a written file of ``tmp`` to readers; one of this name that is there already stays."""
        target = os.path.join(self.new, name)
        try:
            os.link(written, target)
        except FileExistsError:
            pass
        except OSError as why:
            if why.errno not in _NO_LINKS:
                raise
            os.rename(written, target)
            return
        os.unlink(written)

    def withdraw(self, name: str) -> None:
        """Take back what was published and may not last."""
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self.new, name))


class Maildirs:
    """
    The mailboxes of a channel.

    :param pattern: ``maildir`` of the channel: a path, in which ``{local}`` and ``{domain}`` stand
        for the recipient's.
    """

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._kept: OrderedDict[str, Maildir] = OrderedDict()

    def path_of(self, address: str) -> str:
        """Where mail for an address goes; no address leads out of the pattern's directories."""
        return maildir_path(self._pattern, address)

    def get(self, path: str) -> Maildir:
        """:raises OSError: It is not there and cannot be made."""
        found = self._kept.get(path)
        if found is None or not os.path.isdir(found.new):
            found = self._kept[path] = Maildir(path)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(path)
        return found


class Copy:
    """
    One message for one mailbox.

    :ivar addresses: The recipients whose mailbox it is.
    :ivar done: It was delivered by an earlier attempt whose report was lost.
    """

    def __init__(self, maildir: Maildir, addresses: list[str], message: Message, host: str) -> None:
        """:raises OSError: No file can be made."""
        self.maildir = maildir
        self.addresses = addresses
        seconds = int(message.arrived)
        micros = int((message.arrived - seconds) * 1_000_000)
        # Attempts of one entry share the name; another queue's entry of the same id does not.
        self.name = f"{seconds}.M{micros}Q{message.id}.{_host(host)}"
        self.done = maildir.was_read(self.name)
        self._written = os.path.join(maildir.tmp, f"{self.name}.P{os.getpid()}")
        self._fd = -1
        self._cr = b""
        if not self.done:
            self._open()
            assert message.envelope is not None
            try:
                self._put(_fields(message.envelope.sender, addresses))
            except OSError:
                self.abandon()
                raise

    def _open(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._written)
        self._fd = os.open(self._written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> None:
        """
        The next octets of content; CRLF becomes LF, as files here have it.

        :raises OSError: They cannot be written.
        """
        if self.done:
            return
        data = self._cr + data
        self._cr = b""
        if data.endswith(b"\r"):
            data, self._cr = data[:-1], b"\r"
        self._put(data.replace(b"\r\n", b"\n"))

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def sync(self) -> None:
        """
        Bring it to the disk; it is complete.

        :raises OSError: It may not be there; the file is of no more use.
        """
        if self._fd < 0:
            return
        if self._cr:
            self._put(self._cr)
        os.fsync(self._fd)
        fd, self._fd = self._fd, -1
        os.close(fd)

    def publish(self) -> None:
        """:raises OSError: It cannot be shown to readers."""
        if not self.done:
            self.maildir.publish(self._written, self.name)

    def abandon(self) -> None:
        """Leave nothing behind."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
        with contextlib.suppress(OSError):
            os.unlink(self._written)


def sync_directory(path: str) -> None:
    """:raises OSError: What was linked there may not last."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _make(path: str) -> None:
    """A directory and those above it, each on the disk in the one above it."""
    above = os.path.dirname(path)
    if not os.path.isdir(above):
        _make(above)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)
    sync_directory(above)


def _host(host: str) -> str:
    """As names in a Maildir have it."""
    return host.replace("/", "\\057").replace(":", "\\072")


def _fields(sender: str, addresses: list[str]) -> bytes:
    lines = [f"Return-Path: <{sender}>", *(f"Delivered-To: {address}" for address in addresses)]
    return "".join(_one_line(line) + "\n" for line in lines).encode("utf-8", "replace")


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)
