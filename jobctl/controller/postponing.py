"""Mail that waits for its delivery window while memory is full: the store has it due when that opens."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.mail.entry import QueueEntry, Settlement

log = Logger()

# Seconds until what could not be recorded is tried again.
PAUSE = 60.0


class Postponing:
    """Records later due times; until one is recorded its entry is in the store alone and is not read."""

    def __init__(self, store: Any, scheduler: Any, reactor: Any) -> None:
        self._store = store
        self._scheduler = scheduler
        self._reactor = reactor

    def postpone(self, entries: list[tuple[QueueEntry, float]]) -> None:
        """Entries with the time at which each is due."""
        for entry, due in entries:
            recording: Deferred[Any] = self._store.settle(Settlement(id=entry.id, due=due))
            recording.addCallbacks(self._recorded, self._failed, (entry, due), {}, (entry, due))

    def _recorded(self, _: Any, entry: QueueEntry, due: float) -> None:
        entry.due = due
        self._scheduler.postponed(entry)

    def _failed(self, why: Failure, entry: QueueEntry, due: float) -> None:
        log.warn("{entry}: cannot be postponed yet: {why}", entry=entry.id, why=why.getErrorMessage())
        self._reactor.callLater(PAUSE, self.postpone, [(entry, due)])
