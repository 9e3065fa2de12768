"""One destination of one channel: what is ready for it, and whether it may be talked to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jobctl.schedule.shares import CLASSES, Lane
from jobctl.schedule.tracked import READY, Item

if TYPE_CHECKING:
    from jobctl.schedule.cursor import Cursor
    from jobctl.schedule.jobs import Job, Stay
    from jobctl.schedule.queues import ChannelQueue


class HostQueue:
    """
    Entries for one host, ready ones in lanes: one for each share, by class and age.

    A host that failed is blocked until its backoff has lapsed and its channel can spare a place for
    its probe; one entry goes out then, and it stays blocked until there is a verdict.

    :ivar name: ``""``: the host does not matter (gateway).
    :ivar size: Entries in memory; of them ``ready`` in the heap, ``active`` in jobs, ``delayed``.
    :ivar jobs: Bound jobs that serve it, those being started included.
    :ivar serving: The jobs that have its active entries.
    :ivar site: What it may have at a time, perhaps with others.
    :ivar lanes: By the name of their share; those that have something, or take part in turns.
    :ivar cursor: Where the store has more of it than memory; ``None``: nothing special.
    :ivar lapsed: Its backoff is over and it waits to be probed; ``probing``: it is, or may be now.
    :ivar until: Epoch seconds of the end of its backoff; ``early``: of the one that was cut short because the
        host has called, until its probe has come to something.
    """

    __slots__ = (
        "active",
        "blocked",
        "channel",
        "cursor",
        "delayed",
        "early",
        "failures",
        "jobs",
        "lanes",
        "lapsed",
        "name",
        "probing",
        "ready",
        "serving",
        "site",
        "size",
        "until",
    )

    def __init__(self, channel: ChannelQueue, name: str) -> None:
        self.channel = channel
        self.name = name
        self.size = self.ready = self.active = self.delayed = 0
        self.jobs = 0
        self.lanes: dict[str, Lane] = {}
        self.serving: dict[Job, Stay] = {}
        self.site = channel.sites.of(name, channel.depth)
        self.cursor: Cursor | None = None
        self.failures = 0
        self.until = self.early = 0.0
        self.blocked = False
        self.lapsed = False
        self.probing = False

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost by forgetting it."""
        return not (self.size or self.failures or self.jobs or self.lanes) and self.cursor is None

    def push(self, rank: int, item: Item) -> None:
        """An entry becomes ready."""
        item.state = READY
        lane = self._lane(item)
        lane.push(rank, item)
        channel = self.channel
        if not self.blocked:
            if self.ready % channel.depth == 0:
                channel.wanted += 1
            channel.ready += 1
            channel.shares.enroll(lane)
        elif self.lapsed and not self.ready:
            channel.trials.append(self)
        self.ready += 1

    def _lane(self, item: Item) -> Lane:
        lane = self.lanes.get(item.entry.share)
        if lane is None:
            share = self.channel.shares.of(item.entry.share)
            item.entry.share = share.name
            lane = self.lanes.get(share.name)
            if lane is None:
                share.lanes += 1
                lane = Lane(self, share)
                if self.lanes:
                    lane.served = min(other.served for other in self.lanes.values())
                self.lanes[share.name] = lane
        return lane

    def drop(self, lane: Lane) -> None:
        """Forget a lane that has nothing and takes part in no turns."""
        if not lane.enrolled and lane.head_class() == CLASSES and self.lanes.get(lane.share.name) is lane:
            del self.lanes[lane.share.name]
            lane.share.lanes -= 1

    def head_class(self) -> int:
        """The class of what goes next, ``CLASSES`` when nothing is ready."""
        return min((lane.head_class() for lane in self.lanes.values()), default=CLASSES)

    def next_lane(self) -> Lane | None:
        """Of its lanes that have the highest class, the one that has had least; ``None``: nothing is ready."""
        cls = self.head_class()
        lanes = [lane for lane in self.lanes.values() if lane.head_class() == cls < CLASSES]
        return min(lanes, key=lambda lane: lane.served, default=None)

    def pop(self, lane: Lane) -> Item:
        """Take what goes next in a lane; :meth:`Lane.head_class` has just said that there is something."""
        item = lane.pop()
        self._left()
        return item

    def cancel(self, item: Item) -> None:
        """A ready entry leaves out of turn."""
        lane = self.lanes[item.entry.share]
        lane.cancel(item)
        self._left()
        self.lapse_if_spent()
        self.drop(lane)

    def _left(self) -> None:
        self.ready -= 1
        if not self.blocked:
            channel = self.channel
            channel.ready -= 1
            if self.ready % channel.depth == 0:
                channel.wanted -= 1

    def records(self) -> list[tuple[int, Item]]:
        """What is ready, with its rank, in no order."""
        return [pair for lane in self.lanes.values() for pair in lane.heap if pair[1].state == READY]

    def in_order(self) -> Iterator[Item]:
        """What is ready, the first of its class and age first."""
        return (item for _, item in sorted(self.records(), key=lambda pair: pair[0]))

    def block(self) -> None:
        """Nothing of it goes out."""
        if not self.blocked:
            self.blocked = True
            self.channel.ready -= self.ready
            self.channel.wanted -= -(-self.ready // self.channel.depth)

    def unblock(self) -> None:
        """It may be tried again."""
        if self.blocked:
            self.blocked = False
            self.channel.ready += self.ready
            self.channel.wanted += -(-self.ready // self.channel.depth)
            if self.lanes:
                self.enroll()

    def failed(self, until: float) -> None:
        """It could not be talked to: leave it alone for a while."""
        self.failures += 1
        self.site.window = self.channel.depth
        self.until = until
        self.lapsed = False
        self._probed()
        self.block()

    def lapse(self) -> None:
        """Its backoff is over: it may be probed when its turn comes."""
        self._probed()
        self.block()
        self.lapsed = True
        if self.ready:
            self.channel.trials.append(self)

    def lapse_if_spent(self) -> None:
        """What should have been its probe is gone: the next entry may be."""
        if self.probing and not self.ready and not self.active:
            self.lapse()

    def admit(self) -> None:
        """Now it may: the next that goes out is the probe."""
        self.lapsed = False
        self.probing = True
        self.channel.probing += 1
        self.unblock()

    def wants(self) -> int:
        """Further connections that its ready mail deserves and that it may have."""
        channel, site = self.channel, self.site
        depth = channel.depth
        wanted = -(-self.ready // depth)
        if channel.most_connections is not None:
            wanted = min(wanted, channel.most_connections - site.connections(depth))
        if self.name:
            wanted = min(wanted, max((site.window - site.active) // depth, 0 if site.active else 1))
        return max(wanted, 0)

    def recovered(self) -> None:
        """It has answered."""
        self.failures = 0
        self.early = 0.0
        self.lapsed = False
        self._probed()
        self.unblock()

    def _probed(self) -> None:
        if self.probing:
            self.probing = False
            self.channel.probing -= 1

    def enroll(self) -> None:
        """Take part in the turns."""
        for lane in self.lanes.values():
            self.channel.shares.enroll(lane)
