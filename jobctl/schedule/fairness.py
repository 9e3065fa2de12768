"""How fairly the shares of a channel have been served, as numbers."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from jobctl.schedule.memory import Memory
from jobctl.schedule.shares import Share, cost


class ShareView(msgspec.Struct, frozen=True):
    """
    One share of a channel.

    :ivar ready: Entries in memory that are due, those of hosts that are backed off too; ``active``: in the
        hands of jobs.
    :ivar handed: Messages handed to jobs in the last minute or two; ``units`` what they cost
        (:func:`jobctl.schedule.shares.cost`).
    :ivar longest_wait: Seconds: the longest that any of them was ready before, or one that still waits.
    """

    share: str
    weight: int
    ready: int
    active: int
    handed: int
    units: int
    longest_wait: float


class Fairness(msgspec.Struct, frozen=True):
    """
    A channel's shares.

    :ivar jain: Jain's index of what each got in proportion to its max-min fair part of all that was handed
        out: 1 is perfectly fair, 1/n is one of n having everything.
    """

    channel: str
    jain: float
    longest_wait: float
    shares: list[ShareView]


def fairness(memory: Memory, channel: str, now: float) -> Fairness:
    """Of what is in memory, in the last minute or two; costs time by the entries of the channel."""
    queue = memory.channels.get(channel)
    if queue is None:
        return Fairness(channel, 1.0, 0.0, [])
    queue.shares.look(memory.steady)
    waits: dict[str, float] = {}
    backlog: dict[str, int] = {}
    for host in queue.hosts.values():
        # Who waits for a host that is backed off does not wait for others.
        for _, item in () if host.blocked else host.records():
            name = item.entry.share
            waits[name] = max(waits.get(name, 0.0), now - item.due)
            backlog[name] = backlog.get(name, 0) + cost(item)
    period = queue.shares.period
    views = [_view(share, waits.get(share.name, 0.0), period) for share in queue.shares.known.values()]
    views = [view for view in views if view.ready or view.active or view.handed]
    demands = [view.units + backlog.get(view.share, 0) for view in views]
    fair = max_min(demands, [view.weight for view in views], sum(view.units for view in views))
    got = [view.units / part for view, part in zip(views, fair, strict=True) if part > 0]
    longest = max((view.longest_wait for view in views), default=0.0)
    return Fairness(channel, jain(got), longest, sorted(views, key=lambda view: -view.units))


def _view(share: Share, waiting: float, period: int) -> ShareView:
    now, last = share.told(period)
    return ShareView(
        share=share.name,
        weight=share.weight,
        ready=share.ready,
        active=share.active,
        handed=now.messages + last.messages,
        units=now.units + last.units,
        longest_wait=max(now.longest, last.longest, waiting),
    )


def jain(values: Sequence[float]) -> float:
    """R. Jain et al., DEC-TR-301, 1984; 1 when there is nobody."""
    squares = len(values) * sum(value * value for value in values)
    return sum(values) ** 2 / squares if squares else 1.0


def max_min(demands: Sequence[float], weights: Sequence[int], capacity: float) -> list[float]:
    """
    The weighted max-min fair parts of a capacity: who wants less than its part leaves the rest to the others.
    """
    parts = [0.0] * len(demands)
    left, weight = capacity, sum(weights)
    for at in sorted(range(len(demands)), key=lambda at: demands[at] / weights[at]):
        parts[at] = min(demands[at], left * weights[at] / weight) if weight else 0.0
        left -= parts[at]
        weight -= weights[at]
    return parts
