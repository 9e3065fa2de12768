"""Which rules may speak for a host, most specific first (channels reference 1.5)."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from jobctl.config.settings import Rule
from jobctl.config.templates import Template, parse_template
from jobctl.mail.address import normal_domain


class RuleTemplate(msgspec.Struct, frozen=True):
    """A rule with its template taken apart."""

    rule: Rule
    template: Template


class Match(NamedTuple):
    """
    A pattern that fits a host.

    :ivar left: What stands left of the matched part (``$H``).
    :ivar matched: The part that matched (``$D``).
    :ivar rest: The unmatched part of a domain literal (``$L``).
    :ivar catch_all: The pattern fits every host, or every domain literal.
    """

    rules: tuple[RuleTemplate, ...]
    left: str
    matched: str
    rest: str = ""
    catch_all: bool = False


class Patterns:
    """The rules by pattern; ``own`` gives rules of host names that channels have themselves."""

    def __init__(self, rules: Iterable[Rule], own: dict[str, RuleTemplate]) -> None:
        self._rules: dict[str, tuple[RuleTemplate, ...]] = {}
        for rule in rules:
            pattern = _normal(rule.pattern)
            read = RuleTemplate(rule, parse_template(rule.template))
            self._rules[pattern] = (*self._rules.get(pattern, ()), read)
        self._own = own

    def matches(self, host: str) -> Iterator[Match]:
        """
        :param host: A domain in its normal form, or a domain literal.
        :return: What fits, in the order in which it is tried.
        """
        if "$*" in self._rules:
            yield Match(self._rules["$*"], "", host, catch_all=True)
        if host in self._rules:
            yield Match(self._rules[host], "", host)
        if host in self._own:
            yield Match((self._own[host],), "", host)
        yield from self._literals(host) if host.startswith("[") else self._wildcards(host)
        if "." in self._rules:
            yield Match(self._rules["."], host, "", catch_all=True)

    def _literals(self, host: str) -> Iterator[Match]:
        """``[1.2.3.]``, ``[1.2.]``, ``[1.]``, ``[]``."""
        address = host[1:-1]
        parts = address.split(".")
        for kept in range(len(parts) - 1, 0, -1):
            start = ".".join(parts[:kept]) + "."
            if f"[{start}]" in self._rules:
                yield Match(self._rules[f"[{start}]"], "", f"[{start}]", address[len(start) :])
        if "[]" in self._rules:
            yield Match(self._rules["[]"], "", host, address, catch_all=True)

    def _wildcards(self, host: str) -> Iterator[Match]:
        """``*.b.c``, ``.b.c``, ``*.*.c``, ``.c``, ``*.*.*`` for the host ``a.b.c``."""
        labels = host.split(".")
        for cut in range(1, len(labels) + 1):
            tail = "".join(f".{label}" for label in labels[cut:])
            left = ".".join(labels[:cut])
            stars = ".".join("*" * cut)
            for pattern in (stars + tail, tail):
                if pattern and pattern in self._rules:
                    yield Match(self._rules[pattern], left, tail, catch_all=not tail)


def _normal(pattern: str) -> str:
    if pattern.startswith(("[", "$")) or pattern == ".":
        return pattern
    return normal_domain(pattern)
