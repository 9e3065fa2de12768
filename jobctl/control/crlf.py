"""Line ends of message content on its way in."""

import re

_BARE = re.compile(rb"\r(?!\n)|(?<!\r)\n")


class CrlfLines:
    """
    Make every line end CRLF: what comes in with LF, CR, or a mixture leaves with CRLF alone.

    Content comes in pieces cut anywhere.  The state carried between pieces is
    whether the last octet was a CR, held back until it is known what follows.
    """

    def __init__(self) -> None:
        self._cr = False

    def feed(self, piece: bytes) -> bytes:
        """Return ``piece`` with strict line ends, a CR at its end kept back."""
        if not piece:
            return b""
        if self._cr:
            piece = b"\r" + piece
        self._cr = piece.endswith(b"\r")
        if self._cr:
            piece = piece[:-1]
        # Counting is a tenth of the cost of matching, and most content needs nothing.
        pairs = piece.count(b"\r\n")
        if pairs == piece.count(b"\n") and pairs == piece.count(b"\r"):
            return piece
        return _BARE.sub(b"\r\n", piece)

    def finish(self) -> bytes:
        """Return what was kept back."""
        return b"\r\n" if self._cr else b""
