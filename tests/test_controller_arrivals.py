"""Mail coming in: what is taken, what is refused and with which reply, and that nothing of a refusal stays."""

import msgspec
import pytest

from jobctl.control.requests import Enqueue
from jobctl.controller.arrivals import MOST_OPEN, may_relay
from jobctl.controller.refusals import Refusal
from jobctl.errors import ChannelViolation, StoreError, StoreFull, UsageError
from jobctl.jobprotocol.frames import Accepted, Refused, Route, Submit, VerdictFrame
from jobctl.mail.entry import Lasting
from jobctl.mail.envelope import Envelope, Priority, Recipient, Source
from tests.controller_case import ANN, CALLER, CHANGES, CONFIGURATION, CONTENT, DISK_FULL, World

LIMITED = CONFIGURATION + "\n[mta]\nblock_limit = 100\nmax_received_lines = 3\n"
LIMIT = 100 * 1024
LOOP = b"Received: from a\r\n by b\r\n" * 5 + CONTENT


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def limited() -> World:
    return World(configuration=LIMITED)


def refusal(world: World, slave) -> tuple[int, str]:
    """The one answer, and that nothing was kept."""
    (answer,) = world.answers(slave)
    assert isinstance(answer, Refused), answer
    assert not world.queued()
    return answer.code, answer.status


def test_accepted_mail_starts_a_job_at_once(world):
    """Nobody has to say anything more for fresh mail to go out."""
    (id,) = world.accept()
    assert [spec.channel.name for spec in world.supervisor.asked] == ["out"]
    job = world.job()
    assert [frame.id for frame in job.assigned] == [id]


def test_a_submission_is_answered_when_it_is_durable(world):
    """Not before the commit, and then with the ids of its entries, one per destination."""
    slave = world.slave()
    world.store.slow = CHANGES
    two = Envelope("ann@a.example", (Recipient("x@b.example"), Recipient("y@c.example")))
    slave.says(Submit(id="s1", envelope=two), CONTENT)
    assert not world.answers(slave)
    world.store.commit()
    (answer,) = world.answers(slave)
    assert isinstance(answer, Accepted) and answer.id == "s1"
    assert list(answer.ids) == [stored.entry.id for stored in world.queued()]
    assert {stored.entry.host for stored in world.queued()} == {"b.example", "c.example"}
    assert {stored.source.channel for stored in world.queued()} == {"in"}


def test_content_in_pieces_arrives_whole(world):
    """A large message, piece by piece, goes out octet for octet."""
    slave = world.slave()
    pieces = [b"Subject: s\r\n\r\n", b"x" * 200_000, b"y" * 200_000, b"\r\n"]
    slave.says(Submit(id="s1", envelope=ANN, more=True), pieces[0])
    for piece in pieces[1:-1]:
        slave.says(Submit(id="s1", more=True), piece)
    slave.says(Submit(id="s1"), pieces[-1])
    (answer,) = world.answers(slave)
    job = world.job()
    assert job.contents[answer.ids[0]] == b"".join(pieces)


@pytest.mark.parametrize("declared", [None, "7BIT", "8BITMIME"])
def test_eight_bits_are_seen_whatever_was_declared(world, declared):
    """The program that sends it on must know beforehand, also of content that it gets piece by piece."""
    slave = world.slave()
    envelope = msgspec.structs.replace(ANN, body=declared)
    slave.says(Submit(id="s1", envelope=envelope), CONTENT)
    slave.says(Submit(id="s2", envelope=envelope), CONTENT + b"\xe9\r\n")
    slave.says(Submit(id="s3", envelope=envelope, more=True), CONTENT)
    slave.says(Submit(id="s3", more=True), b"\xe9\r\n")
    slave.says(Submit(id="s3"), b"x\r\n")
    ids = [answer.ids[0] for answer in world.answers(slave)]
    assert [world.stored(id).envelope.body for id in ids] == [declared, "8BITMIME", "8BITMIME"]


def test_a_submission_given_up_leaves_nothing(world):
    """Aborted half way, or at once: nothing is queued and nobody is answered."""
    slave = world.slave()
    slave.says(Submit(id="s1", envelope=ANN, more=True), b"Subject: s\r\n")
    slave.says(Submit(id="s1", abort=True))
    slave.says(Submit(id="s2", envelope=ANN, abort=True), b"")
    slave.says(Submit(id="s3", envelope=ANN, more=True, abort=True), b"")
    assert not world.queued() and not world.answers(slave)
    slave.says(Submit(id="s1", envelope=ANN), CONTENT)
    assert len(world.queued()) == 1


def test_a_slave_that_dies_in_the_middle_leaves_nothing(world):
    """What it had not finished was never owed to anybody."""
    slave = world.slave()
    slave.says(Submit(id="s1", envelope=ANN, more=True), b"Subject: s\r\n")
    slave.end(signal=9)
    assert not world.queued()


@pytest.mark.parametrize(
    "frame",
    [
        Submit(id="s1"),
        Submit(id="s1", more=True),
        Submit(id="s1", abort=True),
        Submit(id="s1", envelope=Envelope("a@a.example", ())),
        Submit(id="s1", envelope=ANN, priority="very"),
        Submit(id="s1", envelope=ANN, priority="very", more=True),
    ],
)
def test_what_the_protocol_does_not_know_ends_the_job(world, frame):
    """A first piece without envelope or recipients, a priority that is none."""
    slave = world.slave()
    with pytest.raises(ChannelViolation):
        slave.says(frame)
    assert not world.queued()


def test_open_submissions_have_a_limit(world, monkeypatch):
    """A program that begins messages without end is a program gone wrong."""
    monkeypatch.setattr("jobctl.controller.arrivals.MOST_OPEN", 2)
    slave = world.slave()
    for number in range(2):
        slave.says(Submit(id=f"s{number}", envelope=ANN, more=True))
    with pytest.raises(ChannelViolation):
        slave.says(Submit(id="s9", envelope=ANN, more=True))
    assert MOST_OPEN == 10_000


def test_the_classes_of_size_demotion_cannot_be_asked_for(world):
    """Second and third class are reached by size alone: from outside they count as nonurgent."""
    slave = world.slave()
    for number, word in enumerate(("urgent", "normal", "", "non-urgent", "second_class", "third_class")):
        slave.says(Submit(id=f"s{number}", envelope=ANN, priority=word), CONTENT)
    assert [stored.entry.priority for stored in world.queued()] == [
        Priority.URGENT,
        *[Priority.NORMAL] * 2,
        *[Priority.NONURGENT] * 3,
    ]


@pytest.mark.parametrize(
    ("trouble", "reply"),
    [(StoreFull("full"), (452, "4.3.1")), (DISK_FULL, (451, "4.3.0")), (RuntimeError("bug"), (451, "4.3.0"))],
)
@pytest.mark.parametrize("where", ["enqueue", "stage", "write"])
def test_our_own_trouble_is_a_4xx(world, monkeypatch, where, trouble, reply):
    """Whatever the store cannot: the client is told to come again, and the job goes on."""
    slave = world.slave()
    if where == "write":
        staged = type(world.store.stage())
        monkeypatch.setattr(staged, "write", lambda *_: (_ for _ in ()).throw(trouble))
    else:
        world.store.broken[where] = trouble
    slave.says(Submit(id="s1", envelope=ANN, more=True), b"Subject: s\r\n")
    slave.says(Submit(id="s1", more=True), b"\r\n")
    assert not world.answers(slave)
    slave.says(Submit(id="s1"), b"hello\r\n")
    assert refusal(world, slave) == reply
    world.store.broken.clear()
    monkeypatch.undo()
    slave.says(Submit(id="s1", envelope=ANN), CONTENT)
    assert len(world.queued()) == 1


def test_an_error_in_the_rules_is_a_4xx(world, monkeypatch):
    """An address that our own code stumbles over is answered, and does not take the server down."""
    monkeypatch.setattr(world.controller.router, "group", lambda *_: 1 / 0)
    monkeypatch.setattr(world.controller.router, "route", lambda *_: 1 / 0)
    slave = world.slave()
    slave.says(Submit(id="s1", envelope=ANN), CONTENT)
    assert refusal(world, slave) == (451, "4.3.0")
    slave.says(Route(id="r1", recipient="bob@b.example"))
    assert (slave.sent[-1].code, slave.sent[-1].status) == (451, "4.3.0")


def test_an_error_after_the_commit_is_not_a_refusal(world, monkeypatch):
    """The message is durable: refusing it would have it sent again."""
    monkeypatch.setattr(world.scheduler, "add", lambda *_: 1 / 0)
    slave = world.slave()
    slave.says(Submit(id="s1", envelope=ANN), CONTENT)
    (answer,) = world.answers(slave)
    assert isinstance(answer, Accepted)


def test_a_message_beyond_block_limit_is_refused(limited):
    """Whether it comes in one piece or in many, the controller counts itself."""
    slave = limited.slave()
    slave.says(Submit(id="s1", envelope=ANN), CONTENT + b"x" * 2 * LIMIT)
    assert refusal(limited, slave) == (552, "5.3.4")


def test_pieces_without_end_take_no_room(limited, monkeypatch):
    """Beyond the limit nothing more is written; the refusal comes with the end."""
    written = []
    staged = type(limited.store.stage())
    real = staged.write
    monkeypatch.setattr(staged, "write", lambda self, data: (written.append(len(data)), real(self, data)))
    slave = limited.slave()
    slave.says(Submit(id="s1", envelope=ANN, more=True), CONTENT)
    for _ in range(50):
        slave.says(Submit(id="s1", more=True), b"x" * 50_000)
    assert sum(written) <= 2 * LIMIT
    slave.says(Submit(id="s1"), b"")
    assert refusal(limited, slave) == (552, "5.3.4")


def test_a_message_of_exactly_the_limit_comes_in(limited):
    """The trace field that the program put in front does not count."""
    slave = limited.slave()
    trace = b"Received: from a by b;\r\n Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    slave.says(Submit(id="s1", envelope=ANN), trace + b"x" * LIMIT)
    assert isinstance(limited.answers(slave)[0], Accepted)


def test_the_limit_of_the_source_channel_counts_too():
    """``sourceblocklimit``."""
    text = CONFIGURATION.replace("[channel.in]", "[channel.in]\nsourceblocklimit = 10")
    world = World(configuration=text)
    slave = world.slave()
    slave.says(Submit(id="s1", envelope=ANN), b"x" * 20_000)
    assert refusal(world, slave) == (552, "5.3.4")


def test_the_limit_of_the_destination_channel():
    """``blocklimit``: what is too large for a channel is never queued to it."""
    world = World(configuration=CONFIGURATION.replace("[channel.out]", "[channel.out]\nblocklimit = 10"))
    slave = world.slave()
    slave.says(Submit(id="s1", envelope=ANN), b"x" * 20_000)
    assert refusal(world, slave) == (552, "5.2.3")


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize(("lines", "taken"), [(20, True), (21, False)])
def test_the_lines_of_a_message(pieces, lines, taken):
    """``linelimit``: more lines than a channel takes are never queued to it, however they come in."""
    world = World(configuration=CONFIGURATION.replace("[channel.out]", "[channel.out]\nlinelimit = 20"))
    slave = world.slave()
    content = b"x\r\n" * lines
    if pieces == 1:
        slave.says(Submit(id="s1", envelope=ANN), content)
    else:
        slave.says(Submit(id="s1", envelope=ANN, more=True), content[:30])
        slave.says(Submit(id="s1"), content[30:])
    if taken:
        assert isinstance(world.answers(slave)[0], Accepted)
    else:
        assert refusal(world, slave) == (552, "5.2.3")


def test_a_notification_is_never_too_large():
    """Whole, it would be larger than what it quotes, which was just small enough: then the header is quoted."""
    text = CONFIGURATION.replace("[channel.out]", "[channel.out]\nblocklimit = 10") + "[mta]\nblock_limit=10"
    world = World(configuration=text)
    (id,) = world.accept(content=b"Subject: s\r\n\r\n" + b"x" * 10_200)
    world.job().report(id, "failed", "550 5.1.1 no")
    world.turn()
    (notice,) = world.queued()
    assert notice.envelope.sender == "" and notice.entry.size < 10 * 1024


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_message_in_a_loop_is_held(limited, pieces):
    """More Received fields than ``max_received_lines``: accepted, and set aside with the cause."""
    slave = limited.slave()
    if pieces == 1:
        slave.says(Submit(id="s1", envelope=ANN), LOOP)
    else:
        slave.says(Submit(id="s1", envelope=ANN, more=True), LOOP)
        slave.says(Submit(id="s1"), b"more\r\n")
    in_loop(limited)


def in_loop(world):
    (stored,) = world.queued()
    assert stored.state is Lasting.HELD and stored.held_since == stored.entry.enqueued
    assert stored.reason == "mail loop: 4 Received fields, more than max_received_lines (3)"
    world.turn(30 * 86400)
    assert not world.supervisor.asked and world.queued() == [stored]


def test_nobody_to_send_to(world):
    """No rule for the address: 550, and nothing is queued for the others either."""
    slave = world.slave()
    both = Envelope("ann@a.example", (Recipient("x@b.example"), Recipient("y@nowhere.test")))
    slave.says(Submit(id="s1", envelope=both), CONTENT)
    assert refusal(world, slave)[0] == 550


def test_holdlimit_sets_aside_what_has_many_recipients():
    """Held with the reason, not scheduled, until it is released."""
    world = World(configuration=CONFIGURATION.replace("[channel.in]", "[channel.in]\nholdlimit = 2"))
    slave = world.slave()
    many = Envelope("ann@a.example", tuple(Recipient(f"u{n}@b.example") for n in range(3)))
    slave.says(Submit(id="s1", envelope=many), CONTENT)
    (stored,) = world.queued()
    assert stored.state is Lasting.HELD and "holdlimit" in stored.reason
    world.turn()
    assert not world.supervisor.asked and world.state(stored.entry.id) is None


def test_a_channel_that_is_not_configured_is_refused(world):
    """Queued straight to a channel that is no more: a refusal like any other."""
    done = world.controller.intake.accept(ANN, Source("in"), CONTENT, 10, channel="gone")
    with pytest.raises(Refusal) as why:
        world.do(done)
    assert why.value.code == 550


# RCPT time.


def asked(world: World, slave, recipient: str, transport: str | None) -> VerdictFrame:
    source = None if transport is None else Source("in", transport=transport)
    slave.says(Route(id="r1", recipient=recipient, source=source))
    answer = slave.sent[-1]
    assert isinstance(answer, VerdictFrame) and answer.id == "r1"
    return answer


SERVICE = (
    CONFIGURATION
    + """
[dispatcher.service.SMTP]
listen = ["tcp:0:interface=127.0.0.1"]
channel = "in"
relay_from = ["192.0.2.0/24", "2001:db8::/32"]
"""
).replace('".example" = "out"', '"ours.example" = "gate"\n"." = "out"')


@pytest.mark.parametrize(
    ("transport", "recipient", "code"),
    [
        ("TCP|192.0.2.1|25|192.0.2.9|4000", "x@far.example", 250),
        ("TCP|192.0.2.1|25|198.51.100.1|4000", "x@far.example", 550),
        ("TCP|192.0.2.1|25|198.51.100.1|4000", "x@ours.example", 250),
        ("TCP|::1|25|2001:db8::5|4000", "x@far.example", 250),
        ("TCP|::1|25|::ffff:192.0.2.9|4000", "x@far.example", 250),
        ("rubbish", "x@far.example", 550),
        ("TCP|192.0.2.1|25|nonsense|4000", "x@far.example", 550),
        (None, "x@far.example", 550),
        ("", "x@far.example", 550),
    ],
)
def test_no_open_relay(transport, recipient, code):
    """Only ``relay_from`` may send anywhere; a server that does not say who the client is may not."""
    world = World(configuration=SERVICE)
    service = world.settings.services["SMTP"]
    spec = msgspec.structs.replace(world.slave().spec, id="in.server", service=service)
    server = world.supervisor.spawn(spec).hello(0)
    answer = asked(world, server, recipient, transport)
    assert answer.code == code
    if code == 250:
        assert answer.channel == ("gate" if "ours" in recipient else "out")
    else:
        assert answer.status == "5.7.1"
    world.close()


def test_by_hand_everybody_may_send_anywhere():
    """A person at the machine, whose client address nobody knows, is no open relay."""
    world = World(configuration=SERVICE)
    by_hand = world.slave()
    assert asked(world, by_hand, "x@far.example", None).code == 250
    assert asked(world, by_hand, "x@far.example", "TCP|192.0.2.1|25|198.51.100.1|4000").code == 550
    world.close()


def test_an_address_without_a_route(world):
    """550 with the router's reason."""
    answer = asked(world, world.slave(), "x@nowhere.test", None)
    assert answer.code == 550 and not answer.channel


def test_networks_are_recognised():
    """Also what is no address, and IPv4 in IPv6."""
    assert may_relay("192.0.2.1", ("192.0.2.0/24",))
    assert not may_relay("192.0.3.1", ("192.0.2.0/24",))
    assert not may_relay("", ("0.0.0.0/0",))


# The control socket.


def test_enqueue_takes_a_message(world):
    """Its ids when it is durable, with a trace field in front."""
    receiver = world.controller.operations.enqueue(
        Enqueue(id=1, sender="ann@a.example", recipients=("x@b.example",)), CALLER
    )
    receiver.write(CONTENT)
    (id,) = world.do(receiver.finish())
    world.turn()
    content = world.job().contents[id]
    assert content.startswith(b"Received: by mail.example.org (jobctl control socket, ann)")
    assert content.endswith(CONTENT)
    assert world.stored(id).source.user == "ann"


def test_enqueue_of_large_and_eight_bit_mail(world):
    """Staged beyond a piece, and declared as what it is."""
    receiver = world.controller.operations.enqueue(
        Enqueue(id=1, sender="", recipients=("x@b.example",)), CALLER
    )
    for _ in range(5):
        receiver.write("ä".encode() * 50_000)
    (id,) = world.do(receiver.finish())
    stored = world.stored(id)
    assert stored.envelope.body == "8BITMIME" and stored.entry.size > 500_000


def test_enqueue_straight_to_a_channel(world):
    """``--channel`` is not asked of the rules; an unknown one is an error with a hint."""
    request = Enqueue(id=1, sender="", recipients=("x@b.example",), channel="gate")
    receiver = world.controller.operations.enqueue(request, CALLER)
    receiver.write(CONTENT)
    (id,) = world.do(receiver.finish())
    assert world.stored(id).entry.channel == "gate"
    with pytest.raises(UsageError, match="did you mean gate"):
        world.controller.operations.enqueue(
            Enqueue(id=1, sender="", recipients=("x@b.example",), channel="gte"), CALLER
        )


def test_enqueue_beyond_the_limit(limited):
    """Said before it is sent where the size is known, else when it is passed; exactly the limit is fine."""
    operations = limited.controller.operations
    with pytest.raises(UsageError, match="block_limit"):
        operations.enqueue(Enqueue(id=1, sender="", recipients=("x@b.example",), octets=LIMIT + 1), CALLER)
    receiver = operations.enqueue(Enqueue(id=1, sender="", recipients=("x@b.example",)), CALLER)
    receiver.write(b"x" * LIMIT)
    with pytest.raises(UsageError, match="block_limit"):
        receiver.write(b"x")
    receiver = operations.enqueue(Enqueue(id=1, sender="", recipients=("x@b.example",), octets=LIMIT), CALLER)
    receiver.write(b"x" * LIMIT)
    assert limited.do(receiver.finish())


@pytest.mark.parametrize("size", [0, 400_000])
def test_enqueue_of_a_message_in_a_loop(size):
    """A program that hands mail back to us for ever is found out, however large the mail."""
    limited = World(configuration=CONFIGURATION + "[mta]\nmax_received_lines = 3\n")
    request = Enqueue(id=1, sender="", recipients=("x@b.example",))
    receiver = limited.controller.operations.enqueue(request, CALLER)
    receiver.write(LOOP.replace(b"Received", b"X", 1) + b"x" * size)
    limited.do(receiver.finish())
    in_loop(limited)


@pytest.mark.parametrize("size", [10, 400_000])
def test_enqueue_that_fails_or_is_given_up_leaves_nothing(world, size):
    """The staged content is gone with it."""
    request = Enqueue(id=1, sender="", recipients=("x@b.example",))
    receiver = world.controller.operations.enqueue(request, CALLER)
    receiver.write(b"x" * size)
    receiver.abort()
    receiver = world.controller.operations.enqueue(request, CALLER)
    receiver.write(b"x" * size)
    world.store.broken["enqueue"] = StoreFull("full")
    with pytest.raises(Refusal) as why:
        world.do(receiver.finish())
    assert why.value.code == 452 and not world.queued()


def test_enqueue_while_the_disk_fails(world):
    """Staging that fails is the store's error, for the client to read."""
    receiver = world.controller.operations.enqueue(
        Enqueue(id=1, sender="", recipients=("x@b.example",)), CALLER
    )
    world.store.broken["stage"] = StoreError("no")
    with pytest.raises(StoreError):
        receiver.write(b"x" * 400_000)


def test_tables_may_look_at_the_original_recipient():
    """``access_orcpt``: at RCPT and when the message comes, decoded; without the option nobody sees it."""
    table = "[mapping]\nSEND_ACCESS = '*|rfc822;a+b@y.example  $N'\n"
    envelope = Envelope("x@a.example", (Recipient("x@b.example", orcpt="rfc822;a+2Bb@y.example"),))
    route = Route(id="r", recipient="x@b.example", sender="x@a.example", orcpt="rfc822;a+2Bb@y.example")
    for option, refused in (("access_orcpt = 4\n", True), ("", False)):
        world = World(configuration=f"{CONFIGURATION}\n[mta]\n{option}{table}")
        slave = world.slave()
        slave.says(route)
        assert isinstance(slave.sent[-1], VerdictFrame) and (slave.sent[-1].code == 550) is refused
        slave.says(Submit(id="s", envelope=envelope), CONTENT)
        (answer,) = world.answers(slave)
        assert isinstance(answer, Refused if refused else Accepted)
