"""How many jobs a channel has: which are started, which are told to stop."""

from __future__ import annotations

import math

from jobctl.schedule.hosts import HostQueue
from jobctl.schedule.jobs import Job, Starting
from jobctl.schedule.memory import Memory
from jobctl.schedule.plan import StartJob
from jobctl.schedule.pools import Pools
from jobctl.schedule.queues import ChannelQueue
from jobctl.schedule.runs import Run
from jobctl.schedule.timers import Timers

# Seconds that a job without work stays: starting one costs 300 ms of processor time, an idle one only
# memory, and after a minute without mail the next message does not mind.
LINGER = 60.0
# A job bound to one host keeps others from its slot: long enough for a reply to bring the next message.
BOUND_LINGER = 2.0
# Messages after which a bound job makes place when other hosts wait for a slot.
BOUND_TURN = 100
# A backlog must have stood for so long (seconds) before a job is joined by others: the one that has just
# come may well be equal to it, and each further process costs more than a burst does.
PATIENCE = 1.0
# A start of which nothing is heard for so long is forgotten: connecting may try many addresses.
START_TIMEOUT = 600.0


class Staffing:
    """
    Starts and stops jobs as the backlog wants it and the limits allow.

    :ivar checks: When a channel's jobs are to be looked at again (steady seconds).
    """

    def __init__(self, memory: Memory, pools: Pools) -> None:
        self._memory = memory
        self._pools = pools
        self.checks: Timers[ChannelQueue] = Timers()

    def rouse(self) -> None:
        """
        Find out about which channels there is something to decide, and forget the others.

        In those it is noted at most since when a job has been idle: most verdicts find nothing
        that waits, and a decision costs more than they do.
        """
        memory = self._memory
        for channel, sure in list(memory.dirty.items()):
            if sure:
                continue
            waits = channel.ready or channel.alone or (channel.trials and channel.on_trial)
            if waits or memory.runs or self._pools.contended(channel) or self._rest(channel, memory.steady):
                memory.dirty[channel] = True
            else:
                del memory.dirty[channel]

    def _rest(self, channel: ChannelQueue, steady: float) -> bool:
        """Nothing waits: jobs that hold nothing are idle from now on; whether there is one of a run."""
        check = math.inf
        for job in channel.jobs.values():
            if job.run is not None:
                return True
            if job.stopping:
                continue
            end = job.started + channel.settings.max_life_time
            if not job.held:
                if job.idle is None:
                    job.idle = steady
                end = min(end, job.idle + _linger(job))
            if end < check:
                check = end
        self._look_at(channel, check, steady)
        return False

    def _look_at(self, channel: ChannelQueue, check: float, steady: float) -> None:
        """Look at the channel again at this time, or when a start or the backlog has stood for long enough."""
        if channel.starting:
            check = min(check, min(start.since for start in channel.starting) + START_TIMEOUT)
        if channel.behind is not None and channel.behind + PATIENCE > steady:
            check = min(check, channel.behind + PATIENCE)
        if check < math.inf:
            self.checks.set(channel, check)
        else:
            self.checks.clear(channel)

    def stops(self, channel: ChannelQueue, steady: float, out: list[str]) -> None:
        """Tell jobs to stop that have lived long enough, are not needed, or must make place."""
        if channel.starting:
            for start in [start for start in channel.starting if start.since + START_TIMEOUT <= steady]:
                self.heard(channel, start.host, start.run)
        jobs = [job for job in channel.jobs.values() if not job.stopping]
        free = self._pools.free(channel)
        surplus = 0
        if free < 0 or self._pools.contended(channel):
            surplus = self._surplus(channel, jobs, free)
        if surplus > 0:
            jobs.sort(key=lambda job: len(job.held))
        check = math.inf
        hosts_wait = channel.bound and bool(jobs) and free <= 0 and channel.unserved() is not None
        for job in jobs:
            run = job.run is not None
            end = self._run_end(job, steady) if run else self._end(channel, job, steady, hosts_wait)
            if end <= steady or (surplus > 0 and not run):
                surplus -= not run
                out.append(job.id)
                job.stop()
            elif end < check:
                check = end
        self._look_at(channel, check, steady)

    def _surplus(self, channel: ChannelQueue, jobs: list[Job], free: int) -> int:
        """Jobs beyond the limits, or that another channel needs more."""
        surplus = -free
        if self._pools.must_yield(channel, self._memory.channels.values()):
            surplus = max(surplus, 1)
        if surplus <= 0:
            return 0
        leaving = sum(job.run is None and job.stopping for job in channel.jobs.values())
        return min(surplus - leaving, sum(job.run is None for job in jobs))

    def _end(self, channel: ChannelQueue, job: Job, steady: float, hosts_wait: bool) -> float:
        """When a job is to be stopped, as things are (steady seconds)."""
        settings = channel.settings
        if channel.stopped or job.handed >= settings.max_life_askwork:
            return -math.inf
        end = job.started + settings.max_life_time
        if hosts_wait and job.handed >= BOUND_TURN:
            return -math.inf
        if job.held:
            job.idle = None
            return end
        if job.idle is None:
            job.idle = steady
        linger = _linger(job)
        unneeded = job.credit > 0 and (
            not channel.ready if job.host is None else not self._has_work(channel, job)
        )
        if unneeded and (hosts_wait or self._pools.others_wait(channel)):
            linger = 0.0
        return min(end, job.idle + linger)

    def _has_work(self, channel: ChannelQueue, job: Job) -> bool:
        host = channel.hosts.get(job.host or "")
        return host is not None and host.ready > 0 and not host.blocked

    def _run_end(self, job: Job, steady: float) -> float:
        """The same for an operator's run: when its host has no more, or it never asks for work."""
        if job.held:
            job.idle = None
            return math.inf
        if job.idle is None:
            job.idle = steady
        run = self._memory.runs.get(job.run or "")
        if job.host is not None and (run is None or not run.has(job.host)):
            return -math.inf
        return math.inf if job.credit > 0 else job.idle + LINGER

    def heard(self, channel: ChannelQueue, host: str | None, run: str | None) -> bool:
        """A job that was being started runs, or will not; ``False``: none was."""
        start = channel.took(host, run)
        if start is not None and run is None:
            self.gave_up_slot(channel, host)
        return start is not None

    def gave_up_slot(self, channel: ChannelQueue, host: str | None) -> None:
        """A slot is free, those who wait for it decide first; ``host`` has a job less."""
        if host is not None:
            channel.free_host(host)
        for waiting in self._pools.give(channel):
            self._memory.dirty[waiting] = True
        self._memory.dirty.setdefault(channel, False)

    # Starts.

    def starts(self, channel: ChannelQueue, now: float, steady: float, out: list[StartJob]) -> None:
        """Start what the backlog wants."""
        if channel.bound and channel.trials:
            # Hosts that were dead when last heard of leave half of the slots to the others.
            channel.probe(max(self._pools.limit(channel) // 2, 1))
        if (
            channel.stopped
            or not channel.runnable
            or not (channel.ready or channel.alone or (channel.trials and channel.on_trial))
        ):
            self._pools.served(channel)
            return
        if channel.throttle.until > now:
            self._memory.wall.set(channel, channel.throttle.until)
            return
        free = self._pools.free(channel)
        wanted = self._start_bound if channel.bound else self._start_any
        if wanted(channel, free, steady, out) and free <= 0:
            if self._pools.wait(channel):
                # Whoever can spare a job in the pool hears of it.
                for other in self._memory.channels.values():
                    if other.jobs and other.settings.pool == channel.settings.pool:
                        self._memory.dirty[other] = True
        else:
            self._pools.served(channel)

    def _start_any(self, channel: ChannelQueue, free: int, steady: float, out: list[StartJob]) -> bool:
        """Jobs for any host, at most doubling their number at a time; whether another is wanted."""
        jobs = [
            job for job in channel.jobs.values() if job.run is None and job.host is None and not job.stopping
        ]
        starting = sum(start.run is None for start in channel.starting)
        connections = sum(job.connections - job.busy(channel.depth) for job in jobs)
        connections += starting * channel.connections
        # A host to be probed wants one connection while nobody has any.
        demand = max(channel.wanted, int(channel.on_trial and not jobs)) + bool(channel.alone)
        if demand <= connections:
            channel.behind = None
            return False
        if jobs or starting:
            if channel.behind is None:
                channel.behind = steady
            if steady < channel.behind + PATIENCE:
                return False
            demand = self._wanted(channel, connections + (starting + len(jobs)) * channel.connections)
            if demand <= connections:
                channel.behind = steady
                return False
        while demand > connections and starting < max(1, len(jobs)):
            if free <= 0:
                return True
            self._start(channel, None, steady, out)
            channel.behind = None
            starting += 1
            free -= 1
            connections += channel.connections
        return False

    def _wanted(self, channel: ChannelQueue, enough: int) -> int:
        """Connections that the hosts want and may have, counted no further than ``enough``."""
        wanted = int(bool(channel.alone))
        for host in channel.hosts.values():
            if host.ready and not host.blocked:
                wanted += host.wants()
                if wanted > enough:
                    break
        return wanted

    def _start_bound(self, channel: ChannelQueue, free: int, steady: float, out: list[StartJob]) -> bool:
        """One job per host, more where its backlog passes ``threaddepth``; whether another is wanted."""
        while (
            host := channel.unserved() or self._hard_pressed(channel) or self._suspect(channel)
        ) is not None:
            if free <= 0:
                return True
            host.jobs += 1
            self._start(channel, host.name, steady, out)
            free -= 1
        return False

    def _suspect(self, channel: ChannelQueue) -> HostQueue | None:
        """A host without a job that has something to be tried alone."""
        return next((item.host for item in channel.alone.values() if not item.host.jobs), None)

    def _hard_pressed(self, channel: ChannelQueue) -> HostQueue | None:
        """The host with the most mail for each of its jobs, if that is beyond ``threaddepth``."""
        serving = [channel.hosts.get(job.host or "") for job in channel.jobs.values()]
        serving += [channel.hosts.get(start.host or "") for start in channel.starting]
        pressed = [
            host
            for host in serving
            if host is not None
            and host.jobs
            and not host.failures
            and host.site.window > channel.depth * host.jobs
            and (channel.most_connections is None or host.jobs < channel.most_connections)
            and host.ready + host.active > channel.depth * host.jobs
        ]
        return max(pressed, key=lambda host: (host.ready + host.active) / host.jobs, default=None)

    def _start(self, channel: ChannelQueue, host: str | None, steady: float, out: list[StartJob]) -> None:
        channel.starting.append(Starting(host, None, steady))
        self._pools.take(channel)
        self.checks.set(channel, steady + START_TIMEOUT)
        out.append(StartJob(channel.name, host))

    def start_run(self, channel: ChannelQueue, run: Run, steady: float, out: list[StartJob]) -> None:
        """A job for an operator's run, one at a time: the dialogues are read by a person."""
        busy = any(start.run == run.name for start in channel.starting) or any(
            job.run == run.name for job in channel.jobs.values()
        )
        host = run.next_host()
        if run.starts and not busy and host is not None and channel.runnable:
            bound = host if channel.bound else None
            channel.starting.append(Starting(bound, run.name, steady))
            out.append(StartJob(channel.name, bound, run.name))


def _linger(job: Job) -> float:
    return LINGER if job.host is None else BOUND_LINGER
