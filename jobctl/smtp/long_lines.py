"""Lines longer than SMTP allows: cut, folded, or reason to refuse (RFC 5321 section 4.5.3.1.6)."""

MAX_LINE = 998
_WARNING = b"Sun-Java-System-SMTP-Warning: Lines longer than SMTP allows found and %s.\r\n"
_DONE = {"truncatesmtplonglines": b"truncated", "wrapsmtplonglines": b"wrapped", "rejectsmtplonglines": b""}


class LongLines:
    """
    Apply ``truncatesmtplonglines``, ``wrapsmtplonglines`` or ``rejectsmtplonglines``.

    Content comes unstuffed, in pieces cut anywhere; each line is given out when it is complete or
    longer than allowed, so at most 999 octets are kept.

    :ivar found: There was a line of more than 998 octets.
    """

    def __init__(self, rule: str) -> None:
        self._word = _DONE[rule]
        self._wraps = rule == "wrapsmtplonglines"
        self._held = b""
        self._cutting = False
        self.found = False

    @property
    def warning(self) -> bytes:
        """The header field that tells of the change; ``b""`` when nothing was changed."""
        return _WARNING % self._word if self.found and self._word else b""

    def feed(self, piece: bytes) -> bytes:
        """Return the lines that are decided."""
        lines = (self._held + piece).split(b"\r\n")
        last = lines.pop()
        out = [self._whole(line) for line in lines]
        out.append(self._begun(last))
        return b"".join(out)

    def finish(self) -> bytes:
        """Return what is left of a line without end."""
        rest, self._held = self._held, b""
        return rest

    def _whole(self, line: bytes) -> bytes:
        if self._cutting:
            self._cutting = False
            return b"\r\n"
        if len(line) <= MAX_LINE:
            return line + b"\r\n"
        self.found = True
        if not self._wraps:
            return line[:MAX_LINE] + b"\r\n"
        folded, rest = self._fold(line)
        return folded + rest + b"\r\n"

    def _begun(self, line: bytes) -> bytes:
        """The beginning of a line; its last octet is kept, because it may be the CR of its end."""
        if self._cutting:
            self._held = line[-1:] if line.endswith(b"\r") else b""
            return b""
        if len(line) <= MAX_LINE + 1:
            self._held = line
            return b""
        self.found = True
        if self._wraps:
            folded, self._held = self._fold(line)
            return folded
        self._cutting = True
        self._held = line[-1:] if line.endswith(b"\r") else b""
        return line[:MAX_LINE]

    def _fold(self, line: bytes) -> tuple[bytes, bytes]:
        """Break before the last blank that fits, else at the limit; the rest is no longer than a line."""
        parts = []
        while len(line) > MAX_LINE + (1 if line.endswith(b"\r") else 0):
            at = max(line.rfind(b" ", 1, MAX_LINE + 1), line.rfind(b"\t", 1, MAX_LINE + 1))
            at = at if at > 0 else MAX_LINE
            parts.append(line[:at])
            parts.append(b"\r\n")
            line = line[at:]
        return b"".join(parts), line
