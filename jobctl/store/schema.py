"""The tables, their versions, and how a database of an earlier version is brought forward."""

import os
import sqlite3

from jobctl.errors import StoreError, StoreFull
from jobctl.store.disk import Disk
from jobctl.store.health import FULL, damage_advice

_OLDEST_SQLITE = (3, 38, 0)  # ->> and STRICT tables

# One script per version; a new database runs them all, so that old and new ones cannot differ.
# What a step did is never edited: a change is a new step.  See docs/store.md for what columns mean.
STEPS = (
    """
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY, entries INTEGER NOT NULL, size INTEGER NOT NULL,
        head_crc INTEGER NOT NULL, content_crc INTEGER NOT NULL,
        head TEXT NOT NULL, file TEXT, content BLOB
    ) STRICT;
    CREATE TABLE entries (
        id INTEGER PRIMARY KEY, message INTEGER NOT NULL, channel TEXT NOT NULL, host TEXT NOT NULL,
        state INTEGER NOT NULL, priority INTEGER NOT NULL, size INTEGER NOT NULL, recipients INTEGER NOT NULL,
        enqueued INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL,
        crc INTEGER NOT NULL, detail TEXT NOT NULL
    ) STRICT;
    CREATE INDEX entries_due ON entries (due) WHERE state = 0;
    CREATE INDEX entries_host ON entries (channel, host, due) WHERE state = 0;
    CREATE INDEX entries_channel ON entries (channel);
    CREATE TABLE history (
        entry INTEGER NOT NULL, seq INTEGER NOT NULL, line TEXT NOT NULL, PRIMARY KEY (entry, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE ledger (
        channel TEXT PRIMARY KEY, accepted INTEGER NOT NULL, generated INTEGER NOT NULL,
        delivered INTEGER NOT NULL, relayed INTEGER NOT NULL, failed INTEGER NOT NULL,
        expired INTEGER NOT NULL, deleted INTEGER NOT NULL, moved INTEGER NOT NULL,
        queued INTEGER NOT NULL, held INTEGER NOT NULL, octets INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE ids (next INTEGER NOT NULL) STRICT;
    INSERT INTO ids VALUES (1);
    CREATE TABLE stopped (channel TEXT PRIMARY KEY, author TEXT NOT NULL, since INTEGER NOT NULL) STRICT;
    CREATE TABLE backoffs (
        channel TEXT NOT NULL, host TEXT NOT NULL, failures INTEGER NOT NULL, until INTEGER NOT NULL,
        reply TEXT NOT NULL, PRIMARY KEY (channel, host)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE INDEX messages_file ON messages (file) WHERE file IS NOT NULL;
    CREATE TABLE garbage (file TEXT PRIMARY KEY) STRICT;
    CREATE TABLE damaged (entry INTEGER PRIMARY KEY, since INTEGER NOT NULL, why TEXT NOT NULL) STRICT;
    """,
    """
    CREATE TABLE remembered (
        topic TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (topic, key)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE acts (id INTEGER PRIMARY KEY, since INTEGER NOT NULL, record TEXT NOT NULL) STRICT;
    CREATE INDEX acts_since ON acts (since);
    CREATE TABLE undo (
        operation INTEGER NOT NULL, entry INTEGER NOT NULL, until INTEGER NOT NULL, record TEXT NOT NULL,
        PRIMARY KEY (operation, entry)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX undo_until ON undo (until, operation, entry);
    """,
    """
    CREATE TABLE finished (
        at INTEGER PRIMARY KEY, entry INTEGER NOT NULL, enqueued INTEGER NOT NULL, channel TEXT NOT NULL,
        what INTEGER NOT NULL, recipient TEXT NOT NULL, detail TEXT NOT NULL
    ) STRICT;
    CREATE INDEX finished_entry ON finished (entry);
    """,
    """
    CREATE TABLE deadlines (entry INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;
    CREATE INDEX deadlines_at ON deadlines (at);
    """,
)
VERSION = len(STEPS)


def connect(path: str, disk: Disk) -> sqlite3.Connection:
    """
    The connection that changes things: write-ahead log, every commit synced.

    :raises StoreError: SQLite is too old, or the file is no intact database.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old; 3.38 or later is needed")
    _refuse_emptied(path)
    try:
        connection = disk.connect(path)
        # 4096: content of some 4 KB takes one overflow page; larger pages wrote more and were not faster.
        connection.execute("PRAGMA page_size = 4096")
        # So that what a flood of mail took is given back (Writer.idle); it costs 4 us a message.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        # Checkpoints are the writer's, so that their errors are seen; this is for a log that ran away.
        connection.execute("PRAGMA wal_autocheckpoint = 65536")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA cache_size = -32768")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA secure_delete = OFF")
    except sqlite3.Error as why:
        raise _unreadable(path, why) from why
    return connection


def connect_reader(path: str, disk: Disk) -> sqlite3.Connection:
    """A connection that only reads; it sees the last commit and never waits for the next."""
    connection = disk.connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """
    Bring the schema to :data:`VERSION`, all steps in one transaction.

    :raises StoreError: It is from a newer release, or damaged; nothing was changed.
    """
    try:
        found = connection.execute("PRAGMA user_version").fetchone()[0]
        if found > VERSION:
            raise StoreError(
                f"{path} is of version {found} and this release knows {VERSION}: "
                "run the release that wrote it, or a later one"
            )
        if found < VERSION:
            steps = "".join(STEPS[found:])
            connection.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version = {VERSION}; COMMIT;")
    except sqlite3.Error as why:
        raise _unreadable(path, why) from why


def _unreadable(path: str, why: sqlite3.Error) -> StoreError:
    code = getattr(why, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StoreError(damage_advice(f"{path}: {why}"))
    if getattr(why, "sqlite_errorcode", 0) in FULL:
        return StoreFull(f"cannot open {path}: no room on its disk")
    return StoreError(f"cannot open {path}: {why}")


def _refuse_emptied(path: str) -> None:
    """SQLite would throw the log of an emptied database away, and with it mail that can still be saved."""
    try:
        if os.path.getsize(path) == 0 and os.path.getsize(path + "-wal") > 0:
            raise StoreError(
                damage_advice(f"{path} is empty but its -wal file is not; do not open it with sqlite3 yet")
            )
    except FileNotFoundError:
        return
