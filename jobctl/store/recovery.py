"""Opening the database, and clearing what a crash left; its cost does not grow with the queue."""

import sqlite3

from jobctl.store import reading, schema
from jobctl.store.changes import prepare
from jobctl.store.content import ContentFiles
from jobctl.store.disk import Disk
from jobctl.store.records import encode


def open_database(path: str, disk: Disk) -> sqlite3.Connection:
    """
    A connection that can apply changes, its schema brought up to date.

    :raises StoreError: It is damaged, or from a newer release; nothing was changed.
    """
    connection = schema.connect(path, disk)
    try:
        schema.migrate(connection, path)
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def recover(connection: sqlite3.Connection, files: ContentFiles) -> None:
    """
    Remove content files that no row names: those that were on their way in, and old ones.

    :raises sqlite3.Error: The database cannot be read.
    """
    on_the_way = files.left_over()
    named = reading.files_named(connection, on_the_way)
    for name in on_the_way:
        if name in named:
            files.committed(name)
        else:
            files.forget(name)
    kept: set[str] = set()
    while names := reading.garbage(connection, kept):
        kept.update(name for name in names if not files.forget(name))
        names = [name for name in names if name not in kept]
        connection.execute(
            "DELETE FROM garbage WHERE file IN (SELECT value FROM json_each(?))", (encode(names).decode(),)
        )
