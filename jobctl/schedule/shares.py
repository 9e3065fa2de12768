"""Senders that share a channel: what waits of each, whose turn it is, and how well each has been served."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING
from zlib import crc32

from jobctl.schedule.tracked import GONE, READY, Item

if TYPE_CHECKING:
    from jobctl.schedule.hosts import HostQueue

# A rank is class and order of becoming ready in one number: small goes first.
CLASS_SHIFT = 48
# Ahead of all priorities: what an operator released.
FIRST_CLASS = 0
CLASSES = 6
# What a message costs its share: one, and one more for each 64 KiB, as a large one keeps a connection longer;
# never more than a hundred, so that its share is not out of turn for minutes.
UNIT = 64 * 1024
MOST_UNITS = 100
# Shares with a name of their own in a channel; whoever invents senders makes no more of them than this.
MOST_SHARES = 256
# The others share these.
COMMON = 16
# Seconds over which service is told.
PERIOD = 60.0


def cost(item: Item) -> int:
    """Units of a message's share that it takes."""
    return 1 + min(item.entry.size // UNIT, MOST_UNITS - 1)


class Tally:
    """
    What a share got in some time.

    :ivar messages: Handed to jobs; ``units``: what they cost.
    :ivar longest: Seconds that one of them had been ready.
    """

    __slots__ = ("longest", "messages", "units")

    def __init__(self) -> None:
        self.messages = self.units = 0
        self.longest = 0.0


class Share:
    """
    One sender (or user, or source channel) of a channel.

    :ivar weight: Its part, in proportion to others'.
    :ivar ready: Its ready entries, those of blocked hosts too; ``active``: those that jobs have.
    :ivar lanes: How many it has.
    :ivar served: Number of the period in which it was served last.
    """

    __slots__ = ("_last", "_now", "active", "flows", "lanes", "name", "ready", "served", "weight")

    def __init__(self, name: str, weight: int) -> None:
        self.name = name
        self.weight = weight
        self.ready = self.active = self.lanes = 0
        self.flows: list[Flow | None] = [None] * CLASSES
        self._now = self._last = Tally()
        self.served = -2

    def tally(self, period: int) -> Tally:
        """Where it is noted what it gets in this period."""
        if period != self.served:
            self._last = self._now if period == self.served + 1 else Tally()
            self._now = Tally()
            self.served = period
        return self._now

    def told(self, period: int) -> tuple[Tally, Tally]:
        """What it got in this period, and in the one before."""
        if period == self.served:
            return self._now, self._last
        return Tally(), self._now if period == self.served + 1 else Tally()

    def flow(self, cls: int) -> Flow:
        """Its lanes of one class."""
        flow = self.flows[cls]
        if flow is None:
            flow = self.flows[cls] = Flow(self)
        return flow


class Flow:
    """
    The lanes of one share in one class, next first.

    :ivar credit: Units left of its turn (the *deficit* of deficit round robin); what was taken beyond it
        is taken off the next turn.
    :ivar passed: Lanes at the end that were found to have no room, in decision number ``round``.
    """

    __slots__ = ("credit", "lanes", "passed", "round", "share", "turning")

    def __init__(self, share: Share) -> None:
        self.share = share
        self.lanes: deque[Lane] = deque()
        self.credit = 0
        self.turning = False
        self.passed = 0
        self.round = 0


class Lane:
    """
    What one share has for one host, ready entries by class and age.

    :ivar enrolled: Bit per class: in that class's flow.
    :ivar turn: Messages left of its turn among the lanes of its flow.
    :ivar served: Units that it got by weight, to choose among the lanes of a host.
    """

    __slots__ = ("enrolled", "garbage", "heap", "host", "served", "share", "turn")

    def __init__(self, host: HostQueue, share: Share) -> None:
        self.host = host
        self.share = share
        self.heap: list[tuple[int, Item]] = []
        self.garbage = 0
        self.enrolled = 0
        self.turn = 0
        self.served = 0.0

    def push(self, rank: int, item: Item) -> None:
        """An entry becomes ready."""
        heappush(self.heap, (rank, item))
        self.share.ready += 1

    def head_class(self) -> int:
        """The class of what goes next, ``CLASSES`` when nothing is ready."""
        heap = self.heap
        while heap:
            rank, item = heap[0]
            if item.state == READY:
                return rank >> CLASS_SHIFT
            heappop(heap)
            self.garbage -= 1
        return CLASSES

    def pop(self) -> Item:
        """Take what goes next; :meth:`head_class` has just said that there is something."""
        item = heappop(self.heap)[1]
        item.state = GONE
        self.share.ready -= 1
        return item

    def cancel(self, item: Item) -> None:
        """A ready entry leaves out of turn."""
        item.state = GONE
        self.share.ready -= 1
        self.garbage += 1
        if self.garbage > 16 and self.garbage * 2 > len(self.heap):
            self.heap = [pair for pair in self.heap if pair[1].state == READY]
            heapify(self.heap)
            self.garbage = 0


class Shares:
    """
    The shares of a channel and whose turn it is: deficit round robin between them, class by class.

    :ivar turns: Per class, the flows that have some of it, next first.
    :ivar period: Number of the period of :data:`PERIOD` that :meth:`look` was called in last.
    """

    def __init__(self, weights: Mapping[str, int]) -> None:
        self.turns: tuple[deque[Flow], ...] = tuple(deque() for _ in range(CLASSES))
        self.known: dict[str, Share] = {}
        self._weights = weights
        self.period = 0
        self._until = 0.0

    def weigh(self, weights: Mapping[str, int]) -> None:
        """Take new weights."""
        self._weights = weights
        for share in self.known.values():
            share.weight = self._weight(share.name)

    def of(self, name: str) -> Share:
        """The share of this name, or one that it shares with others when there are too many."""
        share = self.known.get(name)
        if share is None:
            if len(self.known) >= MOST_SHARES and name.lower() not in self._weights:
                name = f"*{crc32(name.encode()) % COMMON}"
                share = self.known.get(name)
            if share is None:
                share = self.known[name] = Share(name, self._weight(name))
        return share

    def _weight(self, name: str) -> int:
        return self._weights.get(name.lower(), 1)

    def enroll(self, lane: Lane) -> None:
        """Let a lane, and its share, take part in the turns of what it has next."""
        head = lane.head_class()
        if head < CLASSES and not lane.enrolled >> head & 1:
            lane.enrolled |= 1 << head
            flow = lane.share.flow(head)
            flow.lanes.append(lane)
            if not flow.turning:
                flow.turning = True
                self.turns[head].append(flow)

    def look(self, steady: float) -> None:
        """Begin a new period of the tallies when it is time (steady seconds), and forget whom nobody knows."""
        if steady < self._until:
            return
        period = self.period = int(steady / PERIOD)
        self._until = (period + 1) * PERIOD
        for share in [share for share in self.known.values() if share.served < period - 1]:
            if not (share.lanes or share.active):
                del self.known[share.name]
