"""Entries that cannot be read are set aside, so that one of them never stops the others."""

import sqlite3

from twisted.logger import Logger

from jobctl.store.ids import id_text
from jobctl.store.reading import Damaged
from jobctl.store.records import encode, microseconds

log = Logger()


def set_aside(connection: sqlite3.Connection, damaged: list[Damaged], now: float) -> None:
    """
    Take entries out of all queues, keeping their rows as evidence.

    Their recipients stay counted as queued in the ledger: nobody has lost them yet.

    :raises sqlite3.Error: Nothing was changed.
    """
    numbers = encode([number for number, _ in damaged]).decode()
    mine = "(SELECT id FROM entries WHERE id IN (SELECT value FROM json_each(?)) AND state <> 2)"
    connection.execute("BEGIN IMMEDIATE")
    try:
        for counter, amount in (
            ("queued", "state = 0"),
            ("held", "state = 1"),
            ("octets", "(state < 2) * size"),
        ):
            connection.execute(
                f"""UPDATE ledger SET {counter} = {counter} - (SELECT coalesce(sum({amount}), 0)
                    FROM entries e WHERE e.channel = ledger.channel AND e.id IN {mine})""",
                (numbers,),
            )
        connection.execute(f"UPDATE entries SET state = 2 WHERE id IN {mine}", (numbers,))
        connection.executemany(
            "INSERT OR IGNORE INTO damaged SELECT id, ?, ? FROM entries WHERE id = ?",
            [(microseconds(now), why, number) for number, why in damaged],
        )
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    for number, why in damaged:
        log.error("store: entry {id} is damaged and set aside: {why}", id=id_text(number), why=why)
