"""Text to compare with: without regard to case, ``*`` and ``?`` as wildcards."""

import re
from collections.abc import Callable

# What stands for the wildcards of a value while it is read; a character after a backslash is itself.
# Nobody can write these: control characters are refused.
ANY, ONE = "\x01", "\x02"
WILD = {"*": ANY, "?": ONE}
_SHOWN = {ord(ANY): "*", ord(ONE): "?"}

Matches = Callable[[str], bool]


def has_wildcards(value: str) -> bool:
    """Whether a value with marked wildcards has any."""
    return ANY in value or ONE in value


def shown(value: str) -> str:
    """A value as it was written."""
    return value.translate(_SHOWN)


def whole(value: str) -> Matches:
    """Whether all of a text is as the value says."""
    wanted = value.lower()
    if not has_wildcards(wanted):
        return lambda text: text.lower() == wanted
    matches = _compiled(wanted)
    return lambda text: matches(text.lower()) is not None


def part(value: str) -> Matches:
    """Whether some part of a text is as the value says."""
    wanted = value.lower()
    if not has_wildcards(wanted):
        return lambda text: wanted in text.lower()
    matches = _compiled(f"{ANY}{wanted}{ANY}")
    return lambda text: matches(text.lower()) is not None


def _compiled(value: str) -> Callable[[str], "re.Match[str] | None"]:
    """
    A regular expression that takes time in proportion to text and pattern, whatever both are.

    Each piece between two stars is looked for once, at the first place where it
    fits (the groups are atomic): a later place could not help the rest.
    """
    first, *rest = ("".join("." if c == ONE else re.escape(c) for c in piece) for piece in value.split(ANY))
    if rest:
        *middle, last = rest
        first += "".join(f"(?>.*?{piece})" for piece in middle if piece) + f".*{last}"
    return re.compile(first, re.DOTALL).fullmatch
