"""Which job gets which entries: class first, then round robin between hosts, then age."""

from __future__ import annotations

from jobctl.schedule.hosts import CLASSES, HostQueue
from jobctl.schedule.jobs import Job
from jobctl.schedule.memory import Memory
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
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def serve(self, channel: ChannelQueue, now: float, out: Handouts) -> None:
        """Hand out what the channel's jobs have credit for."""
        free: list[Job] = []
        for job in channel.jobs.values():
            if job.credit > 0:
                if job.run is not None:
                    self._serve_run(job, now, out)
                elif channel.stopped:
                    continue
                elif job.host is None:
                    free.append(job)
                else:
                    self._serve_bound(channel, job, now, out)
        if free and (channel.ready or channel.trials):
            self._share(channel, free, now, out)

    def _share(self, channel: ChannelQueue, jobs: list[Job], now: float, out: Handouts) -> None:
        credit = sum(job.credit for job in jobs)
        # Probes of dead hosts take half of what there is at most, and one goes always.
        channel.probe(max(credit // 2, 1))
        for cls in range(CLASSES):
            rotation = channel.rotations[cls]
            passed = 0
            while credit > 0 and (host := channel.next_host(cls, passed)) is not None:
                room = self._room(host, credit)
                if room <= 0:
                    rotation.rotate(-1)
                    passed += 1
                    continue
                job = _choose(host, jobs)
                turn = host.turn or channel.turn
                given = self._take(host, job, cls, min(room, turn, job.credit), now, out)
                credit -= given
                host.turn = turn - given
                if host.turn <= 0 or not given:
                    host.turn = 0
                    rotation.rotate(-1)
                if not job.credit:
                    jobs.remove(job)

    def _room(self, host: HostQueue, credit: int) -> int:
        if host.failures:
            return 1
        # A program with one connection waits for a slow host whatever else it holds.
        if not host.name or host.channel.connections == 1:
            return credit
        return max((SHARE * credit - host.active) // (SHARE + 1), 0 if host.active else 1)

    def _serve_bound(self, channel: ChannelQueue, job: Job, now: float, out: Handouts) -> None:
        host = channel.hosts.get(job.host or "")
        while host is not None and job.credit > 0 and not host.blocked:
            cls = host.head_class()
            if cls == CLASSES:
                break
            self._take(host, job, cls, 1 if host.failures else job.credit, now, out)

    def _take(self, host: HostQueue, job: Job, cls: int, count: int, now: float, out: Handouts) -> int:
        """Hand over at most ``count`` entries of this class; what has expired goes another way."""
        ids: list[str] = []
        lives = host.channel.lives
        held = job.held
        while count and host.head_class() == cls:
            item = host.pop()
            entry = item.entry
            if entry.enqueued + lives[entry.priority] <= now:
                self._memory.expire(item)
                continue
            count -= 1
            item.state = ACTIVE
            item.job = job
            held[entry.id] = item
            ids.append(entry.id)
        _count(host, job, len(ids))
        if ids:
            out.append((job.id, ids))
            if host.probing:
                host.block()
        else:
            host.lapse_if_spent()
        return len(ids)

    def _serve_run(self, job: Job, now: float, out: Handouts) -> None:
        run: Run | None = self._memory.runs.get(job.run or "")
        if run is None:
            return
        items: list[Item] = run.take(job.host, job.credit)
        for item in items:
            item.state = ACTIVE
            item.job = job
            job.held[item.entry.id] = item
            _count(item.host, job, 1)
        run.active += len(items)
        if items:
            out.append((job.id, [item.entry.id for item in items]))


def _count(host: HostQueue, job: Job, count: int) -> None:
    if count:
        host.active += count
        host.channel.active += count
        host.serving[job] = host.serving.get(job, 0) + count
        job.credit -= count
        job.handed += count
        job.idle = None


def _choose(host: HostQueue, jobs: list[Job]) -> Job:
    """A job that serves the host, else the one that can take most."""
    for job in host.serving:
        if job.credit > 0 and job in jobs:
            return job
    return max(jobs, key=lambda job: job.credit)
