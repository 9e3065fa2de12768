"""Accepted connections, each for a slave program of its own: services of a generic channel."""

from collections.abc import Callable
from typing import Any

from twisted.internet.protocol import ServerFactory

from jobctl.config.settings import ServiceSettings
from jobctl.jobs.introduction import Introduction
from jobctl.jobs.socket_bridge import SocketBridge
from jobctl.jobs.spec import JobSpec
from jobctl.jobs.supervisor import Supervisor
from jobctl.net.address_counts import AddressCounts
from jobctl.net.networks import Networks


class InboundFactory(ServerFactory):
    """
    For ``reactor.adoptStreamPort`` of a service's listening sockets.

    :param make_spec: Gives the spec of the slave for one more connection.
    :param service: Says who may have how many connections, one more is told to come back later; and who are front
        ends, whose connections begin with a PROXY header. Who may say XCLIENT is not held to a number: whose the
        connections are, the programs alone will hear.
    :param linger: Seconds that what a program wrote last may take to leave.
    :ivar connections: Those that are open.
    """

    noisy = False

    def __init__(
        self,
        supervisor: Supervisor,
        make_spec: Callable[[], JobSpec],
        service: ServiceSettings,
        linger: float = 60,
    ) -> None:
        self._supervisor = supervisor
        self._linger = linger
        self._counts = AddressCounts(None)
        # Those whose front ends have not said yet whose they are.
        self._unknown: set[SocketBridge] = set()
        self.connections = 0
        self.reconfigure(make_spec, service)

    def reconfigure(self, make_spec: Callable[[], JobSpec], service: ServiceSettings) -> None:
        """The next connection is served so; those that are open go on as they began."""
        self._make_spec = make_spec
        self._service = service
        self._front_ends = Networks(service.proxy_from)
        self._impersonators = Networks(service.xclient_from)
        self._counts.most = service.max_conns_per_address

    def buildProtocol(self, addr: Any) -> SocketBridge:
        return SocketBridge(self._supervisor.clock, self._linger, self._accepted)

    def stopFactory(self) -> None:
        """Nobody listens any more: there will be no program for who has not been introduced."""
        for connection in list(self._unknown):
            connection.abort()

    def _accepted(self, connection: SocketBridge) -> None:
        self.connections += 1
        connection.when_lost(lambda: self._closed(connection))
        if self.connections > self._service.max_conns:
            self._reject(connection, "too many connections")
            connection.refuse("421 4.3.2 too many connections, try again later")
        elif connection.transport_info.remote_ip in self._front_ends:
            self._unknown.add(connection)
            Introduction(connection, self._supervisor.clock, self._admit, self._reject)
        else:
            self._admit(connection)

    def _admit(self, connection: SocketBridge) -> None:
        """It is known whose connection it is."""
        self._unknown.discard(connection)
        client = connection.transport_info.remote_ip
        if client in self._impersonators:
            client = ""
        connection.when_lost(lambda: self._counts.forget(client))
        if self._counts.count(client):
            self._supervisor.start_on_connection(self._make_spec(), connection)
            return
        self._reject(connection, "too many connections from this address")
        # Whoever waits for a handshake cannot read it.
        said = "421 4.7.0 too many connections from your address, try again later"
        connection.refuse("" if self._service.implicit_tls else said)

    def _reject(self, connection: SocketBridge, why: str) -> None:
        self._supervisor.reject(self._make_spec(), connection.transport_info.text, why)

    def _closed(self, connection: SocketBridge) -> None:
        self.connections -= 1
        self._unknown.discard(connection)
