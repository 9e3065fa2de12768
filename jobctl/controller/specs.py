"""What jobs are started with: made of the settings at that moment."""

from random import Random
from typing import Any

from jobctl.config.settings import ChannelSettings, ServiceSettings
from jobctl.config.switching import reachable
from jobctl.jobs.environment import CannotStart
from jobctl.jobs.spec import JobSpec

# Hosts remembered whose next connection is to be in the clear: one of each is made before long.
MOST_IN_CLEAR = 10_000


class Specs:
    """:param controller: Whose settings count."""

    def __init__(self, controller: Any, random: Random) -> None:
        self._at = controller
        # Names of jobs are unique over restarts: journals of a former life carry them.
        self._life = f"{random.getrandbits(16):04x}"
        self._made = 0
        self._in_clear: dict[tuple[str, str | None], None] = {}

    def master(self, channel: ChannelSettings, host: str | None, run: str | None) -> JobSpec:
        """:param host: Of a program that is joined to one."""
        # What goes first when an operator runs it is not what the schedule would give out.
        known = channel.transport is not None and run is None
        attempt = self._at.scheduler.attempt(channel.name, host or "") if known else -1
        return self._spec(
            channel, "master", host=host, run=run, in_clear=self._how(channel, host), attempt=attempt
        )

    def server(self, service: ServiceSettings, listen: tuple[int, ...]) -> JobSpec:
        """A job of a service, with its listening sockets."""
        return self._spec(
            self._at.settings.channels[service.channel], "slave", service=service, listen=listen
        )

    def peer(self, channel_name: str) -> JobSpec:
        """
        The slave that a channel with ``transport = "channel:..."`` is joined to.

        :raises CannotStart: There is none.
        """
        channel = self._at.settings.channels.get(channel_name)
        if channel is None:
            raise CannotStart(f"channel {channel_name} is not configured", temporary=False)
        if not channel.slave_command:
            raise CannotStart(f"channel {channel_name} has no slave program", temporary=False)
        return self._spec(channel, "slave", offers=self._offers(channel.name))

    def by_hand(self, channel: ChannelSettings, role: str, run: str | None) -> JobSpec:
        """Of a program that somebody else has started."""
        offers = self._offers(channel.name) if role == "slave" else None
        return JobSpec(
            id=self._name(channel.name),
            channel=channel,
            role=role,
            argv=(),
            run=run,
            offers=offers,
            others=self._others(channel, role),
        )

    def clear_wanted(self, job: Any) -> None:
        """Policy ``may``, and TLS did not come about: the next connection there does without, once."""
        spec = job.spec
        if not spec.in_clear:
            return
        if len(self._in_clear) >= MOST_IN_CLEAR:
            self._in_clear.clear()
        self._in_clear[spec.channel.name, spec.host] = None

    def _how(self, channel: ChannelSettings, host: str | None) -> str:
        if channel.transport is None:
            return ""
        key = (channel.name, host)
        if key in self._in_clear:
            del self._in_clear[key]
            return "now"
        return "offered"

    def _offers(self, channel: str) -> ServiceSettings | None:
        """The service of a channel, for slaves that come by another way."""
        return next((one for one in self._at.settings.services.values() if one.channel == channel), None)

    def _spec(
        self,
        channel: ChannelSettings,
        role: str,
        *,
        host: str | None = None,
        run: str | None = None,
        service: ServiceSettings | None = None,
        offers: ServiceSettings | None = None,
        listen: tuple[int, ...] = (),
        in_clear: str = "",
        attempt: int = -1,
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
            offers=offers,
            others=self._others(channel, role),
            listen=listen,
            debug=debug or run is not None,
            in_clear=in_clear,
            attempt=attempt,
            environment={"PMDF_CHANNEL_OPTION": str(option_file)} if option_file else {},
        )

    def _others(self, channel: ChannelSettings, role: str) -> tuple[ChannelSettings, ...]:
        """The channels that clients of a slave can come to."""
        return reachable(self._at.settings.channels, channel) if role == "slave" else ()

    def _name(self, channel: str) -> str:
        self._made += 1
        return f"{channel.replace('$', '-')}.{self._life}.{self._made}"
