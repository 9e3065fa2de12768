"""Senders are warned of delays: once per age, in the commit that records it, whatever else happens."""

from email import message_from_bytes

import pytest

from jobctl.control.change_requests import QmHold, QmRelease
from jobctl.control.requests import QmStop
from jobctl.mail.entry import Lasting
from jobctl.mail.envelope import Envelope, Recipient, Source
from tests.controller_case import CONFIGURATION, CONTENT, DISK_FULL, START, World

HOUR, DAY = 3600.0, 86400.0
# The sender's own domain goes to a channel that delivers nothing, so that what it is told can be read.
WARNED = (
    CONFIGURATION.replace("notices = [1, 4]", "notices = [1, 2, 4]").replace(
        "[rewrite]", '[channel.back]\nofficial_host_name = "back-daemon"\n[rewrite]\n"a.example" = "back"'
    )
    + "\n"
)


@pytest.fixture
def world() -> World:
    return World(configuration=WARNED)


def told(world: World) -> list[str]:
    """What the sender has been told, by subject."""
    found = []
    for stored in world.queued():
        if stored.entry.channel == "back":
            assert stored.envelope.sender == ""
            message = message_from_bytes(world.store.memory.disk.contents[stored.message])
            found.append(str(message["Subject"]).removeprefix("Delivery Notification: Delivery has "))
    return found


def defer(world: World, id: str) -> None:
    """One attempt that fails, by a job that ends then."""
    job = world.job()
    job.report(id, "deferred", "450 4.2.0 full")
    world.turn()
    job.end()
    world.turn()


def test_a_life_without_delivery(world):
    """Warned at one and two days, returned at four; each time its history says so."""
    (id,) = world.accept()
    defer(world, id)
    world.turn(DAY - 1)
    assert told(world) == []
    for seconds, times in ((1, 1), (DAY, 2), (DAY, 2)):
        world.turn(seconds)
        assert told(world) == ["been delayed"] * times
        assert world.stored(id).entry.warned == times * DAY
    assert world.history(id) == ["deferred", "warned", "warned"]
    world.turn(DAY)
    assert world.stored(id) is None
    assert told(world)[2:] == ["timed out and failed"]
    world.balance()


def test_a_warning_and_its_record_are_one_commit(world):
    """If the store fails there is neither; when it works again there is one."""
    (id,) = world.accept()
    defer(world, id)
    world.store.broken["settle"] = DISK_FULL
    world.turn(DAY)
    assert told(world) == [] and world.stored(id).entry.warned == 0
    world.store.broken.clear()
    world.turn(60)
    assert told(world) == ["been delayed"] and world.stored(id).entry.warned == DAY
    world.turn(3600)
    assert told(world) == ["been delayed"]


def test_no_second_warning_after_a_restart(world):
    """Nor one forgotten, when the host was down at the time: it comes late, and once."""
    (id,) = world.accept()
    defer(world, id)
    world.turn(1.1 * DAY)
    assert len(told(world)) == 1
    world.store.memory.close()
    world.clock.advance(DAY)
    world = World(configuration=WARNED, disk=world.store.memory.disk, clock=world.clock)
    world.turn(3600)
    assert len(told(world)) == 2 and world.stored(id).entry.warned == 2 * DAY
    world.turn(0.5 * DAY)
    assert len(told(world)) == 2


def test_what_expired_while_the_host_was_down_is_tried_once_more(world):
    """Delivered if that can be; else returned at once, as its time is over."""
    first, second = (world.accept(f"{who}@b.example")[0] for who in ("bob", "carol"))
    world.store.memory.close()
    world.clock.advance(20 * DAY)
    world = World(configuration=WARNED, disk=world.store.memory.disk, clock=world.clock)
    world.turn(1)
    job = world.job()
    assert [frame.id for frame in job.assigned] == [first, second] and told(world) == []
    job.report(first, "relayed")
    job.report(second, "deferred", "450 4.2.0 full")
    world.turn()
    assert world.stored(second) is None and told(world) == ["timed out and failed"]
    world.balance()


def test_the_next_attempt_is_where_it_was(world):
    """A warning neither delays nor counts an attempt."""
    (id,) = world.accept()
    defer(world, id)
    world.turn()
    before = world.stored(id).entry
    world.turn(DAY)
    after = world.stored(id).entry
    assert (after.due, after.attempts) == (before.due, before.attempts)
    assert world.scheduler.state(id, world.clock.seconds()) in ("ready", "delayed")


@pytest.mark.parametrize(
    ("sender", "notify", "warned"),
    [
        ("ann@a.example", None, True),
        ("ann@a.example", "DELAY", True),
        ("ann@a.example", "FAILURE", False),
        ("ann@a.example", "NEVER", False),
        ("", None, False),
    ],
)
def test_who_is_warned(world, sender, notify, warned):
    """Nobody who did not want to know (RFC 3461), and never the empty sender."""
    envelope = Envelope(sender, (Recipient("bob@b.example", notify=notify),))
    world.do(world.controller.intake.accept(envelope, Source("in"), CONTENT, len(CONTENT)))
    world.turn(DAY)
    assert told(world) == (["been delayed"] if warned else [])
    world.turn(DAY)
    assert len(told(world)) == (2 if warned else 0)


def test_a_stopped_channel_is_no_excuse(world):
    """Its mail is late, and its senders are told."""
    world.do(world.operate("qm_stop", QmStop(id=1, channel="out")))
    world.accept()
    world.turn(DAY)
    assert told(world) == ["been delayed"]


def test_held_mail_neither_warns_nor_expires_and_lives_on_after_its_release(world):
    """Held for a month: nobody hears of it; released, it is tried first and has the rest of its life."""
    (id,) = world.accept()
    defer(world, id)
    world.turn(DAY / 2)
    world.do(world.operate("qm_hold", QmHold(id=1, ids=(id,))))
    world.turn(30 * DAY)
    assert told(world) == [] and world.stored(id).state is Lasting.HELD
    world.do(world.operate("qm_release", QmRelease(id=1, ids=(id,))))
    world.turn()
    assert world.stored(id).entry.paused == pytest.approx(30 * DAY)
    defer(world, id)
    world.turn(DAY / 2 - 1)
    assert told(world) == []
    world.turn(1)
    assert told(world) == ["been delayed"]
    world.turn(DAY)
    world.turn(2 * DAY)
    assert world.stored(id) is None and told(world)[1:] == ["been delayed", "timed out and failed"]


def test_shorter_notices_by_a_reload_return_what_is_too_old(world):
    """Properly, with a notification, once."""
    (id,) = world.accept()
    defer(world, id)
    world.turn(DAY)
    world.controller.configured = World(
        configuration=WARNED.replace("notices = [1, 2, 4]", "notices = [0.5]")
    ).settings
    world.controller.settings_changed()
    world.turn(1)
    assert world.stored(id) is None and told(world) == ["been delayed", "timed out and failed"]
    world.turn(DAY)
    assert len(told(world)) == 2


def test_a_cap_on_attempts_lowered_by_a_reload(world):
    """Mail that was tried more often is returned once and properly, not tried or returned for ever."""
    (id,) = world.accept()
    for _ in range(3):
        defer(world, id)
        world.turn(700)
    assert world.stored(id).entry.attempts == 3
    world.controller.configured = World(
        configuration=WARNED.replace("notices = [1, 2, 4]", "max_attempts = 1")
    ).settings
    world.controller.settings_changed()
    world.turn(1)
    assert world.stored(id) is None and told(world) == ["timed out and failed"]
    world.turn(DAY)
    assert len(told(world)) == 1


def test_the_attempt_that_reaches_the_cap_is_the_last():
    """max_attempts = 1: one deferral and it is returned."""
    world = World(configuration=WARNED.replace("notices = [1, 2, 4]", "max_attempts = 1"))
    (id,) = world.accept()
    world.job().report(id, "deferred", "450 4.2.0 full")
    world.turn(1)
    assert world.stored(id) is None and told(world) == ["timed out and failed"]
    world.balance()


@pytest.mark.parametrize("rules", ["", "[[retry]]\nwhere = 'rcpt.domain=other.example'\nlifetime = 60\n"])
def test_mail_that_memory_has_no_room_for_is_told_of_too(rules):
    """Sixty messages for a dead host, room for ten in memory: all senders are warned, and told of the end, once."""
    world = World(
        configuration=WARNED.replace("[job_controller]", "[job_controller]\nmax_cache_messages = 10") + rules
    )
    ids = [world.accept(f"u{n}@dead.example")[0] for n in range(60)]
    for _ in range(200):
        world.scheduler.host_failed("out", "dead.example", world.clock.seconds())
        world.turn(HOUR / 2)
        assert sum(1 for _ in world.scheduler.entries()) <= 12 + len(told(world))
        if world.clock.seconds() - START > 1.2 * DAY:
            break
    assert told(world) == ["been delayed"] * 60
    assert all(world.stored(id).entry.warned == DAY for id in ids)
    for _ in range(8):
        world.turn(DAY / 2)
    words = told(world)
    assert words.count("been delayed") == 120 and words.count("timed out and failed") == 60
    assert [world.stored(id) for id in ids] == [None] * 60
    world.balance()
    world.close()


def test_a_leap_of_the_clock_tells_of_nothing_in_the_store_either():
    """The wall clock runs ahead of the one that only passes: what only the store has waits as what memory has."""
    text = WARNED.replace("[job_controller]", "[job_controller]\nmax_cache_messages = 10")
    world = World(configuration=text.replace("notices = [1, 2, 4]", 'notices = ["PT1H", "P4D"]'))
    for n in range(30):
        world.accept(f"u{n}@dead.example")
    world.controller.dispatch.monotonic = lambda: START
    for _ in range(150):
        world.scheduler.host_failed("out", "dead.example", world.clock.seconds())
        world.turn(61)
    assert told(world) == [] and len(world.queued()) == 30
    world.controller.dispatch.monotonic = world.clock.seconds
    for _ in range(100):
        world.turn(61)
    assert told(world) == ["been delayed"] * 30
    world.close()


def test_priority_and_deferment_by_the_header():
    """Priority: and Deferred-Delivery: (RFC 2156), from a program and from the control socket alike."""
    world = World(configuration=WARNED.replace("[channel.out]", "[channel.out]\ndeferred = true"))
    from jobctl.control.requests import Enqueue
    from jobctl.jobprotocol.frames import Submit
    from tests.controller_case import ANN, CALLER

    content = b"Priority: non-urgent\r\nDeferred-Delivery: Thu, 16 Nov 2023 22:13:20 +0000\r\n" + CONTENT
    world.slave().says(Submit(id="s", envelope=ANN), content)
    receiver = world.controller.operations.enqueue(
        Enqueue(id=1, sender="ann@a.example", recipients=("bob@b.example",)), CALLER
    )
    receiver.write(content)
    world.do(receiver.finish())
    world.turn()
    first, second = world.queued()
    for stored in (first, second):
        assert stored.entry.priority.word == "nonurgent"
        assert stored.entry.due == world.clock.seconds() + 2 * DAY
    assert not world.supervisor.asked
    world.turn(2 * DAY)
    assert told(world) == []
    assert len(world.job().assigned) == 2
