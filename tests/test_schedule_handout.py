"""Who gets what: priority, then a fair turn for every destination, then age."""

from collections import Counter

from jobctl.mail.envelope import Priority
from tests.schedule_case import START, World, channel, settings


def hosts_of(world: World, job: str) -> list[str]:
    return [world.store.entries[id].host for id in world.held[job]]


def test_priority_goes_first_then_age() -> None:
    """Urgent before normal before nonurgent; among equals who came first."""
    world = World()
    third = world.enqueue(priority=Priority.THIRD_CLASS)
    normal = world.enqueue(count=2)
    urgent = world.enqueue(priority=Priority.URGENT)
    nonurgent = world.enqueue(priority=Priority.NONURGENT)
    job = world.start()
    world.plan()
    assert world.held[job] == urgent + normal + nonurgent + third


def test_credit_is_never_exceeded() -> None:
    """A job gets as many messages as it asked for, and more when it asks again."""
    world = World()
    world.enqueue(count=10)
    job = world.start(credit=3, connections=1)
    world.plan()
    assert len(world.held[job]) == 3
    assert world.plan().handouts == []
    world.scheduler.grant(job, 2)
    world.plan()
    assert len(world.held[job]) == 5


def test_hosts_take_turns() -> None:
    """A host with a thousand messages does not delay one with three."""
    world = World()
    world.enqueue("big.example", count=1000)
    small = world.enqueue("small.example", count=3)
    tiny = world.enqueue("tiny.example", count=1)
    job = world.start(credit=40)
    world.plan()
    assert set(small + tiny) <= set(world.held[job][:24])


def test_long_queues_share_alike() -> None:
    """Hosts with long queues get the same number of messages."""
    world = World()
    for n in range(4):
        world.enqueue(f"h{n}.example", count=500)
    got: Counter[str] = Counter()

    def delivered(id: str, host: str, _: World) -> bool:
        got[host] += 1
        return True

    world.start(credit=200)
    world.work(verdict=delivered, rounds=6)
    assert got.total() > 400 and max(got.values()) - min(got.values()) <= 20


def answer(world: World, job: str, count: int) -> None:
    """The first messages that a job holds are delivered, and it asks for as many."""
    for id in world.held[job][:count]:
        world.scheduler.host_answered("tcp_local", world.store.entries[id].host, world.now)
        world.settle([id])
        world.scheduler.grant(job, 1)


def test_host_that_says_nothing_keeps_one_connection() -> None:
    """Until a host has answered it gets what one connection can do, however much there is for it."""
    world = World()
    world.enqueue("silent.example", count=500)
    job = world.start(credit=100)
    world.plan()
    assert len(world.held[job]) == 10
    assert world.plan().handouts == []
    quick = world.enqueue("quick.example", count=5)
    world.plan()
    assert world.held[job][10:] == quick


def test_host_that_answers_gets_more() -> None:
    """Each answer is worth a connection more, up to four fifths of what a job can take."""
    world = World()
    world.enqueue("large.example", count=500)
    job = world.start(credit=100)
    world.plan()
    held = [len(world.held[job])]
    for count in (1, 2, 3, 5):
        answer(world, job, count)
        world.plan()
        held.append(len(world.held[job]))
    assert held == [10, 20, 40, 70, 80]


def test_slow_host_leaves_credit_to_others() -> None:
    """A host that has answered, takes everything and falls silent never has all of a job."""
    world = World()
    world.enqueue("slow.example", count=500)
    job = world.start(credit=100)
    for _ in range(20):
        world.plan()
        answer(world, job, 5)
    world.plan()
    assert len(world.held[job]) == 80
    quick = world.enqueue("quick.example", count=5)
    world.plan()
    assert world.held[job][80:] == quick


def test_hosts_in_hand_are_no_more_than_connections() -> None:
    """A job is given mail of ten hosts when it serves ten, so none waits in it behind those that are silent."""
    world = World()
    for n in range(30):
        world.enqueue(f"silent{n}.example", count=3)
    (good,) = world.enqueue("good.example")
    job = world.start(credit=100)
    world.plan()
    assert len(set(hosts_of(world, job))) == 10
    world.now += 2
    assert [start.host for start in world.plan().starts] == [None]
    for _ in range(2):
        world.start(credit=100)
        world.plan()
        world.now += 2
        world.plan()
    assert not any(good in held for held in world.held.values())
    fourth = world.start(credit=100)
    world.plan()
    assert good in world.held[fourth]


def test_host_that_is_done_makes_place_for_the_next() -> None:
    """The host that has waited longest comes next, before those that are served get more."""
    world = World(settings(channel(maxjobs=1)))
    for n in range(11):
        world.enqueue(f"h{n}.example", count=12)
    job = world.start(credit=200)
    world.plan()
    first = [id for id in world.held[job] if world.store.entries[id].host == "h3.example"]
    world.settle(first[:5])
    assert world.plan().handouts == []
    world.settle(first[5:])
    before = len(world.held[job])
    world.plan()
    assert set(hosts_of(world, job)[before:]) == {"h10.example"}


def test_quick_job_has_the_next_hosts_at_hand() -> None:
    """A job that finishes many hosts in a second is given some beyond its connections; a slow one is not."""
    world = World()
    for n in range(300):
        world.enqueue(f"h{n}.example")
    job = world.start(credit=100, connections=1)
    world.plan()
    assert len(world.held[job]) == 1
    for _ in range(70):
        answer(world, job, 1)
        world.now += 1 / 60
        world.plan()
    assert 6 <= len(world.held[job]) <= 8
    world.now += 60
    answer(world, job, 7)
    world.plan()
    assert len(world.held[job]) == 1


def test_silent_host_counts_with_all_its_connections() -> None:
    """A host that had eight connections when it fell silent leaves two places, not nine."""
    world = World()
    world.enqueue("large.example", count=500)
    job = world.start(credit=100)
    for _ in range(20):
        world.plan()
        answer(world, job, 5)
    world.plan()
    world.now += 20
    for n in range(5):
        world.enqueue(f"h{n}.example")
    assert [start.host for start in world.plan().starts] == [None]
    assert len(set(hosts_of(world, job))) == 3


def test_gateway_gets_all_credit() -> None:
    """Behind a gateway there is one destination, nobody else to leave room for."""
    world = World(settings(channel(gateway="relay.example")))
    world.enqueue("", count=200)
    job = world.start(credit=100)
    world.plan()
    assert len(world.held[job]) == 100


def test_host_stays_with_the_job_that_serves_it() -> None:
    """A job that has a host's connection gets its further messages, so the connection is used again."""
    world = World()
    first, second = world.start(credit=1), world.start(credit=50)
    world.enqueue("a.example")
    world.plan()
    assert world.held[second]
    world.scheduler.grant(first, 80)
    world.enqueue("a.example", count=5)
    world.enqueue("b.example", count=5)
    world.plan()
    assert set(hosts_of(world, second)) == {"a.example"}
    assert set(hosts_of(world, first)) == {"b.example"}


def test_released_message_goes_ahead_of_all() -> None:
    """What an operator released goes before urgent mail, even if it was delayed."""
    world = World()
    (late,) = world.enqueue("a.example", due=START + 3600)
    world.enqueue("a.example", priority=Priority.URGENT, count=3)
    (last,) = world.enqueue("b.example", priority=Priority.THIRD_CLASS)
    assert world.scheduler.promote(late, world.now)
    assert world.scheduler.promote(last, world.now)
    job = world.start(credit=2)
    world.plan()
    assert sorted(world.held[job]) == sorted([late, last])
    assert not world.scheduler.promote(late, world.now)
    assert not world.scheduler.promote("Q77777777", world.now)


def test_released_message_finds_room_in_a_full_memory() -> None:
    """A message released while memory is full is handed out all the same."""
    world = World(settings(limit=40))
    for n in range(100):
        world.enqueue(f"h{n}.example")
    entry = world.entry("z.example")
    world.store.put(entry)
    assert not world.scheduler.add(entry, world.now)
    assert world.scheduler.promote(entry.id, world.now, entry)
    job = world.start(credit=1)
    world.plan()
    assert world.held[job] == [entry.id]


def test_removed_message_is_not_handed_out() -> None:
    """A message that an operator deleted or held is gone from every state."""
    world = World()
    ready, delayed = world.enqueue() + world.enqueue(due=START + 60)
    job = world.start(credit=5)
    (active,) = world.enqueue("b.example")
    assert world.scheduler.remove(ready) is not None
    assert world.scheduler.remove(delayed) is not None
    assert world.scheduler.remove("Q99999999") is None
    world.plan()
    assert world.held[job] == [active]
    entry = world.scheduler.remove(active)
    assert entry is not None and entry.id == active
    assert world.scheduler.job_of(active) == job
    world.defer(active, world.now)
    assert world.scheduler.state(active, world.now) is None
    assert world.plan().handouts == []


def test_removal_can_be_undone() -> None:
    """Adding it again is as if it had not been removed, also while a job has it."""
    world = World()
    (id,) = world.enqueue()
    job = world.start()
    world.plan()
    entry = world.scheduler.remove(id)
    assert entry is not None and world.scheduler.add(entry, world.now)
    world.defer(id, world.now + 60)
    assert world.scheduler.state(id, world.now) == "delayed"
    world.now += 60
    world.plan()
    assert world.held[job] == [id]


def test_many_removals_leave_no_garbage() -> None:
    """Deleting most of a large queue gives its memory back."""
    world = World()
    ids = world.enqueue(count=2000) + world.enqueue(count=2000, due=START + 60)
    for id in ids[:1900] + ids[2000:3900]:
        world.scheduler.remove(id)
    memory = world.scheduler._memory
    host = memory.channels["tcp_local"].hosts["a.example"]
    assert len(host.lanes[""].heap) < 300 and len(memory._delayed) < 400
    world.start(credit=500)
    world.now += 61
    world.work(rounds=10)
    assert sorted(world.delivered) == sorted(ids[1900:2000] + ids[3900:])


def test_counts_and_looks_tell_the_state() -> None:
    """What is shown of channels, hosts and messages is what is."""
    world = World()
    ids = world.enqueue("a.example", count=3) + world.enqueue("b.example", count=2, due=START + 60)
    job = world.start(credit=1)
    world.plan()
    look = world.scheduler
    counts = look.counts("tcp_local")
    assert (counts.ready, counts.active, counts.delayed) == (2, 1, 2)
    assert look.hosts("tcp_local") == [("a.example", 1, 2, 0, None), ("b.example", 0, 0, 2, None)]
    assert [look.state(id, world.now) for id in ids] == ["active", "ready", "ready", "delayed", "delayed"]
    assert look.job_of(ids[0]) == job and look.job_of(ids[1]) is None
    assert look.state("Q99999999", world.now) is None and look.job_of("Q99999999") is None
    assert look.counts("nowhere").ready == 0 and look.hosts("nowhere") == []
    assert {entry.id for entry in look.entries()} == set(ids)
    until = look.host_failed("tcp_local", "a.example", world.now).until
    assert look.state(ids[1], world.now) == "delayed"
    assert look.counts("tcp_local").delayed == 4
    assert look.hosts("tcp_local")[0] == ("a.example", 1, 0, 2, until)
