"""The arguments of MAIL and RCPT: a path and ESMTP parameters (RFC 5321 section 4.1.1.11, RFC 3461 section 4)."""

import re
from collections.abc import Callable

import msgspec

from jobctl.mail.reply import Reply

_PATH = re.compile(r' *(<(?:"(?:[^"\\]|\\.)*+"|[^">])*+>|(?:"(?:[^"\\]|\\.)*+"|[^<>" ])++)(?: +(.*))?')
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~]+))?")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-Fa-f]{2})+")
_ESCAPE = re.compile(r"\+([0-9A-Fa-f]{2})")
# RFC 3461 sections 4.2, 4.4 and 5.4.
_MAX_ORCPT = 500
_MAX_ENVID = 100
# RFC 1870 section 3: up to 20 digits.
_MAX_SIZE_DIGITS = 20


class BadParameter(Exception):
    """``reply`` is 555 for a parameter that we do not know, 501 for one that is wrong."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.reply = Reply(code, f"5.5.4 {text}")


class MailParameters(msgspec.Struct):
    """:ivar size: 0 when not given; the others as in :class:`jobctl.mail.envelope.Envelope`."""

    size: int = 0
    body: str | None = None
    ret: str | None = None
    envid: str | None = None


class RcptParameters(msgspec.Struct):
    """As in :class:`jobctl.mail.envelope.Recipient`."""

    notify: str | None = None
    orcpt: str | None = None


def split_path(argument: str) -> tuple[str, str]:
    """
    :param argument: What follows ``FROM:`` or ``TO:``.
    :return: The path, brackets and all, and the parameters behind it.
    :raises ValueError: There is no path.
    """
    found = _PATH.fullmatch(argument)
    if found is None:
        raise ValueError("malformed path")
    return found[1], found[2] or ""


def mail_parameters(text: str) -> MailParameters:
    """:raises BadParameter: One is unknown, given twice, or wrong."""
    parameters = MailParameters()
    for name, value in _split(text, _OF_MAIL):
        _OF_MAIL[name](parameters, value)
    return parameters


def rcpt_parameters(text: str) -> RcptParameters:
    """:raises BadParameter: One is unknown, given twice, or wrong."""
    parameters = RcptParameters()
    for name, value in _split(text, _OF_RCPT):
        _OF_RCPT[name](parameters, value)
    return parameters


def _split(text: str, known: dict[str, Callable[..., None]]) -> list[tuple[str, str]]:
    given: dict[str, str] = {}
    for word in text.split():
        found = _PARAMETER.fullmatch(word)
        if found is None:
            raise BadParameter(501, "Malformed parameter")
        name = found[1].upper()
        if name not in known:
            raise BadParameter(555, f"Unknown parameter {name[:40]}")
        if name in given:
            raise BadParameter(501, f"{name} given twice")
        given[name] = found[2] or ""
    return list(given.items())


def _size(parameters: MailParameters, value: str) -> None:
    if not (value.isascii() and value.isdigit()) or len(value) > _MAX_SIZE_DIGITS:
        raise BadParameter(501, "SIZE takes a number of octets")
    parameters.size = int(value)


def _body(parameters: MailParameters, value: str) -> None:
    parameters.body = _one_of("BODY", value, ("7BIT", "8BITMIME"))


def _ret(parameters: MailParameters, value: str) -> None:
    parameters.ret = _one_of("RET", value, ("FULL", "HDRS"))


def _envid(parameters: MailParameters, value: str) -> None:
    if len(value) > _MAX_ENVID or not _is_clean_xtext(value):
        raise BadParameter(501, "ENVID takes printable xtext of at most 100 characters")
    parameters.envid = value


def _notify(parameters: RcptParameters, value: str) -> None:
    words = value.upper().split(",")
    if words != ["NEVER"] and (
        len(set(words)) != len(words) or not set(words) <= {"SUCCESS", "FAILURE", "DELAY"}
    ):
        raise BadParameter(501, "NOTIFY takes NEVER, or a list of SUCCESS, FAILURE and DELAY")
    parameters.notify = ",".join(words)


def _orcpt(parameters: RcptParameters, value: str) -> None:
    kind, semicolon, address = value.partition(";")
    if len(value) > _MAX_ORCPT or not semicolon or not kind or not _is_clean_xtext(address):
        raise BadParameter(501, "ORCPT takes an address type, a semicolon and printable xtext")
    parameters.orcpt = value


def _one_of(name: str, value: str, words: tuple[str, ...]) -> str:
    word = value.upper()
    if word not in words:
        raise BadParameter(501, f"{name} takes {' or '.join(words)}")
    return word


def _is_clean_xtext(value: str) -> bool:
    """Xtext that does not hide a control character: nobody who decodes it can be made to begin a new line."""
    return _XTEXT.fullmatch(value) is not None and all(
        0x20 <= int(code, 16) < 0x7F for code in _ESCAPE.findall(value)
    )


_OF_MAIL: dict[str, Callable[[MailParameters, str], None]] = {
    "SIZE": _size,
    "BODY": _body,
    "RET": _ret,
    "ENVID": _envid,
}
_OF_RCPT: dict[str, Callable[[RcptParameters, str], None]] = {"NOTIFY": _notify, "ORCPT": _orcpt}
