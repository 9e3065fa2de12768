"""Queue entries and their histories as lists and programs get them, with keys that stay."""

from typing import Any

from jobctl.mail.entry import Attempt, StoredEntry


def attempt_row(line: Attempt) -> dict[str, Any]:
    """A line of ``qm history --json``, without the entry's id."""
    return {
        "when": line.when,
        "what": line.what,
        "text": line.text,
        "recipient": line.recipient,
        "host": line.host,
        "job": line.job,
    }


def entry_row(stored: StoredEntry, state: str) -> dict[str, Any]:
    """What every list of entries has first; ``state`` as people are told it."""
    entry = stored.entry
    return {
        "id": entry.id,
        "channel": entry.channel,
        "host": entry.host,
        "state": state,
        "sender": stored.envelope.sender,
        "recipients": [recipient.address for recipient in stored.envelope.recipients],
        "size": entry.size,
        "priority": entry.priority.word,
        "attempts": entry.attempts,
        "enqueued": entry.enqueued,
    }
