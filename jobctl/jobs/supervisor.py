"""Start jobs, keep them until they end, and end them all."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.task import deferLater
from twisted.logger import Logger

from jobctl.jobs.attached import AttachedJob
from jobctl.jobs.bridge import join_socket, start_channel, start_command, start_tcp
from jobctl.jobs.child import prepare
from jobctl.jobs.conversation import LOOKS, Conversation
from jobctl.jobs.environment import CannotStart
from jobctl.jobs.job import SENT, Job
from jobctl.jobs.orphans import Orphans
from jobctl.jobs.shared import Abortable, Shared
from jobctl.jobs.socket_bridge import SocketBridge
from jobctl.jobs.spec import Ended, JobSpec, SupervisorSettings
from jobctl.jobs.unwilling import Unwilling

log = Logger()


class Supervisor:
    """
    All jobs.

    :ivar jobs: Those that were spawned and are not over, by id.
    :param handler: :class:`jobctl.interfaces.IJobHandler`.
    :param resolver: :class:`jobctl.net.resolvers.Resolvers`; only channels with transport ``tcp`` need it.
    :param peer_spec: For ``transport = "channel:NAME"``: called with NAME and the master's spec, gives
        the spec of the slave; raises :class:`CannotStart` when there is no such channel.
    :param clock: For timers, the reactor when ``None``.
    """

    def __init__(
        self,
        reactor: Any,
        handler: Any,
        resolver: Any,
        settings: SupervisorSettings,
        peer_spec: Callable[[str, JobSpec], JobSpec] | None = None,
        clock: Any = None,
    ) -> None:
        self.jobs: dict[str, Conversation] = {}
        self.clock = clock or reactor
        self._orphans = Orphans(reactor, lambda: self.jobs)
        self._shared = Shared(
            reactor,
            self.clock,
            handler,
            settings,
            self._ended,
            self._keep,
            self._release,
            self._orphans.hunt,
            Unwilling(self.clock),
        )
        self._handler = handler
        self._resolver = resolver
        self._peer_spec = peer_spec
        self._starting: dict[str, Deferred[None]] = {}
        self._aside: dict[int, Abortable] = {}
        self._looking: Any = None
        self._stopping = False
        self._all_gone: list[Deferred[None]] = []

    def reconfigure(self, settings: SupervisorSettings, resolver: Any) -> None:
        """What is started from now on has these; what runs has the times, too."""
        self._shared.settings = settings
        self._resolver = resolver

    def adopt_orphans(self) -> None:
        """Be the parent of what programs leave behind, until :meth:`stop_all` is done."""
        self._orphans.adopt()

    def start(self, spec: JobSpec) -> None:
        """
        Start a job.  In a later turn of the reactor the handler gets ``job_spawned`` or
        ``start_failed``, exactly one of them.
        """
        starting = Deferred.fromCoroutine(self._start(spec))
        if not starting.called:
            self._starting[spec.id] = starting

    def start_on_connection(self, spec: JobSpec, connection: SocketBridge) -> None:
        """
        Start a slave for a connection that was accepted; the handler hears of it as with
        :meth:`start`, before this returns.

        :param connection: Connected; closed with a 421 when the program cannot be started.
        """
        try:
            join_socket(self._spawn, self._shared, spec, connection)
        except CannotStart as why:
            connection.refuse("421 4.3.2 service not available, try again later")
            self._failed(spec, why)

    def reject(self, spec: JobSpec, transport: str, why: str) -> None:
        """
        A connection gets no slave; the handler hears of it.

        :param spec: Of the slave that it would have got.
        :param transport: Which connection.
        """
        try:
            self._handler.connection_rejected(spec, transport, why)
        except Exception:
            log.failure("{job}: bug while handling that a connection was rejected", job=spec.id)

    def attach(self, spec: JobSpec, transport: Any, pid: int | None = None) -> AttachedJob:
        """
        Take in a program started by hand; ``job_spawned`` is called before this returns.

        :param transport: The connection it came over; give what it says to ``dataReceived``.
        """
        job = AttachedJob(spec, self._shared, transport, pid)
        self._begin(job)
        job.start()
        return job

    def stop_all(self, timeout: float | None = None) -> Deferred[None]:
        """
        Stop everything, for good: what was asked for and has not begun, or is asked for now, fails.

        :param timeout: Seconds until SIGTERM, ``stop_timeout`` when ``None``.
        :return: Fires when nothing that this object started runs any more.
        """
        self._stopping = True
        gone: Deferred[None] = Deferred()
        self._all_gone.append(gone)
        for starting in list(self._starting.values()):
            starting.cancel()
        for job in list(self.jobs.values()):
            job.stop(timeout)
        self._check_gone()
        return gone

    async def _start(self, spec: JobSpec) -> None:
        try:
            # Not within the call: the caller is in the middle of its plan.  Several starts also
            # share the reactor with what else goes on.
            await deferLater(self._shared.reactor, 0)
            transport = spec.channel.transport if spec.role == "master" else None
            if transport is None:
                self._spawn(spec, {}, None)
            elif transport == "tcp":
                await start_tcp(self._spawn, self._shared, self._resolver, spec)
            elif transport.startswith("command:"):
                start_command(self._spawn, self._shared, spec, transport.removeprefix("command:"))
            elif transport.startswith("channel:") and self._peer_spec is not None:
                start_channel(self._spawn, spec, self._peer_spec(transport.removeprefix("channel:"), spec))
            else:
                raise CannotStart(f"transport {transport} is not known", temporary=False)
        except CannotStart as why:
            self._failed(spec, why)
        except (CancelledError, ConnectingCancelledError):
            self._failed(spec, CannotStart("stopped before it began", temporary=True))
        except Exception:
            log.failure("{job}: bug while starting it", job=spec.id)
            self._failed(spec, CannotStart("an error in the controller", temporary=True))
        finally:
            self._starting.pop(spec.id, None)
            self._check_gone()

    def _spawn(self, spec: JobSpec, variables: dict[str, str], stdio: tuple[int, int] | None) -> Job:
        """:raises CannotStart: No job came to be."""
        if self._stopping:
            raise CannotStart("the controller is stopping", temporary=True)
        variables = {
            **spec.environment,
            **variables,
            "PMDF_CHANNEL": spec.channel.name,
            "JOBCTL_JOB": spec.id,
        }
        if spec.role == "master":
            variables["JOBCTL_SENT_FD"] = str(SENT)
        program = prepare(spec.argv, variables, spec.channel)
        job = Job(spec, self._shared)
        job.start(program, stdio)
        self._begin(job)
        return job

    def _begin(self, job: Conversation) -> None:
        self.jobs[job.id] = job
        if self._looking is None:
            self._look_later()
        try:
            self._handler.job_spawned(job)
        except Exception:
            log.failure("{job}: bug while handling its start", job=job.id)
            job.end("was ended because of an error in the controller")

    def _failed(self, spec: JobSpec, why: CannotStart) -> None:
        try:
            self._handler.start_failed(spec, why)
        except Exception:
            log.failure("{job}: bug while handling that it did not start", job=spec.id)

    def _look_later(self) -> None:
        self._looking = self._shared.clock.callLater(self._shared.settings.silence / LOOKS, self._look)

    def _look(self) -> None:
        """One timer for all jobs: who is stuck?"""
        for job in list(self.jobs.values()):
            job.look()
        self._look_later()

    def _ended(self, job: Conversation, how: Ended) -> None:
        self.jobs.pop(job.id, None)
        if not self.jobs and self._looking is not None:
            self._looking.cancel()
            self._looking = None
        self._orphans.hunt()
        try:
            self._handler.job_ended(job, how)
        except Exception:
            log.failure("{job}: bug while handling its end", job=job.id)
        self._check_gone()

    def _keep(self, other: Abortable) -> None:
        self._aside[id(other)] = other

    def _release(self, other: Abortable) -> None:
        self._aside.pop(id(other), None)
        self._check_gone()

    def _check_gone(self) -> None:
        if not self._all_gone or self.jobs or self._starting:
            return
        for other in list(self._aside.values()):
            other.abort()
        if not self._aside:
            self._orphans.release()
            gone, self._all_gone = self._all_gone, []
            for waiting in gone:
                waiting.callback(None)
