"""Content coming in: unstuffed, checked, bounded and cut into pieces."""

from typing import TYPE_CHECKING

from jobctl.mail.reply import Reply
from jobctl.mime.unsendable import Unsendable
from jobctl.smtp.content import ChunkLines, DotUnstuffer
from jobctl.smtp.long_lines import LongLines
from jobctl.smtp.replies import BAD_CONTENT_LINE_END, LONG_LINES, TOO_BIG, UNDECLARED_8BIT

if TYPE_CHECKING:
    from jobctl.mime.header_section import HeaderSection

PIECE = 256 * 1024


class ContentIntake:
    """
    The content of one message, from 354 or its first chunk to its end.

    What is wrong with it is remembered, not acted on: the client is heard to the end of content before
    it is told, because nothing else ends content. From then on nothing is kept.

    :param codec: Makes content of what is received: after DATA, or of chunks.
    :param limit: Octets at most, 0 for no limit.
    :param long_lines: A rule of :class:`LongLines`, ``""`` to leave lines alone.
    :param only_ascii: Refuse octets above 127.
    :param header: What changes the header on the way (``headerread``).
    :ivar octets: Of content so far, as received.
    :ivar refusal: The reply to give at the end instead of asking anybody.
    :ivar given: A piece has been given out.
    :ivar ended: The end was seen; ``rest`` are the octets that follow it.
    """

    __slots__ = (
        *("_buffer", "_codec", "_header", "_limit", "_lines", "_only_ascii"),
        *("ended", "given", "octets", "refusal", "rest"),
    )

    def __init__(
        self,
        codec: DotUnstuffer | ChunkLines,
        limit: int,
        long_lines: str,
        only_ascii: bool,
        header: "HeaderSection | None" = None,
    ) -> None:
        self._codec = codec
        self._limit = limit
        self._lines = LongLines(long_lines) if long_lines else None
        self._only_ascii = only_ascii
        self._header = header
        self._buffer: bytes | bytearray = b""
        self.octets = 0
        self.refusal: Reply | None = None
        self.given = False
        self.ended = False
        self.rest = b""

    def feed(self, data: bytes) -> None:
        """Take what was received."""
        content, rest = self._codec.feed(data)
        if content and self.refusal is None:
            self._keep(content)
        if rest is not None:
            self.rest = rest
            self._end()

    def finish(self) -> None:
        """The last chunk is complete."""
        assert isinstance(self._codec, ChunkLines)
        content = self._codec.finish()
        if self.refusal is None:
            self._keep(content)
        self._end()

    def _end(self) -> None:
        self.ended = True
        if self._lines is not None and self.refusal is None:
            self._append(self._lines.finish())
        if self._header is not None and self.refusal is None:
            self._append(b"", last=True)

    def piece(self) -> bytes | None:
        """Take 256 KiB, ``None`` while no more than that is there."""
        if len(self._buffer) <= PIECE:
            return None
        warning = self._warning()
        self.given = True
        buffer = self._buffer if isinstance(self._buffer, bytearray) else bytearray(self._buffer)
        piece = bytes(buffer[: PIECE - len(warning)])
        del buffer[: PIECE - len(warning)]
        self._buffer = buffer
        return warning + piece

    def remaining(self) -> bytes:
        """Take all that is left; at the end."""
        buffer = self._buffer
        data = buffer if isinstance(buffer, bytes) else bytes(buffer)
        return self._warning() + data if self._lines is not None else data

    def _keep(self, content: bytes) -> None:
        self.octets += len(content)
        if self._limit and self.octets > self._limit:
            self._refuse(TOO_BIG)
        elif self._codec.bare:
            self._refuse(BAD_CONTENT_LINE_END)
        elif self._only_ascii and not content.isascii():
            self._refuse(UNDECLARED_8BIT)
        elif self._lines is None:
            self._append(content)
        else:
            self._append(self._lines.feed(content))
            if self._lines.found and not self._lines.warning:
                self._refuse(LONG_LINES)

    def _append(self, content: bytes, last: bool = False) -> None:
        if self._header is not None:
            try:
                content = self._header.finish() if last else self._header.feed(content)
            except Unsendable as why:
                self._refuse(Reply(554, f"{why.status} {why}"))
                return
        if not self._buffer:
            self._buffer = content
        elif isinstance(self._buffer, bytearray):
            self._buffer += content
        else:
            self._buffer = bytearray(self._buffer)
            self._buffer += content

    def _refuse(self, reply: Reply) -> None:
        self.refusal = reply
        self._buffer = b""

    def _warning(self) -> bytes:
        """It goes in front, so it is lost when the first long line comes after the first piece."""
        return b"" if self.given or self._lines is None else self._lines.warning
