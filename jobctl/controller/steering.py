"""Entries changed under the schedule, never under a job."""

from collections.abc import Awaitable, Callable, Iterable
from enum import Enum
from typing import Any

import msgspec
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.logger import Logger

from jobctl.errors import StoreError
from jobctl.mail.entry import Lasting, QueueEntry, Settlement, StoredEntry, paused

log = Logger()

_BUSY = (
    "a job is delivering it right now; try again when it has its verdict (qm jobs), or stop the channel first"
)
_OTHER = "another operator is changing it right now; try again"
_GONE = "it has left the queue meanwhile"


class End(Enum):
    """How the change of one entry ended; all but the first two are told with a reason."""

    DONE = 0
    UNCHANGED = 1
    BUSY = 2
    GONE = 3
    REFUSED = 4


class Outcome(msgspec.Struct, frozen=True):
    end: End
    text: str = ""


DONE, UNCHANGED = Outcome(End.DONE), Outcome(End.UNCHANGED)

# What is to be recorded of an entry; why it cannot be done; ``None``: it is so already.
Change = Callable[[StoredEntry], Awaitable[Settlement | str | None]]


class Steering:
    """
    Takes entries from the schedule, looks at them again, changes them and puts them back.

    A message in the hands of a job, or whose result is not on the disk yet, is
    never changed under it: that would make its verdict a lie; the caller is
    told to try again.
    """

    def __init__(self, controller: Any) -> None:
        self._at = controller
        self._changing: set[str] = set()

    async def change(
        self, chosen: Iterable[tuple[QueueEntry, bool]], change: Change, first: bool = False
    ) -> dict[str, Outcome]:
        """
        Change some entries, all in few commits.

        :param chosen: Entries, and whether each is held; not more than may be in memory at a time.
        :param first: What is queued afterwards goes before all others.
        :return: By id.
        :raises StoreError: They cannot be read; nothing was changed.
        """
        free, outcome = self._taken(chosen)
        try:
            found: list[StoredEntry] = await self._at.store.fetch([entry.id for entry, _ in free])
            ends = await gatherResults([ensureDeferred(self._one(stored, change, first)) for stored in found])
            outcome.update(zip((stored.entry.id for stored in found), ends, strict=True))
        except StoreError:
            for entry, held in free:
                self._put_back(entry, held)
            raise
        finally:
            self._changing.difference_update(entry.id for entry, _ in free)
        self._at.dispatch.kick()
        return outcome

    def _taken(
        self, chosen: Iterable[tuple[QueueEntry, bool]]
    ) -> tuple[list[tuple[QueueEntry, bool]], dict[str, Outcome]]:
        """Those that the schedule could give up, and what is known of each so far."""
        now = self._at.reactor.seconds()
        outcome, free = {}, []
        for entry, held in chosen:
            if entry.id in self._changing:
                outcome[entry.id] = Outcome(End.BUSY, _OTHER)
            elif self._at.scheduler.state(entry.id, now) == "active":
                outcome[entry.id] = Outcome(End.BUSY, _BUSY)
            else:
                outcome[entry.id] = Outcome(End.GONE, _GONE)
                self._at.scheduler.remove(entry.id)
                self._at.hot.drop(entry.id)
                self._changing.add(entry.id)
                free.append((entry, held))
        return free, outcome

    async def _one(self, stored: StoredEntry, change: Change, first: bool) -> Outcome:
        held = stored.state is Lasting.HELD
        settlement: Settlement | str | None = None
        try:
            settlement = await change(stored)
            if isinstance(settlement, Settlement):
                notice_ids = await self._at.store.settle(settlement)
        except Exception as why:
            if not isinstance(why, StoreError):
                log.failure("{entry}: bug while an operator changes it", entry=stored.entry.id)
            if isinstance(settlement, Settlement):
                _forget_copies(settlement)
            settlement = str(why) or repr(why)
        if not isinstance(settlement, Settlement):
            self._put_back(stored.entry, held)
            return UNCHANGED if settlement is None else Outcome(End.REFUSED, settlement)
        if settlement.notifications and not notice_ids:
            return Outcome(End.GONE, _GONE)
        self._at.books.settled(stored, settlement)
        for ids, notice in zip(notice_ids, settlement.notifications, strict=True):
            self._at.intake.remember(ids, notice)
        self.scheduled(stored, settlement, first)
        return DONE

    def scheduled(self, stored: StoredEntry, settlement: Settlement, first: bool = False) -> None:
        """Tell the schedule of a committed change: whoever is queued now is added, as it is now."""
        state = stored.state if settlement.state is None else settlement.state
        if state is not Lasting.QUEUED or len(settlement.losses) >= len(stored.envelope.recipients):
            return
        entry, now = stored.entry, self._at.reactor.seconds()
        channel, host = settlement.place or (entry.channel, entry.host)
        fresh = msgspec.structs.replace(
            entry,
            channel=channel,
            host=host,
            due=entry.due if settlement.due is None else settlement.due,
            priority=entry.priority if settlement.priority is None else settlement.priority,
        )
        if stored.state is not Lasting.QUEUED:
            # Its age goes on from where it was.
            fresh.paused, _ = paused(entry.paused, stored.held_since, Lasting.QUEUED, now)
        self._at.scheduler.add(fresh, now)
        if settlement.due is not None:
            # Who wants it tried now does not mean when its host's backoff is over.
            self._at.scheduler.hurry(channel, host, now)
        if first:
            self._at.scheduler.promote(fresh.id, now, fresh)

    def _put_back(self, entry: QueueEntry, held: bool) -> None:
        if not held:
            self._at.scheduler.add(entry, self._at.reactor.seconds())


def _forget_copies(settlement: Settlement) -> None:
    """Large content copied for what was to be split off."""
    for submission in settlement.notifications:
        if not isinstance(submission.content, bytes):
            submission.content.discard()  # type: ignore[attr-defined]
