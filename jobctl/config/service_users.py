"""What a service says of those who know its users."""

import ipaddress
from urllib.parse import SplitResult, urlsplit

from jobctl.config.findings import Findings
from jobctl.config.reading import Table
from jobctl.config.settings import ChannelSettings

# At most one of them, so that it is always clear whose word counts.
PASSWORDS = ("password_file", "pam_service", "auth_url")
SOURCES = (*PASSWORDS, "introspection_url")
# Key, and what it is of no use without.
_NEEDS = (
    ("introspection_client_file", ("introspection_url",)),
    ("introspection_user", ("introspection_url",)),
    ("auth_ca_file", ("auth_url", "introspection_url")),
    ("auth_timeout", ("pam_service", "auth_url", "introspection_url")),
    ("auth_cache_time", ("auth_url", "introspection_url")),
)


def check_users(
    channel: ChannelSettings,
    later: tuple[ChannelSettings, ...],
    given: Table,
    where: tuple[str, ...],
    findings: Findings,
) -> None:
    """
    Sources contradict each other, are malformed, or do not fit what the channel promises.

    :param later: Where STARTTLS and AUTH lead.
    """
    named = [name for name in PASSWORDS if name in given]
    for name in named[1:]:
        findings.problem(given[name].where, f"contradicts {named[0]}: passwords are checked by one of them")
    for name, needs in _NEEDS:
        if name in given and not any(other in given for other in needs):
            findings.problem(given[name].where, f"is of no use without {' or '.join(needs)}")
    for name in ("auth_url", "introspection_url"):
        if name in given:
            _check_url(str(given[name].value), given[name].where, findings)
    if "pam_service" in given and not _is_file_name(str(given["pam_service"].value)):
        findings.problem(given["pam_service"].where, "is the name of a file in /etc/pam.d, such as smtp")
    _check_promises(channel, later, given, where, findings)


def _check_promises(
    channel: ChannelSettings,
    later: tuple[ChannelSettings, ...],
    given: Table,
    where: tuple[str, ...],
    findings: Findings,
) -> None:
    sources = [name for name in SOURCES if name in given]
    if channel.sasl_server == "none":
        for name in sources if all(one.sasl_server == "none" for one in later) else ():
            findings.note(
                given[name].where,
                f"is not used: channel {channel.name} has neither maysaslserver nor mustsaslserver",
            )
        return
    if not sources and "tls_client_ca" not in given:
        if channel.sasl_server == "must":
            findings.problem(
                where,
                f"needs password_file, pam_service, auth_url or introspection_url: channel {channel.name} "
                "insists on AUTH",
            )
        else:
            findings.note(
                where,
                "has no password_file, pam_service, auth_url or introspection_url, "
                f"so channel {channel.name} cannot offer AUTH",
            )
        return
    if (
        sources
        and "password_file" not in sources
        and "tls_certificate" not in given
        and not ("plaintext_auth" in given and given["plaintext_auth"].value)
    ):
        # SCRAM alone does without TLS.
        findings.note(
            given[sources[0]].where,
            "offers only what shows passwords or tokens, and that not without tls_certificate or plaintext_auth",
        )


def _check_url(url: str, where: tuple[str | int, ...], findings: Findings) -> None:
    try:
        parts = urlsplit(url)
        good = parts.port != 0
    except ValueError:
        findings.problem(where, f"{url!r} is no URL")
        return
    if not (good and parts.scheme in ("http", "https") and parts.hostname and url.isascii()):
        findings.problem(where, f"{url!r} is no URL of http or https")
    elif not url.isprintable() or " " in url:
        findings.problem(where, "a URL has no blanks; write %20")
    elif parts.username is not None or parts.password is not None:
        findings.problem(where, "has a user in it; secrets stand in files")
    elif parts.fragment:
        findings.problem(where, f"nothing is asked about #{parts.fragment}: leave it away")
    elif parts.scheme == "http" and not _on_this_host(parts):
        findings.note(where, "sends secrets in the clear; write https")


def _on_this_host(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_file_name(name: str) -> bool:
    return (
        bool(name) and name.isascii() and name.isprintable() and not set(name) & set("/ ") and name[0] != "."
    )
