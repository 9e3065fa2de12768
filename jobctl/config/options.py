"""TCP/IP-channel-specific options -> :class:`jobctl.config.settings.TcpOptions`."""

import re
from typing import Any

import msgspec

from jobctl.config.reading import Table
from jobctl.config.tcp_options import OPTIONS
from jobctl.config.tcp_settings import TcpOptions
from jobctl.config.values import convert
from jobctl.errors import ConfigError

_LINE = re.compile(r"\s*([^=\s]+)\s*=\s*(.*?)\s*")


def tcp_options(given: Table, base: TcpOptions | None = None) -> TcpOptions:
    """``base`` (else the defaults) with the options that were given in the configuration."""
    fields = {found.key.field: found.value for found in given.values() if found.key.field}
    return _replaced(base or TcpOptions(), fields)


def read_option_text(text: str, path: str, base: TcpOptions | None = None) -> TcpOptions:
    """
    The options of a channel option file (``PMDF_CHANNEL_OPTION``).

    One ``option=value`` a line; names in either case; ``!`` begins a comment line, as does ``#``.

    :param base: What applies where the file says nothing; ``None``: the defaults.
    :raises ConfigError: All its mistakes.
    """
    fields: dict[str, object] = {}
    first: dict[str, int] = {}
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith(("!", "#")):
            continue
        found = _LINE.fullmatch(line)
        if found is None:
            problems.append(f"{path}:{number}: {line.strip()[:60]}: is not option=value")
            continue
        key = OPTIONS.find(found[1])
        if key is None:
            problems.append(f"{path}:{number}: {found[1]}: {OPTIONS.unknown(found[1])}")
            continue
        if key.name in first:
            problems.append(f"{path}:{number}: {found[1]}: is already given on line {first[key.name]}")
            continue
        first[key.name] = number
        try:
            value = convert(key, found[2])
        except ValueError as why:
            problems.append(f"{path}:{number}: {found[1]}: {why}")
            continue
        if key.field:
            fields[key.field] = value
    if problems:
        raise ConfigError(problems)
    return _replaced(base or TcpOptions(), fields)


def _replaced(base: TcpOptions, fields: dict[str, Any]) -> TcpOptions:
    return msgspec.structs.replace(base, **fields)
