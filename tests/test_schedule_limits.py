"""What one destination may have: connections it earns and is allowed, messages in a time, with others of its site."""

from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobctl.schedule.sites import Site
from tests.schedule_case import START, World, channel, settings


def connections(world: World, *hosts: str) -> int:
    """Connections that what jobs hold of these hosts is worth, ten messages each."""
    total = 0
    for held in world.held.values():
        for host in hosts:
            count = sum(world.store.entries[id].host == host for id in held)
            total += -(-count // 10)
    return total


def answer(world: World, job: str, count: int) -> None:
    """So many messages of a job are delivered, and it asks for as many."""
    for id in world.held[job][:count]:
        entry = world.store.entries[id]
        world.scheduler.host_answered(entry.channel, entry.host, world.now)
        world.settle([id])
        world.scheduler.grant(job, 1)


def test_connections_of_a_host_have_a_limit() -> None:
    """However well it answers, and however many jobs there are, a host has no more than it is allowed."""
    world = World(settings(channel(max_connections_per_host=3)))
    world.enqueue("a.example", count=1000)
    jobs = [world.start() for _ in range(3)]
    for _ in range(15):
        world.plan()
        assert connections(world, "a.example") <= 3
        for job in jobs:
            answer(world, job, 4)
    world.plan()
    assert connections(world, "a.example") == 3


def test_limit_leaves_room_for_others() -> None:
    """Mail for other hosts goes on while one is at its limit, and no job is started in vain for it."""
    world = World(settings(channel(max_connections_per_host=1)))
    world.enqueue("a.example", count=500)
    job = world.start(credit=100)
    world.plan()
    answer(world, job, 5)
    others = world.enqueue("b.example", count=3)
    world.plan()
    assert set(others) <= set(world.held[job]) and connections(world, "a.example") == 1
    for _ in range(5):
        world.now += 1
        assert world.plan().starts == []


def test_limit_of_a_gateway_and_of_programs_on_a_pipe() -> None:
    """The limit is for whatever is connected to: a gateway, or the one host of a job on a pipe."""
    world = World(settings(channel(max_connections_per_host=2, gateway="relay.example")))
    world.enqueue("", count=500)
    job = world.start(credit=100)
    world.plan()
    assert len(world.held[job]) == 20
    world = World(settings(channel(max_connections_per_host=2, transport="tcp", threaddepth=1)))
    world.enqueue("a.example", count=50)
    world.work(credit=3, connections=1, rounds=8)
    queue = world.scheduler._memory.channels["tcp_local"]
    assert queue.slots == 2


def test_failure_sets_a_host_back_to_one_connection() -> None:
    """What a host has earned is gone when it cannot be connected to any more."""
    world = World()
    world.enqueue("a.example", count=1000)
    job = world.start()
    for _ in range(5):
        world.plan()
        answer(world, job, 5)
    world.plan()
    assert connections(world, "a.example") > 3
    for id in list(world.held[job]):
        world.scheduler.host_failed("tcp_local", "a.example", world.now)
        world.defer(id, world.now, 0)
        world.scheduler.grant(job, 1)
    world.now += 60
    world.plan()
    answer(world, job, 1)
    world.plan()
    assert connections(world, "a.example") <= 2


def test_rate_of_a_host() -> None:
    """100 in a minute: never more than that within any minute, as many in the long run, and others go on."""
    world = World(settings(channel(rate_per_host=(100, 60.0))))
    world.enqueue("a.example", count=1000)
    world.start()
    times: list[float] = []

    def delivered(id: str, host: str, world: World) -> bool:
        if host == "a.example":
            times.append(world.now)
        return True

    for second in range(300):
        world.work(verdict=delivered)
        if second == 100:
            (other,) = world.enqueue("b.example")
            world.work(verdict=delivered, rounds=2)
            assert other in world.delivered
    for start in times:
        assert sum(start <= at < start + 60 for at in times) <= 100
    assert len(times) >= 420


def test_rate_wakes_the_schedule_up() -> None:
    """What waits for its rate goes by itself: the schedule says when to look again."""
    world = World(settings(channel(rate_per_host=(2, 60.0), gateway="relay.example")))
    world.enqueue("", count=3)
    job = world.start()
    world.plan()
    assert len(world.held[job]) == 1
    world.settle(world.held[job])
    world.plan()
    due = world.scheduler.next_due()
    assert due is not None and START + 50 < due <= START + 60
    world.now = due
    world.plan()
    assert len(world.held[job]) == 1


def test_hosts_behind_the_same_exchangers_are_one() -> None:
    """Domains whose mail goes to the same machines share their connections, once a program has told."""
    world = World(settings(channel(max_connections_per_host=2, group_by_mx=True)))
    hosts = [f"d{n}.example" for n in range(5)]
    for host in hosts:
        world.enqueue(host, count=100)
    job = world.start()
    world.plan()
    assert connections(world, *hosts) == 5
    for host in hosts:
        world.scheduler.host_at("tcp_local", host, "mx1.big.example,mx2.big.example")
    world.scheduler.host_at("tcp_local", "unknown.example", "mx1.big.example")
    for _ in range(20):
        answer(world, job, 10)
        world.plan()
    assert connections(world, *hosts) <= 2
    world.work(rounds=200)
    assert len(world.delivered) == 500
    # It is remembered for the next mail.
    for host in hosts:
        world.enqueue(host, count=20)
    world.plan()
    assert connections(world, *hosts) <= 2
    world.scheduler.reconfigure(settings(channel(max_connections_per_host=2)), world.now)
    sites = {host.site for host in world.scheduler._memory.channels["tcp_local"].hosts.values()}
    assert len(sites) == 5


@given(
    count=st.integers(1, 200),
    seconds=st.sampled_from((1.0, 60.0, 3600.0)),
    steps=st.lists(st.tuples(st.floats(0, 100), st.integers(0, 50)), max_size=60),
)
@hypothesis_settings(deadline=None, max_examples=100)
def test_no_period_has_more_than_the_rate(count: int, seconds: float, steps: list[tuple[float, int]]) -> None:
    """Whatever is asked for and when, a period of the rate's length never has more."""
    site, now, sent = Site("", 10), 0.0, []
    for wait, wanted in steps:
        now += wait * seconds / 100
        given = min(wanted, site.may_send((count, seconds), now))
        site.sent((count, seconds), given, now)
        sent += [now] * given
        if given < wanted:
            assert site.next_at((count, seconds)) >= now
    for at in sent:
        assert sum(at <= other < at + seconds * 0.999 for other in sent) <= count
