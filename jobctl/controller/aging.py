"""Mail that memory has no room for grows old too: its senders are warned, and it is returned in time."""

from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from jobctl.controller.lifetimes import Lifetimes
from jobctl.mail.entry import StoredEntry
from jobctl.schedule.expiry import ended, is_late, warning_age

log = Logger()

# Seconds between rounds, and entries read at a time.  A round reads what is older than the first age of
# notices, and there is none while memory has the whole queue.
EVERY = 1800.0
SOON = 1.0
PAGE = 200
# Deadlines that senders have set are shorter than ages, and found by an index.
EVERY_MINUTE = 60.0


class Aging:
    """
    Goes through the old mail in the store, as long as that has more than memory.

    What is in memory the schedule looks at itself, to the second.

    :param controller: :class:`jobctl.controller.controller.Controller`
    """

    def __init__(self, controller: Any) -> None:
        self._at = controller
        self._next: IDelayedCall | None = None
        self._deadlines: IDelayedCall | None = None

    def start(self) -> None:
        """From now on."""
        self._later()
        self._deadlines = self._at.reactor.callLater(EVERY_MINUTE, self._look_at_deadlines)

    def stop(self) -> None:
        """No more."""
        for call in (self._next, self._deadlines):
            if call is not None and call.active():
                call.cancel()
        self._next = self._deadlines = None

    def _later(self) -> None:
        self._next = self._at.reactor.callLater(EVERY, self._round)

    def _look_at_deadlines(self) -> None:
        self._deadlines = self._at.reactor.callLater(EVERY_MINUTE, self._look_at_deadlines)
        if not self._at.scheduler.complete:
            ensureDeferred(self._late()).addErrback(
                lambda why: log.error("late mail cannot be read: {why}", why=why.getErrorMessage())
            )

    async def _late(self) -> None:
        """What has a deadline that has passed; what memory has of it, or a job, comes back by itself."""
        page: list[StoredEntry] = await self._at.store.late(self._at.reactor.seconds(), PAGE)
        if self._deadlines is not None:
            await self._page(page)

    def _round(self) -> None:
        # First the schedule sees what time it is: if the clock has leapt it is patient.
        self._at.dispatch.kick()
        self._next = self._at.reactor.callLater(SOON, self._begin)

    def _begin(self) -> None:
        self._later()
        scheduler = self._at.scheduler
        if not scheduler.complete and not scheduler.patient(self._at.reactor.seconds()):
            ensureDeferred(self._all()).addErrback(
                lambda why: log.error("old mail cannot be read: {why}", why=why.getErrorMessage())
            )

    async def _all(self) -> None:
        after = None
        while self._next is not None:
            page: list[StoredEntry] = await self._at.store.directory(held=False, limit=PAGE, after=after)
            if self._next is None or not await self._page(page):
                return
            after = page[-1].entry.id

    async def _page(self, page: list[StoredEntry]) -> bool:
        """Decide on some; ``False``: all that follow are younger than anybody is told of."""
        at = self._at
        lifetimes: Lifetimes = at.verdicts.lifetimes
        now: float = at.reactor.seconds()
        expired: list[str] = []
        warn: list[tuple[str, float]] = []
        for stored in page:
            entry = stored.entry
            life = lifetimes.of(stored, now)
            age = warning_age(life, entry, now)
            over = ended(life, entry, now)
            told = age is not None or (is_late(entry, now) and not entry.returns)
            if (over or told) and at.scheduler.adopt(entry, lifetimes.number(stored, now)):
                if over:
                    expired.append(entry.id)
                else:
                    warn.append((entry.id, age or 0.0))
        await at.unattempted.expire(expired)
        await at.unattempted.warn(warn)
        return len(page) == PAGE and page[-1].entry.enqueued + lifetimes.youngest() <= now
