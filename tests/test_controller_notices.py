"""Who is told of what: notifications that an attempt, an age or an operator brings about."""

import email
import email.policy

import pytest
from twisted.logger import capturedLogs

from jobctl.config.loader import load_text
from jobctl.controller.notices import NOTHING
from jobctl.jobprotocol.frames import Ask, Report
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.envelope import Envelope, Recipient, Source
from jobctl.notification.texts import Texts
from jobctl.routing.router import Router
from tests.controller_case import CONFIGURATION, CONTENT, DISK_FULL, START, World

BOX = """
[channel.maildir]
maildir = "var/Maildir"
[channel.lmtp]
official_host_name = "lmtp-daemon"
master_command = "master"
lmtp = true
daemon = "store.example"
transport = "tcp"
[rewrite]
"box.example" = "maildir"
"store.example" = "lmtp"
"""
BOB = "bob@b.example"


@pytest.fixture
def world() -> World:
    return World()


def queue(world, *recipients, sender="ann@a.example", content=CONTENT, **more):
    """Queue a message whose recipients have NOTIFY."""
    envelope = Envelope(sender, recipients, **more)
    (id,) = world.do(world.controller.intake.accept(envelope, Source("in"), content, len(content)))
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
    assert email.utils.parsedate_to_datetime(one["Will-Retry-Until"]).timestamp() == START + 4 * 86400
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
        ("store.example", "delivered", "delivered"),
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


def with_keywords(keywords, sections=""):
    """A world whose out channel has these keywords, with a postmaster elsewhere."""
    changed = CONFIGURATION.replace("notices = [1, 4]", f"notices = [1, 4]\n{keywords}")
    return World(configuration=f'[mta]\npostmaster = "post@p.example"\n{sections}{changed}')


def words(message):
    """What people read, in one line."""
    return " ".join(message.get_payload()[0].get_content().split())


@pytest.mark.parametrize("keyword", ["sendpost", "copysendpost", "errsendpost", "nosendpost"])
@pytest.mark.parametrize(
    ("sender", "notify", "told", "copied"),
    [
        ("ann@a.example", None, True, "sendpost copysendpost"),
        ("ann@a.example", "NEVER", False, "sendpost copysendpost"),
        ("ann@nowhere", None, False, "sendpost copysendpost errsendpost"),
        ("", "NEVER", False, "sendpost errsendpost"),
    ],
)
def test_the_postmaster_gets_what_sendpost_says(keyword, sender, notify, told, copied):
    """Copies of ordinary failures, of what no sender wants to or can hear of, and of notifications that fail."""
    world = with_keywords(f"{keyword} = true")
    id = queue(world, Recipient(BOB, notify=notify), sender=sender)
    world.job().report(id, "failed", "550 5.1.1 no such user", status="5.1.1")
    world.turn()
    found = notices(world)
    assert (["ann@a.example"] in [to for to, _ in found]) is told
    copies = [message for to, message in found if to == ["post@p.example"]]
    assert len(copies) == (keyword in copied.split())
    assert len(found) == len(copies) + told
    for copy in copies:
        assert copy["Postmaster-Copy"] == "mail.example.org"
        assert ("this report has been sent to ann@a.example" in words(copy)) is told
        assert BOB in words(copy)
        assert CONTENT in copy.as_bytes().replace(b"\n", b"\r\n")
    world.balance()


@pytest.mark.parametrize(
    ("keywords", "copied"),
    [
        ("sendpost = true", True),
        ("sendpost = true\nnowarnpost = true", False),
        ("warnpost = true", True),
        ("", False),
    ],
)
def test_warnings_are_copied_as_warnpost_says(keywords, copied):
    """warnpost decides on copies of warnings, and the sendpost in force where it says nothing."""
    world = with_keywords(keywords)
    stored = world.stored(queue(world, Recipient(BOB)))
    original = world.do(world.controller.quotes.of(stored, header=True))
    made = world.controller.notices.delayed(stored, until=START, now=START, original=original)
    to = [one.address for submission in made for one in submission.envelope.recipients]
    assert to == ["ann@a.example", "post@p.example"][: 1 + copied]


def test_copies_by_header_alone():
    """postheadonly keeps the body of a failed message from the postmaster's eyes, not from its sender's."""
    world = with_keywords("sendpost = true\npostheadonly = true")
    id = queue(world, Recipient(BOB))
    world.job().report(id, "failed", "550 5.1.1 no")
    world.turn()
    told = {to[0]: message.as_string() for to, message in notices(world)}
    assert "hello" in told["ann@a.example"] and "hello" not in told["post@p.example"]
    assert "Subject: s" in told["post@p.example"]


@pytest.mark.parametrize("keyword", ["sendpost", "errsendpost"])
def test_a_copy_that_fails_is_the_end(keyword):
    """A notification fails, the copy for the postmaster fails: nothing is left to be sent, and it is logged."""
    world = with_keywords(f"{keyword} = true")
    queue(world, Recipient(BOB))
    job = world.job()
    for _ in range(5):
        for id in list(job.held):
            job.report(id, "failed", "550 5.1.1 nobody here")
        world.turn()
    assert not world.queued()
    world.balance()


def test_each_channel_can_have_a_postmaster_of_its_own():
    """returnaddress and returnpersonal of the channel go before those of [mta]."""
    world = with_keywords(
        'sendpost = true\nreturnaddress = "mx@q.example"\nreturnpersonal = "Mail, Q"',
        'return_personal = "P"\n',
    )
    id = queue(world, Recipient(BOB))
    world.job().report(id, "failed", "550 no")
    world.turn()
    found = notices(world)
    assert [to for to, _ in found] == [["ann@a.example"], ["mx@q.example"]]
    assert {str(message["From"]) for _, message in found} == {'"Mail, Q" <mx@q.example>'}


def test_the_channel_that_notifications_enter_by():
    """Rules can send notifications another way: they come from notificationchannel, else from process."""
    rule = '"a.example" = ["gate$Mprocess", "gate$Min", "out"]\n".example" = "out"'
    for name, way in (("process", "gate"), ("in", "gate"), ("gate", "out")):
        world = with_keywords(f'notificationchannel = "{name}"')
        world.controller.intake.router = Router(
            load_text(
                CONFIGURATION.replace('".example" = "out"', rule), "jobctl.toml", exists=lambda path: True
            )
        )
        id = queue(world, Recipient(BOB))
        world.job().report(id, "failed", "550 no")
        world.turn()
        assert [stored.entry.channel for stored in world.queued()] == [way]


def test_the_history_is_told_unless_the_operator_says_no():
    """What was tried before stands in the notification; return_delivery_history = false leaves it out."""
    for sections, shown in (("", True), ("return_delivery_history = false\n", False)):
        world = with_keywords("", sections)
        id = queue(world, Recipient(BOB))
        job = world.job()
        job.report(id, "deferred", "451 4.3.2 first", remote="mx.b.example")
        job.says(Ask(n=9))
        world.turn(700)
        job.report(id, "failed", "550 5.1.1 second")
        world.turn()
        ((_, message),) = notices(world)
        assert ("451 4.3.2 first (mx.b.example)" in words(message)) is shown


def test_what_expired_names_who_refused_it_last():
    """The report on a message that ran out of time quotes the remote's words as the remote's."""
    world = World()
    id = queue(world, Recipient(BOB), Recipient("eve@b.example"))
    job = world.job()
    job.says(
        Report(
            id=id,
            results=(
                Disposition(BOB, Verdict.DEFERRED, "4.2.2", "452 4.2.2 full", "mx1.b.example"),
                Disposition(
                    "eve@b.example", Verdict.DEFERRED, "4.7.1", "451 4.7.1 greylisted", "mx2.b.example"
                ),
            ),
        )
    )
    world.turn(4 * 86400 + 1)
    ((_, message),) = notices(world)
    _, bob, eve = message.get_payload()[1].get_payload()
    assert bob["Diagnostic-Code"] == "smtp;452 4.2.2 full" and bob["Remote-MTA"] == "dns;mx1.b.example"
    assert eve["Diagnostic-Code"] == "smtp;451 4.7.1 greylisted" and eve["Action"] == "failed"
    assert "the mailbox is full" in words(message)


def test_a_large_message_comes_back_by_its_header():
    """content_return_block_limit, and the blocklimit of the way back, keep the body from going back."""
    body = b"Subject: big\r\n\r\n" + b"x" * 70 + b"\r\n" * 4000
    for sections, keywords in (
        ("content_return_block_limit = 4\n", ""),
        ("", "blocklimit = 9"),
        ("", ""),
    ):
        world = with_keywords(keywords, sections)
        (id,) = world.accept(BOB, content=body)
        world.job().report(id, "failed", "550 no")
        world.turn()
        ((_, message),) = notices(world)
        whole = not (sections or keywords)
        assert message.get_payload()[2].get_content_type() == (
            "message/rfc822" if whole else "text/rfc822-headers"
        )


def test_nothing_is_read_for_who_is_not_told():
    """Failures that nobody is to hear of, and success that nobody asked for, cost no reading."""
    world = World()
    unasked = (("failed", "NEVER"), ("delivered", None), ("relayed", "SUCCESS"))
    large = b"Subject: s\r\n\r\n" + b"x" * 70 + b"\r\n" * 50_000
    ids = [queue(world, Recipient(BOB, notify=notify), content=large) for _, notify in unasked]
    old = queue(world, Recipient(BOB, notify="NEVER"), content=large)
    job = world.job()
    world.store.calls.clear()
    for id, (verdict, _) in zip(ids, unasked, strict=True):
        job.report(id, verdict, "250 ok")
    job.report(old, "deferred", "451 later")
    world.turn(5 * 86400)
    assert not {"content", "history", "fetch_whole"} & set(world.store.calls)
    assert not world.queued()


def test_a_double_bounce_that_cannot_be_read_is_not_copied(world):
    """It might be a copy itself: then the postmaster's log has to do."""
    world = with_keywords("sendpost = true")
    large = b"Subject: s\r\n\r\n" + b"x" * 70 + b"\r\n" * 50_000
    ids = [queue(world, Recipient(BOB), sender=sender, content=large) for sender in ("", "ann@a.example")]
    job = world.job()
    world.store.broken["content"] = DISK_FULL
    with capturedLogs() as logged:
        for id in ids:
            job.report(id, "failed", "550 no")
        world.turn()
    world.store.broken.clear()
    assert sorted(to for to, _ in notices(world)) == [["ann@a.example"], ["post@p.example"]]
    assert any("there are none of copies" in event["log_format"] for event in logged)


def test_the_postmaster_reads_the_language_of_the_house():
    """The sender is addressed in a language of their own, the postmaster always in the configured one."""
    world = with_keywords("sendpost = true")
    id = queue(world, Recipient(BOB), content=b"Accept-Language: de\r\n\r\nhallo\r\n")
    world.job().report(id, "failed", "550 no")
    world.turn()
    told = {to[0]: message for to, message in notices(world)}
    assert "Empfängeradresse" in words(told["ann@a.example"])
    assert "Recipient address" in words(told["post@p.example"])


def test_success_is_told_though_the_program_died(world):
    """Verdicts given before the end of a program stand, and are told to who asked."""
    id = queue(world, Recipient(BOB, notify="SUCCESS"), Recipient("eve@b.example"))
    job = world.job()
    job.says(Report(id=id, results=(Disposition(BOB, Verdict.DELIVERED, "2.0.0", "250 ok"),)))
    job.end(exit_status=None, signal=9)
    world.turn()
    ((to, message),) = notices(world)
    assert to == ["ann@a.example"] and status(message)["Action"] == "relayed"
    assert [one.address for one in world.stored(id).envelope.recipients] == ["eve@b.example"]


def test_a_reload_brings_new_words_and_a_new_postmaster(tmp_path):
    """What is told after a reload is told in the words that are in the files then."""
    texts = tmp_path / "en"
    texts.mkdir()
    sections = f'[notification]\ndirectory = "{tmp_path}"\n'
    text = f'[mta]\npostmaster = "one@p.example"\n{sections}{CONFIGURATION}'
    world = World(configuration=text)
    (texts / "return_suffix.txt").write_text("Call 4711.")
    world.controller.reconfigure(
        load_text(text.replace("one@", "two@"), "jobctl.toml", exists=lambda path: True)
    )
    id = queue(world, Recipient(BOB))
    world.job().report(id, "failed", "550 no")
    world.turn()
    ((_, message),) = notices(world)
    assert "Call 4711." in words(message) and "two@p.example" in str(message["From"])


@pytest.mark.parametrize("broken", ["templates", "everything"])
def test_no_notification_is_lost_for_want_of_words(world, broken):
    """Whatever is wrong with the texts, the sender is told, in English, and the fault is in the log."""
    library = world.controller.notices._mail._texts
    library._complete["en"] = Texts("en", {"return_failed.txt": None}) if broken == "templates" else None
    id = queue(world, Recipient(BOB))
    with capturedLogs() as logged:
        world.job().report(id, "failed", "550 5.1.1 no")
        world.turn()
    ((to, message),) = notices(world)
    assert to == ["ann@a.example"] and "could not be delivered" in words(message)
    assert any("bug in the texts" in event["log_format"] for event in logged)
