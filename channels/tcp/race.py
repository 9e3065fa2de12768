"""The addresses of one host, tried one after the other without waiting for a dead one (RFC 8305)."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import Any

from channels.tcp.stream import Connecting
from jobctl.net.resolver import NextHop

# RFC 8305 section 5: the next address is tried beside one that has not answered for so long (seconds).
STAGGER = 0.25
# RFC 5321 gives none; the same as Postfix's smtp_connect_timeout.
CONNECT_TIMEOUT = 30.0


class Race:
    """
    Connect to whichever address of a host answers first.

    :param source_for: Our own address towards another, or ``None``.
    :param connected: Called once with the socket and the hop that answered; the others are given up.
    :param failed: Called once, with the last reason, when none did.
    :param lost: Called for each address that could not be connected to.
    :ivar left: Hops that were not tried to the end.
    """

    def __init__(
        self,
        reactor: Any,
        hops: list[NextHop],
        source_for: Callable[[str], str | None],
        connected: Callable[[socket.socket, NextHop], None],
        failed: Callable[[str], None],
        lost: Callable[[NextHop, str], None],
    ) -> None:
        self._reactor = reactor
        self.left = deque(hops)
        self._source_for = source_for
        self._connected = connected
        self._failed = failed
        self._lost = lost
        self._running: dict[Connecting, tuple[NextHop, float]] = {}
        self._timer: Any = None
        self._over = False
        self._why = "no address"
        self._start()

    def _start(self) -> None:
        """Begin with the next address, and be ready for the one after it."""
        self._timer = None
        hop = self.left.popleft()
        attempt: Connecting | None = None

        def connected(skt: socket.socket) -> None:
            assert attempt is not None
            self._running.pop(attempt, None)
            self.give_up()
            self._connected(skt, hop)

        def failed(why: str) -> None:
            assert attempt is not None
            self._running.pop(attempt, None)
            if not self._over:
                self._lost(hop, why)
                self._why = f"connect to {hop.name} [{hop.address}]:{hop.port}: {why}"
                self._lost_one()

        attempt = Connecting(
            self._reactor, (hop.address, hop.port), self._source_for(hop.address), connected, failed
        )
        self._running[attempt] = (hop, self._reactor.seconds())
        if self.left:
            self._timer = self._reactor.callLater(STAGGER, self._start)

    def _lost_one(self) -> None:
        if self.left:
            # Its turn comes at once.
            if self._timer is not None:
                self._timer.cancel()
            self._start()
        elif not self._running:
            self._over = True
            self._failed(self._why)

    def expire(self) -> None:
        """Called each sweep: an address that has not answered for too long never will."""
        now = self._reactor.seconds()
        for attempt, (_, since) in list(self._running.items()):
            if now - since > CONNECT_TIMEOUT:
                attempt.fail("timed out")

    def give_up(self) -> None:
        """It is decided, or nobody wants it any more."""
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        running, self._running = self._running, {}
        for attempt, (hop, _) in running.items():
            self.left.appendleft(hop)
            attempt.fail("given up")
