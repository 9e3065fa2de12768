"""
A disk that can lose its power: what was not synced may be there after it, in part, or not at all.

Real files in a real directory, and SQLite on them.  Beside them it is kept what the disk must
have: the octets of each file when it was last synced, the names of each directory when that
was.  Of SQLite's own files it is what they are after each statement, because SQLite syncs its
log before a statement in autocommit mode returns (``synchronous=FULL``).
"""

import os
import random
import sqlite3
from collections.abc import Callable
from threading import RLock
from typing import Any, TypeVar

from jobctl.store.disk import Disk

T = TypeVar("T")
# Its files are taken as SQLite promises them, and what it makes of them anew is left out.
DATABASE = ("queue.db", "queue.db-wal")
IGNORED = ("queue.db-shm", "lock", "reserve")


class NoPower(OSError):
    """Nothing more is read or written."""


class PowerDisk(Disk):
    """
    :param directory: The queue's; what is there now is on the disk for sure.
    :param cut: Before which call the power goes, ``None``: when :meth:`lose_power` says so.
    :ivar calls: How many calls there were that change something.
    """

    def __init__(self, directory: str, cut: int | None = None) -> None:
        self.calls = 0
        self.dead = False
        self._directory = directory
        self._cut = cut
        self._lock = RLock()
        # By inode; by directory, name to inode (0: a directory); the octets of SQLite's files.
        self._synced: dict[int, bytes] = {}
        self._names: dict[str, dict[str, int]] = {}
        self._database: dict[str, bytes] = {}
        self._left: tuple[dict[str, dict[str, int]], dict[int, bytes]]
        for path, _, files in os.walk(directory):
            self._names[path] = _listing(path)
            for name in files:
                if name not in (*DATABASE, *IGNORED):
                    self._synced[os.stat(os.path.join(path, name)).st_ino] = _octets(os.path.join(path, name))
        self._snapshot()

    def connect(self, path: str) -> Any:
        return _Connection(super().connect(path), self)

    def create(self, path: str) -> int:
        return self.change(lambda: super(PowerDisk, self).create(path))

    def write(self, file: int, data: bytes) -> None:
        self.change(lambda: super(PowerDisk, self).write(file, data))

    def sync(self, file: int) -> None:
        self.change(lambda: self._sync(file))

    def link(self, old: str, new: str) -> None:
        self.change(lambda: super(PowerDisk, self).link(old, new))

    def make_directory(self, path: str) -> None:
        self.change(lambda: super(PowerDisk, self).make_directory(path))

    def sync_directory(self, path: str) -> None:
        def sync() -> None:
            self._names[path] = _listing(path)

        self.change(sync)

    def remove(self, path: str) -> None:
        self.change(lambda: super(PowerDisk, self).remove(path))

    def allocate(self, path: str, octets: int) -> None:
        """No reserve, to be quick: a full disk is not what is tried here."""
        with open(path, "wb") as file:
            file.truncate(octets)

    def change(self, call: Callable[[], T]) -> T:
        """Do it, unless there is no power."""
        with self._lock:
            if not self.dead:
                self.calls += 1
                if self.calls == self._cut:
                    self.lose_power()
            if self.dead:
                raise NoPower(5, "no power")
            return call()

    def statement(self, call: Callable[[], T]) -> T:
        """As :meth:`change`, for a statement of SQL."""
        with self._lock:
            done = self.change(call)
            self._snapshot()
            return done

    def lose_power(self) -> None:
        """From now on nothing is done."""
        with self._lock:
            names: dict[str, dict[str, int]] = {}
            octets: dict[int, bytes] = {}
            for path, _, files in os.walk(self._directory):
                names[path] = _listing(path)
                for name in files:
                    if name not in (*DATABASE, *IGNORED):
                        octets[names[path][name]] = _octets(os.path.join(path, name))
            self._left = names, octets
            self.dead = True

    def image(self, path: str, chance: random.Random) -> None:
        """Make, as ``path``, what somebody finds on the disk when there is power again."""
        made: dict[int, str] = {}
        self._directory_image(self._directory, path, made, chance)
        for name, octets in self._database.items():
            with open(os.path.join(path, name), "wb") as file:
                file.write(octets)

    def _directory_image(self, old: str, new: str, made: dict[int, str], chance: random.Random) -> None:
        os.mkdir(new)
        names, _ = self._left
        durable, current = self._names.get(old, {}), names.get(old, {})
        for name in sorted(durable.keys() | current.keys()):
            if name in (*DATABASE, *IGNORED):
                continue
            choices = [which.get(name) for which in (durable, current)]
            inode = chance.choice(choices)
            if inode is None:
                continue
            at = os.path.join(new, name)
            if inode == 0:
                self._directory_image(os.path.join(old, name), at, made, chance)
            elif inode in made:
                os.link(made[inode], at)
            else:
                made[inode] = at
                with open(at, "wb") as file:
                    file.write(self._contents(inode, chance))

    def _contents(self, inode: int, chance: random.Random) -> bytes:
        if inode in self._synced:
            return self._synced[inode]
        written = self._left[1].get(inode, b"")
        kept = written[: chance.randint(0, len(written))]
        return chance.choice([b"", kept, kept + bytes(len(written) - len(kept)), written])

    def _sync(self, file: int) -> None:
        self._synced[os.fstat(file).st_ino] = os.pread(file, 1 << 30, 0)

    def _snapshot(self) -> None:
        for name in DATABASE:
            path = os.path.join(self._directory, name)
            if os.path.exists(path):
                self._database[name] = _octets(path)
            else:
                self._database.pop(name, None)


class _Connection:
    """A connection whose statements that change something need power."""

    def __init__(self, connection: sqlite3.Connection, disk: PowerDisk) -> None:
        self._connection = connection
        self._disk = disk

    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        if sql.lstrip()[:6].upper() == "SELECT":
            return self._connection.execute(sql, *given)
        return self._run(lambda: self._connection.execute(sql, *given))

    def executemany(self, sql: str, *given: Any) -> sqlite3.Cursor:
        return self._run(lambda: self._connection.executemany(sql, *given))

    def executescript(self, sql: str) -> sqlite3.Cursor:
        return self._run(lambda: self._connection.executescript(sql))

    def _run(self, call: Callable[[], T]) -> T:
        try:
            return self._disk.statement(call)
        except NoPower:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
            raise error from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _listing(path: str) -> dict[str, int]:
    return {entry.name: 0 if entry.is_dir() else entry.inode() for entry in os.scandir(path)}


def _octets(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()
