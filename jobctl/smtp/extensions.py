"""The extensions our server offers: one table, in the order in which they are announced."""

from collections.abc import Callable

from jobctl.smtp.server_config import ServerConfig


def _always(config: ServerConfig) -> str:
    return ""


def _etrn(config: ServerConfig) -> str | None:
    return None if etrn_disabled(config) or config.lmtp else ""


def _size(config: ServerConfig) -> str:
    return str(config.size_limit)


# Keyword -> its parameter text, or None where it is not offered. A new extension is one more line here,
# plus its parameters in parameters.py or its verb in the server's tables.
EXTENSIONS: tuple[tuple[str, Callable[[ServerConfig], str | None]], ...] = (
    ("8BITMIME", _always),
    ("PIPELINING", _always),
    ("DSN", _always),
    ("ENHANCEDSTATUSCODES", _always),
    ("HELP", _always),
    ("ETRN", _etrn),
    ("SIZE", _size),
)


def offered(config: ServerConfig) -> list[str]:
    """The lines of the EHLO reply after the first, the site's EHLO_ADDITION last."""
    lines = []
    for keyword, parameter in EXTENSIONS:
        text = parameter(config)
        if text is not None:
            lines.append(f"{keyword} {text}".rstrip())
    addition = config.channel.options.ehlo_addition
    if addition:
        lines.extend(line.strip() for line in addition.split("|") if line.strip())
    return lines


def etrn_disabled(config: ServerConfig) -> bool:
    """Whether the channel has the keyword ``disableetrn``."""
    return bool(config.channel.keywords.get("disableetrn"))
