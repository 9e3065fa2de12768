"""Delayed mail when retry intervals or rules change: it is due as the new ones have it."""

from typing import Any

import msgspec
from twisted.internet.defer import DeferredLock, ensureDeferred, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.config.settings import RetryRule, Settings
from jobctl.controller.lifetimes import Lifetimes
from jobctl.errors import StoreError
from jobctl.mail.entry import Settlement, StoredEntry
from jobctl.schedule.backoff import intervals

log = Logger()

# Entries read and changed at a time; a commit serves them all.
TOGETHER = 200


class Rescheduling:
    """
    Moves due times, beside deliveries and in pages, one change of settings after the other.

    An entry keeps what was between its last attempt and its due time beyond the
    interval (jitter, a later time that its next hop asked for): the due time moves
    by what the interval has changed.  Whatever has had a verdict since the change
    has the new interval already.

    :param controller: :class:`jobctl.controller.controller.Controller`
    """

    def __init__(self, controller: Any) -> None:
        self._at = controller
        self._lock = DeferredLock()
        self._at_work = 0
        # Entries with a verdict since the first change that is still at work.
        self._since: set[str] = set()
        self._stopped = False
        controller.recorder.recorded.append(self._recorded)

    def changed(self, old: Settings, new: Settings) -> None:
        """Other settings are in force."""
        before, after = Lifetimes(old), Lifetimes(new)
        rules = _told(old.retry) != _told(new.retry)
        for name, channel in new.channels.items():
            known = old.channels.get(name)
            if known is not None and (rules or known.backoff != channel.backoff):
                self._at_work += 1
                ensureDeferred(self._channel(name, before, after)).addErrback(_unfinished, name)

    def stop(self) -> None:
        """What is left keeps its time."""
        self._stopped = True

    def _recorded(self, entry_id: str) -> None:
        if self._at_work:
            self._since.add(entry_id)

    async def _channel(self, name: str, old: Lifetimes, new: Lifetimes) -> None:
        await self._lock.acquire()
        moved, after = 0, None
        try:
            while not self._stopped:
                page = await self._at.store.directory(channel=name, held=False, limit=TOGETHER, after=after)
                done = await gatherResults([ensureDeferred(self._move(one, old, new)) for one in page])
                self._at.dispatch.kick()
                for why in done:
                    if isinstance(why, StoreError):
                        raise why
                moved += done.count(True)
                if len(page) < TOGETHER:
                    break
                after = page[-1].entry.id
        finally:
            self._at_work -= 1
            if not self._at_work:
                self._since.clear()
            self._lock.release()
        log.info("{channel}: {count} delayed messages are due by other intervals", channel=name, count=moved)

    async def _move(self, stored: StoredEntry, old: Lifetimes, new: Lifetimes) -> bool | StoreError:
        """Whether its due time has moved, or why it could not."""
        entry = stored.entry
        now: float = self._at.reactor.seconds()
        by = _interval(new, stored, now) - _interval(old, stored, now)
        # Active ones get the new interval with their verdict; a run has taken others out of the schedule.
        waits = self._at.scheduler.state(entry.id, now) in ("delayed", None)
        if not (entry.attempts and entry.due > now and by and waits) or entry.id in self._since:
            return False
        self._at.scheduler.remove(entry.id)
        due = max(entry.due + by, now)
        try:
            await self._at.store.settle(Settlement(id=entry.id, due=due))
            entry.due = due
            return True
        except StoreError as why:
            return why
        finally:
            self._at.scheduler.add(entry, self._at.reactor.seconds())


def _interval(lifetimes: Lifetimes, stored: StoredEntry, now: float) -> float:
    """Seconds between its last attempt and the next."""
    entry = stored.entry
    channel = lifetimes.settings.channel(entry.channel)
    waits = intervals(channel, entry.priority, lifetimes.rule(stored, now))
    return waits[min(max(entry.attempts, 1), len(waits)) - 1]


def _told(rules: tuple[RetryRule, ...]) -> list[RetryRule]:
    """What rules say, wherever they stand."""
    return [msgspec.structs.replace(rule, line=0) for rule in rules]


def _unfinished(why: Failure, channel: str) -> None:
    if why.check(StoreError):
        log.warn(
            "{channel}: delayed messages keep their old intervals for now: {why}",
            channel=channel,
            why=why.getErrorMessage(),
        )
    else:
        log.failure("{channel}: bug while its delayed messages are rescheduled", why, channel=channel)
