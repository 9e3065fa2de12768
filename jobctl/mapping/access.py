"""The access tables: what is asked of them, and what their answers mean (access probes of the MTA)."""

import msgspec

from jobctl.mail.envelope import Source
from jobctl.mail.reply import Reply
from jobctl.mapping.tables import Result, Tables

PORT_ACCESS = "PORT_ACCESS"
FROM_ACCESS = "FROM_ACCESS"
ETRN_ACCESS = "ETRN_ACCESS"
# In the order in which they are asked.
RECIPIENT_TABLES = ("ORIG_SEND_ACCESS", "SEND_ACCESS", "ORIG_MAIL_ACCESS", "MAIL_ACCESS")
# ``access_orcpt``: whose probes end with the original recipient; bit 0 means all of them.
_ORCPT = {"ORIG_SEND_ACCESS": 3, "SEND_ACCESS": 5, "ORIG_MAIL_ACCESS": 9, "MAIL_ACCESS": 17}
IP_ACCESS = "IP_ACCESS"
ALL = (PORT_ACCESS, FROM_ACCESS, *RECIPIENT_TABLES, ETRN_ACCESS, IP_ACCESS)

_REJECTED = "5.7.1 you are not allowed to use this address"


class Permission(msgspec.Struct, frozen=True):
    """
    :ivar refusal: What the client is told, ``None``: it may.
    :ivar hold: The message is to be held (``$H``).
    :ivar delay: Hundredths of a second before the banner (``$D`` of PORT_ACCESS), 0: as the option says.
    :ivar recorded: The refusal has a record of its own in the log (``$T`` of PORT_ACCESS).
    :ivar private: The client may say the private commands (``$V`` of PORT_ACCESS).
    :ivar site: What the site has the log say of the connection (after ``||``).
    """

    refusal: Reply | None = None
    hold: bool = False
    delay: int = 0
    recorded: bool = False
    private: bool = False
    site: str = ""


ALLOWED = Permission()


def port_access(tables: Tables, transport: str) -> Permission:
    """
    May a connection be opened?

    :param transport: ``TCP|us|port|client|port``.
    """
    result = tables.probe(PORT_ACCESS, transport)
    if not result.matched:
        return ALLOWED
    text, _, site = (part.strip() for part in result.text.partition("||"))
    if {"N", "F"} & result.flags:
        reply = _reply((text or "421 4.7.1 Connection refused.").replace("~", "\n"), 421)
        return Permission(reply, recorded="T" in result.flags, site=site)
    delay = min(int(text), 60_000) if "D" in result.flags and text.isdigit() else 0
    private = "V" in result.flags
    return Permission(delay=delay, site=site, private=private) if delay or site or private else ALLOWED


def from_access(tables: Tables, source: Source, sender: str) -> Permission:
    """May this sender send (MAIL FROM)?"""
    if FROM_ACCESS not in tables:
        return ALLOWED
    probe = "|".join(
        (
            *(_transport(source), source.application, source.submit_type),
            *(source.channel, sender, source.user or ""),
        )
    )
    return _permission(tables.probe(FROM_ACCESS, probe))


def etrn_access(tables: Tables, source: Source, channel: str, node: str) -> Reply | None:
    """
    May this client start a queue (ETRN)?

    :param channel: That would be run; ``node``: ETRN's argument.
    :return: What it is told if it may not.
    """
    if ETRN_ACCESS not in tables:
        return None
    result = tables.probe(ETRN_ACCESS, "|".join((_transport(source), source.application, channel, node)))
    if not (result.matched and {"N", "F"} & result.flags):
        return None
    text = result.text.strip()
    # A text of one's own code stands as it is, any other is that of RFC 1985 for who is not allowed.
    return _reply(text, 459) if text else Reply(459, f"4.7.1 Node {node} not allowed")


class Forbidden(Exception):
    """``$N`` of IP_ACCESS: mail for this host is to be returned; the text is for the log alone."""


def ip_access(
    tables: Tables,
    channel: str,
    number: int,
    count: int,
    address: str,
    host: str,
    attempt: int | None = None,
) -> str | None:
    """
    Where to connect to (asked before each connection that we make).

    :param channel: Of the mail that goes out; ``number``: of the address among the ``count`` of its host, from 1.
    :param attempt: Of the message that the connection is for, 1 for the first, -1: not known; ``None``: the probe has
        no such field (``use_ip_access``).
    :return: The address, or another (``$A``); ``None``: not this one (``$I``).
    :raises Forbidden: Nor any other (``$N``).
    """
    probe = f"{channel}|{number}|{count}|{address}|{host}"
    result = tables.probe(IP_ACCESS, probe if attempt is None else f"{probe}|{attempt}")
    if not result.matched:
        return address
    text = result.text.strip()
    if "N" in result.flags:
        raise Forbidden(text)
    if "I" in result.flags:
        return None
    return text if "A" in result.flags else address


def recipient_access(
    tables: Tables,
    source: Source,
    sender: str,
    given: str,
    resolved: str,
    channel: str,
    orcpt: str = "",
    access_orcpt: int = 0,
) -> Permission:
    """
    May this sender send to this recipient (RCPT TO)?

    :param given: The recipient as the client gave it; ``resolved``: as rewritten.
    :param channel: Where it would be queued.
    :param orcpt: ``type;address`` of the ORCPT parameter, decoded; ``""``: the recipient as given.
    :param access_orcpt: Bits that say which probes have it.
    """
    permission = ALLOWED
    for name in RECIPIENT_TABLES:
        if name not in tables:
            continue
        recipient = given if name.startswith("ORIG_") else resolved
        short = "|".join((source.channel, sender, channel, recipient))
        if name.endswith("SEND_ACCESS"):
            probe = short
        else:
            probe = "|".join((_transport(source), source.application, source.submit_type, short))
        if access_orcpt & _ORCPT[name]:
            probe += f"|{orcpt or f'rfc822;{given}'}"
        found = _permission(tables.probe(name, probe))
        if found.refusal is not None:
            return found
        if found.hold:
            permission = found
    return permission


def _permission(result: Result) -> Permission:
    if not result.matched:
        return ALLOWED
    if {"N", "F"} & result.flags:
        text = result.text.strip()
        if "X" in result.flags and "|" in text:
            # $X: the enhanced code comes first.
            code, _, rest = text.partition("|")
            text = f"{code.strip()} {rest.strip() or _REJECTED[6:]}"
        return Permission(_reply(text or _REJECTED, 550))
    return Permission(hold="H" in result.flags)


def _reply(text: str, code: int) -> Reply:
    """A text may begin with a code of its own, and an enhanced one; the classes then agree."""
    first, _, rest = text.partition(" ")
    if len(first) == 3 and first.isascii() and first.isdigit() and first[0] in "45":
        return Reply(int(first), rest.strip() or _REJECTED)
    if first[:2] in ("4.", "5."):
        if code != 421 and first[0] != str(code)[0]:
            code = 450 if first[0] == "4" else 550
        return Reply(code, text)
    return Reply(code, text if code == 421 else f"{code // 100}.7.1 {text}")


def _transport(source: Source) -> str:
    # Absent information leaves its separators, so that patterns still find their fields.
    return source.transport or "TCP||||"
