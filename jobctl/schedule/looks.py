"""What memory holds, for those who look; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Iterator

from jobctl.mail.entry import QueueEntry
from jobctl.schedule.memory import Memory
from jobctl.schedule.plan import Counts
from jobctl.schedule.tracked import ACTIVE, DELAYED, READY, WORDS


class Looks:
    """Looks at what is in memory; each costs time by the hosts of one channel at most."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

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

    def state(self, id: str) -> str | None:
        """In a word."""
        item = self._memory.items.get(id)
        if item is None:
            return None
        return WORDS[DELAYED if item.state == READY and item.host.blocked else item.state]

    def job_of(self, id: str) -> str | None:
        """Which job has it."""
        item = self._memory.items.get(id)
        return item.job.id if item is not None and item.state == ACTIVE and item.job is not None else None
