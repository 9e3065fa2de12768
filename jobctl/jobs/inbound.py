"""Accepted connections, each for a slave program of its own: services of a generic channel."""

from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import ServerFactory

from jobctl.jobs.socket_bridge import SocketBridge
from jobctl.jobs.spec import JobSpec
from jobctl.jobs.supervisor import Supervisor


class InboundFactory(ServerFactory):
    """
    For ``reactor.adoptStreamPort`` of a service's listening sockets.

    :param make_spec: Gives the spec of the slave for one more connection.
    :param max_conns: Connections at a time; one more is told to come back later.
    :param linger: Seconds that what a program wrote last may take to leave.
    :ivar connections: Those that are open.
    """

    noisy = False

    def __init__(
        self, supervisor: Supervisor, make_spec: Callable[[], JobSpec], max_conns: int, linger: float = 60
    ) -> None:
        self._supervisor = supervisor
        self._make_spec = make_spec
        self._max_conns = max_conns
        self._linger = linger
        self.connections = 0

    def reconfigure(self, make_spec: Callable[[], JobSpec], max_conns: int) -> None:
        """The next connection is served so; those that are open go on as they began."""
        self._make_spec = make_spec
        self._max_conns = max_conns

    def buildProtocol(self, addr: Any) -> SocketBridge:
        return SocketBridge(self._supervisor.clock, self._linger, self._accepted)

    def _accepted(self, connection: SocketBridge) -> None:
        self.connections += 1
        connection.when_lost(self._closed)
        if self.connections > self._max_conns:
            connection.refuse("421 4.3.2 too many connections, try again later")
        else:
            self._supervisor.start_on_connection(self._make_spec(), connection)

    def _closed(self) -> None:
        self.connections -= 1
