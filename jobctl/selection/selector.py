"""A selector, ready to be asked."""

import msgspec

from jobctl.selection.candidate import Selectable
from jobctl.selection.expression import Expression
from jobctl.selection.narrowing import Narrowing, narrowing
from jobctl.selection.parser import parse


class Selector(msgspec.Struct, frozen=True):
    """
    Which messages are meant.

    :ivar text: As it was written.
    :ivar narrowed: What the store need not even look at.
    """

    text: str
    expression: Expression
    narrowed: Narrowing

    def matches(self, candidate: Selectable, now: float) -> bool:
        """
        :param now: Epoch seconds, for ages.
        """
        return self.expression.matches(candidate, now)

    def __str__(self) -> str:
        return self.text


def selector(text: str) -> Selector:
    """
    Read a selector.

    :raises SelectorError: It cannot be understood; says where and what would be right.
    """
    expression = parse(text)
    return Selector(text, expression, narrowing(expression))
