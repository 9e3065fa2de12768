"""master_debug and slave_debug: the dialogue line by line; content by its size, secrets never."""

import re
import time
from collections import deque
from collections.abc import Callable

from jobctl.sasl.hiding import hidden, secrets_of

# A longer line tells no more.
_LONGEST = 512
# Octets of an unfinished line, or of octets whose meaning the next reply tells, that are kept.
_KEPT = 4096
# Commands whose reply tells what the octets behind them are.
_TELLING = (b"AUTH", b"DATA")
_COMMAND = re.compile(
    rb"(HELO|EHLO|LHLO|MAIL|RCPT|RSET|NOOP|QUIT|HELP|VRFY|EXPN|ETRN|DATA|BDAT|STARTTLS|AUTH|XCLIENT|)"
)
_END = b"\r\n.\r\n"
# Of the size of a chunk.
_DIGITS = 20


class Transcript:
    """
    Make debug lines of a dialogue, in the shape ``HH:MM:SS.cc: Sending : "..."``.

    :param client: We are the client: commands are sent and replies received; else the other way round.
    :param write: Takes one line.
    :param clock: Epoch seconds.
    """

    def __init__(
        self, client: bool, write: Callable[[str], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._write = write
        self._clock = clock
        self._words = ("Sending", "Received") if client else ("Received", "Sending")
        self._command = b""
        self._reply = b""
        # Verbs of commands whose final reply has not been seen; the first is answered next.
        self._open: deque[bytes] = deque()
        self._secret = False
        # What was not shown, and is not shown when the server says it back either.
        self._hidden: list[str] = []
        self._content: int | None = None
        self._chunk = 0  # octets of the chunk of BDAT that are still to come
        self._tail = b""
        self._behind: list[bytes] = []
        self._refused = False

    def note(self, text: str) -> None:
        """A line that is not part of the dialogue."""
        now = self._clock()
        self._write(f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now * 100) % 100:02d}: {text}")

    def commands(self, data: bytes) -> None:
        """Octets from the client, cut anywhere."""
        while data:
            if self._content is not None:
                data = self._skip_content(data)
            elif self._chunk:
                skipped = min(self._chunk, len(data))
                self._chunk -= skipped
                data = data[skipped:]
            elif self._open and self._open[-1] in _TELLING and not self._secret:
                # Commands, content or a secret?  The reply tells.
                self._behind.append(data)
                return
            else:
                line, end, data = data.partition(b"\n")
                self._command = (self._command + line)[:_KEPT]
                if end:
                    line, self._command = self._command, b""
                    self._command_line(line)

    def _command_line(self, line: bytes) -> None:
        words = line.strip().split(None, 2)
        verb = words[0].upper() if words else b""
        if self._secret:
            self._secret = False
            self._hidden += secrets_of(line.strip().decode("ascii", "replace"))
            self._show(self._words[0], b"***")
            return
        self._open.append(verb)
        if verb == b"BDAT" and len(words) > 1 and len(words[1]) < _DIGITS and words[1].isdigit():
            self._chunk = int(words[1])
        if verb == b"AUTH" and len(words) == 3:
            self._hidden += secrets_of(words[2].strip().decode("ascii", "replace"))
            line = b"AUTH " + words[1] + b" ***"
        elif self._refused and not _COMMAND.fullmatch(verb):
            # A client that goes on with an exchange which was refused.
            line = b"***"
        self._show(self._words[0], line)

    def _skip_content(self, data: bytes) -> bytes:
        assert self._content is not None
        seen = self._tail + data
        end = seen.find(_END)
        if end < 0:
            self._content += len(data)
            self._tail = seen[-len(_END) + 1 :]
            return b""
        rest = seen[end + len(_END) :]
        size = self._content + len(data) - len(rest) - len(_END) + 2
        self._content = None
        self.note(f"{self._words[0]} : {max(size, 0)} octets of content")
        self._show(self._words[0], b".")
        self._open.append(b".")
        return rest

    def replies(self, data: bytes) -> None:
        """Octets from the server, cut anywhere."""
        while data:
            line, end, data = data.partition(b"\n")
            self._reply = (self._reply + line)[:_KEPT]
            if end:
                line, self._reply = self._reply, b""
                self._reply_line(line)

    def _reply_line(self, line: bytes) -> None:
        if self._hidden:
            line = hidden(line.decode("utf-8", "surrogateescape"), self._hidden).encode(
                "utf-8", "surrogateescape"
            )
        self._show(self._words[1], line)
        if line[3:4] == b"-":
            return
        code = line[:3]
        if code == b"334":
            self._secret = True
            self._replay()
            return
        verb = self._open.popleft() if self._open else b""
        if verb not in _TELLING:
            return
        self._refused = verb == b"AUTH" and code[:1] in (b"4", b"5")
        if not self._refused:
            self._hidden = []
        if code == b"354":
            self._content = 0
            # As if a line had just ended: content may be a lone dot.
            self._tail = b"\r\n"
        self._replay()

    def _replay(self) -> None:
        """What came behind the command that was answered now."""
        behind, self._behind = self._behind, []
        for data in behind:
            self.commands(data)

    def _show(self, word: str, line: bytes) -> None:
        text = line.rstrip(b"\r")[:_LONGEST].decode("latin-1").encode("unicode_escape").decode("ascii")
        self.note(f'{word} : "{text}"')
