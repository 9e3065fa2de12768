"""``backoff`` and ``notices`` of a channel, by priority."""

from collections.abc import Iterable

from jobctl.config.findings import Findings
from jobctl.config.reading import Given, Table
from jobctl.config.settings import DEFAULT_BACKOFF, DEFAULT_NOTICES, Backoff
from jobctl.config.values import Age

_PRIORITIES = ("urgent", "normal", "nonurgent")
# Most bare numbers in notices (W:Notices); durations, which the original lacks, may be more.
MAX_AGES = 5
_UNITS = {0: 86400.0, 1: 3600.0}


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
        assert isinstance(given.value, tuple)
        ages: tuple[Age, ...] = given.value
        seconds = tuple(age.number * _UNITS[return_units] if age.bare else age.number for age in ages)
        if sum(age.bare for age in ages) > MAX_AGES:
            findings.problem_once(given.where, f"at most {MAX_AGES} numbers; durations (P2D) may be more")
        if any(later <= earlier for earlier, later in zip((0.0, *seconds), seconds, strict=False)):
            findings.problem_once(
                given.where, "ages must rise and be greater than nothing, as in [1, 2, 4, 7]"
            )
        result[priority] = seconds
    return result


def _by_priority(tables: Iterable[Table], keyword: str) -> dict[str, Given]:
    found: dict[str, Given] = {}
    for table in tables:
        if keyword in table:
            found = dict.fromkeys(_PRIORITIES, table[keyword])
        found.update({p: table[p + keyword] for p in _PRIORITIES if p + keyword in table})
    return found
