"""One sender's flood does not delay the others: deficit round robin, with numbers."""

import heapq
import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from channels.tcp.assignment import Assignment
from channels.tcp.line import Line
from jobctl.jobprotocol.frames import Message
from jobctl.mail.envelope import Priority
from jobctl.schedule.fairness import jain, max_min
from jobctl.schedule.shares import COMMON, MOST_SHARES
from tests.schedule_case import START, World, channel, settings

CONNECTIONS = 10


class Program:
    """A job of the TCP client in virtual time: its queue of messages in hand is the real one."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.job = world.start(connections=CONNECTIONS, credit=0)
        world.scheduler.grant(self.job, CONNECTIONS * 11)
        self.lines: dict[str, Line] = {}
        self.busy: list[tuple[float, str]] = []
        self.done: dict[str, float] = {}
        self._unasked = 0

    def take(self) -> None:
        """What the schedule hands out; free connections begin with it."""
        seen = len(self.world.held[self.job])
        self.world.plan()
        for id in self.world.held[self.job][seen:]:
            entry = self.world.store.entries[id]
            line = self.lines.setdefault(entry.host, Line())
            line.put(Assignment(Message(id=id, host=entry.host, share=entry.share), b""))
        while len(self.busy) < CONNECTIONS and any(self.lines.values()):
            line = min((one for one in self.lines.values() if one), key=len)
            assignment = line.take()
            assert assignment is not None
            end = self.world.now + self.random.uniform(0.5, 1.5)
            heapq.heappush(self.busy, (end, assignment.id))

    def finish(self) -> None:
        """The next delivery ends."""
        self.world.now, id = heapq.heappop(self.busy)
        self.done[id] = self.world.now
        self.world.scheduler.host_answered("tcp_local", self.world.store.entries[id].host, self.world.now)
        self.world.settle([id])
        self._unasked += 1
        if self._unasked == CONNECTIONS:
            self.world.scheduler.grant(self.job, self._unasked)
            self._unasked = 0


def p95_of_the_others(gateway: bool, flood: int) -> tuple[float, World]:
    """The 95th percentile of seconds from arrival to delivery of twenty senders, five messages a second in all."""
    changes = {"gateway": "relay.example"} if gateway else {}
    world = World(settings(channel(maxjobs=1, max_life_askwork=10**6, max_life_time=1e9, **changes)))
    program = Program(world, 1)
    rnd = random.Random(2)
    arrivals: list[tuple[float, str]] = []
    at = START
    while at < START + 120:
        at += rnd.expovariate(5.0)
        arrivals.append((at, f"s{rnd.randrange(20)}.example"))
    arrivals += [(START + 20.0, "flood.example")] * flood
    arrivals.sort()
    born: dict[str, float] = {}
    while arrivals or any(id in world.store.entries for id in born):
        if arrivals and (not program.busy or arrivals[0][0] <= program.busy[0][0]):
            world.now, share = arrivals.pop(0)
            host = "" if gateway else f"h{rnd.randrange(2000)}.example"
            (id,) = world.enqueue(host, share=share)
            if share != "flood.example":
                born[id] = world.now
        else:
            program.finish()
        if not arrivals or arrivals[0][0] > world.now:
            program.take()
    waits = sorted(program.done[id] - since for id, since in born.items())
    return waits[int(len(waits) * 0.95)], world


@pytest.mark.parametrize("gateway", [True, False])
def test_flood_of_one_sender_does_not_delay_the_others(gateway: bool) -> None:
    """
    One sender queues 3,000 messages at once, ten minutes of work: the 95th percentile of the others' time
    from arrival to delivery stays within twice its value on an idle channel.
    """
    idle, _ = p95_of_the_others(gateway, 0)
    flooded, world = p95_of_the_others(gateway, 3000)
    assert world.scheduler.counts("tcp_local").ready > 1000
    assert flooded <= 2 * idle, (idle, flooded)
    # Without shares the others would have waited behind what came before: minutes.
    view = world.scheduler.fairness("tcp_local", world.now)
    assert view.jain > 0.8
    rows = {row.share: row for row in view.shares}
    assert rows["flood.example"].longest_wait > 60
    assert max(row.longest_wait for row in view.shares if row.share != "flood.example") < 10


def served(world: World, count: int) -> Counter[str]:
    """Whose messages are the first so many to be delivered, in the order they were handed out."""
    got: Counter[str] = Counter()
    job = world.start(credit=110)
    while got.total() < count:
        world.plan()
        for id in world.held[job][:10]:
            got[world.store.entries[id].share] += 1
            world.settle([id])
        world.scheduler.grant(job, 10)
    return got


def test_weights_are_parts() -> None:
    """A share of weight three gets three times as much as one of weight one, while both want more."""
    configuration = settings(channel(gateway="relay.example", maxjobs=1))
    controller = type(configuration.controller)(
        queue_directory="", control_socket="", log_directory="", share={"gold.example": 3}
    )
    configuration = type(configuration)(
        **{name: getattr(configuration, name) for name in configuration.__struct_fields__}
        | {"controller": controller}
    )
    world = World(configuration)
    world.enqueue("", share="gold.example", count=400)
    world.enqueue("", share="plain.example", count=400)
    got = served(world, 300)
    assert 2.8 < got["gold.example"] / got["plain.example"] < 3.2


def test_large_messages_count_for_more() -> None:
    """A sender of megabytes gets fewer messages than one of kilobytes, and about as many octets' worth."""
    world = World(settings(channel(gateway="relay.example", maxjobs=1)))
    world.enqueue("", share="large.example", size=15 * 64 * 1024, count=100)
    world.enqueue("", share="small.example", size=4096, count=1000)
    got = served(world, 600)
    assert 12 < got["small.example"] / got["large.example"] < 20


def test_programs_on_a_pipe_share_too() -> None:
    """A job that is bound to one host gets each sender's mail in turn."""
    world = World(settings(channel(transport="tcp", threaddepth=100)))
    world.enqueue("a.example", share="flood.example", count=200)
    (other,) = world.enqueue("a.example", share="other.example")
    job = world.start(host="a.example", connections=1, credit=30)
    world.plan()
    assert other in world.held[job][:21]


def test_priority_goes_before_shares() -> None:
    """Urgent mail of a flood still goes before normal mail of others, but for the eleventh kept for them."""
    world = World(settings(channel(gateway="relay.example")))
    world.enqueue("", share="quiet.example", count=5)
    urgent = world.enqueue("", share="flood.example", priority=Priority.URGENT, count=20)
    job = world.start(credit=20)
    world.plan()
    assert set(world.held[job][:18]) <= set(urgent)


def test_invented_senders_share() -> None:
    """Whoever writes under thousands of names gets the part of a few, and takes no memory without bound."""
    world = World(settings(channel(gateway="relay.example")))
    (first,) = world.enqueue("", share="real.example")
    for n in range(3000):
        world.enqueue("", share=f"fake{n}.example")
    queue = world.scheduler._memory.channels["tcp_local"]
    assert len(queue.shares.known) <= MOST_SHARES + COMMON
    world.start(credit=5)
    world.work(credit=5, rounds=700)
    assert len(world.delivered) == 3001 and first in world.delivered[:10]
    world.now += 300
    world.enqueue("", share="real.example")
    world.start(credit=5)
    world.work(credit=5, rounds=3)
    assert len(queue.shares.known) < 10


def test_line_of_a_program() -> None:
    """In a program's hands senders take turns too; what has to begin again goes first."""
    line = Line()
    for share, id in (("a", "1"), ("a", "2"), ("a", "3"), ("b", "4"), ("", "5")):
        line.put(Assignment(Message(id=id, share=share), b""))
    first = line.take()
    assert first is not None and first.id == "1" and len(line) == 4
    line.put_back(first)
    assert [one.id for one in line.take_all()] == ["1", "4", "5", "2", "3"]
    assert line.take() is None and not line


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 5)), min_size=1, max_size=8), st.floats(0, 300))
@hypothesis_settings(deadline=None, max_examples=60)
def test_max_min_parts(wants: list[tuple[float, int]], capacity: float) -> None:
    """Nobody gets more than it wants, all is given out, and who wants more has no less by weight than any."""
    demands, weights = [want for want, _ in wants], [weight for _, weight in wants]
    capacity = min(capacity, sum(demands))
    parts = max_min(demands, weights, capacity)
    assert all(part <= demand + 1e-6 for part, demand in zip(parts, demands, strict=True))
    assert sum(parts) == pytest.approx(capacity, abs=1e-6)
    rates = [part / weight for part, weight in zip(parts, weights, strict=True)]
    for part, demand, rate in zip(parts, demands, rates, strict=True):
        assert part >= demand - 1e-6 or rate >= max(rates) - 1e-6
    assert jain([1.0, 1.0]) == 1 and jain([1.0, 0.0]) == 0.5 and jain([]) == 1
