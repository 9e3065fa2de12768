"""master_debug and slave_debug of a program whose dialogue is on its standard input and output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from channels.kit.log_stream import say
from channels.kit.stdio import Stdio

if TYPE_CHECKING:
    from channels.kit.debug import Transcript


class StdioDebug:
    """
    The dialogue in the program's log, from :meth:`show` on.

    :param client: We are the client: commands are sent and replies received.
    :ivar transcript: What makes the lines, ``None``: nothing is shown.
    """

    def __init__(self, stdio: Stdio, client: bool) -> None:
        self._stdio = stdio
        self._client = client
        self.transcript: Transcript | None = None

    def show(self, title: str, trace_level: int) -> None:
        """
        :param title: The first line; not said again where the dialogue is shown already.
        """
        if self.transcript is None:
            # Late: few want it.
            from channels.kit.debug import Transcript

            self.transcript = Transcript(self._client, say)
            self.transcript.note(title)
            self._stdio.trace(trace_level, self._client, self.transcript.note)

    def commands(self, data: bytes) -> None:
        """Octets from the client, cut anywhere."""
        if self.transcript is not None:
            self.transcript.commands(data)

    def replies(self, data: bytes) -> None:
        """Octets from the server, cut anywhere."""
        if self.transcript is not None:
            self.transcript.replies(data)

    def note(self, text: str) -> None:
        """A line that is not part of the dialogue."""
        if self.transcript is not None:
            self.transcript.note(text)
