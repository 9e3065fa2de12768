"""expandlimit: messages with many recipients are taken at once and routed later, durably."""

import pytest

from jobctl.control.change_requests import QmRelease
from jobctl.control.requests import Explain, QmStart, QmStop
from jobctl.errors import StoreError
from jobctl.jobprotocol.frames import Accepted, Submit
from jobctl.mail.entry import Lasting
from jobctl.mail.envelope import Envelope, Recipient
from tests.controller_case import CONFIGURATION, CONTENT, World

LIMITED = CONFIGURATION.replace(
    "[channel.in]", "[channel.back]\nofficial_host_name = 'back-daemon'\n[channel.in]\nexpandlimit = 3"
).replace("[rewrite]", '[rewrite]\n"a.example" = "back"')
FOUR = ("a@b.example", "b@b.example", "c@c.example", "d@gate.example")


def send(world: World, *recipients: str, content: bytes = CONTENT) -> tuple[str, ...]:
    """By a slave of channel ``in``; gives the ids that it was told."""
    slave = world.slave()
    envelope = Envelope("ann@a.example", tuple(Recipient(one) for one in recipients), envid="x")
    slave.says(Submit(id="s", envelope=envelope), content)
    (answer,) = world.answers(slave)
    assert isinstance(answer, Accepted)
    return answer.ids


def places(world: World) -> list[tuple[str, str, int]]:
    return sorted((s.entry.channel, s.entry.host, len(s.envelope.recipients)) for s in world.queued())


EXPANDED = [("gate", "", 1), ("out", "b.example", 2), ("out", "c.example", 1)]


@pytest.fixture
def world() -> World:
    return World(configuration=LIMITED)


@pytest.mark.parametrize("size", [10, 100_000])
def test_many_recipients_are_routed_later(world, size):
    """One entry is committed and answered; then each recipient is where the rules say, with age and content."""
    content = CONTENT + b"x" * size
    (id,) = send(world, *FOUR, content=content)
    assert places(world) == [("reprocess", "", 4)]
    world.clock.advance(5)
    world.turn()
    assert places(world) == EXPANDED and world.stored(id) is None
    for stored in world.queued():
        assert stored.entry.enqueued == world.clock.seconds() - 5 and stored.envelope.envid == "x"
        assert stored.source.channel == "in"
        assert world.store.memory.disk.contents[stored.message] == content
    world.balance()
    world.close()


def test_few_go_the_short_way(world):
    """Up to the limit, and from other channels, nothing changes."""
    assert len(send(world, *FOUR[:3])) == 2
    assert [channel for channel, _, _ in places(world)] == ["out", "out"]
    world.close()


def test_a_crash_before_it_is_routed(world):
    """It is in the queue, and the next life routes it."""
    send(world, *FOUR)
    assert places(world) == [("reprocess", "", 4)]
    world.store.memory.close()
    world = World(configuration=LIMITED, disk=world.store.memory.disk, clock=world.clock)
    world.turn(1)
    assert places(world) == EXPANDED
    world.balance()
    world.close()


def test_only_where_it_ends_a_mailbox_has_had_it(world):
    """Delivered-To is looked at when it is known where the recipients go."""
    content = b"Delivered-To: a@b.example\r\n" + CONTENT
    send(world, *FOUR, content=content)
    world.turn(1)
    assert places(world) == EXPANDED
    assert all(stored.state is Lasting.QUEUED for stored in world.queued())
    world.close()


def test_who_leads_nowhere_is_told(world):
    """The others get it, the sender is told of the one, in the same commit."""
    send(world, *FOUR, "x@nowhere.test")
    world.turn(1)
    assert places(world) == [("back", "", 1), *EXPANDED]
    world.balance()
    world.close()


def test_nobody_leads_anywhere(world):
    """Then all of them are told of."""
    send(world, *(f"x{n}@nowhere.test" for n in range(4)))
    world.turn(1)
    assert places(world) == [("back", "", 1)]
    world.balance()
    world.close()


def test_the_channel_can_be_stopped(world):
    """As any other; started again it goes on."""
    world.do(world.operate("qm_stop", QmStop(channel="reprocess")))
    (id,) = send(world, *FOUR)
    world.turn(100)
    assert places(world) == [("reprocess", "", 4)]
    causes = world.do(world.operate("explain", Explain(message=id)))["causes"]
    assert [cause["code"] for cause in causes] == ["stopped"]
    world.do(world.operate("qm_start", QmStart(channel="reprocess")))
    world.turn(1)
    assert places(world) == EXPANDED
    world.close()


def test_a_store_that_fails_meanwhile(world):
    """Nothing is lost, nothing is there twice."""
    send(world, *FOUR)
    world.store.broken["settle"] = StoreError("broken")
    world.turn(1)
    assert places(world) == [("reprocess", "", 4)]
    world.store.broken.clear()
    world.turn(60)
    assert places(world) == EXPANDED
    world.balance()
    world.close()


def test_held_for_its_many_recipients_and_released():
    """holdlimit and expandlimit together: held whole, and routed when it is let go."""
    world = World(configuration=LIMITED.replace("expandlimit = 3", "expandlimit = 3\nholdlimit = 2"))
    (id,) = send(world, *FOUR)
    world.turn(100)
    assert world.stored(id).state is Lasting.HELD
    world.do(world.operate("qm_release", QmRelease(ids=(id,))))
    world.turn(1)
    assert places(world) == EXPANDED
    assert all(stored.state is Lasting.QUEUED for stored in world.queued())
    world.close()
