"""One channel's queue: its hosts, whose turn it is, its jobs and its limits."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from jobctl.config.settings import REPROCESS, ChannelSettings, RetryRule
from jobctl.mail.envelope import Priority
from jobctl.schedule.backoff import longest
from jobctl.schedule.expiry import Life, life_of
from jobctl.schedule.gates import gate_of
from jobctl.schedule.hosts import HostQueue
from jobctl.schedule.jobs import Job, Starting
from jobctl.schedule.shares import Flow, Lane, Shares
from jobctl.schedule.sites import Sites
from jobctl.schedule.throttle import Throttle
from jobctl.schedule.tracked import Item

_UNKNOWN = Life((math.inf,))
# Most messages of one host in a row, when others wait: enough to pay for a connection.
TURN = 10
# What only the schedule and the notifications look at: a change needs no new programs.
_OURS = frozenset(
    {
        *(
            "maxjobs",
            "threaddepth",
            "filesperjob",
            "addrsperjob",
            "pool",
            "rate_per_host",
            "max_life_time",
            "max_life_askwork",
        ),
        *("backoff", "notices", "max_attempts", "jitter", "after", "deferred", "delivery", "demotion"),
        *("sendpost", "warnpost", "posthead", "addresses", "notificationchannel"),
        *("returnaddress", "returnpersonal"),
    }
)


def needs_new_programs(old: ChannelSettings, new: ChannelSettings) -> bool:
    """Whether programs that were started with the old settings have others than the new ones."""
    if old is new:
        return False
    return any(
        getattr(old, name) != getattr(new, name)
        for name in ChannelSettings.__struct_fields__
        if name not in _OURS
    )


def gone(settings: ChannelSettings) -> ChannelSettings:
    """
    A channel that has left the configuration: it starts nothing.

    Its mail keeps its lifetime: nothing expires only because somebody took a section out.
    """
    return ChannelSettings(
        name=settings.name,
        official_host_name=settings.name,
        local_host=settings.local_host,
        notices=settings.notices,
    )


class ChannelQueue:
    """
    What is queued to a channel.

    :ivar ready: Entries that may go out now (those of blocked hosts not counted), and
        ``wanted``: connections they deserve, one per host for each ``threaddepth`` begun.
    :ivar alone: Entries for jobs that hold nothing else.
    :ivar active: In the hands of jobs.
    :ivar per_job: Recipients that are worth a job, 0: they do not count; ``recipients``: of all that is in
        memory, where they count.
    :ivar trials: Hosts whose backoff is over; ``probing``: how many of them are being probed.
    :ivar slots: Of its pool in use: jobs, also those being started; an operator's runs use none.
    :ivar shares: Whose turn it is.
    :ivar sites: Which hosts are one; ``most_connections`` and ``rate`` of each, ``None``: no limit.
    :ivar behind: Since when its jobs have not been equal to the backlog (steady seconds).
    :ivar runnable: It has a program; ``served``: or the controller takes its mail itself.
    :ivar bound: Its programs speak to one host in their life.
    :ivar connections: What a further job is expected to serve at a time.
    :ivar gate: Its delivery windows, if it has any; ``shut``: it keeps some priorities back now.
    :ivar longest_backoff: Seconds that its hosts are left alone for at most, but for the jitter.
    :ivar lives: By number of the retry rule (-1 too), and priority.
    :ivar oldest: Of no ready entry there is anything to be said before this time.
    """

    def __init__(
        self,
        settings: ChannelSettings,
        rules: Sequence[RetryRule] = (),
        weights: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.name = settings.name
        self.hosts: dict[str, HostQueue] = {}
        self.shares = Shares(weights)
        self.sites = Sites()
        self.trials: deque[HostQueue] = deque()
        self.ready = self.wanted = self.slots = 0
        self.size = self.active = self.delayed = self.probing = self.recipients = 0
        self.jobs: dict[str, Job] = {}
        self.alone: dict[str, Item] = {}
        self.starting: list[Starting] = []
        self.throttle = Throttle()
        self.stopped = self.shut = False
        self.oldest = math.inf
        self.behind: float | None = None
        self._greeted: int | None = None
        self.configure(settings, rules)

    def configure(self, settings: ChannelSettings, rules: Sequence[RetryRule] = ()) -> bool:
        """
        Take new settings.

        :param rules: The retry rules in force.
        :return: Whether running programs have others than they were started with.
        """
        old = getattr(self, "settings", settings)
        self.settings = settings
        one_at_a_time = settings.transport is not None or settings.smtp == "nosmtp"
        self._most = (settings.filesperjob if one_at_a_time else 0) or max(settings.threaddepth, 1)
        self.per_job = settings.addrsperjob if one_at_a_time else 0
        self.depth = self._most
        self.turn = min(self.depth, TURN)
        self.most_connections = settings.max_connections_per_host
        self.rate = settings.rate_per_host
        if not settings.group_by_mx:
            self.sites.clear(self.hosts, self.depth)
        self.bound = (
            settings.transport is not None and settings.gateway is None and settings.copies != "multiple"
        )
        self.runnable = bool(settings.master_command)
        self.served = self.runnable or settings.name == REPROCESS
        self.gate = gate_of(settings)
        self.longest_backoff = longest(settings)
        self.lives: tuple[tuple[Life, ...], ...] = tuple(
            tuple(life_of(settings, priority, rule) for priority in Priority) for rule in (None, *rules)
        )
        if rules:
            # At -1: what is not known to fall under a rule or not.
            self.lives += ((_UNKNOWN,) * len(Priority),)
        self.oldest = -math.inf if self.size else math.inf
        self._count_wanted()
        return needs_new_programs(old, settings)

    def weigh(self) -> None:
        """
        With ``addrsperjob``: messages are worth a job by how many recipients they have on average.

        :attr:`recipients` is of all that is in memory, so one large message does not change it from one
        decision to the next; a message with more than that is a job's alone.
        """
        fitting = self.per_job * self.size // self.recipients if self.recipients else self._most
        depth = min(max(fitting, 1), self._most)
        if depth != self.depth:
            self.depth, self.turn = depth, min(depth, TURN)
            self._count_wanted()

    def _count_wanted(self) -> None:
        hosts = [host for host in self.hosts.values() if not host.blocked]
        self.wanted = sum(-(-host.ready // self.depth) for host in hosts)

    def opening(self, priority: Priority) -> float:
        """When mail of this priority may go out; minus infinity: it may."""
        return -math.inf if self.gate is None else self.gate.opening[priority]

    @property
    def connections(self) -> int:
        if self._greeted is not None:
            return self._greeted
        settings = self.settings
        if settings.transport is not None or settings.smtp == "nosmtp":
            return 1
        return max(settings.options.max_client_threads, 1)

    def greeted(self, connections: int) -> None:
        """A program has said how much it serves at a time; its kind will say the same."""
        self._greeted = max(connections, 1)

    def host(self, name: str) -> HostQueue:
        """Its queue, made when there is none."""
        queue = self.hosts.get(name)
        if queue is None:
            queue = self.hosts[name] = HostQueue(self, name)
        return queue

    def forget_if_idle(self, host: HostQueue) -> None:
        """Hosts come and go; what knows nothing is not kept."""
        if host.idle and self.hosts.get(host.name) is host:
            del self.hosts[host.name]
            self.sites.forget(host.site)

    @property
    def on_trial(self) -> bool:
        """Whether a host waits to be probed; those that have failed again, or have nothing left, do not."""
        trials = self.trials
        while trials and not (trials[0].lapsed and trials[0].ready):
            trials.popleft()
        return bool(trials)

    def probe(self, most: int) -> None:
        """Let hosts be probed, ``most`` at a time."""
        while self.on_trial and self.probing < most:
            host = self.trials.popleft()
            if host.lapsed and host.ready:
                host.admit()

    def next_lane(self, flow: Flow, cls: int) -> Lane | None:
        """Whose turn it is in this flow; lanes that have nothing of the class any more are taken out."""
        lanes = flow.lanes
        while lanes:
            lane = lanes[0]
            host = lane.host
            if not host.blocked and lane.head_class() == cls:
                return lane
            lanes.popleft()
            lane.enrolled &= ~(1 << cls)
            if lane.heap and not host.blocked:
                self.shares.enroll(lane)
            host.drop(lane)
            if not host.size:
                self.forget_if_idle(host)
        return None

    def unserved(self) -> HostQueue | None:
        """The next host that has no job; its share goes behind the others then."""
        for cls, turns in enumerate(self.shares.turns):
            for _ in range(len(turns)):
                flow = turns[0]
                turns.rotate(-1)
                for _ in range(len(flow.lanes)):
                    lane = self.next_lane(flow, cls)
                    if lane is not None and not lane.host.jobs:
                        return lane.host
                    flow.lanes.rotate(-1)
                if not flow.lanes:
                    turns.pop()
                    flow.turning = False
        return None

    def took(self, host: str | None, run: str | None) -> Starting | None:
        """A job that was being started has been heard of: it runs, or it will not."""
        for start in self.starting:
            if start.run == run and start.host == host:
                self.starting.remove(start)
                return start
        return None

    def free_host(self, name: str) -> None:
        """A bound job is over."""
        host = self.hosts.get(name)
        if host is not None:
            host.jobs = max(host.jobs - 1, 0)
            host.enroll()
            self.forget_if_idle(host)
