"""The kinds of fields: which operators and values each takes, and what they mean."""

import difflib
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import msgspec

from jobctl.mail.address import normal_domain
from jobctl.selection import patterns, quantities
from jobctl.selection.candidate import codes

# What a field's value must be for a test to hold.
Predicate = Callable[[Any], bool]

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
EQUAL = ("=", "!=")
PART = ("~", "!~")
ORDER = tuple(_ORDER)
# Operators that say the contrary of another; the expression negates for them.
CONTRARY = {"!=": "=", "!~": "~"}


class Kind(Protocol):
    """
    :ivar operators: Those that it takes; ``in`` goes wherever ``=`` does.
    :ivar example: A value.
    """

    @property
    def operators(self) -> tuple[str, ...]: ...
    @property
    def example(self) -> str: ...

    def predicate(self, op: str, value: str) -> Predicate:
        """
        :param op: One of :attr:`operators` that is no key of :data:`CONTRARY`.
        :param value: With its wildcards marked, see :mod:`jobctl.selection.patterns`.
        :raises ValueError: The value will not do; says what would.
        """
        ...


class Text(msgspec.Struct, frozen=True):
    """One text or several; it is enough that one of them is as asked."""

    example: str
    operators: tuple[str, ...] = (*EQUAL, *PART)

    def predicate(self, op: str, value: str) -> Predicate:
        return _any(patterns.whole(value) if op == "=" else patterns.part(value))


class Domain(msgspec.Struct, frozen=True):
    """Domains, compared in the one form that :func:`jobctl.mail.address.normal_domain` gives them."""

    example: str = "example.com"
    operators: tuple[str, ...] = (*EQUAL, *PART)

    def predicate(self, op: str, value: str) -> Predicate:
        if "@" in value:
            raise ValueError(f"{patterns.shown(value)!r} is an address; a domain is what stands after the @")
        if not patterns.has_wildcards(value):
            value = normal_domain(value)
        return _any(patterns.whole(value) if op == "=" else patterns.part(value))


class Number(msgspec.Struct, frozen=True):
    """A whole number."""

    example: str = "5"
    operators: tuple[str, ...] = (*EQUAL, *ORDER)

    def predicate(self, op: str, value: str) -> Predicate:
        if not (value.isascii() and value.isdigit() and len(value) < 16):
            raise ValueError(f"{patterns.shown(value)!r} is no number")
        return _compared(op, int(value))


class Size(msgspec.Struct, frozen=True):
    """Octets, with units."""

    example: str = "10KB"
    operators: tuple[str, ...] = (*EQUAL, *ORDER)

    def predicate(self, op: str, value: str) -> Predicate:
        return _compared(op, quantities.octets(patterns.shown(value)))


class Span(msgspec.Struct, frozen=True):
    """Seconds, with units; nothing is ever just an hour old, so there is no ``=``."""

    example: str = "1h"
    operators: tuple[str, ...] = ORDER

    def predicate(self, op: str, value: str) -> Predicate:
        return _compared(op, quantities.duration(patterns.shown(value)))


class Choice(msgspec.Struct, frozen=True):
    """
    One of some words.

    :ivar words: Each with the values that it means.
    """

    words: dict[str, frozenset[str]]
    example: str
    operators: tuple[str, ...] = EQUAL

    def predicate(self, op: str, value: str) -> Predicate:
        word = patterns.shown(value).lower().replace("-", "_")
        meant = self.words.get(word)
        if meant is None:
            raise ValueError(f"{word!r} is none of {', '.join(self.words)}{did_you_mean(word, self.words)}")
        return meant.__contains__


class Code(msgspec.Struct, frozen=True):
    """
    The codes that begin a reply: its three digits and its enhanced status, whichever fits.

    ``~`` asks how they begin: ``4`` fits 451 and 4.7.1, ``4.7`` every 4.7.x and not 4.71.1.  Greater and
    less compare the three digits; without any they never hold.
    """

    example: str = "4.7"
    operators: tuple[str, ...] = (*EQUAL, *PART, *ORDER)

    def predicate(self, op: str, value: str) -> Predicate:
        if op in _ORDER:
            if not (value.isascii() and value.isdigit() and len(value) == 3):
                raise ValueError(f"{patterns.shown(value)!r} is no reply code such as 451")
            above, limit = _ORDER[op], int(value)
            return lambda reply: bool(code := codes(reply)[0]) and above(int(code), limit)
        text = patterns.shown(value)
        if text.strip("0123456789.*?"):
            raise ValueError(f"{text!r} is no code: write 451, 4.7.1, 4.7 or 4.*; last.text has the words")
        if op == "=":
            matches = patterns.whole(value)
            return lambda reply: any(matches(code) for code in codes(reply) if code)
        if patterns.has_wildcards(value):
            begins = patterns.whole(value + patterns.ANY)
            return lambda reply: any(begins(code) for code in codes(reply) if code)
        labels = text.removesuffix(".") + "."

        def fits(reply: str) -> bool:
            code, status = codes(reply)
            return (bool(text) and code.startswith(text)) or (status + ".").startswith(labels)

        return fits


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a complaint: the word that was probably meant, or nothing."""
    close = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def _any(matches: patterns.Matches) -> Predicate:
    def holds(texts: Sequence[str]) -> bool:
        return any(map(matches, texts))

    return holds


def _compared(op: str, limit: float) -> Predicate:
    if op == "=":
        return lambda value: bool(value == limit)
    compare = _ORDER[op]
    return lambda value: bool(compare(value, limit))
