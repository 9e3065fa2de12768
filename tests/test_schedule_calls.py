"""A destination that calls for its mail (ETRN) is tried early; whoever calls cannot do harm by it."""

import time

import pytest

from jobctl.config.settings import ChannelSettings
from jobctl.schedule import calls
from tests.schedule_case import START, World, channel, settings

HOST = "away.example"
TARGET = ("tcp_local", HOST)


def away(count: int = 5, configured: ChannelSettings | None = None) -> tuple[World, str, float]:
    """Mail for a host that could not be reached: the world, a job, and when its backoff ends."""
    world = World(settings(configured or channel()))
    world.enqueue(HOST, count=count)
    job = world.start()
    world.plan()
    fail(world, job)
    return world, job, world.scheduler.host_backoffs()[0][3]


def fail(world: World, job: str) -> None:
    """What the job holds goes back, the host could not be talked to."""
    for id in list(world.held[job]):
        entry = world.store.entries[id]
        world.scheduler.host_failed(entry.channel, entry.host, world.now)
        world.defer(id, world.now, 0)
    world.scheduler.grant(job, 100)


def call(world: World, *targets: calls.Target) -> None:
    world.scheduler.calls.call(targets or (TARGET,), world.now)
    world.plan()


def test_a_host_that_calls_is_probed_at_once() -> None:
    """One message goes out before the end of the backoff, and the others once the host has answered."""
    world, job, _ = away()
    assert world.plan().handouts == []
    call(world)
    (probe,) = world.held[job]
    call(world)
    assert world.held[job] == [probe]
    world.scheduler.host_answered(*TARGET, world.now)
    world.settle([probe])
    world.plan()
    assert len(world.held[job]) == 4


def test_a_call_in_vain_changes_nothing() -> None:
    """However often a host that is down calls, its backoff ends when it would have, and is no longer after that."""
    world, job, until = away()
    for _ in range(4):
        world.now += 5
        call(world)
        assert len(world.held[job]) == 1
        fail(world, job)
        assert world.scheduler.host_backoffs() == [("tcp_local", HOST, 1, until)]
        world.plan()
        assert world.held[job] == [] and world.scheduler.next_due() == until
    world.now = until
    world.plan()
    fail(world, job)
    (_, _, failures, then) = world.scheduler.host_backoffs()[0]
    assert failures == 2 and then > until + 40


def test_a_probe_that_outlasts_the_backoff_counts() -> None:
    """A probe whose failure is known only after the backoff would have ended is the one that was due."""
    world, job, until = away()
    call(world)
    world.now = until + 1
    fail(world, job)
    assert world.scheduler.host_backoffs()[0][2] == 2


def test_a_clock_that_is_set_keeps_the_backoff() -> None:
    """The time that a failed early probe goes back to moves with the clock."""
    world, job, until = away()
    call(world)
    world.now -= 86400
    world.plan()
    fail(world, job)
    assert world.scheduler.host_backoffs() == [("tcp_local", HOST, 1, until - 86400)]


def test_nothing_queued() -> None:
    """Who has nothing waiting is neither probed nor forgiven; a name that was never heard of is nobody."""
    world, job, _ = away(1)
    (id,) = list(world.store.entries)
    world.scheduler.remove(id)
    call(world, TARGET, ("tcp_local", "unknown.example"), ("nowhere", None))
    assert world.held[job] == []
    assert world.scheduler.calls.waiting("nowhere", None) == 0


def test_messages_put_off_are_tried() -> None:
    """What was deferred by itself is tried on a call; of the host that called, and no other."""
    world = World()
    mine, others = world.enqueue(HOST, count=3), world.enqueue("other.example", count=3)
    job = world.start()
    world.plan()
    for id in (*mine, *others):
        world.defer(id, START + 600)
    world.scheduler.grant(job, 10)
    assert world.plan().handouts == []
    assert world.scheduler.calls.waiting(*TARGET) == 3
    assert world.scheduler.calls.waiting("tcp_local", None) == 6
    call(world)
    assert sorted(world.held[job]) == mine
    call(world, ("tcp_local", None))
    assert sorted(world.held[job]) == sorted(mine + others)


def test_what_was_never_tried_waits() -> None:
    """Mail that its sender or the channel wants to go later (``after``, Deferred-Delivery:) does."""
    world = World()
    world.enqueue(HOST, due=START + 600)
    job = world.start()
    call(world)
    assert world.held[job] == []


def test_capped_attempts_are_not_used_up() -> None:
    """``max_attempts``: a stranger's calls do not bring a message nearer to its return."""
    world = World(settings(channel(max_attempts=5)))
    (id,) = world.enqueue(HOST)
    job = world.start()
    world.plan()
    world.defer(id, START + 600)
    world.scheduler.grant(job, 10)
    call(world)
    assert world.held[job] == []


def test_stopped_channel() -> None:
    """A channel that an operator stopped stays so, and its hosts are left alone."""
    world, job, until = away()
    world.scheduler.stop("tcp_local")
    call(world)
    assert world.scheduler.calls.stopped("tcp_local") and world.held[job] == []
    assert world.scheduler.host_backoffs()[0][3] == until


def test_closed_window() -> None:
    """A delivery window that is closed stays closed."""
    minute = time.localtime(START).tm_hour * 60 + time.localtime(START).tm_min
    hours = (((minute + 120) % 1440, (minute + 180) % 1440),)
    shut = channel(delivery=dict.fromkeys(("urgent", "normal", "nonurgent"), hours))
    world = World(settings(channel()))
    (id,) = world.enqueue(HOST)
    job = world.start()
    world.plan()
    world.defer(id, START + 60)
    world.scheduler.grant(job, 10)
    world.scheduler.reconfigure(settings(shut), world.now)
    call(world)
    assert world.held[job] == []


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """One call brings forward only so many messages, the first due first, and probes so many hosts."""
    monkeypatch.setattr(calls, "MOST_MESSAGES", 2)
    monkeypatch.setattr(calls, "MOST_HOSTS", 3)
    world = World()
    ids = world.enqueue(HOST, count=4)
    job = world.start()
    world.plan()
    for at, id in enumerate(reversed(ids)):
        world.defer(id, START + 600 + at)
    world.scheduler.grant(job, 10)
    call(world)
    assert sorted(world.held[job]) == ids[2:]
    world = World()
    for number in range(6):
        world.enqueue(f"h{number}.example")
    job = world.start()
    world.plan()
    fail(world, job)
    world.scheduler.calls.call((("tcp_local", None),), world.now)
    early = [until for *_, until in world.scheduler.host_backoffs() if until <= world.now]
    assert len(early) == 3


def test_what_only_the_store_has_is_not_counted() -> None:
    """Nobody claims to know how much waits while memory has not all of it."""
    world = World(settings(limit=10))
    world.enqueue(HOST, count=50)
    assert world.scheduler.calls.waiting(*TARGET) is None


@pytest.mark.parametrize("gateway", [None, "gate.example"])
def test_generic_programs(gateway: str | None) -> None:
    """A program that is started for a connection is started early, once, and one in vain changes nothing."""
    name = "" if gateway else HOST
    copies = {"copies": "multiple"} if gateway else {}
    world = World(settings(channel(transport="tcp", gateway=gateway, **copies)))
    world.enqueue(name)
    (start,) = world.plan().starts
    assert world.plan().starts == []
    world.scheduler.start_failed("tcp_local", start.host, world.now, None, True)
    until = world.scheduler.host_backoffs()[0][3]
    assert world.plan().starts == []
    for _ in range(3):
        world.now += 6
        world.scheduler.calls.call((("tcp_local", name),), world.now)
        (start,) = world.plan().starts
        world.scheduler.start_failed("tcp_local", start.host, world.now, None, True)
        assert world.scheduler.host_backoffs() == [("tcp_local", name, 1, until)]
        assert world.plan().starts == []


def test_shorter_intervals_count_at_once() -> None:
    """A host that called in vain goes back to its backoff, but to none longer than new settings allow."""
    world, job, until = away()
    call(world)
    short = dict.fromkeys(("urgent", "normal", "nonurgent"), (5.0,))
    world.scheduler.reconfigure(settings(channel(backoff=short)), world.now)
    fail(world, job)
    assert world.now < world.scheduler.host_backoffs()[0][3] <= world.now + 6 < until
