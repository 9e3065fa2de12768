"""
The wildcards of mapping tables: what ``test -match`` tries.

``%`` is one character, ``*`` any number of them, as many as possible.  A set
before either says which: ``$A`` letters, ``$D`` decimal digits, ``$H`` or
``$X`` hexadecimal, ``$O`` octal, ``$B`` binary, ``$S`` letters, digits, ``_``
and ``$``, ``$T`` blanks and tabs, ``$[abc]``, ``$[a-z]``, ``$[^abc]``.  ``$_``
before one makes it take as little as possible, ``$@`` keeps it out of what is
told (``$^`` ends that).  ``$0*`` ... ``$9*`` is what that wildcard took, once more.
``$`` before anything else makes it ordinary.  Case does not matter.
"""

import re
from collections.abc import Iterator

import msgspec

_SETS = {
    "A": "[A-Za-z]",
    "B": "[01]",
    "D": "[0-9]",
    "H": "[0-9A-Fa-f]",
    "O": "[0-7]",
    "S": "[A-Za-z0-9_$]",
    "T": "[ \\t\\v]",
    "X": "[0-9A-Fa-f]",
}
_ANY = "."
# Longer patterns are nobody's.
MOST = 1000


class Wildcards(msgspec.Struct, frozen=True):
    """
    A pattern that was understood.

    :ivar expression: The regular expression it comes to.
    :ivar elements: Its parts in words, in order.
    """

    expression: "re.Pattern[str]"
    elements: tuple[str, ...]

    def match(self, text: str) -> tuple[str, ...] | None:
        """What each wildcard took; ``None``: no match."""
        found = self.expression.fullmatch(text)
        return None if found is None else found.groups()


class _Reader:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._set, self._named = _ANY, ""
        self._lazy = False
        self._save = True
        self.saved = 0
        self.elements: list[str] = []
        self._literal = ""

    def read(self) -> Iterator[str]:
        """The regular expression, piece by piece."""
        while self._at < len(self._pattern):
            character = self._next()
            if character in "%*":
                yield self._wildcard(character)
            elif character == "$" and self._at < len(self._pattern):
                yield self._dollar()
            else:
                yield self._plain(character)
        if self._named or self._lazy:
            raise ValueError("a set or $_ is followed by neither % nor *")
        self._end_literal()

    def _next(self) -> str:
        character = self._pattern[self._at]
        self._at += 1
        return character

    def _dollar(self) -> str:
        character = self._next()
        if character == "[":
            self._set, self._named = self._given(), self._named
        elif character.upper() in _SETS and self._wild(self._at):
            self._set, self._named = _SETS[character.upper()], f"${character.upper()}"
        elif character == "_":
            self._lazy = True
        elif character in "@^":
            self._save = character == "^"
        elif character.isdecimal() and self._pattern[self._at : self._at + 1] == "*":
            self._at += 1
            return self._again(int(character))
        else:
            return self._plain(character)
        return ""

    def _wild(self, at: int) -> bool:
        return self._pattern[at : at + 1] in ("%", "*")

    def _given(self) -> str:
        end = self._pattern.find("]", self._at + 1)
        if end < 0:
            raise ValueError("$[ is not closed by ]")
        characters = self._pattern[self._at : end]
        self._at = end + 1
        if not self._wild(self._at):
            raise ValueError(f"$[{characters}] is followed by neither % nor *")
        self._named = f"$[{characters}]"
        inverted = characters.startswith("^")
        safe = re.sub(r"([\\\]\[^&~|])", r"\\\1", characters[1:] if inverted else characters)
        try:
            re.compile(f"[{safe}]")
        except re.error as why:
            raise ValueError(f"$[{characters}]: {why.msg}") from None
        return f"[{'^' if inverted else ''}{safe}]"

    def _wildcard(self, character: str) -> str:
        self._end_literal()
        number = f"{self.saved}: " if self._save else ""
        what = f"{number}{self._named}{character}{', as little as possible' if self._lazy else ''}"
        self.elements.append(what)
        expression = self._set + ("" if character == "%" else "*?" if self._lazy else "*")
        self._set, self._named, self._lazy = _ANY, "", False
        if not self._save:
            return f"(?:{expression})"
        self.saved += 1
        return f"({expression})"

    def _again(self, number: int) -> str:
        self._end_literal()
        if number >= self.saved:
            raise ValueError(f"${number}* is a wildcard that does not come before it")
        self.elements.append(f"what {number} took")
        return f"\\{number + 1}(?:)"

    def _plain(self, character: str) -> str:
        if self._named or self._lazy:
            raise ValueError("a set or $_ is followed by neither % nor *")
        self._literal += character
        return re.escape(character)

    def _end_literal(self) -> None:
        if self._literal:
            self.elements.append(f'"{self._literal}"')
            self._literal = ""


def read(pattern: str) -> Wildcards:
    """:raises ValueError: It is not a pattern; the text says why."""
    if len(pattern) > MOST:
        raise ValueError(f"it is longer than {MOST} characters")
    reader = _Reader(pattern)
    expression = "".join(reader.read())
    return Wildcards(re.compile(expression, re.IGNORECASE | re.DOTALL), tuple(reader.elements))
