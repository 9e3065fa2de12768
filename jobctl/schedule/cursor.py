"""How far the store's entries, in order of due time, are known to be in memory."""

import math

from jobctl.schedule.plan import Key

# Seconds: how far a position goes back for an entry to be beyond it, whatever the entry's id.
_BACK = 0.001


class Cursor:
    """
    Everything the store has up to ``(due, id)`` is in memory; memory may hold more.

    While an answer of the store is awaited, what is left to the store is noted: the
    answer may be older than it.

    :ivar due: Epoch seconds; minus infinity: nothing is known yet, infinity: all is.
    :ivar asked: An answer is awaited.
    """

    __slots__ = ("_id", "_missed", "asked", "due")

    def __init__(self, after: Key | None = None) -> None:
        self.due, self._id = after if after is not None else (-math.inf, "")
        self._missed = math.inf
        self.asked = False

    @property
    def after(self) -> Key | None:
        """Beyond which to look; not when all is known."""
        return None if self.due == -math.inf else (self.due, self._id)

    @property
    def done(self) -> bool:
        """Whether the store has nothing that memory has not."""
        return self.due == math.inf

    def copy(self) -> "Cursor":
        """One of its own at the same position; nothing is awaited for it."""
        other = Cursor((self.due, self._id))
        other._missed = self._missed
        return other

    def ask(self) -> None:
        """The store is being read from here on."""
        self.asked = True
        self._missed = math.inf

    def miss(self, due: float) -> None:
        """An entry with this due time is left to the store."""
        if due <= self.due:
            self.due, self._id = due - _BACK, ""
        self._missed = min(self._missed, due)

    def advance(self, asked: Key | None, to: Key | None, end: bool) -> None:
        """
        The store has answered.

        :param asked: Where it was asked to begin.
        :param to: The last entry that is now in memory, ``asked`` when there is none.
        :param end: It had no more.
        """
        self.asked = False
        if asked is not None and self.due < asked[0]:
            return
        if end:
            self.due, self._id = math.inf, ""
        elif to is not None:
            self.due, self._id = to
        if self._missed <= self.due:
            self.due, self._id = self._missed - _BACK, ""
