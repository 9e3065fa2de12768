"""A selector as a tree, and whether a message is meant by it."""

import msgspec

from jobctl.selection import patterns
from jobctl.selection.candidate import Selectable
from jobctl.selection.fields import Field
from jobctl.selection.kinds import CONTRARY, Predicate


class Test(msgspec.Struct, frozen=True):
    """
    One field compared with one value, or with several (``in``).

    :ivar op: As written.
    :ivar values: With wildcards marked; more than one only with ``in``.
    :ivar predicates: One for each value; it is enough that one holds.
    """

    __test__ = False  # no test of pytest's

    field: Field
    op: str
    values: tuple[str, ...]
    predicates: tuple[Predicate, ...]

    def matches(self, candidate: Selectable, now: float) -> bool:
        value = self.field.of(candidate, now)
        holds = any(predicate(value) for predicate in self.predicates)
        return holds is not (self.op in CONTRARY)

    def __str__(self) -> str:
        values = ", ".join(_quoted(value) for value in self.values)
        if self.op == "in":
            return f"{self.field.name} in ({values})"
        return f"{self.field.name}{self.op}{values}"


class Not(msgspec.Struct, frozen=True):
    term: "Expression"

    def matches(self, candidate: Selectable, now: float) -> bool:
        return not self.term.matches(candidate, now)

    def __str__(self) -> str:
        return f"not {_bracketed(self.term)}"


class And(msgspec.Struct, frozen=True):
    terms: tuple["Expression", ...]

    def matches(self, candidate: Selectable, now: float) -> bool:
        return all(term.matches(candidate, now) for term in self.terms)

    def __str__(self) -> str:
        return " and ".join(_bracketed(term) if isinstance(term, Or) else str(term) for term in self.terms)


class Or(msgspec.Struct, frozen=True):
    terms: tuple["Expression", ...]

    def matches(self, candidate: Selectable, now: float) -> bool:
        return any(term.matches(candidate, now) for term in self.terms)

    def __str__(self) -> str:
        return " or ".join(str(term) for term in self.terms)


Expression = Test | Not | And | Or


def test_of(field: Field, op: str, values: tuple[str, ...]) -> Test:
    """:raises ValueError: A value will not do for the field."""
    base = "=" if op == "in" else CONTRARY.get(op, op)
    return Test(field, op, values, tuple(field.kind.predicate(base, value) for value in values))


def _bracketed(term: Expression) -> str:
    return str(term) if isinstance(term, Test) else f"({term})"


def _quoted(value: str) -> str:
    """A value in quotes, its own quotes, backslashes and stars that are no wildcards marked."""
    text = "".join(f"\\{c}" if c in '\\"*?' else c for c in value)
    return f'"{patterns.shown(text)}"'
