"""Memory is a bounded part of the queue, and nothing in the store is forgotten or starved."""

import gc
import tracemalloc

import pytest

from jobctl.mail.entry import QueueEntry
from jobctl.mail.envelope import Priority
from jobctl.schedule.cursor import Cursor
from tests.schedule_case import START, Store, World, channel, settings
from tests.zones import local_zone

DAY = 86400.0
LONG = dict.fromkeys(("urgent", "normal", "nonurgent"), (9 * DAY,))


class Disk(Store):
    """A store that keeps its entries sorted, so that tens of thousands are quick."""

    def answer(self, request):  # type: ignore[no-untyped-def]
        if len(self.entries) < 5000:
            return super().answer(request)
        after = request.after or (-1.0, "")
        skip = set(request.skip)
        found = []
        for entry in self.entries.values():  # enqueued in order of (due, id)
            if (
                (entry.due, entry.id) > after
                and (entry.channel, entry.host) not in skip
                and (request.kind == "window" or entry.channel == request.channel)
                and request.host in (None, entry.host)
            ):
                found.append(
                    QueueEntry(
                        entry.id,
                        entry.channel,
                        entry.host,
                        entry.priority,
                        entry.size,
                        entry.enqueued,
                        entry.due,
                    )
                )
                if len(found) == request.limit:
                    break
        return found


def backlog(world: World, hosts: list[str]) -> None:
    """So much is in the store when the schedule begins."""
    world.store = Disk()
    for number, host in enumerate(hosts):
        entry = world.entry(host, due=START - 100_000 + number)
        world.store.put(entry)


def test_dead_host_with_most_of_the_queue_delays_nobody() -> None:
    """90 % of 50,000 messages are for a dead host; with room for 2,000 the others go out at full rate."""
    world = World(settings(limit=2000), empty=False)
    backlog(world, ["dead.example" if n % 10 else f"h{n % 70}.example" for n in range(50_000)])
    tried = 0

    def verdict(id: str, host: str, world: World) -> bool:
        nonlocal tried
        if host != "dead.example":
            return True
        tried += 1
        world.scheduler.host_failed("tcp_local", host, world.now)
        world.defer(id, world.store.entries[id].due, 0)
        return False

    for _ in range(20):
        world.work(credit=100, verdict=verdict)
        world.now += 1
    rounds, busy = 0, 0
    while len(world.delivered) < 5000:
        before = len(world.delivered)
        world.work(credit=100, verdict=verdict)
        assert len(world.scheduler._memory.items) <= 2000
        rounds += 1
        busy += len(world.delivered) > before
        world.now += 1
        assert rounds < 200
    assert not [entry for entry in world.store.entries.values() if entry.host != "dead.example"]
    assert tried < 400
    # Two of its hundreds are enough to probe with; the places are for those who can use them.
    assert next(row[3] for row in world.scheduler.hosts("tcp_local") if row[0] == "dead.example") <= 40
    assert busy >= 0.9 * rounds
    # And when it is back, all of its mail goes.
    for _ in range(3000):
        if not world.store.entries:
            break
        world.work(credit=200)
        world.now += 30
    assert not world.store.entries


@pytest.mark.unmeasured
@pytest.mark.parametrize("hosts", [1, 7, 400])
def test_backlog_drains_to_the_end_without_arrivals(hosts: int) -> None:
    """A backlog of 50,000 goes out at one pace to its end although nothing new comes in."""
    world = World(settings(limit=2000), empty=False)
    backlog(world, [f"h{n % hosts}.example" for n in range(50_000)])
    world.work(rounds=8)
    per_round = []
    while world.store.entries:
        before = len(world.delivered)
        world.work()
        per_round.append(len(world.delivered) - before)
        assert len(world.scheduler._memory.items) <= 2000
        assert len(per_round) < 500
    assert min(per_round[:-5]) >= max(per_round) * 0.3
    assert sorted(world.delivered) == sorted(set(world.delivered))


def test_restart_does_not_storm() -> None:
    """When everything is due at once after a restart, no more is under way than the limits allow."""
    world = World(settings(channel(maxjobs=3)), empty=False)
    backlog(world, [f"h{n % 200}.example" for n in range(20_000)])
    most = started = 0
    for _ in range(30):
        plan = world.plan()
        started += len(plan.starts)
        for start in plan.starts:
            world.start(start.channel, credit=20)
        most = max(most, sum(map(len, world.held.values())))
        world.now += 1
    assert started == 3 and most == 60
    counts = world.scheduler.counts("tcp_local")
    assert counts.active == 60 and counts.ready == 20_000 - 60


def test_full_memory_leaves_new_mail_to_the_store_and_reads_it_later() -> None:
    """More mail than memory may hold is delivered completely, each message once."""
    world = World(settings(limit=100))
    for n in range(1000):
        world.enqueue(f"h{n % 300}.example")
        world.now += 0.01
    assert len(world.scheduler._memory.items) <= 100
    for _ in range(2000):
        if not world.store.entries:
            break
        world.work(credit=10)
    assert len(world.delivered) == 1000 == len(set(world.delivered))


def test_urgent_mail_is_not_left_to_the_store() -> None:
    """While a backlog fills memory an urgent message is still handed out next."""
    world = World(settings(limit=100))
    for n in range(300):
        world.enqueue(f"h{n}.example")
    (urgent,) = world.enqueue("late.example", priority=Priority.URGENT)
    job = world.start(credit=1)
    world.plan()
    assert world.held[job] == [urgent]


def test_mail_due_tomorrow_makes_place_for_mail_due_now() -> None:
    """Memory full of delayed messages does not keep out what is due now; they are read when due."""
    world = World(settings(limit=100))
    late = world.enqueue("a.example", count=150, due=START + 86400)
    now = world.enqueue("b.example", count=50)
    world.work(credit=100, rounds=6)
    assert sorted(world.delivered) == now
    due = world.scheduler.next_due()
    assert due is not None and due <= START + 86400
    world.now = START + 86400
    for _ in range(20):
        world.work(credit=100)
    assert sorted(world.delivered) == sorted(late + now)


def test_stopped_channel_does_not_fill_memory() -> None:
    """The backlog of a stopped channel keeps no other channel's mail out, and goes when it is started."""
    world = World(settings(channel(), channel("other"), limit=200))
    world.scheduler.stop("other")
    stopped = world.enqueue("x.example", channel="other", count=1000)
    flowing = []
    for _ in range(100):
        flowing += world.enqueue("a.example", count=20)
        world.work(credit=100, rounds=2)
        world.now += 1
    for _ in range(10):
        world.work(credit=100)
    assert sorted(world.delivered) == flowing
    world.scheduler.start("other", world.now)
    for _ in range(100):
        world.work(credit=100)
    assert sorted(world.delivered) == sorted(stopped + flowing)


def test_more_dead_hosts_than_memory_has_places() -> None:
    """With room for 200 messages, 500 dead hosts keep nobody out, and are still probed."""
    world = World(settings(limit=200), empty=False)
    backlog(world, [f"dead{n % 500}.example" for n in range(2000)])
    probed: set[str] = set()

    def verdict(id: str, host: str, world: World) -> bool:
        if not host.startswith("dead"):
            return True
        probed.add(host)
        world.scheduler.host_failed("tcp_local", host, world.now)
        world.defer(id, world.store.entries[id].due, 0)
        return False

    good: list[str] = []
    for _ in range(400):
        good += world.enqueue("good.example", count=2)
        world.work(credit=20, verdict=verdict)
        assert len(world.scheduler._memory.items) <= 200
        world.now += 2
    world.work(credit=20, verdict=verdict, rounds=20)
    assert set(good) <= set(world.delivered)
    assert len(probed) == 500


def test_answer_that_is_outdated_brings_nothing_back() -> None:
    """What was delivered or taken away while the store was being read is not handed out again."""
    world = World(settings(limit=100), empty=False)
    ids = world.enqueue("a.example", count=4)
    request = world.plan(load=False).load
    assert request is not None
    world.scheduler.loaded(request, world.store.answer(request), world.now)
    job = world.start(credit=2, connections=1)
    world.plan()
    world.scheduler.run("tcp_local", "run-1", world.now)
    world.scheduler._memory.runs["run-1"].exhausted = False
    request = world.plan(load=False).load
    assert request is not None and request.kind == "backlog"
    answer = world.store.answer(request)
    world.settle(world.held[job])
    world.scheduler.remove(ids[2])
    world.scheduler.loaded(request, answer, world.now)
    assert [entry.id for entry in world.scheduler.entries()] == [ids[3]]


def test_request_is_repeated_until_it_is_answered() -> None:
    """A look at the store that failed is simply asked for again; a late answer to another one is ignored."""
    world = World(empty=False)
    world.enqueue(count=3)
    first = world.plan(load=False).load
    assert first is not None and world.plan(load=False).load == first
    other = World(empty=False).plan(load=False).load
    world.scheduler.loaded(first, world.store.answer(first), world.now)
    assert other is not None
    world.scheduler.loaded(other, [], world.now)
    assert world.plan(load=False).load is None
    assert world.scheduler.counts("tcp_local").ready == 3


def test_entry_takes_little_memory() -> None:
    """An entry costs at most 600 octets of the schedule's memory, ready or delayed."""
    for later in (0, 3600):
        world = World()
        entries = [world.entry(f"h{n % 100}.example", due=START + later + n) for n in range(5000)]
        world.now = START + 5000 if not later else START
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for entry in entries:
                assert world.scheduler.add(entry, world.now)
            used = (tracemalloc.get_traced_memory()[0] - before) / len(entries)
        finally:
            tracemalloc.stop()
        # The entry itself was made before: its id, its numbers, itself.
        assert used + 250 <= 600


class TestCursor:
    """The position up to which the store is known."""

    def test_what_was_missed_while_reading_is_read_again(self) -> None:
        """An entry that was left to the store during a look lies beyond the position after it."""
        cursor = Cursor()
        cursor.advance(None, None, end=True)
        cursor.miss(50.0)
        assert not cursor.done and cursor.due < 50.0
        asked = cursor.after
        cursor.ask()
        cursor.miss(70.0)
        cursor.advance(asked, (90.0, "Q9"), end=False)
        assert 50.0 < cursor.due < 70.0

    def test_lowered_while_reading_stays_low(self) -> None:
        """An answer says nothing of what lies before where it began."""
        cursor = Cursor((60.0, "Q1"))
        cursor.ask()
        cursor.miss(20.0)
        cursor.advance((60.0, "Q1"), None, end=True)
        assert cursor.due < 20.0


def test_answer_is_not_used_when_too_much_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """If more has left memory during a look than is remembered, the store is simply asked again."""
    monkeypatch.setattr("jobctl.schedule.window.MOST_REMEMBERED", 2)
    world = World(settings(limit=10))
    world.enqueue("a.example", count=30)
    job = world.start(credit=100, connections=1)
    world.plan(load=False)
    world.settle(world.held[job])
    request = world.plan(load=False).load
    assert request is not None
    answer = world.store.answer(request)
    world.scheduler.loaded(request, answer[:5], world.now)
    for _ in range(3):
        world.plan(load=False)
        world.settle(world.held[job])
    world.work(credit=100, connections=1, rounds=10)
    assert len(world.delivered) == 30 == len(set(world.delivered))


def test_removals_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleting a large queue takes no memory for ever."""
    monkeypatch.setattr("jobctl.schedule.window.MOST_REMEMBERED", 10)
    world = World()
    for id in world.enqueue(count=100):
        world.scheduler.remove(id)
    assert len(world.scheduler._window._removed) == 10


def test_large_host_is_nothing_special_when_it_is_small_again() -> None:
    """A host whose backlog was left to the store in part is treated like all others once that is gone."""
    world = World(settings(limit=100))
    world.enqueue("big.example", count=400)
    for n in range(60):
        world.enqueue(f"h{n}.example")
    window = world.scheduler._window
    assert world.scheduler.counts("tcp_local").ready <= 100
    for _ in range(50):
        world.work(credit=50)
    assert not world.store.entries and window.complete
    assert world.scheduler._memory.thin == {}
    world.enqueue("big.example", count=50)
    assert world.scheduler.counts("tcp_local").ready == 50


def test_time_brings_what_was_left_to_the_store() -> None:
    """Mail that is due later and found no room is read when it is due, although nothing else happens."""
    world = World(settings(channel(), channel("other"), limit=100))
    world.scheduler.stop("other")
    for n in range(90):
        world.enqueue(f"h{n}.example", channel="other")
    for n in range(20):
        world.enqueue(f"h{n}.example", due=START + 500 + 100 * n)
    world.plan()
    delivered: list[str] = []
    for _ in range(200):
        due = world.scheduler.next_due()
        assert due is not None
        world.now = max(world.now, due)
        world.work()
        delivered = world.delivered
        if len(delivered) == 20:
            break
    assert len(delivered) == 20 and world.now < START + 2500


@pytest.mark.unmeasured
@local_zone("UTC")
def test_mail_that_waits_for_its_window_keeps_no_other_waiting() -> None:
    """Ten times as much nonurgent mail as memory holds waits for its hours: normal mail goes at once."""
    # START is 22:13 in UTC.
    hours = {"nonurgent": ((600, 1200),)}
    world = World(settings(channel(maxjobs=2, delivery=hours, notices=LONG), limit=600), empty=False)
    for n in range(6000):
        world.store.put(world.entry(f"h{n % 30}.example", priority=Priority.NONURGENT, due=START - 6000 + n))
    for _ in range(40):
        world.work(credit=50)
    assert world.delivered == [] and world.postponed >= 5000
    before = world.postponed
    fast = []
    for _ in range(20):
        fast += world.enqueue("h1.example", count=40)
        world.work(credit=50)
        assert len(world.scheduler._memory.items) <= 600
    for _ in range(5):
        world.work(credit=50)
    assert sorted(world.delivered) == sorted(fast)
    assert world.postponed - before <= 1200, "no entry is read and postponed again and again"
    for _ in range(3):
        world.now += 70  # jobs without work go home
        world.work()
    due = world.scheduler.next_due()
    assert due is not None and due > world.now + 3600, "nothing is looked at meanwhile"
    world.now = START + 12 * 3600
    for _ in range(400):
        if not world.store.entries:
            break
        world.work(credit=50)
        assert len(world.scheduler._memory.items) <= 600
    assert not world.store.entries and len(world.delivered) == 6800


@local_zone("UTC")
@pytest.mark.parametrize("back", [False, True])
def test_what_an_operator_takes_is_not_postponed(back: bool) -> None:
    """Mail out of its hours that made room, and was deleted or released before that was said, stays what it is."""
    hours = channel("generic", transport="tcp", delivery={"normal": ((360, 720),)}, notices=LONG)
    world = World(settings(channel(), hours, limit=6))
    world.enqueue(priority=Priority.URGENT, count=5)
    world.scheduler.reconfigure(settings(channel(), hours, limit=7), world.now)
    ids = world.enqueue("b.example", channel="generic", count=6)
    made_room = set(ids) - world.scheduler._memory.items.keys()
    assert made_room, "the last ones found memory full"
    for id in made_room:
        world.scheduler.remove(id)
        stored = world.store.entries.pop(id)
        if back:
            world.store.put(stored)
            world.scheduler.add(stored, world.now)
            world.scheduler.promote(id, world.now, stored)
    assert not made_room & {entry.id for entry, _ in world.plan().postpone}
