"""Finding out which retry rules apply to mail that comes from the store, or that other rules have come over."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.controller.verdicts import Verdicts
from jobctl.mail.entry import StoredEntry

log = Logger()

# Seconds until entries that cannot be read are read again.
PAUSE = 10.0


class Judging:
    """
    Says which rules apply when the schedule asks.

    Rules look at recipients and at the last reply, which memory has not; the
    result is not stored, so that a restart with other rules has nothing to undo.

    :param kick: Called when there is something new to be decided.
    """

    def __init__(self, store: Any, scheduler: Any, verdicts: Verdicts, reactor: Any, kick: Any) -> None:
        self._store = store
        self._scheduler = scheduler
        self._verdicts = verdicts
        self._reactor = reactor
        self._kick = kick

    def judge(self, entry_ids: list[str]) -> None:
        """Look at these entries."""
        reading: Deferred[list[StoredEntry]] = self._store.fetch(entry_ids)
        reading.addCallback(self._read).addErrback(self._not_read, entry_ids)

    def _read(self, found: list[StoredEntry]) -> None:
        now = self._reactor.seconds()
        lifetimes = self._verdicts.lifetimes
        for stored in found:
            self._scheduler.ruled(stored.entry, lifetimes.number(stored, now), now)
        self._kick()

    def _not_read(self, why: Failure, entry_ids: list[str]) -> None:
        log.error("{count} messages cannot be read: {why}", count=len(entry_ids), why=why.getErrorMessage())

        def again() -> None:
            self._scheduler.judge_later(entry_ids)
            self._kick()

        self._reactor.callLater(PAUSE, again)
