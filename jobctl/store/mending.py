"""Entries that were set aside: what is left of them, and how they go back into the queue, or out of it."""

import os
import sqlite3
from typing import TypeVar
from zlib import crc32

import msgspec

from jobctl.errors import StoreError
from jobctl.mail.remains import Remains
from jobctl.store.content import ContentFiles
from jobctl.store.ids import id_number, id_text
from jobctl.store.reading import plain, readable
from jobctl.store.records import DAMAGED, HELD, QUEUED, Detail, Head, seconds

T = TypeVar("T")
_UNUSED = "NOT EXISTS (SELECT 1 FROM entries e WHERE e.id >= m.id AND e.id < m.id + m.entries)"


def remains(connection: sqlite3.Connection, files: ContentFiles, text_id: str) -> Remains | None:
    """What is left of an entry; ``None``: it was not set aside."""
    row = connection.execute(
        "SELECT e.id, d.since, d.why, e.message, e.channel, e.host, e.detail, e.size,"
        " m.head, m.size, m.content_crc, m.file, m.content"
        " FROM damaged d JOIN entries e ON e.id = d.entry LEFT JOIN messages m ON m.id = e.message"
        " WHERE d.entry = ?",
        (id_number(text_id),),
    ).fetchone()
    if row is None:
        return None
    number, since, why, message, channel, host, text, size, head, whole, crc, file, content = row
    shared, detail = _lenient(head, Head), _lenient(text or b"{}", Detail)
    recipients = None if detail is None else detail.recipients
    if recipients is None and shared is not None:
        recipients = shared.envelope.recipients
    return Remains(
        id=id_text(number),
        since=seconds(since),
        why=plain(why),
        message=message,
        channel=plain(channel),
        host=plain(host),
        sender=None if shared is None else shared.envelope.sender,
        recipients=recipients,
        size=size if whole is None else whole,
        content=_content(files, head is not None, whole, crc, file, content),
    )


def restore(connection: sqlite3.Connection, number: int) -> bool:
    """
    Put an entry back that can be read (again), held or queued as it was.

    :return: ``False``: it was not set aside.
    :raises StoreError: It cannot be read.
    """
    if not _set_aside(connection, number):
        return False
    found, damaged = readable(connection, number)
    if damaged:
        raise StoreError(damaged[0][1])
    (row,) = found
    state = HELD if row.reason or row.held_since else QUEUED
    counter = "held" if state == HELD else "queued"
    _transaction(
        connection,
        (
            f"UPDATE ledger SET {counter} = {counter} + 1, octets = octets + ? WHERE channel = ?",
            (row.size, row.channel),
        ),
        ("UPDATE entries SET state = ? WHERE id = ?", (state, number)),
        ("DELETE FROM damaged WHERE entry = ?", (number,)),
    )
    return True


def give_up(connection: sqlite3.Connection, number: int) -> bool:
    """
    Remove an entry that was set aside; its recipients count as deleted.

    :return: ``False``: it was not set aside.
    """
    if not _set_aside(connection, number):
        return False
    # The message goes with its last entry: its number is needed after the entry is gone.
    message = connection.execute("SELECT message FROM entries WHERE id = ?", (number,)).fetchone()[0]
    _transaction(
        connection,
        (
            "UPDATE ledger SET deleted = deleted + (SELECT recipients FROM entries WHERE id = ?)"
            " WHERE channel = (SELECT channel FROM entries WHERE id = ?)",
            (number, number),
        ),
        ("DELETE FROM entries WHERE id = ?", (number,)),
        ("DELETE FROM history WHERE entry = ?", (number,)),
        ("DELETE FROM damaged WHERE entry = ?", (number,)),
        ("DELETE FROM deadlines WHERE entry = ?", (number,)),
        (
            "INSERT OR IGNORE INTO garbage SELECT file FROM messages m"
            f" WHERE m.id = ? AND file IS NOT NULL AND {_UNUSED}",
            (message,),
        ),
        (f"DELETE FROM messages AS m WHERE m.id = ? AND {_UNUSED}", (message,)),
    )
    return True


def _set_aside(connection: sqlite3.Connection, number: int) -> bool:
    row = connection.execute("SELECT state FROM entries WHERE id = ?", (number,)).fetchone()
    return row is not None and row[0] == DAMAGED


def _transaction(connection: sqlite3.Connection, *statements: tuple[str, tuple[object, ...]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for sql, given in statements:
            connection.execute(sql, given)
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _lenient(text: bytes | None, kind: type[T]) -> T | None:
    if not text:
        return None
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _content(
    files: ContentFiles, there: bool, size: int, crc: int, file: bytes | None, content: bytes | None
) -> str:
    if not there:
        return "gone"
    if file is None:
        sound = len(content or b"") == size and crc32(content or b"") == crc
        return "whole" if sound else "damaged"
    try:
        return "whole" if os.path.getsize(files.path(plain(file))) == size else "damaged"
    except OSError:
        return "gone"
