"""The rows that the lists show, made from the queue itself when no daemon is asked."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jobctl.control.requests import QmDirectory
from jobctl.control.selection import in_list
from jobctl.mail.entry import Attempt, Lasting, StoredEntry
from jobctl.mail.rows import attempt_row, entry_row
from jobctl.schedule.outlook import Outlook, waiting
from jobctl.selection.candidate import queued
from jobctl.selection.selector import selector

# (channel, host) to the end of its backoff.
Backoffs = Mapping[tuple[str, str], float]
Summary = dict[str, tuple[int, int, int, int, float | None]]


def backoffs_of(rows: Iterable[tuple[str, str, int, float, str]]) -> Backoffs:
    """What the daemon will find when it starts, as the store tells it."""
    return {(channel, host): until for channel, host, failures, until, _ in rows if failures}


def summary_rows(
    summary: Summary, stopped: Iterable[str], channels: Iterable[str], backed_off: Mapping[str, int]
) -> list[dict[str, Any]]:
    """
    As ``qm.summarize``; nothing is active while no daemon runs.

    :param backed_off: Channel to entries that are due and wait for their host's backoff.
    """
    marked = set(stopped)
    rows = []
    for name in sorted({*channels, *summary}):
        queued, delayed, held, octets, oldest = summary.get(name, (0, 0, 0, 0, None))
        delayed += backed_off.get(name, 0)
        rows.append(
            {
                "channel": name,
                "messages": queued + held,
                "ready": queued - delayed,
                "active": 0,
                "delayed": delayed,
                "held": held,
                "size": octets,
                "oldest": oldest,
                "stopped": name in marked,
            }
        )
    return rows


def directory_rows(
    entries: Iterable[StoredEntry], request: QmDirectory, now: float, backoffs: Backoffs
) -> list[dict[str, Any]]:
    """As ``qm.directory``; with ``reason`` where the held ones alone are wanted."""
    wanted = in_list(request, now)
    rows: list[dict[str, Any]] = []
    for stored in entries:
        row = _row(stored, now, backoffs)
        if wanted(queued(stored, now, row["state"])):
            rows.append(row)
            if request.held:
                rows[-1]["reason"] = stored.reason
            if len(rows) == request.limit:
                break
    return rows


def selected(where: str | None, now: float) -> Callable[[StoredEntry], bool]:
    """
    Whether a selector means an entry; all are meant without one.

    :raises jobctl.selection.errors.SelectorError: It cannot be understood.
    """
    if where is None:
        return lambda stored: True
    meant = selector(where)
    return lambda stored: meant.matches(queued(stored, now), now)


def message_rows(entries: Iterable[StoredEntry], now: float, backoffs: Backoffs) -> list[dict[str, Any]]:
    """As ``qm.messages``: ``entries`` are one channel's."""
    hosts: dict[str, dict[str, Any]] = {}
    for stored in entries:
        if stored.state is Lasting.HELD:
            continue
        row = hosts.setdefault(stored.entry.host, {"host": stored.entry.host, "active": 0, "delayed": 0})
        row["delayed" if _outlook(stored, now, backoffs).state == "delayed" else "active"] += 1
    return sorted(hosts.values(), key=lambda row: str(row["host"]))


def history_rows(entry: str, attempts: Iterable[Attempt]) -> list[dict[str, Any]]:
    """As ``qm.history``."""
    return [{"id": entry, **attempt_row(line)} for line in attempts]


def _outlook(stored: StoredEntry, now: float, backoffs: Backoffs) -> Outlook:
    entry = stored.entry
    return waiting(entry.due, now, backoffs.get((entry.channel, entry.host)))


def _row(stored: StoredEntry, now: float, backoffs: Backoffs) -> dict[str, Any]:
    held = stored.state is Lasting.HELD
    outlook = _outlook(stored, now, backoffs)
    return {
        **entry_row(stored, "held" if held else outlook.state),
        "next_attempt": None if held else outlook.next_attempt,
        "last_reply": stored.last_reply,
    }
