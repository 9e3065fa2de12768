"""A backlog that fills memory, for many hosts of a channel that goes on: the mail of other channels goes past it."""

import pytest

from jobctl.schedule.plan import Plan
from tests.schedule_case import START, World, channel, settings

LIMIT = 1000


def backlog(hosts: int, count: int = 5 * LIMIT, empty: bool = False) -> World:
    """A channel that takes long has much more than memory does; another one is quick and has nothing."""
    world = World(settings(channel("tcp_slow", maxjobs=1), channel("tcp_quick"), limit=LIMIT), empty=empty)
    for number in range(count):
        world.store.put(
            world.entry(f"h{number % hosts}.example", "tcp_slow", due=START - 3600 + number * 0.01)
        )
    return world


def quiet(world: World, most: int = 100) -> list[Plan]:
    """Decide and read until there is nothing more to be done at this time."""
    plans = []
    for _ in range(most):
        plans.append(world.plan())
        assert len(world.scheduler._memory.items) <= LIMIT
        if plans[-1].load is None:
            return plans
    raise AssertionError("the store is read again and again")


@pytest.mark.parametrize("hosts", [1, 10, 500, 5000])
def test_after_a_restart(hosts: int) -> None:
    """What the store has of another channel, due after all of the backlog, and what comes in, are served at once."""
    world = backlog(hosts)
    waiting = world.entry("early.example", "tcp_quick", due=START - 1)
    world.store.put(waiting)
    plans = quiet(world)
    fresh = world.enqueue("fresh.example", "tcp_quick")
    plans += quiet(world)
    assert "tcp_quick" in [start.channel for plan in plans for start in plan.starts]
    job = world.start("tcp_quick")
    quiet(world)
    assert sorted(world.held[job]) == sorted([waiting.id, *fresh])


def test_channels_that_were_stopped_at_the_restart() -> None:
    """What was left to the store because its channel was stopped is served when that goes on, past the backlog."""
    world = backlog(5000)
    waiting = world.entry("early.example", "tcp_quick", due=START - 1)
    world.store.put(waiting)
    world.scheduler.stop("tcp_slow")
    world.scheduler.stop("tcp_quick")
    quiet(world)
    world.scheduler.start("tcp_slow", START)
    quiet(world, 5 * LIMIT)
    world.scheduler.start("tcp_quick", START)
    assert "tcp_quick" in [start.channel for plan in quiet(world) for start in plan.starts]
    job = world.start("tcp_quick")
    quiet(world)
    assert world.held[job] == [waiting.id]


def test_mail_that_comes_in_while_memory_is_full() -> None:
    """However much comes in of the other channel, all of it goes out, and so does the backlog, once each."""
    world = backlog(5000)
    quiet(world)
    job = world.start("tcp_quick", credit=10_000)
    for _ in range(30):
        ids = world.enqueue("fresh.example", "tcp_quick", count=10)
        quiet(world)
        assert world.held[job] == ids
        world.settle(ids)
    slow = world.start("tcp_slow", credit=10_000)
    while any(plan.handouts for plan in quiet(world)):
        world.settle(world.held[slow])
    assert not world.store.entries
    assert len(set(world.delivered)) == len(world.delivered) == 5 * LIMIT + 300


def test_what_is_deferred_comes_back_in_time() -> None:
    """An entry of the other channel that waits in the store is read when it is due, and somebody looks then."""
    world = backlog(5000)
    (id,) = world.enqueue("fresh.example", "tcp_quick")
    quiet(world)
    job = world.start("tcp_quick")
    quiet(world)
    assert world.held[job] == [id]
    world.defer(id, START + 30)
    world.end(job)
    quiet(world)
    assert world.scheduler.next_due() == pytest.approx(START + 30, abs=0.01)
    world.now = START + 30
    assert "tcp_quick" in [start.channel for plan in quiet(world) for start in plan.starts]
    job = world.start("tcp_quick")
    quiet(world)
    assert world.held[job] == [id]


def test_the_store_is_gone_through_once_for_each_channel() -> None:
    """Reading past the backlog is costly: as long as nothing is left to the store it is not done again."""
    world = backlog(5000)
    quiet(world)
    slow = world.start("tcp_slow", credit=10_000)
    asked = []
    for _ in range(20):
        for plan in quiet(world):
            if plan.load is not None:
                asked.append(plan.load.channel)
        world.settle(world.held[slow][:50])
    assert asked.count("tcp_quick") == 0
