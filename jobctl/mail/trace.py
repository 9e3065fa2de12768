"""Trace fields (RFC 5321 4.4): the Received field put before what comes in, and counting them."""

import itertools
import re
import secrets
import time

from jobctl.mail.transportinfo import TransportInfo

# What a client claims (its HELO name, an address) goes into the header of somebody else's mail:
# only what can end neither a line, a comment nor a clause passes.
_UNSAFE = re.compile(r"[^!#-'*-:=?-\[\]-~]")
# The product is our own text, several words in a comment.
_UNSAFE_COMMENT = re.compile(r"[^ !-'*-:=-\[\]-~]")
# A longer recipient would make a long line of no use.
_LONGEST = 255

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_numbers = itertools.count()
# Told apart from every other process that makes ids in the same millisecond.
_own = secrets.token_hex(4).upper()


class _DateCache:
    """The last second asked for: under load a thousand messages share it."""

    second = -1
    text = ""


def rfc5322_date(when: float) -> str:
    """Epoch seconds as a header field has them, in local time: ``Fri, 05 Sep 2008 09:32:26 -0400``."""
    second = int(when)
    if second != _DateCache.second:
        at = time.localtime(second)
        east = at.tm_gmtoff
        sign = "-" if east < 0 else "+"
        minutes = abs(east) // 60
        _DateCache.text = (
            f"{_DAYS[at.tm_wday]}, {at.tm_mday:02d} {_MONTHS[at.tm_mon - 1]} {at.tm_year}"
            f" {at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d} {sign}{minutes // 60:02d}{minutes % 60:02d}"
        )
        _DateCache.second = second
    return _DateCache.text


def _safe(text: str) -> str:
    return _UNSAFE.sub("?", text)[:_LONGEST]


def received_field(
    *,
    helo: str,
    transport: TransportInfo | None,
    by: str,
    protocol: str,
    envelope_id: str,
    recipient: str | None,
    when: float,
    product: str,
    rdns: str | None = None,
    sender: str | None = None,
) -> bytes:
    """
    The field of one arrival, folded, ending in CRLF.

    :param helo: The name the client gave, whatever it is; ``""`` when it gave none.
    :param by: The name of this host.
    :param protocol: ``SMTP``, ``ESMTP``, ``LMTP`` ... (RFC 3848).
    :param recipient: The only one, or ``None`` when there are several: they must not learn of each other.
    :param when: Epoch seconds.
    :param rdns: The client's name by reverse look-up.
    :param sender: The envelope's, to be told in a comment; ``None``: it is not.
    """
    ip = transport.remote_ip if transport is not None else ""
    if ip:
        literal = f"[IPv6:{ip}]" if ":" in ip else f"[{ip}]"
        client = f" ({_safe(rdns)} {literal})" if rdns else f" ({literal})"
    else:
        client = f" ({_safe(rdns)})" if rdns else ""
    id_clause = f"<{_safe(envelope_id)}>" if "@" in envelope_id else _safe(envelope_id)
    # An address that would have to be changed is better left out.
    named = recipient and len(recipient) <= _LONGEST and _UNSAFE.search(recipient) is None
    for_clause = f"\r\n for <{recipient}>" if named else ""
    # Comments may stand wherever blanks may (RFC 5322 section 3.2.2).
    from_comment = "" if sender is None else f"\r\n (envelope-from <{_safe(sender)}>)"
    return (
        f"Received: from {_safe(helo) or 'unknown'}{client}\r\n"
        f" by {_safe(by)} ({_UNSAFE_COMMENT.sub('?', product)})\r\n"
        f" with {_safe(protocol)} id {id_clause}{from_comment}{for_clause};\r\n"
        f" {rfc5322_date(when)}\r\n"
    ).encode("ascii")


def received_count(header: bytes) -> int:
    """
    How many Received fields a message's header has.

    :param header: The beginning of the content; what follows the first empty line is not looked at.
    """
    end = header.find(b"\r\n\r\n")
    head = (header if end < 0 else header[:end]).lower()
    return head.count(b"\nreceived:") + head.startswith(b"received:")


def new_envelope_id(now: float, host: str) -> str:
    """
    Our own id of one arrival, ``letters and digits@host``, unique among all processes and machines.

    :param now: Epoch seconds.
    """
    return f"{_base36(int(now * 1000))}{_own}{_base36(next(_numbers))}@{host}"


def _base36(number: int) -> str:
    text = ""
    while True:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
        if not number:
            return text
