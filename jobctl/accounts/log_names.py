"""Where the transaction log's lines lie, day by day, and when a day is over."""

import time

import msgspec

DAY = 86400.0


class LogNames(msgspec.Struct, frozen=True):
    """
    The files of one log, newest first: ``current`` is written; ``yesterday`` is the day before; ``whole`` has
    all that is older, until somebody prunes it.

    :ivar adding: What was ``yesterday`` while it is appended to ``whole``; the size that ``whole`` had before
        stands behind the dot, so that an interrupted append can begin anew.
    """

    current: str
    yesterday: str
    whole: str
    adding: str

    @classmethod
    def of(cls, stem: str) -> "LogNames":
        """``mail`` or ``connection``."""
        return cls(f"{stem}.log_current", f"{stem}.log_yesterday", f"{stem}.log", f"{stem}.log_adding")


MAIL = LogNames.of("mail")
CONNECTION = LogNames.of("connection")


def last_rollover(now: float, minutes: int) -> float:
    """
    When the day that ``now`` belongs to began.

    :param now: Epoch seconds.
    :param minutes: After midnight, local time: the clock's, also on days of 23 or 25 hours.
    """
    today = _at(now, minutes, 0)
    return today if today <= now else _at(now, minutes, -1)


def next_rollover(now: float, minutes: int) -> float:
    """When that day is over."""
    today = _at(now, minutes, 0)
    return today if today > now else _at(now, minutes, 1)


def _at(now: float, minutes: int, days: int) -> float:
    at = time.localtime(now)
    hour, minute = divmod(minutes, 60)
    return time.mktime((at.tm_year, at.tm_mon, at.tm_mday + days, hour, minute, 0, 0, 0, -1))
