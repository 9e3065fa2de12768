"""Looking at many messages with the beginning of their content, in the thread that reads lists."""

import os
import sqlite3
from collections.abc import Callable
from typing import Any, NamedTuple

from jobctl.mail.entry import StoredEntry
from jobctl.store import reading
from jobctl.store.content import ContentFiles

# Told of an entry, and of a function that gives the first so many octets of its content.
Look = Callable[[StoredEntry, Callable[[int], bytes]], Any]


class Scanned(NamedTuple):
    """
    A page that was looked at.

    :ivar found: What the look made of its entries, ``None`` and ``False`` left out.
    :ivar last: Id of the last entry; ``None``: there are no more.
    :ivar seen: Entries of the page.
    """

    found: list[Any]
    last: str | None
    seen: int


def scan(
    connection: sqlite3.Connection,
    files: ContentFiles,
    look: Look,
    channel: str | None,
    held: bool | None,
    limit: int,
    after: str | None,
) -> tuple[Scanned, list[reading.Damaged]]:
    """As :meth:`IMessageStore.scan`, with the entries that are damaged."""
    entries, damaged = reading.directory(connection, channel, held, limit, after)
    found = []
    for stored in entries:
        made = look(stored, _beginning(connection, files, stored.message))
        if made:
            found.append(made)
    return Scanned(found, entries[-1].entry.id if entries else None, len(entries)), damaged


def _beginning(connection: sqlite3.Connection, files: ContentFiles, message: int) -> Callable[[int], bytes]:
    kept = b""

    def head(octets: int) -> bytes:
        nonlocal kept
        if len(kept) < octets:
            kept = beginning(connection, files, message, octets)
        return kept[:octets]

    return head


def beginning(connection: sqlite3.Connection, files: ContentFiles, message: int, octets: int) -> bytes:
    """What can be had of it from its start: a file that cannot be read is the delivery's trouble, not ours."""
    row = connection.execute(
        "SELECT file, substr(content, 1, ?) FROM messages WHERE id = ?", (octets, message)
    ).fetchone()
    if row is None:
        return b""
    file, content = row
    if file is None:
        return bytes(content or b"")
    try:
        descriptor = os.open(files.path(file.decode()), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        pieces = []
        while octets and (piece := os.read(descriptor, octets)):
            pieces.append(piece)
            octets -= len(piece)
        return b"".join(pieces)
    except OSError:
        return b""
    finally:
        os.close(descriptor)
