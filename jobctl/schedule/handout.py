"""Which job gets which entries: class first, then round robin between hosts, then age."""

from __future__ import annotations

from jobctl.schedule.expiry import expires_at
from jobctl.schedule.hosts import CLASSES, HostQueue
from jobctl.schedule.jobs import Job
from jobctl.schedule.memory import Memory
from jobctl.schedule.pools import Pools
from jobctl.schedule.queues import ChannelQueue
from jobctl.schedule.runs import Run
from jobctl.schedule.tracked import ACTIVE, Item

# A host may have this many times as many entries in jobs as there is credit left: one that is slow
# gets 4/5 of all, n of them leave 1/(4n+1) to the others (the dynamic threshold, as in the window).
SHARE = 4

Handouts = list[tuple[str, list[str]]]


class HandOut:
    """
    Hands entries to jobs that have credit.

    The host is chosen first and then the job for it, one that serves the host
    already if there is one: connections are used again and no host waits for it.
    A job has entries of no more hosts than it has connections.  When there is no
    connection for the host whose turn it is nobody gets anything before it: hosts
    finish what is in hand, and one that is done makes place.
    """

    def __init__(self, memory: Memory, pools: Pools) -> None:
        self._memory = memory
        self._pools = pools

    def serve(self, channel: ChannelQueue, now: float, out: Handouts) -> None:
        """Hand out what the channel's jobs have credit for."""
        free: list[Free] = []
        others = channel.runnable and self._pools.free(channel) > 0
        steady = self._memory.steady
        if channel.alone and not channel.stopped:
            self._serve_alone(channel, now, out)
        for job in channel.jobs.values():
            if job.credit > 0:
                job.measure(steady)
                job.alone = job.alone and bool(job.held or channel.alone)
                if job.run is not None:
                    self._serve_run(channel, job, out)
                elif channel.stopped or job.alone or (room := job.room(channel.depth, others)) <= 0:
                    continue
                elif job.host is None:
                    depth = channel.depth
                    free.append(Free(job, room, job.spare(depth), job.places(depth, steady)))
                else:
                    self._serve_bound(channel, job, room, now, out)
        if free and (channel.ready or channel.trials):
            self._share(channel, free, now, out)

    def _share(self, channel: ChannelQueue, jobs: list[Free], now: float, out: Handouts) -> None:
        credit = sum(free.room for free in jobs)
        # Probes of dead hosts take half of what there is at most, and one goes always.
        connections = sum(job.connections for job in channel.jobs.values() if job.run is None)
        channel.probe(max(min(credit, connections) // 2, 1))
        for cls in range(CLASSES):
            rotation = channel.rotations[cls]
            passed = 0
            while credit > 0 and (host := channel.next_host(cls, passed)) is not None:
                room = self._room(host, credit)
                free = _choose(host, jobs) if room > 0 else None
                if free is None:
                    if room > 0 and not host.serving:
                        return
                    rotation.rotate(-1)
                    passed += 1
                    continue
                turn = host.turn or channel.turn
                most = min(room, turn, free.room, free.spare or free.room)
                given = self._take(host, free.job, cls, most, now, out)
                credit -= given
                free.took(given)
                host.turn = turn - given
                if host.turn <= 0 or not given:
                    host.turn = 0
                    rotation.rotate(-1)

    def _room(self, host: HostQueue, credit: int) -> int:
        if host.failures:
            return 1
        # A program with one connection waits for a slow host whatever else it holds.
        if not host.name or host.channel.connections == 1:
            return credit
        share = max((SHARE * credit - host.active) // (SHARE + 1), 0 if host.active else 1)
        return min(share, host.window - host.active)

    def _serve_bound(self, channel: ChannelQueue, job: Job, room: int, now: float, out: Handouts) -> None:
        host = channel.hosts.get(job.host or "")
        while host is not None and room > 0 and not host.blocked:
            cls = host.head_class()
            if cls == CLASSES:
                break
            room -= self._take(host, job, cls, 1 if host.failures else room, now, out)

    def _serve_alone(self, channel: ChannelQueue, now: float, out: Handouts) -> None:
        """
        What may kill programs goes to jobs that hold nothing, one each and nothing with it.

        Half of the jobs are for the others; when none is empty the one that holds least is emptied.
        """
        jobs = [job for job in channel.jobs.values() if job.run is None and not job.stopping]
        for job in jobs:
            job.alone = job.alone and bool(job.held)
        most = max(len(jobs) // 2, 1) - sum(job.alone for job in jobs)
        for job in sorted(jobs, key=lambda job: len(job.held)):
            item = next((one for one in channel.alone.values() if job.host in (None, one.host.name)), None)
            if most <= 0 or item is None or job.alone:
                continue
            most -= 1
            job.alone = True
            if job.held or job.credit <= 0:
                break
            host = item.host
            self._memory.detach(item)
            said = self._memory.next_said(item)
            if said <= now and self._memory.speak(item, said, now):
                job.alone = False
            else:
                self._hold(host, job, [item], out)

    def _take(self, host: HostQueue, job: Job, cls: int, count: int, now: float, out: Handouts) -> int:
        """Hand over at most ``count`` entries of this class; what has expired goes another way."""
        items: list[Item] = []
        lives = host.channel.lives
        while count and host.head_class() == cls:
            item = host.pop()
            entry = item.entry
            if expires_at(lives[entry.rule][entry.priority], entry) <= now and self._memory.over(item, now):
                self._memory.expire(item)
                continue
            count -= 1
            items.append(item)
        if items:
            self._hold(host, job, items, out)
            if host.probing:
                host.block()
        else:
            host.lapse_if_spent()
        return len(items)

    def _serve_run(self, channel: ChannelQueue, job: Job, out: Handouts) -> None:
        run: Run | None = self._memory.runs.get(job.run or "")
        places = job.places(channel.depth, self._memory.steady)
        while run is not None and job.credit > 0 and (name := job.host or run.next_host()) is not None:
            host = channel.host(name)
            if host not in job.stays:
                places -= 1
            items: list[Item] = run.take(name, job.credit) if places >= 0 else []
            if not items:
                break
            self._hold(host, job, items, out)
            run.active += len(items)

    def _hold(self, host: HostQueue, job: Job, items: list[Item], out: Handouts) -> None:
        """Entries of a host are the job's now."""
        held = job.held
        for item in items:
            item.state = ACTIVE
            item.job = job
            held[item.entry.id] = item
        host.active += len(items)
        host.channel.active += len(items)
        job.took(host, len(items), self._memory.steady)
        out.append((job.id, [item.entry.id for item in items]))


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


def _choose(host: HostQueue, jobs: list[Free]) -> Free | None:
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
