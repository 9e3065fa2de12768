"""The ``[dispatcher.service.X]`` sections: where mail comes in."""

from collections.abc import Callable, Mapping
from typing import Any

from jobctl.config.findings import Findings
from jobctl.config.keys import did_you_mean
from jobctl.config.keys_service import SERVICE
from jobctl.config.listen import check_listen, is_local
from jobctl.config.paths import absolute, absolute_listen
from jobctl.config.reading import Table, as_table, read_table
from jobctl.config.service_users import SOURCES, check_users
from jobctl.config.settings import ChannelSettings, ServiceSettings
from jobctl.config.switching import choices, proved

_FILES = (
    *("tls_certificate", "tls_private_key", "tls_client_ca", "password_file"),
    *("introspection_client_file", "auth_ca_file"),
)


def read_services(
    raw: object,
    findings: Findings,
    channels: Mapping[str, ChannelSettings],
    directory: str,
    exists: Callable[[str], bool],
) -> dict[str, ServiceSettings]:
    """
    Every service.

    :param exists: Whether a file is there, for the files that a service names.
    """
    services = {}
    taken: dict[str, str] = {}
    for name, table in as_table(raw, ("dispatcher", "service"), findings).items():
        where = ("dispatcher", "service", name)
        given = read_table(table, where, SERVICE, findings)
        fields: dict[str, Any] = {found.key.field: found.value for found in given.values() if found.key.field}
        fields.pop("tcp_ports", None)
        fields["listen"] = _listen(name, given, directory, taken, findings)
        fields.setdefault("channel", "tcp_local")
        _check_channel(fields["channel"], given, where, channels, findings)
        for key in _FILES:
            if key in given:
                fields[key] = absolute(directory, str(given[key].value))
                if not exists(fields[key]):
                    findings.problem(given[key].where, f"there is no file {given[key].value!r}")
        if channel := channels.get(fields["channel"]):
            _check_security(channel, proved(channels, channel), given, where, findings)
            chosen = choices(channels, channel)
            for one in chosen:
                _check_choice(one, given, where, findings)
            _check_use((channel, *proved(channels, channel), *chosen), given, findings)
            _check_submission(channel, given, where, findings)
            _check_lenience(channels, channel, fields, where, findings)
            if channel.transport is not None:
                _check_pipe(channel, given, findings)
        services[name] = ServiceSettings(name=name, **fields)
    return services


def _listen(
    name: str, given: Table, directory: str, taken: dict[str, str], findings: Findings
) -> tuple[str, ...]:
    found = given.get("listen") or given.get("tcp_ports")
    if found is None:
        findings.problem(
            ("dispatcher", "service", name), 'needs listen, such as listen = ["tcp:2525:interface=127.0.0.1"]'
        )
        return ()
    if "listen" in given and "tcp_ports" in given:
        findings.problem(given["tcp_ports"].where, "contradicts listen: keep one of them")
    assert isinstance(found.value, tuple)
    listen = []
    for index, word in enumerate(found.value):
        text = word if found.key.name == "listen" else f"tcp:{word}"
        try:
            check_listen(text)
        except ValueError as why:
            findings.problem((*found.where, index), str(why))
            continue
        if not text.endswith(":0") and taken.setdefault(text, name) != name:
            findings.problem((*found.where, index), f"{text!r} is already taken by service {taken[text]}")
        listen.append(absolute_listen(directory, text))
    return tuple(listen)


def _check_channel(
    channel: str,
    given: Table,
    where: tuple[str, ...],
    channels: Mapping[str, ChannelSettings],
    findings: Findings,
) -> None:
    place = given["channel"].where if "channel" in given else (*where, "channel")
    if channel not in channels:
        findings.problem(place, f"channel {channel!r} is not configured{did_you_mean(channel, channels)}")
    elif not channels[channel].slave_command:
        findings.problem(
            place, f"channel {channel!r} has no slave program to serve it: give its class a slave_command"
        )


def _check_security(
    channel: ChannelSettings,
    later: tuple[ChannelSettings, ...],
    given: Table,
    where: tuple[str, ...],
    findings: Findings,
) -> None:
    """
    What a channel promises needs a certificate, or somebody to know the users.

    :param later: Where STARTTLS and AUTH lead.
    """
    if "tls_certificate" not in given:
        if "implicit_tls" in given and given["implicit_tls"].value:
            findings.problem(given["implicit_tls"].where, "needs tls_certificate")
        for name in ("tls_private_key", "tls_client_ca"):
            if name in given:
                findings.problem(given[name].where, "is of no use without tls_certificate")
        if channel.tls_server == "must":
            findings.problem(where, f"needs tls_certificate: channel {channel.name} insists on TLS")
        elif channel.tls_server == "may":
            findings.note(where, f"has no tls_certificate, so channel {channel.name} cannot offer STARTTLS")
    check_users(channel, later, given, where, findings)


def _check_choice(channel: ChannelSettings, given: Table, where: tuple[str, ...], findings: Findings) -> None:
    """A channel that an address or a name chooses insists on what it can have here."""
    told = f"channel {channel.name}, which clients can be switched to, insists on"
    instead = f"or give {channel.name} noswitchchannel"
    if channel.tls_server == "must" and "tls_certificate" not in given:
        findings.problem(where, f"needs tls_certificate: {told} TLS; {instead}")
    if channel.sasl_server == "must" and not {*SOURCES, "tls_client_ca"} & given.keys():
        findings.problem(where, f"needs one of {', '.join(SOURCES)}: {told} AUTH; {instead}")


def _check_use(offering: tuple[ChannelSettings, ...], given: Table, findings: Findings) -> None:
    """
    A certificate that is shown to nobody, and a relay for everybody.

    :param offering: The channels that clients can come in by, that of the service first.
    """
    at_once = "implicit_tls" in given and given["implicit_tls"].value
    if "tls_certificate" in given and not at_once and all(one.tls_server == "none" for one in offering):
        findings.note(
            given["tls_certificate"].where,
            f"is not used: channel {offering[0].name} has neither maytlsserver nor musttlsserver",
        )
    if "relay_from" in given:
        networks = given["relay_from"].value
        assert isinstance(networks, tuple)
        for index, network in enumerate(networks):
            if str(network).endswith("/0"):
                findings.note(
                    (*given["relay_from"].where, index), "anybody may send anywhere: this is an open relay"
                )


def _check_submission(
    channel: ChannelSettings, given: Table, where: tuple[str, ...], findings: Findings
) -> None:
    """Whom a channel for submissions would take mail from."""
    if channel.submit and channel.sasl_server == "none" and "relay_from" not in given:
        findings.problem(
            where,
            f"takes mail from nobody: channel {channel.name} is for submissions and offers no AUTH; "
            "give it mustsaslserver, or the service relay_from",
        )


def _insists(channel: ChannelSettings) -> bool:
    """Whether mail is taken only of who is known."""
    return channel.sasl_server == "must" or channel.submit


def _check_lenience(
    channels: Mapping[str, ChannelSettings],
    channel: ChannelSettings,
    fields: Mapping[str, Any],
    where: tuple[str, ...],
    findings: Findings,
) -> None:
    """``acceptalladdresses`` for clients of whom nobody knows who they are."""
    if not (fields.get("proxy_from") or any(not is_local(text) for text in fields["listen"])):
        return
    strangers = [channel, *choices(channels, channel)]
    names = dict.fromkeys(name for one in strangers for name in (one.name, one.tlsswitchchannel or one.name))
    for one in names:
        settings = channels.get(one)
        if settings is not None and settings.acceptalladdresses and not _insists(settings):
            findings.note(
                where,
                f"takes mail for recipients that do not exist from clients that nobody knows: channel {one} has "
                "acceptalladdresses, and what comes back goes to forged senders; "
                "give it acceptvalidaddresses, or mustsaslserver",
            )


def _check_pipe(channel: ChannelSettings, given: Table, findings: Findings) -> None:
    """What only programs that accept connections themselves can do."""
    if "min_procs" in given:
        text = f"does not act: programs of channel {channel.name} run on a pipe, one for each connection"
        findings.note(given["min_procs"].where, text)
