"""What operators changed in the running Job Controller (``cache change``), laid over the configuration."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from jobctl.config.classes import ChannelClass
from jobctl.config.keys import Key, did_you_mean
from jobctl.config.keys_controller import CHANNEL_CLASS, CONTROLLER
from jobctl.config.keywords import KEYWORDS
from jobctl.config.settings import ChannelSettings, Settings
from jobctl.config.values import convert

GLOBAL, CHANNEL, TEMPLATE = "global", "channel", "template"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """
    One value that an operator set.

    :ivar scope: :data:`GLOBAL`, :data:`CHANNEL` or :data:`TEMPLATE`, whose ``name`` is a class's pattern.
    :ivar option: As ``cache change`` spells it, with ``_``: ``job_limit``.
    :ivar value: As given; :func:`checked` has seen that it will do.
    :ivar since: Epoch seconds.
    :ivar persistent: It survives a restart.
    """

    scope: str
    name: str
    option: str
    value: str
    author: str = ""
    since: float = 0.0
    persistent: bool = False

    @property
    def place(self) -> tuple[str, str, str]:
        """What is set: of two changes of the same place the later one counts."""
        return self.scope, self.name, self.option


class _Option(NamedTuple):
    """Where the configuration has it, and the field of the settings."""

    key: Key
    field: str


def _option(table: Any, name: str, field: str = "") -> _Option:
    return _Option(table.find(name), field or name)


_COMMANDS = {
    "master_job": _option(CHANNEL_CLASS, "master_command"),
    "slave_job": _option(CHANNEL_CLASS, "slave_command"),
}
OPTIONS: dict[str, dict[str, _Option]] = {
    GLOBAL: {
        "max_messages": _option(CONTROLLER, "max_cache_messages"),
        "debug": _option(CONTROLLER, "debug"),
    },
    CHANNEL: {
        "job_limit": _option(KEYWORDS, "maxjobs"),
        "thread_depth": _option(KEYWORDS, "threaddepth"),
        **_COMMANDS,
        "master_debug": _option(KEYWORDS, "master_debug"),
        "slave_debug": _option(KEYWORDS, "slave_debug"),
    },
    TEMPLATE: _COMMANDS,
}
_SWITCH = {"1": True, "0": False}


def checked(settings: Settings, change: Change) -> None:
    """
    See that a change will do.

    :raises ValueError: It will not; the text says why.
    """
    options = OPTIONS.get(change.scope)
    if options is None or change.option not in options:
        raise ValueError(f"nothing called {change.option} can be changed {_where(change)}")
    if change.scope == CHANNEL and change.name not in settings.channels:
        raise ValueError(
            f"channel {change.name} is not configured{did_you_mean(change.name, settings.channels)}"
        )
    if change.scope == TEMPLATE and not any(_derived(change.name, c) for c in settings.channels.values()):
        raise ValueError(f"no channel is of the class {change.name!r}, or would be")
    try:
        _value(change)
    except ValueError as why:
        raise ValueError(f"{change.option} {_where(change)}: {why}") from None


def effective(settings: Settings, changes: Iterable[Change]) -> Settings:
    """
    The settings that count: the configuration as read, with the changes over it.

    Changes of channels that are not configured (any more) do nothing.  A class's programs go to the
    channels that have theirs from that class, or from one less specific; what the configuration or a
    change gives the channel itself is stronger.
    """
    fields: dict[str, dict[str, Any]] = {}
    controller: dict[str, Any] = {}
    given = sorted(changes, key=lambda change: (change.scope == CHANNEL, _specific(change), change.since))
    for change in given:
        option = OPTIONS.get(change.scope, {}).get(change.option)
        if option is None:
            continue
        try:
            value = _value(change)
        except ValueError:
            continue  # of another release, whose ranges were wider
        if change.scope == GLOBAL:
            controller[option.field] = value
        for name in _meant(settings, change, option.field):
            fields.setdefault(name, {})[option.field] = value
    return msgspec.structs.replace(
        settings,
        controller=msgspec.structs.replace(settings.controller, **controller),
        channels={
            name: msgspec.structs.replace(channel, **fields[name]) if name in fields else channel
            for name, channel in settings.channels.items()
        },
    )


def _meant(settings: Settings, change: Change, field: str) -> list[str]:
    if change.scope == CHANNEL:
        return [change.name] if change.name in settings.channels else []
    if change.scope == TEMPLATE:
        return [
            name
            for name, channel in settings.channels.items()
            if _derived(change.name, channel) and field not in channel.own_programs
        ]
    return []


def _derived(pattern: str, channel: ChannelSettings) -> bool:
    """Whether a channel's class is this one, or would be if there were this one."""
    mine, theirs = ChannelClass(pattern=pattern), ChannelClass(pattern=channel.channel_class)
    return mine.matches(channel.name) and (
        pattern == channel.channel_class or mine.specific > theirs.specific
    )


def _specific(change: Change) -> tuple[bool, int]:
    return ChannelClass(pattern=change.name).specific


def _value(change: Change) -> object:
    """:raises ValueError: The text is none."""
    key = OPTIONS[change.scope][change.option].key
    if change.option in ("master_debug", "slave_debug"):
        if change.value not in _SWITCH:
            raise ValueError(f"{change.value!r} is not 1 or 0")
        return _SWITCH[change.value]
    return convert(key, change.value)


def _where(change: Change) -> str:
    return "globally" if change.scope == GLOBAL else f"of {change.scope} {change.name}"
