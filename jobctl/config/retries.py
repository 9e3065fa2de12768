"""When mail of a channel is tried, by priority: ``backoff``, ``notices``, ``after``, hours, demotion by size."""

from collections.abc import Iterable, Mapping

from jobctl.config.findings import Findings
from jobctl.config.reading import Given, Table
from jobctl.config.settings import DEFAULT_BACKOFF, DEFAULT_NOTICES, Backoff, Hours
from jobctl.config.values import Age

_PRIORITIES = {word: word for word in ("urgent", "normal", "nonurgent")}
# How keywords name a priority, and the word for it.
_ALL_PRIORITIES = {**_PRIORITIES, "secondclass": "second_class", "thirdclass": "third_class"}
# Most bare numbers in notices (W:Notices); durations, which the original lacks, may be more.
MAX_AGES = 5
_UNITS = {0: 86400.0, 1: 3600.0}
_BLOCK = 1024


def backoff(tables: Iterable[Table]) -> Backoff:
    """
    Intervals in seconds by priority.

    :param tables: The defaults, then the channel: what ``backoff`` says of all priorities displaces
        what an earlier table said of one.
    """
    result = dict(DEFAULT_BACKOFF)
    for priority, given in _by_priority(tables, "backoff").items():
        assert isinstance(given.value, tuple)
        result[priority] = given.value
    return result


def notices(tables: Iterable[Table], return_units: int, findings: Findings) -> dict[str, tuple[float, ...]]:
    """Ages in seconds by priority, rising; lists that do not rise are problems."""
    result = dict.fromkeys(_PRIORITIES, DEFAULT_NOTICES)
    for priority, given in _by_priority(tables, "notices").items():
        result[priority] = ages(given, return_units, findings)
    return result


def ages(given: Given, return_units: int, findings: Findings) -> tuple[float, ...]:
    """One list of ages in seconds; a problem when it does not rise."""
    assert isinstance(given.value, tuple)
    found: tuple[Age, ...] = given.value
    seconds = tuple(age.number * _UNITS[return_units] if age.bare else age.number for age in found)
    if sum(age.bare for age in found) > MAX_AGES:
        findings.problem_once(given.where, f"at most {MAX_AGES} numbers; durations (P2D) may be more")
    if any(later <= earlier for earlier, later in zip((0.0, *seconds), seconds, strict=False)):
        findings.problem_once(given.where, "ages must rise and be greater than nothing, as in [1, 2, 4, 7]")
    return seconds


def after(tables: Iterable[Table]) -> dict[str, float]:
    """Delay of the first attempt by priority: seconds, or an absolute time."""
    found: dict[str, float] = {}
    for priority, given in _by_priority(tables, "after", _ALL_PRIORITIES).items():
        assert isinstance(given.value, float)
        found[priority] = given.value
    return found


def delivery(of_class: Mapping[str, Hours], tables: Iterable[Table]) -> dict[str, Hours]:
    """Delivery windows by priority: those of the class where the channel says nothing."""
    found = dict(of_class)
    for table in tables:
        for priority in _PRIORITIES:
            given = table.get(f"{priority}_delivery")
            if given is not None:
                found[priority] = given.value  # type: ignore[assignment]
    return found


def demotion(everywhere: Mapping[str, int], tables: Iterable[Table]) -> dict[str, int]:
    """
    Octets above which mail drops by one priority, by priority.

    :param everywhere: What ``[mta]`` says.
    """
    found = dict(everywhere)
    for table in tables:
        for priority in _PRIORITIES:
            given = table.get(f"{priority}blocklimit")
            if given is not None:
                found[priority] = given.value * _BLOCK  # type: ignore[operator]
    return found


def demotion_everywhere(mta: Table) -> dict[str, int]:
    """The ``urgent_block_limit`` family of ``[mta]``; 0 is no limit."""
    found = {}
    for name, priority in (("urgent", "urgent"), ("normal", "normal"), ("non_urgent", "nonurgent")):
        given = mta.get(f"{name}_block_limit")
        if given is not None and given.value:
            found[priority] = given.value * _BLOCK  # type: ignore[operator]
    return found


def _by_priority(
    tables: Iterable[Table], keyword: str, priorities: Mapping[str, str] = _PRIORITIES
) -> dict[str, Given]:
    found: dict[str, Given] = {}
    for table in tables:
        if keyword in table:
            found = dict.fromkeys(priorities.values(), table[keyword])
        found.update({word: table[p + keyword] for p, word in priorities.items() if p + keyword in table})
    return found
