"""The queue while no daemon runs: what ``qm`` does then, blocking and without a reactor."""

import os
import sqlite3
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeVar

from jobctl.accounts.history import Search
from jobctl.errors import StoreError
from jobctl.mail.acts import Act
from jobctl.mail.entry import Attempt, Finished, StoredEntry
from jobctl.mail.remains import Remains
from jobctl.store import reading, reading_acts
from jobctl.store.changes import Changes
from jobctl.store.content import ContentFiles
from jobctl.store.disk import Disk
from jobctl.store.finished import finished
from jobctl.store.health import Health, read_error
from jobctl.store.lock import QueueLock
from jobctl.store.mending import remains
from jobctl.store.records import encode, microseconds, name
from jobctl.store.recovery import open_database
from jobctl.store.scanning import Look, Scanned, beginning, scan

T = TypeVar("T")


class OfflineQueue:
    """
    Owns the queue like the daemon does, for the length of a ``with`` statement.

    Damaged entries are left out of lists and not set aside; the daemon does that.

    :param clock: Epoch seconds.
    """

    def __init__(self, directory: str, clock: Callable[[], float], disk: Disk | None = None) -> None:
        self._path = os.path.join(directory, "queue.db")
        self._lock = QueueLock(os.path.join(directory, "lock"))
        self._clock = clock
        self._disk = disk or Disk()
        self._files = ContentFiles(directory, 0, self._disk, Health())

    def __enter__(self) -> Self:
        """
        :raises StoreBusy: The daemon, or another command, has the queue; the text says which process.
        :raises StoreError: There is no queue, or it cannot be read.
        """
        # Making one here could give it to the wrong user.
        if not os.path.exists(self._path):
            raise StoreError(
                f"there is no queue at {self._path}: the daemon has never run with this configuration"
            )
        self._lock.take()
        try:
            self._connection = open_database(self._path, self._disk)
        except BaseException:
            self._lock.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._lock.release()

    def summarize(self) -> dict[str, tuple[int, int, int, int, float | None]]:
        """As :meth:`IMessageStore.summarize`, and so are the others."""
        return self._ask(lambda connection: reading.summarize(connection, self._clock()))

    def directory(
        self,
        channel: str | None = None,
        held: bool | None = None,
        limit: int | None = None,
        after: str | None = None,
    ) -> list[StoredEntry]:
        found, _ = self._ask(lambda connection: reading.directory(connection, channel, held, limit, after))
        return found

    def overdue(self, hosts: list[tuple[str, str]]) -> list[int]:
        return self._ask(lambda connection: reading.overdue(connection, hosts, self._clock()))

    def host_backoffs(self) -> list[tuple[str, str, int, float, str]]:
        return self._ask(reading.host_backoffs)

    def scan(
        self, look: Look, channel: str | None, held: bool | None, limit: int, after: str | None
    ) -> Scanned:
        def query(connection: sqlite3.Connection) -> Scanned:
            return scan(connection, self._files, look, channel, held, limit, after)[0]

        return self._ask(query)

    def inspect(self, id: str) -> reading.Inspected | None:
        found, _ = self._ask(lambda connection: reading.inspect(connection, id))
        return found[0] if found else None

    def content(self, id: str) -> bytes:
        """Of one entry, as far as it can be read; ``b""``: it is gone."""

        def query(connection: sqlite3.Connection) -> bytes:
            found, _ = reading.fetch(connection, [id])
            return beginning(connection, self._files, found[0].message, found[0].entry.size) if found else b""

        return self._ask(query)

    def history(self, id: str) -> list[Attempt]:
        return self._ask(lambda connection: reading.history(connection, id))

    def ledger(self) -> dict[str, dict[str, int]]:
        return self._ask(reading.ledger)

    def finished(self, search: Search, after: int, limit: int) -> tuple[list[Finished], int]:
        return self._ask(lambda connection: finished(connection, search, after, limit))

    def damaged(self) -> list[tuple[str, float, str]]:
        return self._ask(reading.damaged)

    def remains(self, id: str) -> Remains | None:
        return self._ask(lambda connection: remains(connection, self._files, id))

    def stopped(self) -> dict[str, tuple[str, float]]:
        return self._ask(reading.stopped)

    def remembered(self, topic: str) -> dict[str, str]:
        return self._ask(lambda connection: reading.remembered(connection, topic))

    def acts(self, before: int | None = None, limit: int = 100) -> list[Act]:
        return self._ask(lambda connection: reading_acts.acts(connection, before, limit))

    def note(self, who: str, uid: int, what: str, subject: str, text: str) -> None:
        """
        Put on record what is done next.

        :raises StoreError: It cannot be recorded.
        """
        newest = self.acts(limit=1)
        now = self._clock()
        act = Act(newest[0].number + 1 if newest else 1, now, who, what, subject, text, uid=uid, ended=now)
        changes = Changes()
        changes.act(act.number, microseconds(now), encode(act).decode(), 0)
        self._apply(changes)

    def set_stopped(self, channel: str, stopped: bool, author: str) -> None:
        """:raises StoreError: It could not be made durable; nothing changed."""
        changes = Changes()
        record = encode((name(channel), name(author), microseconds(self._clock())))
        changes.stop(channel, record if stopped else None)
        self._apply(changes)

    def _apply(self, changes: Changes) -> None:
        try:
            changes.apply(self._connection)
        except sqlite3.Error as why:
            raise Health().from_sqlite(why) or StoreError(f"it cannot be stored: {why}") from why

    def _ask(self, query: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return query(self._connection)
        except sqlite3.Error as why:
            raise read_error(why) from why
