"""Content on its way out, in the form in which the peer takes it: behind DATA, or with BDAT."""

from jobctl.smtp.client_shaping import Shape
from jobctl.smtp.content import DotStuffer

# Octets of content up to which all of it goes out in one chunk before anything was answered; of larger content
# a chunk, which goes out once a recipient is accepted.
CHUNK = 256 * 1024
# Chunks that go out without a reply to the first of them: how much a peer that refuses one may have to throw away.
MOST_CHUNKS = 4


class OutgoingContent:
    """
    The content of one transaction, from the peer's wish for it to its end.

    :param chunked: It goes out with BDAT, without dots.
    :param shape: What is done to it on the way.
    :param shaped: What has come of it already: what is fed is not looked at.
    :param large: It goes out in several chunks, of at most :data:`CHUNK` octets or one piece; else in one, given
        out at the end. Nothing is done to it then.
    """

    __slots__ = ("_chunk", "_large", "_octets", "_shape", "_shaped", "_stuffer")

    def __init__(
        self, chunked: bool, shape: Shape | None = None, shaped: bytes | None = None, large: bool = False
    ) -> None:
        self._stuffer = DotStuffer(dots=not chunked)
        self._chunk: list[bytes] | None = [] if chunked else None
        self._shape = shape
        self._shaped = shaped
        self._large = large
        self._octets = 0

    def feed(self, piece: bytes) -> bytes:
        """
        Return what is to be sent for a piece, cut anywhere: of chunked content one chunk, or nothing yet.

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
        return self._give_out(self._chunk, end, b" LAST")

    def _stuffed(self, piece: bytes) -> bytes:
        stuffed = self._stuffer.feed(piece)
        if self._chunk is None:
            return stuffed
        ready = b""
        if self._large and self._octets > 0 and self._octets + len(stuffed) > CHUNK:
            # The last of them is kept back: with it goes the end.
            ready = self._give_out(self._chunk, b"", b"")
        self._chunk.append(stuffed)
        self._octets += len(stuffed)
        return ready

    def _give_out(self, chunk: list[bytes], rest: bytes, last: bytes) -> bytes:
        content = b"".join((*chunk, rest))
        chunk.clear()
        self._octets = 0
        return b"BDAT %d%b\r\n%b" % (len(content), last, content)
