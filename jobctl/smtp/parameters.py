"""The arguments of MAIL and RCPT: a path and ESMTP parameters (RFC 5321 section 4.1.1.11, RFC 3461)."""

import re
from collections.abc import Callable, Container

import msgspec

from jobctl.mail.address import parse_path
from jobctl.mail.envelope import DeliverBy, Recipient
from jobctl.mail.moment import parse_moment
from jobctl.mail.reply import Reply
from jobctl.smtp.replies import MAIL_SYNTAX, RCPT_SYNTAX

_PATH = re.compile(r' *(<(?:"(?:[^"\\]|\\.)*+"|[^">])*+>|(?:"(?:[^"\\]|\\.)*+"|[^<>" ])++)(?: +(.*))?')
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~]+))?")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-Fa-f]{2})+")
_ESCAPE = re.compile(r"\+([0-9A-Fa-f]{2})")
# RFC 3461 sections 4.2, 4.4 and 5.4.
_MAX_ORCPT = 500
_MAX_ENVID = 100
# RFC 1870 section 3: up to 20 digits.
_MAX_SIZE_DIGITS = 20


class BadArgument(Exception):
    """``reply`` is 555 for a parameter that we do not know, 501 for anything that is wrong."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class MailParameters(msgspec.Struct):
    """:ivar size: 0 when not given; the others as in :class:`jobctl.mail.envelope.Envelope`."""

    size: int = 0
    body: str | None = None
    ret: str | None = None
    envid: str | None = None
    smtputf8: bool = False
    auth: str | None = None
    mt_priority: int | None = None
    hold_for: int | None = None
    hold_until: str | None = None
    by: DeliverBy | None = None


class RcptParameters(msgspec.Struct):
    """As in :class:`jobctl.mail.envelope.Recipient`."""

    notify: str | None = None
    orcpt: str | None = None


# Shared by every MAIL without parameters; nobody changes it.
NO_PARAMETERS = MailParameters()


def mail_argument(argument: str, offered: Callable[[], Container[str]] = tuple) -> tuple[str, MailParameters]:
    """
    :param argument: What follows ``MAIL``: ``FROM:<a@b> SIZE=10``.
    :param offered: Gives the extensions beyond those that every server of ours has; asked only if one is used.
    :return: Sender, ``""`` for ``<>``, and parameters.
    :raises BadArgument: With the reply to give.
    """
    if argument[:5].upper() != "FROM:":
        raise BadArgument(MAIL_SYNTAX)
    try:
        path, parameters = _split_path(argument[5:])
        sender = parse_path(path, True)
    except ValueError as why:
        raise BadArgument(Reply(501, f"5.1.7 Bad sender address: {why}.")) from None
    if not parameters:
        return sender, NO_PARAMETERS
    given = MailParameters()
    for name, value in _split(parameters, _OF_MAIL):
        extension, take = _OF_MAIL[name]
        if extension and extension not in offered():
            raise _unknown(name)
        take(given, value)
    if given.hold_for is not None and given.hold_until is not None:
        raise _bad(501, "HOLDFOR and HOLDUNTIL exclude each other")
    return sender, given


def rcpt_argument(argument: str) -> Recipient:
    """
    :param argument: What follows ``RCPT``: ``TO:<a@b> NOTIFY=NEVER``.
    :raises BadArgument: With the reply to give.
    """
    if argument[:3].upper() != "TO:":
        raise BadArgument(RCPT_SYNTAX)
    try:
        path, parameters = _split_path(argument[3:])
        address = parse_path(path, False)
    except ValueError as why:
        raise BadArgument(Reply(501, f"5.1.3 Bad recipient address: {why}.")) from None
    if not parameters:
        return Recipient(address)
    given = RcptParameters()
    for name, value in _split(parameters, _OF_RCPT):
        _OF_RCPT[name](given, value)
    return Recipient(address, given.notify, given.orcpt)


def _split_path(argument: str) -> tuple[str, str]:
    found = _PATH.fullmatch(argument)
    if found is None:
        raise ValueError("malformed path")
    return found[1], found[2] or ""


def _split(text: str, known: Container[str]) -> list[tuple[str, str]]:
    given: dict[str, str] = {}
    for word in text.split():
        found = _PARAMETER.fullmatch(word)
        if found is None:
            raise _bad(501, "Malformed parameter")
        name = found[1].upper()
        if name not in known:
            raise _unknown(name)
        if name in given:
            raise _bad(501, f"{name} given twice")
        given[name] = found[2] or ""
    return list(given.items())


def _unknown(name: str) -> BadArgument:
    return _bad(555, f"Unknown parameter {name[:40]}")


def _size(parameters: MailParameters, value: str) -> None:
    if not (value.isascii() and value.isdigit()) or len(value) > _MAX_SIZE_DIGITS:
        raise _bad(501, "SIZE takes a number of octets")
    parameters.size = int(value)


def _body(parameters: MailParameters, value: str) -> None:
    if value.upper() == "BINARYMIME":
        raise BadArgument(Reply(501, "5.6.3 BODY=BINARYMIME is not supported; use 7BIT or 8BITMIME."))
    parameters.body = _one_of("BODY", value, ("7BIT", "8BITMIME"))


def _smtputf8(parameters: MailParameters, value: str) -> None:
    if value:
        raise _bad(501, "SMTPUTF8 takes no value")
    parameters.smtputf8 = True


def _auth(parameters: MailParameters, value: str) -> None:
    if value != "<>" and not _is_clean_xtext(value):
        raise _bad(501, "AUTH takes <> or printable xtext")
    parameters.auth = value


def _mt_priority(parameters: MailParameters, value: str) -> None:
    if not re.fullmatch(r"-[1-9]|[0-9]", value):
        raise _bad(501, "MT-PRIORITY takes a number from -9 to 9")
    parameters.mt_priority = int(value)


def _hold_for(parameters: MailParameters, value: str) -> None:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", value):
        raise _bad(501, "HOLDFOR takes seconds, from 1 to 999999999")
    parameters.hold_for = int(value)


def _hold_until(parameters: MailParameters, value: str) -> None:
    try:
        parse_moment(value)
    except ValueError as why:
        raise _bad(501, f"HOLDUNTIL takes a date and time such as 2026-11-25T18:00:00Z: {why}") from None
    parameters.hold_until = value


def _by(parameters: MailParameters, value: str) -> None:
    try:
        parameters.by = DeliverBy.parsed(value)
    except ValueError as why:
        raise _bad(501, str(why)) from None


def _ret(parameters: MailParameters, value: str) -> None:
    parameters.ret = _one_of("RET", value, ("FULL", "HDRS"))


def _envid(parameters: MailParameters, value: str) -> None:
    if len(value) > _MAX_ENVID or not _is_clean_xtext(value):
        raise _bad(501, "ENVID takes printable xtext of at most 100 characters")
    parameters.envid = value


def _notify(parameters: RcptParameters, value: str) -> None:
    words = value.upper().split(",")
    if words != ["NEVER"] and (
        len(set(words)) != len(words) or not set(words) <= {"SUCCESS", "FAILURE", "DELAY"}
    ):
        raise _bad(501, "NOTIFY takes NEVER, or a list of SUCCESS, FAILURE and DELAY")
    parameters.notify = ",".join(words)


def _orcpt(parameters: RcptParameters, value: str) -> None:
    kind, semicolon, address = value.partition(";")
    if len(value) > _MAX_ORCPT or not semicolon or not kind or not _is_clean_xtext(address):
        raise _bad(501, "ORCPT takes an address type, a semicolon and printable xtext")
    parameters.orcpt = value


def _one_of(name: str, value: str, words: tuple[str, ...]) -> str:
    word = value.upper()
    if word not in words:
        raise _bad(501, f"{name} takes {' or '.join(words)}")
    return word


def _bad(code: int, text: str) -> BadArgument:
    return BadArgument(Reply(code, f"5.5.4 {text}."))


def _is_clean_xtext(value: str) -> bool:
    """Xtext that does not hide a control character: nobody who decodes it can be made to begin a new line."""
    return _XTEXT.fullmatch(value) is not None and all(
        0x20 <= int(code, 16) < 0x7F for code in _ESCAPE.findall(value)
    )


# Name -> the extension that must be offered for it ("": one that every server of ours has), and who takes it.
_OF_MAIL: dict[str, tuple[str, Callable[[MailParameters, str], None]]] = {
    "SIZE": ("", _size),
    "BODY": ("", _body),
    "RET": ("", _ret),
    "ENVID": ("", _envid),
    "SMTPUTF8": ("SMTPUTF8", _smtputf8),
    "AUTH": ("AUTH", _auth),
    "MT-PRIORITY": ("MT-PRIORITY", _mt_priority),
    "HOLDFOR": ("FUTURERELEASE", _hold_for),
    "HOLDUNTIL": ("FUTURERELEASE", _hold_until),
    "BY": ("DELIVERBY", _by),
}
_OF_RCPT: dict[str, Callable[[RcptParameters, str], None]] = {"NOTIFY": _notify, "ORCPT": _orcpt}
