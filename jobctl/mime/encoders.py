"""Octets to lines of seven bits: quoted-printable and base64 (RFC 2045 sections 6.7 and 6.8)."""

import base64
import binascii
import re

# Of a line (RFC 2045 section 6.7, rule 5), without its end.
_WIDTH = 76
# Of a line whose end has not come; a longer one goes on behind a soft line break.
_MOST_HELD = 4096
_BASE64_LINE = 57
_NEEDS = re.compile(rb"[^\t -<>-~]+")


class QuotedPrintable:
    """
    Text, in pieces cut anywhere, with CRLF as line end and no other CR or LF.

    A line that our own soft breaks begin never begins with a hyphen: it could be taken for a boundary.
    """

    name = b"quoted-printable"

    def __init__(self) -> None:
        self._held = b""
        self._inside = False  # the beginning of this line is out

    def feed(self, data: bytes) -> bytes:
        """Return the lines that are complete."""
        lines = (self._held + data).split(b"\r\n")
        held = lines.pop()
        out = []
        for line in lines:
            out.append(self._encoded(line, _WIDTH))
            out.append(b"\r\n")
            self._inside = False
        if len(held) > _MOST_HELD:
            cut = len(held) - held.endswith(b"\r")
            out.append(self._encoded(held[:cut], _WIDTH - 1))
            out.append(b"=\r\n")
            self._inside = True
            held = held[cut:]
        self._held = held
        return b"".join(out)

    def finish(self) -> bytes:
        """Return what is left: a line that has no end."""
        held, self._held = self._held, b""
        return self._encoded(held, _WIDTH)

    def _encoded(self, line: bytes, width: int) -> bytes:
        """:param width: Of the last line that comes of it."""
        text = _NEEDS.sub(_escaped, line)
        if text.endswith((b" ", b"\t")):
            text = b"%b=%02X" % (text[:-1], text[-1])
        if len(text) <= width and not self._inside:
            return text
        lines = []
        at, soft = 0, self._inside
        while True:
            hyphen = b"=2D" if soft and text.startswith(b"-", at) else b""
            at += bool(hyphen)
            if len(hyphen) + len(text) - at <= width:
                lines.append(hyphen + text[at:])
                return b"=\r\n".join(lines)
            cut = at + _WIDTH - 1 - len(hyphen)
            # Never inside of =XX.
            mark = text.rfind(b"=", cut - 2, cut)
            cut = mark if mark >= 0 else cut
            lines.append(hyphen + text[at:cut])
            at, soft = cut, True


class Base64:
    """Octets in pieces cut anywhere; lines of 76, the last without its end."""

    name = b"base64"

    def __init__(self) -> None:
        self._held = b""
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        """Return whole lines, joined by CRLF to those before."""
        data = self._held + data
        cut = len(data) - len(data) % _BASE64_LINE
        self._held = data[cut:]
        return self._lines(data[:cut])

    def finish(self) -> bytes:
        """Return the last line."""
        held, self._held = self._held, b""
        return self._lines(held)

    def _lines(self, data: bytes) -> bytes:
        if not data:
            return b""
        lines = base64.encodebytes(data)[:-1].replace(b"\n", b"\r\n")
        if self._begun:
            return b"\r\n" + lines
        self._begun = True
        return lines


def denser_than_quoted(sample: bytes) -> bool:
    """Whether base64 makes less of it: about where every sixth octet would have to be escaped."""
    return sum(map(len, _NEEDS.findall(sample.replace(b"\r\n", b"")))) * 6 > len(sample)


def _escaped(found: re.Match[bytes]) -> bytes:
    return b"=" + binascii.hexlify(found[0], b"=").upper()
