"""The queries about what operators did, and what of it can be undone."""

import sqlite3

import msgspec

from jobctl.mail.acts import Act
from jobctl.mail.entry import StoredEntry, Undo
from jobctl.store.ids import id_number, id_text
from jobctl.store.reading import Found, with_hidden
from jobctl.store.records import microseconds, seconds

# An entry's id, itself unless it is gone, and what could be done with it.
Lapse = tuple[str, StoredEntry | None, Undo]

_act = msgspec.json.Decoder(Act).decode
_undo = msgspec.json.Decoder(Undo).decode


def newest(connection: sqlite3.Connection) -> str | None:
    number = connection.execute("SELECT max(id) FROM entries").fetchone()[0]
    return None if number is None else id_text(number)


def acts(connection: sqlite3.Connection, before: int | None, limit: int) -> list[Act]:
    """The newest first."""
    rows = connection.execute(
        "SELECT record FROM acts WHERE id < ? ORDER BY id DESC LIMIT ?", (before or 1 << 62, limit)
    )
    return [_act(record) for (record,) in rows]


def undoable(
    connection: sqlite3.Connection, operation: int, after: str | None, limit: int
) -> Found[tuple[StoredEntry, Undo]]:
    rows = connection.execute(
        "SELECT entry, record FROM undo WHERE operation = ? AND entry > ?"
        " AND EXISTS (SELECT 1 FROM entries e WHERE e.id = entry AND e.state <> 2) ORDER BY entry LIMIT ?",
        (operation, id_number(after) if after is not None else 0, limit),
    ).fetchall()
    found, damaged = with_hidden(connection, [number for number, _ in rows])
    records = {id_text(number): record for number, record in rows}
    return [(entry, _undo(records[entry.entry.id])) for entry in found], damaged


def lapsed(connection: sqlite3.Connection, now: float, limit: int) -> Found[Lapse]:
    rows = connection.execute(
        "SELECT entry, record FROM undo WHERE until <= ? ORDER BY until, operation, entry LIMIT ?",
        (microseconds(now), limit),
    ).fetchall()
    found, damaged = with_hidden(connection, [number for number, _ in rows])
    there = {id_number(stored.entry.id): stored for stored in found}
    return [(id_text(number), there.get(number), _undo(record)) for number, record in rows], damaged


def in_grace(connection: sqlite3.Connection, text_id: str) -> Undo | None:
    """Only asked about what is in no list: it may look through all that can be undone."""
    row = connection.execute(
        "SELECT record FROM undo WHERE entry = ? AND EXISTS"
        " (SELECT 1 FROM entries e WHERE e.id = entry AND e.state = 3) ORDER BY operation DESC LIMIT 1",
        (id_number(text_id),),
    ).fetchone()
    return None if row is None else _undo(row[0])


def next_lapse(connection: sqlite3.Connection) -> float | None:
    until = connection.execute("SELECT min(until) FROM undo").fetchone()[0]
    return None if until is None else seconds(until)
