"""Who is told of what: notifications that an attempt, an age or an operator brings about."""

import email
import email.policy

import pytest

from jobctl.controller.notices import NOTHING
from jobctl.mail.envelope import Envelope, Recipient, Source
from tests.controller_case import CONFIGURATION, CONTENT, START, World

BOX = """
[channel.maildir]
maildir = "var/Maildir"
[rewrite]
"box.example" = "maildir"
"""
BOB = "bob@b.example"


@pytest.fixture
def world() -> World:
    return World()


def queue(world, *recipients, sender="ann@a.example", **more):
    """Queue a message whose recipients have NOTIFY."""
    envelope = Envelope(sender, recipients, **more)
    (id,) = world.do(world.controller.intake.accept(envelope, Source("in"), CONTENT, len(CONTENT)))
    world.turn()
    return id


def notices(world):
    """Notifications in the queue: whom each goes to, and it parsed."""
    found = []
    for stored in world.queued():
        if stored.envelope.sender == "":
            opened = world.do(world.store.memory.content(stored.message))
            message = email.message_from_bytes(opened.read(1_000_000), policy=email.policy.default)
            found.append(([one.address for one in stored.envelope.recipients], message))
    return found


def status(message):
    """The fields about the first recipient."""
    return message.get_payload()[1].get_payload()[1]


def test_a_warning_of_delay_says_until_when_it_is_tried(world):
    """The sender hears that the message is late, why, and how long it will be tried."""
    id = queue(world, Recipient(BOB))
    world.job().report(id, "deferred", "451 4.3.2 not now")
    stored = world.stored(id)
    assert world.controller.notices.warns(stored)
    (warning,) = world.controller.notices.delayed(
        stored, until=START + 4 * 86400, now=START + 86400, original=NOTHING
    )
    assert warning.envelope.sender == ""
    assert warning.envelope.recipients == (Recipient("ann@a.example", notify="NEVER"),)
    one = status(email.message_from_bytes(warning.content, policy=email.policy.default))
    assert one["Action"] == "delayed"
    assert one["Status"].startswith("4.4.7")
    assert one["Will-Retry-Until"] == "Sat, 18 Nov 2023 22:13:20 -0000"
    assert "not now" in one["Diagnostic-Code"]


@pytest.mark.parametrize(("notify", "warned"), [("DELAY", True), ("FAILURE", False), ("NEVER", False)])
def test_a_warning_only_for_who_wants_it(world, notify, warned):
    """NOTIFY decides for each recipient; where nobody wants a warning there is none."""
    id = queue(world, Recipient(BOB, notify=notify), Recipient("eve@b.example", notify="SUCCESS"))
    stored = world.stored(id)
    assert world.controller.notices.warns(stored) is warned
    made = world.controller.notices.delayed(stored, until=START, now=START, original=NOTHING)
    assert len(made) == warned
    if made:
        text = made[0].content.decode()
        assert BOB in text and "eve@b.example" not in text


def test_an_empty_sender_is_never_warned(world):
    """A notification that is late is not told of."""
    stored = world.stored(queue(world, Recipient(BOB, notify="DELAY"), sender=""))
    assert not world.controller.notices.warns(stored)
    assert world.controller.notices.delayed(stored, until=START, now=START, original=NOTHING) == ()


@pytest.mark.parametrize(
    ("domain", "verdict", "action"),
    [
        ("b.example", "delivered", "relayed"),
        ("b.example", "relayed", None),
        ("box.example", "delivered", "delivered"),
    ],
)
def test_success_is_told_where_it_was_asked_for(domain, verdict, action):
    """NOTIFY=SUCCESS: delivered here, or passed to a host that does no DSN; one that does will tell itself."""
    world = World(configuration=CONFIGURATION.replace("[rewrite]", BOX))
    id = queue(world, Recipient(f"bob@{domain}", notify="SUCCESS"))
    world.job().report(id, verdict, "250 2.0.0 taken", status="2.0.0")
    world.turn()
    found = notices(world)
    assert [status(message)["Action"] for _, message in found] == ([action] if action else [])
    world.balance()
