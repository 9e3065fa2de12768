"""What jobs say, brought to whom it concerns."""

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from jobctl.controller.arrivals import Arrivals
from jobctl.controller.attempts import Attempts
from jobctl.controller.books import Books
from jobctl.controller.dispatch import Dispatch
from jobctl.controller.hosts import Hosts
from jobctl.controller.intake import Intake
from jobctl.controller.queries import Queries
from jobctl.controller.resent import ResentMail
from jobctl.controller.unattempted import Unattempted
from jobctl.interfaces import IJobHandler
from jobctl.jobprotocol.frames import (
    Alive,
    Ask,
    Etrn,
    Event,
    HelloProgram,
    Locate,
    Report,
    Route,
    Submit,
    Told,
    Work,
)
from jobctl.jobs.environment import CannotStart

log = Logger()

# Entries told at a time that their host does not exist.
CLAIM = 1000


@implementer(IJobHandler)
class JobHandler:
    """
    Hears every job.

    :ivar queries: Answers what is asked beside mail.
    :ivar spawn_watchers: Called with each job that began.
    :ivar greet_watchers: Called with each job that has said hello.
    :ivar log_watchers: Called with (job, line) for each line of a job's stderr.
    :ivar tellers: Jobs whose programs say what they are doing when they are asked.
    :ivar work_told: Called with a job and what it says it is doing.
    :ivar clear_wanted: Called with a job that wants the next connection to where it was to be in the clear.
    :ivar end_watchers: Called with (job, how) when a job is over, after its entries went back.
    :ivar failure_watchers: Called with (spec, why, entries that learn of it) when a job could not be started.
    """

    def __init__(
        self,
        reactor: Any,
        intake: Intake,
        store: Any,
        scheduler: Any,
        dispatch: Dispatch,
        attempts: Attempts,
        unattempted: Unattempted,
        hosts: Hosts,
        jobs: dict[str, Any],
        relay_from: Callable[[Any], tuple[str, ...] | None],
        books: Books,
        resent: ResentMail,
    ) -> None:
        self._reactor = reactor
        self._intake = intake
        self._store = store
        self._scheduler = scheduler
        self._dispatch = dispatch
        self._attempts = attempts
        self._unattempted = unattempted
        self._hosts = hosts
        self._jobs = jobs
        self._relay_from = relay_from
        self._books = books
        self._resent = resent
        self._arrivals: dict[str, Arrivals] = {}
        self.queries: Queries
        self.spawn_watchers: list[Callable[[Any], None]] = []
        self.greet_watchers: list[Callable[[Any], None]] = []
        self.log_watchers: list[Callable[[Any, str], None]] = []
        self.end_watchers: list[Callable[[Any, Any], None]] = []
        self.failure_watchers: list[Callable[[Any, Any, int], None]] = []
        self.tellers: set[str] = set()
        self.clear_wanted: Callable[[Any], None] = lambda job: None
        self.work_told: Callable[[Any, tuple[Work, ...]], None] = lambda job, work: None

    def job_spawned(self, job: Any) -> None:
        spec = job.spec
        self._jobs[job.id] = job
        self._arrivals[job.id] = Arrivals(
            job, self._intake, self._store, self._relay_from, self._books, self._resent
        )
        for watcher in self.spawn_watchers:
            watcher(job)
        log.info("{job}: {role} of {channel} started", job=job.id, role=spec.role, channel=spec.channel.name)

    def job_frame(self, job: Any, frame: Any, content: bytes) -> None:
        kind = type(frame)
        if kind is Submit:
            self._arrivals[job.id].submit(frame, content)
        elif kind is Report:
            if frame.in_clear:
                self.clear_wanted(job)
            self._attempts.report(frame)
        elif kind is Ask:
            if not frame.id:
                self._scheduler.grant(job.id, frame.n)
        elif kind is Route:
            if frame.command == "RCPT":
                self._arrivals[job.id].route(frame)
            else:
                self.queries.ask(job, frame)
        elif kind is Etrn:
            self.queries.etrn(job, frame)
        elif kind is Locate:
            self.queries.clients.locate(job, frame)
        elif kind is HelloProgram:
            self._greeted(job, frame)
        elif kind is Event:
            self._event(job, frame)
        elif kind is Told:
            self._resent.told(job.id, frame.id, frame.gone)
        elif kind is Alive:
            self.work_told(job, frame.work)

    def _event(self, job: Any, frame: Event) -> None:
        self._books.event(job, frame)
        # Generic programs have one connection each: a line costs nothing beside the program.
        if job.spec.channel.transport is not None:
            log.info(
                "{job}: {channel} connection {event} {transport} {application} {text}",
                job=job.id,
                channel=job.spec.source(frame.channel),
                event=frame.event,
                transport=frame.transport,
                application=frame.application,
                text=frame.text,
            )

    def _greeted(self, job: Any, frame: HelloProgram) -> None:
        spec = job.spec
        if frame.tells:
            self.tellers.add(job.id)
        if spec.role == "master":
            now = self._reactor.seconds()
            self._scheduler.job_started(
                job.id, spec.channel.name, spec.host, frame.connections, now, spec.run
            )
        for watcher in self.greet_watchers:
            watcher(job)

    def job_batch_done(self, job: Any) -> None:
        self._dispatch.kick()

    def job_logged(self, job: Any, line: str) -> None:
        for watcher in self.log_watchers:
            watcher(job, line)

    def job_ended(self, job: Any, how: Any) -> None:
        arrivals = self._arrivals.pop(job.id, None)
        self.tellers.discard(job.id)
        if arrivals is not None:
            arrivals.lost()
            self._resent.job_ended(job.id)
        say = log.info if how.exit_status == 0 else log.warn
        say("{job}: {channel} {how}", job=job.id, channel=job.spec.channel.name, how=how.text)
        spec = job.spec
        if spec.role == "master":
            now = self._reactor.seconds()
            ids = self._scheduler.job_ended(job.id, how.worked, now, spec.channel.name, spec.host, spec.run)
            settled = self._attempts.job_ended(job.id, ids, how, job.held)
            settled.addCallback(lambda _: self._books.job_ended(job))
            if job.journal is not None:
                settled.addCallback(lambda _: job.journal.remove()).addErrback(_stays, job.id)
            # One that was told to stop, or was started by hand and left, says nothing about the next.
            told = how.stopped and not how.lost
            in_peace = told or (how.exit_status in (0, None) and how.signal is None)
            if not how.worked and not in_peace and not ids:
                self._died_idle(job, how)
        else:
            self._books.job_ended(job)
        for watcher in list(self.end_watchers):
            watcher(job, how)
        self._dispatch.kick()

    def _died_idle(self, job: Any, how: Any) -> None:
        """It died before anything was handed to it: one of those who wait for it learns why."""
        spec = job.spec
        ids = self._scheduler.claim(spec.channel.name, spec.host or "", 1)
        why = CannotStart(f"channel program {how.text}", temporary=True, status="4.3.0")
        self._unattempted.unreachable(ids, why, job.id)

    def start_failed(self, spec: Any, why: Any) -> None:
        learnt = 0
        if spec.role != "master" or not why.status:
            log.warn("{channel}: cannot start a job: {why}", channel=spec.channel.name, why=str(why))
        if spec.role == "master":
            now = self._reactor.seconds()
            channel, host = spec.channel.name, spec.host or ""
            unreachable = bool(why.status) and why.temporary
            self._scheduler.start_failed(channel, spec.host, now, spec.run, unreachable)
            if why.status:
                # The destination's fault, so somebody's mail learns of it: one entry that nobody
                # answers, every entry that there is no such host.
                if why.temporary:
                    # Of one that was bound to the host the schedule knows; then this only remembers it.
                    self._hosts.failed(channel, host, str(why), now)
            else:
                # Ours, so no recipient suffers for it: one entry tells the operator.
                why = CannotStart(str(why), temporary=True, status="4.3.0")
            ids = self._scheduler.claim(channel, host, 1 if why.temporary else CLAIM)
            learnt = len(ids)
            self._unattempted.unreachable(ids, why, spec.id)
        for watcher in list(self.failure_watchers):
            watcher(spec, why, learnt)
        self._dispatch.kick()

    def connection_rejected(self, spec: Any, transport: str, why: str) -> None:
        self._event(_Unborn(spec.id, spec), Event(event="rejected", transport=transport, text=why))


class _Unborn(msgspec.Struct, frozen=True):
    """What the books know a job by, of one that was never started."""

    id: str
    spec: Any


def _stays(why: Failure, job: str) -> None:
    log.warn("{job}: its journal stays: {why}", job=job, why=why.getErrorMessage())
