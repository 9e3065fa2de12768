"""What lists, searches and counts of the queue ask, in the thread for lists: this part of the store on SQLite."""

import sqlite3
from collections.abc import Callable, Collection, Iterable
from typing import Any

from twisted.internet.defer import Deferred

from jobctl.mail.entry import Attempt, StoredEntry
from jobctl.mail.envelope import Priority
from jobctl.store import reading
from jobctl.store.content import ContentFiles
from jobctl.store.operations import Operation, SetAside
from jobctl.store.readers import seen
from jobctl.store.scanning import Look, Scanned, scan


class Listing:
    """A part of :class:`jobctl.store.sqlite.SQLiteStore`, which has the threads."""

    _submit: Callable[[Operation], "Deferred[Any]"]
    _ask: Callable[[Any, Callable[[sqlite3.Connection], Any]], "Deferred[Any]"]
    _find: Callable[[Any, Callable[[sqlite3.Connection], Any]], "Deferred[Any]"]
    _clock: Callable[[], float]
    _lists: Any
    _files: ContentFiles

    def directory(
        self,
        channel: str | None = None,
        held: bool | None = None,
        limit: int | None = None,
        after: str | None = None,
        hosts: Collection[str] | None = None,
    ) -> "Deferred[list[StoredEntry]]":
        """Entries in order of arrival."""
        return self._find(
            self._lists, lambda connection: reading.directory(connection, channel, held, limit, after, hosts)
        )

    def scan(
        self, look: Look, channel: str | None, held: bool | None, limit: int, after: str | None
    ) -> "Deferred[Scanned]":
        """Look at a page of entries with the beginning of their content, in the lists' thread."""

        def found(result: tuple[Scanned, list[reading.Damaged]]) -> Scanned:
            scanned, damaged = result
            if damaged:
                self._submit(SetAside(damaged)).addErrback(seen)
            return scanned

        return self._ask(
            self._lists,
            lambda connection: scan(connection, self._files, look, channel, held, limit, after),
        ).addCallback(found)

    def summarize(self) -> "Deferred[dict[str, tuple[int, int, int, int, float | None]]]":
        """Channel to (queued, of them due in the future, held, octets, oldest)."""
        now = self._clock()
        return self._ask(self._lists, lambda connection: reading.summarize(connection, now))

    def overdue(self, hosts: Iterable[tuple[str, str]]) -> "Deferred[list[int]]":
        """How much of these channels and hosts is due."""
        now, pairs = self._clock(), list(hosts)
        return self._ask(self._lists, lambda connection: reading.overdue(connection, pairs, now))

    def count_arrived(self, channel: str, priority: Priority, after: float, until: float) -> "Deferred[int]":
        """Queued entries that arrived between the two times."""
        return self._ask(
            self._lists,
            lambda connection: reading.count_arrived(connection, channel, int(priority), after, until),
        )

    def history(self, id: str) -> "Deferred[list[Attempt]]":
        """What was tried with an entry, oldest first."""
        return self._ask(self._lists, lambda connection: reading.history(connection, id))
