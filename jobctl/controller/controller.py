"""The Job Controller: builds its parts from the settings, joins them, starts and stops them in order."""

import os
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.logger import Logger

from jobctl.config.overlay import effective
from jobctl.config.settings import ChannelSettings, Settings
from jobctl.control.operations import Caller
from jobctl.controller.acts import Acts
from jobctl.controller.aging import Aging
from jobctl.controller.attempts import Attempts
from jobctl.controller.audit import Audit
from jobctl.controller.books import Books
from jobctl.controller.counters import CounterBook
from jobctl.controller.debugging import Debugging
from jobctl.controller.dispatch import Dispatch
from jobctl.controller.expansion import Expansion
from jobctl.controller.handler import JobHandler
from jobctl.controller.hosts import Hosts
from jobctl.controller.hot import HotMessages
from jobctl.controller.intake import Intake
from jobctl.controller.json_log import JsonLog
from jobctl.controller.judging import Judging
from jobctl.controller.live_changes import LiveChanges
from jobctl.controller.notices import Notices
from jobctl.controller.operations import Operations
from jobctl.controller.postponing import Postponing
from jobctl.controller.process_control import ProcessControl
from jobctl.controller.queries import Queries
from jobctl.controller.quotes import Quotes
from jobctl.controller.recording import Recorder
from jobctl.controller.reloads import Reloads
from jobctl.controller.rescheduling import Rescheduling
from jobctl.controller.resent import ResentMail
from jobctl.controller.server_jobs import LONGEST_PAUSE
from jobctl.controller.services import Services
from jobctl.controller.specs import Specs
from jobctl.controller.suspects import after_a_crash
from jobctl.controller.tally import Tally
from jobctl.controller.transaction_log import TransactionLog
from jobctl.controller.unattempted import Unattempted
from jobctl.controller.verdicts import Verdicts
from jobctl.jobs.attached import AttachedJob
from jobctl.jobs.environment import CannotStart
from jobctl.jobs.spec import JobSpec, SupervisorSettings
from jobctl.jobs.supervisor import Supervisor
from jobctl.mail.trace import new_envelope_id
from jobctl.net.resolvers import Resolvers
from jobctl.net.sockets import Sockets
from jobctl.routing.router import Router
from jobctl.schedule.queues import needs_new_programs
from jobctl.schedule.scheduler import Scheduler
from jobctl.store.sqlite import SQLiteStore

log = Logger()


class Controller:
    """
    Everything of one running daemon.

    :ivar jobs: Running jobs by id, attached ones included.
    :ivar starting: Master jobs asked for and not yet running, by id.
    :ivar started: Epoch seconds.
    :ivar json_log_file: Where the command line wants events as JSON, before what the settings say.
    :ivar configured: The settings as the configuration has them; ``settings``: with the operators' changes.
    :ivar gone: Names of channels that are not configured (any more) and may have mail.
    :param store: jobctl.interfaces.IMessageStore; ``None``: SQLite in the settings' queue directory.
    :param monotonic: Seconds of a clock that does not jump; ``None``: the reactor's does not.
    :param random: For jitter, and for what distinguishes the names of jobs of one life from those of others.
    """

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        store: Any = None,
        monotonic: Callable[[], float] | None = None,
        random: Random | None = None,
    ) -> None:
        random = random or Random()
        self.reactor = reactor
        self.settings = self.configured = settings
        self.gone: set[str] = set()
        self.live_changes = LiveChanges(self)
        self.started = reactor.seconds()
        self.router = Router(settings)
        queue = settings.controller.queue_directory
        self.store = store or SQLiteStore(reactor, queue, free_space=settings.controller.free_space)
        self.store.share_by(settings.controller.fair_share)
        self.scheduler = Scheduler(settings, random)
        self.hot = HotMessages()
        self.jobs: dict[str, Any] = {}
        self.starting: dict[str, JobSpec] = {}
        self.dispatch = Dispatch(
            reactor, settings, self.store, self.scheduler, self.hot, self.jobs, self.start_job
        )
        self.json_log = JsonLog(reactor)
        self.json_log_file = ""
        self.books = Books(reactor.seconds)
        self.transaction_log = TransactionLog(settings, reactor)
        self.books.books.append(self.transaction_log)
        self.intake = Intake(settings, self.router, self.store, self.hot, self._stored, reactor.seconds)
        self.notices = Notices(
            settings,
            self.intake,
            lambda: new_envelope_id(reactor.seconds(), self.settings.local_host).split("@")[0],
        )
        self.verdicts = Verdicts(settings, self.notices, random)
        self.recorder = Recorder(
            self.store,
            self.scheduler,
            self.hot,
            self.intake,
            reactor,
            self.dispatch.kick,
            self.dispatch.stand_still,
        )
        self.intake.queued.append(self.books.queued)
        self.recorder.settled.append(self.books.settled)
        self.quotes = Quotes(self.store, settings)
        self.hosts = Hosts(self.store, self.scheduler)
        self.attempts = Attempts(
            self.scheduler, self.recorder, self.verdicts, self.quotes, self.hosts, reactor.seconds
        )
        self.unattempted = Unattempted(
            self.store, self.scheduler, self.recorder, self.quotes, self.verdicts, reactor
        )
        self.dispatch.attempts = self.attempts
        if monotonic is not None:
            self.dispatch.monotonic = monotonic
        self.dispatch.expire = self.unattempted.expire
        self.dispatch.warn = self.unattempted.warn
        self.aging = Aging(self)
        self.dispatch.decided.append(Expansion(self).look)
        self.dispatch.postpone = Postponing(self.store, self.scheduler, reactor).postpone
        self.dispatch.judge = Judging(
            self.store, self.scheduler, self.verdicts, reactor, self.dispatch.kick
        ).judge
        self.tally = Tally()
        self.attempts.watchers.append(
            lambda attempt, verdicts: self.tally.attempted(attempt.job, attempt.stored, verdicts)
        )
        self.resent = ResentMail(self.store, reactor.seconds)
        self.handler = JobHandler(
            reactor,
            self.intake,
            self.store,
            self.scheduler,
            self.dispatch,
            self.attempts,
            self.unattempted,
            self.hosts,
            self.jobs,
            self._relay_from,
            self.books,
            self.resent,
        )
        self.handler.queries = self.queries = Queries(self)
        self.handler.spawn_watchers.append(self._job_spawned)
        self.handler.greet_watchers.append(self._job_greeted)
        self.handler.end_watchers.append(self._job_ended)
        self.handler.failure_watchers.append(self._start_failed)
        self.specs = Specs(self, random)
        self.handler.clear_wanted = self.specs.clear_wanted
        self._sent_directory = os.path.join(queue, "sent")
        self.resolvers = Resolvers(reactor)
        self.supervisor = Supervisor(
            reactor,
            self.handler,
            self.resolvers,
            self._supervision(),
            peer_spec=lambda name, master: self.specs.peer(name),
        )
        self.services = Services(reactor, lambda: self.supervisor, self.specs.server, self._retire)
        self.reloads = Reloads(self)
        self.rescheduling = Rescheduling(self)
        self.debugging = Debugging(self)
        self.debugging.set(settings.controller.debug)
        self.audit = Audit(self.store, reactor)
        self.counters = CounterBook(self)
        self.books.books.append(self.counters)
        self.process_control = ProcessControl(self)
        self.acts = Acts(self.store, reactor.seconds, lambda: self.settings.controller.audit_keep)
        self.operations = Operations(self)

    def listen(self) -> None:
        """
        Open the ports; connections wait in them until :meth:`serve`.

        :raises OSError: One cannot be had; the text names it.
        """
        self.services.listen(self.settings)

    def take(self) -> None:
        """
        Take the queue.

        :raises jobctl.errors.StoreError: It cannot be had.
        """
        self._write_events()
        self.store.open()

    def _write_events(self) -> None:
        self.json_log.write_to(self.json_log_file or self.settings.controller.json_log)

    async def start(self) -> None:
        """
        Remember what the queue has to say; nothing comes in or goes out yet.

        :raises jobctl.errors.StoreError: It cannot be read.
        """
        self.gone = {*await self.store.channels()} - self.settings.channels.keys()
        for name in sorted(self.gone):
            log.warn("channel {channel} is not configured; its mail stays and waits for it", channel=name)
        self.store.keep_finished(self.settings.controller.history_retention)
        await self.counters.restore()
        await self.resent.restore()
        await self.live_changes.restore()
        await self.acts.restore()
        await self.operations.changes.undoing.start()
        await self.operations.changes.hold_rules.restore()
        self.intake.hold_rules = self.operations.changes.hold_rules
        for name in await self.store.stopped():
            self.scheduler.stop(name)
        now = self.reactor.seconds()
        for channel, host, failures, until, _reply in await self.store.host_backoffs():
            self.scheduler.restore_host(channel, host, failures, until, now)
        await after_a_crash(self, self._sent_directory)

    def serve(self) -> None:
        """Let in who comes, and begin to deliver."""
        self.services.reconfigure(self.settings, {})
        self.reloads.begin()
        self.dispatch.kick()
        self.audit.start()
        self.aging.start()
        self.transaction_log.start()
        self.counters.start()

    def _retire(self, job_id: str) -> None:
        job = self.jobs.get(job_id)
        if job is not None:
            job.retire()

    def start_job(self, channel_name: str, host: str | None, run: str | None) -> None:
        """Start a master job (the schedule's wish, or an operator's)."""
        spec = self.specs.master(self.settings.channel(channel_name), host, run)
        self.starting[spec.id] = spec
        self.supervisor.start(spec)

    def attach(
        self, channel: ChannelSettings, role: str, run: str | None, transport: Any, caller: Caller
    ) -> AttachedJob:
        """A program started by hand becomes a job on its control connection."""
        spec = self.specs.by_hand(channel, role, run)
        log.info(
            "{job}: {role} of {channel} attached by {who}",
            job=spec.id,
            role=role,
            channel=channel.name,
            who=caller.name,
        )
        return self.supervisor.attach(spec, transport, caller.pid)

    def _relay_from(self, spec: JobSpec) -> tuple[str, ...] | None:
        """Whose clients may relay now; sessions of a service that is gone keep what they began with."""
        services = self.settings.services
        if spec.service is not None:
            return services.get(spec.service.name, spec.service).relay_from
        networks = [s.relay_from for s in services.values() if s.channel == spec.channel.name]
        return tuple(network for some in networks for network in some) if networks else None

    def _stored(self, entry: Any) -> None:
        self.scheduler.add(entry, entry.enqueued)
        self.tally.accepted(entry.channel)
        self.dispatch.kick()

    def _job_spawned(self, job: Any) -> None:
        self.starting.pop(job.id, None)

    def _job_greeted(self, job: Any) -> None:
        spec = job.spec
        if spec.role == "slave":
            self.services.greeted(job.id)
        elif spec.run is None and needs_new_programs(spec.channel, self.settings.channel(spec.channel.name)):
            # Settings have changed while it was being started.
            self.scheduler.job_stopping(job.id)
            job.retire()

    def _job_ended(self, job: Any, how: Any) -> None:
        self.jobs.pop(job.id, None)
        self.tally.forget(job.id)
        lived = self.reactor.seconds() - job.started
        self.services.ended(job.id, how.worked or lived >= LONGEST_PAUSE)

    def _start_failed(self, spec: JobSpec, why: CannotStart, learnt: int) -> None:
        self.starting.pop(spec.id, None)
        self.services.ended(spec.id, worked=False)

    def settings_changed(self) -> None:
        """The operators' changes are others: what they come to counts at once."""
        self.reconfigure(effective(self.configured, self.live_changes))

    def reconfigure(self, settings: Settings, opened: Sockets | None = None) -> None:
        """
        Everything works by these settings from now on; the one place that says so.

        Jobs with old ones are replaced after what they are doing; an operator's runs keep theirs.

        :param settings: The operators' changes included.
        :param opened: Sockets of services, of :meth:`Services.prepare`; ``None``: the services stay.
        """
        now = self.reactor.seconds()
        router, self.resolvers = Router(settings), Resolvers(self.reactor)
        self.gone = (self.gone | self.settings.channels.keys()) - settings.channels.keys()
        old, self.settings, self.router = self.settings, settings, router
        for part in (
            lambda: self.intake.reconfigure(settings, router),
            lambda: self.notices.reconfigure(settings),
            lambda: self.quotes.reconfigure(settings),
            lambda: self.verdicts.reconfigure(settings),
            lambda: self.debugging.set(settings.controller.debug),
            lambda: self.store.keep_free(settings.controller.free_space),
            lambda: self.store.share_by(settings.controller.fair_share),
            lambda: self.store.keep_finished(settings.controller.history_retention),
            self._write_events,
            lambda: self.transaction_log.reconfigure(settings),
            self.transaction_log.reopen,
            lambda: self.supervisor.reconfigure(self._supervision(), self.resolvers),
            lambda: self.dispatch.reconfigure(settings),
            lambda: self.scheduler.reconfigure(settings, now),
            lambda: self.services.reconfigure(settings, opened),
            lambda: self.rescheduling.changed(old, settings),
        ):
            try:
                part()
            except Exception:
                # All that can fail was tried before; settings that are half the old ones would be worse.
                log.failure("bug while new settings are applied; the other parts have them")
        self.dispatch.kick()

    def _supervision(self) -> SupervisorSettings:
        return SupervisorSettings(
            sent_directory=self._sent_directory,
            mta=self.settings.mta,
            stop_timeout=self.settings.controller.stop_timeout,
        )

    async def stop(self) -> None:
        """
        Stop in order: no new work, jobs finish what they hold, results are recorded, the queue is let go.

        Takes at most the jobs' stop_timeout and a little; loses nothing whenever it is cut short.
        """
        self.reloads.stop()
        self.rescheduling.stop()
        await self.operations.changes.stop()
        self.dispatch.stop()
        self.queries.stop()
        self.audit.stop()
        self.aging.stop()
        await self.services.stop()
        await self.supervisor.stop_all(self.settings.controller.stop_timeout)
        await self.attempts.finish()
        self.transaction_log.stop()
        await self.counters.stop()
        await self.store.close()
        self.json_log.stop()
