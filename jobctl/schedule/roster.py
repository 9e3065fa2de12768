"""The jobs: they come, take work, end, or never come."""

from __future__ import annotations

from jobctl.schedule.jobs import Job
from jobctl.schedule.memory import Memory
from jobctl.schedule.pools import Pools
from jobctl.schedule.queues import ChannelQueue
from jobctl.schedule.reachability import Reachability
from jobctl.schedule.run_queue import RunQueue
from jobctl.schedule.staffing import Staffing
from jobctl.schedule.steady import SteadyClock


class Roster:
    """
    What callers say of jobs.

    :ivar jobs: Those that run, by id.
    """

    def __init__(
        self,
        memory: Memory,
        pools: Pools,
        staffing: Staffing,
        runs: RunQueue,
        reach: Reachability,
        clock: SteadyClock,
    ) -> None:
        self.jobs: dict[str, Job] = {}
        self._memory = memory
        self._pools = pools
        self._staffing = staffing
        self._runs = runs
        self._reach = reach
        self._clock = clock

    def started(
        self, job: str, channel: str, host: str | None, connections: int, now: float, run: str | None = None
    ) -> None:
        """A program has said hello."""
        queue = self._memory.channel(channel)
        self._staffing.heard(queue, host, run)
        queue.greeted(connections)
        queue.jobs[job] = self.jobs[job] = Job(job, channel, host, connections, run, self._clock.time)
        if run is None:
            self._pools.take(queue)
            if host is not None:
                queue.host(host).jobs += 1
        self._memory.dirty[queue] = True

    def grant(self, job: str, n: int) -> None:
        """A job can take ``n`` messages more."""
        known = self.jobs.get(job)
        if known is not None and not known.stopping:
            known.credit += max(n, 0)
            self._memory.dirty.setdefault(self._memory.channels[known.channel], False)

    def stopping(self, job: str) -> None:
        """A job was told to stop by somebody else: nothing more is handed to it."""
        known = self.jobs.get(job)
        if known is not None:
            known.stop()

    def ended(
        self,
        job: str,
        worked: bool,
        now: float,
        channel: str | None = None,
        host: str | None = None,
        run: str | None = None,
    ) -> list[str]:
        """
        A job is over.

        :param worked: Whether it gave any verdict.
        :param channel: With ``host`` and ``run``: of a job that may never have said hello.
        :return: What it still held; not yet back in the queue: settle each with :meth:`deferred`.
        """
        known = self.jobs.pop(job, None)
        if known is None:
            if channel is not None:
                queue = self._memory.channel(channel)
                self._staffing.heard(queue, host, run)
                self._ended_unheard(queue, run, now)
            return []
        queue = self._memory.channel(known.channel)
        del queue.jobs[job]
        held = list(known.held)
        known.gone()
        if known.run is not None:
            self._runs.job_ended(known, worked, now)
            self._memory.dirty[queue] = True
            return held
        self._staffing.gave_up_slot(queue, known.host)
        if worked:
            queue.throttle.worked()
        elif not known.stopping:
            queue.throttle.failed(now)
        return held

    def _ended_unheard(self, queue: ChannelQueue, run: str | None, now: float) -> None:
        if run is not None:
            self._runs.give_up(run, None, now)
        else:
            queue.throttle.failed(now)

    def start_failed(
        self, channel: str, host: str | None, now: float, run: str | None = None, unreachable: bool = False
    ) -> None:
        """
        A job could not be started: its one host, or the gateway, not connected to; or no program.

        :param host: Of a job that is for one host; always the reason then.
        :param unreachable: The gateway is the reason, not the program.
        """
        queue = self._memory.channel(channel)
        heard = self._staffing.heard(queue, host, run)
        if run is None and not heard:
            starting = [start for start in queue.starting if start.host == host and start.run is not None]
            if starting:
                run = starting[0].run
                queue.took(host, run)
        if run is not None:
            self._runs.give_up(run, host, now)
        elif host or unreachable:
            self._reach.failed(queue.host(host or ""), now)
            queue.throttle.unreachable(now)
        else:
            queue.throttle.failed(now)
        self._memory.dirty[queue] = True

    def died(self, ids: list[str]) -> bool:
        """
        A program died, neither told to stop nor on purpose.

        :param ids: What it may have been working on.
        :return: Whether that was one message: it killed it.  Of several none is blamed; those of two deaths
            are tried alone, so that the guilty one is found.
        """
        return self._memory.blame.died(ids)

    @property
    def suspicious(self) -> bool:
        """Whether :meth:`acquit` has anything to do."""
        return bool(self._memory.blame.deaths)

    def acquit(self, id: str) -> None:
        """A message has had a verdict."""
        self._memory.blame.acquit(id)
