"""What ``jobctl top`` shows, as lines that fit a terminal of any size."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from jobctl.commands.output import printable

# Least rows of channels and destinations, when there are more than fit.
_CHANNELS, _HOSTS = 3, 2
# Sizes of a terminal below which nothing sensible fits; it is drawn for these and cut.
_NARROWEST, _LOWEST = 40, 8
_UNITS = ("", "K", "M", "G", "T")

TITLE, HEADING, ROW, DIM = "title", "heading", "row", "dim"


class Line(NamedTuple):
    """``style`` is one of the constants above."""

    text: str
    style: str = ROW


class Field(NamedTuple):
    """
    One column.

    :ivar width: In characters; for a wide column (``share``) the least it can do with.
    :ivar share: Part of the width that is left over; 0: it has its width.
    :ivar wide: Only shown on terminals at least so wide.
    """

    heading: str
    show: Callable[[dict[str, Any]], str]
    width: int
    share: int = 0
    right: bool = False
    wide: int = 0


def screen(now: dict[str, Any], before: dict[str, Any] | None, width: int, height: int | None) -> list[Line]:
    """
    The lines, none longer than ``width``, no more than ``height`` of them.

    :param now: An answer of the operation ``top``; ``before``: the one before it, for rates; ``None``:
        rates since the start.
    :param height: ``None``: all there is.
    """
    width = max(width, _NARROWEST)
    rates = Rates(now, before)
    channels = sorted(
        (row for row in now["channels"] if _busy(row)), key=lambda row: (-row["messages"], row["channel"])
    )
    hosts, messages = now["hosts"], now["messages"]
    idle = [_session(job, work, now["now"]) for job in now["jobs"] for work in job["work"]]
    below = [*messages, *idle]
    rows = _rows(len(channels), len(hosts), len(below), height)
    lines = [Line(_cut(text, width), TITLE) for text in _title(now, rates)]
    lines += _table(_channel_fields(rates), channels, rows[0], width, "channels")
    lines += _table(_host_fields(now["now"]), hosts, rows[1], width, "destinations")
    lines += _table(_message_fields(now["now"]), below, rows[2], width, "messages and sessions")
    return lines if height is None else lines[: max(height, 1)]


class Rates:
    """Per second, of each channel and of all."""

    def __init__(self, now: dict[str, Any], before: dict[str, Any] | None) -> None:
        same = before is not None and before["started"] == now["started"]
        since = before["now"] if same and before is not None else now["started"]
        # The wall clock can step; a rate is then what it is in one second.
        self._seconds = now["now"] - since if now["now"] > since else 1.0
        self._now = {row["channel"]: row for row in now["channels"]}
        rows = before["channels"] if same and before is not None else []
        self._before = {row["channel"]: row for row in rows}

    def of(self, channel: str, what: str) -> float:
        earlier: int = self._before.get(channel, {}).get(what, 0)
        return max(self._now[channel][what] - earlier, 0) / self._seconds

    def all(self, what: str) -> float:
        return sum(self.of(channel, what) for channel in self._now)


def _busy(row: dict[str, Any]) -> bool:
    return any(row[key] for key in ("messages", "jobs", "accepted", "delivered", "stopped"))


def _rows(channels: int, hosts: int, messages: int, height: int | None) -> tuple[int, int, int]:
    """How many rows each table gets: the rest of a screen goes to whoever has more to show."""
    if height is None:
        return channels, hosts, messages
    left = max(height, _LOWEST) - 2 - 3
    got = [min(channels, _CHANNELS), min(hosts, _HOSTS), 0]
    left -= got[0] + got[1]
    # What is being done is what people look for: it gets half of the rest at least.
    got[2] = min(messages, max(left - left // 2, 0))
    left -= got[2]
    for place, wanted in ((0, channels), (1, hosts), (2, messages)):
        more = max(min(wanted - got[place], left), 0)
        got[place] += more
        left -= more
    return got[0], got[1], got[2]


def _title(now: dict[str, Any], rates: Rates) -> list[str]:
    total = {key: sum(row[key] for row in now["channels"]) for key in ("messages", "held", "size", "jobs")}
    return [
        f"{now['host']}  jobctl {now['version']}  up {age(now['now'] - now['started'])}  "
        f"{total['jobs']} jobs  {total['messages']} messages ({total['held']} held)  {octets(total['size'])}",
        f"per second: in {rates.all('accepted'):.1f}  out {rates.all('delivered'):.1f}  "
        f"deferred {rates.all('deferred'):.1f}  failed {rates.all('failed'):.1f}  "
        f"{octets(rates.all('octets'))}B",
    ]


def _table(
    fields: Sequence[Field], rows: Sequence[dict[str, Any]], most: int, width: int, what: str
) -> Iterable[Line]:
    shown = [field for field in fields if field.wide <= width]
    spare = width - sum(field.width for field in shown) - len(shown) + 1
    shares = sum(field.share for field in shown) or 1
    widths = [field.width + max(spare, 0) * field.share // shares for field in shown]

    def line(texts: Iterable[str]) -> str:
        parts = [
            _fit(text, size, field.right) for field, size, text in zip(shown, widths, texts, strict=True)
        ]
        return _cut(" ".join(parts), width)

    yield Line(line(field.heading for field in shown), HEADING)
    for row in rows[:most]:
        yield Line(line(printable(field.show(row)) for field in shown))
    if len(rows) > most and not most:
        yield Line(_cut(f"  ({len(rows)} {what})", width), DIM)


def _channel_fields(rates: Rates) -> list[Field]:
    def rate(what: str) -> Callable[[dict[str, Any]], str]:
        return lambda row: f"{rates.of(row['channel'], what):.1f}"

    return [
        Field("Channel", lambda row: row["channel"] + (" (stopped)" if row["stopped"] else ""), 14, 1),
        Field("Ready", lambda row: number(row["ready"]), 6, right=True),
        Field("Active", lambda row: number(row["active"]), 6, right=True),
        Field("Delayed", lambda row: number(row["delayed"]), 7, right=True, wide=58),
        Field("Held", lambda row: number(row["held"]), 5, right=True, wide=64),
        Field("Size", lambda row: octets(row["size"]), 6, right=True, wide=72),
        Field("Jobs", lambda row: number(row["jobs"]), 4, right=True),
        Field("In/s", rate("accepted"), 7, right=True),
        Field("Out/s", rate("delivered"), 7, right=True),
        Field("Defer/s", rate("deferred"), 7, right=True, wide=90),
        Field("Fail/s", rate("failed"), 7, right=True, wide=100),
    ]


def _host_fields(now: float) -> list[Field]:
    return [
        Field("Destination", lambda row: row["host"] or "(any)", 20, 3),
        Field("Channel", lambda row: row["channel"], 14, 1, wide=60),
        Field("Active", lambda row: number(row["active"]), 6, right=True),
        Field("Ready", lambda row: number(row["ready"]), 6, right=True),
        Field("Delayed", lambda row: number(row["delayed"]), 7, right=True),
        Field("Tried in", lambda row: _tried_in(row["until"], now), 8, right=True),
    ]


def _message_fields(now: float) -> list[Field]:
    return [
        Field("Message", lambda row: row["id"], 9),
        Field("Channel", lambda row: row["channel"], 10, 1, wide=90),
        Field("Recipient", _recipient, 16, 3),
        Field("Phase", lambda row: row["phase"], 8),
        Field("Remote", lambda row: row["remote"] or row["host"], 14, 3),
        Field("Try", lambda row: number(row["attempt"]), 3, right=True, wide=100),
        Field("Octets", _sent, 13, right=True, wide=64),
        Field("Age", lambda row: age(now - row["since"]), 6, right=True),
    ]


def _tried_in(until: float | None, now: float) -> str:
    """When a destination that failed is tried again; nothing for one that did not."""
    if until is None:
        return ""
    return age(until - now) if until > now else "now"


def _recipient(row: dict[str, Any]) -> str:
    recipients = row["recipients"]
    if len(recipients) > 1:
        return f"{recipients[0]} +{len(recipients) - 1}"
    return str(recipients[0]) if recipients else ""


def _sent(row: dict[str, Any]) -> str:
    if not row["size"]:
        return octets(row["octets"]) if row["octets"] else ""
    return f"{octets(row['octets'])}/{octets(row['size'])}"


def _session(job: dict[str, Any], work: dict[str, Any], now: float) -> dict[str, Any]:
    """A connection without a message, in the form of one: ``since`` is told by how long it lasts."""
    return {
        "id": "-",
        "channel": job["channel"],
        "recipients": [f"({job['program']})"],
        "phase": work["phase"],
        "remote": work["remote"],
        "host": "",
        "attempt": 0,
        "size": 0,
        "octets": work["octets"],
        "since": now - work["seconds"] if work["seconds"] else job["started"],
    }


def number(value: float) -> str:
    """Up to five digits, then with a unit."""
    if value < 100_000:
        return str(int(value)) if value else "0"
    return octets(value)


def octets(value: float) -> str:
    """With a unit of 1000, in at most five characters."""
    for unit in _UNITS:
        if value < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    if not unit:
        return f"{value:.0f}"
    return f"{value:.1f}{unit}" if value < 99.95 else f"{value:.0f}{unit}"


def age(seconds: float) -> str:
    """``12s``, ``3m05s``, ``2h10m``, ``3d04h``."""
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def _fit(text: str, width: int, right: bool) -> str:
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) > width:
        return set_cell_size(text, max(width - 1, 0)) + "…"
    padding = " " * (width - cell_len(text))
    return padding + text if right else text + padding


def _cut(text: str, width: int) -> str:
    from rich.cells import cell_len, set_cell_size

    return (set_cell_size(text, width) if cell_len(text) > width else text).rstrip()
