"""A batch of changes, and the one statement that applies it."""

import sqlite3
from collections.abc import Iterable

from jobctl.store.records import encode, microseconds

# The counters of a channel, in the order of the ledger's columns after the channel.
COUNTERS = (
    "accepted",
    "generated",
    "delivered",
    "relayed",
    "failed",
    "expired",
    "deleted",
    "moved",
    "queued",
    "held",
    "octets",
)
COUNTER = {name: place for place, name in enumerate(COUNTERS)}

_ADD_COUNTERS = ", ".join(f"{name} = {name} + excluded.{name}" for name in COUNTERS)
_UNUSED = (
    "NOT EXISTS (SELECT 1 FROM entries e WHERE e.id >= messages.id AND e.id < messages.id + messages.entries)"
)

# Each statement that is stepped gives the interpreter's lock away and must win it back from a busy reactor
# (up to the switch interval, each time).  So a whole commit is ONE statement: an insert into a view whose
# trigger does the work, in autocommit mode, its sync included.  With a busy second thread this carried
# six times as many messages as a transaction of multi-row inserts, at 20 us per message instead of 14.
_TRIGGER = f"""
CREATE TEMP VIEW batch AS SELECT
    0 AS messages, 0 AS body, 0 AS entries, 0 AS gone, 0 AS emptied, 0 AS history, 0 AS ledger, 0 AS next_id,
    0 AS stopped, 0 AS started, 0 AS backoffs, 0 AS forgotten, 0 AS swept,
    0 AS silenced, 0 AS finished, 0 AS outdated, 0 AS most;
CREATE TEMP TRIGGER apply INSTEAD OF INSERT ON batch BEGIN
    INSERT INTO messages SELECT value->>0, value->>1, value->>2, value->>3, value->>4,
        CAST(substr(NEW.body, value->>5, value->>6) AS TEXT), value->>9,
        CASE WHEN value->>9 IS NULL THEN substr(NEW.body, value->>7, value->>8) END
        FROM json_each(NEW.messages);
    REPLACE INTO entries SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6,
        value->>7, value->>8, value->>9, value->>10, value->>11, value->>12
        FROM json_each(NEW.entries);
    INSERT INTO history SELECT value->>0,
        (SELECT coalesce(max(seq), 0) FROM history h WHERE h.entry = value->>0) + (value->>1), value->>2
        FROM json_each(NEW.history);
    DELETE FROM history WHERE entry IN (SELECT value->>0 FROM json_each(NEW.history))
        AND seq <= (SELECT max(seq) FROM history h WHERE h.entry = history.entry) - 100;
    DELETE FROM entries WHERE id IN (SELECT value FROM json_each(NEW.gone));
    DELETE FROM history WHERE entry IN (SELECT value FROM json_each(NEW.silenced));
    INSERT INTO finished SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->6
        FROM json_each(NEW.finished);
    DELETE FROM history WHERE NEW.most > 0 AND entry IN
        (SELECT entry FROM finished WHERE at < NEW.outdated ORDER BY at LIMIT NEW.most)
        AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.id = history.entry);
    DELETE FROM finished WHERE NEW.most > 0 AND at IN
        (SELECT at FROM finished WHERE at < NEW.outdated ORDER BY at LIMIT NEW.most);
    INSERT OR IGNORE INTO garbage SELECT file FROM messages
        WHERE id IN (SELECT value FROM json_each(NEW.emptied)) AND file IS NOT NULL AND {_UNUSED};
    DELETE FROM messages WHERE id IN (SELECT value FROM json_each(NEW.emptied)) AND {_UNUSED};
    INSERT INTO ledger SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6,
        value->>7, value->>8, value->>9, value->>10, value->>11
        FROM json_each(NEW.ledger) WHERE true
        ON CONFLICT (channel) DO UPDATE SET {_ADD_COUNTERS};
    UPDATE ids SET next = NEW.next_id WHERE NEW.next_id IS NOT NULL;
    REPLACE INTO stopped SELECT value->>0, value->>1, value->>2 FROM json_each(NEW.stopped);
    DELETE FROM stopped WHERE channel IN (SELECT value FROM json_each(NEW.started));
    REPLACE INTO backoffs SELECT value->>0, value->>1, value->>2, value->>3, value->>4
        FROM json_each(NEW.backoffs);
    DELETE FROM backoffs WHERE (channel, host) IN (SELECT value->>0, value->>1 FROM json_each(NEW.forgotten));
    DELETE FROM garbage WHERE file IN (SELECT value FROM json_each(NEW.swept));
END;
"""
_APPLY = f"INSERT INTO batch VALUES ({', '.join(17 * '?')})"


def prepare(connection: sqlite3.Connection) -> None:
    """Make the view and its trigger; they belong to the connection, not to the file."""
    connection.executescript(_TRIGGER)


class Changes:
    """
    What one commit will do, gathered.

    All members are encoded when they are added, so that a value that cannot be stored is found
    while it is clear whose it is.  Entries added and gone in the same batch are written and
    deleted; the order of the statements makes that right.

    :ivar files: Names of content files that rows of this batch name.
    :ivar large_gone: An entry with content in a file left, so there may be garbage.
    :ivar finished: ``[at, entry, enqueued, channel, what, recipient, detail]`` of recipients that have left.
    :ivar outdated: Finished messages of before this time (microseconds) are forgotten, twice as many in a
        commit as it adds: so there is never much to do at once, however busy the store is.
    """

    def __init__(self) -> None:
        self._messages: list[bytes] = []
        self._body: list[bytes] = []
        self._offset = 1
        self._entries: dict[int, bytes] = {}
        self._gone: list[int] = []
        self._emptied: set[int] = set()
        self._silenced: list[int] = []
        self.finished: list[bytes] = []
        self.outdated = 0
        self._history: dict[int, list[bytes]] = {}
        self._ledger: dict[str, list[int]] = {}
        self._stopped: dict[str, bytes | None] = {}
        self._backoffs: dict[tuple[str, str], bytes | None] = {}
        self._remembered: list[tuple[str, str, str | None]] = []
        self._acts: list[tuple[int, int, str]] = []
        self._oldest_act = 0
        self._undo: dict[tuple[int, int], tuple[int, str] | None] = {}
        self._deadlines: dict[int, int | None] = {}
        self.next_id: int | None = None
        self.swept: list[str] = []
        self.files: list[str] = []
        self.large_gone = False

    def message(
        self,
        number: int,
        entries: int,
        size: int,
        head: bytes,
        crcs: tuple[int, int],
        content: bytes,
        file: str | None,
    ) -> None:
        """A new message; ``crcs`` of head and content; ``content`` is empty when it lies in ``file``."""
        start = self._offset
        self._messages.append(
            encode((number, entries, size, *crcs, start, len(head), start + len(head), len(content), file))
        )
        self._body += (head, content)
        self._offset = start + len(head) + len(content)
        if file is not None:
            self.files.append(file)

    def entry(self, number: int, record: bytes) -> None:
        """A new or changed entry; the last one counts."""
        self._entries[number] = record

    def leave(self, number: int, message: int, silent: bool) -> None:
        """An entry is gone, with its message if it was the last; ``silent``: with its history."""
        self._entries.pop(number, None)
        self._gone.append(number)
        if silent:
            self._silenced.append(number)
        self._emptied.add(message)

    def history(self, number: int, lines: list[bytes]) -> None:
        """Further lines of an entry's history, each itself JSON."""
        self._history.setdefault(number, []).extend(lines)

    def counters(self, channel: str) -> list[int]:
        """What is added to each counter of a channel, by ``COUNTER[name]``; to be changed by the caller."""
        counters = self._ledger.get(channel)
        if counters is None:
            counters = self._ledger[channel] = [0] * len(COUNTERS)
        return counters

    def stop(self, channel: str, record: bytes | None) -> None:
        """``[channel, author, since]``; ``None`` starts it."""
        self._stopped[channel] = record

    def backoff(self, channel: str, host: str, record: bytes | None) -> None:
        """``[channel, host, failures, until, reply]``; ``None`` forgets it."""
        self._backoffs[channel, host] = record

    def remember(self, topic: str, key: str, value: str | None) -> None:
        """JSON text under a topic and a key; ``None`` forgets it."""
        self._remembered.append((topic, key, value))

    def act(self, number: int, since: int, record: str, oldest: int) -> None:
        """A new or changed act; those from before ``oldest`` are forgotten."""
        self._acts.append((number, since, record))
        self._oldest_act = max(self._oldest_act, oldest)

    def undo(self, operation: int, entry: int, until: int, record: str) -> None:
        """How to take back what an operation did to an entry."""
        self._undo[operation, entry] = (until, record)

    def cannot_undo(self, operation: int, entry: int) -> None:
        """It cannot be taken back any more."""
        self._undo[operation, entry] = None

    def deadline(self, entry: int, at: int | None) -> None:
        """By when an entry is to be delivered (microseconds); ``None``: that does not matter any more."""
        self._deadlines[entry] = at

    def apply(self, connection: sqlite3.Connection) -> None:
        """
        Commit it all; when this returns it is on the disk.

        :raises sqlite3.Error: Nothing was changed, but perhaps what is remembered.
        """
        if not self._acts and not self._undo and not self._deadlines:
            self._apply(connection)
            return
        # An operator's doing, or a sender's who sets a deadline, seldom: it can afford some statements more,
        # in a transaction with the rest.
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._apply(connection)
            self._apply_acts(connection)
            self._apply_deadlines(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _apply_acts(self, connection: sqlite3.Connection) -> None:
        if self._acts:
            connection.executemany("REPLACE INTO acts VALUES (?, ?, ?)", self._acts)
            # The newest stays, however old: numbers are never given twice.
            newest = max(number for number, _, _ in self._acts)
            connection.execute("DELETE FROM acts WHERE since < ? AND id < ?", (self._oldest_act, newest))
        if not self._undo:
            return
        kept = [(*key, *value) for key, value in self._undo.items() if value is not None]
        gone = [key for key, value in self._undo.items() if value is None]
        connection.execute(
            "REPLACE INTO undo SELECT value->>0, value->>1, value->>2, value->>3 FROM json_each(?)",
            (encode(kept).decode(),),
        )
        connection.execute(
            "DELETE FROM undo WHERE (operation, entry) IN (SELECT value->>0, value->>1 FROM json_each(?))",
            (encode(gone).decode(),),
        )

    def _apply_deadlines(self, connection: sqlite3.Connection) -> None:
        kept = [(entry, at) for entry, at in self._deadlines.items() if at is not None]
        gone = [(entry,) for entry, at in self._deadlines.items() if at is None]
        if kept:
            connection.executemany("REPLACE INTO deadlines VALUES (?, ?)", kept)
        if gone:
            connection.executemany("DELETE FROM deadlines WHERE entry = ?", gone)

    def _apply(self, connection: sqlite3.Connection) -> None:
        """
        The commit that all mail goes through.

        What is remembered goes first, one commit each: operators set something seldom, and every commit
        would pay for two more statements in the trigger.  To be tried again does it no harm.

        :raises sqlite3.Error: Nothing else was changed.
        """
        for topic, key, value in self._remembered:
            if value is None:
                connection.execute("DELETE FROM remembered WHERE topic = ? AND key = ?", (topic, key))
            else:
                connection.execute("REPLACE INTO remembered VALUES (?, ?, ?)", (topic, key, value))
        connection.execute(
            _APPLY,
            (
                _array(self._messages),
                b"".join(self._body),
                _array(self._entries.values()),
                _numbers(self._gone),
                _numbers(self._emptied),
                _array(
                    [
                        encode((number, place, line.decode()))
                        for number, lines in self._history.items()
                        for place, line in enumerate(lines, 1)
                    ]
                ),
                _array([encode((channel, *counters)) for channel, counters in self._ledger.items()]),
                self.next_id,
                _array([record for record in self._stopped.values() if record is not None]),
                _texts([channel for channel, record in self._stopped.items() if record is None]),
                _array([record for record in self._backoffs.values() if record is not None]),
                _texts([pair for pair, record in self._backoffs.items() if record is None]),
                _texts(self.swept),
                _numbers(self._silenced),
                _array(self.finished),
                self.outdated,
                2 * len(self.finished),
            ),
        )

    @property
    def octets(self) -> int:
        """About how much it adds to the log of the database."""
        pages = 8 + len(self.finished) // 8 + 2 * len(self._entries) // 8 + len(self._gone) // 8
        return self._offset + 1024 * len(self._messages) + 4096 * pages


def _array(records: Iterable[bytes]) -> str | None:
    joined = b",".join(records)
    return f"[{joined.decode()}]" if joined else None


def _numbers(numbers: "list[int] | set[int]") -> str | None:
    return encode(numbers).decode() if numbers else None


def _texts(texts: list[str] | list[tuple[str, str]]) -> str | None:
    return encode(texts).decode() if texts else None


def forget_finished(connection: sqlite3.Connection, before: float, most: int) -> int:
    """
    Remove the oldest finished recipients and what was kept of their attempts; gives how many they were.

    :param before: Epoch seconds.
    :raises sqlite3.Error: Nothing was removed.
    """
    given = (microseconds(before), most)
    outdated = "FROM finished WHERE at < ? ORDER BY at LIMIT ?"
    count: int = connection.execute(f"SELECT count(*) FROM (SELECT 1 {outdated})", given).fetchone()[0]
    if count:
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(
                f"DELETE FROM history WHERE entry IN (SELECT entry {outdated})"
                " AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.id = history.entry)",
                given,
            )
            connection.execute(f"DELETE FROM finished WHERE at IN (SELECT at {outdated})", given)
            connection.execute("COMMIT")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return count
