"""REUSE_TIMED_OUT_TRANSFERS: a client that did not hear 250 sends its message again, and it is one message."""

from functools import partial
from typing import Any

import pytest

from jobctl.controller import resent
from jobctl.errors import StoreError
from jobctl.jobprotocol.frames import Accepted, Refused, Submit, Told
from jobctl.mail.envelope import Envelope, Recipient
from tests.controller_case import CHANGES, CONTENT, FakeJob, World

ENVELOPE = Envelope("ann@a.example", (Recipient("x@b.example"), Recipient("y@c.example")))


def send(slave: FakeJob, id: str, digest: str = "d", seconds: float = 31.0, content: bytes = CONTENT) -> None:
    slave.says(Submit(id=id, envelope=ENVELOPE, digest=digest, seconds=seconds), content)


def ids(world: World, slave: FakeJob, id: str) -> tuple[str, ...]:
    """What the submission was answered."""
    (answer,) = [one for one in world.answers(slave) if one.id == id]
    assert isinstance(answer, Accepted)
    return answer.ids


def count(world: World) -> int:
    return len(world.store.memory.disk.contents)


@pytest.fixture
def world() -> World:
    return World()


def test_a_slow_transfer_that_nobody_heard_of(world: World) -> None:
    """The same again is answered with the first one's ids and stored once; told, it is forgotten."""
    slave = world.slave()
    send(slave, "1")
    first = ids(world, slave, "1")
    slave.says(Told(id="1", gone=True))
    other = world.slave()
    send(other, "1")
    assert ids(world, other, "1") == first and len(first) == 2
    assert count(world) == 1
    world.balance()
    other.says(Told(id="1"))
    send(other, "2")
    assert ids(world, other, "2") != first and count(world) == 2
    world.close()


@pytest.mark.parametrize(("seconds", "gone"), [(29.0, True), (31.0, False)])
def test_what_is_not_remembered(world: World, seconds: float, gone: bool) -> None:
    """A quick transfer, and one whose client has heard of it."""
    slave = world.slave()
    send(slave, "1", seconds=seconds)
    slave.says(Told(id="1", gone=gone))
    send(slave, "2", seconds=seconds)
    assert count(world) == 2
    assert not world.do(world.store.remembered(resent.TOPIC)) or not gone
    world.close()


def test_another_message_is_another(world: World) -> None:
    """By its digest; without one nothing is compared."""
    slave = world.slave()
    for id, digest in (("1", "d"), ("2", "e"), ("3", ""), ("4", ""), ("5", "x" * 200), ("6", "x" * 200)):
        send(slave, id, digest)
        slave.says(Told(id=id, gone=True))
    assert count(world) == 6
    world.close()


def test_the_time_that_we_took_counts(world: World) -> None:
    """A quick transfer is a slow one if it was our answer that took long."""
    world.store.slow = CHANGES
    slave = world.slave()
    send(slave, "1", seconds=5.0)
    world.clock.advance(30)
    world.store.commit()
    world.store.commit()
    slave.says(Told(id="1", gone=True))
    world.store.commit()
    send(slave, "2", seconds=5.0)
    world.store.commit()
    assert ids(world, slave, "2") == ids(world, slave, "1") and count(world) == 1
    world.store.slow = frozenset()
    world.close()


def test_a_slow_transfer_is_remembered_before_it_is_answered(world: World) -> None:
    """So it is known after a crash of whoever was to tell the client."""
    world.store.slow = CHANGES
    slave = world.slave()
    send(slave, "1")
    assert world.store.commit(1) and not world.answers(slave)
    assert world.store.commit(1)
    first = ids(world, slave, "1")
    world.store.memory.close()
    again = World(disk=world.store.memory.disk, clock=world.clock)
    slave = again.slave()
    send(slave, "1")
    assert ids(again, slave, "1") == first and count(again) == 1
    again.close()


@pytest.mark.parametrize("told", [True, False])
def test_a_copy_that_comes_while_the_first_is_committed(world: World, told: bool) -> None:
    """It waits until it is known whether the client of the first has heard of it."""
    world.store.slow = CHANGES
    slave = world.slave()
    send(slave, "1")
    send(slave, "2")
    world.store.commit()
    world.store.commit()
    assert [answer.id for answer in world.answers(slave)] == ["1"]
    slave.says(Told(id="1", gone=not told))
    world.store.commit()
    world.store.commit()
    assert (ids(world, slave, "2") == ids(world, slave, "1")) is not told
    assert count(world) == (2 if told else 1)
    world.store.slow = frozenset()
    world.close()


def test_a_copy_of_one_that_was_refused(world: World) -> None:
    """Nobody has it, so it is taken."""
    world.store.slow = CHANGES
    slave = world.slave()
    world.store.broken["enqueue"] = StoreError("broken")
    send(slave, "1")
    send(slave, "2")
    world.store.commit(1)
    world.store.broken.clear()
    world.store.commit()
    world.store.commit()
    assert [type(answer) for answer in world.answers(slave)] == [Refused, Accepted]
    world.store.slow = frozenset()
    world.close()


@pytest.mark.parametrize("committed", [True, False])
def test_a_program_that_dies(world: World, committed: bool) -> None:
    """Whom it had not told it has not told, whether the message was durable by then or not."""
    slave = world.slave()
    world.store.slow = frozenset() if committed else CHANGES
    send(slave, "1")
    slave.end(signal=9)
    world.store.commit()
    world.store.slow = frozenset()
    other = world.slave()
    send(other, "1")
    assert ids(world, other, "1") and count(world) == 1
    world.close()


def test_it_is_forgotten_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a day, and the oldest of too many, also on the disk."""
    monkeypatch.setattr(resent, "MOST", 2)
    slave = world.slave()
    say = partial(send, slave)
    for id in ("1", "2", "3"):
        say(id, digest=id)
        slave.says(Told(id=id, gone=True))
    say("4", digest="4")
    slave.says(Told(id="4", gone=True))
    say("5", digest="1")
    assert count(world) == 5
    world.clock.advance(resent.LIFETIME + 1)
    say("6", digest="4")
    assert ids(world, slave, "6") != ids(world, slave, "4")
    kept: dict[str, Any] = world.do(world.store.remembered(resent.TOPIC))
    assert set(kept) == {"4"}
    world.close()


def test_large_content_that_is_not_kept_twice(world: World) -> None:
    """What was staged for the copy is let go."""
    slave = world.slave()
    for id in ("1", "2"):
        slave.says(Submit(id=id, envelope=ENVELOPE, more=True), CONTENT)
        slave.says(Submit(id=id, digest="d", seconds=99.0), b"x" * 200_000)
        slave.says(Told(id=id, gone=True))
    assert ids(world, slave, "1") == ids(world, slave, "2") and count(world) == 1
    world.close()


def test_what_cannot_be_read_of_it(world: World) -> None:
    """Is forgotten; the rest counts."""
    slave = world.slave()
    send(slave, "1")
    slave.says(Told(id="1", gone=True))
    world.do(world.store.remember(resent.TOPIC, "bad", "{"))
    world.close()
    again = World(disk=world.store.memory.disk, clock=world.clock)
    assert set(again.do(again.store.remembered(resent.TOPIC))) == {"d"}
    again.close()
