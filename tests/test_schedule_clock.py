"""Due times, expiry, and a wall clock that is set."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobctl.schedule.plan import Plan
from jobctl.schedule.scheduler import PATIENCE
from jobctl.schedule.steady import SteadyClock
from jobctl.schedule.timers import Timers
from tests.schedule_case import START, World, channel, settings

DAY = 86400.0
# Nobody is warned.
UNTOLD = dict.fromkeys(("urgent", "normal", "nonurgent"), (4 * DAY,))


class TestDue:
    """When something is tried."""

    def test_delayed_message_goes_when_it_is_due(self) -> None:
        """Not a moment earlier, and the schedule says when to look."""
        world = World()
        (id,) = world.enqueue(due=START + 600)
        job = world.start()
        world.plan()
        world.now = START + 30
        assert world.plan().handouts == []
        world.end(job)
        world.plan()
        assert world.scheduler.next_due() == START + 600
        world.now = START + 600
        assert len(world.plan().starts) == 1
        job = world.start()
        world.plan()
        assert world.held[job] == [id]

    def test_deferred_message_comes_back(self) -> None:
        """With its new due time and count, and not before."""
        world = World()
        (id,) = world.enqueue()
        job = world.start()
        world.plan()
        world.defer(id, START + 60, attempts=3)
        (entry,) = world.scheduler.entries()
        assert (entry.due, entry.attempts) == (START + 60, 3)
        assert world.plan().handouts == []
        world.now += 60
        world.plan()
        assert world.held[job] == [id]

    def test_unknown_ids_are_ignored(self) -> None:
        """What is not in memory is in the store; nothing is made of a late word about it."""
        world = World()
        (id,) = world.enqueue()
        world.scheduler.deferred("Q99999999", START, 1, START)
        world.scheduler.settled("Q99999999", START)
        world.scheduler.deferred(id, START + 600, 1, START)
        assert world.scheduler.state(id, START) == "ready"

    def test_nothing_to_do_is_said(self) -> None:
        """An empty queue needs no timer, and due work without a slot is not counted."""
        world = World(settings(channel(maxjobs=0, notices=UNTOLD)))
        assert world.scheduler.next_due() is None
        world.enqueue()
        world.plan()
        due = world.scheduler.next_due()
        assert due is not None and due == START + 4 * DAY


class TestExpiry:
    """What has been tried for long enough is returned, wherever it waits."""

    def test_delayed_message_expires_on_time(self) -> None:
        """A message whose next attempt lies beyond its lifetime is returned when that ends."""
        world = World(settings(channel(notices=UNTOLD)))
        (id,) = world.enqueue(due=START + 30 * DAY)
        assert world.scheduler.next_due() == START + 4 * DAY
        world.now = START + 4 * DAY
        world.plan()
        assert world.expired == [id]
        assert world.plan().expired == []
        assert world.scheduler.state(id, world.now) == "active"
        world.settle([id])

    def test_waiting_message_expires(self) -> None:
        """So does one that waits in a stopped channel."""
        world = World(settings(channel(notices=UNTOLD)))
        world.scheduler.stop("tcp_local")
        first = world.enqueue(count=3)
        world.now += DAY
        later = world.enqueue(count=2)
        world.plan()
        assert world.scheduler.next_due() == START + 4 * DAY
        world.now = START + 4 * DAY
        world.plan()
        assert sorted(world.expired) == first
        assert world.scheduler.next_due() == START + 5 * DAY
        world.now = START + 5 * DAY
        world.plan()
        assert sorted(world.expired) == first + later

    def test_expired_message_is_not_handed_out(self) -> None:
        """At its last moment it is returned rather than tried."""
        world = World()
        (id,) = world.enqueue()
        job = world.start(credit=0)
        world.plan()
        world.scheduler._memory.wall.clear("tcp_local")
        world.now = START + 4 * DAY
        world.scheduler.grant(job, 5)
        world.plan()
        assert world.expired == [id] and world.held[job] == []

    def test_expired_message_that_could_not_be_settled_comes_again(self) -> None:
        """If its return cannot be recorded it is given out as expired again later."""
        world = World()
        (id,) = world.enqueue(due=START + 30 * DAY)
        world.now = START + 4 * DAY
        world.plan()
        world.scheduler.deferred(id, world.now + 60, None, world.now)
        world.now += 60
        world.plan()
        assert world.expired == [id, id]

    def test_expired_message_that_was_settled_meanwhile_is_not_said(self) -> None:
        """An operator was quicker."""
        world = World()
        (id,) = world.enqueue(due=START + 30 * DAY)
        world.now = START + 4 * DAY
        world.scheduler.host_failed("tcp_local", "a.example", world.now)
        world.scheduler._memory.wake(world.now)
        world.settle([id])
        assert world.plan().expired == []

    @pytest.mark.parametrize("delay", [0, 30 * DAY])
    def test_shorter_lifetime_applies_to_old_mail(self, delay: float) -> None:
        """A reload with shorter notices returns what is too old by them, and nothing else."""
        world = World()
        (old,) = world.enqueue(due=START + delay)
        world.now += 2 * DAY
        (young,) = world.enqueue(due=world.now + delay)
        shorter = channel(notices={"normal": (DAY,)}, master_command=())
        world.scheduler.reconfigure(settings(shorter), world.now)
        world.plan()
        assert world.expired == [old]
        assert world.scheduler.state(young, world.now) in ("ready", "delayed")

    def test_longer_lifetime_does_not_try_early(self) -> None:
        """With longer notices a delayed message still waits for its due time."""
        world = World()
        (id,) = world.enqueue(due=START + 5 * DAY)
        world.scheduler.reconfigure(settings(channel(notices={"normal": (30 * DAY,)})), world.now)
        world.now = START + 4 * DAY
        world.plan()
        assert world.expired == [] and world.scheduler.state(id, world.now) == "delayed"


class TestSteps:
    """The wall clock is set by an hour or a day."""

    @pytest.mark.parametrize("step", [3600.0, DAY])
    def test_set_back_freezes_nothing(self, step: float) -> None:
        """After the clock was set back, retries, probes and starts come as soon as they would have."""
        world = World()
        world.enqueue("a.example", due=START + 600)
        world.enqueue("dead.example")
        until = world.scheduler.host_failed("tcp_local", "dead.example", START).until - START
        world.scheduler.start_failed("tcp_local", None, world.now)
        world.plan()
        world.now -= step
        world.plan()
        job = world.start(credit=5)
        world.now += 40
        assert until < 40
        world.plan()
        assert len(world.held[job]) == 1
        world.now += 561
        world.plan()
        assert len(world.held[job]) == 2

    @pytest.mark.parametrize("step", [3600.0, DAY])
    def test_set_ahead_is_no_storm(self, step: float) -> None:
        """After a leap ahead, what became due goes out at the pace of the limits, one probe to a dead host."""
        # Without warnings, which would be due at once after a day.
        notices = dict.fromkeys(("urgent", "normal", "nonurgent"), (4 * 86400.0,))
        world = World(settings(channel(maxjobs=2, notices=notices)))
        for n in range(300):
            world.enqueue(f"h{n % 30}.example", due=START + 1800)
        world.enqueue("dead.example", count=50)
        world.scheduler.host_failed("tcp_local", "dead.example", START)
        world.plan()
        world.now += step
        plan = world.plan()
        assert len(plan.starts) == 1
        job = world.start(credit=40)
        world.plan()
        dead = [id for id in world.held[job] if world.store.entries[id].host == "dead.example"]
        assert len(world.held[job]) <= 40 and len(dead) <= 1

    @pytest.mark.parametrize("step", [3600.0, -3600.0, DAY, -DAY])
    @pytest.mark.parametrize("monotonic", [True, False])
    def test_jobs_do_not_age_by_a_step(self, step: float, monotonic: bool) -> None:
        """No job is stopped as old because the clock was set."""
        world = World()
        job = world.start(credit=1)
        world.enqueue(count=3)

        def plan(at: float) -> list[str]:
            plan = world.scheduler.plan(world.now, at if monotonic else None)
            for name, ids in plan.handouts:
                world.held[name] += ids
            return plan.stop_jobs

        assert plan(100.0) == []
        world.now += step
        assert plan(101.0) == []
        world.settle(world.held[job])
        world.now += 1
        assert plan(102.0) == []

    @pytest.mark.parametrize("step", [3600.0, -3600.0, DAY, -DAY])
    def test_neither_storm_nor_standstill(self, step: float) -> None:
        """
        The clock is set by an hour or a day in the middle of work, or the machine sleeps so long, which is the
        same to a clock that does not count sleep: within half an hour of waking time all mail is delivered, dead
        hosts are asked no more often than ever, no second has more messages than the jobs can hold, and no job is
        stopped as if it had idled or lived so long.
        """
        world = World(settings(channel(maxjobs=2, rate_per_host=(600, 60.0))))
        steady = 1000.0
        for n in range(300):
            world.enqueue(f"h{n % 30}.example", due=START + 60 + n * 4)
        world.enqueue("dead.example", count=20)
        asked: list[float] = []
        by_second: list[int] = []

        def second(awake: bool = True) -> None:
            nonlocal steady
            plan = world.scheduler.plan(world.now, steady)
            for start in plan.starts:
                world.start(start.channel, start.host, 10, 40)
            assert not (plan.stop_jobs and not awake)
            for job in plan.stop_jobs:
                world.end(job)
            handed = 0
            for job, ids in plan.handouts:
                handed += len(ids)
                for id in ids:
                    world.held[job].append(id)
                    entry = world.store.entries[id]
                    if entry.host == "dead.example":
                        asked.append(steady)
                        world.scheduler.host_failed("tcp_local", entry.host, world.now)
                        world.defer(id, world.now, 0)
                    else:
                        world.scheduler.host_answered("tcp_local", entry.host, world.now)
                        world.settle([id])
                world.scheduler.grant(job, len(ids))
            by_second.append(handed)
            world.now += 1
            steady += 1

        for _ in range(300):
            second()
        world.now += step
        second(awake=False)
        for _ in range(1800):
            second()
        assert {entry.host for entry in world.store.entries.values()} == {"dead.example"}
        assert max(by_second) <= 80
        probes = sorted(set(asked))
        gaps = [after - before for before, after in pairwise(probes)]
        # One when the backoff is over, of 30 s and more; the step may have ended one early.
        assert 4 <= len(gaps) <= 9 and sum(gap < 24 for gap in gaps) <= 1 and max(gaps) < 900

    def test_monotonic_clock_counts_what_the_wall_clock_hides(self) -> None:
        """With a clock that does not jump, lingering is measured rightly across a step."""
        world = World()
        job = world.start()
        world.scheduler.plan(world.now, 10.0)
        world.now -= 3600
        assert world.scheduler.plan(world.now + 59, 69.0).stop_jobs == []
        assert world.scheduler.plan(world.now + 61, 71.0).stop_jobs == [job]


class TestSteadyClock:
    """Time that only passes."""

    @given(st.lists(st.floats(-DAY, DAY), max_size=30))
    @hypothesis_settings(deadline=None, max_examples=100)
    def test_never_goes_back_and_never_leaps(self, steps: list[float]) -> None:
        """Whatever is done to the wall clock, a reading adds between 0 and 60 seconds."""
        clock, wall = SteadyClock(), START
        clock.read(wall, None)
        for step in steps:
            wall += step
            before = clock.time
            back = clock.read(wall, None)
            assert 0 <= clock.time - before <= 60
            assert back == (-step if step < -5 else 0) or back == pytest.approx(-step)


class TestTimers:
    """Times of many things."""

    @given(st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 50)))))
    @hypothesis_settings(deadline=None, max_examples=100)
    def test_last_word_counts(self, acts: list[tuple[int, int | None]]) -> None:
        """A thing is due at the time it was given last, once."""
        timers: Timers[int] = Timers()
        model: dict[int, float] = {}
        for thing, at in acts:
            if at is None:
                timers.clear(thing)
                model.pop(thing, None)
            else:
                timers.set(thing, at)
                model[thing] = at
        assert timers.next() == min(model.values(), default=None)
        assert sorted(timers.due(25)) == sorted(thing for thing, at in model.items() if at <= 25)
        timers.shift(-30)
        assert sorted(timers.due(25)) == sorted(thing for thing, at in model.items() if at > 25)

    def test_garbage_is_bounded(self) -> None:
        """Setting one time again and again takes no memory."""
        timers: Timers[str] = Timers()
        for at in range(10_000):
            timers.set("x", at)
        assert len(timers) < 200


class TestPatience:
    """After a start, or a leap of the wall clock, what is due is tried before anything expires."""

    def world(self) -> World:
        world = World(
            settings(channel(notices=dict.fromkeys(("urgent", "normal", "nonurgent"), (DAY, 4 * DAY))))
        )
        world.scheduler.plan(world.now, 100.0)
        return world

    def plan(self, world: World, monotonic: float) -> Plan:
        plan = world.scheduler.plan(world.now, monotonic)
        for job, ids in plan.handouts:
            world.held[job] += ids
        return plan

    def test_a_leap_ahead_expires_nothing_at_first(self) -> None:
        """Set ahead by five days and back again within half an hour: nobody is told, nothing is returned."""
        world = self.world()
        ids = world.enqueue(count=3, due=START + 600)
        (stopped,) = world.enqueue(due=START)
        self.plan(world, 3000.0)
        world.now += 5 * DAY
        plan = self.plan(world, 3001.0)
        assert plan.expired == plan.warn == []
        job = world.start()
        self.plan(world, 3002.0)
        assert sorted(world.held[job]) == sorted([*ids, stopped])
        for id in ids:
            world.held[job].remove(id)
            world.scheduler.deferred(id, world.now + 60, 1, world.now, rule=0)
        assert self.plan(world, 3002.5).expired == []
        world.settle([stopped])
        world.now -= 5 * DAY
        plan = self.plan(world, 3003.0)
        assert plan.expired == plan.warn == []
        due = world.scheduler.next_due()
        assert due is not None and due <= world.now + 61

    def test_what_is_too_old_expires_after_half_an_hour(self) -> None:
        """If the clock was right, or the machine was asleep for days."""
        world = self.world()
        (delayed,) = world.enqueue(due=START + 30 * DAY)
        (ready,) = world.enqueue()
        world.scheduler.stop("tcp_local")
        self.plan(world, 3000.0)
        world.now += 5 * DAY
        assert self.plan(world, 3001.0).expired == []
        due = world.scheduler.next_due()
        assert due is not None and world.now < due <= world.now + PATIENCE
        world.now += PATIENCE
        assert sorted(self.plan(world, 3001.0 + PATIENCE).expired) == sorted([delayed, ready])

    def test_after_a_start(self) -> None:
        """Mail that grew too old while the host was down is tried first."""
        world = World(empty=False)
        entry = world.entry()
        entry.enqueued = entry.due = START - 10 * DAY
        world.store.put(entry)
        plan = world.scheduler.plan(world.now, 7.0)
        assert plan.load is not None
        world.scheduler.loaded(plan.load, world.store.answer(plan.load), world.now)
        job = world.start()
        assert self.plan(world, 8.0).expired == [] and world.held[job] == [entry.id]
        world.defer(entry.id, world.now + 60)
        assert self.plan(world, 9.0).expired == []
        world.now += PATIENCE
        assert self.plan(world, 8.0 + PATIENCE).expired == [entry.id]

    def test_what_grows_old_afterwards_is_told_of_in_time(self) -> None:
        """A short life that begins after the start, or ends after it, is as long as it is."""
        world = World(settings(channel(notices={"normal": (10.0, 20.0)})), empty=False)
        old = world.entry()
        old.enqueued = old.due = START - 5
        world.store.put(old)
        plan = world.scheduler.plan(world.now, 7.0)
        assert plan.load is not None
        world.scheduler.stop("tcp_local")
        world.scheduler.loaded(plan.load, world.store.answer(plan.load), world.now)
        (new,) = world.enqueue(due=START + 600)
        world.now += 5
        assert self.plan(world, 12.0).warn == [(old.id, 10.0)]
        world.scheduler.settled(old.id, world.now)
        world.now += 5
        assert self.plan(world, 17.0).warn == [(new, 10.0)]
        world.scheduler.deferred(new, START + 600, 0, world.now, 10.0)
        world.now += 10
        assert self.plan(world, 27.0).expired == [new]

    def test_time_that_passed_is_no_leap(self) -> None:
        """Days of waiting are days: expiry is on time."""
        world = self.world()
        (id,) = world.enqueue(due=START + 30 * DAY)
        self.plan(world, 4000.0)
        world.now += 4 * DAY
        assert self.plan(world, 4000.0 + 4 * DAY).expired == [id]
