"""Content on its way out, in the form in which the peer takes it: behind DATA, or with BDAT."""

from jobctl.smtp.client_shaping import Shape
from jobctl.smtp.content import DotStuffer


class OutgoingContent:
    """
    The content of one transaction, from the peer's wish for it to its end.

    :param chunked: It goes out with BDAT, in one chunk: nothing is given out before the end.
    :param shape: What is done to it on the way.
    :param shaped: What has come of it already: what is fed is not looked at.
    """

    __slots__ = ("_chunk", "_shape", "_shaped", "_stuffer")

    def __init__(self, chunked: bool, shape: Shape | None = None, shaped: bytes | None = None) -> None:
        self._stuffer = DotStuffer(dots=not chunked)
        self._chunk: list[bytes] | None = [] if chunked else None
        self._shape = shape
        self._shaped = shaped

    def feed(self, piece: bytes) -> bytes:
        """
        Return what is to be sent for a piece, cut anywhere.

        :raises Unsendable: It is not what this peer can be given, as is known only now.
        """
        if self._shaped is not None:
            return b""
        return self._stuffed(piece if self._shape is None else self._shape.feed(piece))

    def finish(self) -> bytes:
        """
        Return what is left to be sent: the end of the content.

        :raises Unsendable: As before.
        """
        rest = b""
        if self._shaped is not None:
            rest = self._stuffed(self._shaped)
        elif self._shape is not None:
            rest = self._stuffed(self._shape.finish())
        end = self._stuffer.finish()
        if self._chunk is None:
            return rest + end if rest else end
        content = b"".join((*self._chunk, end))
        return b"BDAT %d LAST\r\n%b" % (len(content), content)

    def _stuffed(self, piece: bytes) -> bytes:
        stuffed = self._stuffer.feed(piece)
        if self._chunk is None:
            return stuffed
        self._chunk.append(stuffed)
        return b""
