"""``cache -sync``: memory is as the store says, under load too; and ``cache -walk``."""

import pytest
from twisted.internet.defer import ensureDeferred
from twisted.logger import LogLevel, capturedLogs

from jobctl.control.change_requests import QmDelete, QmHold, QmRelease, Undo
from jobctl.control.requests import CacheSync, CacheWalk
from jobctl.controller import verification
from tests.controller_case import CONFIGURATION, Terminal, World

SMALL = CONFIGURATION.replace("[job_controller]", "[job_controller]\nmax_cache_messages = 10")


@pytest.fixture
def world(monkeypatch) -> World:
    monkeypatch.setattr(verification, "PAGE", 3)
    return World()


def sync(world):
    done = ensureDeferred(world.operate("cache_sync", CacheSync(), Terminal()))
    for _ in range(verification.ROUNDS + 1):
        world.turn(verification.PAUSE)
    return world.do(done)


def test_agrees(world):
    """Ready, active, delayed, settled and held: memory and store agree, and nothing is said to differ."""
    ids = [world.accept(f"u{n}@b{n % 3}.example")[0] for n in range(9)]
    job = world.job(credit=5)
    job.report(next(iter(job.held)))
    job.report(next(iter(job.held)), "deferred", "451 later")
    world.turn()
    world.do(world.operate("qm_hold", QmHold(ids=(ids[8],))))
    assert sync(world) == {"stored": 7, "memory": 7, "differences": []}


@pytest.mark.parametrize("undone", [False, True])
def test_ages_agree_however_slow_the_disk_is(world, undone):
    """What was held or deleted goes on with its age from when the store says, not from when the commit was done."""
    (id,) = world.accept("bob@x.example")
    change = QmDelete(ids=(id,)) if undone else QmHold(ids=(id,))
    outcome = world.do(world.operate("qm_delete" if undone else "qm_hold", change))
    world.turn(5)
    settle = world.store.memory.settle

    def slow(settlement):
        done = settle(settlement)
        world.clock.advance(0.5)
        return done

    world.store.memory.settle = slow
    back = Undo(operation=outcome["operation"]) if undone else QmRelease(ids=(id,))
    done = ensureDeferred(world.operate("undo" if undone else "qm_release", back))
    for _ in range(9):
        world.turn(0.1)
    world.do(done)
    assert world.scheduler._memory.items[id].entry.paused >= 5
    assert sync(world) == {"stored": 1, "memory": 1, "differences": []}


def test_more_than_memory_holds():
    """What memory leaves to the store on purpose is no difference."""
    world = World(configuration=SMALL)
    for n in range(40):
        world.accept(f"u{n}@b{n % 3}.example")
    result = sync(world)
    assert result["stored"] == 40 and result["memory"] <= 10 and result["differences"] == []


def test_lost_from_memory(world):
    """An entry that memory has lost is found, told as an alarm, and tried again."""
    ids = [world.accept(f"u{n}@b.example")[0] for n in range(5)]
    memory = world.scheduler._memory
    memory.forget(memory.items[ids[2]])
    with capturedLogs() as captured:
        result = sync(world)
    assert result["differences"] == [
        {"id": ids[2], "text": "is not in memory, though it should be", "mended": True}
    ]
    alarms = [event for event in captured if event["log_level"] is LogLevel.critical]
    assert len(alarms) == 1 and ids[2] in alarms[0]["first"]
    job = world.job()
    assert ids[2] in job.held
    assert sync(world)["differences"] == []


def test_wrong_in_memory(world):
    """An entry about which memory is wrong is found; the store is right."""
    (entry,) = world.accept()
    world.scheduler._memory.items[entry].entry.attempts = 7
    assert sync(world)["differences"][0]["text"] == "attempts 7 in memory, 0 in the store"
    job = world.job()
    assert job.assigned[0].attempt == 1


def test_not_in_the_store(world):
    """What memory has and the store has not is found and dropped."""
    (entry,) = world.accept()
    del world.store.memory.disk.entries[min(world.store.memory.disk.entries)]
    result = sync(world)
    assert result["differences"] == [
        {"id": entry, "text": "is in memory and not queued in the store", "mended": True}
    ]
    assert world.state(entry) is None


def test_while_results_are_recorded(world):
    """What is on its way from the disk to memory just then is no difference."""
    ids = [world.accept(f"u{n}@b.example")[0] for n in range(4)]
    job = world.job()
    world.store.slow = frozenset({"settle", "directory", "fetch"})
    for entry in ids:
        job.report(entry)
    done = ensureDeferred(world.operate("cache_sync", CacheSync(), Terminal()))
    for _ in range(20):
        world.store.commit(1)
        world.turn(verification.PAUSE / 4)
    for _ in range(10):
        world.store.commit()
        world.turn(verification.PAUSE)
    assert world.do(done)["differences"] == []


def test_walk(world):
    """The log has the whole state: entries, window, channels with limits, jobs and hosts; debug is set."""
    world.accept("a@b.example", "c@d.example")
    job = world.job(credit=1)
    with capturedLogs() as captured:
        result = world.do(world.operate("cache_walk", CacheWalk(debug=4), Terminal()))
    texts = [event["text"] for event in captured if "text" in event]
    assert result == {"lines": len(texts), "debug": 4}
    said = "\n".join(texts)
    for part in (
        "entries in memory: 2 (1 ready, 1 active)",
        "all of the store is in memory",
        "channel out: 2 entries, 1 ready, 1 active",
        f"job {job.id}: host (any), 10 connections",
        "host b.example: 1 entries",
        "channel l: 0 entries",
        "without master program",
    ):
        assert part in said
    assert world.controller.settings.controller.debug == 4
