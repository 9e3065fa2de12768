"""Entries that were set aside as damaged: this part of the store on SQLite."""

import sqlite3
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from jobctl.mail.remains import Remains
from jobctl.store import reading
from jobctl.store.content import ContentFiles
from jobctl.store.ids import id_number
from jobctl.store.mending import remains
from jobctl.store.operations import Mend, Operation


class SetAsideRecords:
    """A part of :class:`jobctl.store.sqlite.SQLiteStore`, which has the threads."""

    _submit: Callable[[Operation], "Deferred[Any]"]
    _ask: Callable[[Any, Callable[[sqlite3.Connection], Any]], "Deferred[Any]"]
    _lists: Any
    _files: ContentFiles

    def damaged(self) -> "Deferred[list[tuple[str, float, str]]]":
        """Entries that were set aside: id, when, why."""
        return self._ask(self._lists, reading.damaged)

    def remains(self, id: str) -> "Deferred[Remains | None]":
        """What can be read of an entry that was set aside; ``None``: it was not."""
        return self._ask(self._lists, lambda connection: remains(connection, self._files, id))

    def restore(self, id: str) -> "Deferred[bool]":
        """Put one back that can be read again; ``False``: it was not set aside."""
        return self._submit(Mend(id_number(id), back=True))

    def give_up(self, id: str) -> "Deferred[bool]":
        """Remove one for ever; ``False``: it was not set aside."""
        return self._submit(Mend(id_number(id), back=False))
