"""All that the schedule knows of one entry, for whoever wants to know why it is not delivered yet."""

from __future__ import annotations

import math

import msgspec

from jobctl.config.settings import ChannelSettings
from jobctl.mail.entry import QueueEntry
from jobctl.schedule.hosts import HostQueue
from jobctl.schedule.memory import Memory
from jobctl.schedule.outlook import outlook, pace
from jobctl.schedule.pools import Pools
from jobctl.schedule.queues import ChannelQueue
from jobctl.schedule.tracked import ACTIVE, ALONE, DELAYED, EXPIRED, READY, RUN, Item

_PLACES = {
    READY: "ready",
    DELAYED: "delayed",
    ACTIVE: "active",
    RUN: "run",
    EXPIRED: "deciding",
    ALONE: "alone",
}
# Entries of one host that are counted to see how many go before one.
MOST_COUNTED = 20_000


class HostInsight(msgspec.Struct, frozen=True):
    """
    :ivar blocked: Nothing of it goes out now; ``lapsed``: because it waits for its turn to be probed.
    :ivar probed: One message is out to see whether it answers again.
    :ivar window: Entries that jobs may have of its site at a time; ``site_active``: those that they have.
    :ivar pace: When its rate lets this message go, after those that go before it; 0: it may.
    """

    failures: int = 0
    until: float = 0.0
    blocked: bool = False
    lapsed: bool = False
    probed: bool = False
    ready: int = 0
    active: int = 0
    window: int = 0
    served: bool = False
    site_active: int = 0
    pace: float = 0.0
    most_connections: int | None = None
    connections: int = 0


class ChannelInsight(msgspec.Struct, frozen=True):
    """
    :ivar runnable: It has a program.
    :ivar deaths: Programs in a row that came to nothing; none is started before ``pause``.
    :ivar jobs: Running ones that are not told to stop; ``credit``: messages they would take.
    :ivar slots: Of its pool that it uses; ``starting`` of them not running yet.
    :ivar spare: Jobs more that its own limit allows; ``pool_spare``: and its pool's.
    :ivar neighbours: Slots of the pool in use by channel.
    """

    stopped: bool
    runnable: bool
    deaths: int
    pause: float
    ready: int
    jobs: int
    credit: int
    connections: int
    slots: int
    starting: int
    spare: int
    pool: str
    pool_limit: int
    pool_spare: int
    neighbours: dict[str, int]


class Insight(msgspec.Struct, frozen=True):
    """
    :ivar place: ``ready``, ``delayed``, ``active``, ``run`` (set aside for an operator's run), ``deciding``
        (it is being settled without an attempt), ``alone`` (it waits for a job that holds nothing else),
        ``""``: memory does not have it, the store does.
    :ivar state: As lists show it.
    :ivar next_attempt: Epoch seconds, ``None``: under way, or nobody knows.
    :ivar due: When its own time comes, or came.
    :ivar opening: When the delivery window of its priority opens; in the past: it is open.
    :ivar changing: An operator has taken it away and something is still to happen.
    :ivar share: Of whose part of the channel it is.
    :ivar ahead: Ready entries of its host and share that go before it; ``None``: very many.
    :ivar others: Ready entries of other hosts and shares, whose turns are in between.
    :ivar complete: Memory has all there is.
    """

    place: str
    state: str
    next_attempt: float | None
    due: float
    opening: float
    changing: bool
    run: str | None
    job: str | None
    share: str
    ahead: int | None
    others: int
    complete: bool
    host: HostInsight
    channel: ChannelInsight


def insight(memory: Memory, pools: Pools, complete: bool, entry: QueueEntry, now: float) -> Insight:
    """
    Of any queued entry, in memory or not; costs time by the entries of its host, and no more than so many.

    :param entry: As the store has it.
    """
    item = memory.items.get(entry.id)
    queue = memory.channels.get(entry.channel)
    host = None if queue is None else queue.hosts.get(entry.host)
    ahead, lane = _ahead(item, host)
    before = lane if ahead is None else ahead
    view = outlook(memory, entry, now, before)
    return Insight(
        place="" if item is None else _PLACES.get(item.state, ""),
        state=view.state,
        next_attempt=view.next_attempt,
        due=item.due if item is not None and item.state == DELAYED and not item.shut else entry.due,
        opening=-math.inf if queue is None else queue.opening(entry.priority),
        changing=item is not None and item.removed,
        run=None if item is None else item.run,
        job=item.job.id if item is not None and item.job is not None else None,
        share=entry.share if item is None else item.entry.share,
        ahead=ahead,
        others=max((0 if queue is None else queue.ready) - lane, 0),
        complete=complete,
        host=HostInsight() if host is None else _host(host, now, memory.steady, before),
        channel=_channel(memory, pools, queue or ChannelQueue(_unknown(entry.channel))),
    )


def _unknown(name: str) -> ChannelSettings:
    return ChannelSettings(name=name, official_host_name=name, local_host="")


def _ahead(item: Item | None, host: HostQueue | None) -> tuple[int | None, int]:
    """How many of its share and host go before it, and how many there are."""
    lane = None if item is None or host is None else host.lanes.get(item.entry.share)
    if item is None or lane is None or item.state != READY:
        return 0, 0
    if len(lane.heap) > MOST_COUNTED:
        return None, len(lane.heap)
    ranks = [rank for rank, other in lane.heap if other.state == READY]
    mine = next((rank for rank, other in lane.heap if other is item), 0)
    return sum(rank < mine for rank in ranks), len(ranks)


def _host(host: HostQueue, now: float, steady: float, ahead: int) -> HostInsight:
    return HostInsight(
        failures=host.failures,
        until=host.until,
        blocked=host.blocked,
        lapsed=host.lapsed,
        probed=host.probing and host.active > 0,
        ready=host.ready,
        active=host.active,
        window=host.site.window,
        served=bool(host.serving),
        site_active=host.site.active,
        pace=pace(host, now, steady, ahead) if pace(host, now, steady) else 0.0,
        most_connections=host.channel.most_connections,
        connections=host.site.connections(host.channel.depth),
    )


def _channel(memory: Memory, pools: Pools, queue: ChannelQueue) -> ChannelInsight:
    jobs = [job for job in queue.jobs.values() if job.run is None and not job.stopping]
    pool = queue.settings.pool
    return ChannelInsight(
        stopped=queue.stopped,
        runnable=queue.runnable,
        deaths=queue.throttle.failures,
        pause=queue.throttle.until,
        ready=queue.ready,
        jobs=len(jobs),
        credit=sum(job.credit for job in jobs),
        connections=sum(job.connections for job in jobs),
        slots=queue.slots,
        starting=sum(start.run is None for start in queue.starting),
        spare=queue.settings.maxjobs - queue.slots,
        pool=pool,
        pool_limit=pools.job_limit(queue),
        pool_spare=pools.job_limit(queue) - pools.used(queue),
        neighbours={
            other.name: other.slots
            for other in memory.channels.values()
            if other.slots and other.settings.pool == pool
        },
    )
