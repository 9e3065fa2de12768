"""Whether memory and store say the same of an entry; nothing here changes anything."""

from __future__ import annotations

from jobctl.mail.entry import QueueEntry
from jobctl.schedule.memory import Memory
from jobctl.schedule.window import Window

# Seconds by which times differ that are the same: the store keeps whole microseconds.
_SAME = 0.001
_FIELDS = ("channel", "host", "priority", "attempts", "enqueued", "due", "paused")


class Comparison:
    """Compares what the store has with what memory has, and should have."""

    def __init__(self, memory: Memory, window: Window) -> None:
        self._memory = memory
        self._window = window

    def compare(self, entry: QueueEntry) -> str:
        """
        What is wrong with memory about a queued entry; ``""``: nothing.

        What memory leaves to the store on purpose is not wrong.

        :param entry: As the store has it.
        """
        item = self._memory.items.get(entry.id)
        if item is None:
            return "is not in memory, though it should be" if self._expected(entry) else ""
        wrong = []
        for field in _FIELDS:
            here, there = getattr(item.entry, field), getattr(entry, field)
            same = abs(here - there) < _SAME if isinstance(here, float) else here == there
            if not same:
                wrong.append(f"{field} {here} in memory, {there} in the store")
        return "; ".join(wrong)

    def _expected(self, entry: QueueEntry) -> bool:
        queue = self._memory.channels.get(entry.channel)
        host = queue.hosts.get(entry.host) if queue is not None else None
        cursor = self._window.cursor if host is None or host.cursor is None else host.cursor
        # Its own position is left out: two may be due at the same time.
        return entry.due < cursor.due and self._window.fresh(entry.id)
