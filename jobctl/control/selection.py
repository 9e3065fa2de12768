"""Which messages a list is asked for: the patterns of ``qm.directory``, with and without a daemon."""

import fnmatch
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from jobctl.selection.candidate import Selectable
from jobctl.selection.selector import selector

if TYPE_CHECKING:
    from jobctl.control.requests import QmDirectory


def channel_matches(pattern: str | None, name: str) -> bool:
    """Whether a name, which may have the wildcards ``*`` and ``?``, means a channel; ``None`` means all."""
    return pattern is None or fnmatch.fnmatchcase(name, _only_star_and_question(pattern))


def matching_channels(pattern: str, names: Iterable[str]) -> list[str]:
    """The names meant by a pattern, sorted."""
    return sorted(name for name in names if channel_matches(pattern, name))


def address_matches(pattern: str, address: str) -> bool:
    """
    Whether an address is meant, without regard to case.

    ``<>`` is the null sender; with wildcards the whole address must match, without any part of it does.
    """
    pattern, address = pattern.lower(), address.lower()
    if pattern == "<>":
        return not address
    if "*" in pattern or "?" in pattern:
        return fnmatch.fnmatchcase(address, _only_star_and_question(pattern))
    return pattern in address


def in_list(request: "QmDirectory", now: float) -> Callable[[Selectable], bool]:
    """
    Compile what a list request asks for.

    :param now: Epoch seconds, for ages.
    :return: Tells of a message whether it belongs in the list.
    :raises jobctl.selection.errors.SelectorError: ``where`` cannot be understood.
    """
    where = None if request.where is None else selector(request.where)

    def wanted(candidate: Selectable) -> bool:
        if not channel_matches(request.channel, candidate.channel):
            return False
        if request.held not in (None, candidate.state == "held"):
            return False
        tests = []
        if request.sender is not None:
            tests.append(address_matches(request.sender, candidate.sender))
        if request.recipient is not None:
            tests.append(any(address_matches(request.recipient, a) for a in candidate.recipients))
        if tests and not (all(tests) if request.match == "and" else any(tests)):
            return False
        return where is None or where.matches(candidate, now)

    return wanted


def _only_star_and_question(pattern: str) -> str:
    """``[`` is an ordinary character here: address literals have it."""
    return pattern.replace("[", "[[]")
