"""A reactor whose clock does not jump when the wall clock is set, or the machine was asleep."""

import time
from collections.abc import Callable
from typing import Any

from twisted.logger import Logger

log = Logger()

# Seconds between looks at the wall clock.
INTERVAL = 30.0
# A difference of more seconds is a step; less is a wall clock that is being disciplined.
STEP = 1.0


class SteadyClock:
    """
    Epoch seconds for a reactor, by a clock that only passes.

    Twisted's reactor reads the wall clock, and keeps the times of delayed calls by
    it: set back by an hour nothing would be called for an hour, set ahead every
    timeout would be over.  With this it follows the wall clock within
    :data:`INTERVAL`, and all delayed calls are moved along, so that each comes
    after the time that was asked for.

    :param wall: Epoch seconds; ``monotonic``: seconds of a clock that does not jump.
    """

    def __init__(
        self,
        reactor: Any,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reactor = reactor
        self._wall = wall
        self._monotonic = monotonic
        self._offset = wall() - monotonic()
        self._next: Any = None

    def seconds(self) -> float:
        """Now."""
        return self._monotonic() + self._offset

    def install(self) -> None:
        """From now on it is the reactor's clock."""
        # An attribute of the reactor itself goes before the one of its class; callLater, its timeout
        # and what it runs all ask for it there.
        self._reactor.seconds = self.seconds
        self._next = self._reactor.callLater(INTERVAL, self._look)

    def remove(self) -> None:
        """The reactor has its own clock again."""
        if self._next is not None:
            self.follow()
            self._next.cancel()
            self._next = None
            vars(self._reactor).pop("seconds", None)

    def _look(self) -> None:
        self._next = self._reactor.callLater(INTERVAL, self._look)
        # Not now: the reactor is running what is due by the time that it read before, and would run all
        # that a step back brings before that.
        self._reactor.callFromThread(self.follow)

    def follow(self) -> float:
        """
        Go by what the wall clock shows now.

        :return: By how much that differs, in seconds.
        """
        step = self._wall() - self.seconds()
        self._offset += step
        # All by the same, those that were cancelled too: so the order in the reactor's heap stays.
        for call in (*self._reactor._pendingTimedCalls, *self._reactor._newTimedCalls):
            call.time += step
        if abs(step) > STEP:
            log.warn(
                "the wall clock was set by {step:.1f} seconds; what waits keeps its intervals", step=step
            )
        return step
