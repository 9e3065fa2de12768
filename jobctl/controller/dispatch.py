"""Joins the schedule to jobs: asks it what to do now, does it, and sleeps until there is more."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.config.settings import Settings
from jobctl.controller.attempts import Attempts
from jobctl.controller.hot import HotMessages
from jobctl.jobprotocol.frames import Message
from jobctl.mail.entry import Lasting, Settlement, StoredEntry

log = Logger()

# The wall clock can step: never sleep past this without looking again.
LONGEST_SLEEP = 60.0


class Dispatch:
    """
    One decision after another, never two at a time.

    :param start_job: Starts a job for (channel, host, run).
    :param jobs: Running jobs by id.
    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        store: Any,
        scheduler: Any,
        hot: HotMessages,
        jobs: dict[str, Any],
        start_job: Callable[[str, str | None, str | None], None],
    ) -> None:
        self.settings = settings
        self._reactor = reactor
        self._store = store
        self._scheduler = scheduler
        self._hot = hot
        self._jobs = jobs
        self._start_job = start_job
        self._soon: IDelayedCall | None = None
        self._later: IDelayedCall | None = None
        self._loading = False
        self._stopping = False
        self._standing = ""
        self._asked = 0
        self.attempts: Attempts

    def kick(self) -> None:
        """Something changed: decide again, once for all that changes in this turn of the reactor."""
        if self._soon is None and not self._stopping and not self._standing:
            self._soon = self._reactor.callLater(0, self._decide)

    def decide_now(self) -> int:
        """Decide without waiting for the end of this turn; gives how many jobs were asked for."""
        if self._soon is not None and self._soon.active():
            self._soon.cancel()
        self._asked = 0
        self._decide()
        return self._asked

    def stand_still(self, reason: str) -> None:
        """Hand out nothing (``""``: go on)."""
        self._standing = reason
        if not reason:
            self.kick()

    def stop(self) -> None:
        """No more decisions."""
        self._stopping = True
        for call in (self._soon, self._later):
            if call is not None and call.active():
                call.cancel()

    def _decide(self) -> None:
        self._soon = None
        now = self._reactor.seconds()
        try:
            self._act(now)
        except Exception:
            # One decision that fails must not be the last.
            log.failure("unexpected; the schedule is asked again in a while")
            self._later = self._reactor.callLater(LONGEST_SLEEP, self.kick)
        else:
            self._sleep(now)

    def _act(self, now: float) -> None:
        plan = self._scheduler.plan(now)
        for job_id, ids in plan.handouts:
            self._hand_out(job_id, ids)
        for start in plan.starts:
            self._asked += 1
            self._start_job(start.channel, start.host, start.run)
        for job_id in plan.stop_jobs:
            job = self._jobs.get(job_id)
            if job is not None:
                job.stop()
        if plan.expired:
            self._expire(plan.expired)
        if plan.load is not None and not self._loading:
            self._load(plan.load)

    def _sleep(self, now: float) -> None:
        due = self._scheduler.next_due()
        if self._later is not None and self._later.active():
            self._later.cancel()
        self._later = None
        if due is not None:
            self._later = self._reactor.callLater(min(max(due - now, 0.01), LONGEST_SLEEP), self.kick)

    def _load(self, request: Any) -> None:
        self._loading = True
        if request.kind == "window":
            reading: Deferred[Any] = self._store.window(request.after, request.limit, request.skip)
        else:
            reading = self._store.backlog(request.channel, request.host, request.after, request.limit)

        def loaded(entries: list[Any]) -> None:
            self._scheduler.loaded(request, entries, self._reactor.seconds())

        def done(_: Any) -> None:
            self._loading = False
            self.kick()

        def failed(why: Failure) -> None:
            log.error("the queue cannot be read, it will be tried again: {why}", why=why.getErrorMessage())
            self._reactor.callLater(10, done, None)

        reading.addCallback(loaded)
        reading.addCallbacks(done, failed)

    def _hand_out(self, job_id: str, ids: list[str]) -> None:
        job = self._jobs.get(job_id)
        cold = []
        for entry_id in ids:
            hot = self._hot.get(entry_id)
            if hot is None or job is None:
                cold.append(entry_id)
            else:
                self._assign(job, hot.stored, hot.content)
        if cold:
            reading = self._store.fetch_whole(cold)
            reading.addCallback(self._fetched, job_id, cold)
            reading.addErrback(self._not_fetched, cold)

    def _fetched(self, found: list[tuple[StoredEntry, bytes | None]], job_id: str, ids: list[str]) -> None:
        now = self._reactor.seconds()
        by_id = {stored.entry.id: (stored, content) for stored, content in found}
        job = self._jobs.get(job_id)
        for entry_id in ids:
            if self._scheduler.job_of(entry_id) != job_id:
                continue
            if entry_id not in by_id or by_id[entry_id][0].state is Lasting.HELD:
                self._scheduler.settled(entry_id, now)
            elif job is None:
                self._scheduler.deferred(entry_id, now, None, now)
            else:
                stored, content = by_id[entry_id]
                if content is not None:
                    self._assign(job, stored, content)
                else:
                    self._assign_large(job, stored)
        self.kick()

    def _not_fetched(self, why: Failure, ids: list[str]) -> None:
        log.error("{count} messages cannot be read: {why}", count=len(ids), why=why.getErrorMessage())
        now = self._reactor.seconds()
        for entry_id in ids:
            self._scheduler.deferred(entry_id, now + LONGEST_SLEEP, None, now)

    def _assign_large(self, job: Any, stored: StoredEntry) -> None:
        opening = self._store.content(stored.message)

        def opened(content: Any) -> None:
            if job.id not in self._jobs or self._scheduler.job_of(stored.entry.id) != job.id:
                content.close()
                return
            self._assign(job, stored, content)

        opening.addCallbacks(opened, self._not_fetched, errbackArgs=([stored.entry.id],))

    def _assign(self, job: Any, stored: StoredEntry, content: Any) -> None:
        entry = stored.entry
        channel = self.settings.channels[entry.channel]
        frame = Message(
            id=entry.id,
            attempt=entry.attempts + 1,
            host=entry.host,
            gateway=channel.gateway,
            envelope=stored.envelope,
            octets=entry.size,
            priority=entry.priority.word,
            envelope_id=stored.envelope_id,
            arrived=entry.enqueued,
        )
        self.attempts.begin(stored, job.id, content if type(content) is bytes else None)
        job.assign(frame, content)

    def _expire(self, ids: list[str]) -> None:
        reading = self._store.fetch(ids)

        def fetched(found: list[StoredEntry]) -> None:
            there = set()
            for stored in found:
                there.add(stored.entry.id)
                quoting = self.attempts.quotable(stored)
                quoting.addCallback(self._expire_one, stored)
                quoting.addErrback(lambda why: log.failure("unexpected", failure=why))
            for entry_id in ids:
                if entry_id not in there:
                    self._scheduler.settled(entry_id, self._reactor.seconds())

        reading.addCallback(fetched)
        reading.addErrback(self._not_fetched, ids)

    def _expire_one(self, content: bytes | None, stored: StoredEntry) -> None:
        now = self._reactor.seconds()
        settlement: Settlement = self.attempts.verdicts.expired(stored, now, content)
        log.info("{entry}: expired after its last age of notices", entry=stored.entry.id)
        self.attempts.settle(settlement, stored)
