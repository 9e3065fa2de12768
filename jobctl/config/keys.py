"""What a name in the configuration means: the type of which every table of names is made."""

import difflib
from collections.abc import Iterable, Iterator
from enum import StrEnum

import msgspec


class Status(StrEnum):
    """What happens to a name that an operator gives."""

    HONOURED = "honoured"
    INERT = "accepted, does not act yet"
    REFUSED = "refused"


class Kind(StrEnum):
    """The shape of a value, as the manual names it."""

    FLAG = "no value"
    SWITCH = "true or false"
    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"
    WORDS = "words"
    HOST = "host name"
    MAILBOX = "address"
    DAEMON = "host or word"
    ADDRESS = "IP address"
    ADDRESSES = "IP addresses"
    NETWORKS = "networks"
    CHOICE = "one of"
    SECONDS = "seconds or duration"
    MOMENT = "seconds, duration or time"
    HOURS = "hours of the day"
    TIME_OF_DAY = "HH:MM or never"
    DURATIONS = "durations"
    RATE = "count/duration"
    AGES = "ages"
    COMMAND = "command"
    PIECES = "texts separated by |"
    TABLE = "table"


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """
    One name that may be given.

    :ivar reason: For an inert or refused name: what does not happen, and what to do instead.
    :ivar default: What applies when it is not given, as the manual shows it.
    :ivar source: Where that default is documented.
    :ivar low: Least value of a number (``high`` the greatest) or count of a list.
    :ivar groups: Names that share a group contradict one another.
    :ivar field: Field of the settings that takes the value; ``""``: none.
    :ivar value: What that field becomes, for a name without a value.
    :ivar refused: Values that are refused, with the reason; ``inert``: that do not act, with the reason.
    """

    name: str
    kind: Kind
    sentence: str
    status: Status = Status.HONOURED
    reason: str = ""
    default: str = "none"
    source: str = ""
    aliases: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    field: str = ""
    value: object = None
    refused: dict[str, str] = {}
    inert: dict[str, str] = {}


class KeyTable:
    """Names that may stand in one place; looked up without regard to case."""

    def __init__(self, what: str, *parts: Iterable[Key]) -> None:
        """:param what: What one of them is called: ``keyword``, ``option``, ``key``."""
        self.what = what
        self._keys = [key for part in parts for key in part]
        self._named = {name.lower(): key for key in self._keys for name in (key.name, *key.aliases)}

    def __iter__(self) -> Iterator[Key]:
        return iter(self._keys)

    def find(self, name: str) -> Key | None:
        """The key of that name or alias."""
        return self._named.get(name.lower())

    def unknown(self, name: str) -> str:
        """What to tell of a name that is not here."""
        names = [known for key in self._keys for known in (key.name, *key.aliases)]
        return f"there is no such {self.what}{did_you_mean(name, names)}"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """``"; did you mean X?"``, or a list of few candidates, or nothing to say."""
    known = {candidate.lower(): candidate for candidate in names}
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    if close:
        return f"; did you mean {known[close[0]]}?"
    if 0 < len(known) <= 8:
        return f"; known: {', '.join(known.values())}"
    return ""
