"""The Job Controller: builds its parts from the settings, joins them, starts and stops them in order."""

import os
import random
import secrets
import socket
from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger

from jobctl.config.overlay import effective
from jobctl.config.settings import ChannelSettings, ServiceSettings, Settings
from jobctl.control.operations import Caller
from jobctl.controller.attempts import Attempts
from jobctl.controller.audit import Audit
from jobctl.controller.debugging import Debugging
from jobctl.controller.dispatch import Dispatch
from jobctl.controller.handler import JobHandler
from jobctl.controller.hosts import Hosts
from jobctl.controller.hot import HotMessages
from jobctl.controller.intake import Intake
from jobctl.controller.live_changes import LiveChanges
from jobctl.controller.notices import Notices
from jobctl.controller.operations import Operations
from jobctl.controller.quotes import Quotes
from jobctl.controller.recording import Recorder
from jobctl.controller.server_jobs import LONGEST_PAUSE, ServerJobs
from jobctl.controller.suspects import after_a_crash
from jobctl.controller.tally import Tally
from jobctl.controller.unattempted import Unattempted
from jobctl.controller.verdicts import Verdicts
from jobctl.jobs.attached import AttachedJob
from jobctl.jobs.environment import CannotStart
from jobctl.jobs.inbound import InboundFactory
from jobctl.jobs.spec import JobSpec, SupervisorSettings
from jobctl.jobs.supervisor import Supervisor
from jobctl.mail.trace import new_envelope_id
from jobctl.net.listeners import open_listener
from jobctl.net.resolver import Resolver
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
    :ivar configured: The settings as the configuration has them; ``settings``: with the operators' changes.
    :param store: jobctl.interfaces.IMessageStore; ``None``: SQLite in the settings' queue directory.
    """

    def __init__(self, reactor: Any, settings: Settings, store: Any = None) -> None:
        self.reactor = reactor
        self.settings = self.configured = settings
        self.live_changes = LiveChanges(self)
        self.started = reactor.seconds()
        self.router = Router(settings)
        queue = settings.controller.queue_directory
        self.store = store or SQLiteStore(reactor, queue, free_space=settings.controller.free_space)
        self.scheduler = Scheduler(settings, random.Random())
        self.hot = HotMessages()
        self.jobs: dict[str, Any] = {}
        self.starting: dict[str, JobSpec] = {}
        self.dispatch = Dispatch(
            reactor, settings, self.store, self.scheduler, self.hot, self.jobs, self.start_job
        )
        self.intake = Intake(settings, self.router, self.store, self.hot, self._stored, reactor.seconds)
        self.notices = Notices(
            settings,
            self.intake,
            lambda: new_envelope_id(reactor.seconds(), settings.local_host).split("@")[0],
        )
        self.verdicts = Verdicts(settings, self.notices, random.Random())
        self.recorder = Recorder(
            self.store,
            self.scheduler,
            self.hot,
            self.intake,
            reactor,
            self.dispatch.kick,
            self.dispatch.stand_still,
        )
        self.quotes = Quotes(self.store)
        self.hosts = Hosts(self.store, self.scheduler)
        self.attempts = Attempts(
            self.scheduler, self.recorder, self.verdicts, self.quotes, self.hosts, reactor.seconds
        )
        self.unattempted = Unattempted(
            self.store, self.scheduler, self.recorder, self.quotes, self.verdicts, reactor
        )
        self.dispatch.attempts = self.attempts
        self.dispatch.expire = self.unattempted.expire
        self.tally = Tally()
        self.attempts.watchers.append(lambda attempt, verdicts: self.tally.attempted(attempt.job, verdicts))
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
        )
        self.handler.spawn_watchers.append(self._job_spawned)
        self.handler.greet_watchers.append(self._job_greeted)
        self.handler.end_watchers.append(self._job_ended)
        self.handler.failure_watchers.append(self._start_failed)
        self._sent_directory = os.path.join(queue, "sent")
        self.supervisor = Supervisor(
            reactor,
            self.handler,
            Resolver(reactor),
            SupervisorSettings(
                sent_directory=self._sent_directory,
                mta=settings.mta,
                stop_timeout=settings.controller.stop_timeout,
            ),
            peer_spec=self._peer,
        )
        # By service.
        self._listening: dict[str, list[socket.socket]] = {}
        self._ports: list[Any] = []
        self._servers: dict[str, ServerJobs] = {}
        self._services: dict[str, ServiceSettings] = {}
        # Names of jobs are unique over restarts: journals of a former life carry them.
        self._life = secrets.token_hex(2)
        self._jobs_made = 0
        self.debugging = Debugging(self)
        self.debugging.set(settings.controller.debug)
        self.audit = Audit(self.store, reactor)
        self.operations = Operations(self)

    def listen(self) -> None:
        """
        Open the ports; connections wait in them until :meth:`serve`.

        :raises OSError: One cannot be had; the text names it.
        """
        for service in self.settings.services.values():
            sockets = self._listening[service.name] = []
            sockets += (open_listener(endpoint, service.backlog) for endpoint in service.listen)

    def take(self) -> None:
        """
        Take the queue.

        :raises jobctl.errors.StoreError: It cannot be had.
        """
        self.store.open()

    async def start(self) -> None:
        """
        Remember what the queue has to say; nothing comes in or goes out yet.

        :raises jobctl.errors.StoreError: It cannot be read.
        """
        await self.live_changes.restore()
        for name in await self.store.stopped():
            self.scheduler.stop(name)
        now = self.reactor.seconds()
        for channel, host, failures, until, _reply in await self.store.host_backoffs():
            self.scheduler.restore_host(channel, host, failures, until, now)
        await after_a_crash(self, self._sent_directory)

    def serve(self) -> None:
        """Let in who comes, and begin to deliver."""
        for service in self.settings.services.values():
            self._serve(service)
        self.dispatch.kick()
        self.audit.start()

    def _serve(self, service: ServiceSettings) -> None:
        channel = self.settings.channels[service.channel]
        sockets = self._listening[service.name]
        if channel.transport is None:
            fds = tuple(one.fileno() for one in sockets)
            servers = self._servers[service.name] = ServerJobs(
                self.reactor, service, fds, self._start_server, self._stop_server
            )
            servers.fill()
            return
        factory = InboundFactory(
            self.supervisor,
            lambda: self._spec(self.settings.channels[service.channel], "slave", service=service),
            service.max_conns,
        )
        for one in sockets:
            self._ports.append(self.reactor.adoptStreamPort(one.fileno(), one.family, factory))

    def _start_server(self, service: ServiceSettings, listen: tuple[int, ...]) -> str:
        spec = self._spec(self.settings.channels[service.channel], "slave", service=service, listen=listen)
        self._services[spec.id] = service
        self.supervisor.start(spec)
        return spec.id

    def _stop_server(self, job_id: str) -> None:
        job = self.jobs.get(job_id)
        if job is not None:
            job.stop()

    def start_job(self, channel_name: str, host: str | None, run: str | None) -> None:
        """Start a master job (the schedule's wish, or an operator's)."""
        spec = self._spec(self.settings.channels[channel_name], "master", host=host, run=run)
        self.starting[spec.id] = spec
        self.supervisor.start(spec)

    def _peer(self, channel_name: str, master: JobSpec) -> JobSpec:
        """
        The slave that a channel with ``transport = "channel:..."`` is joined to.

        :raises CannotStart: There is none.
        """
        channel = self.settings.channels.get(channel_name)
        if channel is None:
            raise CannotStart(f"channel {channel_name} is not configured", temporary=False)
        if not channel.slave_command:
            raise CannotStart(f"channel {channel_name} has no slave program", temporary=False)
        return self._spec(channel, "slave")

    def _spec(
        self,
        channel: ChannelSettings,
        role: str,
        *,
        host: str | None = None,
        run: str | None = None,
        service: ServiceSettings | None = None,
        listen: tuple[int, ...] = (),
    ) -> JobSpec:
        debug = channel.master_debug if role == "master" else channel.slave_debug
        option_file = channel.keywords.get("option_file")
        return JobSpec(
            id=self._name(channel.name),
            channel=channel,
            role=role,
            argv=channel.master_command if role == "master" else channel.slave_command,
            host=host,
            run=run,
            service=service,
            listen=listen,
            debug=debug or run is not None,
            environment={"PMDF_CHANNEL_OPTION": str(option_file)} if option_file else {},
        )

    def attach(
        self, channel: ChannelSettings, role: str, run: str | None, transport: Any, caller: Caller
    ) -> AttachedJob:
        """A program started by hand becomes a job on its control connection."""
        spec = JobSpec(id=self._name(channel.name), channel=channel, role=role, argv=(), run=run)
        log.info(
            "{job}: {role} of {channel} attached by {who}",
            job=spec.id,
            role=role,
            channel=channel.name,
            who=caller.name,
        )
        return self.supervisor.attach(spec, transport, caller.pid)

    def _name(self, channel: str) -> str:
        self._jobs_made += 1
        return f"{channel.replace('$', '-')}.{self._life}.{self._jobs_made}"

    def _relay_from(self, spec: JobSpec) -> tuple[str, ...] | None:
        if spec.service is not None:
            return spec.service.relay_from
        networks = [s.relay_from for s in self.settings.services.values() if s.channel == spec.channel.name]
        return tuple(network for some in networks for network in some) if networks else None

    def _stored(self, entry: Any) -> None:
        self.scheduler.add(entry, entry.enqueued)
        self.dispatch.kick()

    def _job_spawned(self, job: Any) -> None:
        self.starting.pop(job.id, None)

    def _job_greeted(self, job: Any) -> None:
        service = self._services.get(job.id)
        if service is not None:
            self._servers[service.name].greeted(job.id)

    def _job_ended(self, job: Any, how: Any) -> None:
        self.jobs.pop(job.id, None)
        self.tally.forget(job.id)
        lived = self.reactor.seconds() - job.started
        self._server_ended(job.spec, how.worked or lived >= LONGEST_PAUSE)

    def _start_failed(self, spec: JobSpec, why: CannotStart, learnt: int) -> None:
        self.starting.pop(spec.id, None)
        self._server_ended(spec, worked=False)

    def _server_ended(self, spec: JobSpec, worked: bool) -> None:
        service = self._services.pop(spec.id, None)
        if service is not None:
            self._servers[service.name].ended(spec.id, worked)

    def settings_changed(self) -> None:
        """``configured`` or the operators' changes are others: what they come to counts at once."""
        old, new = self.settings.channels, effective(self.configured, self.live_changes)
        self.settings = self.dispatch.settings = new
        self.debugging.set(new.controller.debug)
        self.scheduler.reconfigure(new, self.reactor.seconds())
        self.replace_servers(
            name
            for name in old.keys() & new.channels.keys()
            if needs_new_programs(old[name], new.channels[name])
        )
        self.dispatch.kick()

    def replace_servers(self, channels: Iterable[str]) -> list[str]:
        """
        Replace the server jobs of these channels by new ones, no client noticing.

        :return: Names of the services.
        """
        meant = set(channels)
        replaced = []
        for name, servers in self._servers.items():
            if self.settings.services[name].channel in meant:
                servers.replace()
                replaced.append(name)
        return replaced

    async def stop(self) -> None:
        """
        Stop in order: no new work, jobs finish what they hold, results are recorded, the queue is let go.

        Takes at most the jobs' stop_timeout and a little; loses nothing whenever it is cut short.
        """
        self.dispatch.stop()
        self.audit.stop()
        for servers in self._servers.values():
            servers.stop()
        for port in self._ports:
            await maybeDeferred(port.stopListening)
        for sockets in self._listening.values():
            for one in sockets:
                one.close()
        await self.supervisor.stop_all(self.settings.controller.stop_timeout)
        await self.attempts.finish()
        await self.store.close()
