"""Answers of the name service, kept for as long as they are good."""

from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")

# However long a record says it lives, a mistake in it is forgotten within the hour.
LONGEST = 3600.0
# What a record of lifetime 0 gets: enough for the connections of one burst.
SHORTEST = 1.0


class DnsCache(Generic[T]):
    """
    Values by key until they expire; the one longest unused goes when it is full.

    :param size: Most entries kept.
    """

    def __init__(self, size: int = 10_000) -> None:
        self._size = size
        self._entries: OrderedDict[object, tuple[float, T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: object, now: float) -> T | None:
        """The value if it is still good at ``now`` (seconds of any steady clock)."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= now:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return entry[1]

    def put(self, key: object, value: T, now: float, lifetime: float) -> None:
        """Keep ``value`` for ``lifetime`` seconds, within the bounds above."""
        self._entries[key] = (now + min(max(lifetime, SHORTEST), LONGEST), value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)
