"""
The left side of a mapping entry.

``%`` is one character, ``*`` any number of them, as many as possible.  A set
before either says which: ``$A`` letters, ``$D`` decimal digits, ``$H`` or
``$X`` hexadecimal, ``$O`` octal, ``$B`` binary, ``$S`` letters, digits, ``_``
and ``$``, ``$T`` blanks and tabs, ``$[abc]``, ``$[a-z]``, ``$[^abc]``.  ``$_``
before one makes it take as little as possible, ``$@`` keeps it out of what is
told (``$^`` ends that).  ``$0*`` ... ``$9*`` is what that wildcard took, once more.
``$(192.0.2.0/24)`` is an IPv4 address of a network, ``${2001:db8::/32}`` an IPv6 one.
``$`` before anything else makes it ordinary.  Case does not matter.
"""

import ipaddress
import string
from collections.abc import Callable

import msgspec

Letters = Callable[[str], bool]

_SETS: dict[str, frozenset[str]] = {
    "A": frozenset(string.ascii_letters),
    "B": frozenset("01"),
    "D": frozenset(string.digits),
    "H": frozenset(string.hexdigits),
    "O": frozenset(string.octdigits),
    "S": frozenset(string.ascii_letters + string.digits + "_$"),
    "T": frozenset(" \t\v"),
    "X": frozenset(string.hexdigits),
}
# Longer patterns, or with more parts, are nobody's; a part costs a few frames of the stack.
MOST = 1000
MOST_PARTS = 100
# Looks that back references may cost a probe; without them no text costs more than its
# length times the number of parts.
MOST_LOOKS = 200_000
# Octets of the longest text form of an address.
_LONGEST_ADDRESS = 45


class Literal(msgspec.Struct, frozen=True):
    """Characters that stand for themselves, in lower case."""

    text: str


class Again(msgspec.Struct, frozen=True):
    """What the wildcard of this number took, once more."""

    number: int


class Wild(msgspec.Struct, frozen=True):
    """
    Characters that are not said.

    :ivar letters: Which; ``None``: any.
    :ivar one: Exactly one, else any number.
    :ivar lazy: As few as possible.
    :ivar saved: What it took is told.
    :ivar whole: What they must be together: an address of a network.
    """

    letters: Letters | None = None
    one: bool = False
    lazy: bool = False
    saved: bool = True
    whole: Letters | None = None


Element = Literal | Wild | Again


class Pattern:
    """
    A pattern that was understood.

    :ivar elements: Its parts in words, in order.
    """

    def __init__(self, parts: list[Element], elements: tuple[str, ...]) -> None:
        self._parts = parts
        self._refers = any(isinstance(part, Again) for part in parts)
        self.elements = elements

    def match(self, text: str, looks: "Looks | None" = None) -> tuple[str, ...] | None:
        """
        What each wildcard took; ``None``: no match.

        :param looks: Shared with other patterns of the same probe.
        """
        took: list[str] = []
        search = _Search(self._parts, text, (looks or Looks()) if self._refers else None)
        return tuple(took) if search.rest(0, 0, took) else None


class Looks:
    """How often patterns with back references may still look; ``left`` goes down to 0."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = MOST_LOOKS


class _Search:
    """
    One text against one pattern.

    Where it is known that the rest cannot match is remembered: without that a few wildcards
    and a text made for it would take for ever. For a wildcard these are stretches: when nothing behind
    it matches from a place to the end of what it may take, no later place in between helps.
    """

    def __init__(self, parts: list[Element], text: str, looks: Looks | None) -> None:
        self._parts = parts
        self._text = text
        self._low = text.lower() if len(text.lower()) == len(text) else "".join(map(_low, text))
        self._limit = looks
        # What each wildcard took, in lower case: back references look at it again and again.
        self._lows: list[str] = []
        self._hopeless: set[tuple[int, int]] = set()
        self._stretches: dict[int, tuple[int, int]] = {}  # part to the last place to place of its letters
        self._failed: dict[int, tuple[int, int]] = {}  # part to ends behind which nothing matches

    def rest(self, at: int, place: int, took: list[str]) -> bool:
        """Whether the parts from ``at`` match the text from ``place`` to its end."""
        if at == len(self._parts):
            return place == len(self._text)
        if (at, place) in self._hopeless:
            return False
        if self._limit is not None:
            if self._limit.left <= 0:
                return False
            self._limit.left -= 1
        part = self._parts[at]
        if isinstance(part, Wild):
            if self._wild(part, at, place, took):
                return True
        else:
            wanted = part.text if isinstance(part, Literal) else self._lows[part.number]
            if self._low.startswith(wanted, place) and self.rest(at + 1, place + len(wanted), took):
                return True
        if self._limit is None:
            self._hopeless.add((at, place))
        return False

    def _wild(self, wild: Wild, at: int, place: int, took: list[str]) -> bool:
        text = self._text
        longest = self._longest(wild, at, place)
        past = longest + 1
        remembers = self._limit is None and not (wild.one or wild.whole)
        if remembers:
            begun, ended = self._failed.get(at, (past, longest))
            past = begun if ended == longest else past
        ends = range(place + (1 if wild.one or wild.whole else 0), past)
        for end in ends if wild.lazy else reversed(ends):
            if wild.whole is not None and not wild.whole(text[place:end]):
                continue
            if wild.saved:
                took.append(text[place:end])
                self._lows.append(self._low[place:end])
            if self.rest(at + 1, end, took):
                return True
            if wild.saved:
                took.pop()
                self._lows.pop()
        if remembers:
            self._failed[at] = (min(place, past), longest)
        return False

    def _longest(self, wild: Wild, at: int, place: int) -> int:
        """The last place to which the wildcard's letters go on."""
        text = self._text
        limit = len(text)
        if wild.one:
            limit = min(limit, place + 1)
        elif wild.whole is not None:
            limit = min(limit, place + _LONGEST_ADDRESS)
        if wild.letters is None:
            return limit
        begun, ended = self._stretches.get(at, (-1, -1))
        longest = place
        while longest < limit and wild.letters(text[longest]):
            longest += 1
            if begun <= longest <= ended and not (wild.one or wild.whole):
                longest = ended
                break
        self._stretches[at] = (place, longest)
        return longest


def _low(letter: str) -> str:
    """Lower case of the same length, so that places stay what they are."""
    low = letter.lower()
    return low if len(low) == len(letter) else letter


class _Reader:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._letters: Letters | None = None
        self._named = ""
        self._lazy = False
        self._save = True
        self._saved = 0
        self._literal = ""
        self.parts: list[Element] = []
        self.words: list[str] = []

    def read(self) -> None:
        while self._at < len(self._pattern):
            character = self._next()
            if character in "%*":
                self._wildcard(character)
            elif character == "$" and self._at < len(self._pattern):
                self._dollar()
            else:
                self._plain(character)
        if self._named or self._lazy:
            raise ValueError("a set or $_ is followed by neither % nor *")
        self._end_literal()

    def _next(self) -> str:
        character = self._pattern[self._at]
        self._at += 1
        return character

    def _dollar(self) -> None:
        character = self._next()
        following = self._pattern[self._at : self._at + 1]
        if character == "[":
            self._given()
        elif character in "({":
            self._network(character)
        elif character.upper() in _SETS and following and following in "%*":
            self._letters, self._named = _SETS[character.upper()].__contains__, f"${character.upper()}"
        elif character == "_":
            self._lazy = True
        elif character in "@^":
            self._save = character == "^"
        elif character.isascii() and character.isdigit() and following == "*":
            self._at += 1
            self._again(int(character))
        else:
            self._plain(character)

    def _given(self) -> None:
        end = self._pattern.find("]", self._at + 1)
        if end < 0:
            raise ValueError("$[ is not closed by ]")
        characters = self._pattern[self._at : end]
        self._at = end + 1
        if self._pattern[self._at : self._at + 1] not in ("%", "*"):
            raise ValueError(f"$[{characters}] is followed by neither % nor *")
        self._named = f"$[{characters}]"
        self._letters = _one_of(characters)

    def _network(self, opening: str) -> None:
        closing = ")" if opening == "(" else "}"
        end = self._pattern.find(closing, self._at)
        if end < 0:
            raise ValueError(f"${opening} is not closed by {closing}")
        given = self._pattern[self._at : end]
        self._at = end + 1
        try:
            network = ipaddress.ip_network(given, strict=False)
        except ValueError:
            raise ValueError(f"{given!r} is no network") from None
        if (network.version == 4) is not (opening == "("):
            raise ValueError("an IPv4 network stands in $(...), an IPv6 one in ${...}")

        def inside(text: str) -> bool:
            try:
                return ipaddress.ip_address(text) in network
            except ValueError:
                return False

        letters = frozenset(string.hexdigits + ".:" if network.version == 6 else string.digits + ".")
        self._add(Wild(letters.__contains__, saved=self._save, whole=inside), f"an address of {network}")

    def _wildcard(self, character: str) -> None:
        named = f"{self._named}{character}{', as little as possible' if self._lazy else ''}"
        self._add(Wild(self._letters, character == "%", self._lazy, self._save), named)
        self._letters, self._named, self._lazy = None, "", False

    def _add(self, wild: Wild, words: str) -> None:
        self._end_literal()
        self.words.append(f"{self._saved}: {words}" if wild.saved else words)
        self.parts.append(wild)
        self._saved += wild.saved

    def _again(self, number: int) -> None:
        self._end_literal()
        if number >= self._saved:
            raise ValueError(f"${number}* is a wildcard that does not come before it")
        self.words.append(f"what {number} took")
        self.parts.append(Again(number))

    def _plain(self, character: str) -> None:
        if self._named or self._lazy:
            raise ValueError("a set or $_ is followed by neither % nor *")
        self._literal += character

    def _end_literal(self) -> None:
        if self._literal:
            self.words.append(f'"{self._literal}"')
            self.parts.append(Literal("".join(map(_low, self._literal))))
            self._literal = ""


def _one_of(characters: str) -> Letters:
    """The characters of a set: single ones and ranges, all others after ``^``; case does not matter."""
    inverted = characters.startswith("^")
    left = characters[1:] if inverted else characters
    ranges: list[tuple[str, str]] = []
    at = 0
    while at < len(left):
        if left[at + 1 : at + 2] == "-" and at + 2 < len(left):
            if left[at] > left[at + 2]:
                raise ValueError(f"$[{characters}]: bad character range {left[at : at + 3]}")
            ranges.append((left[at], left[at + 2]))
            at += 3
        else:
            ranges.append((left[at], left[at]))
            at += 1

    def belongs(letter: str) -> bool:
        forms = (letter, letter.lower(), letter.upper())
        return any(low <= form <= high for low, high in ranges for form in forms) is not inverted

    return belongs


def read(pattern: str) -> Pattern:
    """:raises ValueError: It is not a pattern; the text says why."""
    if len(pattern) > MOST:
        raise ValueError(f"it is longer than {MOST} characters")
    reader = _Reader(pattern)
    reader.read()
    if len(reader.parts) > MOST_PARTS:
        raise ValueError(f"it has more than {MOST_PARTS} parts")
    return Pattern(reader.parts, tuple(reader.words))
