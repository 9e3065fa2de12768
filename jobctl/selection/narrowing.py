"""What a selector says for certain about where to look, so that a list of one channel does not read all."""

from collections.abc import Iterable

import msgspec

from jobctl.selection import patterns
from jobctl.selection.expression import And, Expression, Not, Or, Test
from jobctl.selection.fields import STATES
from jobctl.selection.kinds import CONTRARY, PART


class Narrowing(msgspec.Struct, frozen=True):
    """
    Conditions that every message meant fulfils; what fulfils them need not be meant.

    :ivar ids: Only these, ``None``: any.
    :ivar channels: Only channels that one of these fits (wildcards marked), ``None``: any.
    :ivar hosts: Only these hosts, lower case, ``None``: any.
    :ivar held: ``True`` only held ones, ``False`` only others, ``None`` both.
    """

    ids: frozenset[str] | None = None
    channels: frozenset[str] | None = None
    hosts: frozenset[str] | None = None
    held: bool | None = None

    def meant_channels(self, names: Iterable[str]) -> list[str]:
        """Those of the names that can have messages that are meant."""
        if self.channels is None:
            return list(names)
        fitting = [patterns.whole(channel) for channel in self.channels]
        return [name for name in names if any(fits(name) for fits in fitting)]


ANYTHING = Narrowing()


def narrowing(expression: Expression) -> Narrowing:
    """What can be said for certain of all that the expression means."""
    return _of(expression, wanted=True)


def _of(expression: Expression, wanted: bool) -> Narrowing:
    """:param wanted: Whether the expression is to hold, or not to."""
    if isinstance(expression, Not):
        return _of(expression.term, not wanted)
    if isinstance(expression, Test):
        return _of_test(expression, wanted)
    parts = [_of(term, wanted) for term in expression.terms]
    if isinstance(expression, And) is wanted:
        return _all(parts)
    assert isinstance(expression, And | Or)
    return _one(parts)


def _of_test(test: Test, wanted: bool) -> Narrowing:
    contrary = test.op in CONTRARY
    if test.field.name == "state":
        meant = {s for s in STATES if (any(p(s) for p in test.predicates) is not contrary) is wanted}
        return Narrowing(held=False if "held" not in meant else True if meant == {"held"} else None)
    if contrary is wanted or test.op in PART:
        return ANYTHING
    if test.field.name == "channel":
        return Narrowing(channels=frozenset(test.values))
    if any(patterns.has_wildcards(value) for value in test.values):
        return ANYTHING
    if test.field.name == "id":
        return Narrowing(ids=frozenset(value.upper() for value in test.values))
    if test.field.name == "host":
        return Narrowing(hosts=frozenset(value.lower() for value in test.values))
    return ANYTHING


def _all(parts: list[Narrowing]) -> Narrowing:
    """What holds where all of them do."""
    channels = [part.channels for part in parts if part.channels is not None]
    return Narrowing(
        ids=_common(part.ids for part in parts),
        # Of patterns each is true on its own: the shortest list says most.
        channels=min(channels, key=len, default=None),
        hosts=_common(part.hosts for part in parts),
        held=next((part.held for part in parts if part.held is not None), None),
    )


def _one(parts: list[Narrowing]) -> Narrowing:
    """What holds where one of them does."""
    held = {part.held for part in parts}
    return Narrowing(
        ids=_together(part.ids for part in parts),
        channels=_together(part.channels for part in parts),
        hosts=_together(part.hosts for part in parts),
        held=held.pop() if len(held) == 1 else None,
    )


def _common(sets: "Iterable[frozenset[str] | None]") -> "frozenset[str] | None":
    known = [some for some in sets if some is not None]
    return frozenset.intersection(*known) if known else None


def _together(sets: "Iterable[frozenset[str] | None]") -> "frozenset[str] | None":
    known = list(sets)
    if any(some is None for some in known):
        return None
    return frozenset().union(*(some for some in known if some is not None))
