"""Destinations that call for their mail (ETRN, RFC 1985): some of it is tried early, within bounds."""

from __future__ import annotations

from collections.abc import Collection
from heapq import nsmallest

from jobctl.schedule.expiry import UNLIMITED
from jobctl.schedule.hosts import HostQueue
from jobctl.schedule.memory import Memory
from jobctl.schedule.queues import ChannelQueue
from jobctl.schedule.reachability import Reachability
from jobctl.schedule.tracked import DELAYED, Item
from jobctl.schedule.window import Window

# Whoever calls may be a stranger.  Messages brought forward, and hosts of a channel probed early, by one call.
MOST_MESSAGES = 1000
MOST_HOSTS = 100

# A channel, and a host of it; ``None``: all of them.
Target = tuple[str, str | None]


class Calls:
    """
    Brings forward what waits for the end of a backoff, and nothing else.

    A stopped channel stays stopped, a closed delivery window closed, and what was never tried (``after``,
    ``Deferred-Delivery:``, FUTURERELEASE) waits for its own time.  Mail whose attempts are counted against a
    cap (``max_attempts``) does, too: a stranger must not use them up.  A host gets one probe, and one that
    fails changes nothing: its backoff ends when it would have.
    """

    def __init__(self, memory: Memory, window: Window, reach: Reachability) -> None:
        self._memory = memory
        self._window = window
        self._reach = reach

    def waiting(self, channel: str, host: str | None) -> int | None:
        """How much is queued there; ``None``: nobody knows, the store may have more than memory."""
        hosts = self._hosts(channel, host)
        exact = self._window.complete or (self._window.cursor.done and not any(one.cursor for one in hosts))
        return sum(one.size for one in hosts) if exact else None

    def stopped(self, channel: str) -> bool:
        """Whether an operator keeps the channel from sending."""
        queue = self._memory.channels.get(channel)
        return queue is not None and queue.stopped

    def call(self, targets: Collection[Target], now: float) -> None:
        """Try early what is queued there; one look at what is in memory serves all."""
        hosts: dict[HostQueue, None] = {}
        late: list[Item] = []
        for channel, name in targets:
            known = [one for one in self._hosts(channel, name) if not one.channel.stopped]
            hosts.update(dict.fromkeys(known))
            for host in nsmallest(MOST_HOSTS, (one for one in known if one.blocked), key=_until):
                self._reach.call(host, now)
        if any(host.delayed for host in hosts):
            late = [
                item for item in self._memory.items.values() if item.state == DELAYED and item.host in hosts
            ]
        count: dict[Target, int] = {}
        for item in sorted(late, key=_due):
            host = item.host
            target = (host.channel.name, host.name)
            whole = (host.channel.name, None)
            key = target if target in targets else whole
            if count.get(key, 0) < MOST_MESSAGES and self._may_go(item):
                count[key] = count.get(key, 0) + 1
                self._memory.place(self._memory.again(item), now, now)

    def _hosts(self, channel: str, host: str | None) -> list[HostQueue]:
        queue: ChannelQueue | None = self._memory.channels.get(channel)
        if queue is None:
            return []
        if host is None:
            return list(queue.hosts.values())
        return [queue.hosts[host]] if host in queue.hosts else []

    def _may_go(self, item: Item) -> bool:
        entry, queue = item.entry, item.host.channel
        if item.shut or not entry.attempts or (self._memory.rules and entry.rule < 0):
            return False
        return queue.lives[entry.rule][entry.priority].attempts >= UNLIMITED


def _until(host: HostQueue) -> float:
    return host.until


def _due(item: Item) -> float:
    return item.due
