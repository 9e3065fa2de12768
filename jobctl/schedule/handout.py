"""Which job gets which entries: class first, then the share, then the host, then age."""

from __future__ import annotations

from jobctl.schedule.expiry import expires_at, is_late
from jobctl.schedule.hosts import HostQueue
from jobctl.schedule.jobs import Job
from jobctl.schedule.memory import Memory
from jobctl.schedule.pools import Pools
from jobctl.schedule.queues import ChannelQueue
from jobctl.schedule.runs import Run
from jobctl.schedule.shares import Lane, cost
from jobctl.schedule.tracked import ACTIVE, Item
from jobctl.schedule.turns import Decision, Free

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
        steady = self._memory.steady
        if channel.per_job:
            channel.weigh()
        channel.shares.look(steady)
        on_trial = bool(channel.trials) and channel.on_trial
        if not (channel.ready or on_trial or channel.alone or self._memory.runs):
            # Jobs are measured again when there is something to be handed out.
            return
        if channel.alone and not channel.stopped:
            self._serve_alone(channel, now, out)
        free: list[Free] = []
        others = channel.runnable and self._pools.free(channel) > 0
        for job in channel.jobs.values():
            if job.credit > 0:
                job.measure(steady)
                job.alone = job.alone and bool(job.held or channel.alone)
                if job.run is not None:
                    self._serve_run(channel, job, now, out)
                elif channel.stopped or job.alone or (room := job.room(channel.depth, others)) <= 0:
                    continue
                elif job.host is None:
                    depth = channel.depth
                    free.append(Free(job, room, job.spare(depth), job.places(depth, steady)))
                else:
                    self._serve_bound(channel, job, room, now, out)
        if free and (channel.ready or on_trial):
            self._share(channel, free, now, out)

    def _share(self, channel: ChannelQueue, jobs: list[Free], now: float, out: Handouts) -> None:
        if channel.trials and channel.on_trial:
            # Probes of dead hosts take half of what there is at most, and one goes always.
            connections = sum(job.connections for job in channel.jobs.values() if job.run is None)
            channel.probe(max(min(sum(free.room for free in jobs), connections) // 2, 1))

        def take(lane: Lane, job: Job, cls: int, count: int) -> tuple[int, int]:
            return self._take(lane, job, cls, count, now, out)

        Decision(channel, jobs, take, self._memory.steady, self.pace).make()

    def pace(self, host: HostQueue) -> None:
        """Look again when a host may get more by its rate."""
        channel = host.channel
        assert channel.rate is not None
        at, known = host.site.next_at(channel.rate), self._memory.paces.of(channel)
        if known is None or at < known:
            self._memory.paces.set(channel, at)

    def _serve_bound(self, channel: ChannelQueue, job: Job, room: int, now: float, out: Handouts) -> None:
        host = channel.hosts.get(job.host or "")
        while host is not None and room > 0 and not host.blocked and (lane := host.next_lane()) is not None:
            most = room if len(host.lanes) == 1 else min(room, channel.turn)
            if channel.rate is not None:
                most = min(most, host.site.may_send(channel.rate, self._memory.steady))
                if most <= 0:
                    self.pace(host)
                    break
            given, units = self._take(lane, job, lane.head_class(), 1 if host.failures else most, now, out)
            lane.served += units / lane.share.weight
            room -= given

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
            said = self._memory.ages.next_said(item)
            if said <= now and self._memory.ages.speak(item, said, now):
                job.alone = False
            else:
                self._hold(host, job, [item], out)

    def _take(self, lane: Lane, job: Job, cls: int, count: int, now: float, out: Handouts) -> tuple[int, int]:
        """
        Hand over at most ``count`` entries of this class; what has expired goes another way.

        :return: How many, and what they cost their share.
        """
        host = lane.host
        items: list[Item] = []
        lives = host.channel.lives
        tally = lane.share.tally(host.channel.shares.period)
        units = 0
        while count and lane.head_class() == cls:
            item = host.pop(lane)
            entry = item.entry
            if expires_at(lives[entry.rule][entry.priority], entry) <= now and self._memory.ages.over(
                item, now
            ):
                self._memory.ages.expire(item)
                continue
            count -= 1
            units += cost(item)
            if now - item.due > tally.longest:
                tally.longest = now - item.due
            items.append(item)
        if items:
            tally.messages += len(items)
            tally.units += units
            self._hold(host, job, items, out)
            if host.probing:
                host.block()
        else:
            host.lapse_if_spent()
        return len(items), units

    def _serve_run(self, channel: ChannelQueue, job: Job, now: float, out: Handouts) -> None:
        run: Run | None = self._memory.runs.get(job.run or "")
        places = job.places(channel.depth, self._memory.steady)
        while run is not None and job.credit > 0 and (name := job.host or run.next_host()) is not None:
            host = channel.host(name)
            if host not in job.stays:
                places -= 1
            items: list[Item] = run.take(name, job.credit) if places >= 0 else []
            if not items:
                break
            items = [item for item in items if not self._comes_back(item, now)]
            if items:
                self._hold(host, job, items, out)
                run.active += len(items)

    def _comes_back(self, item: Item, now: float) -> bool:
        """Whether its sender wants it back by now: an operator's run does not change that."""
        entry = item.entry
        if not (entry.returns and is_late(entry, now)):
            return False
        item.run = None
        self._memory.ages.expire(item)
        return True

    def _hold(self, host: HostQueue, job: Job, items: list[Item], out: Handouts) -> None:
        """Entries of a host are the job's now."""
        held = job.held
        shares = host.channel.shares
        for item in items:
            entry = item.entry
            share = shares.of(entry.share)
            entry.share = share.name
            share.active += 1
            item.state = ACTIVE
            item.job = job
            held[entry.id] = item
        channel, count = host.channel, len(items)
        host.active += count
        channel.active += count
        host.site.took(host, count)
        if channel.rate is not None:
            host.site.sent(channel.rate, count, self._memory.steady)
        job.took(host, count, self._memory.steady)
        out.append((job.id, [item.entry.id for item in items]))
