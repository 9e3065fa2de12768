"""What becomes of entries without an attempt: too old, or their destination is known to be out of reach."""

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger

from jobctl.controller.notices import NOTHING
from jobctl.controller.quotes import Quotes
from jobctl.controller.recording import Recorder
from jobctl.controller.verdicts import Verdicts, aside
from jobctl.jobs.environment import CannotStart
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.entry import Lasting, Settlement, StoredEntry
from jobctl.notification.notice import Original

log = Logger()

# Entries read at a time; their originals are read one by one, since each can be a mebibyte.
TOGETHER = 50
# Seconds until entries that cannot be read are read again.
PAUSE = 60.0

# What to record of an entry, given it, what can be quoted of it, and the time.
_Settle = Callable[[StoredEntry, Any, float], Settlement]
# Reads what is to be quoted.
_Quote = Callable[[StoredEntry], Awaitable[Any]]


class Unattempted:
    """
    Settles entries that the schedule gave out to be decided upon, not to be tried.

    They stay out of the schedule until that is recorded.
    """

    def __init__(
        self,
        store: Any,
        scheduler: Any,
        recorder: Recorder,
        quotes: Quotes,
        verdicts: Verdicts,
        reactor: Any,
    ) -> None:
        self._store = store
        self._scheduler = scheduler
        self._recorder = recorder
        self._quotes = quotes
        self._verdicts = verdicts
        self._reactor = reactor

    def expire(self, entry_ids: list[str]) -> Deferred[None]:
        """
        They have been tried for long or often enough.

        :return: Fires when all has been decided, not when it is recorded; so do the others.
        """

        def settle(stored: StoredEntry, original: Original, now: float) -> Settlement:
            why = self._verdicts.lifetimes.why_ended(stored, now)
            log.info("{entry}: given up: {why}", entry=stored.entry.id, why=why)
            return self._verdicts.expired(stored, now, original)

        return self.decide(entry_ids, settle, self._whole)

    def warn(self, due: list[tuple[str, float]]) -> Deferred[None]:
        """Their senders are told of the delay: entries, each with the age that it has reached."""
        ages = dict(due)

        def settle(stored: StoredEntry, original: Original, now: float) -> Settlement:
            log.info("{entry}: delayed, its sender is warned", entry=stored.entry.id)
            return self._verdicts.warned(stored, ages[stored.entry.id], now, original)

        return self.decide(list(ages), settle, self._header)

    def unreachable(self, entry_ids: list[str], why: CannotStart, job: str) -> None:
        """
        No job can be had for them.

        :param why: Temporary: they are deferred, no attempt counted; else they fail.
        :param job: The one that was to be.
        """
        verdict = Verdict.DEFERRED if why.temporary else Verdict.FAILED
        reply = f"{451 if why.temporary else 550} {why.status} {why}"

        def settle(stored: StoredEntry, original: Original, now: float) -> Settlement:
            dispositions = [
                Disposition(recipient.address, verdict, why.status, reply)
                for recipient in stored.envelope.recipients
            ]
            return self._verdicts.tried(
                stored, dispositions, counted=False, retry=None, job=job, now=now, original=original
            )

        self.decide(entry_ids, settle, self._whole if verdict is Verdict.FAILED else _nothing)

    async def _whole(self, stored: StoredEntry) -> Original:
        return await self._quotes.of(stored) if self._verdicts.notices.gives_up(stored) else NOTHING

    async def _header(self, stored: StoredEntry) -> Original:
        return await self._quotes.of(stored, header=True) if self._verdicts.notices.warns(stored) else NOTHING

    def decide(self, entry_ids: list[str], settle: _Settle, quote: _Quote) -> Deferred[None]:
        """
        Decide on entries that the schedule has given out.

        :param settle: Makes what is to be recorded of the entry, what ``quote`` has read of it, and the time.
        """
        return ensureDeferred(self._all(entry_ids, settle, quote))

    async def _all(self, entry_ids: list[str], settle: _Settle, quote: _Quote) -> None:
        for at in range(0, len(entry_ids), TOGETHER):
            some = entry_ids[at : at + TOGETHER]
            try:
                await self._some(some, settle, quote)
            except Exception as why:
                log.error("{count} messages cannot be read: {why}", count=len(some), why=str(why))
                self._reactor.callLater(PAUSE, self.decide, some, settle, quote)

    async def _some(self, entry_ids: list[str], settle: _Settle, quote: _Quote) -> None:
        found: list[StoredEntry] = await self._store.fetch(entry_ids)
        there = {stored.entry.id: stored for stored in found if stored.state is Lasting.QUEUED}
        for entry_id in entry_ids:
            if entry_id not in there:
                self._scheduler.settled(entry_id, self._reactor.seconds())
        for stored in there.values():
            original = await quote(stored)
            now = self._reactor.seconds()
            try:
                settlement = settle(stored, original, now)
            except Exception as why:
                log.failure("{entry}: bug while deciding on it", entry=stored.entry.id)
                settlement = aside(Settlement(id=stored.entry.id), f"error in the controller: {why}", now)
            self._recorder.record(settlement, stored)


async def _nothing(stored: StoredEntry) -> Original:
    return NOTHING
