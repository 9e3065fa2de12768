"""TOML values -> the values that settings hold, one function per kind."""

import ipaddress
import math
import re
import shlex
from calendar import timegm
from collections.abc import Callable
from typing import NamedTuple

from jobctl.config.keys import Key, Kind, did_you_mean
from jobctl.mail.address import parse_path
from jobctl.mail.durations import parse_duration

_BASED = re.compile(r"(\d{1,2})%([0-9A-Za-z]{1,30})", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)", re.ASCII)
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?", re.ASCII)
_WINDOW = re.compile(r"(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)", re.ASCII)
_DAY = 24 * 60
# Longest host name: official_host_name takes 128 characters, DNS 253.
MAX_HOST = 253
# Settings travel as JSON, where larger integers are not safe (RFC 8259 section 6).
MAX_INTEGER = 2**53


class Age(NamedTuple):
    """One of ``notices``: seconds, or a bare number whose unit is ``return_units``."""

    number: float
    bare: bool


def convert(key: Key, raw: object) -> object:
    """
    The value of ``key`` as settings hold it.

    :raises ValueError: Wrong type, shape or range; the text says what is wanted.
    """
    value = _CONVERTERS[key.kind](key, raw)
    _check_range(key, value)
    return value


def _check_range(key: Key, value: object) -> None:
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ValueError(f"{value} is out of range: nobody counts as far")
    if isinstance(value, str | bool) or key.kind in (Kind.ADDRESSES, Kind.NETWORKS):
        return
    measured: float
    if isinstance(value, tuple):
        measured, what = len(value), f"{len(value)} values"
    elif isinstance(value, int | float):
        measured, what = value, str(value)
    else:
        return
    if key.low is not None and measured < key.low:
        raise ValueError(f"{what} is out of range: at least {key.low:.10g}")
    if key.high is not None and measured > key.high:
        raise ValueError(f"{what} is out of range: at most {key.high:.10g}")


def _flag(key: Key, raw: object) -> object:
    if not isinstance(raw, bool):
        raise ValueError(f"takes no value: write {key.name} = true")
    return raw


def _switch(key: Key, raw: object) -> object:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, int) and raw in (0, 1):
        return bool(raw)
    raise ValueError(f"{raw!r} is not true or false")


def parse_integer(text: str) -> int:
    """
    A decimal number, or ``b%v``: ``v`` in base ``b``, as ``16%FF``.

    :raises ValueError: Neither.
    """
    based = _BASED.fullmatch(text.strip())
    if based is not None:
        base = int(based[1])
        if not 2 <= base <= 36:
            raise ValueError(f"{text!r}: the base before % must be 2 to 36")
        return int(based[2], base)
    if _DECIMAL.fullmatch(text.strip()) is None:
        raise ValueError(f"{text!r} is not an integer (10, or 16%FF for another base)")
    return int(text)


def _integer(key: Key, raw: object) -> object:
    if isinstance(raw, bool) and (key.low, key.high) == (0, 1):
        return int(raw)
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if isinstance(raw, str):
        return parse_integer(raw)
    raise ValueError(f"{raw!r} is not an integer")


def _number(key: Key, raw: object) -> object:
    if isinstance(raw, str):
        try:
            raw = float(raw) if "%" not in raw else parse_integer(raw)
        except ValueError:
            raise ValueError(f"{raw!r} is not a number") from None
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        raise ValueError(f"{raw!r} is not a number")
    return float(raw)


def _text(key: Key, raw: object) -> object:
    if not isinstance(raw, str) or not raw:
        raise ValueError(f"{raw!r} is not a text in quotes")
    if not raw.isprintable():
        raise ValueError("must be one line without control characters")
    return raw


def _words(key: Key, raw: object) -> tuple[str, ...]:
    words = raw.split() if isinstance(raw, str) else raw
    if not isinstance(words, list) or not all(isinstance(word, str) and word.strip() for word in words):
        raise ValueError(f"{raw!r} is not a list of texts (or one text of words)")
    if not words:
        raise ValueError("is empty: leave the key out, or give a value")
    return tuple(words)


def _host(key: Key, raw: object) -> object:
    if not isinstance(raw, str) or not is_host(raw):
        raise ValueError(f"{raw!r} is not a host name such as mail.example.org")
    return raw.rstrip(".")


def _mailbox(key: Key, raw: object) -> object:
    try:
        return parse_path(raw if isinstance(raw, str) else "", False)
    except ValueError as why:
        raise ValueError(f"{raw!r} is not an address such as postmaster@example.org: {why}") from None


def _daemon(key: Key, raw: object) -> object:
    if isinstance(raw, str) and raw.startswith("["):
        if literal_address(raw) is None:
            raise ValueError(f"{raw!r} is not an address literal such as [192.0.2.1] or [IPv6:2001:db8::1]")
        return raw
    return _host(key, raw)


def is_host(text: str) -> bool:
    """A name made of letters, digits, ``-`` and ``_`` between dots."""
    return 0 < len(text) <= MAX_HOST and _HOST.fullmatch(text) is not None


def literal_address(text: str) -> str | None:
    """The address inside ``[192.0.2.1]``, ``[IPv6:2001:db8::1]`` or ``[2001:db8::1]``; ``None``: not one."""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    inner = text[1:-1]
    if inner[:5].lower() == "ipv6:":
        inner = inner[5:]
    try:
        return str(ipaddress.ip_address(inner))
    except ValueError:
        return None


def _address(key: Key, raw: object) -> object:
    try:
        return str(ipaddress.ip_address(raw if isinstance(raw, str) else ""))
    except ValueError:
        raise ValueError(f"{raw!r} is not an IP address") from None


def _addresses(key: Key, raw: object) -> object:
    """Name servers: ``ip``, ``ip:port`` or ``[v6]:port``."""
    for word in _words(key, raw):
        host, port = word, "53"
        if word.startswith("[") or word.count(":") == 1:
            host, _, port = word.rpartition(":")
        try:
            ipaddress.ip_address(host.strip("[]"))
            valid = 0 < int(port) < 65536
        except ValueError:
            valid = False
        if not valid:
            raise ValueError(f"{word!r} is not an IP address, with or without :port")
    return _words(key, raw)


def _networks(key: Key, raw: object) -> object:
    networks = []
    for word in _words(key, raw):
        try:
            networks.append(str(ipaddress.ip_network(word)))
        except ValueError as why:
            try:
                hint = f"; did you mean {ipaddress.ip_network(word, strict=False)}?"
            except ValueError:
                hint = "; write a network such as 192.0.2.0/24 or ::1"
            raise ValueError(f"{why}{hint}") from None
    return tuple(networks)


def _choice(key: Key, raw: object) -> object:
    if isinstance(raw, str) and raw.lower() in key.choices:
        return raw.lower()
    raise ValueError(f"{raw!r} is not one of {', '.join(key.choices)}{did_you_mean(str(raw), key.choices)}")


def _seconds(key: Key, raw: object) -> object:
    if isinstance(raw, str):
        text = raw.strip().removeprefix("+")
        return float(text) if text.isdecimal() else parse_duration(text)
    return _number(key, raw)


def _moment(key: Key, raw: object) -> object:
    """Seconds from now or, from :data:`~jobctl.config.settings.ABSOLUTE` on, a time (epoch seconds)."""
    calendar_time = getattr(raw, "utctimetuple", None)
    return float(timegm(calendar_time())) if calendar_time is not None else _seconds(key, raw)


def _hours(key: Key, raw: object) -> object:
    windows = []
    for word in raw.replace(",", " ").split() if isinstance(raw, str) else _words(key, raw):
        found = _WINDOW.fullmatch(word.strip())
        if found is None:
            raise ValueError(f"{word!r} is not a window such as 08:00-20:00")
        numbers = [int(part) for part in found.groups()]
        start, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
        if max(numbers[1], numbers[3]) > 59 or start >= _DAY or end > _DAY or not end:
            raise ValueError(f"{word!r}: a day goes from 00:00 to 24:00")
        if start == end:
            raise ValueError(f"{word!r} is empty: leave the key out, or give other hours")
        windows.append((start, end))
    if not windows:
        raise ValueError("is empty: leave the key out, or give hours such as 08:00-20:00")
    return tuple(windows)


def _time_of_day(key: Key, raw: object) -> object:
    """Minutes since midnight; -1: never."""
    found = _TIME_OF_DAY.fullmatch(raw) if isinstance(raw, str) else None
    if raw != "never" and found is None:
        raise ValueError(f'{raw!r} is not a time of day such as "00:30", or "never"')
    return -1 if found is None else 60 * int(found[1]) + int(found[2])


def _durations(key: Key, raw: object) -> object:
    durations = []
    for word in raw.split() if isinstance(raw, str) else raw if isinstance(raw, list) else [raw]:
        if not isinstance(word, str):
            raise ValueError(f'{word!r} is not a duration: write "PT{word}M" for minutes')
        durations.append(parse_duration(word))
    if not durations or min(durations) <= 0:
        raise ValueError("needs durations greater than nothing, such as PT5M")
    return tuple(durations)


def _rate(key: Key, raw: object) -> object:
    """So many in so many seconds."""
    count, slash, duration = raw.partition("/") if isinstance(raw, str) else ("", "", "")
    if not slash or not count.strip().isdecimal() or len(count) > 9 or not int(count):
        raise ValueError(f"{raw!r} is not a rate such as 100/PT1M")
    seconds = parse_duration(duration.strip())
    if seconds <= 0:
        raise ValueError(f"{raw!r}: in no time")
    return int(count), seconds


def _ages(key: Key, raw: object) -> object:
    ages = []
    for word in raw.split() if isinstance(raw, str) else raw if isinstance(raw, list) else [raw]:
        if isinstance(word, str) and not word.replace(".", "", 1).isdecimal():
            ages.append(Age(parse_duration(word), bare=False))
        else:
            number = _number(key, word)
            assert isinstance(number, float)
            ages.append(Age(number, bare=True))
    if not ages:
        raise ValueError("is empty: give at least the age at which a message is returned")
    return tuple(ages)


def _command(key: Key, raw: object) -> object:
    """An argument vector; no shell will see it.  ``IMTA_BIN:`` says where the original's programs are."""
    if isinstance(raw, str):
        try:
            words = shlex.split(raw)
        except ValueError as why:
            raise ValueError(f"{raw!r} cannot be split into words: {str(why).lower()}") from None
    elif isinstance(raw, list) and all(isinstance(word, str) and word for word in raw):
        words = list(raw)
    else:
        raise ValueError(f"{raw!r} is not a command: a text, or a list of texts")
    if words and words[0].upper().startswith("IMTA_BIN:"):
        words[0] = words[0][len("IMTA_BIN:") :]
    if "\0" in "".join(words) or (words and not words[0]):
        raise ValueError(f"{raw!r} names no program")
    return () if words in ([], ["NULL"]) else tuple(words)


def _pieces(key: Key, raw: object) -> object:
    text = _text(key, raw)
    assert isinstance(text, str)
    return tuple(piece.strip() for piece in text.split("|") if piece.strip())


def _table(key: Key, raw: object) -> object:
    if not isinstance(raw, dict):
        raise ValueError(f"is a table: write [{key.name}] or {key.name} = {{ NAME = value }}")
    return raw


_CONVERTERS: dict[Kind, Callable[[Key, object], object]] = {
    Kind.FLAG: _flag,
    Kind.SWITCH: _switch,
    Kind.INTEGER: _integer,
    Kind.NUMBER: _number,
    Kind.TEXT: _text,
    Kind.WORDS: _words,
    Kind.HOST: _host,
    Kind.MAILBOX: _mailbox,
    Kind.DAEMON: _daemon,
    Kind.ADDRESS: _address,
    Kind.ADDRESSES: _addresses,
    Kind.NETWORKS: _networks,
    Kind.CHOICE: _choice,
    Kind.SECONDS: _seconds,
    Kind.MOMENT: _moment,
    Kind.HOURS: _hours,
    Kind.TIME_OF_DAY: _time_of_day,
    Kind.DURATIONS: _durations,
    Kind.AGES: _ages,
    Kind.RATE: _rate,
    Kind.COMMAND: _command,
    Kind.PIECES: _pieces,
    Kind.TABLE: _table,
}
