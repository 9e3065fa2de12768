"""The schedule: what is tried when, and by which job."""

from __future__ import annotations

import random as _random
from collections.abc import Iterator

from jobctl.config.settings import Settings
from jobctl.mail.entry import QueueEntry
from jobctl.schedule.calls import Calls
from jobctl.schedule.comparison import Comparison
from jobctl.schedule.entries import Entries
from jobctl.schedule.handout import HandOut
from jobctl.schedule.looks import Looks
from jobctl.schedule.memory import Memory
from jobctl.schedule.plan import HostBackoff, LoadRequest, Plan, StartJob
from jobctl.schedule.pools import Pools
from jobctl.schedule.queues import ChannelQueue, gone
from jobctl.schedule.reachability import Reachability
from jobctl.schedule.roster import Roster
from jobctl.schedule.run_queue import RunQueue
from jobctl.schedule.staffing import Staffing
from jobctl.schedule.steady import SteadyClock
from jobctl.schedule.tracked import EXPIRED
from jobctl.schedule.walk import walk
from jobctl.schedule.window import Window

# Seconds after a start, or after the clock leapt ahead (it was set, or the machine was asleep), in which
# what grew old meanwhile neither expires nor is warned of; after a start not longer than it takes to try it.
PATIENCE = 600.0
# Entries whose retry rules are looked for at a time: each is read from the store for it.
_JUDGED_AT_ONCE = 200


class Scheduler:
    """
    Decides; does nothing, and reads no clock.

    Call what happened, then :meth:`plan` and do what it says; again at
    :meth:`next_due`, and within a minute in any case, since the wall clock may
    be set.  All ``now`` are epoch seconds.  Ids that are not known are ignored
    everywhere: what is not in memory is in the store.  What is said of entries
    and jobs, and what people see, is documented where it is done:
    :class:`jobctl.schedule.entries.Entries`, :class:`jobctl.schedule.roster.Roster`,
    :class:`jobctl.schedule.blame.Blame`, :class:`jobctl.schedule.looks.Looks`.

    :param random: For the jitter of host backoff.
    """

    def __init__(self, settings: Settings, random: _random.Random) -> None:
        self._memory = Memory()
        self._window = Window(self._memory, settings.controller.max_cache_messages)
        self._pools = Pools(settings.pools)
        self._staffing = Staffing(self._memory, self._pools)
        self._handout = HandOut(self._memory, self._pools)
        self._reach = Reachability(self._memory, self._window, random)
        self._runs = RunQueue(self._memory, self._window)
        self._looks = Looks(self._memory, self._window, self._pools)
        self._clock = SteadyClock()
        self._stop: list[str] = []
        self._now = 0.0
        self._memory.rules = settings.retry
        entries = Entries(self._memory, self._window, self._reach)
        self.add = entries.add
        self.deferred = entries.deferred
        self.ruled = entries.ruled
        self.judge_later = entries.judge_later
        self.postponed = entries.postponed
        self.adopt = entries.adopt
        self.settled = entries.settled
        self.remove = entries.remove
        self.promote = entries.promote
        self.claim = entries.claim
        self.hurry = entries.hurry
        self.retry_now = entries.retry_now
        self.calls = Calls(self._memory, self._window, self._reach)
        self._roster = roster = Roster(
            self._memory, self._pools, self._staffing, self._runs, self._reach, self._clock
        )
        self.job_started = roster.started
        self.grant = roster.grant
        self.job_stopping = roster.stopping
        self.job_ended = roster.ended
        self.start_failed = roster.start_failed
        self.died = self._memory.blame.died
        self.acquit = self._memory.blame.acquit
        self.compare = Comparison(self._memory, self._window).compare
        looks = self._looks
        self.entries = looks.entries
        self.counts = looks.counts
        self.totals = looks.totals
        self.blocked = looks.blocked
        self.hosts = looks.hosts
        self.insight = looks.insight
        self.state = looks.state
        self.attempt = looks.attempt
        self.outlook = looks.outlook
        self.job_of = looks.job_of
        self.fairness = looks.fairness
        self._memory.weights = settings.controller.share
        for channel in settings.channels.values():
            queue = ChannelQueue(channel, settings.retry, settings.controller.share)
            self._memory.channels[channel.name] = queue
            self._memory.opened(queue)

    @property
    def complete(self) -> bool:
        """Whether memory has the whole queue."""
        return self._window.complete

    def patient(self, now: float) -> bool:
        """Whether what is old must not be told of yet, since nobody knows what has been."""
        return now < self._memory.ages.patient

    def reconfigure(self, settings: Settings, now: float) -> None:
        """
        Apply new settings at once.

        Jobs whose programs were started with other settings are told to stop
        and replaced; a channel that is gone keeps its queue and starts nothing.
        """
        memory = self._memory
        memory.weights = settings.controller.share
        if settings.retry != memory.rules:
            memory.change_rules(settings.retry)
        for name in {*memory.channels, *settings.channels}:
            channel = memory.channel(name)
            new = settings.channels.get(name) or gone(channel.settings)
            if channel.configure(new, settings.retry):
                self._stop += [
                    job.id for job in channel.jobs.values() if not job.stopping and job.run is None
                ]
                for job in channel.jobs.values():
                    if job.run is None:
                        job.stop()
            channel.recipients = memory.recipients(channel) if channel.per_job else 0
            channel.shares.weigh(settings.controller.share)
            self._reach.reconsider(channel, now)
            memory.dirty[channel] = True
        self._pools.configure(settings.pools, memory.channels.values())
        self._window.limit(settings.controller.max_cache_messages)
        memory.lifetimes_changed(now)

    @property
    def suspicious(self) -> bool:
        """Whether :meth:`acquit` has anything to do."""
        return bool(self._memory.blame.deaths)

    # Hosts.

    def host_failed(self, channel: str, host: str, now: float) -> HostBackoff:
        """
        A host could not be talked to.

        What was under way when it failed the first time counts with it.
        """
        return self._reach.failed(self._memory.channel(channel).host(host), now)

    def host_answered(self, channel: str, host: str, now: float) -> bool:
        """A host has answered; ``True``: it was backed off, and that is over."""
        queue = self._memory.channels.get(channel)
        known = queue.hosts.get(host) if queue is not None else None
        if queue is None or known is None:
            return False
        known.site.answered(queue.depth)
        return self._reach.answered(known)

    def host_at(self, channel: str, host: str, site: str) -> None:
        """Mail for a host goes to this site (``group_by_mx``): with others that do it counts as one."""
        queue = self._memory.channels.get(channel)
        known = queue.hosts.get(host) if queue is not None else None
        if queue is not None and known is not None and queue.settings.group_by_mx:
            queue.sites.told(known, site)

    def host_backoffs(self) -> list[tuple[str, str, int, float]]:
        """Channel, host, failures, until: what :meth:`restore_host` takes after a restart."""
        return self._reach.backoffs()

    def restore_host(self, channel: str, host: str, failures: int, until: float, now: float) -> None:
        """A host was backed off before a restart; one that is over by now still begins with a probe."""
        if failures > 0:
            self._reach.restore(self._memory.channel(channel).host(host), failures, until, now)

    # Channels.

    def stop(self, channel: str) -> None:
        """Nothing of a channel goes out; its jobs are told to stop.  An operator's runs go on."""
        queue = self._memory.channel(channel)
        queue.stopped = True
        self._window.relax()
        self._memory.dirty[queue] = True

    def start(self, channel: str, now: float) -> None:
        """A channel goes on, at once."""
        queue = self._memory.channel(channel)
        queue.stopped = False
        queue.throttle.worked()
        for host in queue.hosts.values():
            self._window.freed(host)
        self._memory.dirty[queue] = True

    # Runs.

    def run(self, channel: str, run: str, now: float, starts: bool = True) -> None:
        """
        Offer everything that is queued to a channel once, to jobs of this run only.

        Backoff, stop and limits are ignored; what is deferred goes back to the schedule.

        :param starts: Whether jobs are to be started; else one has come by itself.
        """
        self._runs.begin(channel, run, now, starts)

    def run_done(self, run: str) -> bool:
        """Whether all has been offered and come back; it is forgotten then."""
        return self._runs.done(run)

    def end_run(self, run: str, now: float) -> None:
        """Offer no more of a run; what was not offered goes back to the schedule."""
        self._runs.give_up(run, None, now)

    def walk(self, now: float) -> Iterator[str]:
        """All that is in memory, in lines of text."""
        return walk(self._memory, self._window, self._pools, now)

    # Decisions.

    def plan(self, now: float, monotonic: float | None = None) -> Plan:
        """
        What to do now; each thing is said once, but for ``load``, which is repeated until answered.

        :param monotonic: Seconds of a clock that does not jump, for how long jobs live and idle; without
            it the wall clock is used with care, and a leap cannot be told from time that passed.
        """
        memory = self._memory
        start = not self._clock.begun
        back = self._clock.read(now, monotonic)
        if back:
            memory.shift(-back)
        if self._clock.leapt:
            memory.ages.woke, memory.ages.patient = now, now + PATIENCE
            # A clock that was set may be set right again.
            memory.ages.once = start
        self._now = now
        memory.wake(now)
        handouts: list[tuple[str, list[str]]] = []
        starts: list[StartJob] = []
        stops, self._stop = self._stop, []
        steady = memory.steady = self._clock.time
        for channel in self._staffing.checks.due(steady):
            memory.dirty[channel] = True
        for channel in memory.paces.due(steady):
            memory.dirty[channel] = True
        if memory.dirty:
            self._staffing.rouse()
        # A channel may make others think again (a slot that it wants): bounded, the rest is next.
        for _ in range(3):
            if not memory.dirty:
                break
            channels, memory.dirty = memory.dirty, {}
            # Who has no job first.
            for channel in sorted(channels, key=_slots) if len(channels) > 1 else channels:
                self._handout.serve(channel, now, handouts)
                self._staffing.starts(channel, now, steady, starts)
                self._staffing.stops(channel, steady, stops)
        for run in memory.runs.values():
            self._staffing.start_run(memory.channel(run.channel), run, steady, starts)
        ages = memory.ages
        expired, ages.expired = ages.expired, []
        warn, ages.warn = ages.warn, []
        load = self._load(now)
        return Plan(
            _merged(handouts) if len(handouts) > 1 else handouts,
            starts,
            [id for id in expired if self._apart(id)] if expired else expired,
            load,
            stops,
            [pair for pair in warn if self._apart(pair[0])] if warn else warn,
            self._to_judge() if memory.judge else [],
            self._window.postponed(),
        )

    def _to_judge(self) -> list[str]:
        judge = self._memory.judge
        ids = [id for id, _ in zip(list(judge), range(_JUDGED_AT_ONCE), strict=False)]
        for id in ids:
            del judge[id]
        return [id for id in ids if id in self._memory.items]

    def _apart(self, id: str) -> bool:
        """Whether an entry that was given out is still there."""
        item = self._memory.items.get(id)
        return item is not None and item.state == EXPIRED

    def next_due(self) -> float | None:
        """
        When :meth:`plan` could say something new although nothing happened; ``None``: never.

        Due work without a slot or without credit is not counted: who frees a slot calls.
        """
        memory = self._memory
        if memory.dirty:
            self._staffing.rouse()
        waiting = (
            memory.dirty or memory.ages.expired or memory.ages.warn or memory.judge or self._window.postpones
        )
        if waiting or self._stop:
            return self._now
        due = memory.next_due()
        at = self._window.next_due(self._now)
        if at is not None and (due is None or at < due):
            due = at
        for timers in (self._staffing.checks, memory.paces):
            if (at := timers.next()) is not None:
                at = self._now + at - self._clock.time
                if due is None or at < due:
                    due = at
        return due

    # Loading.

    def _load(self, now: float) -> LoadRequest | None:
        window, memory = self._window, self._memory
        if window.asked is None and memory.runs and (request := self._runs.request()) is not None:
            window.ask(request)
        return window.request(now)

    def loaded(self, request: LoadRequest, entries: list[QueueEntry], now: float) -> None:
        """
        What the store had.

        :param entries: In order of (due, id); fewer than ``request.limit``: there are no more.
        """
        if not self._window.answered(request):
            return
        if request.run is None:
            self._window.loaded(request, entries, now)
        else:
            self._runs.loaded(request, entries)


def _slots(channel: ChannelQueue) -> bool:
    return channel.slots > 0


def _merged(handouts: list[tuple[str, list[str]]]) -> list[tuple[str, list[str]]]:
    """The same, each job once."""
    merged: dict[str, list[str]] = {}
    for job, ids in handouts:
        merged.setdefault(job, []).extend(ids)
    return list(merged.items())
