"""Entries changed under the schedule, never under a job."""

from collections.abc import Awaitable, Callable, Iterable
from enum import Enum
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.errors import StoreError
from jobctl.mail.entry import Lasting, Settlement, StoredEntry, paused

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
Meant = Settlement | str | None
# The same, at once or (where content must be read for it) later.
Wanted = Meant | Awaitable[Meant]
Change = Callable[[StoredEntry], Wanted]


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
        self, chosen: Iterable[StoredEntry], change: Change, first: bool = False
    ) -> dict[str, Outcome]:
        """
        Change some entries, all in few commits.

        :param chosen: Not more than may be in memory at a time; taken from the schedule before this waits.
        :param first: What is queued afterwards goes before all others.
        :return: By id.
        :raises StoreError: They cannot be read; nothing was changed.
        """
        free, outcome = self._taken(chosen)
        try:
            found: list[StoredEntry] = await self._at.store.fetch([stored.entry.id for stored in free])
            ends = await gatherResults([self._one(stored, change, first) for stored in found])
            outcome.update(zip((stored.entry.id for stored in found), ends, strict=True))
        except StoreError:
            for stored in free:
                self._put_back(stored)
            raise
        finally:
            self._changing.difference_update(stored.entry.id for stored in free)
        self._at.dispatch.kick()
        return outcome

    def _taken(self, chosen: Iterable[StoredEntry]) -> tuple[list[StoredEntry], dict[str, Outcome]]:
        """Those that the schedule could give up, and what is known of each so far."""
        now = self._at.reactor.seconds()
        outcome, free = {}, []
        for stored in chosen:
            entry_id = stored.entry.id
            if entry_id in self._changing:
                outcome[entry_id] = Outcome(End.BUSY, _OTHER)
            elif self._at.scheduler.state(entry_id, now) == "active":
                outcome[entry_id] = Outcome(End.BUSY, _BUSY)
            else:
                outcome[entry_id] = Outcome(End.GONE, _GONE)
                self._at.scheduler.remove(entry_id)
                self._at.hot.drop(entry_id)
                self._changing.add(entry_id)
                free.append(stored)
        return free, outcome

    def _one(self, stored: StoredEntry, change: Change, first: bool) -> "Deferred[Outcome]":
        """A coroutine for each of very many would cost more than what is done in it."""
        wanted: Wanted
        try:
            wanted = change(stored)
        except Exception as why:
            wanted = self._refused(why, stored)
        if isinstance(wanted, Settlement | str | None):
            return self._settled(wanted, stored, first)
        waiting: Deferred[Any] = ensureDeferred(wanted)  # type: ignore[arg-type]
        waiting.addErrback(lambda why: self._refused(why.value, stored))
        return waiting.addCallback(self._settled, stored, first)

    def _settled(self, wanted: Meant, stored: StoredEntry, first: bool) -> "Deferred[Outcome]":
        if not isinstance(wanted, Settlement):
            self._put_back(stored)
            return succeed(UNCHANGED if wanted is None else Outcome(End.REFUSED, wanted))
        now = self._at.reactor.seconds()
        done: Deferred[Any] = self._at.store.settle(wanted)
        given = (wanted, stored)
        return done.addCallbacks(self._committed, self._failed, (*given, first, now), {}, given)

    def _committed(
        self, notice_ids: list[list[str]], settlement: Settlement, stored: StoredEntry, first: bool, at: float
    ) -> Outcome:
        if settlement.notifications and not notice_ids:
            return Outcome(End.GONE, _GONE)
        self._at.books.settled(stored, settlement)
        for ids, notice in zip(notice_ids, settlement.notifications, strict=True):
            self._at.intake.remember(ids, notice)
        self.scheduled(stored, settlement, at, first)
        return DONE

    def _failed(self, why: Failure, settlement: Settlement, stored: StoredEntry) -> Outcome:
        _forget_copies(settlement)
        text = self._refused(why.value, stored)
        self._put_back(stored)
        return Outcome(End.REFUSED, text)

    def _refused(self, why: BaseException | None, stored: StoredEntry) -> str:
        if not isinstance(why, StoreError):
            log.failure("{entry}: bug while an operator changes it", Failure(why), entry=stored.entry.id)
        return str(why) or repr(why)

    def scheduled(self, stored: StoredEntry, settlement: Settlement, at: float, first: bool = False) -> None:
        """
        Tell the schedule of a committed change: whoever is queued now is added, as it is now.

        :param at: When the store was given it: to the store its age goes on from then.
        """
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
            fresh.paused, _ = paused(entry.paused, stored.held_since, Lasting.QUEUED, at)
        self._at.scheduler.add(fresh, now)
        if settlement.due is not None:
            # Who wants it tried now does not mean when its host's backoff is over.
            self._at.scheduler.hurry(channel, host, now)
        if first:
            self._at.scheduler.promote(fresh.id, now, fresh)

    def _put_back(self, stored: StoredEntry) -> None:
        if stored.state is not Lasting.HELD:
            self._at.scheduler.add(stored.entry, self._at.reactor.seconds())


def _forget_copies(settlement: Settlement) -> None:
    """Large content copied for what was to be split off."""
    for submission in settlement.notifications:
        if not isinstance(submission.content, bytes):
            submission.content.discard()  # type: ignore[attr-defined]
