"""What a program writes on stderr, as bounded lines at a bounded rate."""

from collections.abc import Callable

MAX_LINE = 8 * 1024
# Lines a second that are logged; a program that prints a traceback per message stays below.
MAX_RATE = 1000
_CUT = " [cut]"

# Control characters would let a remote host's words move the cursor of who reads the log.
_VISIBLE = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x09}


class LineLog:
    """
    Cut octets into lines of text.

    Lines longer than :data:`MAX_LINE` octets lose their rest; of more than
    :data:`MAX_RATE` lines in a second the rest is counted instead.

    :ivar last: The last line taken, ``""`` before the first.
    :param now: Seconds on any clock.
    :param take: Gets each line without its end.
    """

    def __init__(self, now: Callable[[], float], take: Callable[[str], None]) -> None:
        self._now = now
        self._take = take
        self._begin = bytearray()
        self._too_long = False
        self._second = now()
        self._taken = 0
        self._left_out = 0
        self.last = ""

    def feed(self, data: bytes) -> None:
        """Take octets cut anywhere."""
        now = self._now()
        if not 0 <= now - self._second < 1:  # clocks step
            self._second = now
            self._taken = 0
            self._say_left_out()
        at = 0
        while (end := data.find(b"\n", at)) >= 0:
            if self._taken >= MAX_RATE:
                # Looking at every line of a flood would take the reactor from the others.
                self._left_out += data.count(b"\n", at)
                at = data.rfind(b"\n") + 1
                self._begin.clear()
                self._too_long = False
                break
            self._add(data[at:end])
            self._finish()
            at = end + 1
        self._add(data[at : at + MAX_LINE + 1])

    def close(self) -> None:
        """Nothing more will come: a line left open counts as one."""
        if self._begin:
            self._finish()
        self._say_left_out()

    def _add(self, piece: bytes) -> None:
        room = MAX_LINE - len(self._begin)
        if len(piece) > room:
            self._too_long = True
        self._begin += piece[:room]

    def _finish(self) -> None:
        text = self._begin.decode("utf-8", "backslashreplace").rstrip("\r").translate(_VISIBLE)
        if self._too_long:
            text += _CUT
        self._begin.clear()
        self._too_long = False
        self._taken += 1
        self.last = text
        self._take(text)

    def _say_left_out(self) -> None:
        if self._left_out:
            count, self._left_out = self._left_out, 0
            self._take(f"[{count} lines left out: more than {MAX_RATE} a second]")
