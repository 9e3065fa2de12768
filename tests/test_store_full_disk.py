"""A file system that really is full, where one may be mounted (as root)."""

import os
import subprocess

import pytest
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from jobctl.errors import StoreError, StoreFull
from jobctl.mail.entry import Attempt, Settlement
from jobctl.store.sqlite import SQLiteStore
from tests.store_contract import NOW, PumpReactor, delivered, imbalances, submission


@pytest.mark.real
class FullFileSystemTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.top = os.path.abspath(self.mktemp())
        os.mkdir(self.top)
        mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", self.top]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
            raise SkipTest("a small file system cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.top], check=True)
        self.reactor = PumpReactor()
        self.store = self.open_store()
        self.addCleanup(lambda: self.reactor.wait(self.store.close()))

    def open_store(self) -> SQLiteStore:
        store = SQLiteStore(self.reactor, os.path.join(self.top, "queue"), free_space=0)
        store.open()
        return store

    def fill(self, content: bytes) -> list[str]:
        """Enqueue until it is full."""
        ids: list[str] = []
        for _ in range(200):
            calls = [self.store.enqueue(submission(content=content)) for _ in range(20)]
            full = False
            for call in calls:
                try:
                    ids += self.reactor.wait(call)
                except StoreFull:
                    full = True
            if full:
                return ids
        raise AssertionError("it was never full")

    def fill_rest(self) -> None:
        """Something else on the same disk takes all that is left."""
        with open(os.path.join(self.top, "foreign"), "ab") as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
                    file.flush()
            except OSError:
                return

    def test_full_and_empty_again(self) -> None:
        """
        A queue that fills its disk accepts no more, loses nothing, records results, and goes on.

        Results are recorded with the reserve; when mail has left, the room is given back and mail
        is accepted again without anybody's help.
        """
        for content in (b"x" * 60_000, b"x" * 600_000):
            ids = self.fill(content)
            self.assertGreater(len(ids), 0)
            line = Attempt(when=NOW, what="deferred", text="y" * 300)
            for text_id in ids[:50]:
                self.reactor.wait(self.store.settle(Settlement(text_id, due=NOW + 60, history=(line,) * 5)))
            self.assertEqual([stored.entry.id for stored in self.reactor.wait(self.store.directory())], ids)
            for text_id in ids:
                self.assertEqual(self.reactor.wait(self.store.settle(delivered(text_id))), [])
            self.assertEqual(imbalances(self.reactor.wait(self.store.ledger())), {})
            for _ in range(60):
                self.reactor.advance(1)
                self.reactor.wait(self.store.set_stopped("x", False, "x"))
        self.reactor.wait(self.store.enqueue(submission()))

    def test_opened_while_full(self) -> None:
        """A daemon can start on a full disk; it delivers what is there and accepts nothing."""
        (text_id,) = self.reactor.wait(self.store.enqueue(submission()))
        self.reactor.wait(self.store.close())
        self.fill_rest()
        self.store = self.open_store()
        self.assertEqual([stored.entry.id for stored in self.reactor.wait(self.store.directory())], [text_id])
        with self.assertRaises(StoreError):
            self.fill(b"x" * 600_000)
            self.reactor.wait(self.store.enqueue(submission(content=b"x" * 600_000)))
        self.reactor.wait(self.store.settle(delivered(text_id)))
