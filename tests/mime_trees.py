"""Messages of MIME parts in parts, made at random; and what independent readers find in a message."""

import email
import email.message
from typing import Any

import fast_mail_parser
from hypothesis import strategies as st

_HONEST = (
    *(
        b"plain",
        b"gr\xc3\xbc\xc3\x9fe",
        b"\xff\xfe\x80",
        b"=",
        b"--",
        b"-",
        b".",
        b" ",
        b"\t",
        b"From x",
        b"a=3D",
        b"",
    ),
    *(b"x" * 75, b"y" * 76, b"z-" * 60, b"=" * 80, b"\xd0\xb4\xd0\xb0" * 40, b"w" * 1200),
)
# Lines that end parts earlier than whoever wrote them thought, or nearly do.
_HOSTILE = (*_HONEST, b"--b1", b"--b1x", b"--b1xx--")


def text(words: tuple[bytes, ...] = _HONEST) -> st.SearchStrategy[bytes]:
    """Lines, the last without an end."""
    line = st.lists(st.sampled_from(words), max_size=4).map(b"".join)
    return st.lists(line, max_size=6).map(b"\r\n".join)


_TYPES = st.sampled_from(
    [
        b"text/plain; charset=utf-8",
        b"text/html; charset=iso-8859-1",
        b"application/octet-stream",
        b"image/x-y",
    ]
)
_ENCODINGS = st.sampled_from([b"", b"7bit", b"8bit", b"8BIT"])


def _encoding(given: bytes) -> list[bytes]:
    return [b"Content-Transfer-Encoding: " + given] if given else []


@st.composite
def parts(draw: Any, depth: int, message: bool, words: tuple[bytes, ...]) -> bytes:
    """A part, or a message with all it needs to be MIME."""
    header = [b"X-Before: a\r\n b"] + ([b"MIME-Version: 1.0"] if message else [])
    kind = draw(
        st.sampled_from(["leaf", "leaf", "none", "multipart", "multipart", "message"] if depth else ["leaf"])
    )
    if kind == "none" and not message:
        header, body = [], draw(text(words))
    elif kind in ("leaf", "none"):
        header += [b"Content-Type: " + draw(_TYPES), *_encoding(draw(_ENCODINGS)), b"X-After: c"]
        body = draw(text(words))
    elif kind == "message":
        header += [b"Content-Type: message/rfc822", *_encoding(draw(_ENCODINGS))]
        body = draw(parts(depth - 1, True, words))
    else:
        # A boundary that begins as another does is another.
        mark = b"b1" + b"x" * depth
        header += [
            b'Content-Type: multipart/mixed;\r\n boundary="' + mark + b'"',
            *_encoding(draw(_ENCODINGS)),
        ]
        inner = draw(st.lists(parts(depth - 1, False, words), min_size=1, max_size=3))
        blocks = [b"--" + mark + b"\r\n" + part + b"\r\n" for part in inner]
        body = b"preamble\r\n" + b"".join(blocks) + b"--" + mark + b"--\r\nepilogue"
    return b"\r\n".join((*header, b"", body))


HONEST, HOSTILE = (
    parts(3, True, words).map(lambda message: message + b"\r\n") for words in (_HONEST, _HOSTILE)
)


def leaves(content: bytes) -> list[tuple[str, bytes]]:
    """Type and decoded octets of each part that holds no others, as Python's reader finds them."""
    found: list[tuple[str, bytes]] = []
    for part in email.message_from_bytes(content).walk():
        assert isinstance(part, email.message.Message)
        if not part.is_multipart():
            decoded = part.get_payload(decode=True)
            assert isinstance(decoded, bytes)
            found.append((part.get_content_type(), decoded))
    return found


def other_reading(content: bytes) -> list[object]:
    """What another reader makes of it: texts, and attachments (for it, messages in messages are raw octets)."""
    read = fast_mail_parser.parse_email(content)
    kept = [one.content for one in read.attachments if one.mimetype != "message/rfc822"]
    return [read.text_plain, read.text_html, kept]
