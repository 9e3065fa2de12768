"""Which retry rule applies to a message."""

from collections.abc import Sequence

from jobctl.config.settings import RetryRule
from jobctl.selection.candidate import Selectable
from jobctl.selection.selector import selector


class RetryRules:
    """
    The rules of ``[[retry]]``, compiled once.

    They are numbered from 1; 0 stands for none.
    """

    def __init__(self, rules: Sequence[RetryRule]) -> None:
        self._rules = tuple(rules)
        self._selectors = [selector(rule.where) for rule in rules]

    def __len__(self) -> int:
        return len(self._rules)

    def number(self, candidate: Selectable, now: float) -> int:
        """
        Of the first rule that fits.

        :param now: Epoch seconds.
        """
        for number, one in enumerate(self._selectors, 1):
            if one.matches(candidate, now):
                return number
        return 0

    def rule(self, number: int) -> RetryRule | None:
        """The rule of that number."""
        return self._rules[number - 1] if 0 < number <= len(self._rules) else None
