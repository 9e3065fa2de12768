"""An explanation as a row for programs, with the stable keys of ``explain --json``."""

from typing import Any

import msgspec

from jobctl.config.places import Place
from jobctl.explaining.facts import Cause, Explanation
from jobctl.mail.entry import Finished, Loss, StoredEntry
from jobctl.mail.rows import entry_row

_BECAME = {
    Loss.DELIVERED: "was delivered",
    Loss.RELAYED: "was relayed",
    Loss.FAILED: "failed",
    Loss.EXPIRED: "was given up",
    Loss.DELETED: "was deleted by an operator",
    Loss.MOVED: "was moved",
}


def as_row(stored: StoredEntry, why: Explanation) -> dict[str, Any]:
    """With the stable keys of ``explain --json``."""
    return {
        **entry_row(stored, why.state),
        "last_reply": stored.last_reply,
        "holder": None if why.holder is None else msgspec.to_builtins(why.holder),
        "causes": [cause_row(cause) for cause in why.causes],
        "next_attempt": why.next_attempt,
        "next": why.next_text,
        "expires": why.ending.when,
        "at_expiry": why.ending.text,
        "at_expiry_where": _where(why.ending.place),
        "warnings": list(why.ending.warnings),
        "notes": list(why.notes),
    }


def finished_row(finished: list[Finished]) -> dict[str, Any]:
    """Of a message that has left the queue: what became of whom."""
    last = finished[-1]
    causes = []
    for one in finished:
        by = f" by {one.remote}" if one.remote else ""
        said = f": {one.reply}" if one.reply else ""
        attempts = "one attempt" if one.attempts == 1 else f"{one.attempts} attempts"
        text = f"{one.recipient} {_BECAME[one.what]}{by} after {attempts}{said}"
        causes.append(cause_row(Cause(f"finished_{one.what.value}", text, since=one.when)))
    return {
        "id": last.id,
        "channel": last.channel,
        "host": last.host,
        "state": "finished",
        "sender": last.sender,
        "recipients": [one.recipient for one in finished],
        "size": last.size,
        "priority": "",
        "attempts": last.attempts,
        "enqueued": last.enqueued,
        "last_reply": last.reply,
        "holder": None,
        "causes": causes,
        "next_attempt": None,
        "next": "never: it has left the queue",
        "expires": None,
        "at_expiry": "",
        "at_expiry_where": "",
        "warnings": [],
        "notes": [],
    }


def cause_row(cause: Cause) -> dict[str, Any]:
    """One cause for programs: all keys, also those that say nothing."""
    return {
        "code": cause.code,
        "text": cause.text,
        "since": cause.since,
        "until": cause.until,
        "who": cause.who,
        "where": _where(cause.place),
    }


def _where(place: Place | None) -> str:
    return "" if place is None else place.text


def damaged_row(message: str, since: float, why: str) -> dict[str, Any]:
    """Of a message whose record cannot be read."""
    text = f"its record in the queue is damaged and was set aside: {why}"
    return {
        "id": message,
        "state": "damaged",
        "causes": [cause_row(Cause("damaged_record", text, since=since))],
        "next_attempt": None,
        "next": "not before it is repaired",
    }
