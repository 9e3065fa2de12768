"""
The queries.  Each fetches many rows as one JSON text: a row that is stepped on its own costs a turn
for the interpreter's lock, and a list of a thousand would disturb the reactor a thousand times.
"""

import sqlite3
from collections.abc import Collection, Iterable
from zlib import crc32

import msgspec

from jobctl.accounts.balance import missing
from jobctl.mail.entry import Attempt, Loss, Origin, QueueEntry, StoredEntry
from jobctl.mail.share import NONE
from jobctl.store import rows
from jobctl.store.ids import id_number, id_text
from jobctl.store.records import (
    Row,
    encode,
    microseconds,
    row_of,
    seconds,
)
from jobctl.store.rows import Damaged, Found

_PAGE = 500
_LEDGER = tuple(origin.value for origin in Origin) + tuple(loss.value for loss in Loss)

_attempt = msgspec.json.Decoder(Attempt).decode
_content_records = msgspec.json.Decoder(list[tuple[int, int, int, int]]).decode
_string = msgspec.json.Decoder(str).decode


def load_rows(connection: sqlite3.Connection, numbers: Iterable[int]) -> Found[Row]:
    """Entries as the writer wants them, those of the numbers that are there and not set aside."""
    where = "e.id IN (SELECT value FROM json_each(?)) AND e.state <> 2"
    return rows.entries(connection, where, "", (_text(list(numbers)),), row_of)


def readable(connection: sqlite3.Connection, number: int) -> Found[Row]:
    """One entry, set aside or not."""
    return rows.entries(connection, "e.id = ?", "", (number,), row_of)


def fetch(connection: sqlite3.Connection, ids: Iterable[str]) -> Found[StoredEntry]:
    where = "e.id IN (SELECT value FROM json_each(?)) AND e.state < 2"
    return rows.entries(connection, where, "", (_text([id_number(text) for text in ids]),), rows.stored)


def with_hidden(connection: sqlite3.Connection, numbers: Iterable[int]) -> Found[StoredEntry]:
    """As :func:`fetch`, those in grace too; in order of arrival."""
    where = "e.id IN (SELECT value FROM json_each(?)) AND e.state <> 2"
    return rows.entries(connection, where, "ORDER BY e.id", (_text(list(numbers)),), rows.stored)


def window(
    connection: sqlite3.Connection,
    after: tuple[float, str] | None,
    limit: int,
    skip: Iterable[tuple[str, str]],
    share_by: str = NONE,
) -> Found[QueueEntry]:
    pairs = list(skip)
    condition = "(e.due, e.id) > (?, ?) AND e.state = 0"
    if pairs:
        condition += " AND (e.channel, e.host) NOT IN (SELECT value->>0, value->>1 FROM json_each(?))"
    given = (*_beyond(after), _text(pairs)) if pairs else _beyond(after)
    return rows.queued(connection, "entries_due", condition, given, limit, share_by)


def backlog(
    connection: sqlite3.Connection,
    channel: str,
    host: str | None,
    after: tuple[float, str] | None,
    limit: int,
    share_by: str = NONE,
) -> Found[QueueEntry]:
    index, condition = "entries_due", "(e.due, e.id) > (?, ?) AND e.state = 0 AND e.channel = ?"
    given: tuple[object, ...] = (*_beyond(after), channel)
    if host is not None:
        index, condition, given = "entries_host", condition + " AND e.host = ?", (*given, host)
    return rows.queued(connection, index, condition, given, limit, share_by)


def directory(
    connection: sqlite3.Connection,
    channel: str | None,
    held: bool | None,
    limit: int | None,
    after: str | None,
    hosts: Collection[str] | None = None,
) -> Found[StoredEntry]:
    """Read page by page, so that no one text grows with the queue."""
    entries: list[StoredEntry] = []
    damaged: list[Damaged] = []
    states = {None: "e.state < 2", True: "e.state = 1", False: "e.state = 0"}[held]
    condition = f"e.id > ? AND {states}"
    more: tuple[str, ...] = ()
    if channel is not None:
        condition += " AND e.channel = ?"
        more += (channel,)
    if hosts is not None:
        condition += " AND e.host IN (SELECT value FROM json_each(?))"
        more += (_text(list(hosts)),)
    beyond = id_number(after) if after is not None else 0
    while limit is None or len(entries) < limit:
        count = _PAGE if limit is None else min(_PAGE, limit - len(entries))
        found, bad = rows.entries(
            connection, condition, f"ORDER BY e.id LIMIT {count}", (beyond, *more), rows.stored
        )
        entries += found
        damaged += bad
        if len(found) + len(bad) < count:
            break
        beyond = max([id_number(found[-1].entry.id) if found else 0, *(number for number, _ in bad)])
    return entries, damaged


def late(connection: sqlite3.Connection, before: float, limit: int) -> Found[StoredEntry]:
    """Queued entries with a deadline that has passed, the oldest deadline first."""
    where = (
        "e.id IN (SELECT d.entry FROM deadlines d JOIN entries q ON q.id = d.entry AND q.state = 0"
        " WHERE d.at <= ? ORDER BY d.at LIMIT ?)"
    )
    return rows.entries(connection, where, "", (microseconds(before), limit), rows.stored)


def summarize(
    connection: sqlite3.Connection, now: float
) -> dict[str, tuple[int, int, int, int, float | None]]:
    """The oldest is the first that arrived; its time is what a clock that steps made of it."""
    rows = connection.execute(
        """
        SELECT json_group_array(json_array(channel, queued,
            (SELECT count(*) FROM entries e INDEXED BY entries_host
                WHERE e.state = 0 AND e.channel = l.channel AND e.due > ?),
            held, octets,
            (SELECT e.enqueued FROM entries e
                WHERE e.channel = l.channel AND e.state < 2 ORDER BY e.id LIMIT 1)))
        FROM ledger l WHERE queued + held > 0
        """,
        (microseconds(now),),
    ).fetchone()[0]
    found = msgspec.json.decode(rows, type=list[tuple[str, int, int, int, int, int | None]])
    return {
        channel: (queued, future, held, octets, None if oldest is None else seconds(oldest))
        for channel, queued, future, held, octets, oldest in found
    }


def overdue(connection: sqlite3.Connection, hosts: list[tuple[str, str]], now: float) -> list[int]:
    rows = connection.execute(
        """
        SELECT (SELECT count(*) FROM entries e INDEXED BY entries_host WHERE e.state = 0
            AND e.channel = h.value->>0 AND e.host = h.value->>1 AND e.due <= ?)
        FROM json_each(?) h ORDER BY h.key
        """,
        (microseconds(now), _text(hosts)),
    )
    return [count for (count,) in rows]


def channels(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("SELECT channel FROM ledger WHERE queued + held > 0 ORDER BY channel")
    return [plain(name) for (name,) in rows]


def count_arrived(
    connection: sqlite3.Connection, channel: str, priority: int, after: float, until: float
) -> int:
    row = connection.execute(
        "SELECT count(*) FROM entries WHERE channel = ? AND state = 0 AND priority = ?"
        " AND enqueued > ? AND enqueued <= ?",
        (channel, priority, microseconds(after), microseconds(until)),
    ).fetchone()
    return int(row[0])


def history(connection: sqlite3.Connection, text_id: str) -> list[Attempt]:
    rows = connection.execute("SELECT line FROM history WHERE entry = ? ORDER BY seq", (id_number(text_id),))
    return [_line(line) for (line,) in rows]


def ledger(connection: sqlite3.Connection, counted: bool = True) -> dict[str, dict[str, int]]:
    """
    ``queued`` is counted in the entries, not kept as a sum: so an imbalance shows.

    One transaction, since sums and entries must be of the same commit.

    :param counted: ``False``: ``queued`` is what the other counts say it must be.
    """
    connection.execute("BEGIN")
    try:
        rows = connection.execute(f"SELECT channel, {', '.join(_LEDGER)} FROM ledger").fetchall()
        entries = (
            connection.execute(
                "SELECT channel, sum(recipients) FROM entries NOT INDEXED GROUP BY channel"
            ).fetchall()
            if counted
            else []
        )
    finally:
        connection.execute("ROLLBACK")
    accounts = {
        plain(name): dict(zip(_LEDGER, counts, strict=True)) | {"queued": 0} for name, *counts in rows
    }
    if not counted:
        for account in accounts.values():
            account["queued"] = missing(account)
    empty = dict.fromkeys((*_LEDGER, "queued"), 0)
    for name, count in entries:
        accounts.setdefault(plain(name), dict(empty))["queued"] = count
    return accounts


def stopped(connection: sqlite3.Connection) -> dict[str, tuple[str, float]]:
    rows = connection.execute("SELECT channel, author, since FROM stopped")
    return {plain(channel): (plain(author), seconds(since)) for channel, author, since in rows}


def remembered(connection: sqlite3.Connection, topic: str) -> dict[str, str]:
    rows = connection.execute("SELECT key, value FROM remembered WHERE topic = ?", (topic,))
    return {plain(key): plain(value) for key, value in rows}


Inspected = tuple[StoredEntry, list[Attempt], tuple[str, float] | None, tuple[int, float, str] | None]


def inspect(connection: sqlite3.Connection, text_id: str) -> Found[Inspected]:
    """One entry, also one in grace, with its history, who stopped its channel, and what is known of its destination."""
    entries, damaged = with_hidden(connection, [id_number(text_id)])
    looks: list[Inspected] = []
    for stored in entries:
        place = (stored.entry.channel, stored.entry.host)
        halt = connection.execute("SELECT author, since FROM stopped WHERE channel = ?", place[:1]).fetchone()
        backoff = connection.execute(
            "SELECT failures, until, reply FROM backoffs WHERE channel = ? AND host = ?", place
        ).fetchone()
        looks.append(
            (
                stored,
                history(connection, text_id),
                None if halt is None else (plain(halt[0]), seconds(halt[1])),
                None if backoff is None else (backoff[0], seconds(backoff[1]), _reply(backoff[2])),
            )
        )
    return looks, damaged


def host_backoffs(connection: sqlite3.Connection) -> list[tuple[str, str, int, float, str]]:
    rows = connection.execute("SELECT channel, host, failures, until, reply FROM backoffs ORDER BY until")
    return [
        (plain(channel), plain(host), failures, seconds(until), _reply(reply))
        for channel, host, failures, until, reply in rows
    ]


def damaged(connection: sqlite3.Connection) -> list[tuple[str, float, str]]:
    """Entries set aside: id, when that was, why."""
    rows = connection.execute("SELECT entry, since, why FROM damaged ORDER BY entry")
    return [(id_text(entry), seconds(since), plain(why)) for entry, since, why in rows]


def content_row(
    connection: sqlite3.Connection, message: int
) -> tuple[int, int, str | None, bytes | None] | None:
    """Size, checksum, file and inline content of a message; ``None``: it is gone."""
    row = connection.execute(
        "SELECT size, content_crc, file, content FROM messages WHERE id = ?", (message,)
    ).fetchone()
    if row is None:
        return None
    size, crc, file, content = row
    return size, crc, None if file is None else plain(file), content


def inline_contents(connection: sqlite3.Connection, messages: Iterable[int]) -> dict[int, bytes]:
    """
    Contents that lie in the database and are what was stored; :func:`content_row` tells about the others.

    All come in one piece, for the reason given above.  SQLite does not promise that its concatenation leaves
    octets alone that are no text, though it does; if it ever did not, the checksums would tell.
    """
    about, whole = connection.execute(
        "SELECT json_group_array(json_array(id, size, length(content), content_crc)),"
        " CAST(group_concat(content, '') AS BLOB)"
        " FROM (SELECT id, size, content_crc, content FROM messages"
        " WHERE file IS NULL AND id IN (SELECT value FROM json_each(?)))",
        (_text(list(messages)),),
    ).fetchone()
    contents, start = {}, 0
    for number, size, length, crc in _content_records(about):
        content = (whole or b"")[start : start + length]
        start += length
        if len(content) == size and crc32(content) == crc:
            contents[number] = content
    return contents


def entries_of(connection: sqlite3.Connection, message: int) -> list[str]:
    """Ids of the entries that share a message."""
    rows = connection.execute(
        "SELECT e.id FROM messages m JOIN entries e ON e.id >= m.id AND e.id < m.id + m.entries"
        " WHERE m.id = ?",
        (message,),
    )
    return [id_text(number) for (number,) in rows]


def files_named(connection: sqlite3.Connection, names: Iterable[str]) -> set[str]:
    """Which of these content files belong to a message?"""
    rows = connection.execute(
        "SELECT file FROM messages WHERE file IN (SELECT value FROM json_each(?))", (_text(list(names)),)
    )
    return {plain(file) for (file,) in rows}


def garbage(connection: sqlite3.Connection, but: Iterable[str]) -> list[str]:
    """Content files to be removed, other than these, at most a thousand at a time."""
    rows = connection.execute(
        """
        SELECT json_group_array(file) FROM
            (SELECT file FROM garbage WHERE file NOT IN (SELECT value FROM json_each(?)) LIMIT 1000)
        """,
        (_text(list(but)),),
    ).fetchone()
    return msgspec.json.decode(rows[0], type=list[str])


def reusable(connection: sqlite3.Connection) -> int:
    """Octets of the database file that hold nothing."""
    pages, size = (
        connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("freelist_count", "page_size")
    )
    return int(pages * size)


def plain(text: bytes) -> str:
    """Text of a column; what damage made of it never stops a list."""
    return text.decode("utf-8", "replace")


def _reply(text: bytes) -> str:
    try:
        return _string(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "(damaged)"


def _line(text: bytes) -> Attempt:
    try:
        return _attempt(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Attempt(when=0.0, what="damaged", text="this line of the history cannot be read")


def _text(value: object) -> str:
    return encode(value).decode()


def _beyond(after: tuple[float, str] | None) -> tuple[int, int]:
    return (-(1 << 63), 0) if after is None else (microseconds(after[0]), id_number(after[1]))
