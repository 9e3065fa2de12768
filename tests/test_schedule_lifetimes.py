"""When senders are warned, when mail is returned, and the hours in which it may go out."""

import calendar
import random
import time
from collections.abc import Iterator

import pytest

from jobctl.config.settings import ABSOLUTE
from jobctl.mail.entry import Lasting, paused
from jobctl.mail.envelope import Priority, Recipient
from jobctl.mail.hints import Hints
from jobctl.schedule.backoff import demoted, first_attempt, next_attempt
from jobctl.schedule.entrance import LONGEST_DEFERMENT, new_entry
from jobctl.schedule.expiry import Life, ended, expires_at, next_warning, warning_age
from jobctl.schedule.hours import closes, opens, window_opens
from tests.schedule_case import START, World, channel, settings
from tests.zones import local_zone

DAY, HOUR = 86400.0, 3600.0
FOUR = {"notices": dict.fromkeys(("urgent", "normal", "nonurgent"), (DAY, 2 * DAY, 4 * DAY, 7 * DAY))}
LIFE = Life((DAY, 2 * DAY, 4 * DAY, 7 * DAY))
BOB = (Recipient("Bob@b.example"),)


@pytest.fixture
def berlin() -> Iterator[None]:
    """Local time is that of Berlin."""
    with local_zone("Europe/Berlin"):
        yield


def local(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%d %H:%M"))


class TestLife:
    """Warnings at every age but the last, the end at the last."""

    def test_ages_one_by_one(self) -> None:
        """Each is told of once, and the last ends it."""
        entry = World().entry()
        seen = []
        for hour in range(8 * 24):
            now = START + hour * HOUR
            if ended(LIFE, entry, now):
                seen.append(("end", hour))
                break
            age = warning_age(LIFE, entry, now)
            if age is not None:
                seen.append(("warn", hour))
                entry.warned = age
        assert seen == [("warn", 24), ("warn", 48), ("warn", 96), ("end", 168)]
        assert next_warning(LIFE, entry) is None and expires_at(LIFE, entry) == START + 7 * DAY

    def test_several_that_passed_are_told_as_one(self) -> None:
        """The host was down for three days: one warning, for the latest age."""
        entry = World().entry()
        assert warning_age(LIFE, entry, START + 3 * DAY) == 2 * DAY
        entry.warned = 2 * DAY
        assert warning_age(LIFE, entry, START + 3 * DAY) is None
        assert next_warning(LIFE, entry) == START + 4 * DAY

    def test_other_ages_after_a_reload(self) -> None:
        """What was told of is not told again, what is new is told when it is reached."""
        entry = World().entry()
        entry.warned = 2 * DAY
        assert warning_age(Life((DAY, 3 * DAY, 9 * DAY)), entry, START + 2 * DAY) is None
        assert next_warning(Life((DAY, 3 * DAY, 9 * DAY)), entry) == START + 3 * DAY
        assert ended(Life((HOUR, DAY)), entry, START + 2 * DAY)

    def test_time_held_does_not_count(self) -> None:
        """A message released after a week has as much life as it had when it was held."""
        entry = World().entry()
        entry.paused, held_since = paused(0.0, 0.0, Lasting.HELD, START + DAY / 2)
        assert (entry.paused, held_since) == (0.0, START + DAY / 2)
        assert paused(0.0, held_since, Lasting.HELD, START + 3 * DAY) == (0.0, held_since)
        entry.paused, held_since = paused(0.0, held_since, Lasting.QUEUED, START + 9 * DAY)
        assert held_since == 0.0 and not ended(LIFE, entry, START + 9 * DAY)
        assert next_warning(LIFE, entry) == START + 9.5 * DAY
        # A clock that was set back makes nothing older.
        assert paused(0.0, START, Lasting.QUEUED, START - DAY) == (0.0, 0.0)

    def test_attempts_end_it_too(self) -> None:
        """max_attempts ends mail whatever its age."""
        entry = World().entry()
        entry.attempts = 3
        assert ended(Life((DAY,), attempts=3), entry, START)
        assert not ended(Life((DAY,), attempts=4), entry, START)


class TestWarnings:
    """The schedule says when to warn, wherever a message waits."""

    def world(self, **changes: object) -> World:
        return World(settings(channel(**(FOUR | changes))))

    def sleep(self, world: World, until: float) -> list[tuple[float, str]]:
        """Look only when the schedule says so; gives what was said when, in days."""
        said = []
        while (due := world.scheduler.next_due()) is not None and due <= until:
            world.now = max(world.now, due)
            before = len(world.warned)
            ended = world.plan().expired
            said += [((world.now - START) / DAY, "warn")] * (len(world.warned) - before)
            said += [((world.now - START) / DAY, "end")] * len(ended)
            for id in ended:
                world.settle([id])
        world.now = until
        return said

    WHOLE_LIFE = [(1.0, "warn"), (2.0, "warn"), (4.0, "warn"), (7.0, "end")]

    def test_of_delayed_mail(self) -> None:
        """Though its next attempt is far away."""
        world = self.world()
        world.enqueue(due=START + 30 * DAY)
        assert self.sleep(world, START + 8 * DAY) == self.WHOLE_LIFE

    def test_of_mail_in_a_stopped_channel(self) -> None:
        """Its sender does not care why it is late."""
        world = self.world()
        world.scheduler.stop("tcp_local")
        world.enqueue()
        assert self.sleep(world, START + 8 * DAY) == self.WHOLE_LIFE

    def test_of_mail_for_a_dead_host(self) -> None:
        """Nor whether the host is down."""
        world = self.world()
        world.scheduler.host_failed("tcp_local", "a.example", START)
        world.enqueue(count=2)
        said = self.sleep(world, START + 8 * DAY)
        assert said == [one for one in self.WHOLE_LIFE for _ in range(2)]

    def test_comes_back_to_where_it_was(self) -> None:
        """A warned message is tried when it would have been, and as urgently."""
        world = self.world()
        (id,) = world.enqueue(due=START + 1.5 * DAY, priority=Priority.URGENT)
        self.sleep(world, START + 1.4 * DAY)
        assert world.warned == [(id, DAY)] and world.scheduler.state(id, world.now) == "delayed"
        world.now = START + 1.5 * DAY
        job = world.start()
        world.plan()
        assert world.held[job] == [id]

    def test_not_while_it_is_tried(self) -> None:
        """What a job has is not late but on its way; if it comes back, the warning is due."""
        world = self.world()
        (id,) = world.enqueue()
        world.start()
        world.plan()
        world.now += DAY
        world.plan()
        assert world.warned == []
        world.defer(id, world.now + HOUR)
        world.plan()
        assert world.warned == [(id, DAY)]

    def test_given_out_once(self) -> None:
        """While a warning is being recorded it is not given out again, and a failure to record it repeats it."""
        world = self.world()
        (id,) = world.enqueue(due=START + 30 * DAY)
        world.now += DAY
        assert world.scheduler.plan(world.now).warn == [(id, DAY)]
        assert world.scheduler.plan(world.now).warn == []
        assert world.scheduler.state(id, world.now) == "active"
        world.scheduler.deferred(id, world.now + 60, None, world.now)
        world.now += 60
        assert world.scheduler.plan(world.now).warn == [(id, DAY)]

    def test_none_after_a_restart_that_was_sent_before(self) -> None:
        """The store knows what was told."""
        world = self.world()
        (id,) = world.enqueue(due=START + 30 * DAY)
        self.sleep(world, START + DAY)
        later = World(world.settings, empty=False)
        later.store, later.now = world.store, START + 1.5 * DAY
        later.plan()
        later.plan()
        assert later.warned == [] and later.scheduler.next_due() == START + 2 * DAY
        assert id in later.store.entries

    def test_a_lower_cap_ends_old_mail(self) -> None:
        """max_attempts lowered below what was tried: returned once, at once, and not tried again for ever."""
        world = self.world()
        (id,) = world.enqueue()
        job = world.start()
        world.plan()
        world.defer(id, START + HOUR, attempts=5)
        world.scheduler.reconfigure(settings(channel(max_attempts=3, **FOUR)), world.now)
        plan = world.plan()
        assert plan.expired == [id] and world.held[job] == []
        world.settle([id])
        assert world.plan().expired == [] and world.scheduler.next_due() != world.now

    def test_the_last_attempt_ends_it(self) -> None:
        """The deferral that reaches the cap is the last one."""
        world = self.world(max_attempts=2)
        (id,) = world.enqueue()
        world.start()
        for attempts in (1, 2):
            world.plan()
            assert world.expired == []
            world.defer(id, world.now, attempts=attempts)
        world.plan()
        assert world.expired == [id]


class TestHours:
    """Delivery windows are hours of the local day."""

    @pytest.mark.parametrize(
        ("now", "at", "until"),
        [
            ("2026-03-02 07:59", "2026-03-02 08:00", None),
            ("2026-03-02 08:00", None, "2026-03-02 12:00"),
            ("2026-03-02 12:00", "2026-03-02 22:00", None),
            ("2026-03-02 23:00", None, "2026-03-03 06:00"),
            ("2026-03-03 05:59", None, "2026-03-03 06:00"),
            # The night on which clocks go ahead is an hour shorter.
            ("2026-03-29 01:30", None, "2026-03-29 06:00"),
            ("2026-10-25 06:30", "2026-10-25 08:00", None),
        ],
    )
    def test_several_and_over_midnight(
        self, berlin: None, now: str, at: str | None, until: str | None
    ) -> None:
        """08:00 to 12:00 and 22:00 to 06:00."""
        hours = ((480, 720), (1320, 360))
        assert opens(hours, local(now)) == local(at or now)
        assert closes(hours, local(now)) == local(until or now)
        found = window_opens(channel(delivery={"normal": hours}), Priority.NORMAL, local(now))
        assert found == (local(at) if at else None)

    def test_all_day(self, berlin: None) -> None:
        """00:00-24:00 never closes, no hours at all are all hours."""
        now = local("2026-03-02 07:59")
        assert opens(((0, 1440),), now) == now and closes(((0, 1440),), now) > now + DAY
        assert window_opens(channel(), Priority.URGENT, now) is None

    def test_second_and_third_class_keep_the_hours_of_nonurgent(self, berlin: None) -> None:
        """They have no option of their own."""
        night = channel(delivery={"nonurgent": ((1320, 360),)})
        now = local("2026-03-02 12:00")
        assert window_opens(night, Priority.THIRD_CLASS, now) == local("2026-03-02 22:00")
        assert window_opens(night, Priority.NORMAL, now) is None


class TestGate:
    """Outside its hours mail waits, and nothing else does."""

    NIGHT = {"nonurgent": ((1320, 360),)}

    def world(self, now: str, **changes: object) -> World:
        world = World(settings(channel(**({"delivery": self.NIGHT} | changes))), empty=False)
        world.now = local(now)
        world.plan()
        return world

    def test_mail_waits_for_its_window(self, berlin: None) -> None:
        """Nonurgent mail at noon is delayed until ten in the evening; normal mail goes."""
        world = self.world("2026-03-02 12:00")
        (slow,) = world.enqueue(priority=Priority.NONURGENT)
        (fast,) = world.enqueue()
        job = world.start()
        world.plan()
        assert world.held[job] == [fast] and world.scheduler.state(slow, world.now) == "delayed"
        world.settle([fast])
        world.end(job)
        world.plan()
        assert world.scheduler.next_due() == local("2026-03-02 22:00")
        world.now = local("2026-03-02 22:00")
        assert len(world.plan().starts) == 1
        job = world.start()
        world.plan()
        assert world.held[job] == [slow]

    def test_the_next_attempt_is_when_the_window_is_open(self, berlin: None) -> None:
        """Lists say so, also of what is due while it will be closed, and of what memory has not."""
        world = self.world("2026-03-02 12:00")
        (id,) = world.enqueue(priority=Priority.NONURGENT, due=local("2026-03-03 06:30"))
        (now,) = world.enqueue(priority=Priority.NONURGENT)
        elsewhere = world.entry(priority=Priority.NONURGENT)
        for entry, at in (
            (world.store.entries[id], "2026-03-03 22:00"),
            (world.store.entries[now], "2026-03-02 22:00"),
            (elsewhere, "2026-03-02 22:00"),
        ):
            assert world.scheduler.outlook(entry, world.now) == ("delayed", local(at))

    def test_a_window_closes_on_a_backlog(self, berlin: None) -> None:
        """What was not handed out by then waits, and no job is started for it; what a job has goes on."""
        world = self.world("2026-03-02 05:00")
        ids = world.enqueue(count=50, priority=Priority.NONURGENT)
        job = world.start(credit=10)
        world.plan()
        world.now = local("2026-03-02 06:00")
        world.scheduler.grant(job, 10)
        taken = list(world.held[job])
        plan = world.plan()
        assert world.held[job] == taken == ids[: len(taken)] and taken and plan.starts == []
        left = ids[len(taken) :]
        assert {world.scheduler.state(id, world.now) for id in left} == {"delayed"}
        world.now = local("2026-03-02 22:00")
        world.plan()
        assert len(world.held[job]) > len(taken)

    def test_what_an_operator_releases_does_not_wait(self, berlin: None) -> None:
        """Whether it was released before or after the window closed."""
        world = self.world("2026-03-02 05:59")
        first, second = world.enqueue(count=2, priority=Priority.NONURGENT)
        assert world.scheduler.promote(first, world.now)
        world.now += 120
        world.plan()
        assert world.scheduler.promote(second, world.now)
        job = world.start()
        world.plan()
        assert world.held[job] == [first, second]

    def test_a_reload_opens_and_closes(self, berlin: None) -> None:
        """Other hours apply at once to what is queued."""
        world = self.world("2026-03-02 12:00")
        (id,) = world.enqueue(priority=Priority.NONURGENT)
        world.scheduler.reconfigure(settings(channel()), world.now)
        assert world.scheduler.state(id, world.now) == "ready"
        world.scheduler.reconfigure(settings(channel(delivery=self.NIGHT)), world.now)
        assert world.scheduler.state(id, world.now) == "delayed"

    @pytest.mark.parametrize("step", [HOUR, -HOUR, DAY, -DAY])
    def test_the_clock_is_set(self, berlin: None, step: float) -> None:
        """The hours of the day that the clock shows count, whichever way it was set."""
        world = self.world("2026-03-02 21:30")
        (id,) = world.enqueue(priority=Priority.NONURGENT)
        world.plan()
        world.now += step
        open_now = step == HOUR
        job = world.start()
        world.plan()
        assert world.held[job] == ([id] if open_now else [])
        if not open_now:
            day = "2026-03-01" if step == -DAY else "2026-03-03" if step == DAY else "2026-03-02"
            world.now = local(f"{day} 21:59")
            assert world.plan().handouts == []
            world.now += 60
            job = world.start()
            world.plan()
            assert world.held[job] == [id]

    def test_set_back_into_the_closed_hours(self, berlin: None) -> None:
        """What was ready waits again."""
        world = self.world("2026-03-02 22:30")
        (id,) = world.enqueue(priority=Priority.NONURGENT)
        assert world.scheduler.state(id, world.now) == "ready"
        world.now -= HOUR
        world.plan()
        assert world.scheduler.state(id, world.now) == "delayed"


class TestDeadlines:
    """A time that its sender has set, in the schedule (RFC 2852)."""

    def test_kept_to_the_second(self) -> None:
        """Delayed or waiting for a job: one comes back, of the other its sender is told, and neither before."""
        world = World(settings(channel(**FOUR)))
        world.scheduler.stop("tcp_local")
        back = world.enqueue(deadline=START + 60, returns=True)
        back += world.enqueue(due=START + HOUR, deadline=START + 60, returns=True)
        told = world.enqueue(deadline=START + 60) + world.enqueue(due=START + HOUR, deadline=START + 60)
        world.plan()
        assert world.scheduler.next_due() == START + 60
        world.now = START + 59.9
        world.plan()
        assert world.expired == world.warned == []
        world.now = START + 61
        plan = world.scheduler.plan(world.now)
        assert sorted(plan.expired) == back and sorted(plan.warn) == [(id, 0.0) for id in told]

    def test_a_minute_in_a_long_queue(self) -> None:
        """With more than a thousand waiting, within a minute; and none of it is handed out late."""
        world = World(settings(channel(**FOUR)))
        world.scheduler.stop("tcp_local")
        world.enqueue(count=1200)
        world.plan()
        world.now += 1
        world.plan()
        (id,) = world.enqueue(deadline=START + 30, returns=True)
        world.now = START + 31
        world.scheduler.start("tcp_local", world.now)
        job = world.start(credit=2000)
        while not world.expired:
            world.plan()
            assert id not in world.held[job] and world.now < START + 95
            world.now += 5
        assert world.expired == [id]

    def test_no_patience(self) -> None:
        """What was late when the schedule woke is late, though it is patient with ages."""
        world = World(settings(channel(**FOUR)), empty=False)
        world.scheduler.plan(world.now, 0.0)
        (id,) = world.enqueue(due=START + 9 * DAY, deadline=START + HOUR, returns=True)
        (old,) = world.enqueue(due=START + 9 * DAY)
        world.scheduler.stop("tcp_local")
        (ready,) = world.enqueue(deadline=START + HOUR, returns=True)
        world.scheduler.plan(world.now, 0.0)
        world.now += 8 * DAY
        plan = world.scheduler.plan(world.now, 10.0)
        assert sorted(plan.expired) == [id, ready] and world.scheduler.patient(world.now)
        assert world.scheduler.state(old, world.now) == "delayed"

    def test_told_of_once(self) -> None:
        """Once its sender has been told it is like any other."""
        world = World(settings(channel(**FOUR)))
        (id,) = world.enqueue(due=START + HOUR, deadline=START + 60)
        world.now += 61
        assert world.scheduler.plan(world.now).warn == [(id, 0.0)]
        world.scheduler.deferred(id, START + HOUR, 0, world.now, None, None, 0.0)
        assert world.scheduler.plan(world.now).warn == []
        assert (
            world.scheduler.state(id, world.now) == "delayed" and world.scheduler.next_due() == START + HOUR
        )

    def test_at_the_same_time_as_an_age(self) -> None:
        """One notification says both."""
        world = World(settings(channel(**FOUR)))
        (id,) = world.enqueue(due=START + 9 * DAY, deadline=START + DAY)
        world.now += DAY
        assert world.scheduler.plan(world.now).warn == [(id, DAY)]

    def test_ends(self) -> None:
        """A return that its sender wants is an end of its life, whatever time does not count as age."""
        entry = World().entry(deadline=START + 60, returns=True)
        entry.paused = DAY
        assert expires_at(LIFE, entry) == START + 60 and ended(LIFE, entry, START + 60)
        entry = World().entry(deadline=START + 60)
        assert expires_at(LIFE, entry) == START + 7 * DAY


class TestEntrance:
    """From when on, and with what priority, new mail is tried."""

    def test_after(self) -> None:
        """A delay, or a time that may have passed."""
        assert first_attempt(channel(), Priority.NORMAL, START) == START
        waiting = channel(after={"normal": 60.0, "nonurgent": START + DAY, "second_class": START - DAY})
        assert first_attempt(waiting, Priority.URGENT, START) == START
        assert first_attempt(waiting, Priority.NORMAL, START) == START + 60
        assert first_attempt(waiting, Priority.NONURGENT, START) == START + DAY
        assert first_attempt(waiting, Priority.SECOND_CLASS, START) == START
        assert calendar.timegm((2001, 9, 9, 1, 46, 40)) == ABSOLUTE

    @pytest.mark.parametrize(
        ("size", "dropped"),
        [
            (1024, Priority.URGENT),
            (1025, Priority.NORMAL),
            (2049, Priority.NONURGENT),
            (4097, Priority.SECOND_CLASS),
        ],
    )
    def test_large_mail_drops(self, size: int, dropped: Priority) -> None:
        """Step by step, each step with a limit of its own."""
        limits = channel(demotion={"urgent": 1024, "normal": 2048, "nonurgent": 4096})
        assert demoted(limits, Priority.URGENT, size) == dropped
        assert demoted(channel(), Priority.URGENT, size) == Priority.URGENT
        assert demoted(channel(demotion={"normal": 1}), Priority.URGENT, size) == Priority.URGENT

    def test_jitter_is_configured(self) -> None:
        """None, or more than usual."""
        exact = channel(jitter=0.0)
        assert next_attempt(exact, Priority.NORMAL, 1, START, random.Random(1)) == START + 600
        wide = channel(jitter=1.0)
        waits = [next_attempt(wide, Priority.NORMAL, 1, START, random.Random(n)) - START for n in range(50)]
        assert min(waits) >= 600 and 1100 < max(waits) <= 1200

    def entrance(self, hints: Hints, **changes: object):  # type: ignore[no-untyped-def]
        return new_entry(channel(**changes), "h", BOB, Priority.NORMAL, 10, START, hints, "")

    def test_deferred_delivery(self) -> None:
        """The sender's date counts where the channel says so; age begins there; nonsense does not."""
        hints = Hints(not_before=START + 3 * DAY)
        entry = self.entrance(hints, deferred=True)
        assert (entry.due, entry.paused, entry.state) == (START + 3 * DAY, 3 * DAY, Lasting.QUEUED)
        assert self.entrance(hints).due == START
        for date in (START - DAY, START + LONGEST_DEFERMENT + 1):
            entry = self.entrance(Hints(not_before=date), deferred=True)
            assert (entry.due, entry.paused) == (START, 0.0)

    def test_delivered_there_before(self) -> None:
        """A mailbox that has had the message does not get it again: it is held with the cause."""
        hints = Hints(delivered_to=frozenset({"bob@b.example"}))
        for final in ({"smtp": "nosmtp"}, {"lmtp": True}, {"maildir": "/x"}):
            entry = self.entrance(hints, **final)
            assert entry.state is Lasting.HELD and "Bob@b.example" in entry.reason and "loop" in entry.reason
        assert self.entrance(hints).state is Lasting.QUEUED
        assert self.entrance(Hints(delivered_to=frozenset({"x@y"})), smtp="nosmtp").reason == ""
