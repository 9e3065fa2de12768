"""The ``[channel.X]`` sections over ``[defaults]`` -> settings of each channel."""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from jobctl.config.classes import ChannelClass, class_of, transport_problem
from jobctl.config.findings import Findings
from jobctl.config.header_options import header_options
from jobctl.config.header_settings import HeaderRule
from jobctl.config.keys import Key, Kind, did_you_mean
from jobctl.config.keywords import KEYWORDS, NOT_FOR_DEFAULTS
from jobctl.config.options import tcp_options
from jobctl.config.paths import absolute
from jobctl.config.reading import Given, Table, as_table, overlaid, read_table
from jobctl.config.retries import after, backoff, delivery, demotion, notices
from jobctl.config.settings import REPROCESS, ChannelSettings, PoolSettings
from jobctl.config.switching import check_switches
from jobctl.config.tcp_options import OPTIONS
from jobctl.config.tcp_settings import TcpOptions
from jobctl.config.tls_rules import TlsRule
from jobctl.config.values import is_host

_NAME = re.compile(r"[a-z0-9_$-]{1,32}", re.ASCII)
MAX_OFFICIAL = 128
_PROGRAMS = ("master_command", "slave_command")
_PROGRAM_LIMITS = ("limit_memory", "limit_open_files", "limit_cpu", "limit_file_size")


class Surroundings(NamedTuple):
    """
    What the channels are read against.

    :ivar demotion: What [mta] says of it, as :class:`ChannelSettings` has it.
    :ivar tls_rules: What [tls_policy] says.
    :ivar ip_access: All tables where there is an IP_ACCESS, which may ask them.
    :ivar use_ip_access: What [mta] says of its probes.
    :ivar directory: Paths in the file are as seen from here.
    :ivar exists: Whether a file is there.
    """

    classes: list[ChannelClass]
    pools: dict[str, PoolSettings]
    return_units: int
    demotion: dict[str, int]
    tls_rules: dict[str, TlsRule]
    ip_access: dict[str, str]
    use_ip_access: int
    directory: str
    exists: Callable[[str], bool]


class _Section(NamedTuple):
    """One channel as the file gives it."""

    name: str
    own: Table
    merged: Table
    options: TcpOptions
    header: dict[str, tuple[HeaderRule, ...]]
    official: str


# Keywords that put mail into channel ``reprocess``.
_REPROCESSES = {"expandlimit", "acceptalladdresses", "accepttemporaryfailures"}


def read_channels(
    raw: object, raw_defaults: object, findings: Findings, around: Surroundings
) -> dict[str, ChannelSettings]:
    """Every channel, checked by itself and against the others; channel ``l`` first of all."""
    defaults = read_table(raw_defaults, ("defaults",), KEYWORDS, findings)
    for name in NOT_FOR_DEFAULTS & defaults.keys():
        findings.problem(defaults.pop(name).where, "belongs to one channel: give it in [channel.NAME]")
    default_options = _options(defaults, TcpOptions(), findings)
    default_header = header_options(defaults, findings)
    tables = {
        name: read_table(table, ("channel", name), KEYWORDS, findings)
        for name, table in as_table(raw, ("channel",), findings).items()
    }
    local_host = _local_host(tables, findings)
    if any(_REPROCESSES & table.keys() for table in (defaults, *tables.values())):
        tables.setdefault(REPROCESS, {})
    sections = []
    for name, own in tables.items():
        if _NAME.fullmatch(name) is None:
            findings.problem(
                ("channel", name), "is not a channel name: up to 32 lower-case letters, digits, _, $ or -"
            )
            continue
        merged = overlaid(defaults, own)
        sections.append(
            _Section(
                name,
                own,
                merged,
                _options(own, default_options, findings),
                default_header | header_options(own, findings),
                _official(name, merged, local_host),
            )
        )
    _check_names(sections, findings)
    channels = {
        section.name: _channel(section, defaults, local_host, findings, around) for section in sections
    }
    _share_notices(channels, sections, defaults)
    _check_programs(channels, sections, findings)
    _check_mailboxes(sections, findings)
    _check_notifications(channels, sections, findings)
    check_switches(channels, {section.name: section.merged for section in sections}, findings)
    return channels


def _local_host(tables: Mapping[str, Table], findings: Findings) -> str:
    if "l" not in tables:
        findings.problem(
            ("channel", "l"),
            'is missing: it names this host; add [channel.l] with official_host_name = "mail.example.org"',
        )
        return "localhost"
    given = tables["l"].get("official_host_name")
    if given is None:
        findings.problem(("channel", "l"), "needs official_host_name, the name of this host")
        return "localhost"
    return str(given.value)


def _official(name: str, merged: Table, local_host: str) -> str:
    given = merged.get("official_host_name")
    return str(given.value) if given is not None else f"{name}.{local_host}"


def _options(table: Table, base: TcpOptions, findings: Findings) -> TcpOptions:
    given = table.get("options")
    if given is None:
        return base
    return tcp_options(read_table(given.value, given.where, OPTIONS, findings), base)


def _check_names(sections: list[_Section], findings: Findings) -> None:
    """Host names lead to one channel each."""
    owners: dict[str, str] = {}
    for section in sections:
        given = section.own.get("official_host_name")
        where = given.where if given else ("channel", section.name)
        if len(section.official) > MAX_OFFICIAL:
            findings.problem(where, f"is longer than {MAX_OFFICIAL} characters")
        names = [(section.official, where)]
        additional = section.own.get("additional_host_names")
        if additional is not None:
            assert isinstance(additional.value, tuple)
            names += [(host, additional.where) for host in additional.value]
        for host, place in names:
            if not is_host(host):
                findings.problem(place, f"{host!r} is not a host name such as mail.example.org")
            owner = owners.setdefault(host.lower(), section.name)
            if owner != section.name:
                findings.problem(
                    place, f"{host!r} already leads to channel {owner}; host names must be unique"
                )


def _channel(
    section: _Section, defaults: Table, local_host: str, findings: Findings, around: Surroundings
) -> ChannelSettings:
    name, merged = section.name, section.merged
    program = class_of(name, around.classes)
    fields: dict[str, Any] = {
        "local_host": local_host,
        "channel_class": program.pattern,
        "own_programs": tuple(field for field in _PROGRAMS if field in _plain_fields(section.own)),
        "master_command": program.master_command,
        "slave_command": program.slave_command,
        "transport": program.transport,
        **{name: getattr(program, name) for name in _PROGRAM_LIMITS},
        "pool": "DEFAULT" if "DEFAULT" in around.pools else next(iter(around.pools)),
    }
    fields.update(_plain_fields(merged))
    if "master" in merged:
        fields["slave_command"] = ()
    if "slave" in merged or name == REPROCESS:
        fields["master_command"] = ()
    if "maildir" in merged:
        fields["maildir"] = absolute(around.directory, str(fields["maildir"]))
    for word in ("tls_ca_file", "auth_password_file", "recipients_file"):
        if word in merged:
            fields[word] = absolute(around.directory, str(fields[word]))
            if not around.exists(fields[word]):
                findings.problem_once(merged[word].where, f"there is no file {fields[word]!r}")
    if ("auth_username" in merged) != ("auth_password_file" in merged):
        one = merged.get("auth_username") or merged["auth_password_file"]
        findings.problem_once(one.where, "auth_username and auth_password_file need each other")
    fields.update(section.header)
    keywords = _keywords(merged)
    if "option_file" in keywords:
        keywords["option_file"] = absolute(around.directory, keywords["option_file"])
        if not around.exists(keywords["option_file"]):
            findings.problem_once(
                merged["option_file"].where, f"there is no file {keywords['option_file']!r}"
            )
    fields["smtp"] = _line_ends(name, fields)
    sends = fields["smtp"] != "nosmtp"
    fields["tls_rules"] = around.tls_rules if sends else {}
    fields["ip_access"] = around.ip_access if sends else {}
    fields["use_ip_access"] = around.use_ip_access if sends and around.ip_access else 0
    fields["gateway"] = _gateway(merged.get("daemon"), section, fields, findings)
    fields["copies"] = _copies(name, merged, fields, program, findings)
    _check_pool(merged.get("pool"), fields["pool"], around.pools, findings)
    return ChannelSettings(
        name=name,
        official_host_name=section.official,
        max_life_time=program.max_life_time,
        max_life_askwork=program.max_life_askwork,
        anon_host=program.anon_host,
        backoff=backoff((defaults, section.own)),
        notices=notices((defaults, section.own), around.return_units, findings),
        after=after((defaults, section.own)),
        delivery=delivery(program.delivery, (defaults, section.own)),
        demotion=demotion(around.demotion, (defaults, section.own)),
        options=section.options,
        keywords=keywords,
        **fields,
    )


_PLACED = frozenset(
    {
        *("official_host_name", "options", "daemon", "master", "slave", "bidirectional"),
        *("headerread", "headertrim"),
        *("urgentblocklimit", "normalblocklimit", "nonurgentblocklimit"),
    }
)
_PLACED_KINDS = (Kind.DURATIONS, Kind.AGES, Kind.MOMENT, Kind.HOURS)


def _has_place(key: Key) -> bool:
    """Whether the settings have a field of their own for what the keyword says."""
    return bool(key.field) or key.name in _PLACED or key.kind in _PLACED_KINDS


def _keywords(merged: Table) -> dict[str, Any]:
    """What the settings have no field for."""
    return {
        given.key.name: True if given.key.kind is Kind.FLAG else given.value
        for given in merged.values()
        if not _has_place(given.key)
    }


def _plain_fields(merged: Table) -> dict[str, Any]:
    """Fields that a keyword sets by itself."""
    return {
        given.key.field: given.key.value if given.key.kind is Kind.FLAG else given.value
        for given in merged.values()
        if given.key.field
    }


def _line_ends(name: str, fields: Mapping[str, Any]) -> str:
    """The ``smtp`` family: the original's default for ``tcp_*``; a program on a pipe cannot do without."""
    if "smtp" in fields:
        return str(fields["smtp"])
    if name.startswith("tcp_"):
        return "crorlf"
    if fields["transport"] is not None or fields.get("lmtp"):
        return "crlf"
    return "nosmtp"


def _gateway(
    given: Given | None, section: _Section, fields: Mapping[str, Any], findings: Findings
) -> str | None:
    if given is None:
        return None
    word = str(given.value)
    if word.startswith("[") or "." in word:
        return word
    if "." not in section.official and fields["transport"] in (None, "tcp"):
        text = (
            f"{word!r} means official_host_name, {section.official!r}: looked up as it stands, it has no dot"
        )
        findings.note(given.where, text)
    return section.official


def _copies(
    name: str, merged: Table, fields: Mapping[str, Any], program: ChannelClass, findings: Findings
) -> str:
    gateway, smtp = fields["gateway"] is not None, fields["smtp"] != "nosmtp"
    copies = str(fields.get("copies") or ("multiple" if gateway or not smtp else "single_sys"))
    if smtp and not gateway and fields["transport"] in (None, "tcp") and fields["master_command"]:
        if copies == "multiple":
            findings.problem(
                merged["multiple"].where,
                "needs daemon: without a gateway, recipients at different hosts cannot share one connection",
            )
        elif program.anon_host:
            findings.problem(
                (*program.where, "anon_host"),
                f"channel {name} has no daemon, so its destination hosts must be told apart",
            )
    return copies


def _check_pool(
    given: Given | None, pool: str, pools: Mapping[str, PoolSettings], findings: Findings
) -> None:
    if given is not None and pool not in pools:
        findings.problem(
            given.where,
            f"there is no pool {pool!r}{did_you_mean(pool, pools)}; add [job_controller.job_pool.{pool}]",
        )


def _share_notices(channels: dict[str, ChannelSettings], sections: list[_Section], defaults: Table) -> None:
    """Channels that say nothing of ``notices`` have those of ``l``."""
    names = {key.name for key in KEYWORDS if key.kind is Kind.AGES}
    if "l" not in channels:
        return
    for section in sections:
        if not names & (section.own.keys() | defaults.keys()):
            channels[section.name] = msgspec.structs.replace(
                channels[section.name], notices=channels["l"].notices
            )


def _check_programs(
    channels: dict[str, ChannelSettings], sections: list[_Section], findings: Findings
) -> None:
    slaves = {name: channel.slave_command for name, channel in channels.items()}
    for section in sections:
        transport = channels[section.name].transport
        if transport is None:
            continue
        problem = transport_problem(transport, slaves)
        if problem is None and transport == f"channel:{section.name}":
            problem = "a channel cannot be joined to itself"
        if problem is not None:
            given = section.merged.get("transport")
            findings.problem(given.where if given else ("channel", section.name, "transport"), problem)


# What acts where content goes out by SMTP.
_ON_THE_WAY_OUT = (
    *("headertrim", "maxheaderaddrs", "maxheaderchars", "headerlinelength", "maxprocchars"),
    *("linelength", "sevenbit"),
)


def _check_mailboxes(sections: list[_Section], findings: Findings) -> None:
    for section in sections:
        if "maildir" in section.merged:
            for word in section.own.keys() & set(_ON_THE_WAY_OUT):
                findings.note(section.own[word].where, "does not act: mailboxes get content as it came")


# Notifications come from it where no channel is named; it need not be there, since rules alone ask for it.
_PROCESS = "process"


def _check_notifications(
    channels: dict[str, ChannelSettings], sections: list[_Section], findings: Findings
) -> None:
    for section in sections:
        given = section.merged.get("notificationchannel")
        if given is not None and given.value != _PROCESS and given.value not in channels:
            findings.problem_once(
                given.where, f"{given.value!r} is not a channel{did_you_mean(str(given.value), channels)}"
            )
