"""Jobs as the schedule sees them: credit, what they hold of whom, how long they have lived."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobctl.schedule.tracked import Item

if TYPE_CHECKING:
    from jobctl.schedule.hosts import HostQueue

# A host that has given no verdict for so long (seconds) keeps all connections it may have; one that
# answers gives them up to hosts that have none.  Shorter than a program waits before it gives back what
# it has no connection for (channels/tcp/pool.py).
SILENT = 5.0
# Beyond its connections a job is given as many hosts as it finishes messages in this part of a second:
# the next is at hand when one is done, and hardly any is caught behind those that fall silent.
AHEAD = 8


class Stay:
    """
    What one job holds of one host.

    :ivar count: Entries.
    :ivar since: Steady seconds of the last verdict, or of the hand-out that began it.
    """

    __slots__ = ("count", "since")

    def __init__(self, count: int, since: float) -> None:
        self.count = count
        self.since = since

    def connections(self, depth: int) -> int:
        """How many connections so many messages are worth."""
        return -(-self.count // depth)


class Job:
    """
    A running job.

    :ivar host: The one host it serves, ``None``: any.
    :ivar connections: Destinations it serves at a time.
    :ivar stays: The hosts of which it holds anything.
    :ivar pace: Messages that it finished in a second, when that was looked at last.
    :ivar credit: Messages it may be handed.
    :ivar held: What it was handed and has no verdict yet, in that order.
    :ivar handed: Messages in all.
    :ivar started: Steady seconds, as is ``idle``: since when it has had nothing, ``None``: it has.
    :ivar alone: It holds, or is to hold when it is done, one message that is tried alone.
    :ivar stopping: It was told to stop.
    """

    __slots__ = (
        "_done",
        "_since",
        "alone",
        "channel",
        "connections",
        "credit",
        "handed",
        "held",
        "host",
        "id",
        "idle",
        "pace",
        "run",
        "started",
        "stays",
        "stopping",
    )

    def __init__(
        self, id: str, channel: str, host: str | None, connections: int, run: str | None, started: float
    ) -> None:
        self.id = id
        self.channel = channel
        self.host = host
        self.connections = max(connections, 1)
        self.run = run
        self.started = started
        self.credit = 0
        self.held: dict[str, Item] = {}
        self.stays: dict[HostQueue, Stay] = {}
        self.handed = 0
        self.pace = 0
        self._done = 0
        self._since = started
        self.idle: float | None = None
        self.stopping = self.alone = False

    def took(self, host: HostQueue, count: int, steady: float) -> None:
        """It was handed entries of a host."""
        stay = self.stays.get(host)
        if stay is None:
            self.stays[host] = host.serving[self] = Stay(count, steady)
        else:
            stay.count += count
        self.credit -= count
        self.handed += count
        self.idle = None

    def finished(self, item: Item, steady: float) -> None:
        """It has one entry less."""
        self.held.pop(item.entry.id, None)
        self._done += 1
        stay = self.stays[item.host]
        stay.since = steady
        stay.count -= 1
        if not stay.count:
            del self.stays[item.host], item.host.serving[self]

    def gone(self) -> None:
        """It is over; its entries stay active until the caller has dealt with them."""
        for item in self.held.values():
            item.job = None
        for host in self.stays:
            del host.serving[self]

    def measure(self, steady: float) -> None:
        """See how fast it is; call it before :meth:`room` and :meth:`places`."""
        elapsed = steady - self._since
        if elapsed >= 1.0:
            self.pace = int(self._done / elapsed)
            self._done = 0
            self._since = steady

    def room(self, depth: int, others: bool) -> int:
        """
        Entries that it can be handed.

        :param others: Another job could be started: then it gets no more than its connections deserve, or
            than it does in a second, so that a backlog is seen and shared.
        """
        return min(self.credit, self.spare(depth)) if others else self.credit

    def spare(self, depth: int) -> int:
        """Entries until its connections have what they are worth."""
        return max(depth * self.connections, self.pace) - len(self.held)

    def places(self, depth: int, steady: float) -> int:
        """Hosts that it can be handed entries of, beside those it serves."""
        taken = len(self.stays)
        most = self.connections + self.pace // AHEAD
        if taken < most:
            for stay in self.stays.values():
                if stay.count > depth and stay.since + SILENT <= steady:
                    taken += stay.connections(depth) - 1
        return max(most - taken, 0)

    def busy(self, depth: int) -> int:
        """Connections that what it holds is worth, at most those it has; all, when others may not join it."""
        if self.alone:
            return self.connections
        return min(sum(stay.connections(depth) for stay in self.stays.values()), self.connections)

    def stop(self) -> None:
        """It takes no more."""
        self.stopping = True
        self.credit = 0


class Starting:
    """A job that was asked for and has not been heard of; ``since`` in steady seconds."""

    __slots__ = ("host", "run", "since")

    def __init__(self, host: str | None, run: str | None, since: float) -> None:
        self.host = host
        self.run = run
        self.since = since
