"""What went wrong with the disk so far, and what that means for changes."""

import errno
import sqlite3

from twisted.logger import Logger

from jobctl.errors import StoreError, StoreFull

log = Logger()

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
_SYNC = (sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Health:
    """
    Latches: what failed to sync once is not trusted again until the store is opened anew.

    :ivar refusing: Why no message is accepted any more, ``""`` when they are.  What is
        there can still be settled.
    :ivar broken: Why nothing can be changed any more, ``""`` when it can.
    """

    def __init__(self) -> None:
        self.refusing = ""
        self.broken = ""

    def refuse(self, why: str) -> None:
        """A content file or the database file would not sync: take in no more mail."""
        if not self.refusing:
            self.refusing = f"the store accepts nothing until it is opened again: {why}"
            log.critical("store: {why}", why=self.refusing)

    def fail(self, why: str) -> None:
        """The log of changes itself is in doubt: change nothing more."""
        self.refuse(why)
        if not self.broken:
            self.broken = f"the store changes nothing until it is opened again: {why}"
            log.critical("store: {why}", why=self.broken)

    def from_sqlite(self, error: sqlite3.Error) -> StoreError | None:
        """
        What a failed statement means, latching where it must.

        :return: ``None`` when it is neither full, disk nor damage: one member of the batch is to blame.
        """
        code = getattr(error, "sqlite_errorcode", 0)
        if code in FULL:
            return StoreFull("no room on the queue's disk")
        if code in _SYNC:
            self.fail(f"a sync of the database failed ({error})")
            return StoreError(self.broken)
        if code & 0xFF in _DAMAGED:
            self.fail(damage_advice(str(error)))
            return StoreError(self.broken)
        if code & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            return StoreError(f"the queue's disk failed: {error}")
        return None


def damage_advice(what: str) -> str:
    """What an operator is told about a database that cannot be read."""
    return (
        f"the queue's database is damaged ({what}); stop the daemon, copy the whole queue directory aside, "
        "then rebuild queue.db with 'sqlite3 queue.db .recover' or restore it from a backup"
    )


def from_os(error: OSError) -> StoreError:
    """The store's error for an operating system's."""
    if error.errno in NO_ROOM:
        return StoreFull("no room on the queue's disk")
    return StoreError(f"the queue's disk failed: {error.strerror or error}")


def read_error(error: sqlite3.Error) -> StoreError:
    """The store's error for a query that failed."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
        return StoreError(damage_advice(str(error)))
    return StoreError(f"the queue cannot be read: {error}")
