"""Where mail comes in: the services' sockets and their programs, as they are and as they change."""

from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from twisted.internet.defer import maybeDeferred

from jobctl.config.settings import ServiceSettings, Settings
from jobctl.config.switching import reachable
from jobctl.controller.server_jobs import ServerJobs
from jobctl.jobs.inbound import InboundFactory
from jobctl.jobs.spec import JobSpec
from jobctl.net.sockets import ListeningSockets, Place, Sockets, place
from jobctl.schedule.queues import needs_new_programs

# Fields of a service that its programs do not look at.
_OURS = ("min_procs", "backlog")


class Services:
    """
    Every service that is served.

    :param supervisor: Gives the :class:`jobctl.jobs.supervisor.Supervisor`.
    :param make_spec: Makes the spec of a server job for (service, descriptors of its sockets).
    :param retire: Tells a job (by id) to take no more and to end with its last session.
    """

    def __init__(
        self,
        reactor: Any,
        supervisor: Callable[[], Any],
        make_spec: Callable[[ServiceSettings, tuple[int, ...]], JobSpec],
        retire: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._supervisor = supervisor
        self._make_spec = make_spec
        self._retire = retire
        self._sockets = ListeningSockets()
        self._settings: Settings | None = None
        self._servers: dict[str, ServerJobs] = {}
        # Services whose programs serve one connection each: connections are accepted here.
        self._factories: dict[str, InboundFactory] = {}
        self._ports: dict[Place, Any] = {}
        # Which server job belongs to whom, former services included.
        self._jobs: dict[str, ServerJobs] = {}

    def listen(self, settings: Settings) -> None:
        """
        Open the ports before anything is served; connections wait in them.

        :raises OSError: One cannot be had; the text names it.
        """
        services = settings.services.values()
        self._sockets.keep(services, self._sockets.open(services))

    def prepare(self, settings: Settings) -> Sockets:
        """
        Open what these settings want and is not open, for :meth:`reconfigure`.

        :raises OSError: A port cannot be had; nothing has changed.
        """
        return self._sockets.open(settings.services.values())

    def reconfigure(self, settings: Settings, opened: Sockets | None) -> None:
        """
        Serve as these settings say; sessions under way go on as they began.

        :param opened: Of :meth:`prepare`; ``None``: the services are the same, or nothing is served yet.
        """
        if opened is None and self._settings is None:
            return
        before, self._settings = self._settings, settings
        self._sockets.keep(settings.services.values(), opened or {})
        own = {name: one for name, one in settings.services.items() if _accepts_itself(settings, one)}
        for name in [name for name in self._servers if name not in own]:
            self._servers.pop(name).close()
        for service in own.values():
            self._serve(service, before, settings)
        self._accept({name: one for name, one in settings.services.items() if name not in own})

    def _serve(self, service: ServiceSettings, before: Settings | None, now: Settings) -> None:
        """By programs that accept connections themselves: as before, in another number, or by new ones."""
        listen = tuple(one.fileno() for one in self._sockets.of(service))
        servers = self._servers.get(service.name)
        if servers is None or before is None:
            servers = ServerJobs(self._reactor, service, listen, self._start, self._retire)
            self._servers[service.name] = servers
            servers.fill()
            return
        old = before.services[service.name]
        if (
            _for_programs(old) != _for_programs(service)
            or before.mta != now.mta
            or needs_new_programs(before.channel(old.channel), now.channel(service.channel))
            or _switches_otherwise(before, now, service.channel)
        ):
            servers.replace(service, listen)
        elif old != service:
            servers.resize(service)

    def _start(self, servers: ServerJobs, service: ServiceSettings, listen: tuple[int, ...]) -> str:
        spec = self._make_spec(service, listen)
        self._jobs[spec.id] = servers
        self._supervisor().start(spec)
        return spec.id

    def _accept(self, services: dict[str, ServiceSettings]) -> None:
        """Accept for these; each connection gets a program with the settings of that moment."""
        wanted: dict[Place, ServiceSettings] = {}
        factories: dict[str, InboundFactory] = {}
        for name, service in services.items():

            def make_spec(service: ServiceSettings = service) -> JobSpec:
                return self._make_spec(service, ())

            factory = self._factories.get(name)
            if factory is None:
                factory = InboundFactory(self._supervisor(), make_spec, service)
            factory.reconfigure(make_spec, service)
            factories[name] = factory
            wanted.update((place(name, endpoint), service) for endpoint in service.listen)
        for where, port in list(self._ports.items()):
            if where not in wanted or port.factory is not factories[wanted[where].name]:
                port.stopListening()
                del self._ports[where]
        for where, service in wanted.items():
            if where not in self._ports:
                one = self._sockets.sockets[where]
                self._ports[where] = self._reactor.adoptStreamPort(
                    one.fileno(), one.family, factories[service.name]
                )
        self._factories = factories

    def replace(self, channels: Iterable[str]) -> list[str]:
        """
        Put new server jobs in the place of those that bring mail in by these channels, no client noticing.

        :return: Names of the services.
        """
        meant = set(channels)
        settings = self._settings
        names = [] if settings is None else list(self._servers)
        chosen = [name for name in names if settings and settings.services[name].channel in meant]
        for name in chosen:
            self._servers[name].replace()
        return chosen

    def greeted(self, job: str) -> None:
        """A job has said hello."""
        servers = self._jobs.get(job)
        if servers is not None:
            servers.greeted(job)

    def ended(self, job: str, worked: bool) -> None:
        """A job is over, or could not be started; ``worked``: it brought mail in, or lived for a while."""
        servers = self._jobs.pop(job, None)
        if servers is not None:
            servers.ended(job, worked)

    async def stop(self) -> None:
        """Take nothing more."""
        for servers in self._servers.values():
            servers.stop()
        for port in self._ports.values():
            await maybeDeferred(port.stopListening)
        self._ports = {}
        self._sockets.close()


def _accepts_itself(settings: Settings, service: ServiceSettings) -> bool:
    return settings.channels[service.channel].transport is None


def _switches_otherwise(before: Settings, now: Settings, name: str) -> bool:
    """Whether clients of a channel come to others than before, or to others in what they are told."""
    channel = now.channel(name)
    old, new = reachable(before.channels, before.channel(name)), reachable(now.channels, channel)
    if len(old) != len(new):
        return True
    # Programs remember which client stands for which channel.
    if channel.switchchannel == "switchchannel" and _said(before) != _said(now):
        return True
    return any(a.name != b.name or needs_new_programs(a, b) for a, b in zip(old, new, strict=True))


def _said(settings: Settings) -> list[tuple[str, str]]:
    """The rewrite rules, wherever they stand in the file."""
    return [(rule.pattern, rule.template) for rule in settings.rules]


def _for_programs(service: ServiceSettings) -> dict[str, object]:
    fields = msgspec.structs.asdict(service)
    return {name: value for name, value in fields.items() if name not in _OURS}
