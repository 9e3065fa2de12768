"""The numbers of the latest listing of a session, and the messages they stand for."""

import re
from collections.abc import Iterable
from typing import Any

from jobctl.errors import UsageError

_NUMBERS = re.compile(r"\d{1,12}(?:-\d{1,12})?(?:,\d{1,12}(?:-\d{1,12})?)*", re.ASCII)


class Listing:
    """
    What ``directory`` or ``held`` has shown last, numbered from 1.

    Numbers go on from channel to channel, so none means two messages.
    """

    def __init__(self) -> None:
        self._shown: list[tuple[str, str]] = []

    def number(self, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        """Remember rows with ``id`` and ``channel`` in place of what was shown before; gives them with ``no``."""
        numbered = [{"no": place, **row} for place, row in enumerate(rows, 1)]
        self._shown = [(str(row["id"]), str(row["channel"])) for row in numbered]
        return numbered

    @property
    def ids(self) -> list[str]:
        """All that was shown."""
        return [entry for entry, _ in self._shown]

    def everything(self, channel: str | None) -> list[str]:
        """
        Ids of all that was shown, of one channel (``*`` and ``?`` are wildcards) or of all.

        :raises UsageError: There is nothing.
        """
        from jobctl.control.selection import channel_matches

        if not self._shown:
            raise UsageError("nothing has been listed yet: use 'directory' or 'held' first")
        found = [entry for entry, of in self._shown if channel_matches(channel, of)]
        if not found:
            raise UsageError(f"the latest listing shows nothing of channel {channel}")
        return found

    def meant(self, words: Iterable[str], channel: str | None) -> list[str]:
        """
        Ids for words that are ids, numbers, ranges or lists of numbers: ``1,3,20-22``.

        :param channel: Numbers must be of it.
        :raises UsageError: A number that was not shown, or is of another channel.
        """
        ids: list[str] = []
        for word in words:
            if _NUMBERS.fullmatch(word):
                ids += [self._numbered(number, channel) for number in self._numbers(word)]
            else:
                ids += [entry for entry in word.split(",") if entry]
        return list(dict.fromkeys(ids))

    def _numbers(self, word: str) -> Iterable[int]:
        for part in word.split(","):
            first, _, last = part.partition("-")
            low, high = int(first), int(last or first)
            if low > high:
                raise UsageError(f"{part} is no range: write {high}-{low}")
            self._check(low, word)
            self._check(high, word)
            yield from range(low, high + 1)

    def _check(self, number: int, word: str) -> None:
        if not self._shown:
            raise UsageError(f"{word} is a number of a listing: use 'directory' or 'held' first, or give ids")
        if not 1 <= number <= len(self._shown):
            raise UsageError(f"the latest listing has the numbers 1 to {len(self._shown)}, not {number}")

    def _numbered(self, number: int, channel: str | None) -> str:
        from jobctl.control.selection import channel_matches

        entry, of = self._shown[number - 1]
        if not channel_matches(channel, of):
            raise UsageError(f"number {number} is of channel {of}, not of {channel}")
        return entry
