"""A year of retries in virtual time, with the real schedule and no reactor."""

import random

import pytest

from bench.year import Year
from jobctl.mail.envelope import Priority
from jobctl.schedule.backoff import next_attempt
from tests.schedule_case import START, World, channel, settings

pytestmark = pytest.mark.unmeasured
DAY = 86400.0


def year(seed: int, messages: int) -> tuple[World, dict[str, int]]:
    """So many messages to 200 hosts over a year; a fifth of the hosts is dead, a fifth greylists for a day."""
    world = World(settings(channel(maxjobs=4, backoff={}), limit=1500))
    rnd = random.Random(seed)
    arrivals = sorted(rnd.uniform(0, 360 * DAY) for _ in range(messages))
    tries: dict[str, int] = {}
    job_credit: dict[str, int] = {}
    decisions = 0
    end = START + 366 * DAY
    while world.now < end and decisions < 400_000:
        decisions += 1
        while arrivals and START + arrivals[0] <= world.now:
            arrivals.pop(0)
            priority = rnd.choice((Priority.URGENT, Priority.NORMAL, Priority.NONURGENT))
            world.enqueue(f"h{rnd.randrange(200)}.example", priority=priority)
        plan = world.plan()
        for id in plan.expired:
            world.store.entries.pop(id)
            world.scheduler.settled(id, world.now)
        for start in plan.starts:
            job_credit[world.start(start.channel, start.host, credit=20)] = 20
        for job in plan.stop_jobs:
            world.end(job)
        busy = bool(plan.starts) or plan.load is not None
        for job, ids in list(world.held.items()):
            for id in list(ids):
                busy = True
                entry = world.store.entries[id]
                number = int(entry.host[1:].split(".")[0])
                tries[id] = tries.get(id, 0) + 1
                if number % 5 == 0:
                    backoff = world.scheduler.host_failed("tcp_local", entry.host, world.now)
                    assert backoff.until - world.now <= 4320
                    world.defer(id, world.now, entry.attempts)
                else:
                    world.scheduler.host_answered("tcp_local", entry.host, world.now)
                    if number % 5 == 1 and world.now < entry.enqueued + DAY:
                        due = next_attempt(
                            channel(backoff={}), entry.priority, entry.attempts + 1, world.now, rnd
                        )
                        world.defer(id, due, entry.attempts + 1)
                    else:
                        world.settle([id])
                world.scheduler.grant(job, 1)
        if not busy:
            due = world.scheduler.next_due()
            coming = [START + arrivals[0]] if arrivals else []
            coming += [due] if due is not None else []
            if not coming:
                break
            assert min(coming) > world.now - 1e-3 or plan.stop_jobs
            world.now = max(world.now, min(coming))
    return world, tries


def test_a_year_of_retries() -> None:
    """All mail is delivered or expires in its time, and the dead cost few attempts."""
    world, tries = year(1, 2000)
    assert not world.store.entries
    assert len(world.delivered) + len(world.expired) == 2000
    assert 300 <= len(world.expired) <= 500
    assert sum(tries.values()) < 100_000 and max(tries.values()) < 200


def test_the_same_year_again() -> None:
    """With the same seed the same things happen at the same times."""
    first, tries = year(2, 300)
    second, tries_again = year(2, 300)
    assert first.delivered == second.delivered and first.expired == second.expired
    assert tries == tries_again and first.now == second.now


def test_many_destinations_in_a_year() -> None:
    """
    The year of bench/year.py, at a twentieth of its size: nothing is left in the queue, what is fine is
    delivered at once, what is put off for a day goes soon after, and the dead cost few attempts.
    """
    told = Year(1000, 250, 1).run()
    assert told.delivered + told.expired == told.messages == 1000
    assert 30 <= told.expired <= 70 and told.warned == 3 * told.expired
    assert told.waits["fine"] < 60 and DAY <= told.waits["greylists"] < 1.2 * DAY
    assert told.waits["sometimes down"] < 1.2 * DAY
    # An hour between probes of what is down, and half an hour at first between those put off.
    assert told.attempts < 20_000
