"""Pauses in long work of operators, as long as mail needs them."""

from typing import Any

from twisted.internet.defer import Deferred

# Longest pause, seconds.
LONGEST = 1.0
# What mail is given for each message that came or was tried meanwhile, seconds: several times what one takes,
# so that under load a pause is as long as the work was.
FOR_EACH = 0.001
# Part of the time that is given away although nobody seems to want it.
_ALWAYS = 0.2


class Breaks:
    """
    One piece of work's pauses; what it takes itself is counted from when this was made.

    Mail comes first: a pause is longer the more mail there was meanwhile, up to the time that the work took,
    so that at most half of all time is the work's.
    """

    def __init__(self, controller: Any) -> None:
        self._at = controller
        self._begin()

    def _begin(self) -> None:
        self._since: float = self._at.reactor.seconds()
        self._seen: int = self._at.tally.messages

    async def rest(self) -> None:
        """Do nothing for a while."""
        took = min(max(self._at.reactor.seconds() - self._since, 0.0), LONGEST)
        mail = self._at.tally.messages - self._seen
        pause = min(took, took * _ALWAYS + mail * FOR_EACH)
        if pause > 0:
            done: Deferred[None] = Deferred()
            self._at.reactor.callLater(pause, done.callback, None)
            await done
        self._begin()
