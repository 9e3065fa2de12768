"""Standard input and output as the two halves of a dialogue, whatever they are joined to."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from channels.kit.loop import Loop, Outlet, enlarge_pipe, read_some
from jobctl.errors import TlsFailed

if TYPE_CHECKING:
    from jobctl.net.tls_session import TlsSession

STDIN = 0
STDOUT = 1


class Stdio:
    """
    A dialogue's octets: pipes, FIFOs, sockets, files or a person at a terminal.

    :param received: Called with each piece that comes in, ``b""`` once at the end.
    :param lost: Called once when nobody reads our output any more.
    :ivar tls: What encrypts the dialogue, ``None``: nothing.
    """

    def __init__(self, loop: Loop, received: Callable[[bytes], None], lost: Callable[[str], None]) -> None:
        self._loop = loop
        self._received = received
        self._terminal = os.isatty(STDIN)
        self._reading = False
        self._ended = False
        self._traced: Callable[[bytes], None] | None = None
        self.tls: TlsSession | None = None
        self._secured: Callable[[], None] = _nothing
        self._failed: Callable[[str], None] = lost
        self.outlet = Outlet(loop, STDOUT, lost)
        enlarge_pipe(STDOUT)

    def trace(self, level: int, client: bool, note: Callable[[str], None]) -> None:
        """Have each read and write noted (TRACE_LEVEL); 0: none."""
        if level:
            from channels.kit.trace import Trace

            trace = Trace(level, client, note)
            self._traced, self.outlet.trace = trace.read, trace.wrote

    def read(self, wanted: bool) -> None:
        """Go on reading, or let the other side wait."""
        if wanted is not self._reading and not self._ended:
            self._reading = wanted
            self._loop.reading(STDIN, self._ready if wanted else None)

    def _ready(self) -> None:
        data = read_some(STDIN)
        if data is None:
            return
        if self._traced is not None:
            self._traced(data)
        if not data:
            self.read(False)
            self._ended = True
        elif self._terminal:
            # The return key makes a bare LF there, and a line of SMTP ends in CRLF.
            data = data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        if self.tls is not None and data:
            self._decrypt(self.tls, data)
        else:
            self._received(data)

    def write(self, data: bytes) -> None:
        """Say something; it leaves with the next flush of the outlet."""
        if self.tls is not None:
            try:
                self.tls.send(data)
            except TlsFailed as why:
                self._failed(f"TLS: {why}")
                return
            data = self.tls.take_output()
        self.outlet.write(data)

    def start_tls(
        self, session: TlsSession, secured: Callable[[], None], failed: Callable[[str], None]
    ) -> None:
        """
        Encrypt what follows; the client's end begins the handshake.

        :param secured: Called when it is over; ``failed``, with the reason, when it or a later record is bad.
        """
        self.tls = session
        self._secured, self._failed = secured, failed
        session.begin()
        self._put(session)

    def close_tls(self) -> None:
        """Say that no more will be said (close_notify)."""
        if self.tls is not None:
            self.tls.close()
            self._put(self.tls)

    def _put(self, tls: TlsSession) -> None:
        """What TLS itself has to say waits for nobody."""
        self.outlet.write(tls.take_output())
        self.outlet.flush()

    def _decrypt(self, tls: TlsSession, data: bytes) -> None:
        known = tls.established
        try:
            plain = tls.receive(data)
        except TlsFailed as why:
            self._put(tls)
            self._failed(f"TLS: {why}")
            return
        self._put(tls)
        if tls.established and not known:
            self._secured()
        if plain:
            self._received(plain)
        if tls.ended and not self._ended:
            self.read(False)
            self._ended = True
            self._received(b"")


def _nothing() -> None:
    """Until there is TLS."""
