"""Content on its way out, in the form in which the peer takes it: behind DATA, or with BDAT."""

from jobctl.smtp.content import DotStuffer


class OutgoingContent:
    """
    The content of one transaction, from the peer's wish for it to its end.

    :param chunked: It goes out with BDAT, in one chunk: nothing is given out before the end.
    """

    __slots__ = ("_chunk", "_stuffer")

    def __init__(self, chunked: bool) -> None:
        self._stuffer = DotStuffer(dots=not chunked)
        self._chunk: list[bytes] | None = [] if chunked else None

    def feed(self, piece: bytes) -> bytes:
        """Return what is to be sent for a piece, cut anywhere."""
        stuffed = self._stuffer.feed(piece)
        if self._chunk is None:
            return stuffed
        self._chunk.append(stuffed)
        return b""

    def finish(self) -> bytes:
        """Return what is left to be sent: the end of the content."""
        rest = self._stuffer.finish()
        if self._chunk is None:
            return rest
        content = b"".join((*self._chunk, rest))
        return b"BDAT %d LAST\r\n%b" % (len(content), content)
