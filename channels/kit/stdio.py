"""Standard input and output as the two halves of a dialogue, whatever they are joined to."""

import os
from collections.abc import Callable

from channels.kit.loop import Loop, Outlet, enlarge_pipe, read_some

STDIN = 0
STDOUT = 1


class Stdio:
    """
    A dialogue's octets: pipes, FIFOs, sockets, files or a person at a terminal.

    :param received: Called with each piece that comes in, ``b""`` once at the end.
    :param lost: Called once when nobody reads our output any more.
    """

    def __init__(self, loop: Loop, received: Callable[[bytes], None], lost: Callable[[str], None]) -> None:
        self._loop = loop
        self._received = received
        self._terminal = os.isatty(STDIN)
        self._reading = False
        self._ended = False
        self.outlet = Outlet(loop, STDOUT, lost)
        enlarge_pipe(STDOUT)

    def read(self, wanted: bool) -> None:
        """Go on reading, or let the other side wait."""
        if wanted is not self._reading and not self._ended:
            self._reading = wanted
            self._loop.reading(STDIN, self._ready if wanted else None)

    def _ready(self) -> None:
        data = read_some(STDIN)
        if data is None:
            return
        if not data:
            self.read(False)
            self._ended = True
        elif self._terminal:
            # The return key makes a bare LF there, and a line of SMTP ends in CRLF.
            data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        self._received(data)
