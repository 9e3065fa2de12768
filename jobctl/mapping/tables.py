"""Mapping tables, and what they make of a probe."""

import re
from collections.abc import Mapping

import msgspec

from jobctl.mapping.patterns import Looks, Pattern
from jobctl.mapping.patterns import read as read_pattern
from jobctl.mapping.templates import Template, read_template

# Rounds of $R, and questions to other tables, of one probe: one that leads in circles comes to an end.
_MOST_ROUNDS = 200
# Characters of a text: one that grows with each round of $R does not grow for ever.
_LONGEST = 16384
# How deep tables may ask each other.
_MOST_DEPTH = 10
# A pattern ends at the first blank that no dollar sign makes part of it.
_ENTRY = re.compile(r"((?:\$.|[^\s$])+)(?:\s+(\S.*))?")


class Entry(msgspec.Struct, frozen=True):
    """One line of a table; ``text`` as written."""

    pattern: Pattern
    template: Template
    text: str
    line: int = 0


class Result(msgspec.Struct, frozen=True):
    """
    What a table makes of a probe.

    :ivar matched: An entry applied; with ``entry``, the last one.
    """

    text: str
    flags: frozenset[str] = frozenset()
    matched: bool = False
    entry: Entry | None = None


class Tables:
    """All tables of a configuration; names in upper case."""

    def __init__(self, tables: Mapping[str, tuple[Entry, ...]]) -> None:
        self._tables = dict(tables)

    def __contains__(self, name: str) -> bool:
        return name in self._tables

    def __bool__(self) -> bool:
        return bool(self._tables)

    def names(self) -> list[str]:
        """In the order of the configuration."""
        return list(self._tables)

    def probe(self, name: str, text: str, flags: frozenset[str] = frozenset()) -> Result:
        """
        What a table makes of ``text``; without a match the text itself.

        :param flags: Set from the beginning.
        """
        return _Walk(self._tables).probe(name, text, flags, 0)


class _Walk:
    """One probe through the tables, and how far it may still go."""

    def __init__(self, tables: Mapping[str, tuple[Entry, ...]]) -> None:
        self._tables = tables
        self._rounds = _MOST_ROUNDS
        self._looks = Looks()

    def probe(self, name: str, text: str, flags: frozenset[str], depth: int) -> Result:
        entries = self._tables.get(name, ())
        result = Result(text, flags)
        at = 0
        while at < len(entries):
            entry = entries[at]
            at += 1
            made = self._apply(entry, result.text, result.flags, depth)
            if made is None:
                continue
            if len(made) > _LONGEST:
                break
            result = Result(made, result.flags | entry.template.flags, True, entry)
            if entry.template.follows == "R" and self._rounds > 0:
                self._rounds -= 1
                at = 0
            elif entry.template.follows != "C":
                break
        return result

    def _apply(self, entry: Entry, text: str, flags: frozenset[str], depth: int) -> str | None:
        found = entry.pattern.match(text, self._looks)
        if found is None or not all((one.flag in flags) is one.wanted for one in entry.template.conditions):
            return None

        def look_up(table: str, argument: str) -> str | None:
            if depth >= _MOST_DEPTH or self._rounds <= 0 or len(argument) > _LONGEST:
                return None
            self._rounds -= 1
            other = self.probe(table, argument, frozenset(), depth + 1)
            return other.text if other.matched else None

        return entry.template.result(found, look_up)


def compiled(texts: Mapping[str, str]) -> Tables:
    """Tables from their texts, which the configuration has checked."""
    return Tables({name: read_table(text)[0] for name, text in texts.items()})


def read_table(text: str, first_line: int = 1) -> tuple[tuple[Entry, ...], list[tuple[int, str]]]:
    """
    Read a table: an entry a line, pattern and template with blanks between; ``!`` begins a comment.

    :param first_line: The number of its first line where it stands.
    :return: The entries, and what is wrong: number of the line and words.
    """
    entries: list[Entry] = []
    wrong: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), first_line):
        line = line.strip()
        if not line or line.startswith("!"):
            continue
        parts = _ENTRY.fullmatch(line)
        try:
            if parts is None:
                raise ValueError("an entry is a pattern, blanks, and a template")
            entry = Entry(read_pattern(parts[1]), read_template(parts[2] or ""), line, number)
        except ValueError as why:
            wrong.append((number, f"{line[:60]!r}: {why}"))
            continue
        entries.append(entry)
    return tuple(entries), wrong
