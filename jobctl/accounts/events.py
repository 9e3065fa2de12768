"""Operational events as JSON lines."""

from collections.abc import Mapping
from typing import Any

import msgspec

from jobctl.accounts.escapes import one_line

# What every line has, before the fields of its event.
ALWAYS = ("time", "level", "source", "event", "text")
# Characters of one text in a line: a traceback fits, a peer's novel does not.
MOST = 16_000


def event_line(event: Mapping[str, Any], level: str, text: str, traceback: str = "") -> str:
    """
    One event on one line.

    :param event: Of :mod:`twisted.logger`; its own fields keep their names and, where JSON has such, their types.
    :param text: The event as a sentence.
    """
    line: dict[str, Any] = {
        "time": event.get("log_time", 0.0),
        "level": level,
        "source": str(event.get("log_namespace", "")),
        "event": str(event.get("log_format") or ""),
        "text": _bounded(text),
    }
    for name, value in event.items():
        if not name.startswith("log_") and name not in _LEGACY and name not in line:
            line[name] = _plain(value)
    if traceback:
        line["traceback"] = _bounded(traceback)
    return one_line(msgspec.json.encode(line).decode())


# Fields that Twisted's older log puts into every event.
_LEGACY = frozenset({"message", "system", "format", "failure", "isError", "logLevel"})


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _bounded(value)
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in list(value.items())[:100]}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in list(value)[:100]]
    return _bounded(str(value))


def _bounded(text: str) -> str:
    text = text if len(text) <= MOST else text[:MOST] + "..."
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
