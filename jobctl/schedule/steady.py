"""A clock that does not jump, for how long things have lasted."""

# Longest gap between two readings that is believed when there is no monotonic clock.  Who drives the
# schedule sleeps a minute at most, so more than that is a step of the wall clock or a suspended machine.
LONGEST_GAP = 60.0
# A wall clock that goes back by more than this has been set; by less, it has been disciplined.
STEP = 5.0


class SteadyClock:
    """
    How long jobs have lived and idled, and how far the wall clock was set back.

    Without a monotonic reading the wall clock's is used: going back counts as
    no time at all and a leap ahead as :data:`LONGEST_GAP`.

    :ivar time: Seconds, from an arbitrary beginning.
    :ivar leapt: Whether the last reading found that nobody knows what has been meanwhile: the first of
        all, the wall clock set ahead or the machine asleep.  Never without a monotonic clock.
    """

    def __init__(self) -> None:
        self.time = 0.0
        self.leapt = False
        self._wall: float | None = None
        self._monotonic: float | None = None

    @property
    def begun(self) -> bool:
        """Whether there was a reading."""
        return self._wall is not None

    def read(self, now: float, monotonic: float | None) -> float:
        """
        Take a reading.

        :return: Seconds by which the wall clock was set back since the last one, else 0.
        """
        if self._wall is None:
            self._wall, self._monotonic = now, monotonic
            self.leapt = monotonic is not None
            return 0.0
        gap = now - self._wall
        if monotonic is not None and self._monotonic is not None:
            elapsed = max(monotonic - self._monotonic, 0.0)
            self.leapt = gap - elapsed > LONGEST_GAP
        else:
            self.leapt = False
            elapsed = min(max(gap, 0.0), LONGEST_GAP)
        self.time += elapsed
        self._wall, self._monotonic = now, monotonic
        back = elapsed - gap
        return back if gap < 0 and back > STEP else 0.0
