"""Things to look at again at a time, each with one time."""

from collections.abc import Hashable, Sequence
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Timers(Generic[T]):
    """
    One time for each of many things.

    A thing whose time was changed leaves a stale record in the heap; they are
    dropped when they surface, and all at once when they are the majority.
    """

    def __init__(self) -> None:
        self._times: dict[T, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, T]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, thing: T, at: float) -> None:
        """Look at it at this time, instead of any time set before."""
        times, heap = self._times, self._heap
        known = times.get(thing)
        if known is not None and known[0] == at:
            return
        serial = self._serial = self._serial + 1
        times[thing] = (at, serial)
        heappush(heap, (at, serial, thing))
        if len(heap) > 64 and len(heap) > 2 * len(times) + 64:
            self._heap = [(at, serial, thing) for thing, (at, serial) in times.items()]
            heapify(self._heap)

    def of(self, thing: T) -> float | None:
        """When it is to be looked at."""
        known = self._times.get(thing)
        return None if known is None else known[0]

    def clear(self, thing: T) -> None:
        """Do not look at it."""
        self._times.pop(thing, None)

    def next(self) -> float | None:
        """The earliest time."""
        heap, times = self._heap, self._times
        while heap:
            at, serial, thing = heap[0]
            known = times.get(thing)
            if known is not None and known[1] == serial:
                return at
            heappop(heap)
        return None

    def due(self, now: float) -> Sequence[T]:
        """Those whose time has come, earliest first; their times are forgotten."""
        # Stale or not: nothing is earlier.
        if not self._heap or self._heap[0][0] > now:
            return ()
        found: list[T] = []
        while (at := self.next()) is not None and at <= now:
            thing = heappop(self._heap)[2]
            del self._times[thing]
            found.append(thing)
        return found

    def shift(self, by: float) -> None:
        """Move every time."""
        self._times = {thing: (at + by, serial) for thing, (at, serial) in self._times.items()}
        self._heap = [(at, serial, thing) for thing, (at, serial) in self._times.items()]
        heapify(self._heap)
