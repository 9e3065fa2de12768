"""Delayed mail when the retry intervals of its channel change: it is due as the new ones have it."""

from typing import Any

from twisted.internet.defer import DeferredLock, ensureDeferred, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.config.settings import ChannelSettings, RetryRule, Settings
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
        for name, channel in new.channels.items():
            before = old.channels.get(name)
            if before is not None and before.backoff != channel.backoff:
                self._at_work += 1
                ensureDeferred(self._channel(before, channel)).addErrback(_unfinished, name)

    def stop(self) -> None:
        """What is left keeps its time."""
        self._stopped = True

    def _recorded(self, entry_id: str) -> None:
        if self._at_work:
            self._since.add(entry_id)

    async def _channel(self, old: ChannelSettings, new: ChannelSettings) -> None:
        await self._lock.acquire()
        moved, after = 0, None
        try:
            while not self._stopped:
                page = await self._at.store.directory(
                    channel=new.name, held=False, limit=TOGETHER, after=after
                )
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
        log.info(
            "{channel}: {count} delayed messages are due by other intervals", channel=new.name, count=moved
        )

    async def _move(
        self, stored: StoredEntry, old: ChannelSettings, new: ChannelSettings
    ) -> bool | StoreError:
        """Whether its due time has moved, or why it could not."""
        entry = stored.entry
        now: float = self._at.reactor.seconds()
        # What a retry rule says does not change with the channel.
        rule = self._at.verdicts.lifetimes.rule(stored, now)
        by = _interval(new, stored, rule) - _interval(old, stored, rule)
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


def _interval(channel: ChannelSettings, stored: StoredEntry, rule: RetryRule | None) -> float:
    waits = intervals(channel, stored.entry.priority, rule)
    return waits[min(max(stored.entry.attempts, 1), len(waits)) - 1]


def _unfinished(why: Failure, channel: str) -> None:
    if why.check(StoreError):
        log.warn(
            "{channel}: delayed messages keep their old intervals for now: {why}",
            channel=channel,
            why=why.getErrorMessage(),
        )
    else:
        log.failure("{channel}: bug while its delayed messages are rescheduled", why, channel=channel)
