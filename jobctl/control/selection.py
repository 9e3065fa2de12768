"""Which messages a list is asked for: the patterns of ``qm.directory``, with and without a daemon."""

import fnmatch
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

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


def selector(request: "QmDirectory") -> Callable[[str, bool, str, Sequence[str]], bool]:
    """
    Compile what a list request asks for.

    :return: Tells of a message's channel, whether it is held, its sender and its recipients' addresses
        whether it belongs in the list.
    """

    def wanted(channel: str, held: bool, sender: str, recipients: Sequence[str]) -> bool:
        if not channel_matches(request.channel, channel) or request.held not in (None, held):
            return False
        tests = []
        if request.sender is not None:
            tests.append(address_matches(request.sender, sender))
        if request.recipient is not None:
            tests.append(any(address_matches(request.recipient, address) for address in recipients))
        if not tests:
            return True
        return all(tests) if request.match == "and" else any(tests)

    return wanted


def _only_star_and_question(pattern: str) -> str:
    """``[`` is an ordinary character here: address literals have it."""
    return pattern.replace("[", "[[]")
