"""Which program serves a channel: channel classes, matched by pattern."""

import re

import msgspec

from jobctl.config.findings import Findings
from jobctl.config.keys import Kind, did_you_mean
from jobctl.config.keys_controller import CHANNEL_CLASS
from jobctl.config.linemap import KeyPath
from jobctl.config.reading import as_table, read_table
from jobctl.config.settings import Hours

MAX_LIFE_TIME = 3600.0  # the original's sample file (AG63 bgajv)
MAX_LIFE_ASKWORK = 20_000  # as shipped for ims-ms*


class ChannelClass(msgspec.Struct, frozen=True, kw_only=True):
    """
    Programs of the channels whose name matches ``pattern`` (``*``: any characters, ``?``: one).

    :ivar where: Its place in the file, ``()`` for a built-in class.
    """

    pattern: str
    master_command: tuple[str, ...] = ()
    slave_command: tuple[str, ...] = ()
    transport: str | None = None
    max_life_time: float = MAX_LIFE_TIME
    max_life_askwork: int = MAX_LIFE_ASKWORK
    anon_host: bool = False
    limit_memory: int | None = None
    limit_open_files: int | None = None
    limit_cpu: float | None = None
    limit_file_size: int | None = None
    delivery: dict[str, Hours] = {}
    where: KeyPath = ()

    def matches(self, channel: str) -> bool:
        """Whether the class serves a channel of that name."""
        expression = re.escape(self.pattern).replace(r"\*", ".*").replace(r"\?", ".")
        return re.fullmatch(expression, channel) is not None

    @property
    def specific(self) -> tuple[bool, int]:
        """Greater is more specific: no wildcard at all, else more characters that are none."""
        wild = sum(self.pattern.count(character) for character in "*?")
        return (wild == 0, len(self.pattern) - wild)


# Serve channels that no class of the file matches, so that an empty [job_controller] works.
BUILT_IN: tuple[ChannelClass, ...] = (
    ChannelClass(pattern="tcp_*", master_command=("tcp_smtp_client",), slave_command=("tcp_smtp_server",)),
    ChannelClass(
        pattern="test_smtp*",
        master_command=("test_smtp_master",),
        slave_command=("test_smtp_slave",),
        transport="tcp",
    ),
    ChannelClass(pattern="maildir*", master_command=("maildir_master",)),
)
NO_CLASS = ChannelClass(pattern="*")


def read_classes(
    raw: object, where: KeyPath, findings: Findings, max_life_time: float, max_life_askwork: int
) -> list[ChannelClass]:
    """The classes of the file, in its order; the limits are what ``[job_controller]`` says for all."""
    classes = []
    for pattern, table in as_table(raw, where, findings).items():
        place = (*where, pattern)
        fields: dict[str, object] = {"max_life_time": max_life_time, "max_life_askwork": max_life_askwork}
        given = read_table(table, place, CHANNEL_CLASS, findings)
        fields.update({name: found.value for name, found in given.items() if found.key.field})
        fields["delivery"] = {
            name.removesuffix("_delivery"): found.value
            for name, found in given.items()
            if found.key.kind is Kind.HOURS
        }
        classes.append(
            msgspec.convert({**fields, "pattern": pattern, "where": place}, ChannelClass, strict=False)
        )
    return classes


def class_of(channel: str, classes: list[ChannelClass]) -> ChannelClass:
    """The most specific matching class, the first of equals; the file's go before the built-in ones."""
    for candidates in (classes, BUILT_IN):
        matching = [candidate for candidate in candidates if candidate.matches(channel)]
        if matching:
            return max(matching, key=lambda candidate: candidate.specific)
    return NO_CLASS


def transport_problem(transport: str, channels: dict[str, tuple[str, ...]]) -> str | None:
    """
    What is wrong with a ``transport``.

    :param channels: Slave command of every channel.
    """
    form, colon, rest = transport.partition(":")
    if form == "tcp" and not colon:
        return None
    if form == "command" and rest.strip():
        return None
    if form == "channel" and rest:
        if rest not in channels:
            return f"channel {rest!r} is not configured{did_you_mean(rest, channels)}"
        if not channels[rest]:
            return (
                f"channel {rest!r} has no slave program to be joined to: give it or its class a slave_command"
            )
        return None
    return f"{transport!r} is not one of tcp, command:PROGRAM ARGUMENTS, channel:NAME"
