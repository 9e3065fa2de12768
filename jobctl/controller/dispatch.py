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
from jobctl.interfaces import IContent
from jobctl.jobprotocol.frames import Message
from jobctl.mail.entry import Lasting, QueueEntry, StoredEntry
from jobctl.schedule.plan import LoadRequest, Plan, StartJob

log = Logger()

# The wall clock can step: never sleep past this without looking again.
LONGEST_SLEEP = 60.0


class Dispatch:
    """
    One decision after another, never two at a time.

    :param jobs: Running jobs by id.
    :param start_job: Starts a job for (channel, host, run).
    :ivar monotonic: Seconds of a clock that does not jump.
    :ivar attempts: Where what is handed out is noted.
    :ivar expire: Called with ids of entries that are past their time; ``warn`` with those whose senders
        are to be told of the delay, each with its age; ``judge`` with those whose retry rules are not known;
        ``postpone`` with those that the store is to have as due later.
    :ivar decided: Called after each decision.
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
        self.reconfigure(settings)
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
        self.monotonic: Callable[[], float] = reactor.seconds
        self.attempts: Attempts
        self.expire: Callable[[list[str]], Any]
        self.warn: Callable[[list[tuple[str, float]]], Any]
        self.judge: Callable[[list[str]], None]
        self.postpone: Callable[[list[tuple[QueueEntry, float]]], None]
        self.decided: list[Callable[[], None]] = []

    def reconfigure(self, settings: Settings) -> None:
        """What is handed out from now on goes by these."""
        self.settings = settings

    def kick(self) -> None:
        """Something changed: decide again, once for all that changes in this turn of the reactor."""
        if self._soon is None and not self._idle:
            self._soon = self._reactor.callLater(0, self._decide)

    @property
    def _idle(self) -> bool:
        return self._stopping or bool(self._standing)

    def decide_now(self, channel: str) -> int:
        """Decide without waiting for the end of this turn; gives how many jobs were asked for in a channel."""
        if self._soon is not None and self._soon.active():
            self._soon.cancel()
        return [start.channel for start in self._decide()].count(channel)

    @property
    def standstill(self) -> str:
        """Why nothing is handed out, ``""``: it is."""
        return self._standing

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

    def _decide(self) -> list[StartJob]:
        self._soon = None
        if self._idle:
            return []
        now = self._reactor.seconds()
        starts: list[StartJob] = []
        try:
            starts = self._act(now)
            due = self._scheduler.next_due()
        except Exception:
            # One decision that fails must not be the last.
            log.failure("unexpected; the schedule is asked again in a while")
            due = now + LONGEST_SLEEP
        if self._later is not None and self._later.active():
            self._later.cancel()
        self._later = None
        if due is not None:
            self._later = self._reactor.callLater(min(max(due - now, 0.01), LONGEST_SLEEP), self.kick)
        for watcher in self.decided:
            watcher()
        return starts

    def _act(self, now: float) -> list[StartJob]:
        plan: Plan = self._scheduler.plan(now, self.monotonic())
        for job_id, ids in plan.handouts:
            self._hand_out(job_id, ids)
        for start in plan.starts:
            self._start_job(start.channel, start.host, start.run)
        for job_id in plan.stop_jobs:
            job = self._jobs.get(job_id)
            if job is not None:
                job.retire()
        if plan.expired:
            self.expire(plan.expired)
        if plan.warn:
            self.warn(plan.warn)
        if plan.postpone:
            self.postpone(plan.postpone)
        if plan.judge:
            self.judge(plan.judge)
        if plan.load is not None and not self._loading:
            self._load(plan.load)
        return plan.starts

    def _load(self, request: LoadRequest) -> None:
        self._loading = True
        reading: Deferred[list[QueueEntry]]
        if request.kind == "window":
            reading = self._store.window(request.after, request.limit, request.skip)
        else:
            reading = self._store.backlog(request.channel, request.host, request.after, request.limit)

        def loaded(entries: list[QueueEntry]) -> None:
            self._scheduler.loaded(request, entries, self._reactor.seconds())

        def done(_: None = None) -> None:
            self._loading = False
            self.kick()

        def failed(why: Failure) -> None:
            log.error("the queue cannot be read, it will be tried again: {why}", why=why.getErrorMessage())
            self._reactor.callLater(10, done)

        reading.addCallback(loaded).addCallbacks(done, failed)

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
            reading.addErrback(self._not_fetched, job_id, cold)

    # What does not reach a job costs it no credit: it does not know that it has used any.

    def _awaited(self, entry_id: str, job_id: str) -> bool:
        """Whether a job still waits to be given an entry: it may have died meanwhile, and others may have it."""
        return self._scheduler.job_of(entry_id) == job_id and self.attempts.get(entry_id) is None

    def _fetched(self, found: list[tuple[StoredEntry, bytes | None]], job_id: str, ids: list[str]) -> None:
        now = self._reactor.seconds()
        by_id = {stored.entry.id: (stored, content) for stored, content in found}
        job = self._jobs.get(job_id)
        for entry_id in ids:
            if not self._awaited(entry_id, job_id):
                continue
            if entry_id not in by_id or by_id[entry_id][0].state is Lasting.HELD:
                self._scheduler.settled(entry_id, now)
                self._scheduler.grant(job_id, 1)
            elif job is None:
                self._scheduler.deferred(entry_id, now, None, now)
            else:
                stored, content = by_id[entry_id]
                if content is not None:
                    self._assign(job, stored, content)
                else:
                    self._assign_large(job, stored)
        self.kick()

    def _not_fetched(self, why: Failure, job_id: str, ids: list[str]) -> None:
        log.error("{count} messages cannot be read: {why}", count=len(ids), why=why.getErrorMessage())
        now = self._reactor.seconds()
        for entry_id in ids:
            if self._awaited(entry_id, job_id):
                self._scheduler.deferred(entry_id, now + LONGEST_SLEEP, None, now)
                self._scheduler.grant(job_id, 1)
        self.kick()

    def _assign_large(self, job: Any, stored: StoredEntry) -> None:
        opening: Deferred[IContent] = self._store.content(stored.message)

        def opened(content: IContent) -> None:
            if job.id in self._jobs and self._awaited(stored.entry.id, job.id):
                self._assign(job, stored, content)
            else:
                content.close()

        opening.addCallback(opened).addErrback(self._not_fetched, job.id, [stored.entry.id])

    def _assign(self, job: Any, stored: StoredEntry, content: bytes | IContent) -> None:
        entry = stored.entry
        self.attempts.begin(stored, job.id, content if isinstance(content, bytes) else None)
        try:
            frame = Message(
                id=entry.id,
                attempt=entry.attempts + 1,
                host=entry.host,
                gateway=self.settings.channel(entry.channel).gateway,
                envelope=stored.envelope,
                octets=entry.size,
                priority=entry.priority.word,
                envelope_id=stored.envelope_id,
                arrived=entry.enqueued,
                share=entry.share,
            )
            job.assign(frame, content)
        except Exception:
            log.failure("{job}: {entry} cannot be handed to it", job=job.id, entry=entry.id)
            if not isinstance(content, bytes):
                content.close()
            self.attempts.undo(entry.id)
            now = self._reactor.seconds()
            self._scheduler.deferred(entry.id, now + LONGEST_SLEEP, None, now)
            self._scheduler.grant(job.id, 1)
