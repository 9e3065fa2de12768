"""The extensions our server offers: one table, in the order in which they are announced."""

from collections.abc import Callable

import msgspec

from jobctl.mail.moment import write_moment
from jobctl.smtp.server_config import ServerConfig

# They hand a password over: only where nobody listens, or where the operator says so.
_PLAINTEXT = ("PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER")


# What a front end may say of its client (Postfix's XCLIENT_README).
XCLIENT_ATTRIBUTES = ("NAME", "ADDR", "PORT", "PROTO", "HELO", "LOGIN", "DESTADDR", "DESTPORT")


class Standing(msgspec.Struct, frozen=True):
    """
    :ivar tls: Protocol and cipher, or ``""``.
    :ivar bindable: SASL can bind itself to that TLS session (not before TLS 1.3).
    :ivar known: The client has authenticated.
    :ivar now: Epoch seconds.
    """

    tls: str
    bindable: bool
    known: bool
    now: float


def _always(config: ServerConfig, now: Standing) -> str:
    return ""


def _chunking(config: ServerConfig, now: Standing) -> str | None:
    return None if config.channel.keywords.get("nochunkingserver") else ""


def _starttls(config: ServerConfig, now: Standing) -> str | None:
    return None if now.tls or config.tls == "none" else ""


def _auth(config: ServerConfig, now: Standing) -> str | None:
    return " ".join(mechanisms(config, now)) or None if not now.known else None


def _xclient(config: ServerConfig, now: Standing) -> str | None:
    return " ".join(XCLIENT_ATTRIBUTES) if config.xclient else None


def _smtputf8(config: ServerConfig, now: Standing) -> str | None:
    return "" if config.smtputf8 else None


def _xloop(config: ServerConfig, now: Standing) -> str | None:
    return config.loop or None


def _limits(config: ServerConfig, now: Standing) -> str | None:
    """What is limited, by RFC 9422."""
    channel, options = config.channel, config.channel.options
    mails = [
        options.allow_transactions_per_session,
        channel.transactionlimit,
        channel.disconnecttransactionlimit,
    ]
    recipients = [options.allow_recipients_per_transaction, channel.recipientlimit]
    words = [
        f"{name}={min(known)}"
        for name, limits in (("MAILMAX", mails), ("RCPTMAX", recipients))
        if (known := [limit for limit in limits if limit])
    ]
    return " ".join(words) or None


def _futurerelease(config: ServerConfig, now: Standing) -> str | None:
    """The longest time, and the date that this comes to (RFC 4865 section 3)."""
    longest = config.futurerelease
    return f"{longest} {write_moment(now.now + longest)}" if longest and now.known else None


def _deliverby(config: ServerConfig, now: Standing) -> str | None:
    """The shortest time after which a message may be returned, none when it is 0 (RFC 2852 section 2)."""
    shortest = config.deliverby
    return None if shortest is None else str(shortest or "")


def _mt_priority(config: ServerConfig, now: Standing) -> str | None:
    return "" if "mtpriority" in config.channel.keywords else None


def _etrn(config: ServerConfig, now: Standing) -> str | None:
    return None if etrn_disabled(config) or config.lmtp else ""


def _size(config: ServerConfig, now: Standing) -> str:
    return str(config.size_limit)


# Keyword -> its parameter text, or None where it is not offered. A new extension is one more line here,
# plus its parameters in parameters.py or its verb in the server's tables.
EXTENSIONS: tuple[tuple[str, Callable[[ServerConfig, Standing], str | None]], ...] = (
    ("8BITMIME", _always),
    ("PIPELINING", _always),
    ("CHUNKING", _chunking),
    ("DSN", _always),
    ("ENHANCEDSTATUSCODES", _always),
    ("HELP", _always),
    ("XLOOP", _xloop),
    ("XCLIENT", _xclient),
    ("STARTTLS", _starttls),
    ("AUTH", _auth),
    ("ETRN", _etrn),
    ("SMTPUTF8", _smtputf8),
    ("MT-PRIORITY", _mt_priority),
    ("FUTURERELEASE", _futurerelease),
    ("DELIVERBY", _deliverby),
    ("LIMITS", _limits),
    ("SIZE", _size),
)


_WITH_PARAMETERS = (
    ("SMTPUTF8", _smtputf8),
    ("MT-PRIORITY", _mt_priority),
    ("FUTURERELEASE", _futurerelease),
    ("DELIVERBY", _deliverby),
)


def offered(config: ServerConfig, now: Standing) -> list[str]:
    """The lines of the EHLO reply after the first, the site's EHLO_ADDITION last."""
    lines = []
    for keyword, parameter in EXTENSIONS:
        text = parameter(config, now)
        if text is not None:
            lines.append(f"{keyword} {text}".rstrip())
    addition = config.channel.options.ehlo_addition
    if addition:
        lines.extend(line.strip() for line in addition.split("|") if line.strip())
    return lines


def parameters_for(config: ServerConfig, now: Standing) -> frozenset[str]:
    """Extensions whose parameters MAIL may have, of those that not every server of ours offers."""
    offers = {name for name, parameter in _WITH_PARAMETERS if parameter(config, now) is not None}
    return frozenset(offers | ({"AUTH"} if config.auth else set()))


def mechanisms(config: ServerConfig, now: Standing) -> tuple[str, ...]:
    """SASL mechanisms that may be used now, best first."""
    return tuple(
        name
        for name in config.auth
        if (now.tls or config.plaintext_auth or name not in _PLAINTEXT)
        and (now.bindable or not name.endswith("-PLUS"))
    )


def plaintext(mechanism: str) -> bool:
    """Whether a mechanism shows the secret to whoever listens."""
    return mechanism in _PLAINTEXT


def etrn_disabled(config: ServerConfig) -> bool:
    """Whether the channel has the keyword ``disableetrn``."""
    return bool(config.channel.keywords.get("disableetrn"))
