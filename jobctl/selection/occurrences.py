"""What ``top`` counts: how often each value is there, in bounded memory."""

from collections.abc import Mapping
from typing import Any

import msgspec

from jobctl.mail.entry import StoredEntry
from jobctl.selection.parts import CONTENT, LONGEST, PARTS, Head, values

# Different values that are counted at a time, of one part.
MOST = 50_000


class Stretch(msgspec.Struct, frozen=True):
    """Part of a value: ``length`` characters from the ``start``-th on, which is 1 for the first."""

    start: int = 1
    length: int = LONGEST

    def of(self, value: str) -> str:
        return value[self.start - 1 : self.start - 1 + min(self.length, LONGEST)]


class Counter:
    """
    Counts values.

    Exact up to :data:`MOST` different ones.  Then the rarer half is dropped, and ``missed`` grows by the
    count of the last one dropped: a value's true count is between what is shown and that plus ``missed``
    (lossy counting, Manku and Motwani, 2002).
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._counts: dict[str, int] = {}
        self.missed = 0

    def add(self, value: str) -> None:
        self._counts[value] = self._counts.get(value, 0) + 1
        if len(self._counts) > self._most:
            self._drop()

    def _drop(self) -> None:
        counts = sorted(self._counts.values(), reverse=True)
        floor = counts[self._most // 2]
        self._counts = {value: count for value, count in self._counts.items() if count > floor}
        self.missed += floor

    def most_frequent(self, top: int, least: int) -> list[tuple[int, str]]:
        """At most ``top`` (count, value), the most frequent first, none below ``least``."""
        found = [(count, value) for value, count in self._counts.items() if count >= least]
        return sorted(found, key=lambda pair: (-pair[0], pair[1]))[:top]


class Occurrences:
    """
    Counts the parts of entries.

    :param stretches: Part to what of it counts.
    :param ignore_untried: Messages that were never tried are left out.
    """

    def __init__(self, stretches: Mapping[str, Stretch], ignore_untried: bool = False) -> None:
        self.counters = {part: Counter() for part in PARTS if part in stretches}
        self._stretches = stretches
        self._ignore_untried = ignore_untried

    def count(self, stored: StoredEntry, head: Head) -> bool:
        """Count one entry; ``False``: it is left out."""
        if self._ignore_untried and not stored.entry.attempts:
            return False
        for part, counter in self.counters.items():
            stretch = self._stretches[part]
            octets = 4 * (stretch.start + stretch.length) if part == CONTENT else 0
            for value in values(part, stored, head, octets):
                counter.add(stretch.of(value))
        return True

    def result(self, messages: int, top: int, least: int) -> dict[str, Any]:
        """
        For an answer.

        :param messages: How many were counted.
        """
        return {
            "messages": messages,
            "parts": [
                {
                    "part": part,
                    "missed": counter.missed,
                    "values": [
                        {"count": count, "value": value} for count, value in counter.most_frequent(top, least)
                    ],
                }
                for part, counter in self.counters.items()
            ],
        }


def check(stretches: Mapping[str, Stretch]) -> None:
    """:raises ValueError: A part or a number that will not do."""
    for part, stretch in stretches.items():
        if part not in PARTS:
            raise ValueError(f"no part of a message is called {part}: there are {', '.join(PARTS)}")
        if stretch.start < 1 or stretch.length < 1:
            raise ValueError(f"{part}: START and LENGTH are at least 1")
        if part == CONTENT and stretch.start + stretch.length > LONGEST * 64:
            raise ValueError(f"{part}: only the first {LONGEST * 64} characters are looked at")
