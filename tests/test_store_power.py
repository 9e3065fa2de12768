"""
The power goes at any moment: what was acknowledged is there afterwards, whole, and once.

``JOBCTL_POWER_CUTS`` sets how many lives are tried.
"""

import os
import random
import tempfile
from typing import Any

import pytest

from jobctl.errors import StoreError
from jobctl.mail.entry import Attempt, Loss, Settlement
from jobctl.store.sqlite import SQLiteStore
from tests.power import PowerDisk
from tests.store_contract import ANN, BOB, NOW, PumpReactor, imbalances, new_entry, submission

LIVES = int(os.environ.get("JOBCTL_POWER_CUTS", "40"))
ENTRIES = {ANN.address: ANN, BOB.address: BOB}


class Life:
    """
    A queue at work until the power goes, and what its users know then.

    :ivar owed: Entries that were acknowledged and have not been told to leave: id to content and the
        recipients that wait.
    :ivar gone: Those whose leaving was acknowledged.
    :ivar contents: All that was ever handed over.
    """

    def __init__(self, directory: str, seed: int) -> None:
        self.chance = random.Random(seed)
        self.directory = directory
        self.owed: dict[str, tuple[bytes, set[str]]] = {}
        self.gone: set[str] = set()
        self.told: set[str] = set()
        self.contents: set[bytes] = set()
        self.lives = 0

    def live(self, cut: int | None) -> None:
        """Open, work, lose the power, find what is left, and check it."""
        self.lives += 1
        disk = PowerDisk(self.directory, cut)
        reactor = PumpReactor()
        store = SQLiteStore(reactor, self.directory, free_space=0, disk=disk)
        try:
            store.open()
        except (StoreError, OSError):
            assert disk.dead
        else:
            for _ in range(12):
                if disk.dead:
                    break
                self._work(store, reactor)
            if not disk.dead:
                disk.lose_power()
            reactor.wait(store.close())
        left = f"{self.directory}.{self.lives}"
        disk.image(left, self.chance)
        self.directory = left
        self._check()

    def _work(self, store: SQLiteStore, reactor: PumpReactor) -> None:
        """Some of everything at once; then what became of each."""
        done: list[tuple[Any, Any]] = []
        for _ in range(self.chance.randint(1, 4)):
            content = self._content()
            entries = [new_entry(ANN), new_entry(BOB, channel="l")][: self.chance.randint(1, 2)]
            done.append((self._enqueue(store, entries, content), (content, entries)))
        for id in self.chance.sample(sorted(self.owed), min(len(self.owed), self.chance.randint(0, 3))):
            done.append(self._settle(store, id))
        for call, what in done:
            if call is None:
                continue
            try:
                result = reactor.wait(call)
            except StoreError:
                continue
            if isinstance(what, str):
                self.gone.add(what)
            elif what is not None:
                content, entries = what
                for id, entry in zip(result, entries, strict=True):
                    assert id not in self.told, "an id was given twice"
                    self.told.add(id)
                    self.owed[id] = content, {recipient.address for recipient in entry.recipients}

    def _content(self) -> bytes:
        size = self.chance.choice([10, 3000, 70_000, 70_000, 200_000])
        content = b"Subject: %d\r\n\r\n" % len(self.contents) + self.chance.randbytes(size)
        self.contents.add(content)
        return content

    def _enqueue(self, store: SQLiteStore, entries: list[Any], content: bytes) -> Any:
        if self.chance.random() < 0.5:
            return store.enqueue(submission(*entries, content=content))
        staged = store.stage()
        try:
            for at in range(0, len(content), 50_000):
                staged.write(content[at : at + 50_000])
        except StoreError:
            return None
        if self.chance.random() < 0.1:
            staged.discard()
            return None
        return store.enqueue(submission(*entries, content=staged))

    def _settle(self, store: SQLiteStore, id: str) -> tuple[Any, Any]:
        """Delivered, put off, or failed with a notification; its outcome is open until it is told."""
        _, waiting = self.owed[id]
        kind = self.chance.choice(["delivered", "put off", "failed"])
        if kind == "put off":
            line = Attempt(when=NOW, what="deferred", text="later")
            return store.settle(Settlement(id, due=NOW + 60, history=(line,))), None
        del self.owed[id]
        loss = Loss.DELIVERED if kind == "delivered" else Loss.FAILED
        notices = ()
        if kind == "failed":
            notices = (submission(new_entry(ANN), content=self._content()),)
        losses = tuple((address, loss) for address in waiting)
        return store.settle(Settlement(id, losses=losses, notifications=notices)), id

    def _check(self) -> None:
        reactor = PumpReactor()
        store = SQLiteStore(reactor, self.directory, free_space=0)
        store.open()
        try:
            found = {stored.entry.id: stored for stored in reactor.wait(store.directory())}
            assert reactor.wait(store.damaged()) == []
            missing = self.owed.keys() - found.keys()
            assert not missing, f"accepted and lost: {sorted(missing)}"
            again = self.gone & found.keys()
            assert not again, f"settled and there again: {sorted(again)}"
            for id, stored in found.items():
                whole = self._read(reactor, store, stored.message)
                assert whole in self.contents
                if id in self.owed:
                    content, waiting = self.owed[id]
                    assert whole == content
                    assert {r.address for r in stored.envelope.recipients} == waiting
            # What was under way may be there or not; from here on it is as the disk says.
            for id, stored in found.items():
                waiting = {r.address for r in stored.envelope.recipients}
                self.owed.setdefault(id, (self._read(reactor, store, stored.message), waiting))
                self.told.add(id)
            assert imbalances(reactor.wait(store.ledger())) == {}
            assert os.listdir(os.path.join(self.directory, "staging")) == []
        finally:
            reactor.wait(store.close())

    def _read(self, reactor: PumpReactor, store: SQLiteStore, message: int) -> bytes:
        content = reactor.wait(store.content(message))
        try:
            return b"".join(iter(lambda: content.read(65536), b""))
        finally:
            content.close()


@pytest.fixture
def place(tmp_path):
    """Where syncs cost nothing, if there is such a place: what they do is kept by the disk of the test."""
    if not os.access("/dev/shm", os.W_OK):
        yield str(tmp_path)
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        yield made


@pytest.mark.parametrize("seed", range(LIVES // 4))
def test_what_was_accepted_survives(place, seed):
    """Four lives in a row; the power goes at a moment of chance, in the last one when all is done."""
    life = Life(os.path.join(place, "queue"), seed)
    os.mkdir(life.directory)
    for _ in range(3):
        life.live(life.chance.randint(1, 90))
    life.live(None)
    assert life.owed
