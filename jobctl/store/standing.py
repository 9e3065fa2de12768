"""What stands until somebody changes it, beside the mail: this part of the store on SQLite."""

import sqlite3
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from jobctl.store import reading
from jobctl.store.operations import Operation, Remember, SetBackoff, SetStopped


class StandingRecords:
    """A part of :class:`jobctl.store.sqlite.SQLiteStore`, which has the threads."""

    _submit: Callable[[Operation], "Deferred[Any]"]
    _ask: Callable[[Any, Callable[[sqlite3.Connection], Any]], "Deferred[Any]"]
    _clock: Callable[[], float]
    _schedule: Any

    def set_stopped(self, channel: str, stopped: bool, author: str) -> "Deferred[None]":
        """Remember that an operator stopped (or started) a channel."""
        return self._submit(SetStopped(channel, stopped, author, self._clock()))

    def stopped(self) -> "Deferred[dict[str, tuple[str, float]]]":
        """Stopped channel to (author, since)."""
        return self._ask(self._schedule, reading.stopped)

    def set_host_backoff(
        self, channel: str, host: str, failures: int, until: float, reply: str
    ) -> "Deferred[None]":
        """Remember a destination's connection failures; ``failures`` 0 forgets."""
        return self._submit(SetBackoff(channel, host, failures, until, reply))

    def remember(self, topic: str, key: str, value: str | None) -> "Deferred[None]":
        """Keep JSON text under a topic and a key; ``None`` forgets it."""
        return self._submit(Remember(topic, key, value))

    def remembered(self, topic: str) -> "Deferred[dict[str, str]]":
        """Key to JSON text."""
        return self._ask(self._schedule, lambda connection: reading.remembered(connection, topic))

    def host_backoffs(self) -> "Deferred[list[tuple[str, str, int, float, str]]]":
        """Channel, host, failures, until, reply."""
        return self._ask(self._schedule, reading.host_backoffs)
