"""A program's stderr, read no faster than it is worth."""

from collections.abc import Callable
from typing import Any

from jobctl.jobs.pipes import PipeReader

# Octets a second.  A dialogue shown at a thousand messages a second stays below; reading a flood as fast as a
# program can make it would cost the reactor a core.
PACE = 2 * 1024 * 1024


class PacedReader(PipeReader):
    """
    As :class:`PipeReader`, but beyond :data:`PACE` octets in a second the rest waits in the pipe.

    A program that writes more then waits in its write, as for any slow reader, and goes on when
    the second is over: it cannot wait for ever, whatever else it does, because nothing that it
    could hold up is waited for before the pipe is read again.

    :param clock: For the seconds (IReactorTime).
    """

    def __init__(
        self,
        reactor: Any,
        clock: Any,
        fd: int,
        received: Callable[[bytes], None],
        lost: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._second = clock.seconds()
        self._read = 0
        self._take = received
        self._resting: Any = None
        super().__init__(reactor, fd, self._count, lost)

    def _count(self, data: bytes) -> None:
        now = self._clock.seconds()
        if not 0 <= now - self._second < 1:  # clocks step
            self._second = now
            self._read = 0
        self._read += len(data)
        if self._read >= PACE:
            self.stopReading()
            self._resting = self._clock.callLater(self._second + 1 - now, self._go_on)
        self._take(data)

    def hurry(self) -> None:
        """The program is gone: read what it left at once."""
        self._wake()
        self._read = 0
        if self.connected:
            self.startReading()

    def _go_on(self) -> None:
        self._resting = None
        self.startReading()

    def _wake(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None

    def connectionLost(self, reason: Any) -> None:
        self._wake()
        super().connectionLost(reason)
