"""What operators did, and what of it can be undone: this part of the store on SQLite."""

import sqlite3
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from jobctl.mail.acts import Act
from jobctl.mail.entry import StoredEntry, Undo
from jobctl.store import reading_acts as reading
from jobctl.store.operations import Operation, WriteAct
from jobctl.store.space import Space


class OperatorRecords:
    """A part of :class:`jobctl.store.sqlite.SQLiteStore`, which has the threads."""

    _submit: Callable[[Operation], "Deferred[Any]"]
    _ask: Callable[[Any, Callable[[sqlite3.Connection], Any]], "Deferred[Any]"]
    _find: Callable[[Any, Callable[[sqlite3.Connection], Any]], "Deferred[Any]"]
    _lists: Any
    _space: Space

    @property
    def short_of_room(self) -> bool:
        """Mail was refused for want of room when the last change was made."""
        return self._space.short

    def newest(self) -> "Deferred[str | None]":
        """The id of the entry that came last."""
        return self._ask(self._lists, reading.newest)

    def write_act(self, act: Act, oldest: float = 0.0) -> "Deferred[None]":
        """Keep what an operator did; acts from before ``oldest`` are forgotten."""
        return self._submit(WriteAct(act, oldest))

    def acts(self, before: int | None = None, limit: int = 100) -> "Deferred[list[Act]]":
        """What operators did, the newest first."""
        return self._ask(self._lists, lambda connection: reading.acts(connection, before, limit))

    def undoable(
        self, operation: int, after: str | None = None, limit: int = 100
    ) -> "Deferred[list[tuple[StoredEntry, Undo]]]":
        """Entries that an operation changed and that can be changed back, in order of arrival."""
        return self._find(
            self._lists, lambda connection: reading.undoable(connection, operation, after, limit)
        )

    def lapsed(self, now: float, limit: int = 100) -> "Deferred[list[tuple[str, StoredEntry | None, Undo]]]":
        """What can be undone no longer, the earliest first."""
        return self._find(self._lists, lambda connection: reading.lapsed(connection, now, limit))

    def in_grace(self, id: str) -> "Deferred[Undo | None]":
        """How an entry that was deleted or returned can be taken back."""
        return self._ask(self._lists, lambda connection: reading.in_grace(connection, id))

    def next_lapse(self) -> "Deferred[float | None]":
        """When the next thing can be undone no longer."""
        return self._ask(self._lists, reading.next_lapse)
