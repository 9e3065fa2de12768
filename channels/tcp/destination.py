"""The messages in hand for one host, and the connections that carry them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from channels.tcp.assignment import Assignment
from channels.tcp.connection import Connection
from channels.tcp.line import Line
from jobctl.mail.disposition import Verdict

if TYPE_CHECKING:
    from channels.tcp.pool import Pool

# After a further connection could not be made while others work: seconds until one is tried again.
_PAUSE = 10.0


class Destination:
    """
    One ``(host, gateway)`` of the channel.

    Connections take the next message when they are free, so that a slow one among several
    gets few: the share goes by time, not by count.  A connection belongs to one destination
    of one channel for its whole life, and with it to one policy and one identity.

    :ivar name: What to resolve: the gateway, or the host.
    :ivar security: TLS towards it: whom its exchangers also serve makes no difference.
    :ivar recipients_host: The host, if it is what to resolve: when it does not exist, nor do its recipients.
    """

    def __init__(self, pool: Pool, key: tuple[str, str | None]) -> None:
        self.pool = pool
        self.key = key
        self.name = key[1] or key[0]
        self.security = pool.security.towards(self.name)
        self.recipients_host = None if key[1] else key[0]
        self.queue = Line()
        self.connections: set[Connection] = set()
        self.idle: set[Connection] = set()
        self._not_before = 0.0

    @property
    def unfit(self) -> frozenset[str]:
        """Names of exchangers that will not do for the next message."""
        first = self.queue.first
        return frozenset() if first is None else first.unfit

    @property
    def attempt(self) -> int:
        """Which attempt it is for the next message, 1 for the first; -1: there is none."""
        first = self.queue.first
        return -1 if first is None else first.attempt

    def take(self) -> Assignment | None:
        """The next message."""
        return self.queue.take()

    def put_back(self, assignment: Assignment) -> None:
        """It has to begin again, before all others."""
        self.queue.put_back(assignment)

    def work(self) -> None:
        """Give what waits to idle connections; open further ones where there is more than they can do."""
        while self.queue and self.idle:
            self.idle.pop().wake()
        while self.queue and self._wants_more():
            if not self.pool.open_slots():
                if not self.connections:
                    self.pool.wait(self)
                return
            self.connections.add(Connection(self))

    def _wants_more(self) -> bool:
        if not self.connections:
            return True
        if self._not_before > self.pool.now:
            return False
        most = self.pool.channel.max_connections_per_host
        if most is not None and len(self.connections) >= most:
            return False
        in_hand = len(self.queue) + sum(connection.busy for connection in self.connections)
        return in_hand > self.pool.channel.threaddepth * len(self.connections)

    def note_idle(self, connection: Connection) -> None:
        """A connection has run out of work, or found some again."""
        if connection.idle:
            self.idle.add(connection)
            # Where connections are counted, none is kept for what may come: another job may want it.
            self.pool.note_idle(connection, self.pool.channel.max_connections_per_host is not None)
        else:
            self.idle.discard(connection)

    def ended(self, connection: Connection) -> None:
        """A connection is over; what still waits needs another."""
        self.connections.discard(connection)
        self.idle.discard(connection)
        self.pool.slot_freed()
        self.work()
        self._forget_if_done()

    def unreachable(self, connection: Connection, reply: str, status: str, permanent: bool) -> None:
        """A connection found no host that would talk; while others work that is no news."""
        self.connections.discard(connection)
        if any(other.since is not None for other in self.connections):
            self._not_before = self.pool.now + _PAUSE
        else:
            # Others that are still seeking would only learn the same.
            verdict, scope = (Verdict.FAILED, "recipient") if permanent else (Verdict.DEFERRED, "host")
            self.give_back(scope, status, reply, verdict)
        self.pool.slot_freed()
        self._forget_if_done()

    def hops_in_use(self, asking: Connection) -> Counter[str]:
        """How many other connections each next hop has, by its name."""
        return Counter(
            other.hop.name for other in self.connections if other is not asking and other.hop is not None
        )

    def give_back(
        self,
        scope: str,
        status: str,
        reply: str,
        verdict: Verdict = Verdict.DEFERRED,
        retry: float | None = None,
    ) -> None:
        """Report all that has not begun."""
        for assignment in self.queue.take_all():
            self.pool.report(assignment.given_back(scope, status, reply, verdict, retry))

    def _forget_if_done(self) -> None:
        if not self.connections and not self.queue:
            self.pool.forget(self)
