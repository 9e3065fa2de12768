"""TRACE_LEVEL: what goes over a connection below the dialogue, for the debug log."""

from collections.abc import Callable

# Octets of one read or write that level 2 shows.
_SHOWN = 256


class Trace:
    """
    Level 1 tells of each read and write, level 2 shows octets too: as they are on the wire, under TLS encrypted.

    Passwords are never shown: in the clear nothing is, from AUTH until it has succeeded. A client may go on with an
    exchange that was refused.

    :param client: We are the client: what is read are replies.
    :param note: Takes one line.
    """

    def __init__(self, level: int, client: bool, note: Callable[[str], None]) -> None:
        self._level = level
        self._note = note
        self._replies = "read" if client else "wrote"
        self._tail = b""
        self._secret = False

    def read(self, data: bytes) -> None:
        """Octets came in; ``b""``: their end."""
        self._tell("read", data)

    def wrote(self, data: bytes, unsent: int) -> None:
        """Octets were taken; so many wait."""
        self._tell("wrote", data, f", {unsent} wait" if unsent else "")

    def _tell(self, what: str, data: bytes, more: str = "") -> None:
        line = f"TRACE {what} {len(data)} octets{more}"
        if self._level > 1 and data:
            line += f": {self._shown(data, what == self._replies)}"
        self._note(line)

    def _shown(self, data: bytes, reply: bool) -> str:
        if reply:
            self._secret = self._secret and not data.startswith(b"235")
        else:
            seen = (self._tail + data).upper()
            self._tail = seen[-4:]
            self._secret = self._secret or b"AUTH " in seen
        if self._secret:
            return "(not shown: AUTH)"
        text = data[:_SHOWN].decode("latin-1").encode("unicode_escape").decode("ascii")
        return f'"{text}"' + (" ..." if len(data) > _SHOWN else "")
