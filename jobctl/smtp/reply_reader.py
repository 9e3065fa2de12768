"""Replies as they come from a server (RFC 5321 section 4.2)."""

from jobctl.errors import ProtocolViolation
from jobctl.mail.reply import Reply

# RFC 5321 section 4.5.3.1.5 has 512 octets a line; nobody needs more than this.
MAX_LINE = 4096
MAX_REPLY = 64 * 1024


class ReplyReader:
    """
    Octets in, replies out, cut anywhere in between.

    Lines may end in a bare LF, because nothing can be smuggled to a client that way. The code of the
    last line counts. Control characters in texts become blanks: a reply is stored and shown as one line.
    """

    __slots__ = ("_at", "_buffer", "_lines", "_octets")

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0
        self._lines: list[str] = []
        self._octets = 0

    def add(self, data: bytes) -> None:
        """Put octets behind those that are there."""
        if self._at < len(self._buffer):
            data = self._buffer[self._at :] + data
        self._buffer = data
        self._at = 0

    @property
    def empty(self) -> bool:
        """Nothing has come that was not yet taken."""
        return self._at == len(self._buffer) and not self._lines

    def next(self) -> Reply | None:
        """
        The next reply, ``None`` when none is complete.

        :raises ProtocolViolation: What came is not a reply, or is longer than any reply.
        """
        buffer = self._buffer
        while True:
            at = self._at
            end = buffer.find(b"\n", at)
            if end < 0:
                if len(buffer) - at > MAX_LINE:
                    raise ProtocolViolation("a reply line does not end")
                return None
            line = buffer[at : end - 1] if end > at and buffer[end - 1] == 13 else buffer[at:end]
            self._at = end + 1
            code = line[:3]
            mark = line[3:4]
            if (
                len(code) != 3
                or not code.isdigit()
                or not b"200" <= code <= b"599"
                or mark not in b"- "
                or len(line) > MAX_LINE
            ):
                raise ProtocolViolation(f"not a reply: {_clean(line[:80])}")
            text = _clean(line[4:])
            if mark != b"-" and not self._lines:
                return Reply(int(code), text)
            self._lines.append(text)
            self._octets += len(line)
            if self._octets > MAX_REPLY:
                raise ProtocolViolation("a reply does not end")
            if mark != b"-":
                text = "\n".join(self._lines)
                self._lines, self._octets = [], 0
                return Reply(int(code), text)


def _clean(text: bytes) -> str:
    said = text.decode("utf-8", "replace")
    if said.isprintable():
        return said
    return "".join(letter if letter.isprintable() else " " for letter in said).strip()
