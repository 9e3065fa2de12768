"""Lines of the history of messages, as lists and programs get them."""

from collections.abc import Iterable, Iterator
from typing import Any

from jobctl.accounts.history import Search
from jobctl.mail.entry import Attempt, Finished, StoredEntry
from jobctl.mail.rows import attempt_row

# Of both kinds of lines, in the order of their keys; ``when`` is ``None`` for who still waits.
_KEYS = (
    *("when", "what", "id", "enqueued", "channel", "host", "sender", "recipient", "size", "attempts"),
    *("reply", "remote", "source", "envelope_id", "message_id", "subject"),
)


def finished_row(one: Finished) -> dict[str, Any]:
    """Somebody who has left the queue."""
    return {key: getattr(one, key) for key in _KEYS}


def waiting_rows(stored: StoredEntry, state: str, search: Search) -> Iterator[dict[str, Any]]:
    """Those of an entry who are looked for and still wait."""
    entry = stored.entry
    for recipient in stored.envelope.recipients:
        if not search.wants(
            entry.id,
            entry.channel,
            stored.envelope.sender,
            recipient.address,
            entry.enqueued,
            stored.message_id,
            stored.subject,
        ):
            continue
        yield {
            "when": None,
            "what": state,
            "id": entry.id,
            "enqueued": entry.enqueued,
            "channel": entry.channel,
            "host": entry.host,
            "sender": stored.envelope.sender,
            "recipient": recipient.address,
            "size": entry.size,
            "attempts": entry.attempts,
            "reply": stored.reason if state == "held" else stored.last_reply,
            "remote": "",
            "source": stored.source.channel,
            "envelope_id": stored.envelope_id,
            "message_id": stored.message_id,
            "subject": stored.subject,
        }


def attempt_rows(lines: Iterable[Attempt], recipient: str) -> list[dict[str, Any]]:
    """What was tried for a recipient; what is said of no one holds for all."""
    return [attempt_row(line) for line in lines if line.recipient in ("", recipient)]
