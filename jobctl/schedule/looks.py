"""What memory holds, for those who look; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Iterator

from jobctl.mail.entry import QueueEntry
from jobctl.schedule.fairness import Fairness, fairness
from jobctl.schedule.insight import Insight, insight
from jobctl.schedule.memory import Memory
from jobctl.schedule.outlook import Outlook, outlook
from jobctl.schedule.plan import Counts
from jobctl.schedule.pools import Pools
from jobctl.schedule.tracked import ACTIVE
from jobctl.schedule.window import Window


class Looks:
    """Looks at what is in memory; each costs time by the hosts of one channel at most."""

    def __init__(self, memory: Memory, window: Window, pools: Pools) -> None:
        self._memory = memory
        self._window = window
        self._pools = pools

    def entries(self) -> Iterator[QueueEntry]:
        """Every entry; what comes or goes meanwhile does not matter."""
        return (item.entry for item in list(self._memory.items.values()))

    def counts(self, channel: str) -> Counts:
        """By state; what waits for its host's backoff counts as delayed."""
        queue = self._memory.channels.get(channel)
        if queue is None:
            return Counts(0, 0, 0)
        delayed = queue.delayed + sum(host.ready for host in queue.hosts.values() if host.blocked)
        return Counts(queue.size - queue.active - delayed, queue.active, delayed)

    def hosts(self, channel: str) -> list[tuple[str, int, int, int, float | None]]:
        """Those with entries or backed off: name, active, ready, delayed, until."""
        queue = self._memory.channels.get(channel)
        rows = []
        for host in queue.hosts.values() if queue is not None else ():
            delayed = host.delayed + (host.ready if host.blocked else 0)
            ready = host.size - host.active - delayed
            if host.size or host.failures:
                rows.append((host.name, host.active, ready, delayed, host.until if host.failures else None))
        return rows

    def attempt(self, channel: str, host: str) -> int:
        """Which attempt it would be for the message that goes next to a host, 1 for the first; -1: none is ready."""
        queue = self._memory.channels.get(channel)
        known = queue.hosts.get(host) if queue is not None else None
        lane = known.next_lane() if known is not None else None
        return -1 if lane is None else lane.heap[0][1].entry.attempts + 1

    def state(self, id: str, now: float) -> str | None:
        """``ready``, ``active`` or ``delayed`` (also by its host's backoff); ``None``: not in memory."""
        item = self._memory.items.get(id)
        return None if item is None else outlook(self._memory, item.entry, now).state

    def outlook(self, entry: QueueEntry, now: float) -> Outlook:
        """State and next attempt of any entry that is not held, in memory or not."""
        return outlook(self._memory, entry, now)

    def insight(self, entry: QueueEntry, now: float) -> Insight:
        """All there is to know of an entry that is not held."""
        return insight(self._memory, self._pools, self._window.complete, entry, now)

    def totals(self, channel: str, queued: int, due_later: int, due_of_blocked: int) -> Counts:
        """
        By state, with what is only in the store; the numbers are the store's.

        :param queued: Entries of the channel that are not held; ``due_later`` of them in the future.
        :param due_of_blocked: Those due now of the hosts that :meth:`blocked` names.
        """
        known = self.counts(channel)
        queue = self._memory.channels.get(channel)
        if queue is None:
            return Counts(queued - due_later, 0, due_later)
        # What is in the store alone.
        rest = max(queued - queue.size, 0)
        in_memory = sum(host.ready + host.active for host in queue.hosts.values() if host.blocked)
        delayed = max(due_later - queue.delayed, 0) + max(due_of_blocked - in_memory, 0)
        delayed = min(delayed, rest)
        return Counts(known.ready + rest - delayed, known.active, known.delayed + delayed)

    def blocked(self) -> list[tuple[str, str]]:
        """Channel and name of each host that is backed off and of which the store may have more."""
        if self._window.complete:
            return []
        return [
            (channel.name, host.name)
            for channel in self._memory.channels.values()
            for host in channel.hosts.values()
            if host.blocked
        ]

    def fairness(self, channel: str, now: float) -> Fairness:
        """How the shares of a channel have been served lately."""
        return fairness(self._memory, channel, now)

    def job_of(self, id: str) -> str | None:
        """Which job has it."""
        item = self._memory.items.get(id)
        return item.job.id if item is not None and item.state == ACTIVE and item.job is not None else None
