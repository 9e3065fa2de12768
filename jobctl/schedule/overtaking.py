"""Channels that the window has not come to: their mail goes past a backlog of others that fills memory."""

from __future__ import annotations

import heapq
from collections.abc import Callable

from jobctl.mail.entry import QueueEntry
from jobctl.mail.envelope import Priority
from jobctl.schedule.cursor import Cursor
from jobctl.schedule.hosts import HostQueue
from jobctl.schedule.memory import Memory
from jobctl.schedule.plan import LoadRequest
from jobctl.schedule.queues import ChannelQueue
from jobctl.schedule.tracked import READY, Item

# A channel with less than this part of the limit in memory overtakes; one with more than twice as much makes room.
SHARE = 64
# Entries of the largest channel that make room at a time, as a part of the limit: finding them is a look at all.
AT_A_TIME = 50


class Overtaking:
    """
    Beside the window, which goes by due time alone, a channel that has little in memory is read by itself.

    Memory may hold more than the window has seen, so nothing else has to know of it. Each channel has
    a cursor: everything that the store has of it up to there is in memory, or is behind a cursor of its host.
    It is kept as long as the window has not seen everything, so that the store is gone through once
    for each channel, and after that from where something was left to it.

    :param window: The cursor of the window.
    """

    def __init__(self, memory: Memory, window: Cursor) -> None:
        self._memory = memory
        self._window = window
        self._ahead: dict[ChannelQueue, Cursor] = {}
        self._share = 1
        self._most = 1
        self._tight_at: int | None = None

    def limit(self, limit: int) -> None:
        """Memory holds so many entries."""
        self._share = max(1, limit // SHARE)
        self._most = max(1, limit // AT_A_TIME)
        self._tight_at = None

    def may(self, channel: ChannelQueue) -> bool:
        """Whether it has so little in memory that its mail need not wait for the window."""
        return channel.size < self._share and channel.runnable and not channel.stopped

    def miss(self, channel: ChannelQueue, due: float) -> None:
        """An entry of it is left to the store."""
        cursor = self._ahead.get(channel)
        if cursor is not None:
            cursor.miss(due)

    def next_due(self, now: float) -> float | None:
        """When the first entry that was left to the store is due, of channels that may overtake."""
        found = [
            cursor.due for channel, cursor in self._ahead.items() if cursor.due > now and self.may(channel)
        ]
        return min(found, default=None) if not self._window.done else None

    def request(self, now: float, page: int) -> LoadRequest | None:
        """What to read; the one that waits longest comes first."""
        if self._window.done:
            self._ahead.clear()
            return None
        for channel in self._memory.channels.values():
            if channel not in self._ahead and self.may(channel):
                self._ahead[channel] = self._window.copy()
        for channel, cursor in list(self._ahead.items()):
            if cursor.due < self._window.due:
                cursor = self._window.copy()
            if cursor.due <= now and self.may(channel):
                del self._ahead[channel]
                self._ahead[channel] = cursor
                cursor.ask()
                return LoadRequest("backlog", cursor.after, self.wanted(channel, page), (), channel.name)
        return None

    def host(self, fits: Callable[[HostQueue], bool]) -> HostQueue | None:
        """The next host with a cursor of its own that may be read although memory is full."""
        for channel in self._memory.channels.values():
            if self.may(channel):
                for host in channel.hosts.values():
                    if host.cursor is not None and host in self._memory.thin and fits(host):
                        return host
        return None

    def wanted(self, channel: ChannelQueue, page: int) -> int:
        """How many entries of it may be read."""
        return min(page, self._share - channel.size + 1)

    def loaded(
        self,
        request: LoadRequest,
        entries: list[QueueEntry],
        outdated: bool,
        now: float,
        fresh: Callable[[str], bool],
        room: Callable[[], bool],
    ) -> None:
        """
        Take the answer to a request.

        :param outdated: So is the answer, which is why it is empty.
        :param fresh: Whether an entry is still queued as it was read.
        :param room: Whether there is any; it is made where that can be.
        """
        channel, memory = self._memory.channel(request.channel), self._memory
        cursor = self._ahead.get(channel)
        if cursor is None:
            return
        to, end = request.after, len(entries) < request.limit and not outdated
        for entry in entries:
            if entry.due > now:
                # All that is due has been seen; of what is not, this is the first.
                cursor.miss(entry.due)
                end = True
                break
            host = channel.hosts.get(entry.host)
            # What is behind a cursor of its host is that one's.
            mine = host is None or host.cursor is None
            if mine and entry.id not in memory.items and fresh(entry.id):
                if not (self.may(channel) and room()):
                    end = False
                    break
                memory.place(memory.enter(entry), entry.due, now)
            to = (entry.due, entry.id)
        cursor.advance(request.after, to, end)

    def room(self, now: float) -> list[Item]:
        """Entries of the channel that has most, the last due: they are to be left to the store."""
        count = len(self._memory.items)
        # A look that found nothing is worth repeating when something has changed.
        if self._tight_at is not None and abs(count - self._tight_at) < self._most:
            return []
        largest = max(self._memory.channels.values(), key=lambda channel: channel.size)
        found: list[Item] = []
        if largest.size > 2 * self._share:
            ready = (
                item
                for item in self._memory.items.values()
                if item.host.channel is largest
                and item.state == READY
                and item.entry.due <= now
                and item.entry.priority > Priority.URGENT
            )
            found = heapq.nlargest(self._most, ready, key=lambda item: item.entry.due)
        self._tight_at = None if found else count
        return found
