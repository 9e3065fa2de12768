"""A destination that cannot be reached is left alone, probed, and welcomed back."""

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobctl.config.settings import ChannelSettings
from jobctl.mail.envelope import Priority
from jobctl.schedule.backoff import host_wait, intervals, next_attempt
from jobctl.schedule.expiry import life_of
from tests.schedule_case import START, World, channel, settings


def give_back(world: World, job: str) -> None:
    """A host-level failure: no attempt is counted and the message is due at once."""
    for id in list(world.held[job]):
        entry = world.store.entries[id]
        world.scheduler.host_failed(entry.channel, entry.host, world.now)
        world.defer(id, world.now, 0)
        world.scheduler.grant(job, 1)


def test_failing_host_gets_one_probe_at_a_time() -> None:
    """After ten messages failed to reach a host one goes out when the backoff ends, and no more."""
    world = World()
    world.enqueue("dead.example", count=50)
    job = world.start(credit=10)
    world.plan()
    give_back(world, job)
    (row,) = world.scheduler.host_backoffs()
    assert row[:3] == ("tcp_local", "dead.example", 1)
    until = row[3]
    assert 24 <= until - world.now <= 36
    assert world.plan().handouts == [] and world.scheduler.next_due() == until
    world.now = until
    world.plan()
    assert len(world.held[job]) == 1
    assert world.plan().handouts == []
    give_back(world, job)
    assert world.scheduler.host_backoffs()[0][2] == 2


def test_answer_ends_the_backoff() -> None:
    """When the probe is answered everything that waits for the host may go."""
    world = World()
    world.enqueue("dead.example", count=30)
    job = world.start(credit=40)
    world.plan()
    give_back(world, job)
    world.now += 40
    world.plan()
    (probe,) = world.held[job]
    assert world.scheduler.host_answered("tcp_local", "dead.example", world.now)
    assert not world.scheduler.host_answered("tcp_local", "dead.example", world.now)
    assert not world.scheduler.host_answered("tcp_local", "unknown.example", world.now)
    world.settle([probe])
    world.plan()
    assert len(world.held[job]) == 10
    world.work(rounds=5)
    assert len(world.delivered) == 30
    assert world.scheduler.host_backoffs() == []


def test_probe_without_a_verdict_on_the_host_is_followed_by_another() -> None:
    """A probe that an operator deleted, or that a dying program lost, does not block the host for ever."""
    world = World()
    world.enqueue("dead.example", count=3)
    job = world.start(credit=3)
    world.plan()
    give_back(world, job)
    world.now += 40
    world.plan()
    world.end(job)
    second = world.start(credit=3)
    world.plan()
    assert len(world.held[second]) == 1
    world.settle(world.held[second])
    world.plan()
    assert len(world.held[second]) == 1


def test_probe_deleted_before_it_went_is_replaced() -> None:
    """If the message that would have been the probe goes away, the next one is the probe."""
    world = World()
    world.enqueue("dead.example", count=2)
    job = world.start(credit=2)
    world.plan()
    give_back(world, job)
    world.end(job)
    world.now += 40
    world.plan()
    for entry in list(world.scheduler.entries()):
        world.scheduler.remove(entry.id)
    assert world.scheduler.host_backoffs() == []
    world.enqueue("dead.example", count=4)
    job = world.start(credit=9)
    world.plan()
    assert len(world.held[job]) == 4


def test_delayed_message_is_the_probe_when_it_is_due() -> None:
    """A host whose backoff ends while all its mail is delayed is probed when some is due."""
    world = World()
    (id,) = world.enqueue("dead.example", due=START + 600)
    world.scheduler.host_failed("tcp_local", "dead.example", world.now)
    world.now += 60
    world.plan()
    world.now = START + 600
    assert len(world.plan().starts) == 1
    job = world.start()
    world.plan()
    assert world.held[job] == [id]


def test_other_hosts_do_not_notice() -> None:
    """While one host is backed off the others' mail goes out."""
    world = World()
    world.enqueue("dead.example", count=50)
    job = world.start(credit=50)
    world.plan()
    give_back(world, job)
    good = world.enqueue("good.example", count=30)
    world.work(rounds=5)
    assert sorted(world.delivered) == good


def test_probes_leave_half_of_the_connections() -> None:
    """When a hundred dead hosts are to be probed at once, living ones still get their mail through."""
    world = World()
    for n in range(100):
        world.enqueue(f"dead{n}.example")
        world.scheduler.restore_host("tcp_local", f"dead{n}.example", 3, world.now, world.now)
    job = world.start(credit=20)
    world.plan()
    assert len(world.held[job]) == 5
    good = world.enqueue("good.example", count=4)
    world.plan()
    assert world.held[job][5:] == good


def test_backoff_survives_a_restart() -> None:
    """What was learnt about a host before a restart holds after it, and is not longer than it can be."""
    world = World()
    world.scheduler.restore_host("tcp_local", "dead.example", 4, world.now + 100, world.now)
    world.scheduler.restore_host("tcp_local", "far.example", 4, world.now + 10**9, world.now)
    world.scheduler.restore_host("tcp_local", "fine.example", 0, world.now, world.now)
    assert world.scheduler.host_backoffs() == [
        ("tcp_local", "dead.example", 4, world.now + 100),
        ("tcp_local", "far.example", 4, world.now + 4320),
    ]
    world.enqueue("dead.example", count=2)
    job = world.start()
    assert world.plan().handouts == []
    world.now += 100
    world.plan()
    assert len(world.held[job]) == 1


def test_host_without_mail_is_forgotten() -> None:
    """A host that failed and has no mail any more takes no memory for ever."""
    world = World()
    (id,) = world.enqueue("dead.example")
    world.start(credit=1)
    world.plan()
    world.scheduler.host_failed("tcp_local", "dead.example", world.now)
    world.settle([id])
    world.now += 3600
    world.plan()
    assert world.scheduler.host_backoffs() == []
    world.enqueue("good.example")
    world.start()
    world.plan()
    assert list(world.scheduler._memory.channels["tcp_local"].hosts) == ["good.example"]


def test_retry_now_forgets_backoff_and_delays() -> None:
    """An operator's retry makes everything of a channel due at once."""
    world = World()
    ids = world.enqueue("dead.example", count=2) + world.enqueue("b.example", due=START + 3600)
    world.scheduler.host_failed("tcp_local", "dead.example", world.now)
    world.scheduler.start_failed("tcp_local", None, world.now)
    world.scheduler.retry_now("tcp_local", world.now)
    assert len(world.plan().starts) == 1
    job = world.start()
    world.plan()
    assert sorted(world.held[job]) == ids


def test_claimed_entries_are_the_callers() -> None:
    """Mail that learns its destination's fate without a job is in nobody's queue until it is settled."""
    world = World()
    ids = world.enqueue("dead.example", count=3)
    world.scheduler.host_failed("tcp_local", "dead.example", world.now)
    assert world.scheduler.claim("tcp_local", "dead.example", 2) == ids[:2]
    assert world.scheduler.claim("nowhere", "dead.example", 2) == []
    world.scheduler.deferred(ids[0], world.now + 600, 1, world.now)
    world.settle([ids[1]])
    assert world.scheduler.counts("tcp_local").delayed == 2


class TestWaits:
    """The numbers."""

    @given(st.integers(1, 40), st.integers())
    @hypothesis_settings(deadline=None, max_examples=50)
    def test_host_wait_doubles_within_its_bounds(self, failures: int, seed: int) -> None:
        """30 s doubling up to the first retry interval, an hour at most, 20 % more or less."""
        long = channel(backoff={"normal": (7200.0,)})
        wait = host_wait(long, failures, random.Random(seed))
        plain = min(30.0 * 2 ** min(failures - 1, 20), 3600.0)
        assert 0.8 * plain <= wait <= 1.2 * plain
        assert host_wait(channel(backoff={"normal": (10.0,)}), failures, random.Random(seed)) <= 12.0

    def test_next_attempt_follows_the_list_and_repeats_the_last(self) -> None:
        """PT10M, PT20M, then PT20M for ever; up to 5 % later so that messages part, never earlier."""
        waits = [
            next_attempt(channel(), Priority.NORMAL, attempts, START, random.Random(7)) - START
            for attempts in (0, 1, 2, 3, 50)
        ]
        for wait, plain in zip(waits, (600, 600, 1200, 1200, 1200), strict=True):
            assert plain <= wait <= plain * 1.05

    @pytest.mark.parametrize(
        ("priority", "first"),
        [(Priority.URGENT, 1800), (Priority.NORMAL, 3600), (Priority.THIRD_CLASS, 7200)],
    )
    def test_defaults_are_the_originals(self, priority: Priority, first: float) -> None:
        """A channel that says nothing has the original's intervals and ages."""
        plain = ChannelSettings(name="x", official_host_name="x", local_host="x")
        assert intervals(plain, priority)[0] == first
        assert life_of(plain, priority).ages == tuple(86400 * days for days in (3, 6, 9, 12))

    def test_own_limits_apply_in_the_world(self) -> None:
        """The last age of notices is the channel's own."""
        assert life_of(settings().channels["tcp_local"], Priority.URGENT).ages[-1] == 4 * 86400


def test_a_gateway_that_refuses_connections_is_asked_ever_less_often() -> None:
    """
    A generic channel whose gateway is down: one start when each backoff is over, not one each few seconds.

    Its program never runs, so nobody but the gateway is to blame.
    """
    gateway = channel("test_smtp_gateway", transport="tcp", gateway="gate.example", copies="multiple")
    world = World(settings(gateway))
    world.enqueue("", channel="test_smtp_gateway")
    starts = []
    end = world.now + 4000
    while world.now < end:
        for start in world.plan().starts:
            starts.append(world.now)
            world.scheduler.start_failed(start.channel, start.host, world.now, None, True)
        world.now = world.scheduler.next_due() or end
    assert len(starts) <= 12
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert gaps[0] >= 24
    assert max(gaps) >= 480
