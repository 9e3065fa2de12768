"""What a server dialogue tells beside its questions, bounded for each session."""

from collections import deque

from jobctl.config.tcp_settings import TcpOptions
from jobctl.smtp.questions import Authenticated, BadCommand, Dropped, Refusal

Note = Authenticated | BadCommand | Dropped | Refusal


class Notes:
    """
    Bad commands and refusals for the log, in order: MAX_B_ENTRIES and MAX_J_ENTRIES of them, the
    rest is not told. :class:`Dropped`, :class:`Authenticated` and AUTHs that failed always are.
    """

    __slots__ = ("_bad", "_refusals", "_waiting")

    def __init__(self, options: TcpOptions) -> None:
        self._waiting: deque[Note] = deque()
        self._bad = options.max_b_entries
        self._refusals = options.max_j_entries

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def bad(self, note: BadCommand) -> None:
        """A command made no sense."""
        if note.reply.code == 535:
            # Whoever guesses passwords is counted to the last, however many other commands made no sense.
            self._waiting.append(note)
        elif self._bad > 0:
            self._bad -= 1
            self._waiting.append(note)

    def refused(self, note: Refusal) -> None:
        """MAIL, RCPT, DATA or a message was refused."""
        if self._refusals > 0:
            self._refusals -= 1
            self._waiting.append(note)

    def authenticated(self, note: Authenticated) -> None:
        """The client has proved who it is."""
        self._waiting.append(note)

    def dropped(self, note: Dropped) -> None:
        """Content that was given out is void."""
        self._waiting.append(note)

    def take(self) -> Note | None:
        """The oldest that was not yet taken."""
        return self._waiting.popleft() if self._waiting else None
