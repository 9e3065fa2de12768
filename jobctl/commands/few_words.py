"""Values of settings in few characters, spelled as the configuration spells them."""

import re
from typing import Any

# Keys whose numbers are seconds; those of one priority end like these.
_SECONDS = re.compile(r"(backoff|notices|after|lifetime|max_life_time|_timeout|_window|_keep|_retention)$")
_UNITS = ((86400, "D"), (3600, "H"), (60, "M"), (1, "S"))


def few_words(key: str, value: Any) -> str:
    """
    A value as people write it: durations in ISO 8601, what is the same for all priorities once.

    :param key: The last part of the setting's name, which says whether numbers are seconds.
    :param value: As JSON could say it.
    """
    if value is None or value in ({}, [], ()):
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        parts = {name: few_words(key, part) for name, part in value.items()}
        if len(parts) > 1 and len(set(parts.values())) == 1:
            return next(iter(parts.values()))
        return ", ".join(f"{name} {part}" for name, part in parts.items())
    if isinstance(value, list | tuple):
        return " ".join(few_words(key, part) for part in value)
    if isinstance(value, int | float) and _SECONDS.search(key):
        return iso_duration(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def iso_duration(seconds: float) -> str:
    """Such as ``PT30M`` or ``P1DT12H``; what is no whole number of seconds, and none at all, in seconds."""
    if seconds <= 0 or seconds != int(seconds):
        return f"PT{seconds:g}S"
    left, day, clock = int(seconds), "", ""
    for size, letter in _UNITS:
        count, left = divmod(left, size)
        if count and letter == "D":
            day = f"{count}D"
        elif count:
            clock += f"{count}{letter}"
    return f"P{day}T{clock}" if clock else f"P{day}"
