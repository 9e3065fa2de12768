"""Output with final dots in it, which waits until their announcements are known."""

from channels.kit.loop import FULL
from channels.kit.program import Run
from channels.kit.stdio import Stdio


class HeldOutput:
    """What a client program says; once it may go, the outlet has it."""

    def __init__(self, run: Run, stdio: Stdio) -> None:
        self._run = run
        self._stdio = stdio
        self._pieces: list[bytes] = []
        self._octets = 0

    @property
    def pending(self) -> int:
        """Octets that nobody has taken yet."""
        return self._octets + self._stdio.outlet.pending

    @property
    def full(self) -> bool:
        """So much is waiting that no more should be produced."""
        return self._octets > FULL or self._stdio.outlet.full

    def write(self, data: bytes) -> None:
        """Take octets; they leave with the next :meth:`release`."""
        self._pieces.append(data)
        self._octets += len(data)

    def release(self) -> None:
        """Write what may go; called after what was said to the controller has been handed to its pipe."""
        # A dot goes only after its announcement: what the link has not taken yet holds it back.
        if self._pieces and not (self._run.announcements.by_frame and self._run.link_pending):
            self._stdio.write(b"".join(self._pieces))
            self._pieces.clear()
            self._octets = 0
            self._stdio.outlet.flush()
