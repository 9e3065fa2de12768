"""Message content on the wire: dots and the end of content (RFC 5321 section 4.5.2), and chunks (RFC 3030)."""

import re

END = b"\r\n.\r\n"
_BARE = {
    "crlf": None,
    "crorlf": re.compile(rb"\r\n|\r|\n"),
    "lf": re.compile(rb"\r\n|\n"),
    "cr": re.compile(rb"\r\n|\r"),
}
_ANY = re.compile(rb"\r\n|\r|\n")


class DotStuffer:
    """
    Make content safe to send after DATA: dots that begin a line are doubled, and every
    bare CR or LF becomes CRLF, so that no reader, strict or lax, sees another end than ours.

    Content comes in pieces cut anywhere. The state between pieces is whether a line has just
    ended, and a CR whose LF may follow.

    :param dots: ``False``: for BDAT, where dots mean nothing and nothing marks the end.
    """

    __slots__ = ("_cr", "_dots", "_fresh")

    def __init__(self, dots: bool = True) -> None:
        self._dots = dots
        self._fresh = True
        self._cr = False

    def feed(self, piece: bytes) -> bytes:
        """Return what is to be sent for ``piece``; a final CR is kept for the next."""
        if self._cr:
            piece = b"\r" + piece
        if not piece:
            return piece
        self._cr = piece.endswith(b"\r")
        if self._cr:
            piece = piece[:-1]
        return self._stuff(piece)

    def finish(self) -> bytes:
        """Return what ends the content, closing a line left open."""
        rest = b""
        if self._cr:
            self._cr = False
            rest = self._stuff(b"\r")
        if not self._dots:
            return rest if self._fresh else rest + b"\r\n"
        return rest + (b".\r\n" if self._fresh else END)

    def _stuff(self, piece: bytes) -> bytes:
        if not piece:
            return piece
        lines = piece.count(b"\n")
        if piece.count(b"\r") != lines or piece.count(b"\r\n") != lines:
            piece = _ANY.sub(b"\r\n", piece)
        if not self._dots:
            self._fresh = piece.endswith(b"\n")
            return piece
        stuffed = piece.replace(b"\r\n.", b"\r\n..") if b"\n." in piece else piece
        if self._fresh and piece.startswith(b"."):
            stuffed = b"." + stuffed
        self._fresh = piece.endswith(b"\n")
        return stuffed


class DotUnstuffer:
    """
    Take content out of what follows 354, and find its end: CRLF.CRLF and nothing else.

    Input is cut anywhere; the state between cuts is the octets that may belong to the end.

    :param line_ends: ``crlf`` leaves a bare CR or LF in the content and sets :attr:`bare`;
        ``crorlf``, ``lf``, ``cr`` make CRLF of those they name. None of this makes an end.
    :ivar bare: A bare CR or LF was seen that is not allowed.
    """

    __slots__ = ("_bare", "_fresh", "_held", "_virtual", "bare")

    def __init__(self, line_ends: str = "crlf") -> None:
        self._bare = _BARE[line_ends]
        self._held = b"\r\n"  # as if a line had just ended
        self._virtual = 2  # ... which is not content
        self._fresh = False  # a line just ended by a bare CR or LF
        self.bare = False

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """
        :return: Content, and what follows its end: ``None`` while it goes on.
        """
        seen = self._held + data
        end = seen.find(END)
        if end >= 0:
            return self._content(seen[: end + 2]), seen[end + 5 :]
        cut = len(seen) - _undecided(seen)
        self._held = seen[cut:]
        return self._content(seen[:cut]), None

    def _content(self, raw: bytes) -> bytes:
        """``raw`` never ends in CR and never begins with the LF of a CRLF, so it can be looked at alone."""
        if not raw:
            return raw
        lines = raw.count(b"\n")
        loose = raw.count(b"\r") != lines or raw.count(b"\r\n") != lines
        if loose:
            raw = self._normal(raw)
        out = raw.replace(b"\r\n.", b"\r\n") if b"\n." in raw else raw
        if self._fresh:
            out = out[1:] if raw.startswith(b".") else out
            self._fresh = False
        if self._virtual:
            out = out[2:]
            self._virtual = 0
        if loose:
            self._fresh = self._bare is not None and raw.endswith(b"\r\n")
        return out

    def _normal(self, raw: bytes) -> bytes:
        if self._bare is not None:
            raw = self._bare.sub(b"\r\n", raw)
        lines = raw.count(b"\r\n")
        if raw.count(b"\r") != lines or raw.count(b"\n") != lines:
            self.bare = True
        return raw


class ChunkLines:
    """
    Take content out of the chunks of BDAT: nothing ends it but LAST, so only its line ends are looked at.

    Chunks are cut anywhere; a CR at the end of one waits for its LF.

    :param line_ends: As in :class:`DotUnstuffer`.
    :ivar bare: A bare CR or LF was seen that is not allowed.
    """

    __slots__ = ("_bare", "_cr", "_fresh", "bare")

    def __init__(self, line_ends: str = "crlf") -> None:
        self._bare = _BARE[line_ends]
        self._cr = b""
        self._fresh = True
        self.bare = False

    def feed(self, data: bytes) -> tuple[bytes, None]:
        """:return: Content; the second value is there for :class:`DotUnstuffer`'s sake."""
        if not data:
            return data, None
        data = self._cr + data
        self._cr = b"\r" if data.endswith(b"\r") else b""
        return self._lines(data[:-1] if self._cr else data), None

    def finish(self) -> bytes:
        """Return what is left, closing a line left open: on its way on it may have to be sent after DATA."""
        rest = self._lines(self._cr)
        self._cr = b""
        return rest if self._fresh else rest + b"\r\n"

    def _lines(self, raw: bytes) -> bytes:
        if not raw:
            return raw
        lines = raw.count(b"\n")
        if raw.count(b"\r") != lines or raw.count(b"\r\n") != lines:
            if self._bare is not None:
                raw = self._bare.sub(b"\r\n", raw)
            lines = raw.count(b"\r\n")
            self.bare = self.bare or raw.count(b"\r") != lines or raw.count(b"\n") != lines
        self._fresh = raw.endswith(b"\n")
        return raw


def _undecided(seen: bytes) -> int:
    """How many octets at the end may be the beginning of CRLF.CRLF."""
    if seen[-1:] not in (b"\r", b"\n", b"."):
        return 0
    return next((size for size in (4, 3, 2, 1) if seen.endswith(END[:size])), 0)
