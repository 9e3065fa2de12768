"""ISO 8601 durations, as ``backoff`` and ``notices`` use them."""

import re

_NUMBER = r"(\d{1,9}(?:[.,]\d{1,6})?)"
_DURATION = re.compile(
    rf"P(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}W)?(?:{_NUMBER}D)?"
    rf"(T(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?",
    re.IGNORECASE | re.ASCII,
)
# A year is 365 days and a month 30: a retry schedule has no calendar to count in.
_DATE_UNITS = (365 * 86400.0, 30 * 86400.0, 7 * 86400.0, 86400.0)
_TIME_UNITS = (3600.0, 60.0, 1.0)


def parse_duration(text: str) -> float:
    """
    A duration such as ``PT30M``, ``P1DT12H`` or ``pt5m`` in seconds.

    Letters may be of either case: the original's manuals show both.

    :raises ValueError: Not a duration; the text says what one looks like.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not an ISO 8601 duration such as PT5M, PT1H or P2D")
    time_part = found[5]
    numbers = found.groups()[:4] + found.groups()[5:]
    if not any(numbers) or (time_part is not None and len(time_part) == 1):
        raise ValueError(f"{text!r} has no number: write a duration such as PT5M, PT1H or P2D")
    return sum(
        float(number.replace(",", ".")) * unit
        for number, unit in zip(numbers, _DATE_UNITS + _TIME_UNITS, strict=True)
        if number
    )
