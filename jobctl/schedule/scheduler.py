"""The schedule: what is tried when, and by which job."""

from __future__ import annotations

import random as _random
from collections.abc import Iterator

from jobctl.config.settings import Settings
from jobctl.mail.entry import QueueEntry
from jobctl.mail.envelope import Priority
from jobctl.schedule.handout import HandOut
from jobctl.schedule.hosts import CLASSES, FIRST_CLASS
from jobctl.schedule.jobs import Job
from jobctl.schedule.looks import Looks
from jobctl.schedule.memory import Memory
from jobctl.schedule.outlook import Outlook
from jobctl.schedule.plan import Counts, HostBackoff, LoadRequest, Plan, StartJob
from jobctl.schedule.pools import Pools
from jobctl.schedule.queues import ChannelQueue, gone
from jobctl.schedule.reachability import Reachability
from jobctl.schedule.run_queue import RunQueue
from jobctl.schedule.staffing import Staffing
from jobctl.schedule.steady import SteadyClock
from jobctl.schedule.tracked import ACTIVE, DELAYED, EXPIRED, READY, Item
from jobctl.schedule.window import Window


class Scheduler:
    """
    Decides; does nothing, and reads no clock.

    Call what happened, then :meth:`plan` and do what it says; again at
    :meth:`next_due`, and within a minute in any case, since the wall clock may
    be set.  All ``now`` are epoch seconds.  Ids that are not known are ignored
    everywhere: what is not in memory is in the store.

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
        self._looks = Looks(self._memory, self._window)
        self._clock = SteadyClock()
        self._jobs: dict[str, Job] = {}
        self._stop: list[str] = []
        self._now = 0.0
        for channel in settings.channels.values():
            queue = self._memory.channels[channel.name] = ChannelQueue(channel)
            self._memory.opened(queue)

    def reconfigure(self, settings: Settings, now: float) -> None:
        """
        Apply new settings at once.

        Jobs whose programs were started with other settings are told to stop
        and replaced; a channel that is gone keeps its queue and starts nothing.
        """
        memory = self._memory
        for name in {*memory.channels, *settings.channels}:
            channel = memory.channel(name)
            new = settings.channels.get(name) or gone(channel.settings)
            if channel.configure(new):
                self._stop += [
                    job.id for job in channel.jobs.values() if not job.stopping and job.run is None
                ]
                for job in channel.jobs.values():
                    if job.run is None:
                        job.stop()
            memory.dirty[channel] = None
        self._pools.configure(settings.pools, memory.channels.values())
        self._window.limit(settings.controller.max_cache_messages)
        memory.lifetimes_changed(now)

    # The queue.

    def add(self, entry: QueueEntry, now: float) -> bool:
        """
        An entry was queued, and the store has it.

        :return: Whether it is kept in memory; else it is left to the store, to be read later.
        """
        self._window.added(entry.id)
        known = self._memory.items.get(entry.id)
        if known is not None:
            known.removed = False
            return True
        return self._enter(entry, now, entry.priority == Priority.URGENT) is not None

    def _enter(self, entry: QueueEntry, now: float, first: bool) -> Item | None:
        channel = self._memory.channel(entry.channel)
        host = channel.host(entry.host)
        if not self._window.admit(host, entry.due, now, first):
            channel.forget_if_idle(host)
            return None
        item = self._memory.enter(entry)
        self._memory.place(item, entry.due, now)
        return item

    def deferred(
        self, id: str, due: float, attempts: int | None, now: float, warned: float | None = None
    ) -> None:
        """
        An active entry goes back.

        :param attempts: Counted attempts as the store has them now, with ``due``; ``None``: nothing
            was recorded, the store has what it had.
        :param warned: The age of which its sender was told meanwhile.
        """
        item = self._memory.items.get(id)
        if item is None or item.state not in (ACTIVE, EXPIRED):
            return
        if item.removed:
            self._forget(item)
            return
        self._memory.detach(item)
        if warned is not None:
            item.entry.warned = warned
        if attempts is not None:
            item.entry.attempts = attempts
            item.entry.due = due
            if not self._window.keeps(item):
                self._forget(item)
                return
        self._memory.place(item, due, now)

    def settled(self, id: str, now: float) -> None:
        """An entry has left the queue, or is held."""
        item = self._memory.items.get(id)
        if item is not None:
            self._forget(item)

    def _forget(self, item: Item) -> None:
        self._window.left(item.entry.id)
        self._memory.forget(item)

    def remove(self, id: str) -> QueueEntry | None:
        """
        An operator takes an entry away: it is deleted, held or moved next.

        Works in every state; an active one is forgotten when it settles.  To undo it, add it again.
        """
        self._window.removed(id)
        item = self._memory.items.get(id)
        if item is None:
            return None
        if item.state == ACTIVE:
            item.removed = True
        else:
            self._forget(item)
        return item.entry

    def promote(self, id: str, now: float, entry: QueueEntry | None = None) -> bool:
        """
        An entry goes ahead of all others, at once.

        :param entry: The entry, in case it was left to the store.
        :return: ``False``: it is not in memory, or a job has it.
        """
        item = self._memory.items.get(id)
        if item is None and entry is not None and self._window.fresh(id):
            item = self._enter(entry, now, first=True)
        if item is None or item.state not in (READY, DELAYED):
            return False
        fresh = self._memory.again(item)
        self._memory.make_ready(fresh, FIRST_CLASS, self._memory.next_said(fresh))
        return True

    def claim(self, channel: str, host: str, count: int) -> list[str]:
        """
        Take ready entries of a host, backed off or not, of which something was learnt without a job.

        :return: At most ``count`` ids; they stay with the caller until ``settled`` or ``deferred``.
        """
        queue = self._memory.channels.get(channel)
        known = queue.hosts.get(host) if queue is not None else None
        ids: list[str] = []
        while known is not None and len(ids) < count and known.head_class() != CLASSES:
            item = known.pop()
            item.state = EXPIRED
            ids.append(item.entry.id)
        if known is not None:
            known.lapse_if_spent()
        return ids

    def retry_now(self, channel: str, now: float) -> None:
        """What is delayed in memory is due now; backoff of hosts and starts is forgotten."""
        memory = self._memory
        queue = memory.channel(channel)
        for item in [item for item in memory.items.values() if item.host.channel is queue]:
            if item.state == DELAYED:
                memory.place(memory.again(item), now, now)
        for host in list(queue.hosts.values()):
            self._reach.answered(host)
        queue.throttle.worked()
        memory.dirty[queue] = None

    # Jobs.

    def job_started(
        self, job: str, channel: str, host: str | None, connections: int, now: float, run: str | None = None
    ) -> None:
        """A program has said hello."""
        queue = self._memory.channel(channel)
        self._staffing.heard(queue, host, run)
        queue.greeted(connections)
        queue.jobs[job] = self._jobs[job] = Job(job, channel, host, connections, run, self._clock.time)
        if run is None:
            self._pools.take(queue)
            if host is not None:
                queue.host(host).jobs += 1
        self._memory.dirty[queue] = None

    def grant(self, job: str, n: int) -> None:
        """A job can take ``n`` messages more."""
        known = self._jobs.get(job)
        if known is not None and not known.stopping:
            known.credit += max(n, 0)
            self._memory.dirty[self._memory.channels[known.channel]] = None

    def job_stopping(self, job: str) -> None:
        """A job was told to stop by somebody else: nothing more is handed to it."""
        known = self._jobs.get(job)
        if known is not None:
            known.stop()

    def job_ended(
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
        known = self._jobs.pop(job, None)
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
            self._memory.dirty[queue] = None
            return held
        self._staffing.gave_up_slot(queue, known.host)
        if worked:
            queue.throttle.worked()
        elif not known.stopping:
            queue.throttle.failed(now)
        return held

    def _ended_unheard(self, queue: ChannelQueue, run: str | None, now: float) -> None:
        if run is not None:
            self.end_run(run, now)
        else:
            queue.throttle.failed(now)

    def start_failed(self, channel: str, host: str | None, now: float, run: str | None = None) -> None:
        """A job could not be started: its one host not connected to, or (``host`` ``None``) no program."""
        queue = self._memory.channel(channel)
        heard = self._staffing.heard(queue, host, run)
        if run is None and not heard:
            starting = [start for start in queue.starting if start.host == host and start.run is not None]
            if starting:
                run = starting[0].run
                queue.took(host, run)
        if run is not None:
            self._runs.give_up(run, host, now)
        elif host:
            self.host_failed(channel, host, now)
            queue.throttle.unreachable(now)
        else:
            queue.throttle.failed(now)
        self._memory.dirty[queue] = None

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
        if known is None:
            return False
        known.answered()
        return self._reach.answered(known)

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
        self._memory.dirty[queue] = None

    def start(self, channel: str, now: float) -> None:
        """A channel goes on, at once."""
        queue = self._memory.channel(channel)
        queue.stopped = False
        queue.throttle.worked()
        for host in queue.hosts.values():
            self._window.freed(host)
        self._memory.dirty[queue] = None

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

    # Decisions.

    def plan(self, now: float, monotonic: float | None = None) -> Plan:
        """
        What to do now; each thing is said once, but for ``load``, which is repeated until answered.

        :param monotonic: Seconds of a clock that does not jump, for how long jobs live and idle; without
            it the wall clock is used with care.
        """
        memory = self._memory
        back = self._clock.read(now, monotonic)
        if back:
            memory.shift(-back)
        self._now = now
        memory.wake(now)
        handouts: list[tuple[str, list[str]]] = []
        starts: list[StartJob] = []
        stops, self._stop = self._stop, []
        steady = memory.steady = self._clock.time
        for channel in self._staffing.checks.due(steady):
            memory.dirty[channel] = None
        # A channel may make others think again (a slot that it wants): bounded, the rest is next.
        for _ in range(3):
            if not memory.dirty:
                break
            channels, memory.dirty = memory.dirty, {}
            for channel in sorted(channels, key=lambda one: one.slots > 0):
                self._handout.serve(channel, now, handouts)
                self._staffing.starts(channel, now, steady, starts)
                self._staffing.stops(channel, steady, stops)
        for run in memory.runs.values():
            self._staffing.start_run(memory.channel(run.channel), run, steady, starts)
        expired, memory.expired = memory.expired, []
        warn, memory.warn = memory.warn, []
        return Plan(
            handouts,
            starts,
            [id for id in expired if self._apart(id)],
            self._load(now),
            stops,
            [pair for pair in warn if self._apart(pair[0])],
        )

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
        if memory.dirty or memory.expired or memory.warn or self._stop:
            return self._now
        check = self._staffing.checks.next()
        times = [
            memory.next_due(),
            self._window.next_due(self._now),
            None if check is None else self._now + check - self._clock.time,
        ]
        return min((at for at in times if at is not None), default=None)

    # Loading.

    def _load(self, now: float) -> LoadRequest | None:
        if self._window.asked is None and (request := self._runs.request()) is not None:
            self._window.ask(request)
        return self._window.request(now)

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

    # Looking.

    def entries(self) -> Iterator[QueueEntry]:
        """Every entry in memory."""
        return self._looks.entries()

    def counts(self, channel: str) -> Counts:
        """Of what is in memory."""
        return self._looks.counts(channel)

    def totals(self, channel: str, queued: int, due_later: int, due_of_blocked: int) -> Counts:
        """As :meth:`counts`, with what is in the store alone: :meth:`jobctl.schedule.looks.Looks.totals`."""
        return self._looks.totals(channel, queued, due_later, due_of_blocked)

    def blocked(self) -> list[tuple[str, str]]:
        """(Channel, host) pairs that :meth:`totals` must know of."""
        return self._looks.blocked()

    def hosts(self, channel: str) -> list[tuple[str, int, int, int, float | None]]:
        """Host, active, ready, delayed, until when it is backed off (``None``: it is not)."""
        return self._looks.hosts(channel)

    def state(self, id: str, now: float) -> str | None:
        """``ready``, ``active`` or ``delayed`` (also by its host's backoff); ``None``: not in memory."""
        return self._looks.state(id, now)

    def outlook(self, entry: QueueEntry, now: float) -> Outlook:
        """State and next attempt of any entry that is not held, in memory or not."""
        return self._looks.outlook(entry, now)

    def job_of(self, id: str) -> str | None:
        """Which job has an entry."""
        return self._looks.job_of(id)
