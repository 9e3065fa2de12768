"""The search among finished recipients: roughly in the database, exactly on what that finds."""

import sqlite3
from typing import Any

import msgspec

from jobctl.accounts.history import Search, certain_part
from jobctl.mail.entry import Finished
from jobctl.store.ids import id_number, id_text
from jobctl.store.records import FINISHED_COLUMNS, Damage, FinishedRecord, encode, finished_of, microseconds

_record = msgspec.json.Decoder(FinishedRecord).decode
# Only plain characters are looked for in the database: LIKE knows the case of no others.
_PLAIN = frozenset(map(chr, range(0x20, 0x7F))) - frozenset('\\"')


def finished(
    connection: sqlite3.Connection, search: Search, after: int, limit: int
) -> tuple[list[Finished], int]:
    """As :meth:`jobctl.interfaces.IMessageStore.finished`."""
    condition, given = _roughly(search)
    found: list[Finished] = []
    while len(found) < limit:
        page = connection.execute(
            f"SELECT at, json_array({FINISHED_COLUMNS}) FROM finished"
            f" WHERE at > ?{condition} ORDER BY at LIMIT ?",
            (after, *given, limit),
        ).fetchall()
        for number, text in page:
            after = number
            one = _finished(text)
            if one is not None and search.matches(one):
                found.append(one)
                if len(found) == limit:
                    return found, after
        if len(page) < limit:
            return found, 0
    return found, after


def _finished(text: bytes) -> Finished | None:
    """A record that cannot be read tells nothing; it goes when its time is over."""
    try:
        record = _record(text)
        return finished_of(id_text(record[1]), record)
    except (Damage, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _roughly(search: Search) -> tuple[str, list[Any]]:
    """A condition that everything looked for fulfils, and perhaps more."""
    parts: list[str] = []
    given: list[Any] = []
    if search.since:
        # Nothing leaves before it came, and numbers are never below the time.
        parts.append("at >= ? AND enqueued >= ?")
        given += [microseconds(search.since)] * 2
    if search.until:
        parts.append("enqueued < ?")
        given.append(microseconds(search.until))
    if search.ids:
        parts.append("entry IN (SELECT value FROM json_each(?))")
        given.append(encode([id_number(text) for text in search.ids]).decode())
    for column, pattern in (
        ("recipient", certain_part(search.recipient)),
        ("detail", certain_part(search.sender)),
        ("detail", search.message_id),
        ("detail", search.subject),
    ):
        if pattern and _PLAIN.issuperset(pattern):
            parts.append(f"{column} LIKE ? ESCAPE '!'")
            escaped = pattern.replace("!", "!!").replace("%", "!%").replace("_", "!_")
            given.append(f"%{escaped}%")
    return "".join(f" AND {part}" for part in parts), given
