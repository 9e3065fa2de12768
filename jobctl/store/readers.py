"""Queries as a reading thread gets and answers them."""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from jobctl.errors import StoreError
from jobctl.store.health import read_error
from jobctl.store.worker import Outcome


class Read:
    """One query for a reader's thread."""

    __slots__ = ("done", "query")

    def __init__(self, query: Callable[[sqlite3.Connection], Any]) -> None:
        self.query = query
        self.done: Deferred[Any] = Deferred()


def reading_with(connection: sqlite3.Connection) -> Callable[[list[Read]], Iterator[list[Outcome]]]:
    def perform(reads: list[Read]) -> Iterator[list[Outcome]]:
        outcomes: list[Outcome] = []
        for read in reads:
            try:
                outcomes.append((read.done, read.query(connection)))
            except StoreError as why:
                outcomes.append((read.done, Failure(why)))
            except sqlite3.Error as why:
                outcomes.append((read.done, Failure(read_error(why))))
        yield outcomes

    return perform


def seen(why: Failure) -> None:
    """For what nobody waits for: the writer has logged why it could not be done."""
