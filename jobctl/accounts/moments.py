"""Times as people write them: ``10:42``, ``2026-11-25 10:42``, ``2h`` ago."""

import re
import time

_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?", re.ASCII)
_DATE = re.compile(r"(\d{4})-(\d\d?)-(\d\d?)(?:[T ](\d{1,2}):(\d\d)(?::(\d\d))?)?", re.ASCII)
_AGO = re.compile(r"(\d{1,9})([smhdw])", re.ASCII)
_EPOCH = re.compile(r"\d{9,11}(?:\.\d*)?", re.ASCII)
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
FORMS = "10:42, 2026-11-25, '2026-11-25 10:42', 2h (ago), today or yesterday"


def stretch(text: str, now: float) -> tuple[float, float]:
    """
    The time that somebody means, from its first moment to the one after its last (epoch seconds).

    A time of day is the last one that has been; a minute and a day are as long as they are.

    :raises ValueError: It is none; the text says what would be.
    """
    word = text.strip().lower()
    if word in ("now", "today", "yesterday"):
        if word == "now":
            return now, now
        return _day(now, 0 if word == "today" else -1)
    if found := _AGO.fullmatch(word):
        ago = now - int(found[1]) * _UNITS[found[2]]
        return ago, ago
    if found := _CLOCK.fullmatch(word):
        at = time.localtime(now)
        for days in (0, -1):
            start, end = _moment(
                (at.tm_year, at.tm_mon, at.tm_mday + days), found[1], found[2], found[3], text
            )
            if start <= now:
                return start, end
    if found := _DATE.fullmatch(word.upper()):
        date = (int(found[1]), int(found[2]), int(found[3]))
        if found[4] is None:
            _checked(date, text)
            return _at(date, 0, 0, 0), _at((date[0], date[1], date[2] + 1), 0, 0, 0)
        return _moment(_checked(date, text), found[4], found[5], found[6], text)
    if _EPOCH.fullmatch(word):
        return float(word), float(word)
    raise ValueError(f"{text!r} is no time: write {FORMS}")


def _day(now: float, days: int) -> tuple[float, float]:
    at = time.localtime(now)
    date = (at.tm_year, at.tm_mon, at.tm_mday + days)
    return _at(date, 0, 0, 0), _at((date[0], date[1], date[2] + 1), 0, 0, 0)


def _moment(
    date: tuple[int, int, int], hour: str, minute: str, second: str | None, text: str
) -> tuple[float, float]:
    if int(hour) > 23 or int(minute) > 59 or int(second or 0) > 59:
        raise ValueError(f"{text!r}: there is no such time of day")
    start = _at(date, int(hour), int(minute), int(second or 0))
    return start, start + (60.0 if second is None else 1.0)


def _checked(date: tuple[int, int, int], text: str) -> tuple[int, int, int]:
    year, month, day = date
    there = time.localtime(_at(date, 12, 0, 0))
    if (there.tm_year, there.tm_mon, there.tm_mday) != (year, month, day):
        raise ValueError(f"{text!r}: there is no such day")
    return date


def _at(date: tuple[int, int, int], hour: int, minute: int, second: int) -> float:
    return time.mktime((*date, hour, minute, second, 0, 0, -1))
