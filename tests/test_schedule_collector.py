"""What memory holds is nothing to Python's garbage collector, which would stop everything to look at it."""

import gc

from jobctl.schedule.hosts import HostQueue
from tests.schedule_case import START, World


def filled(world: World, hosts: int, count: int) -> list[str]:
    """Every second one is delayed."""
    ids = []
    for number in range(count):
        entry = world.entry(f"h{number % hosts}.example", due=START + 3600 * (number % 2))
        world.scheduler.add(entry, START)
        ids.append(entry.id)
    return ids


def test_a_full_collection_does_not_take_longer_for_what_is_queued() -> None:
    """However many entries there are, ready or delayed: it knows of none of them."""
    world = World()
    filled(world, 1, 10)
    gc.collect()
    before = len(gc.get_objects())
    filled(world, 1, 2000)
    gc.collect()
    assert len(gc.get_objects()) - before < 50


def test_nothing_stays_behind() -> None:
    """What the collector does not know it cannot free: hosts go with the last of their entries."""
    world = World()
    before = hosts()
    for number in range(200):
        entry = world.entry(f"h{number}.example", due=START + 3600)
        world.scheduler.add(entry, START)
        world.scheduler.remove(entry.id)
    # What has left its queue out of turn is still there until its time has come.
    world.now += 7200
    world.plan()
    assert hosts() == before


def hosts() -> int:
    gc.collect()
    return sum(isinstance(one, HostQueue) for one in gc.get_objects())
