"""Messages with a deadline (DELIVERBY, RFC 2852) from arrival to their end, on a clock that is set."""

from email import message_from_bytes
from typing import Any

import pytest

from jobctl.control.change_requests import QmHold, QmMove, QmRelease, QmReroute
from jobctl.control.envelopes import envelope_of
from jobctl.control.requests import Enqueue, Explain, QmStop
from jobctl.errors import UsageError
from jobctl.jobprotocol.frames import Accepted, Submit
from jobctl.mail.entry import Lasting
from jobctl.mail.envelope import DeliverBy, Envelope, Recipient, Source
from jobctl.mail.trace import rfc5322_date
from tests.controller_case import CALLER, CONFIGURATION, CONTENT, START, World

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
# The sender's own domain goes to a channel that delivers nothing, so that what it is told can be read.
BACK = CONFIGURATION.replace(
    "[rewrite]",
    '[channel.back]\nofficial_host_name = "back-daemon"\n[channel.box]\nofficial_host_name = "box-daemon"\n'
    'maildir = "/mail/%u"\nmaster_command = "master"\n[rewrite]\n"a.example" = "back"\n"box.example" = "box"',
)


class Life(World):
    """A world in which senders set deadlines and their notifications are read."""

    def __init__(self, **given: Any) -> None:
        super().__init__(configuration=given.pop("configuration", BACK), **given)

    def timed(self, by: str, *recipients: Recipient | str, **more: Any) -> list[str]:
        everybody = tuple(
            one if isinstance(one, Recipient) else Recipient(one) for one in recipients or ("bob@b.example",)
        )
        envelope = Envelope("ann@a.example", everybody, by=DeliverBy.parsed(by))
        accepted = self.controller.intake.accept(envelope, Source("in"), CONTENT, len(CONTENT), **more)
        ids: list[str] = self.do(accepted)
        self.turn()
        return ids

    def told(self) -> list[Any]:
        """The notifications to the sender, as mail."""
        return [
            message_from_bytes(self.store.memory.disk.contents[stored.message])
            for stored in self.queued()
            if stored.entry.channel == "back"
        ]

    def facts(self) -> list[tuple[str, str]]:
        """Action and status of each recipient in each of them."""
        found = []
        for mail in self.told():
            _, status, *_ = mail.get_payload()
            for group in status.get_payload()[1:]:
                found.append((group["Action"], group["Status"].split()[0]))
        return found

    def defer(self, id: str) -> None:
        """One attempt that fails, by a job that ends then."""
        job = self.job()
        job.report(id, "deferred", "450 4.2.0 full", status="4.2.0")
        self.turn()
        job.end()
        self.turn()

    def again(self) -> "Life":
        """The daemon begins anew with the same queue."""
        self.store.memory.close()
        return Life(disk=self.store.memory.disk, clock=self.clock)

    def why(self, id: str) -> dict[str, Any]:
        row: dict[str, Any] = self.do(self.operate("explain", Explain(message=id)))
        return row


@pytest.fixture
def world() -> Life:
    return Life()


def test_returned_when_it_is_late(world: Life) -> None:
    """Mode R: at its deadline it leaves the queue, and its sender is told why and what was heard last."""
    (id,) = world.timed("300;R")
    world.defer(id)
    world.turn(299.5 - (world.clock.seconds() - START))
    assert world.stored(id) is not None and world.told() == []
    world.turn(1.5)
    assert world.stored(id) is None and world.facts() == [("failed", "5.4.7")]
    (mail,) = world.told()
    assert mail["Subject"] == "Delivery Notification: Delivery has timed out and failed"
    text, status, *_ = mail.get_payload()
    assert "not delivered by the time that its sender had set" in text.get_payload()
    assert "450 4.2.0 full" in status.as_string()
    assert status.get_payload()[0]["Deliver-By-Date"] == rfc5322_date(START + 300)
    world.balance()


def test_told_once_when_it_is_late(world: Life) -> None:
    """Mode N: its sender is told at the deadline, once, and it is tried until it is too old."""
    (id,) = world.timed("300;N")
    world.defer(id)
    world.turn(301)
    assert world.facts() == [("delayed", "4.4.7")] and world.stored(id).entry.deadline == 0.0
    assert world.history(id) == ["deferred", "warned"]
    world = world.again()
    world.turn(HOUR)
    assert len(world.told()) == 1
    world.turn(DAY)
    assert world.facts() == [("delayed", "4.4.7")] * 2
    world.turn(3 * DAY)
    assert world.stored(id) is None and world.facts()[2:] == [("failed", "4.4.7")]
    world.balance()


@pytest.mark.parametrize(
    ("by", "notify", "facts"),
    [
        ("60;R", "NEVER", []),
        ("60;R", "DELAY", []),
        ("60;R", "FAILURE", [("failed", "5.4.7")]),
        ("60;N", "NEVER", []),
        ("60;N", "FAILURE", []),
        ("60;N", "DELAY", [("delayed", "4.4.7")]),
        ("0;N", None, []),
    ],
)
def test_notify_is_respected(by: str, notify: str | None, facts: list[tuple[str, str]]) -> None:
    """Who does not want to hear of it does not; what was late at arrival has been told of by the hop before."""
    world = Life()
    (id,) = world.timed(by, Recipient("bob@b.example", notify))
    world.turn(62)
    assert world.facts() == facts
    assert (world.stored(id) is None) is by.endswith("R")


def test_each_recipient_for_itself(world: Life) -> None:
    """Of two that part ways, one is delivered and one comes back."""
    first, second = world.timed("60;R", "bob@b.example", "carol@c.example")
    job = world.job()
    assert {frame.envelope.by.deadline for frame in job.assigned} == {START + 60}
    job.report(first, "relayed", timed=True)
    job.report(second, "deferred", "450 4.2.0 full")
    world.turn(60)
    assert world.queued()[0].entry.channel == "back" and world.facts() == [("failed", "5.4.7")]


def test_never_handed_out_late(world: Life) -> None:
    """Also while the daemon was down: nothing that should come back goes out after its deadline."""
    (late,), (told,) = world.timed("60;R"), world.timed("60;N")
    world.store.memory.close()
    world.clock.advance(HOUR)
    world = Life(disk=world.store.memory.disk, clock=world.clock)
    world.turn()
    assert sorted(world.facts()) == [("delayed", "4.4.7"), ("failed", "5.4.7")]
    assert [frame.id for frame in world.job().assigned] == [told]
    assert world.stored(late) is None


def test_a_stopped_channel_and_a_hold_do_not_stop_the_clock(world: Life) -> None:
    """What is stopped comes back at its deadline, what is held when it is released."""
    world.do(world.operate("qm_stop", QmStop(channel="out")))
    (stopped,), (held,) = world.timed("60;R"), world.timed("120;R")
    world.do(world.operate("qm_hold", QmHold(ids=(held,))))
    world.turn(61)
    assert world.stored(stopped) is None and world.facts() == [("failed", "5.4.7")]
    world.turn(DAY)
    assert world.stored(held).state is Lasting.HELD and len(world.told()) == 1
    assert "the time goes on while it is held" in " ".join(world.why(held)["notes"])
    world.do(world.operate("qm_release", QmRelease(ids=(held,))))
    world.turn()
    assert world.stored(held) is None and world.facts() == [("failed", "5.4.7")] * 2


def test_moved_with_its_deadline(world: Life) -> None:
    """Another channel and a restart change nothing about it."""
    (id,) = world.timed("300;RT")
    world.do(world.operate("qm_stop", QmStop(channel="gate")))
    world.do(world.operate("qm_move", QmMove(ids=(id,), to="gate")))
    world.turn()
    world = world.again()
    assert world.stored(id).entry.channel == "gate"
    world.turn(299)
    assert world.told() == []
    world.turn(3)
    assert world.stored(id) is None and world.facts() == [("failed", "5.4.7")]


def test_recipients_that_part_ways_keep_it(world: Life) -> None:
    """Rerouted to two hosts: each of the two entries has the deadline that the one had."""
    (id,) = world.timed("300;R", "bob@b.example", "carol@c.example", channel="gate")
    for channel in ("gate", "out"):
        world.do(world.operate("qm_stop", QmStop(channel=channel)))
    world.do(world.operate("qm_reroute", QmReroute(ids=(id,))))
    world.turn()
    entries = [stored.entry for stored in world.queued()]
    assert {(one.host, one.deadline, one.returns) for one in entries} == {
        ("b.example", START + 300, True),
        ("c.example", START + 300, True),
    }
    world.turn(302)
    assert world.facts() == [("failed", "5.4.7")] * 2


def test_what_memory_has_no_room_for(world: Life) -> None:
    """A queue longer than memory keeps deadlines within a minute."""
    world = Life(configuration=BACK.replace("[channel.l]", "max_cache_messages = 100\n[channel.l]", 1))
    world.do(world.operate("qm_stop", QmStop(channel="out")))
    for _ in range(400):
        world.accept()
    (late,), (told,) = world.timed("90;R"), world.timed("90;N")
    assert not world.scheduler.complete
    assert world.state(late) is None and world.state(told) is None
    world.turn(89)
    assert world.told() == []
    world.turn(62)
    assert sorted(world.facts()) == [("delayed", "4.4.7"), ("failed", "5.4.7")]
    world.turn(HOUR)
    assert len(world.told()) == 2 and world.stored(told) is not None
    world.balance()


@pytest.mark.parametrize(
    ("by", "notify", "timed", "told"),
    [
        ("60;N", None, False, True),
        ("60;N", "FAILURE", False, True),
        ("60;N", "NEVER", False, False),
        ("60;N", None, True, False),
        ("60;NT", None, True, True),
        ("60;RT", None, True, True),
        ("60;RT", "NEVER", True, False),
        ("60;R", None, True, False),
    ],
)
@pytest.mark.parametrize("verdict", ["relayed", "delivered"])
def test_relays_that_are_told_of(by: str, notify: str | None, timed: bool, told: bool, verdict: str) -> None:
    """A trace asks for each, and so does N where the next hop minds no deadline; with NOTIFY=NEVER none."""
    world = Life()
    (id,) = world.timed(by, Recipient("bob@b.example", notify))
    world.job().report(id, verdict, "250 2.0.0 taken", timed=timed)
    world.turn()
    assert world.facts() == ([("relayed", "2.0.0")] if told else [])
    if told:
        assert "giving a time for its delivery" in world.told()[0].get_payload()[0].get_payload()


def test_success_is_told_to_who_asked(world: Life) -> None:
    """A next hop without DSN that minds the deadline: only who asked for success hears of the relay."""
    (id,) = world.timed("60;R", Recipient("bob@b.example", "SUCCESS"), "bea@b.example")
    world.job().report(id, "delivered", "250 2.0.0 taken", timed=True)
    world.turn()
    assert world.facts() == [("relayed", "2.0.0")]
    assert "does not confirm" in world.told()[0].get_payload()[0].get_payload()


def test_a_mailbox_is_no_relay(world: Life) -> None:
    """Final delivery ends it: there is nothing to be traced."""
    (id,) = world.timed("60;NT", "bob@box.example")
    world.job().report(id, "delivered")
    world.turn(HOUR)
    assert world.told() == [] and world.stored(id) is None


def test_explained(world: Life) -> None:
    """explain says when it comes back and because of what, or when its sender is told."""
    (back,), (told,), (old,) = world.timed("300;R"), world.timed("300;N"), world.timed("999999999;R")
    row = world.why(back)
    assert row["expires"] == START + 300 and row["at_expiry_where"] == "" and row["warnings"] == []
    assert row["at_expiry"] == "it is returned to ann@a.example, because its sender asked for BY=300;R"
    assert "(BY=300;R): it is returned then" in row["notes"][0]
    row = world.why(told)
    assert row["expires"] == START + 4 * DAY and "is told when that has passed" in row["notes"][0]
    row = world.why(old)
    assert row["expires"] == START + 4 * DAY and "BY" not in row["at_expiry"]
    world.turn(301)
    assert "tried all the same" in world.why(told)["notes"][0]


def test_from_a_program(world: Life) -> None:
    """A program says the seconds, the controller the hour."""
    slave = world.slave()
    envelope = Envelope("ann@a.example", (Recipient("bob@b.example"),), by=DeliverBy(60, "R", True))
    slave.says(Submit(id="s", envelope=envelope), CONTENT)
    world.turn()
    (answer,) = world.answers(slave)
    assert isinstance(answer, Accepted)
    stored = world.stored(answer.ids[0])
    assert stored.envelope.by == DeliverBy(60, "R", True, START + 60)
    assert (stored.entry.deadline, stored.entry.returns) == (START + 60, True)


def test_over_the_control_socket(world: Life) -> None:
    """enqueue takes BY= too, and says what will not do; 8-bit content keeps it."""
    request = Enqueue(sender="ann@a.example", recipients=("bob@b.example",), by="900;N")
    receiver = world.controller.operations.enqueue(request, CALLER)
    receiver.write("Subject: ü\r\n\r\n".encode())
    (id,) = world.do(receiver.finish())
    envelope = world.stored(id).envelope
    assert envelope.by == DeliverBy(900, "N", False, START + 900) and envelope.body == "8BITMIME"
    for wrong in ("900", "0;R", "900;X"):
        with pytest.raises(UsageError, match="by is as in"):
            envelope_of(Enqueue(recipients=("b@b.example",), by=wrong))
