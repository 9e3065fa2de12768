"""Text to expression; every complaint says where, and what would be right."""

import re
from collections.abc import Iterable

from jobctl.selection import patterns
from jobctl.selection.errors import SelectorError
from jobctl.selection.expression import And, Expression, Not, Or, test_of
from jobctl.selection.fields import BY_NAME, FIELDS, Field
from jobctl.selection.kinds import did_you_mean

# Characters of a selector, and brackets and "not" inside each other: beyond what anybody means.
LONGEST = 64 * 1024
DEEPEST = 50

_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")
_OPERATOR = re.compile(r"!=|!~|<=|>=|[=<>~]|in\b", re.IGNORECASE)
_MISTAKES = {"==": "=", "&&": "and", "||": "or", "=~": "~", "<>": "!=", "!": "not", "&": "and", "|": "or"}
_ANGLED = re.compile(r"<([^<>\s]*)>")
_BARE = re.compile(r"(?:\\.|[^\s()\",\\])+", re.DOTALL)
_QUOTED = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_PIECE = re.compile(r"\\(.)|([*?])|([^\\*?]+)", re.DOTALL)
_KEYWORDS = frozenset({"and", "or", "not", "in"})


def parse(text: str) -> Expression:
    """
    :raises SelectorError: It is not a selector.
    """
    if len(text) > LONGEST:
        raise SelectorError(text, LONGEST, f"a selector has at most {LONGEST} characters")
    harmful = next((at for at, c in enumerate(text) if c < " " and c not in "\t\r\n"), None)
    if harmful is not None:
        raise SelectorError(text, harmful, "control characters cannot be part of it")
    reader = _Reader(text)
    if reader.at_end():
        raise reader.error("expected a test such as channel=tcp_local or age>1h; to mean all, say channel=*")
    expression = reader.alternatives(0)
    if not reader.at_end():
        raise reader.unexpected("expected and, or, or the end")
    return expression


class _Reader:
    """Goes through the text once, from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def at_end(self) -> bool:
        self._skip()
        return self._at >= len(self._text)

    def error(self, problem: str, at: int | None = None) -> SelectorError:
        return SelectorError(self._text, self._at if at is None else at, problem)

    def unexpected(self, expected: str) -> SelectorError:
        """What is here makes no sense."""
        mistake = next((m for m in _MISTAKES if self._text.startswith(m, self._at)), None)
        return self.error(expected + (f'; did you mean "{_MISTAKES[mistake]}"?' if mistake else ""))

    def alternatives(self, depth: int) -> Expression:
        terms = [self._conjunction(depth)]
        while self._keyword("or"):
            terms.append(self._conjunction(depth))
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _conjunction(self, depth: int) -> Expression:
        terms = [self._factor(depth)]
        while self._keyword("and"):
            terms.append(self._factor(depth))
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _factor(self, depth: int) -> Expression:
        if depth > DEEPEST:
            self._skip()
            raise self.error(f"brackets and nots go at most {DEEPEST} deep")
        if self._keyword("not"):
            return Not(self._factor(depth + 1))
        if self._take("("):
            opened = self._at
            inner = self.alternatives(depth + 1)
            if not self._take(")"):
                raise self.unexpected(f"expected and, or, or the ) for the bracket in column {opened}")
            return inner
        return self._test()

    def _test(self) -> Expression:
        field = self._field()
        self._skip()
        start = self._at
        op = self._operator(field)
        values = []
        if op == "in":
            values = self._list(field)
        else:
            values = [self._value(field)]
        try:
            return test_of(field, op, tuple(value for _, value in values))
        except ValueError:
            raise self._bad_value(field, op, values, start) from None

    def _bad_value(self, field: Field, op: str, values: list[tuple[int, str]], start: int) -> SelectorError:
        for at, value in values:
            try:
                test_of(field, op, (value,))
            except ValueError as why:
                return self.error(f"{field.name}: {why}", at)
        return self.error(f"{field.name} cannot be compared like this", start)

    def _field(self) -> Field:
        self._skip()
        found = _WORD.match(self._text, self._at)
        if found is None or found[0].lower() in _KEYWORDS:
            raise self.unexpected("expected the name of a field, not or (")
        field = BY_NAME.get(found[0].lower())
        if field is None:
            hint = did_you_mean(found[0], BY_NAME) or f"; there are {_names()}"
            raise self.error(f"there is no field {found[0]}{hint}")
        self._at = found.end()
        return field

    def _operator(self, field: Field) -> str:
        allowed = _operators(field)
        found = _OPERATOR.match(self._text, self._at)
        if found is None:
            raise self.unexpected(f"expected how to compare {field.name}: {_choice(allowed)}")
        op = found[0].lower()
        if self._text.startswith(("==", "=~"), self._at):
            raise self.unexpected(f"{self._text[self._at : self._at + 2]} is no comparison")
        if op not in allowed:
            raise self.error(f"{field.name} cannot be compared with {op}, but with {_choice(allowed)}")
        self._at = found.end()
        return op

    def _list(self, field: Field) -> list[tuple[int, str]]:
        if not self._take("("):
            raise self.error(f"expected values in brackets: {field.name} in ({field.kind.example}, ...)")
        values = [self._value(field)]
        while self._take(","):
            values.append(self._value(field))
        if not self._take(")"):
            raise self.error("expected a comma and a further value, or )")
        return values

    def _value(self, field: Field) -> tuple[int, str]:
        """Where it begins, and itself with its wildcards marked."""
        self._skip()
        start = self._at
        for form, group in ((_QUOTED, 1), (_ANGLED, 1), (_BARE, 0)):
            found = form.match(self._text, start)
            if found is not None:
                self._at = found.end()
                return start, _marked(found[group])
        if self._text.startswith('"', start):
            raise self.error('the quote is not closed: expected a further "')
        raise self.error(f"expected a value for {field.name} such as {field.kind.example}")

    def _keyword(self, word: str) -> bool:
        self._skip()
        found = _WORD.match(self._text, self._at)
        if found is None or found[0].lower() != word:
            return False
        self._at = found.end()
        return True

    def _take(self, character: str) -> bool:
        self._skip()
        if not self._text.startswith(character, self._at):
            return False
        self._at += 1
        return True

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        assert found is not None
        self._at = found.end()


def _operators(field: Field) -> tuple[str, ...]:
    operators = field.kind.operators
    return (*operators, "in") if "=" in operators else operators


def _marked(value: str) -> str:
    """Backslashes taken away, and the wildcards that none protects marked."""
    return "".join(
        escaped or patterns.WILD.get(wild) or plain for escaped, wild, plain in _PIECE.findall(value)
    )


def _names() -> str:
    return ", ".join(field.name for field in FIELDS)


def _choice(words: Iterable[str]) -> str:
    *others, last = words
    return f"{' '.join(others)} or {last}"
