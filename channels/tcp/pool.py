"""The connections of one client job: at most ``max_client_threads``, shared by its destinations."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from channels.kit.client_security import ClientSecurity
from channels.kit.log_stream import say
from channels.kit.reactor_link import ReactorLink
from channels.tcp.assignment import Assignment
from channels.tcp.connection import Connection
from channels.tcp.destination import Destination
from jobctl.config.settings import ChannelSettings
from jobctl.jobprotocol.frames import Ask, Message, Report
from jobctl.net.ip_access import IpAccess
from jobctl.net.resolver import Resolver
from jobctl.net.sources import Sources

# Messages in hand for each connection: one under way, the others close by.
DEPTH = 10
# A destination that waits for a connection goes back to the controller when nothing was done on any for
# so long (seconds): those that have them say nothing, and another job may serve it at once.
LONGEST_WAIT = 10.0
# A connection is used at least this long before it must make room for a destination that has none.
FAIR_USE = 1.0


class Pool:
    """
    Group messages by destination, and share the connections among the destinations.

    :param quiet: Called when the last connection is over.
    :param loop: Our own XLOOP token.
    :ivar now: A steady clock in seconds, as coarse as the sweep.
    :ivar stopping: Nothing new begins.
    :ivar traced: The debug log shows what becomes of connections.
    """

    def __init__(
        self,
        reactor: Any,
        link: ReactorLink,
        channel: ChannelSettings,
        resolver: Resolver,
        security: ClientSecurity,
        quiet: Callable[[], None],
        loop: str = "",
    ) -> None:
        self.reactor = reactor
        self.link = link
        self.channel = channel
        self.resolver = resolver
        self.security = security
        self.sources = Sources(channel)
        self.ip_access = IpAccess(channel, say)
        self.loop = loop
        self._quiet = quiet
        self.now = time.monotonic()
        self.stopping = False
        self.traced = channel.master_debug and channel.options.trace_level > 0
        self.most = channel.options.max_client_threads
        self.destinations: dict[tuple[str, str | None], Destination] = {}
        self._large: dict[str, Assignment] = {}
        self._waiting: dict[Destination, float] = {}  # since when, the longest first
        self._touched: dict[Destination, None] = {}  # in order of arrival
        self._unasked = 0
        self._reported = self.now
        options = channel.options
        names = (
            "command_transmit_time",
            "mail_transmit_time",
            "rcpt_transmit_time",
            "data_transmit_time",
            "dot_transmit_time",
            "status_receive_time",
            "status_mail_receive_time",
            "status_rcpt_receive_time",
            "status_data_receive_time",
        )
        shortest = min(options.seconds(name) for name in names)
        # Twice within the shortest time that is waited for, and once a second at most.
        self._interval = max(0.02, min(1.0, shortest / 2))
        self._sweeping = reactor.callLater(self._interval, self._sweep)

    def ask(self) -> None:
        """Credit for as much as is kept in hand."""
        # A flood of one sender is given 10/11 of this: then each connection has its ten all the same.
        self.link.send(Ask(n=self.most * (DEPTH + 1)))

    def assign(self, frame: Message, content: bytes) -> None:
        """A message, or a further piece of one."""
        known = self._large.get(frame.id)
        if known is not None:
            self._piece(known, frame, content)
            return
        if frame.envelope is None:
            # It was on its way when the verdict was given.
            return
        assignment = Assignment(frame, content)
        if frame.more:
            self._large[frame.id] = assignment
        key = (frame.host, frame.gateway)
        destination = self.destinations.get(key)
        if destination is None:
            destination = self.destinations[key] = Destination(self, key)
        destination.queue.put(assignment)
        self._touched[destination] = None

    def _piece(self, assignment: Assignment, frame: Message, content: bytes) -> None:
        assignment.pieces.append(content)
        assignment.more = frame.more
        if not frame.more:
            del self._large[frame.id]
        if assignment.carrier is not None:
            assignment.carrier.piece(assignment)

    def work(self) -> None:
        """All messages that were read together have been assigned."""
        touched, self._touched = self._touched, {}
        for destination in touched:
            if self.stopping:
                self._give_back(destination)
            else:
                destination.work()

    def report(self, report: Report) -> None:
        """Verdicts; with them goes credit for as many new messages."""
        self._large.pop(report.id, None)
        self.link.progress += 1
        self._reported = self.now
        self.link.send(report)
        self._unasked += 1
        if self._unasked >= self.most and not self.stopping:
            self.link.send(Ask(n=self._unasked))
            self._unasked = 0

    # Sharing.

    def connections(self) -> list[Connection]:
        return [
            connection for destination in self.destinations.values() for connection in destination.connections
        ]

    def open_slots(self) -> int:
        """How many connections more there may be."""
        return self.most - sum(len(destination.connections) for destination in self.destinations.values())

    def wait(self, destination: Destination) -> None:
        """All connections are in use: the destination is served when one has made room."""
        if destination in self._waiting:
            return
        self._waiting[destination] = self.now
        for other in self.destinations.values():
            for connection in other.idle:
                connection.quit()
                return

    def must_yield(self, connection: Connection) -> bool:
        """Whether this connection has had its share while a destination waits without any."""
        return (
            bool(self._waiting) and connection.since is not None and self.now - connection.since >= FAIR_USE
        )

    def note_idle(self, connection: Connection, scarce: bool) -> None:
        """An idle connection makes room at once for a destination that waits, and where they are scarce."""
        if self._waiting or scarce:
            self.reactor.callLater(0, connection.quit)

    def slot_freed(self) -> None:
        """Serve whoever waits longest."""
        while self._waiting and self.open_slots() > 0:
            destination = next(iter(self._waiting))
            del self._waiting[destination]
            destination.work()
        if self.open_slots() == self.most:
            self._quiet()

    def forget(self, destination: Destination) -> None:
        """It has neither messages nor connections."""
        if self.destinations.get(destination.key) is destination:
            del self.destinations[destination.key]

    # The end.

    def stop(self) -> None:
        """Finish what is under way, give back what has not begun."""
        self.stopping = True
        self._waiting.clear()
        for destination in list(self.destinations.values()):
            self._give_back(destination)
        for connection in self.connections():
            connection.quit()

    def _give_back(self, destination: Destination) -> None:
        # At once to another job: a program that is replaced after so many messages makes no mail wait.
        destination.give_back("local", "4.3.2", "the channel program is stopping", retry=0.0)

    def abort(self) -> None:
        """The controller is gone."""
        self.stopping = True
        if self._sweeping.active():
            self._sweeping.cancel()
        for connection in self.connections():
            connection.abort()

    def _sweep(self) -> None:
        self.now = now = time.monotonic()
        for connection in self.connections():
            connection.expire(now)
        if self._waiting and now - self._reported > LONGEST_WAIT:
            for destination in [one for one, since in self._waiting.items() if now - since > LONGEST_WAIT]:
                del self._waiting[destination]
                destination.give_back("local", "4.3.2", "no connection has become free", retry=0.0)
                self.forget(destination)
        self._sweeping = self.reactor.callLater(self._interval, self._sweep)
