"""What people are told of mail for a host that has a rate."""

import pytest

from jobctl.mail.entry import QueueEntry
from tests.schedule_case import START, World, channel, settings


def world() -> World:
    """A message each ten seconds: the first goes at once, the others wait."""
    return World(settings(channel(rate_per_host=(7, 60.0))))


def entries(world: World, ids: list[str]) -> list[QueueEntry]:
    return [world.store.entries[id] for id in ids]


def test_rate_puts_off_the_next_attempt() -> None:
    """Lists say when the next may go, explain also counts those that go before; then it does go."""
    here = world()
    ids = here.enqueue("slow.example", count=4)
    (other,) = here.enqueue("quick.example")
    here.start()
    here.plan()
    here.settle(ids[:1])
    waiting = entries(here, ids[1:])
    listed = [here.scheduler.outlook(entry, here.now) for entry in waiting]
    assert {view.state for view in listed} == {"ready"}
    assert [view.next_attempt for view in listed] == [pytest.approx(START + 10)] * 3
    told = [here.scheduler.insight(entry, here.now).next_attempt for entry in waiting]
    assert told == [pytest.approx(START + wait) for wait in (10, 20, 30)]
    assert here.scheduler.outlook(here.entry("new.example"), here.now).next_attempt == START
    assert other in here.held["tcp_local.1"]
    for at, id in zip(told, ids[1:], strict=True):
        here.now = at - 0.5
        assert not here.plan().handouts
        here.now = at + 0.001
        assert here.plan().handouts == [("tcp_local.1", [id])]
        here.settle([id])


def test_later_than_the_rate() -> None:
    """What is due later than its rate would let it go waits for its time; a rate that is not used up is none."""
    here = world()
    (first,) = here.enqueue("slow.example")
    (later,) = here.enqueue("slow.example", due=START + 600)
    (soon,) = here.enqueue("slow.example", due=START + 5)
    here.start()
    here.plan()
    here.settle([first])
    late, early = entries(here, [later, soon])
    assert here.scheduler.outlook(late, here.now) == ("delayed", START + 600)
    assert here.scheduler.outlook(early, here.now) == ("delayed", pytest.approx(START + 10))
    here.now += 60
    here.plan(load=False)
    assert here.scheduler.outlook(late, here.now).next_attempt == START + 600
