"""When the disk fails: nothing is acknowledged that is not on it, and what can go on goes on."""

import errno
import os
import sqlite3
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from jobctl.errors import StoreError, StoreFull
from jobctl.mail.entry import Lasting, Loss, Origin, Settlement
from jobctl.mail.envelope import Priority, Recipient
from jobctl.store import reading, worker, writer
from jobctl.store.disk import Disk
from jobctl.store.space import RESERVE
from jobctl.store.sqlite import SQLiteStore
from tests.store_contract import ANN, BOB, NOW, PumpReactor, delivered, imbalances, new_entry, submission

LARGE = b"0123456789abcdef" * 10_000


class FaultyConnection:
    """A connection whose statements fail when told to."""

    def __init__(self, connection: sqlite3.Connection, disk: "FaultyDisk") -> None:
        self._connection = connection
        self._disk = disk

    def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
        self._fault(sql)
        return self._connection.execute(sql, *given)

    def executescript(self, sql: str) -> None:
        self._fault(sql)
        self._connection.executescript(sql)

    def _fault(self, sql: str) -> None:
        for word, code, times in list(self._disk.statements):
            if word in sql:
                self._disk.statements.remove((word, code, times))
                if times > 1:
                    self._disk.statements.append((word, code, times - 1))
                error = sqlite3.OperationalError(f"injected {code}")
                error.sqlite_errorcode = code
                raise error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class FaultyDisk(Disk):
    """
    :ivar fail: Method name to the errno it fails with from now on.
    :ivar statements: (text in it, SQLite's error code, times) of statements that fail.
    :ivar octets: What is said to be free; ``None`` asks the system.
    """

    def __init__(self) -> None:
        self.fail: dict[str, int] = {}
        self.statements: list[tuple[str, int, int]] = []
        self.octets: int | None = None
        self.files = 1 << 40
        self.connections: list[sqlite3.Connection] = []
        self.synced: list[int] = []

    def connect(self, path: str) -> Any:
        connection = super().connect(path)
        self.connections.append(connection)
        return FaultyConnection(connection, self)

    def free(self, path: str) -> tuple[int, int]:
        self._fault("free")
        return super().free(path) if self.octets is None else (self.octets, self.files)

    def _fault(self, name: str) -> None:
        if name in self.fail:
            raise OSError(self.fail[name], os.strerror(self.fail[name]))

    def create(self, path: str) -> int:
        self._fault("create")
        return super().create(path)

    def write(self, file: int, data: bytes) -> None:
        self._fault("write")
        super().write(file, data)

    def sync(self, file: int) -> None:
        self.synced.append(file)
        self._fault("sync")
        super().sync(file)

    def link(self, old: str, new: str) -> None:
        self._fault("link")
        super().link(old, new)

    def sync_directory(self, path: str) -> None:
        self._fault("sync_directory")
        super().sync_directory(path)

    def remove(self, path: str) -> None:
        self._fault("remove")
        super().remove(path)

    def allocate(self, path: str, octets: int) -> None:
        self._fault("allocate")
        super().allocate(path, octets)


class FailureCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = self.mktemp()
        self.reactor = PumpReactor()
        self.disk = FaultyDisk()
        self.store = self.open_store()
        self.addCleanup(lambda: self.reactor.wait(self.store.close()))

    def open_store(self, free_space: int = 0) -> SQLiteStore:
        store = SQLiteStore(self.reactor, self.directory, free_space=free_space, disk=self.disk)
        store.open()
        return store

    def reopened(self) -> SQLiteStore:
        self.reactor.wait(self.store.close())
        return self.open_store()

    def reopen(self) -> None:
        self.disk.fail.clear()
        self.disk.statements.clear()
        self.store = self.reopened()

    def enqueue(self, **more: Any) -> str:
        (text_id,) = self.reactor.wait(self.store.enqueue(submission(**more)))
        return str(text_id)

    def ids(self) -> list[str]:
        return [stored.entry.id for stored in self.reactor.wait(self.store.directory())]

    def files(self) -> list[str]:
        """Everything under content/ and staging/."""
        return [
            name
            for top in ("content", "staging")
            for _, _, names in os.walk(os.path.join(self.directory, top))
            for name in names
        ]

    def assert_balanced(self) -> None:
        self.assertEqual(imbalances(self.reactor.wait(self.store.ledger())), {})

    def fails(self, kind: type[StoreError], call: Callable[[], Any]) -> str:
        with self.assertRaises(kind) as caught:
            self.reactor.wait(call())
        return str(caught.exception)


class ContentFileFailures(FailureCase):
    """Large content goes through create, write, sync, link, sync of the directory; each can fail."""

    def test_no_room(self) -> None:
        """A full disk in any step of storing large content is told as such, keeps nothing, and passes."""
        for step in ("create", "write", "sync", "link", "sync_directory"):
            for code in (errno.ENOSPC, errno.EDQUOT):
                self.disk.fail = {step: code}
                self.fails(StoreFull, lambda: self.store.enqueue(submission(content=LARGE)))
                self.disk.fail = {}
                self.assertEqual(self.files(), [], step)
        kept = self.enqueue(content=LARGE)
        self.assertEqual(self.ids(), [kept])

    def test_failed_sync_is_never_repeated(self) -> None:
        """After a sync failed nothing is accepted until the store is opened anew; mail can leave."""
        for step in ("sync", "sync_directory"):
            before = self.enqueue()
            self.disk.fail = {step: errno.EIO}
            self.fails(StoreError, lambda: self.store.enqueue(submission(content=LARGE)))
            self.disk.fail = {}
            count = len(self.disk.synced)
            for content in (b"small", LARGE):
                text = self.fails(
                    StoreError, lambda content=content: self.store.enqueue(submission(content=content))
                )
                self.assertIn("until it is opened again", text)
            self.assertEqual(len(self.disk.synced), count)
            self.assertEqual(self.reactor.wait(self.store.settle(delivered(before))), [])
            self.assertEqual(self.files(), [])
            self.reopen()
            self.assertEqual(self.ids(), [])
            self.enqueue(content=LARGE)
            self.reactor.wait(self.store.settle(delivered(self.ids()[0])))
            self.reopen()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_other_errors(self) -> None:
        """A failing disk is no full disk: the one message fails, the next may succeed."""
        for step in ("create", "write", "link"):
            self.disk.fail = {step: errno.EIO}
            with self.assertRaises(StoreError) as caught:
                self.enqueue(content=LARGE)
            self.assertNotIsInstance(caught.exception, StoreFull)
            self.disk.fail = {}
        self.enqueue(content=LARGE)
        self.assert_balanced()

    def test_staging(self) -> None:
        """A full disk while content comes in in pieces is told at once, and the pieces are gone."""
        for step in ("create", "write"):
            staged = self.store.stage()
            staged.write(b"x" * 60_000)
            self.disk.fail = {step: errno.ENOSPC}
            with self.assertRaises(StoreFull):
                staged.write(b"y" * 60_000)
            self.disk.fail = {}
            with self.assertRaises(StoreError):
                staged.write(b"z")
            self.fails(StoreError, lambda staged=staged: self.store.enqueue(submission(content=staged)))
        self.assertEqual(self.files(), [])

    def test_notification_with_large_content(self) -> None:
        """When the notification cannot be stored the failed recipient stays, for another try."""
        text_id = self.enqueue()
        settlement = Settlement(
            text_id,
            ((ANN.address, Loss.FAILED),),
            notifications=(submission(new_entry(BOB), content=LARGE, origin=Origin.GENERATED),),
        )
        self.disk.fail = {"link": errno.EIO}
        self.fails(StoreError, lambda: self.store.settle(settlement))
        self.assertEqual(self.ids(), [text_id])
        self.disk.fail = {}
        ((notice,),) = self.reactor.wait(self.store.settle(settlement))
        self.assertEqual(self.ids(), [notice])
        self.assert_balanced()

    def test_content_outlives_a_failed_commit(self) -> None:
        """When the commit after the file fails, the file is not left behind."""
        self.disk.statements = [("INSERT INTO batch", sqlite3.SQLITE_IOERR_WRITE, 1)]
        self.fails(StoreError, lambda: self.store.enqueue(submission(content=LARGE)))
        self.assertEqual(self.files(), [])

    def test_file_that_cannot_be_removed(self) -> None:
        """Old content that cannot be removed is removed at the next start."""
        text_id = self.enqueue(content=LARGE)
        self.disk.fail = {"remove": errno.EROFS}
        self.reactor.wait(self.store.settle(delivered(text_id)))
        self.reopen()
        self.assertEqual(self.files(), [])


class DatabaseFailures(FailureCase):
    def test_write_error(self) -> None:
        """An error of the database's disk fails what was being committed and nothing after it."""
        text_id = self.enqueue()
        self.disk.statements = [("INSERT INTO batch", sqlite3.SQLITE_IOERR_WRITE, 1)]
        calls = [self.store.enqueue(submission()), self.store.settle(delivered(text_id))]
        for call in calls:
            with self.assertRaises(StoreError):
                self.reactor.wait(call)
        self.assertEqual(self.ids(), [text_id])
        other = self.enqueue()
        self.assertEqual(self.reactor.wait(self.store.settle(delivered(text_id))), [])
        self.assertEqual(self.ids(), [other])
        self.assert_balanced()

    def test_failed_change_leaves_no_trace(self) -> None:
        """What a failed commit would have changed does not come in with the next change of that entry."""
        text_id = self.enqueue()
        before = self.reactor.wait(self.store.fetch([text_id]))[0]
        self.disk.statements = [("INSERT INTO batch", sqlite3.SQLITE_IOERR_WRITE, 1)]
        change = Settlement(text_id, due=NOW + 99, attempts=5, last_reply="lost", state=Lasting.HELD)
        self.fails(StoreError, lambda: self.store.settle(change))
        self.assertTrue(self.reactor.wait(self.store.set_priority(text_id, Priority.NORMAL)))
        self.assertEqual(self.reactor.wait(self.store.fetch([text_id]))[0], before)

    def test_every_commit_is_synced(self) -> None:
        """The database keeps a log and waits for the disk at each commit."""
        for pragma, expected in (("journal_mode", b"wal"), ("synchronous", 2), ("auto_vacuum", 2)):
            found = self.disk.connections[0].execute(f"PRAGMA {pragma}").fetchone()[0]
            self.assertEqual(found, expected)

    def test_failed_sync_of_the_log(self) -> None:
        """After the log would not sync nothing is changed any more until it is opened anew."""
        text_id = self.enqueue()
        self.disk.statements = [("INSERT INTO batch", sqlite3.SQLITE_IOERR_FSYNC, 1)]
        with capturedLogs() as events:
            self.fails(StoreError, lambda: self.store.enqueue(submission()))
        self.assertIn("critical", {event["log_level"].name for event in events})
        self.fails(StoreError, lambda: self.store.enqueue(submission()))
        self.fails(StoreError, lambda: self.store.settle(delivered(text_id)))
        self.assertEqual(self.ids(), [text_id])
        self.reopen()
        self.reactor.wait(self.store.settle(delivered(text_id)))

    def test_failed_sync_in_a_checkpoint(self) -> None:
        """When the database file would not sync, no more mail is taken, but results are recorded."""
        text_id = self.enqueue()
        self.disk.statements = [("wal_checkpoint", sqlite3.SQLITE_IOERR_FSYNC, 1)]
        for _ in range(300):
            try:
                self.enqueue(content=b"x" * 65_000)
            except StoreError:
                break
        else:
            self.fail("the failed checkpoint was not noticed")
        self.assertEqual(self.reactor.wait(self.store.settle(delivered(text_id))), [])

    def test_damage_found_while_running(self) -> None:
        """A malformed database stops all changes, and the error says what to do."""
        self.disk.statements = [("INSERT INTO batch", sqlite3.SQLITE_CORRUPT, 1)]
        text = self.fails(StoreError, lambda: self.store.enqueue(submission()))
        self.assertIn(".recover", text)
        self.disk.statements = [("json_group_array", sqlite3.SQLITE_CORRUPT, 1)]
        self.assertIn(".recover", self.fails(StoreError, lambda: self.store.directory()))
        self.disk.statements = [("json_group_array", sqlite3.SQLITE_IOERR_READ, 1)]
        self.fails(StoreError, lambda: self.store.summarize())

    def test_poison_does_not_spoil_its_neighbours(self) -> None:
        """A message that cannot be stored fails alone; what was to be committed with it is."""
        text_id = self.enqueue()
        poison = submission(new_entry(Recipient("\ud800@x.example")))
        endless = submission(new_entry(ANN, due=float("inf")))
        late = submission(new_entry(ANN, due=1e300))
        calls = [
            self.store.enqueue(submission()),
            self.store.enqueue(poison),
            self.store.enqueue(endless),
            self.store.enqueue(late),
            self.store.settle(delivered(text_id)),
            self.store.settle(Settlement("Q999", notifications=(poison,))),
            self.store.enqueue(submission()),
        ]
        results = [self.outcome(call) for call in calls]
        self.assertEqual(results, ["done", "failed", "failed", "failed", "done", "done", "done"])
        self.assertEqual(len(self.ids()), 2)
        self.assertEqual(len(self.reactor.wait(self.store.window(None, 9, []))), 2)
        self.assert_balanced()

    def outcome(self, call: Any) -> str:
        try:
            self.reactor.wait(call)
        except StoreError:
            return "failed"
        return "done"

    def test_members_are_tried_one_by_one(self) -> None:
        """When a whole commit fails for one member's sake, the others are committed on their own."""
        text_id = self.enqueue()
        self.disk.statements = [("INSERT INTO batch", sqlite3.SQLITE_TOOBIG, 2)]
        calls = [self.store.enqueue(submission()), self.store.settle(delivered(text_id))]
        self.assertEqual([self.outcome(call) for call in calls], ["failed", "done"])
        self.assertEqual(self.ids(), [])
        self.assert_balanced()

    def test_rows_that_cannot_be_read(self) -> None:
        """When the entries to be settled cannot be read the settlement fails and can be repeated."""
        text_id = self.enqueue()
        self.reopen()
        self.disk.statements = [("json_group_array", sqlite3.SQLITE_IOERR_READ, 1)]
        self.fails(StoreError, lambda: self.store.settle(delivered(text_id)))
        self.assertEqual(self.reactor.wait(self.store.settle(delivered(text_id))), [])
        self.assertEqual(self.ids(), [])

    def test_a_bug_is_told(self) -> None:
        """Even a mistake in the store itself leaves nobody waiting for ever."""
        self.store._writer._perform = lambda tasks: 1 / 0
        self.fails(StoreError, lambda: self.store.enqueue(submission()))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class FullDisk(FailureCase):
    def test_watermark(self) -> None:
        """New mail is refused while free space is below the watermark; mail leaves."""
        text_id = self.enqueue()
        self.reactor.wait(self.store.close())
        self.disk.octets = 100 << 20
        self.store = self.open_store(free_space=50 << 20)
        self.enqueue()
        self.disk.octets = 49 << 20
        self.enqueue()
        self.reactor.advance(1)
        self.fails(StoreFull, lambda: self.store.enqueue(submission()))
        self.fails(StoreFull, lambda: self.store.enqueue(submission(content=LARGE)))
        self.assertEqual(self.reactor.wait(self.store.settle(delivered(text_id))), [])
        self.disk.octets, self.disk.files = 100 << 20, 10
        self.reactor.advance(1)
        self.fails(StoreFull, lambda: self.store.enqueue(submission()))
        self.disk.fail = {"free": errno.EIO}
        self.reactor.advance(1)
        self.fails(StoreFull, lambda: self.store.enqueue(submission()))
        self.disk.fail, self.disk.files = {}, 1 << 40
        self.reactor.advance(1)
        self.enqueue()
        self.assertEqual(self.files(), [])

    def test_reserve_lets_results_be_recorded(self) -> None:
        """On a full disk the reserve is given up: results are recorded, mail is refused for now."""
        text_id, held = self.enqueue(), self.enqueue()
        reserve = os.path.join(self.directory, "reserve")
        self.assertEqual(os.stat(reserve).st_size, RESERVE)
        self.disk.statements = [("INSERT INTO batch", sqlite3.SQLITE_FULL, 1)]
        calls = [
            self.store.settle(delivered(text_id)),
            self.store.enqueue(submission()),
            self.store.settle(Settlement(held, state=Lasting.HELD, reason="x")),
        ]
        self.assertEqual(self.reactor.wait(calls[0]), [])
        with self.assertRaises(StoreFull):
            self.reactor.wait(calls[1])
        self.assertEqual(self.reactor.wait(calls[2]), [])
        self.assertFalse(os.path.exists(reserve))
        self.disk.octets = RESERVE // 2
        self.reactor.advance(1)
        self.fails(StoreFull, lambda: self.store.enqueue(submission()))
        self.disk.octets = None
        self.reactor.advance(1)
        self.enqueue()
        self.assertEqual(os.stat(reserve).st_size, RESERVE)
        self.assert_balanced()

    def test_reserve_used_up(self) -> None:
        """When the reserve is used up too, results fail, and can be repeated later."""
        text_id = self.enqueue()
        self.disk.statements = [("INSERT INTO batch", sqlite3.SQLITE_FULL, 3)]
        self.fails(StoreFull, lambda: self.store.settle(delivered(text_id)))
        self.fails(StoreFull, lambda: self.store.settle(delivered(text_id)))
        self.assertEqual(self.ids(), [text_id])
        self.assertEqual(self.reactor.wait(self.store.settle(delivered(text_id))), [])
        self.assert_balanced()

    def test_no_room_for_the_reserve(self) -> None:
        """Without room for the reserve no mail is accepted."""
        self.disk.fail = {"allocate": errno.ENOSPC}
        self.reactor.advance(1)
        self.reactor.wait(self.store.close())
        self.store = self.open_store()
        self.fails(StoreFull, lambda: self.store.enqueue(submission()))

    def test_database_that_may_not_grow(self) -> None:
        """A database that really is full refuses mail, records results, and accepts again what fits."""
        text_ids = [self.enqueue(content=b"x" * 60_000) for _ in range(3)]
        pages = self.disk.connections[0].execute("PRAGMA page_count").fetchone()[0]
        self.disk.connections[0].execute(f"PRAGMA max_page_count = {pages}")
        self.fails(StoreFull, lambda: self.store.enqueue(submission(content=b"x" * 60_000)))
        for text_id in text_ids:
            self.assertEqual(self.reactor.wait(self.store.settle(delivered(text_id))), [])
        self.reactor.advance(1)
        self.enqueue(content=b"x" * 60_000)
        self.assert_balanced()

    def test_room_is_given_back(self) -> None:
        """What a flood of mail took on the disk is given back when it has left and nothing is to be done."""
        self.patch(writer, "_KEPT_FREE", 0)
        self.patch(worker, "_IDLE", 0.01)
        shrunk: Deferred[None] = Deferred()
        idle = writer.Writer.idle

        def told(mine: writer.Writer) -> bool:
            more = idle(mine)
            if not more and reading.reusable(mine._connection) == 0:
                self.reactor.callFromThread(lambda: shrunk.called or shrunk.callback(None))
            return more

        self.patch(writer.Writer, "idle", told)
        self.store = self.reopened()
        ids = [self.enqueue(content=b"x" * 60_000) for _ in range(100)]
        for text_id in ids:
            self.reactor.wait(self.store.settle(delivered(text_id)))
        self.reactor.wait(shrunk)
        self.reactor.wait(self.store.close())
        self.assertLess(os.path.getsize(os.path.join(self.directory, "queue.db")), 1_000_000)

    def test_database_that_cannot_be_made_smaller(self) -> None:
        """A disk that fails while room is given back is logged, and mail goes on."""
        self.patch(writer, "_KEPT_WHEN_SHORT", -1)
        self.disk.octets = 0
        self.store = self.reopened()
        self.disk.statements = [("incremental_vacuum", sqlite3.SQLITE_IOERR_WRITE, 1)]
        self.reactor.wait(self.store.settle(delivered("Q1")))
        self.assertEqual(self.disk.statements, [])

    def test_opening_on_a_full_disk(self) -> None:
        """The queue opens on a disk that is full to the last octet: the reserve is given up for it."""
        text_id = self.enqueue()
        self.reactor.wait(self.store.close())
        self.disk.statements = [("journal_mode", sqlite3.SQLITE_FULL, 1)]
        self.store = self.open_store()
        self.assertFalse(os.path.exists(os.path.join(self.directory, "reserve")))
        self.assertEqual(self.ids(), [text_id])

    def test_reserve_of_an_earlier_run(self) -> None:
        """The reserve that is there already needs no room for another."""
        self.enqueue()
        self.disk.octets = 0
        self.reopen()
        self.enqueue()

    def test_directory_replaced_under_us(self) -> None:
        """When somebody replaces the queue directory, nothing more is written to the one that is lost."""
        self.enqueue()
        os.rename(self.directory, self.directory + ".old")
        self.addCleanup(os.rename, self.directory + ".old", self.directory)
        self.reactor.advance(1)
        self.fails(StoreError, lambda: self.store.enqueue(submission()))
