"""
Rows of entries as values, the damaged ones told apart.

Many rows are fetched as one JSON text: a row that is stepped on its own costs a turn
for the interpreter's lock, and a list of a thousand would disturb the reactor a thousand times.
"""

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from jobctl.mail.entry import QueueEntry, StoredEntry
from jobctl.mail.share import NONE, PATHS
from jobctl.store.ids import id_text
from jobctl.store.records import (
    ENTRY_COLUMNS,
    QUEUE_COLUMNS,
    Damage,
    EntryRecord,
    QueueRecord,
    queue_entry,
    stored_entry,
)

# The number of an entry that cannot be read, and why.
Damaged = tuple[int, str]
# What a query found, and what it had to leave out because it is damaged.
T = TypeVar("T")
Found = tuple[list[T], list[Damaged]]

_queue_records = msgspec.json.Decoder(list[QueueRecord]).decode
_entry_records = msgspec.json.Decoder(list[EntryRecord]).decode


def queued(
    connection: sqlite3.Connection,
    index: str,
    condition: str,
    given: tuple[Any, ...],
    limit: int,
    share_by: str,
) -> Found[QueueEntry]:
    """Entries for the schedule, in order of due time; their share is made by one of :mod:`jobctl.mail.share`."""
    source, share = f"entries e INDEXED BY {index}", "NULL"
    if share_by != NONE:
        source += " LEFT JOIN messages m ON m.id = e.message"
        # What is damaged is nobody's; that is found out when the entry is fetched.
        share = f"CASE WHEN json_valid(m.head) THEN m.head ->> '{PATHS[share_by]}' END"
    return _many(
        connection,
        f"SELECT {QUEUE_COLUMNS}, {share} AS share FROM {source}"
        f" WHERE {condition} ORDER BY e.due, e.id LIMIT {int(limit)}",
        QUEUE_COLUMNS.replace("e.", "") + ", share",
        given,
        _queue_records,
        lambda record: queue_entry(id_text(record[0]), record, share_by),
    )


def entries(
    connection: sqlite3.Connection,
    condition: str,
    order: str,
    given: tuple[Any, ...],
    make: Callable[[Any], T],
) -> Found[T]:
    return _many(
        connection,
        f"SELECT {ENTRY_COLUMNS} FROM entries e LEFT JOIN messages m ON m.id = e.message"
        f" WHERE {condition} {order}",
        ENTRY_COLUMNS.replace("e.", "").replace("m.", ""),
        given,
        _entry_records,
        make,
    )


def _many(
    connection: sqlite3.Connection,
    query: str,
    columns: str,
    given: tuple[Any, ...],
    decode: Callable[[bytes], list[Any]],
    make: Callable[[Any], T],
) -> Found[T]:
    """Run a query whose first column is the entry's number, and make a value of each row."""
    text = connection.execute(
        f"SELECT json_group_array(json_array({columns})) FROM ({query})", given
    ).fetchone()[0]
    try:
        records = decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _one_by_one(connection, query, columns, given, decode, make)
    found: list[T] = []
    bad: list[Damaged] = []
    for record in records:
        try:
            found.append(make(record))
        except Damage as why:
            bad.append((record[0], str(why)))
    return found, bad


def _one_by_one(
    connection: sqlite3.Connection,
    query: str,
    columns: str,
    given: tuple[Any, ...],
    decode: Callable[[bytes], list[Any]],
    make: Callable[[Any], T],
) -> Found[T]:
    """As :func:`_many`, finding the row whose octets spoil the whole text."""
    found: list[T] = []
    bad: list[Damaged] = []
    for number, text in connection.execute(
        f"SELECT id, json_array({columns}) FROM ({query})", given
    ).fetchall():
        try:
            found.append(make(decode(b"[" + text + b"]")[0]))
        except (Damage, msgspec.MsgspecError, UnicodeDecodeError) as why:
            bad.append((number, f"the row cannot be read: {why}"))
    return found, bad


def stored(record: EntryRecord) -> StoredEntry:
    return stored_entry(id_text(record[0]), record)
