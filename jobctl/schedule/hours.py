"""Delivery windows: the hours of the day at which mail of a priority may go out, in local time."""

import time

from jobctl.config.settings import ChannelSettings, Hours
from jobctl.mail.envelope import Priority


def hours_of(channel: ChannelSettings, priority: Priority) -> Hours:
    """Its windows, ``()``: any time; second and third class have those of ``nonurgent``."""
    return channel.delivery.get(Priority(min(priority, Priority.NONURGENT)).word, ())


def opens(hours: Hours, now: float) -> float:
    """
    When mail may go out: ``now`` if it may already.

    :param now: Epoch seconds, as is the result.
    """
    spans = _spans(hours, now)
    if not spans or any(start <= now < end for start, end in spans):
        return now
    return min(start for start, _ in spans if start > now)


def closes(hours: Hours, now: float) -> float:
    """Until when mail may go out that may now; at least a day ahead when it may at any hour."""
    spans = sorted(_spans(hours, now))
    end = now
    for start, stop in spans:
        if start <= end:
            end = max(end, stop)
    return end


def window_opens(channel: ChannelSettings, priority: Priority, now: float) -> float | None:
    """Epoch seconds at which a closed window opens; ``None``: mail may go out now."""
    at = opens(hours_of(channel, priority), now)
    return at if at > now else None


def _spans(hours: Hours, now: float) -> list[tuple[float, float]]:
    """
    The windows of yesterday (one may go over midnight), today and the next two days, as times.

    The calendar does the counting, so a day on which the clocks change is 23 or 25 hours long.
    """
    day = time.localtime(now)

    def at(days: int, minutes: int) -> float:
        moment = (day.tm_year, day.tm_mon, day.tm_mday + days, minutes // 60, minutes % 60, 0, 0, 0, -1)
        return time.mktime(moment)

    return [
        (at(days, start), at(days + (end <= start), end)) for days in range(-1, 3) for start, end in hours
    ]
