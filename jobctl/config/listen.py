"""Where a service listens: Twisted endpoint strings, checked without Twisted."""

import ipaddress
import re

_FIELD = re.compile(r"(?:\\.|[^:\\])*")
_ESCAPED = re.compile(r"\\(.)")
_ARGUMENTS = {
    "tcp": {"port", "interface", "backlog"},
    "tcp6": {"port", "interface", "backlog"},
    "unix": {"address", "mode", "backlog", "lockfile"},
    "systemd": {"domain", "index", "name"},
}
_FIRST = {"tcp": "port", "tcp6": "port", "unix": "address"}


def check_listen(text: str) -> None:
    """
    :raises ValueError: Not an endpoint that a server program can be handed; the text says why.
    """
    form, *rest = [_ESCAPED.sub(r"\1", field) for field in _split(text)]
    if form in ("ssl", "tls"):
        raise ValueError(f"{text!r} asks for TLS, which is not there yet; listen with tcp:PORT")
    if form not in _ARGUMENTS:
        raise ValueError(
            f"{text!r} is not one of tcp:PORT, tcp6:PORT, unix:PATH, systemd:domain=INET:index=0"
        )
    arguments: dict[str, str] = {}
    for position, field in enumerate(rest):
        name, equals, value = field.partition("=")
        if not equals and position == 0 and form in _FIRST:
            name, value = _FIRST[form], field
        if name not in _ARGUMENTS[form]:
            raise ValueError(f"{text!r}: {name!r} is none of {', '.join(sorted(_ARGUMENTS[form]))}")
        arguments[name] = value
    _check_arguments(text, form, arguments)


def is_local(text: str) -> bool:
    """Whether only programs of this machine can connect there."""
    form, *rest = [_ESCAPED.sub(r"\1", field) for field in _split(text)]
    if form == "unix":
        return True
    interface = next((field[10:] for field in rest if field.startswith("interface=")), "")
    return _address_version(interface) != 0 and ipaddress.ip_address(interface).is_loopback


def _check_arguments(text: str, form: str, arguments: dict[str, str]) -> None:
    if form in ("tcp", "tcp6"):
        if not _number_up_to(arguments.get("port", ""), 65535):
            raise ValueError(f"{text!r}: give a port from 0 to 65535, as in {form}:2525")
        interface = arguments.get("interface", "")
        version = 4 if form == "tcp" else 6
        # An IPv6 address after tcp: is what Twisted itself writes when it prints such an endpoint.
        if interface and _address_version(interface) not in (version, 6):
            raise ValueError(f"{text!r}: interface must be an IP address (colons written as \\:)")
    elif form == "unix" and not arguments.get("address"):
        raise ValueError(f"{text!r}: give a path, as in unix:/run/jobctl/smtp")
    elif form == "systemd" and arguments.get("domain") not in ("INET", "INET6", "UNIX"):
        raise ValueError(f"{text!r}: domain must be INET, INET6 or UNIX")
    elif (
        form == "systemd" and "name" not in arguments and not _number_up_to(arguments.get("index", ""), 4096)
    ):
        raise ValueError(f"{text!r}: give index=NUMBER or name=NAME")
    if "backlog" in arguments and not _number_up_to(arguments["backlog"], 65535):
        raise ValueError(f"{text!r}: backlog must be a number")


def _split(text: str) -> list[str]:
    fields = []
    position = 0
    while position <= len(text):
        found = _FIELD.match(text, position)
        assert found is not None  # a field may be empty
        fields.append(found[0])
        position = found.end() + 1
    return fields


def _number_up_to(text: str, most: int) -> bool:
    return text.isascii() and text.isdecimal() and int(text) <= most


def _address_version(text: str) -> int:
    try:
        return ipaddress.ip_address(text).version
    except ValueError:
        return 0
