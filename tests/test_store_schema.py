"""Databases of other versions, and files that are no intact database."""

import os
import sqlite3

from twisted.trial.unittest import SynchronousTestCase

from jobctl.errors import StoreError
from jobctl.store import schema
from jobctl.store.sqlite import SQLiteStore
from tests.store_contract import NOW, PumpReactor, delivered, submission

HEAD = (
    b'{"envelope":{"sender":"s@s.example","recipients":[{"address":"ann@a.example"}]},'
    b'"source":{"channel":"tcp_local"},"envelope_id":"0OLD"}'
)


class SchemaTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = self.mktemp()
        os.mkdir(self.directory)
        self.path = os.path.join(self.directory, "queue.db")
        self.reactor = PumpReactor()
        self.store = SQLiteStore(self.reactor, self.directory, free_space=0)

    def refused(self) -> str:
        with self.assertRaises(StoreError) as caught:
            self.store.open()
        return str(caught.exception)

    def test_version_1_is_brought_forward(self) -> None:
        """A queue written by version 1 is opened with all its mail, and is of the newest version then."""
        from zlib import crc32

        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.executescript(schema.STEPS[0] + "PRAGMA user_version = 1;")
        connection.execute(
            "INSERT INTO messages VALUES (7, 1, 2, ?, ?, ?, NULL, ?)",
            (crc32(HEAD), crc32(b"Hi"), HEAD.decode(), b"Hi"),
        )
        due = round(NOW * 1e6)
        connection.execute(
            "INSERT INTO entries VALUES (7, 7, 'l', 'h', 0, 1, 2, 1, ?, ?, 3, ?, '')", (due, due, crc32(b""))
        )
        connection.execute("INSERT INTO ledger VALUES ('l', 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2)")
        connection.execute("UPDATE ids SET next = 8")
        connection.close()
        self.store.open()
        (stored,) = self.reactor.wait(self.store.directory())
        self.assertEqual((stored.entry.id, stored.entry.attempts, stored.envelope_id), ("Q7", 3, "0OLD"))
        self.assertEqual(self.reactor.wait(self.store.content(7)).read(9), b"Hi")
        self.assertEqual(self.reactor.wait(self.store.settle(delivered("Q7"))), [])
        (new,) = self.reactor.wait(self.store.enqueue(submission()))
        self.assertEqual(new, "Q8")
        self.reactor.wait(self.store.close())
        connection = sqlite3.connect(self.path)
        self.assertEqual(connection.execute("PRAGMA user_version").fetchone()[0], schema.VERSION)
        connection.close()

    def test_newer_version_is_refused(self) -> None:
        """A queue of a newer release is refused, untouched, and the error says what to do."""
        connection = sqlite3.connect(self.path)
        connection.execute("PRAGMA user_version = 999")
        connection.close()
        self.assertIn("run the release that wrote it", self.refused())
        self.assertIn("run the release that wrote it", self.refused())

    def test_failed_step_changes_nothing(self) -> None:
        """A migration that fails leaves the queue as it was."""
        connection = sqlite3.connect(self.path)
        connection.executescript("CREATE TABLE garbage (x); PRAGMA user_version = 1;")
        connection.close()
        self.assertIn("cannot open", self.refused())
        connection = sqlite3.connect(self.path)
        self.assertEqual(connection.execute("PRAGMA user_version").fetchone()[0], 1)
        connection.close()

    def test_damaged_files(self) -> None:
        """A file that is no database is refused with advice; nothing is made in its place."""
        for octets in (b"garbage" * 1000, b"SQLite format 3\0" + b"\xff" * 5000):
            with open(self.path, "wb") as file:
                file.write(octets)
            self.assertIn(".recover", self.refused())
            with open(self.path, "rb") as file:
                self.assertEqual(file.read(), octets)

    def test_emptied_database_beside_its_log(self) -> None:
        """When the database was emptied but its log holds mail, the log is not thrown away."""
        self.store.open()
        self.reactor.wait(self.store.enqueue(submission()))
        with open(self.path + "-wal", "rb") as file:
            log = file.read()
        self.reactor.wait(self.store.close())
        with open(self.path, "wb"), open(self.path + "-wal", "wb") as file:
            file.write(log)
        self.assertIn("-wal file is not", self.refused())
        with open(self.path + "-wal", "rb") as file:
            self.assertEqual(file.read(), log)

    def test_places_that_cannot_be_used(self) -> None:
        """A queue directory that cannot be made or used is told in one line."""
        for path in (os.path.join(self.path, "below"), "/proc/nowhere/queue"):
            with open(self.path, "a"), self.assertRaises(StoreError):
                SQLiteStore(self.reactor, path).open()
        os.mkdir(os.path.join(self.directory, "lock"))
        self.assertIn("lock", self.refused())
        os.rmdir(os.path.join(self.directory, "lock"))
        with open(os.path.join(self.directory, "staging"), "w"):
            self.assertIn("failed", self.refused())

    def test_old_sqlite(self) -> None:
        """A SQLite that lacks what is needed is named."""
        self.patch(sqlite3, "sqlite_version_info", (3, 37, 0))
        self.assertIn("too old", self.refused())

    def test_replaced_lock_file(self) -> None:
        """A lock file replaced while it is being taken does not let two in."""
        import fcntl

        path = os.path.join(self.directory, "lock")
        real, replaced = fcntl.flock, []

        def flock(file: int, how: int) -> None:
            real(file, how)
            if not replaced:
                replaced.append(True)
                os.rename(path, path + ".old")

        self.patch(fcntl, "flock", flock)
        self.store.open()
        self.assertTrue(self.store._lock.held())
        self.reactor.wait(self.store.close())
