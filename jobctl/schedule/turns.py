"""One decision between shares and hosts: who gets what of the credit that jobs for any host have."""

from __future__ import annotations

from collections.abc import Callable

from jobctl.schedule.hosts import HostQueue
from jobctl.schedule.jobs import Job
from jobctl.schedule.queues import ChannelQueue
from jobctl.schedule.shares import Flow, Lane

# A host may have this many times as many entries in jobs as there is credit left: one that is slow
# gets 4/5 of all, n of them leave 1/(4n+1) to the others (the dynamic threshold, as in the window).
HOST_PART = 4
# This part of what jobs can hold is kept for shares of which they hold nothing: whoever comes next is handed
# over at once, whatever a flood has taken.
KEPT = 11


class Free:
    """
    What one job can take in this decision.

    :ivar room: Entries; ``spare`` of them until its connections have what they are worth.
    :ivar places: Hosts more than its ``stays``.
    """

    __slots__ = ("job", "places", "room", "spare", "stays")

    def __init__(self, job: Job, room: int, spare: int, places: int) -> None:
        self.job = job
        self.room = room
        self.spare = max(spare, 0)
        self.places = places
        self.stays = len(job.stays)

    def took(self, count: int) -> None:
        """It was handed so many."""
        self.room -= count
        self.spare = max(self.spare - count, 0)
        self.places -= len(self.job.stays) - self.stays
        self.stays = len(self.job.stays)


# Hands over at most so many entries of a lane and class to a job; gives how many, and what they cost.
Take = Callable[[Lane, Job, int, int], tuple[int, int]]


class Decision:
    """
    Hands out, class by class: the share first (deficit round robin), then its host (in turns), then the job.

    :param jobs: Those that have room.
    :param steady: Seconds of a clock that does not jump.
    :param pace: Called with a host that may get nothing by its rate now.
    """

    def __init__(
        self,
        channel: ChannelQueue,
        jobs: list[Free],
        take: Take,
        steady: float,
        pace: Callable[[HostQueue], None],
    ) -> None:
        self._channel = channel
        self._jobs = jobs
        self._take = take
        self._steady = steady
        self._pace = pace
        self._credit = jobs[0].room if len(jobs) == 1 else sum(free.room for free in jobs)
        self._kept = (self._credit + channel.active) // KEPT
        # The host whose turn it is has no connection to come to.
        self._full = False

    def make(self) -> None:
        """Until there is no credit, no mail, or no connection for whose turn it is."""
        for cls, turns in enumerate(self._channel.shares.turns):
            if self._credit <= 0 or self._full:
                return
            if turns:
                self._make(cls)

    def _make(self, cls: int) -> None:
        turns = self._channel.shares.turns[cls]
        aside: list[Flow] = []
        without: dict[Flow, list[Lane]] = {}
        while turns and self._credit > 0 and not self._full:
            flow = turns[0]
            if self._credit <= self._kept and flow.share.name and flow.share.active:
                # What is left is for others; it neither takes part nor is a debt paid by waiting.
                aside.append(turns.popleft())
            elif flow.credit <= 0 and not self._next_turn(flow, len(turns) + len(aside) > 1):
                turns.rotate(-1)
            elif self._serve(flow, cls, without):
                if flow.credit <= 0:
                    turns.rotate(-1)
            elif not self._full:
                turns.popleft()
                if flow in without:
                    aside.append(flow)
                else:
                    flow.turning = False
                    flow.credit = 0
        # They had no room: their turn has not been.
        turns.extendleft(reversed(aside))
        for flow, lanes in without.items():
            flow.lanes.extendleft(reversed(lanes))

    def _next_turn(self, flow: Flow, others: bool) -> bool:
        """Give a share what its next turn is worth; ``False``: it is still paying for the last."""
        # As little as there is: the turns of hosts see to it that connections are used again.
        quantum = flow.share.weight
        # Who is alone owes nobody anything.
        flow.credit = flow.credit + quantum if others else quantum
        return flow.credit > 0

    def _serve(self, flow: Flow, cls: int, without: dict[Flow, list[Lane]]) -> bool:
        """Hand out of the first lane that has room; ``False``: none has."""
        while (lane := self._channel.next_lane(flow, cls)) is not None:
            host = lane.host
            room = self._room(lane)
            free = choose(host, self._jobs) if room > 0 else None
            if free is not None and self._channel.most_connections is not None:
                room = min(room, self._allowance(host, free))
                free = free if room > 0 else None
            if free is None:
                if room > 0 and not host.serving:
                    self._full = True
                    return False
                without.setdefault(flow, []).append(flow.lanes.popleft())
                continue
            turn = lane.turn or self._channel.turn
            most = min(room, turn, free.room, free.spare or free.room)
            if lane.share.name and not lane.share.active:
                most = 1
            if len(self._channel.shares.turns[cls]) > 1:
                most = min(most, flow.credit)
            given, units = self._take(lane, free.job, cls, most)
            flow.credit -= units
            self._credit -= given
            free.took(given)
            lane.turn = turn - given
            if lane.turn <= 0 or not given:
                lane.turn = 0
                flow.lanes.rotate(-1)
            return True
        return False

    def _room(self, lane: Lane) -> int:
        host, credit = lane.host, self._credit
        if host.failures:
            return 1
        share = lane.share
        room = credit - self._kept if share.name and share.active else credit
        # A program with one connection waits for a slow host whatever else it holds.
        alone = self._channel.connections == 1
        if alone:
            room = credit
        elif host.name:
            part = (HOST_PART * credit - host.active) // (HOST_PART + 1)
            room = min(room, max(part, 0 if host.active else 1), host.site.window - host.site.active)
        rate = self._channel.rate
        if rate is not None and room > 0:
            room = min(room, host.site.may_send(rate, self._steady))
            if room <= 0:
                self._pace(host)
        return room

    def _allowance(self, host: HostQueue, free: Free) -> int:
        """What ``max_connections_per_host`` leaves."""
        most = self._channel.most_connections
        assert most is not None
        return host.site.allowance(host, free.job, most, self._channel.depth)


def choose(host: HostQueue, jobs: list[Free]) -> Free | None:
    """
    A job that has a connection for the host: one that serves it, if it has not enough to do; else one
    that has not; else as before, so that what is queued for a host is queued in one place.
    """
    best: Free | None = None
    merit = (False, False, 0)
    for free in jobs:
        serves = free.job in host.serving
        if free.room > 0 and (serves or free.places > 0):
            mine = (free.spare > 0, serves, min(free.spare or free.room, free.room))
            if mine > merit:
                best, merit = free, mine
    return best
