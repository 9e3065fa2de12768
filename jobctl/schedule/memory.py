"""What the schedule has in memory: every entry in exactly one place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from heapq import heapify, heappop, heappush

from jobctl.config.settings import ChannelSettings, RetryRule
from jobctl.mail.entry import QueueEntry
from jobctl.schedule.ages import Ages
from jobctl.schedule.blame import Blame
from jobctl.schedule.hosts import HostQueue
from jobctl.schedule.queues import ChannelQueue
from jobctl.schedule.runs import Run
from jobctl.schedule.shares import CLASS_SHIFT, FIRST_CLASS
from jobctl.schedule.timers import Timers
from jobctl.schedule.tracked import ACTIVE, ALONE, DELAYED, GONE, READY, RUN, Item

# Waiting entries of a channel are looked through for old ones this often at most (seconds):
# nobody minds the minute after days, and a look costs time in proportion to the queue.
EXPIRY_ROUND = 60.0
# With so few in the channel they are looked at on time: it costs less than a message does.
FEW = 1000


class Memory:
    """
    The entries, and the moves between their places.

    :ivar dirty: Channels about which something may have to be decided; ``False``: only if mail waits, or
        somebody for a slot (:meth:`jobctl.schedule.staffing.Staffing.rouse`).
    :ivar ages: What is to be told of entries by their age, and what has been given out for it.
    :ivar rules: The retry rules in force; ``judge``: entries of which it is not known which applies.
    :ivar thin: Hosts of which the store may have more than memory and memory may want more.
    :ivar weights: Of shares, by name; 1 where there is none.
    :ivar blame: What is to be tried alone.
    :ivar steady: Seconds of a clock that does not jump, at the last decision.
    :ivar paces: When a site of a channel may get more by its rate (steady seconds).
    :ivar gates: When delivery windows open or close.
    :ivar wall: When hosts may be probed, throttles end and expiry is looked at (epoch seconds).
    """

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self.channels: dict[str, ChannelQueue] = {}
        self.runs: dict[str, Run] = {}
        self.dirty: dict[ChannelQueue, bool] = {}
        self.ages = Ages()
        self.rules: tuple[RetryRule, ...] = ()
        self.judge: dict[str, None] = {}
        self.thin: dict[HostQueue, None] = {}
        self.steady = 0.0
        self.blame = Blame()
        self.weights: Mapping[str, int] = {}
        self.wall: Timers[HostQueue | ChannelQueue | str] = Timers()
        self.paces: Timers[ChannelQueue] = Timers()
        self.gates: Timers[ChannelQueue] = Timers()
        # When to look, order, entry, due time: a warning or expiry may come first.
        self._delayed: list[tuple[float, int, Item, float]] = []
        self._garbage = 0
        self._serial = 0

    def channel(self, name: str) -> ChannelQueue:
        """Its queue; a channel that is not configured (any more) keeps its entries and starts nothing."""
        queue = self.channels.get(name)
        if queue is None:
            settings = ChannelSettings(name=name, official_host_name=name, local_host="")
            queue = ChannelQueue(settings, self.rules, self.weights)
            self.channels[name] = queue
        return queue

    def enter(self, entry: QueueEntry) -> Item:
        """An entry comes into memory; it must be placed then."""
        channel = self.channels.get(entry.channel) or self.channel(entry.channel)
        host = channel.hosts.get(entry.host) or channel.host(entry.host)
        # One text for all: each entry brings its own.
        entry.channel, entry.host = channel.name, host.name
        item = self.items[entry.id] = Item(entry, host)
        if self.rules and entry.rule < 0:
            self.judge[entry.id] = None
        host.size += 1
        channel.size += 1
        if channel.per_job:
            channel.recipients += entry.recipients
        return item

    def recipients(self, channel: ChannelQueue) -> int:
        """Of all messages of a channel, counted anew."""
        return sum(item.entry.recipients for item in self.items.values() if item.host.channel is channel)

    def forget(self, item: Item) -> None:
        """It leaves memory, from whatever place."""
        if item.state != GONE:
            self.detach(item)
        host = item.host
        del self.items[item.entry.id]
        if self.blame.deaths:
            self.blame.acquit(item.entry.id)
        host.size -= 1
        host.channel.size -= 1
        if host.channel.per_job:
            host.channel.recipients -= item.entry.recipients
        if host.cursor is not None:
            self.thin[host] = None
        elif not host.size:
            if host.lapsed:
                # Nobody is left to probe with; the next mail for it begins anew.
                host.recovered()
            host.channel.forget_if_idle(host)

    def again(self, item: Item) -> Item:
        """It leaves its place in a queue out of turn and is to be placed anew."""
        self.detach(item)
        fresh = Item(item.entry, item.host)
        self.items[item.entry.id] = fresh
        return fresh

    def place(self, item: Item, due: float, now: float, tried: bool = False) -> None:
        """
        Put it where it belongs by its due time.

        :param tried: It has just been tried.
        """
        entry, channel = item.entry, item.host.channel
        said = self.ages.next_said(item)
        if said <= now and self.ages.speak(item, said, now, tried):
            return
        item.shut = due <= now and channel.shut and channel.opening(entry.priority) > now
        if item.shut:
            due = channel.opening(entry.priority)
        if due <= now and self.blame.deaths and self.blame.suspects(entry.id):
            self._set_apart(item, said)
        elif due <= now:
            item.due = now
            self.make_ready(item, entry.priority + 1, said)
        else:
            item.state = DELAYED
            item.due = due
            item.host.delayed += 1
            channel.delayed += 1
            self._serial += 1
            heappush(self._delayed, (min(due, self.ages.heard(said, item)), self._serial, item, due))

    def make_ready(self, item: Item, cls: int, said: float) -> None:
        """
        It may go out.

        :param cls: 0 for before all others, else priority + 1.
        :param said: As :meth:`Ages.next_said` has it.
        """
        self._serial += 1
        item.host.push(cls << CLASS_SHIFT | self._serial, item)
        self._waits(item, said)

    def _set_apart(self, item: Item, said: float) -> None:
        """It may go out, to a job that holds nothing else."""
        channel = item.host.channel
        item.state = ALONE
        channel.alone[item.entry.id] = item
        self._waits(item, said)

    def _waits(self, item: Item, said: float) -> None:
        self._said_later(item, said)
        self.dirty.setdefault(item.host.channel, False)

    def _said_later(self, item: Item, said: float) -> None:
        channel = item.host.channel
        if said < channel.oldest:
            channel.oldest = said
            self.wall.set(channel.name, self.ages.heard(said, item))

    def ruled(self, item: Item, rule: int, now: float) -> None:
        """It is known now which retry rule applies to an entry."""
        item.entry.rule = rule
        if item.state == DELAYED:
            self.place(self.again(item), now if item.shut else item.due, now)
        elif item.state in (READY, ALONE):
            self._said_later(item, self.ages.next_said(item))

    def change_rules(self, rules: tuple[RetryRule, ...]) -> None:
        """Other retry rules: of nothing in memory it is known which applies."""
        self.rules = rules
        self.judge.clear()
        for item in self.items.values():
            item.entry.rule = -1
            if rules:
                self.judge[item.entry.id] = None

    def detach(self, item: Item) -> None:
        """It leaves its place."""
        state = item.state
        host = item.host
        if state == READY:
            host.cancel(item)
        elif state == DELAYED:
            self._leave_delayed(item)
            self._garbage += 1
            if self._garbage > 64 and self._garbage * 2 > len(self._delayed):
                self._delayed = [record for record in self._delayed if record[2].state == DELAYED]
                heapify(self._delayed)
                self._garbage = 0
        elif state == ACTIVE:
            self._release(item)
        elif state == ALONE:
            del host.channel.alone[item.entry.id]
        elif state == RUN and item.run is not None and (run := self.runs.get(item.run)) is not None:
            run.waiting -= 1
        item.state = GONE

    def _leave_delayed(self, item: Item) -> None:
        item.state = GONE
        item.host.delayed -= 1
        item.host.channel.delayed -= 1

    def _release(self, item: Item) -> None:
        host = item.host
        channel = host.channel
        host.active -= 1
        channel.active -= 1
        channel.shares.known[item.entry.share].active -= 1
        host.site.finished(host)
        job = item.job
        if job is not None:
            item.job = None
            job.finished(item, self.steady)
        if item.run is not None:
            run = self.runs.get(item.run)
            item.run = None
            if run is not None:
                run.active -= 1
        if host.probing and host.blocked and not host.active:
            # The probe ended without a verdict on the host: the next one may go.
            host.lapse()
        self.dirty.setdefault(channel, False)

    def wake(self, now: float) -> None:
        """What is due becomes ready, hosts may be probed, what waited too long expires."""
        for channel in self.gates.due(now):
            self._look_at_gate(channel, now)
        delayed = self._delayed
        while delayed and delayed[0][0] <= now:
            _, _, item, due = heappop(delayed)
            if item.state == DELAYED:
                self._leave_delayed(item)
                self.place(item, due, now)
            else:
                self._garbage -= 1
        for thing in self.wall.due(now):
            if isinstance(thing, HostQueue):
                self._lapse(thing)
            elif isinstance(thing, str):
                self._speak_of_ready(self.channel(thing), now)
            else:
                self.dirty[thing] = True

    def _look_at_gate(self, channel: ChannelQueue, now: float) -> None:
        """See which delivery windows are open; what is ready and may not go out any more waits."""
        gate = channel.gate
        channel.shut = gate is not None and gate.look(now)
        if gate is not None:
            self.gates.set(channel, gate.next)
        if not channel.shut:
            return
        for host in channel.hosts.values():
            for rank, item in host.records() if host.ready else ():
                # What an operator lets go does not wait.
                released = rank >> CLASS_SHIFT == FIRST_CLASS
                if item.state == READY and not released and channel.opening(item.entry.priority) > now:
                    host.cancel(item)
                    fresh = self.items[item.entry.id] = Item(item.entry, host)
                    self.place(fresh, now, now)
        self._look_at_alone(channel, now)
        self.dirty[channel] = True

    def _lapse(self, host: HostQueue) -> None:
        if host.failures and host.blocked and not host.probing:
            host.lapse()
            self.dirty.setdefault(host.channel, False)
            if not host.size and host.cursor is None:
                host.recovered()
                host.channel.forget_if_idle(host)
        if host.cursor is not None:
            self.thin[host] = None

    def _speak_of_ready(self, channel: ChannelQueue, now: float) -> None:
        oldest = first = math.inf
        for host in channel.hosts.values():
            if not host.ready:
                continue
            for _, item in host.records():
                said = self.ages.next_said(item)
                heard = self.ages.heard(said, item)
                if said > now or (said > -math.inf and heard > now):
                    oldest, first = min(oldest, said), min(first, heard)
                else:
                    host.cancel(item)
                    fresh = self.items[item.entry.id] = Item(item.entry, item.host)
                    self.place(fresh, now, now)
        channel.oldest = oldest
        if oldest < math.inf:
            pause = EXPIRY_ROUND if channel.size > FEW else 1.0
            self.wall.set(channel.name, max(first, now + pause))
        self._look_at_alone(channel, now)

    def _look_at_alone(self, channel: ChannelQueue, now: float) -> None:
        for item in list(channel.alone.values()):
            self.place(self.again(item), now, now)

    def latest_delayed(self, count: int, now: float) -> list[Item]:
        """Those due last, among the ones whose due time the store knows."""
        live = [
            record for record in self._delayed if record[2].state == DELAYED and record[2].entry.due > now
        ]
        live.sort(key=lambda record: -record[2].entry.due)
        return [record[2] for record in live[:count]]

    def latest_shut(self, count: int) -> list[Item]:
        """Those whose delivery window opens last."""
        live = [record for record in self._delayed if record[2].state == DELAYED and record[2].shut]
        live.sort(key=lambda record: -record[3])
        return [record[2] for record in live[:count]]

    def next_due(self) -> float | None:
        """Epoch seconds at which :meth:`wake` will have something to do."""
        delayed = self._delayed
        while delayed and delayed[0][2].state != DELAYED:
            heappop(delayed)
            self._garbage -= 1
        due = delayed[0][0] if delayed else None
        for at in (self.wall.next(), self.gates.next()):
            if at is not None and (due is None or at < due):
                due = at
        return due

    def lifetimes_changed(self, now: float) -> None:
        """Look at every age and delivery window anew."""
        for channel in self.channels.values():
            self.opened(channel)
            self._look_at_gate(channel, now)
        delayed, self._delayed = self._delayed, []
        self._garbage = 0
        for _, _, item, due in delayed:
            if item.state == DELAYED:
                self._leave_delayed(item)
                self.place(item, now if item.shut else due, now)
        for name in self.channels:
            self.wall.set(name, now)

    def opened(self, channel: ChannelQueue) -> None:
        """A channel has other delivery windows than before, or is new: look at them."""
        self.gates.clear(channel)
        if channel.gate is not None:
            self.gates.set(channel, -math.inf)

    def shift(self, by: float) -> None:
        """The wall clock was set by so much: intervals stay what they were."""
        self._delayed = [(at + by, serial, item, due + by) for at, serial, item, due in self._delayed]
        for _, _, item, due in self._delayed:
            item.due = due
        heapify(self._delayed)
        self.ages.shift(by)
        self.wall.shift(by)
        # Hours of the day are not intervals.
        for channel in self.channels.values():
            self.opened(channel)
        for channel in self.channels.values():
            channel.throttle.until += by
            for host in channel.hosts.values():
                host.until += by
                if host.early:
                    host.early += by
