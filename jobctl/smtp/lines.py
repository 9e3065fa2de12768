"""Cutting what a client sends into command lines."""

from jobctl.mail.reply import Reply
from jobctl.smtp.replies import BAD_LINE_END, LINE_TOO_LONG

# RFC 5321 section 4.5.3.1.4 has 512 octets, and every extension adds some (RFC 3461: 500 for ORCPT).
MAX_LINE = 4096
# RFC 4954 section 4: AUTH with an initial response, and what follows in its exchange; tokens are large.
MAX_AUTH_LINE = 12_288
# A line that goes on for so long is no mistake.
HOPELESS = 1024 * 1024


class BadLine(Exception):
    """A line that cannot be a command; it has been taken. ``reply`` is what to say."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class CommandLines:
    """
    Octets in, lines out, cut anywhere in between.

    A line ends at CRLF; the channel's ``smtp`` keyword may also allow a bare CR (``cr``,
    ``crorlf``) or a bare LF (``lf``, ``crorlf``). What is not allowed ends the line too, but makes it
    a :class:`BadLine`: it is never taken for a command, and the client hears of it at once.

    :ivar long: Lines are responses of a SASL exchange.
    :ivar hopeless: A line has passed 1 MiB; end the session.
    """

    __slots__ = ("_at", "_bare_cr", "_bare_lf", "_buffer", "_skip_lf", "_skipped", "hopeless", "long")

    def __init__(self, line_ends: str = "crlf") -> None:
        self.allow(line_ends)
        self._buffer = b""
        self._at = 0
        self._skip_lf = False  # the line ended in CR at the end of the buffer: a LF may follow
        self._skipped = 0  # octets dropped of a line that is too long
        self.hopeless = False
        self.long = False

    def allow(self, line_ends: str) -> None:
        """Lines end so from here on."""
        self._bare_cr = line_ends in ("cr", "crorlf")
        self._bare_lf = line_ends in ("lf", "crorlf")

    @property
    def buffered(self) -> int:
        """Octets not yet taken."""
        return len(self._buffer) - self._at

    def add(self, data: bytes) -> None:
        """Put octets behind those that are there."""
        if self._at < len(self._buffer):
            data = self._buffer[self._at :] + data
        self._buffer = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """Take at most ``count`` octets that are no line: a chunk of BDAT."""
        if self._skip_lf and self.buffered:
            self._skip_lf = False
            self._at += self._buffer[self._at] == 10
        data = self._buffer[self._at : self._at + count]
        self._at += len(data)
        return data

    def rest(self) -> bytes:
        """Take all that is buffered: it is content."""
        data = self._buffer[self._at :] if self._at else self._buffer
        self._buffer = b""
        self._at = 0
        if self._skip_lf and data:
            self._skip_lf = False
            return data[1:] if data[0] == 10 else data
        return data

    def next(self) -> bytes | None:
        """
        The next line without its end, ``None`` when none is complete.

        :raises BadLine: It is too long, or has a CR or LF that is not allowed.
        """
        buffer, at = self._buffer, self._at
        if at == len(buffer):
            return None
        if self._skip_lf:
            self._skip_lf = False
            if buffer[at] == 10:
                at = self._at = at + 1
        end = buffer.find(b"\n", at)
        if end > at and buffer[end - 1] == 13 and not self._skipped:
            line = buffer[at : end - 1]
            if len(line) <= MAX_LINE and b"\r" not in line:
                self._at = end + 1
                return line
        return self._odd(at, end)

    def _odd(self, at: int, end: int) -> bytes | None:
        """Everything but a good line that ends in CRLF; ``end`` is the first LF or -1."""
        buffer = self._buffer
        size = len(buffer)
        bare = buffer.find(
            b"\r", at, end - 1 if end > at and buffer[end - 1] == 13 else size if end < 0 else end
        )
        if self._bare_cr and bare >= 0:
            self._skip_lf = bare + 1 == size
            return self._take(at, bare, bare + 1, good=True)
        if end < 0:
            self._bound()
            return None
        crlf = end > at and buffer[end - 1] == 13
        good = bare < 0 and (crlf or self._bare_lf)
        return self._take(at, end - 1 if crlf else end, end + 1, good)

    def _take(self, at: int, end: int, following: int, good: bool) -> bytes:
        self._at = following
        size = end - at
        too_long = self._skipped or (size > MAX_LINE and size > self._most(at))
        self._skipped = 0
        if too_long:
            raise BadLine(LINE_TOO_LONG)
        if not good:
            raise BadLine(BAD_LINE_END)
        return self._buffer[at:end]

    def _most(self, at: int) -> int:
        """Octets that a line may have which begins here."""
        auth = self.long or self._buffer[at : at + 5].upper() == b"AUTH "
        return MAX_AUTH_LINE if auth else MAX_LINE

    def _bound(self) -> None:
        """No line end in sight: keep a beginning that may still become a line, drop anything longer."""
        if self._skipped or self.buffered > self._most(self._at) + 1:
            self._skipped += self.buffered
            last_cr = self._buffer.endswith(b"\r")
            self._buffer = b"\r" if last_cr else b""
            self._at = 0
            self.hopeless = self._skipped > HOPELESS
