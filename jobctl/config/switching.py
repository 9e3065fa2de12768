"""Which source channels a client can come to, beginning at that of its service (channels reference 1.6)."""

from collections.abc import Iterator, Mapping

from jobctl.config.findings import Findings
from jobctl.config.keys import did_you_mean
from jobctl.config.reading import Table
from jobctl.config.settings import ChannelSettings

_SWITCHES = ("tlsswitchchannel", "saslswitchchannel")


def check_switches(
    channels: Mapping[str, ChannelSettings], merged: Mapping[str, Table], findings: Findings
) -> None:
    """:param merged: What each channel's section says, defaults included."""
    for table in merged.values():
        for word in _SWITCHES:
            given = table.get(word)
            if given is not None and given.value not in channels:
                findings.problem_once(
                    given.where,
                    f"channel {given.value!r} is not configured{did_you_mean(str(given.value), channels)}",
                )


def proved(channels: Mapping[str, ChannelSettings], start: ChannelSettings) -> tuple[ChannelSettings, ...]:
    """The channels to which STARTTLS and AUTH lead from this one, itself not among them."""
    return tuple(_beyond(channels, [start]))


def reachable(channels: Mapping[str, ChannelSettings], start: ChannelSettings) -> tuple[ChannelSettings, ...]:
    """Every other channel to which a client of this one can come."""
    chosen = choices(channels, start)
    return (*chosen, *_beyond(channels, [start, *chosen]))


def choices(channels: Mapping[str, ChannelSettings], start: ChannelSettings) -> list[ChannelSettings]:
    """The channels that a client's address or name can choose instead of this one."""
    if start.switchchannel != "switchchannel":
        return []
    return [one for one in channels.values() if one.name != start.name and may_choose(one)]


def may_choose(channel: ChannelSettings) -> bool:
    """Whether a client's address or name may choose this channel: one that mail comes in by."""
    return channel.switchchannel != "noswitchchannel" and bool(channel.slave_command)


def _beyond(
    channels: Mapping[str, ChannelSettings], starts: list[ChannelSettings]
) -> Iterator[ChannelSettings]:
    seen = {one.name for one in starts}
    waiting = list(starts)
    while waiting:
        channel = waiting.pop(0)
        for name in (channel.tlsswitchchannel, channel.saslswitchchannel):
            if name is not None and name not in seen and name in channels:
                seen.add(name)
                waiting.append(channels[name])
                yield channels[name]
