"""How fast jobs may be started while they come to nothing."""

# Seconds: the first pause, doubled with each further failure, and the longest.
FIRST = 1.0
LONGEST = 60.0
# A destination that cannot be reached says nothing of the others; but a program that is missing fails
# for every destination as fast as it can be tried.
PACE = 0.1


class Throttle:
    """
    Pauses between starts of a channel's jobs.

    :ivar until: Epoch seconds before which none is started.
    :ivar failures: Programs in a row that died before their first work or could not be started.
    """

    __slots__ = ("failures", "until")

    def __init__(self) -> None:
        self.failures = 0
        self.until = 0.0

    def failed(self, now: float) -> None:
        """A program came to nothing."""
        self.until = now + min(FIRST * float(1 << min(self.failures, 16)), LONGEST)
        self.failures += 1

    def unreachable(self, now: float) -> None:
        """A destination could not be connected to; no program was to blame."""
        self.until = max(self.until, now + PACE)

    def worked(self) -> None:
        """A program did work: start as need be."""
        self.failures = 0
        self.until = 0.0
