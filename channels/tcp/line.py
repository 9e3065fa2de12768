"""The messages that wait for a connection to one host: senders take turns."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator

from channels.tcp.assignment import Assignment


class Line:
    """
    First come, first served among the messages of one share; the shares take turns, a message each.

    So one sender's flood that is in hand already does not delay the next sender's message by all of it.
    """

    def __init__(self) -> None:
        self._shares: OrderedDict[str, deque[Assignment]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, assignment: Assignment) -> None:
        """It waits, behind those of its share."""
        waiting = self._shares.get(assignment.share)
        if waiting is None:
            waiting = self._shares[assignment.share] = deque()
        waiting.append(assignment)
        self._count += 1

    def put_back(self, assignment: Assignment) -> None:
        """It has to begin again, before all others."""
        self._shares.setdefault(assignment.share, deque()).appendleft(assignment)
        self._shares.move_to_end(assignment.share, last=False)
        self._count += 1

    @property
    def first(self) -> Assignment | None:
        """The next one, which stays."""
        return next(iter(self._shares.values()))[0] if self._count else None

    def take(self) -> Assignment | None:
        """The next one."""
        if not self._count:
            return None
        share, waiting = next(iter(self._shares.items()))
        assignment = waiting.popleft()
        self._count -= 1
        if not waiting:
            del self._shares[share]
        elif len(self._shares) > 1:
            self._shares.move_to_end(share)
        return assignment

    def take_all(self) -> Iterator[Assignment]:
        """One after the other, until there is none."""
        while (assignment := self.take()) is not None:
            yield assignment
