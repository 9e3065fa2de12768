"""Banner, the replies to HELO and EHLO, and the name a client gives there."""

import re

from jobctl import __version__
from jobctl.mail.reply import Reply
from jobctl.smtp.extensions import Standing, offered
from jobctl.smtp.server_config import ServerConfig

# An addition that would make the line longer goes on a line of its own.
_BANNER_WIDTH = 80
_NAME = re.compile(r"[!-~]+")


def banner(config: ServerConfig) -> Reply:
    """
    The 220 greeting, with BANNER_HOST, CUSTOM_VERSION_STRING and BANNER_ADDITION applied; each part of an
    addition with ``|`` in it has a line of its own.
    """
    options = config.channel.options
    product = options.custom_version_string or f"jobctl {__version__}"
    kind = "LMTP" if config.lmtp else "ESMTP"
    line = f"{config.name} -- Server {kind} ({product})"
    addition = options.banner_addition
    if not addition:
        return Reply(220, line)
    if "|" in addition:
        return Reply(220, "\n".join([line, *(part.strip() for part in addition.split("|") if part.strip())]))
    joined = f"{line} {addition}"
    return Reply(220, joined if len(f"220 {joined}") <= _BANNER_WIDTH else f"{line}\n{addition}")


def helo_reply(config: ServerConfig, client: str) -> Reply:
    """:param client: Address of the client, ``""`` when not known."""
    return Reply(250, f"{config.name} OK, [{client}]." if client else f"{config.name} OK.")


def ehlo_reply(config: ServerConfig, now: Standing) -> Reply:
    """The reply to EHLO and LHLO: our name, then what we offer."""
    return Reply(250, "\n".join([config.name, *offered(config, now)]))


def hello_verbs(config: ServerConfig) -> tuple[str, ...]:
    """How a client may begin here; the others are unknown commands, so that it tries the next."""
    if config.lmtp:
        return ("LHLO",)
    return ("HELO",) if config.channel.refuseehlo else ("HELO", "EHLO")


def legal_helo(name: str) -> bool:
    """Any word will do, because real clients say anything; it must not be able to break a line or a field."""
    return _NAME.fullmatch(name) is not None


def application_info(application: str, helo: str, tls: str = "") -> str:
    """
    Put the name a client gave into the application string, in place of a former one.

    :param application: ``SMTP``, ``SMTP/<name>`` or ``SMTP/<name>/<TLS information>``.
    :param tls: TLS information of our own connection, ``""`` to keep what is there.
    """
    protocol, _, rest = application.partition("/")
    known = tls.replace("/", ":") or rest.partition("/")[2]
    return f"{protocol}/{helo}/{known}" if known else f"{protocol}/{helo}"
