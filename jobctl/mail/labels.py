"""What a message says of itself: Message-ID, subject and sensitivity, read from the beginning of its content."""

# So much of the content is looked at, and so much of each field kept.
HEADER = 32 * 1024
MOST = 250

_MESSAGE_ID, _SUBJECT, _SENSITIVITY = b"\nmessage-id:", b"\nsubject:", b"\nsensitivity:"
_SENSITIVITIES = frozenset({"personal", "private", "company-confidential"})


def labels(content: bytes) -> tuple[str, str]:
    """
    Message-ID and subject, ``""`` where there is none, as one line each.

    :param content: The content with CRLF line ends, or its beginning.

    RFC 5322 sections 3.6.4 and 3.6.5; an encoded subject (RFC 2047) is decoded.
    """
    header, lower = _header(content)
    return _field(header, lower, _MESSAGE_ID), _decoded(_field(header, lower, _SUBJECT))


def sensitivity(content: bytes) -> str:
    """
    The Sensitivity field: ``personal``, ``private`` or ``company-confidential``; ``""``: none, or none of these.

    :param content: As for :func:`labels`.

    RFC 2156 section 2.3.1.2 (values), RFC 4021 section 2.1.55.
    """
    value = _field(*_header(content), _SENSITIVITY).lower()
    return value if value in _SENSITIVITIES else ""


def _header(content: bytes) -> tuple[bytes, bytes]:
    """As it is, and in lower case; with a line end before."""
    end = content.find(b"\r\n\r\n", 0, HEADER)
    header = b"\n" + content[: end if end >= 0 else HEADER]
    # One search of lower-case octets is several times faster than a regular expression that ignores case.
    return header, header.lower()


def _field(header: bytes, lower: bytes, name: bytes) -> str:
    start = lower.find(name)
    if start < 0:
        return ""
    start += len(name)
    # Folded lines belong to it (RFC 5322 section 2.2.3).
    end = header.find(b"\r\n", start)
    while end >= 0 and end - start < MOST and header[end + 2 : end + 3] in (b" ", b"\t"):
        end = header.find(b"\r\n", end + 2)
    value = header[start : end if end >= 0 else len(header)]
    return " ".join(value[: 4 * MOST].decode("utf-8", "replace").split())[:MOST]


def _decoded(text: str) -> str:
    if "=?" not in text:
        return text
    # Late: most subjects do not need it, and it takes long to import.
    from email.errors import HeaderParseError
    from email.header import decode_header, make_header

    try:
        return " ".join(str(make_header(decode_header(text))).split())[:MOST]
    except (HeaderParseError, LookupError, ValueError):
        return text
