"""A message that kills programs is found, and no other is blamed for it."""

from collections import Counter

import pytest

from tests.schedule_case import START, World, channel, settings

DAY = 86400.0


class Deadly:
    """
    Jobs that die of some messages, before or after they have dealt with others.

    :ivar blamed: Deaths by message that was found to be the cause.
    :ivar deaths: Programs that died.
    """

    def __init__(self, world: World, poison: set[str], dies_after: int = 3) -> None:
        self.world = world
        self.poison = poison
        self.dies_after = dies_after
        self.blamed: Counter[str] = Counter()
        self.deaths = 0

    def turn(self, credit: int, connections: int) -> None:
        """A second: what is poison kills its job, the rest is delivered; after three deaths it is set aside."""
        world = self.world
        for _ in range(3):
            plan = world.plan()
            for job in plan.stop_jobs:
                world.end(job)
            for start in plan.starts:
                world.start(start.channel, start.host, connections, credit)
        for job, ids in list(world.held.items()):
            if set(ids) & self.poison:
                self.die(job, ids)
            else:
                self.deliver(job, list(ids))
        world.now += 1

    def deliver(self, job: str, ids: list[str]) -> None:
        for id in ids:
            self.world.scheduler.acquit(id)
            self.world.scheduler.host_answered("tcp_local", self.world.store.entries[id].host, self.world.now)
            self.world.settle([id])
            self.world.scheduler.grant(job, 1)

    def die(self, job: str, ids: list[str]) -> None:
        self.deaths += 1
        before = [id for id in ids if id not in self.poison][: self.dies_after]
        self.deliver(job, before)
        held = list(self.world.held[job])
        if self.world.scheduler.died(held):
            self.blamed[held[0]] += 1
        self.world.end(job)
        for id, times in self.blamed.items():
            if times == 3 and id in self.world.store.entries:
                del self.world.store.entries[id]
                self.world.scheduler.settled(id, self.world.now)


@pytest.mark.parametrize(
    ("connections", "credit", "changes"),
    [
        (10, 100, {}),
        (10, 100, {"gateway": "relay.example"}),
        (1, 20, {"maxjobs": 1}),
        (1, 20, {"transport": "tcp"}),
    ],
)
def test_guilty_one_is_found_among_a_hundred(
    connections: int, credit: int, changes: dict[str, object]
) -> None:
    """
    Two poisonous messages among two hundred: each is blamed three times and set aside, no other is ever
    blamed, all others are delivered, and it costs few programs.
    """
    world = World(settings(channel(**changes)))
    hosts = [""] if changes.get("gateway") else [f"h{n}.example" for n in range(4)]
    for at in range(200):
        world.enqueue(hosts[at % len(hosts)])
    poison = {"Q00000005", "Q00000063"}
    deadly = Deadly(world, poison)
    for _ in range(200):
        deadly.turn(credit, connections)
        if not world.store.entries:
            break
    assert not world.store.entries
    assert deadly.blamed == dict.fromkeys(poison, 3)
    assert len(world.delivered) == 198
    assert deadly.deaths <= 16
    assert not world.scheduler.suspicious


def test_process_killed_from_outside_costs_nothing() -> None:
    """One death with many messages in hand makes none of them suspicious: they go on together."""
    world = World()
    ids = world.enqueue(count=10)
    job = world.start()
    world.plan()
    assert not world.scheduler.died(ids)
    world.end(job)
    again = world.start()
    world.plan()
    assert world.held[again] == ids


def test_suspects_go_one_at_a_time_and_others_go_on() -> None:
    """What was there at two deaths goes to a job that holds nothing else; other mail goes to other jobs."""
    world = World()
    ids = world.enqueue(count=3)
    for _ in range(2):
        job = world.start()
        world.plan()
        world.scheduler.died(ids)
        world.end(job)
    others = world.enqueue("b.example", count=8)
    first, second = world.start(), world.start()
    world.plan()
    assert [sorted(map(len, world.held.values()))] == [[1, 8]]
    alone, busy = (first, second) if len(world.held[first]) == 1 else (second, first)
    assert world.held[busy] == others
    for id in ids:
        assert world.held[alone] == [id]
        world.scheduler.acquit(id)
        world.settle([id])
        world.plan()
    assert world.held[alone] == []
    more = world.enqueue("c.example", count=2)
    world.plan()
    assert world.held[alone] == more


def test_busy_job_is_emptied_for_a_suspect() -> None:
    """If no job is empty one gets no more until it is, so suspects are not put off for ever."""
    world = World(settings(channel(maxjobs=1)))
    ids = world.enqueue(count=2)
    for _ in range(2):
        job = world.start()
        world.plan()
        world.scheduler.died(ids)
        held = list(world.held[job])
        world.scheduler.job_ended(job, True, world.now)
        del world.held[job]
        if _ == 0:
            for id in held:
                world.scheduler.deferred(id, world.now, None, world.now)
    world.enqueue("b.example", count=30)
    job = world.start()
    world.plan()
    assert len(world.held[job]) == 10
    for id in ids:
        world.scheduler.deferred(id, world.now, None, world.now)
    world.plan()
    world.settle(world.held[job][:5])
    world.plan()
    assert len(world.held[job]) == 5
    world.settle(world.held[job])
    world.plan()
    assert world.held[job] == ids[:1]


def test_suspect_that_waits_can_be_looked_at_removed_run_and_expires() -> None:
    """It is mail as any other: ready, counted, in an operator's hands, and returned when its time is over."""
    world = World()
    ids = world.enqueue(count=3)
    world.plan()
    for _ in range(2):
        job = world.start()
        world.plan()
        world.scheduler.died(ids)
        world.end(job)
    assert [world.scheduler.state(id, world.now) for id in ids] == ["ready"] * 3
    assert world.scheduler.counts("tcp_local").ready == 3
    assert world.scheduler.remove(ids[0]) is not None
    world.now = START + 4 * DAY
    world.plan()
    assert world.expired == ids[1:]
    (late,) = world.enqueue()
    world.scheduler.died([late])
    world.scheduler.run("tcp_local", "run", world.now)
    job = world.start(run="run")
    world.plan()
    assert world.held[job] == [late]


def test_memory_of_deaths_is_bounded() -> None:
    """A machine on which everything dies is not made worse by remembering all of it."""
    world = World()
    for n in range(300):
        world.scheduler.died([f"Q{n}x{at}" for at in range(100)])
    assert len(world.scheduler._memory.blame.deaths) == 10_000
