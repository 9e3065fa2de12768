"""The rows that the lists show, made from the queue itself when no daemon is asked."""

from collections.abc import Callable, Iterable
from typing import Any

from jobctl.control.requests import QmDirectory
from jobctl.control.selection import in_list
from jobctl.mail.entry import Attempt, Lasting, StoredEntry
from jobctl.selection.candidate import queued
from jobctl.selection.selector import selector

Summary = dict[str, tuple[int, int, int, int, float | None]]


def summary_rows(summary: Summary, stopped: Iterable[str], channels: Iterable[str]) -> list[dict[str, Any]]:
    """As ``qm.summarize``; nothing is active while no daemon runs."""
    marked = set(stopped)
    rows = []
    for name in sorted({*channels, *summary}):
        queued, delayed, held, octets, oldest = summary.get(name, (0, 0, 0, 0, None))
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


def directory_rows(entries: Iterable[StoredEntry], request: QmDirectory, now: float) -> list[dict[str, Any]]:
    """As ``qm.directory``; with ``reason`` where the held ones alone are wanted."""
    wanted = in_list(request, now)
    rows: list[dict[str, Any]] = []
    for stored in entries:
        if wanted(queued(stored, now)):
            rows.append(_row(stored, now))
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


def message_rows(entries: Iterable[StoredEntry], now: float) -> list[dict[str, Any]]:
    """As ``qm.messages``: ``entries`` are one channel's."""
    hosts: dict[str, dict[str, Any]] = {}
    for stored in entries:
        if stored.state is Lasting.HELD:
            continue
        row = hosts.setdefault(stored.entry.host, {"host": stored.entry.host, "active": 0, "delayed": 0})
        row["delayed" if stored.entry.due > now else "active"] += 1
    return sorted(hosts.values(), key=lambda row: str(row["host"]))


def history_rows(entry: str, attempts: Iterable[Attempt]) -> list[dict[str, Any]]:
    """As ``qm.history``."""
    return [
        {
            "id": entry,
            "when": line.when,
            "what": line.what,
            "text": line.text,
            "recipient": line.recipient,
            "host": line.host,
            "job": line.job,
        }
        for line in attempts
    ]


def _row(stored: StoredEntry, now: float) -> dict[str, Any]:
    entry = stored.entry
    held = stored.state is Lasting.HELD
    return {
        "id": entry.id,
        "channel": entry.channel,
        "host": entry.host,
        "state": "held" if held else "delayed" if entry.due > now else "ready",
        "sender": stored.envelope.sender,
        "recipients": [recipient.address for recipient in stored.envelope.recipients],
        "size": entry.size,
        "priority": entry.priority.word,
        "attempts": entry.attempts,
        "enqueued": entry.enqueued,
        "next_attempt": None if held else entry.due,
        "last_reply": stored.last_reply,
    }
