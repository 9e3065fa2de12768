"""The ledger: balanced after any order of work and crashes, and an alarm when it is not."""

import contextlib
import os
import random
import shutil
import sqlite3
import tempfile
from typing import Any

import pytest
from twisted.internet.defer import fail
from twisted.logger import LogLevel, capturedLogs

from jobctl.accounts.balance import imbalances, ledger_rows, missing, told
from jobctl.control.account_requests import Ledger
from jobctl.controller.audit import INTERVAL, Audit
from jobctl.errors import StoreError
from jobctl.mail.entry import Attempt, Lasting, Loss, Origin, Settlement, Undo
from jobctl.store.memory import MemoryDisk, MemoryStore
from jobctl.store.sqlite import SQLiteStore
from tests.controller_case import World
from tests.store_contract import ANN, BOB, EVE, NOW, PumpReactor, new_entry, submission

PEOPLE = (ANN, BOB, EVE)
CHANNELS = ("tcp_local", "l", "gate")
OPERATIONS = 10_000


class Machine:
    """Random work on a store, with what the ledger must say kept beside it."""

    def __init__(self, seed: int, reactor: PumpReactor, store: Any) -> None:
        self.chance = random.Random(seed)
        self.reactor = reactor
        self.store = store
        self.ids: list[str] = []
        self.done = 0

    def submission(self, origin: Origin = Origin.ACCEPTED) -> Any:
        chance = self.chance
        entries = [
            new_entry(
                *chance.sample(PEOPLE, chance.randint(1, 3)),
                channel=chance.choice(CHANNELS),
                state=chance.choice((Lasting.QUEUED, Lasting.HELD)),
            )
            for _ in range(chance.randint(1, 3))
        ]
        return submission(*entries, content=bytes(chance.choice([10] * 50 + [70_000])), origin=origin)

    def operation(self) -> Any:
        """One change, not waited for."""
        self.done += 1
        chance, store = self.chance, self.store
        kinds = {"enqueue": 6, "settle": 8, "gone": 4, "move": 2, "priority": 1, "operator": 3}
        kind = chance.choices(list(kinds), list(kinds.values()))[0]
        if kind == "enqueue" or not self.ids:
            return store.enqueue(self.submission()).addCallback(self.ids.extend)
        text_id = chance.choice(self.ids)
        if kind == "move":
            return store.move(text_id, chance.choice(CHANNELS), "b.example")
        if kind == "priority":
            return store.set_priority(text_id, chance.choice([0, 1, 2]))
        if kind == "operator":
            return self.operator(text_id)
        people = PEOPLE if kind == "gone" else chance.sample(PEOPLE, chance.randint(0, 2))
        notices = [self.submission(Origin.GENERATED) for _ in range(chance.choice([0, 0, 1, 2]))]
        settlement = Settlement(
            text_id,
            tuple((who.address, chance.choice(tuple(Loss))) for who in people),
            history=(Attempt(NOW, "deferred", "450 later"),),
            state=chance.choice([None, Lasting.QUEUED, Lasting.HELD]),
            notifications=tuple(notices),
        )
        born = store.settle(settlement)
        return born.addCallback(lambda ids: self.ids.extend(one for some in ids for one in some))

    def operator(self, text_id: str) -> Any:
        """Deleted with grace, redirected, split and moved, or taken back."""
        chance, place = self.chance, (self.chance.choice(CHANNELS), "c.example")
        undo = Undo(
            1, NOW + 600, "move", place=(chance.choice(CHANNELS), "b.example"), recipients=(PEOPLE[0],)
        )
        settlement = chance.choice(
            [
                Settlement(text_id, state=Lasting.GRACE, undo=undo),
                Settlement(text_id, place=place, recipients=(PEOPLE[1],), undo=undo),
                Settlement(
                    text_id,
                    losses=((PEOPLE[2].address, Loss.MOVED),),
                    place=place,
                    notifications=(self.submission(),),
                    undo=undo,
                ),
                Settlement(
                    text_id, state=Lasting.QUEUED, place=undo.place, recipients=undo.recipients, ended=1
                ),
                Settlement(text_id, losses=tuple((who.address, Loss.DELETED) for who in PEOPLE), ended=1),
            ]
        )
        born = self.store.settle(settlement)
        return born.addCallback(lambda ids: self.ids.extend(one for some in ids for one in some))

    def work(self, turns: int) -> None:
        """Turns of ten changes each, some of which may fail; their results are waited for together."""
        for _ in range(turns):
            calls = [self.operation() for _ in range(10)]
            for call in calls:
                call.addErrback(lambda why: why.trap(StoreError))
                self.reactor.wait(call)
            del self.ids[:-200]

    def check(self) -> None:
        """Balanced, and what waits is what the entries say, with those that may be taken back."""
        ledger = self.reactor.wait(self.store.ledger())
        assert imbalances(ledger) == {}
        waiting: dict[str, int] = {}
        undoable = self.reactor.wait(self.store.undoable(1, limit=1_000_000))
        in_grace = [stored for stored, _ in undoable if stored.state is Lasting.GRACE]
        for stored in [*self.reactor.wait(self.store.directory()), *in_grace]:
            channel = stored.entry.channel
            waiting[channel] = waiting.get(channel, 0) + len(stored.envelope.recipients)
        assert {channel: a["queued"] for channel, a in ledger.items() if a["queued"]} == waiting


def _copied_if_there(source: str, target: str) -> None:
    """The store goes on: what it removes meanwhile is gone from the copy too."""
    with contextlib.suppress(FileNotFoundError):
        shutil.copy2(source, target)


@pytest.mark.unmeasured
def test_balanced_on_the_disk_after_any_order_of_work_and_crashes() -> None:
    """After 10,000 random changes and 20 crashes in the midst of others, each account balances."""
    reactor, top = PumpReactor(), tempfile.mkdtemp()
    directory = os.path.join(top, "0")
    machine = Machine(1, reactor, SQLiteStore(reactor, directory, free_space=0))
    machine.store.open()
    for crash in range(1, 21):
        machine.work(50)
        machine.check()
        # A power cut: more has been asked for, and what lies on the disk now is all that is left.
        torn = [machine.operation() for _ in range(10)]
        copy = os.path.join(top, str(crash))
        shutil.copytree(
            directory, copy, ignore=shutil.ignore_patterns("reserve"), copy_function=_copied_if_there
        )
        for call in torn:
            reactor.wait(call)
        reactor.wait(machine.store.close())
        shutil.rmtree(directory)
        directory = copy
        machine.store = SQLiteStore(reactor, directory, free_space=0)
        machine.store.open()
        machine.check()
    assert machine.done >= OPERATIONS
    reactor.wait(machine.store.close())
    shutil.rmtree(top)


@pytest.mark.unmeasured
def test_balanced_in_memory_after_any_order_of_work_and_failures() -> None:
    """The same of the store in memory, where one change in ten fails as a full disk would make it."""
    reactor, disk = PumpReactor(), MemoryDisk()
    chance = random.Random(3)

    def fault() -> None:
        if chance.random() < 0.1:
            raise StoreError("no room")

    machine = Machine(2, reactor, MemoryStore(reactor.seconds, disk, fault))
    machine.store.open()
    for _ in range(40):
        machine.work(25)
        machine.check()
        machine.store.close()
        machine.store = MemoryStore(reactor.seconds, disk, fault)
        machine.store.open()
    assert machine.done >= OPERATIONS


def test_a_record_that_vanished_is_noticed(tmp_path: Any) -> None:
    """A row deleted behind the store's back: an alarm in the log, once, and the channel and number in it."""
    reactor = PumpReactor()
    store = SQLiteStore(reactor, str(tmp_path / "queue"), free_space=0)
    store.open()
    for _ in range(3):
        reactor.wait(store.enqueue(submission(new_entry(ANN, BOB))))
    audit = Audit(store, reactor)
    reactor.wait(audit.look())
    assert audit.missing == {} and audit.alarms == 0
    with sqlite3.connect(tmp_path / "queue" / "queue.db") as thief:
        thief.execute("DELETE FROM entries WHERE id = 2")
    thief.close()
    with capturedLogs() as events:
        ledger = reactor.wait(audit.look())
        reactor.wait(audit.look())
    alarms = [event for event in events if event["log_level"] is LogLevel.critical]
    assert [event["missing"] for event in alarms] == [{"tcp_local": 2}]
    assert audit.alarms == 1 and audit.missing == {"tcp_local": 2}
    assert [row["missing"] for row in ledger_rows(ledger)] == [2]
    reactor.wait(store.close())


def test_the_daemon_looks_by_itself() -> None:
    """Nobody has to ask: the alarm comes within minutes, and goes when the account balances again."""
    world = World()
    (one,) = world.accept()
    stored = world.store.memory.disk.entries
    number = next(iter(stored))
    taken = stored.pop(number)
    with capturedLogs() as events:
        world.turn(INTERVAL)
        assert world.controller.audit.missing == {"out": 1}
        rows = world.do(world.operate("ledger", Ledger()))
        assert [(row["channel"], row["missing"]) for row in rows] == [("out", 1)]
        stored[number] = taken
        world.turn(INTERVAL)
    assert world.controller.audit.missing == {}
    levels = [e["log_level"] for e in events if "ledger" in e["log_format"]]
    assert levels == [LogLevel.critical, LogLevel.info]
    assert world.stored(one) is not None
    world.close()


def test_a_ledger_that_cannot_be_read_is_looked_at_again() -> None:
    """A failing disk ends neither the daemon nor its looking."""
    world = World()
    real = world.store.memory.ledger
    calls = []

    def broken() -> Any:
        calls.append(1)
        world.store.memory.ledger = real
        return fail(StoreError("the disk is gone"))

    world.store.memory.ledger = broken
    looks = world.controller.audit.looks
    world.turn(INTERVAL)
    world.turn(INTERVAL)
    assert calls == [1]
    assert world.controller.audit.looks == looks + 1


@pytest.mark.parametrize(
    ("account", "gap"),
    [({"accepted": 3, "generated": 1, "relayed": 2, "queued": 2}, 0), ({"accepted": 3, "queued": 1}, 2)],
)
def test_what_is_missing(account: dict[str, int], gap: int) -> None:
    """Accepted and generated against all ways to leave and what waits."""
    whole = {**dict.fromkeys((*Origin, *Loss, "queued"), 0), **account}
    assert missing(whole) == gap


def test_told_to_people() -> None:
    """Too few and too many are different troubles."""
    assert told({"b": 2, "a": -1}) == (
        "channel a: 1 recipients more than ever came in; channel b: 2 recipients are missing"
    )
