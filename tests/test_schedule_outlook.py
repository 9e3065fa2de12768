"""What people are told of an entry: what it waits for, and when it will be tried, in one voice."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.schedule_case import START, World, channel, settings


def seen(world: World, id: str) -> tuple[str, float | None]:
    """State and next attempt, in seconds from the beginning."""
    state, at = world.scheduler.outlook(world.store.entries[id], world.now)
    return state, None if at is None else at - START


def test_waiting_for_its_time() -> None:
    """Ready goes now, delayed at its due time, active is under way."""
    world = World()
    (active,) = world.enqueue()
    world.start(credit=1)
    world.plan()
    (ready,) = world.enqueue()
    (later,) = world.enqueue(due=START + 600)
    world.now += 5
    assert [seen(world, id) for id in (active, ready, later)] == [
        ("active", None),
        ("ready", 5),
        ("delayed", 600),
    ]


def test_waiting_for_its_host() -> None:
    """Mail for a host that is backed off is tried when the host is, or when it is due if that is later."""
    world = World()
    (now,) = world.enqueue("dead.example")
    (soon,) = world.enqueue("dead.example", due=START + 10)
    (later,) = world.enqueue("dead.example", due=START + 600)
    until = world.scheduler.host_failed("tcp_local", "dead.example", world.now).until - START
    assert [seen(world, id) for id in (now, soon, later)] == [
        ("delayed", until),
        ("delayed", until),
        ("delayed", 600),
    ]
    # The backoff is over, and nobody can spare a connection yet.
    world.now += 60
    world.plan()
    assert seen(world, now) == ("delayed", 60)


def test_waiting_for_a_program_that_dies() -> None:
    """While a program is not started because it comes to nothing, nothing is tried before it may be."""
    world = World()
    (id,) = world.enqueue()
    for _ in range(5):
        world.scheduler.start_failed("tcp_local", None, world.now)
    assert seen(world, id) == ("ready", 16)
    world.start()
    assert seen(world, id) == ("ready", 0)


@pytest.mark.parametrize("how", ["stopped", "no program", "not configured"])
def test_nobody_knows(how: str) -> None:
    """No time is promised for a channel that is stopped, has no program or is not configured."""
    world = World(settings(channel(master_command=() if how == "no program" else ("program",))))
    (id,) = world.enqueue(channel="gone" if how == "not configured" else "tcp_local")
    if how == "stopped":
        world.scheduler.stop("tcp_local")
    assert seen(world, id) == ("ready", None)
    entry = world.entry(channel="never heard of")
    assert world.scheduler.outlook(entry, world.now) == ("ready", None)


def test_given_back_for_a_while() -> None:
    """An entry that could not be read is tried again when the schedule says, whatever the store says."""
    world = World()
    (id,) = world.enqueue()
    world.start(credit=1)
    world.plan()
    world.scheduler.deferred(id, world.now + 60, None, world.now)
    assert seen(world, id) == ("delayed", 60)
    world.scheduler.run("tcp_local", "run", world.now)
    assert seen(world, id) == ("ready", 0)


def test_clock_set_back_moves_it() -> None:
    """After the clock was set back an hour the next attempt is as far away as before."""
    world = World()
    (id,) = world.enqueue(due=START + 600)
    world.now -= 3600
    world.plan()
    assert seen(world, id) == ("delayed", -3000)


@given(
    limit=st.sampled_from((5, 12, 1000)),
    mail=st.lists(
        st.tuples(st.sampled_from("abcd"), st.sampled_from((0, 0, 0, 60, 3600))), min_size=1, max_size=40
    ),
    dead=st.sets(st.sampled_from("abc")),
    credit=st.integers(0, 5),
    passes=st.sampled_from((0, 50, 700)),
)
@hypothesis_settings(deadline=None, max_examples=60)
def test_all_looks_agree(
    limit: int, mail: list[tuple[str, int]], dead: set[str], credit: int, passes: float
) -> None:
    """
    The summary of a channel is the sum of what is said of its messages, in memory or not, and no next
    attempt lies in the past.
    """
    world = World(settings(limit=limit))
    for host, later in mail:
        world.enqueue(host, due=START + later)
    world.plan()
    for host in dead:
        world.scheduler.host_failed("tcp_local", host, world.now)
    world.start(credit=credit)
    world.plan()
    world.now += passes
    world.plan()
    told: Counter[str] = Counter()
    for entry in world.store.entries.values():
        state, at = world.scheduler.outlook(entry, world.now)
        told[state] += 1
        assert at is None if state == "active" else at is not None and at >= world.now
    due = Counter(entry.host for entry in world.store.entries.values() if entry.due <= world.now)
    later = sum(entry.due > world.now for entry in world.store.entries.values())
    blocked = sum(due[host] for _, host in world.scheduler.blocked())
    counts = world.scheduler.totals("tcp_local", len(mail), later, blocked)
    assert (counts.ready, counts.active, counts.delayed) == (told["ready"], told["active"], told["delayed"])
