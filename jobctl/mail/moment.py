"""Date and time as RFC 3339 writes them."""

import calendar
import re
import time

_DATE_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII | re.IGNORECASE
)


def parse_moment(text: str) -> float:
    """
    :param text: ``2026-11-25T18:00:00Z``; fractions of a second are dropped.
    :return: Epoch seconds.
    :raises ValueError: It is none, or there is no such day or hour.

    RFC 3339 section 5.6.
    """
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise ValueError("not a date and time")
    year, month, day, hour, minute, second = (int(found[at]) for at in range(1, 7))
    ahead_hours, ahead_minutes = int(found[8] or 0), int(found[9] or 0)
    if not (year and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]):
        raise ValueError("there is no such day")
    # 60 is a leap second.
    if hour > 23 or minute > 59 or second > 60 or ahead_hours > 23 or ahead_minutes > 59:
        raise ValueError("there is no such time")
    ahead = (ahead_hours * 60 + ahead_minutes) * 60
    utc = calendar.timegm((year, month, day, hour, minute, second))
    return float(utc + ahead if found[7] == "-" else utc - ahead)


def write_moment(when: float) -> str:
    """:param when: Epoch seconds; the result is in UTC, as :func:`parse_moment` takes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))
