"""A message made fit for a peer that takes seven bits, or short lines, only (RFC 6152 section 3, RFC 2045)."""

import re

from jobctl.mime.entity import EntityHeader
from jobctl.mime.fields import name_of
from jobctl.mime.leaf import Leaf
from jobctl.mime.unsendable import Unsendable

# Of the header section of a message or part; a longer one is not understood.
MOST_HEADER = 256 * 1024
# Of parts in parts; what is deeper is not looked into.
MOST_DEPTH = 64
# A line that is longer is no boundary: room for what may be behind one.
_MOST_DELIMITER = 1024
_PADDING = re.compile(rb"(--)?[ \t]*")
# What may be encoded, as against what is encoded already, or in a way nobody knows.
_PLAIN = (b"", b"7bit", b"8bit", b"binary")
_SEALED = (b"multipart/signed", b"multipart/encrypted")


class Conversion:
    """
    Encode the parts that need it, in quoted-printable or base64; every other octet stays what it is.

    Pieces come cut anywhere, with CRLF behind each line and no other CR or LF; what is kept of them is bounded.
    Header fields, and what stands around the parts of a multipart, are never changed: there is nothing to
    make it readable again. Nor are signed and encrypted parts: a changed octet breaks them. Only in the message
    that a notification quotes (RFC 6522) they are: it is worth more to its reader than a signature in it.

    :param eight: Octets above 127 must not go out.
    :param longest: Nor lines longer than this; a line that may not be changed goes as it is.
    """

    def __init__(self, eight: bool, longest: int | None = None) -> None:
        self._eight = eight
        self._longest = longest
        self._buffer = b""
        self._out: list[bytes] = []
        # --boundary, type of parts that give none, whether it is a multipart/report
        self._boundaries: list[tuple[bytes, bytes, bool]] = []
        self._quote = 0  # multiparts around the message that a report quotes, 0: there is none
        self._opened = 0  # multiparts and messages around
        self._lines: list[bytes] | None = []  # of a header that is not complete; None in a body
        self._size = 0
        self._message, self._usual = True, b"text/plain"
        self._fresh = True  # nothing of this body has come
        self._leaf: Leaf | None = None
        self._sealed = ""  # why nothing in this body may be changed

    def feed(self, piece: bytes) -> bytes:
        """
        Return what is decided.

        :raises Unsendable: 8-bit octets stand where nothing may be changed.
        """
        self._buffer += piece
        while self._header() if self._lines is not None else self._body():
            pass
        return self._taken()

    def finish(self) -> bytes:
        """
        Return the rest.

        :raises Unsendable: 8-bit octets stand where nothing may be changed.
        """
        rest, self._buffer = self._buffer, b""
        if self._lines is not None:
            self._out += (*(line + b"\r\n" for line in self._lines), rest)
            self._lines = None
        else:
            leaf = self._leaf
            self._pass(rest)
            self._end_body()
            if leaf is not None and not leaf.closes_lines:
                self._out.append(b"\r\n")
        return self._taken()

    def _taken(self) -> bytes:
        out, self._out = self._out, []
        return b"".join(out)

    def _header(self) -> bool:
        """Take lines of a header; ``False``: nothing more can be done with what is here."""
        lines, buffer = self._lines, self._buffer
        assert lines is not None
        at = 0
        while (end := buffer.find(b"\r\n", at)) >= 0:
            line = buffer[at:end]
            if (part := self._boundary(line)) is not None:
                self._buffer = buffer[end + 2 :]
                self._give_up()
                self._cross(line, *part)
                return True
            if not line:
                self._buffer = buffer[end + 2 :]
                self._begin_body(lines)
                return True
            goes_on = bool(lines) and line[:1] in (b" ", b"\t")
            self._size += len(line) + 2
            if not (goes_on or name_of(line)) or self._size > MOST_HEADER:
                break
            lines.append(line)
            at = end + 2
        self._buffer = buffer[at:]
        if end < 0 and len(buffer) - at <= MOST_HEADER:
            return False
        self._give_up()
        self._sealed = "a header that is not understood"
        return True

    def _give_up(self) -> None:
        """The header is no header, or has no body."""
        self._out += (line + b"\r\n" for line in self._lines or ())
        self._lines = None
        self._fresh = True

    def _begin_body(self, lines: list[bytes]) -> None:
        header = EntityHeader(lines, self._message, self._usual)
        self._lines = None
        self._fresh = True
        self._sealed = self._seal(header)
        if self._sealed:
            self._out.append(bytes(header))
            return
        major = header.type.partition(b"/")[0]
        if major != b"multipart" and header.type != b"message/rfc822":
            self._leaf = Leaf(header, self._eight, self._longest)
            return
        relabelled = self._eight and header.encoding in (b"8bit", b"binary")
        self._out.append(header.encoded(b"7bit") if relabelled else bytes(header))
        self._opened += 1
        if major == b"multipart":
            usual = b"message/rfc822" if header.type == b"multipart/digest" else b"text/plain"
            self._boundaries.append((b"--" + header.boundary, usual, header.type == b"multipart/report"))
        else:
            if not self._quote and self._boundaries and self._boundaries[-1][2]:
                self._quote = len(self._boundaries)
            self._begin_header(True)

    def _seal(self, header: EntityHeader) -> str:
        """Why nothing behind this header may be changed, ``""`` when it may."""
        if header.doubtful:
            return "a part that says twice what it is"
        if header.type in _SEALED and not (self._eight and self._quote):
            return header.type.decode()
        if header.encoding not in _PLAIN:
            return "a part that says it is encoded already"
        major, _, minor = header.type.partition(b"/")
        if major == b"multipart" and not header.boundary:
            return "a multipart without boundary"
        if major == b"message" and minor != b"rfc822" and not minor.startswith(b"global"):
            return header.type.decode("ascii")
        if self._opened >= MOST_DEPTH:
            return f"parts more than {MOST_DEPTH} deep"
        return ""

    def _begin_header(self, message: bool, usual: bytes = b"text/plain") -> None:
        self._lines = []
        self._size = 0
        self._message, self._usual = message, usual

    def _body(self) -> bool:
        """
        Pass on body up to the next boundary. The CRLF before a boundary belongs to it, so the last one stays
        in hand until the line behind it is known.
        """
        buffer = self._buffer
        start = 0
        while self._boundaries:
            if self._fresh and start == 0 and buffer.startswith(b"--"):
                content, at = 0, 0
            elif (content := buffer.find(b"\r\n--", start)) >= 0:
                at = content + 2
            else:
                break
            end = buffer.find(b"\r\n", at)
            if end < 0 and len(buffer) - at <= _MOST_DELIMITER:
                return self._keep(content)
            line = buffer[at:end] if 0 <= end <= at + _MOST_DELIMITER else b""
            if (part := self._boundary(line)) is not None:
                self._buffer = buffer[end + 2 :]
                self._pass(buffer[:content])
                self._end_body()
                if at:
                    self._out.append(b"\r\n")
                self._cross(line, *part)
                return True
            start = at + 2
        return self._keep(len(buffer) - self._undecided(buffer))

    def _undecided(self, buffer: bytes) -> int:
        """How many octets at the end may belong to a boundary, or to the CRLF before it."""
        if not self._boundaries:
            return 0
        if self._fresh and buffer in (b"", b"-"):
            return len(buffer)
        return next((size for size in (3, 2, 1) if buffer.endswith(b"\r\n-"[:size])), 0)

    def _keep(self, cut: int) -> bool:
        self._pass(self._buffer[:cut])
        self._buffer = self._buffer[cut:]
        return False

    def _pass(self, content: bytes) -> None:
        if not content:
            return
        self._fresh = False
        if self._leaf is not None:
            content = self._leaf.feed(content)
        elif self._sealed and self._eight and not content.isascii():
            raise Unsendable(
                "5.6.3", f"8-bit content in {self._sealed} cannot be made 7-bit, as the next hop needs it"
            )
        self._out.append(content)

    def _end_body(self) -> None:
        leaf, self._leaf = self._leaf, None
        self._sealed = ""
        if leaf is not None:
            self._out.append(leaf.finish())

    def _boundary(self, line: bytes) -> tuple[int, bool] | None:
        """Whose boundary a line is, and whether it is the last of that multipart."""
        if not line.startswith(b"--"):
            return None
        for number in range(len(self._boundaries) - 1, -1, -1):
            mark = self._boundaries[number][0]
            if line.startswith(mark) and (found := _PADDING.fullmatch(line, len(mark))) is not None:
                return number, found[1] is not None
        return None

    def _cross(self, line: bytes, number: int, last: bool) -> None:
        """A boundary ends all parts within; behind the last of a multipart nothing is looked at."""
        self._out += (line, b"\r\n")
        usual = self._boundaries[number][1]
        del self._boundaries[number if last else number + 1 :]
        if number < self._quote:
            self._quote = 0
        self._opened = len(self._boundaries)
        self._sealed = ""
        self._fresh = True
        if not last:
            self._begin_header(False, usual)
