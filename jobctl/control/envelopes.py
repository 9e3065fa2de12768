"""The envelope that an ``enqueue`` request means, every part checked: it goes to other hosts as it is."""

import os
import re

from jobctl.control.refusals import bad_address
from jobctl.control.requests import Enqueue
from jobctl.errors import UsageError
from jobctl.mail.address import parse_path
from jobctl.mail.envelope import DeliverBy, Envelope, Priority, Recipient

_NOTIFY = frozenset({"SUCCESS", "FAILURE", "DELAY"})
# RFC 3461 section 5.3 and 4.2: what an ORCPT parameter may look like; section 4.4: length of ENVID.
_ORCPT = re.compile(r"[A-Za-z0-9-]+;[!-~]+")
_LONGEST_ENVID = 100
_NOT_XTEXT = re.compile(r"[^!-*,-<>-~]")


def envelope_of(request: Enqueue) -> Envelope:
    """:raises UsageError: An address or a parameter will not do."""
    if not request.recipients:
        raise UsageError("a message needs at least one recipient", os.EX_USAGE)
    return Envelope(
        sender=_address(request.sender, null_ok=True),
        recipients=tuple(_recipient(given, request.notify) for given in request.recipients),
        ret=_one_of("ret", request.ret, ("FULL", "HDRS")),
        envid=_xtext(request.envid),
        body=_one_of("body", request.body, ("7BIT", "8BITMIME")),
        smtputf8=request.smtputf8,
        by=_by(request.by),
    )


def priority_of(request: Enqueue) -> Priority | None:
    """
    The priority that was asked for; ``None``: what the message's header says.

    :raises UsageError: It is not one that a message can be given.
    """
    if not request.priority:
        return None
    word = _one_of("priority", request.priority.lower(), ("urgent", "normal", "nonurgent", "non-urgent"))
    return Priority.named(word or "normal")


def notify_of(text: str | None) -> str | None:
    """
    The value of a NOTIFY parameter, checked.

    :raises UsageError: Neither ``NEVER`` nor a list of the others (RFC 3461 section 4.1).
    """
    if text is None:
        return None
    words = text.upper().split(",")
    if words != ["NEVER"] and not (words and set(words) <= _NOTIFY):
        raise UsageError(
            f"notify is NEVER, or any of SUCCESS,FAILURE,DELAY with commas, not {text!r}", os.EX_USAGE
        )
    return ",".join(words)


def _recipient(given: str | Recipient, notify: str | None) -> Recipient:
    if isinstance(given, str):
        return Recipient(_address(given, null_ok=False), notify=notify_of(notify))
    if given.orcpt is not None and not _ORCPT.fullmatch(given.orcpt):
        raise UsageError(f"orcpt is 'rfc822;' and the address in xtext, not {given.orcpt!r}", os.EX_DATAERR)
    chosen = notify if given.notify is None else given.notify
    return Recipient(_address(given.address, null_ok=False), notify=notify_of(chosen), orcpt=given.orcpt)


def _address(text: str, null_ok: bool) -> str:
    if null_ok and text in ("", "<>"):
        return ""
    try:
        return parse_path(text, null_ok)
    except ValueError as why:
        raise bad_address(text, why) from None


def _one_of(name: str, value: str | None, allowed: tuple[str, ...]) -> str | None:
    if value is None or value in allowed:
        return value
    raise UsageError(f"{name} is one of {', '.join(allowed)}, not {value!r}", os.EX_USAGE)


def _by(text: str | None) -> DeliverBy | None:
    if text is None:
        return None
    try:
        return DeliverBy.parsed(text)
    except ValueError as why:
        raise UsageError(f"by is as in '3600;R', not {text!r}: {why}", os.EX_USAGE) from None


def _xtext(envid: str | None) -> str | None:
    """RFC 3461 section 4: printable ASCII without ``+`` and ``=``, the rest as ``+`` and two digits."""
    if envid is None:
        return None
    if not envid or not envid.isascii() or not envid.isprintable() or len(envid) > _LONGEST_ENVID:
        raise UsageError(
            f"envid is 1 to {_LONGEST_ENVID} printable ASCII characters, not {envid!r}", os.EX_DATAERR
        )
    return _NOT_XTEXT.sub(lambda found: f"+{ord(found[0]):02X}", envid)
