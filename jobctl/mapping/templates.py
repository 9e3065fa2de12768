"""
The right side of a mapping entry.

``$0`` to ``$9`` are what the wildcards stood for; ``$|TABLE;text|`` is what another table makes of a text; ``$C``
goes on with the next entry, ``$R`` with the first, both with the result; ``$E`` ends here.  ``$:x`` applies
the entry only where flag ``x`` is set, ``$;x`` only where it is not.  Any other letter after a dollar
sign sets the flag of that name; ``$$`` is a dollar sign, ``$ `` a blank.
"""

from collections.abc import Callable

import msgspec


class Text(msgspec.Struct, frozen=True):
    """Characters that stand for themselves."""

    text: str


class Group(msgspec.Struct, frozen=True):
    """What the wildcard of this number stood for."""

    number: int


class Lookup(msgspec.Struct, frozen=True):
    """Another table's result; where it has none the entry does not apply."""

    table: str
    argument: tuple["Text | Group", ...]


class Condition(msgspec.Struct, frozen=True):
    """The entry applies where a flag is set, or is not."""

    flag: str
    wanted: bool


class Template(msgspec.Struct, frozen=True):
    """
    :ivar follows: ``C``, ``R``, ``E``, or ``""``: as ``E``.
    :ivar flags: Set by the entry.
    """

    parts: tuple[Text | Group | Lookup, ...]
    flags: frozenset[str] = frozenset()
    conditions: tuple[Condition, ...] = ()
    follows: str = ""

    def result(self, found: tuple[str, ...], look_up: Callable[[str, str], str | None]) -> str | None:
        """
        The text it makes.

        :param found: What the wildcards stood for.
        :param look_up: Table and text to result, ``None``: none.
        """
        made = []
        for part in self.parts:
            if isinstance(part, Lookup):
                other = look_up(part.table, "".join(_plain(one, found) for one in part.argument))
                if other is None:
                    return None
                made.append(other)
            else:
                made.append(_plain(part, found))
        return "".join(made)


def _plain(part: Text | Group, found: tuple[str, ...]) -> str:
    if isinstance(part, Text):
        return part.text
    return found[part.number] if part.number < len(found) else ""


def read_template(text: str) -> Template:
    """:raises ValueError: It is not a template, with why."""
    parts: list[Text | Group | Lookup] = []
    flags: set[str] = set()
    conditions: list[Condition] = []
    follows = ""
    at = 0
    while at < len(text):
        letter = text[at]
        if letter != "$":
            parts.append(Text(letter))
            at += 1
            continue
        sign = text[at + 1 : at + 2]
        at += 2
        if not sign:
            raise ValueError("a dollar sign at the end: write $$ for one")
        if sign in "CRE":
            follows = sign
        elif sign.isascii() and sign.isdigit():
            parts.append(Group(int(sign)))
        elif sign in ":;":
            if at >= len(text):
                raise ValueError(f"${sign} without a flag")
            conditions.append(Condition(text[at].upper(), sign == ":"))
            at += 1
        elif sign == "|":
            lookup, at = _lookup(text, at)
            parts.append(lookup)
        elif sign in "[]{(?#}":
            raise ValueError(f"${sign} (routines, directories, databases, errors, sequences) is not there")
        elif sign.isalpha() or sign in "<>":
            flags.add(sign.upper())
        else:
            parts.append(Text(sign))
    return Template(tuple(_joined(parts)), frozenset(flags), tuple(conditions), follows)


def _joined(parts: list[Text | Group | Lookup]) -> list[Text | Group | Lookup]:
    joined: list[Text | Group | Lookup] = []
    for part in parts:
        last = joined[-1] if joined else None
        if isinstance(part, Text) and isinstance(last, Text):
            joined[-1] = Text(last.text + part.text)
        else:
            joined.append(part)
    return joined


def _lookup(text: str, at: int) -> tuple[Lookup, int]:
    end = text.find("|", at)
    name, semicolon, argument = text[at:end].partition(";")
    if end < 0 or not semicolon or not name:
        raise ValueError("write $|TABLE;text|")
    inner = read_template(argument)
    if inner.flags or inner.conditions or inner.follows:
        raise ValueError("the text for another table has no flags")
    return Lookup(name.upper(), tuple(part for part in inner.parts if not isinstance(part, Lookup))), end + 1
