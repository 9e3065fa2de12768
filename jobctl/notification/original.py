"""The header of the message that a notification is about: quoted, and read for people."""

import re
from email.errors import HeaderParseError
from email.header import decode_header

from jobctl.mail.header import header_of
from jobctl.notification.wording import clean

# Octets of a header that are quoted where the body is not: bombs are not sent back.
MOST_HEADER = 64 * 1024
_LONGEST = 200
# The copy of a notification that a postmaster gets, so that it is never copied again, however often it comes back.
COPY_FIELD = "Postmaster-Copy"
_COPY = re.compile(rb"(?im)^" + COPY_FIELD.encode() + rb":")
# Encoded words in a row, which may share the octets of a character.
_WORD = r"=\?[^?\s]{1,40}\?[QqBb]\?[^?\s]*\?="
_ENCODED = re.compile(rf"{_WORD}(?:\s+{_WORD})*", re.ASCII)
# What this says of the reader's language, the surest first (RFC 8255 section 3, RFC 3282).
_LANGUAGE_FIELDS = ("Accept-Language", "Preferred-Language", "X-Accept-Language", "Content-Language")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*")


def quotable_header(content: bytes) -> bytes:
    """The header section; of one that does not end, or is huge, the whole lines at its beginning."""
    header = header_of(content)
    if len(header) > MOST_HEADER or not header.endswith(b"\r\n"):
        header = header[:MOST_HEADER]
        header = header[: header.rfind(b"\r\n") + 2]
    return header


def field(header: bytes, name: str) -> str:
    """The first field of that name, unfolded, encoded words read, in one line fit to be shown; ``""``: none."""
    found = re.search(rb"(?im)^" + name.encode() + rb"[ \t]*:((?:.*\r?\n[ \t])*.*)$", header)
    if found is None:
        return ""
    text = found[1][: 10 * _LONGEST].decode("utf-8", "replace")
    shown = clean(_decoded(text))
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def message_id(header: bytes) -> str:
    """The Message-ID with its brackets, where it is one that can be repeated in a header; else ``""``."""
    found = re.fullmatch(r"<[!-;=?-~]{1,250}>", field(header, "Message-ID"))
    return found[0] if found else ""


def is_copy(content: bytes) -> bool:
    """Whether it is a postmaster's copy, or gives one back."""
    return _COPY.search(content) is not None


def languages(header: bytes) -> list[str]:
    """Language tags that its author seems to read, the best first, ``q`` left aside."""
    found: list[str] = []
    for name in _LANGUAGE_FIELDS:
        for part in field(header, name).split(",")[:10]:
            tag = _LANGUAGE.fullmatch(part.partition(";")[0].strip())
            if tag is not None:
                found.append(tag[0].lower())
    return found


def _decoded(text: str) -> str:
    """Encoded words (RFC 2047) read, with raw UTF-8 around them; left alone where they are not in order."""
    return _ENCODED.sub(_words, text) if "=?" in text else text


def _words(found: "re.Match[str]") -> str:
    try:
        parts = decode_header(found[0])
        return "".join(
            part if isinstance(part, str) else part.decode(charset or "ascii", "replace")
            for part, charset in parts
        )
    except (HeaderParseError, LookupError, ValueError):
        return found[0]
