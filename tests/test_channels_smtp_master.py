"""test_smtp_master: SMTP to whatever is on its stdout, verdicts to the controller."""

import os
import signal
import tempfile

import pytest

from jobctl.jobprotocol.frames import Ask, Event, HelloProgram, Message, Report, Sent, Stop
from jobctl.mail.disposition import Verdict
from jobctl.mail.envelope import Recipient
from tests.kit_support import PIECE, Program, channel, message, pieces, readable

MODULE = "channels.test_smtp_master"
TRANSPORT = "TCP|192.0.2.1|40001|198.51.100.7|25"
MAIL = b"Subject: test\r\n\r\nHello\r\n"
# Everything that must arrive as it was: dots, 8-bit, a long line, empty lines, no text at all.
ODD = (
    b"Subject: odd\r\n\r\n.\r\n..\r\n.leading\r\n\xe4\xf6\xfc\x80\xff\r\n"
    + b"x" * 5000
    + b"\r\n\r\n"
    + b"."
    + b"y" * 1200
    + b"\r\n..two\r\n.\r\n"
)


@pytest.fixture
def start():
    """Start a master under a controller that has said hello; all are ended with the test."""
    running = []

    def begin(*, host=None, environment=None, journal=None, **settings):
        settings.setdefault("gateway", "gw.example.net")
        program = Program(MODULE, environment=environment, journal=journal)
        running.append(program)
        program.controller.hello(channel(**settings), "master", host)
        return program

    yield begin
    for program in running:
        program.__exit__()


def greet(program, *, pipelining=True):
    """Be a server up to the end of EHLO."""
    peer = program.peer
    peer.send(b"220 mx.example.net ESMTP ready\r\n")
    assert peer.line() == b"EHLO mail.example.org\r\n"
    offers = [b"PIPELINING", b"8BITMIME", b"SIZE 0"] if pipelining else [b"8BITMIME"]
    peer.send(b"250-mx.example.net\r\n" + b"".join(b"250-%b\r\n" % one for one in offers[:-1]))
    peer.send(b"250 %b\r\n" % offers[-1])


def take(peer):
    """Take one message from a pipelining client; the content as it was before dot-stuffing."""
    commands = peer.until(b"DATA\r\n")
    peer.send(b"250 2.1.0 ok\r\n" + b"250 2.1.5 ok\r\n" * commands.count(b"RCPT TO:") + b"354 go\r\n")
    content = peer.until(b"\r\n.\r\n")[:-3]
    return commands, content.replace(b"\r\n..", b"\r\n.")


def test_delivers(start):
    """A message goes out octet for octet, and the verdict tells who took it over which connection."""
    program = start(environment={"TRANSPORTINFO": TRANSPORT})
    controller, peer = program.controller, program.peer
    hello = controller.expect(HelloProgram)
    assert (hello.name, hello.version) == ("test_smtp_master", 1)
    controller.expect(Ask)
    controller.send(message(octets=len(ODD)), ODD)
    greet(program)
    commands, content = take(peer)
    assert commands == b"MAIL FROM:<bob@x.example> SIZE=%d\r\nRCPT TO:<ann@y.example>\r\nDATA\r\n" % len(ODD)
    assert content == ODD
    peer.send(b"250 2.6.0 queued as 7\r\n")
    report = controller.expect(Report)
    assert report == Report(
        id="E1",
        verdict=report.verdict,
        status="2.6.0",
        reply="250 2.6.0 queued as 7",
        remote="mx.example.net",
        transport=TRANSPORT,
    )
    assert report.verdict.final
    controller.send(Stop())
    assert peer.line() == b"QUIT\r\n"
    peer.send(b"221 bye\r\n")
    assert program.ends() == 0
    assert program.errors == ""


def test_each_source_address_has_its_name(start):
    """Which of our addresses the connection comes from decides what we are called there."""
    here = TRANSPORT.split("|")[1]
    program = start(
        environment={"TRANSPORTINFO": TRANSPORT}, sourceaddresses=["192.0.2.77", f"{here}=out.example.org"]
    )
    program.peer.send(b"220 mx.example.net ESMTP ready\r\n")
    assert program.peer.line() == b"EHLO out.example.org\r\n"


def test_keeps_the_pipe_busy(start):
    """The next message's commands leave in the same breath as the dot of the one before."""
    program = start()
    for number in range(3):
        program.controller.send(message(f"E{number}", octets=len(MAIL)), MAIL)
    greet(program)
    peer = program.peer
    peer.until(b"DATA\r\n")
    peer.send(b"250 ok\r\n250 ok\r\n354 go\r\n")
    for number in range(3):
        assert peer.until(b"\r\n.\r\n").startswith(b"Subject")
        if number < 2:
            peer.until(b"DATA\r\n")
            peer.send(b"250 taken\r\n250 ok\r\n250 ok\r\n354 go\r\n")
    peer.send(b"250 taken\r\n")
    assert [program.controller.expect(Report).id for _ in range(3)] == ["E0", "E1", "E2"]


def test_each_recipient_has_its_verdict(start):
    """Refused recipients fail or wait; the others get the message."""
    program = start()
    people = ("good@y.example", Recipient("bad@y.example", "NEVER"), "later@y.example")
    program.controller.send(message(recipients=people, octets=len(MAIL)), MAIL)
    greet(program)
    program.peer.until(b"DATA\r\n")
    program.peer.send(b"250 ok\r\n250 ok\r\n550 5.1.1 no such user\r\n451 4.2.0 later\r\n354 go\r\n")
    program.peer.until(b"\r\n.\r\n")
    program.peer.send(b"250 2.0.0 taken\r\n")
    report = program.controller.expect(Report)
    assert [(one.recipient, one.verdict.value, one.status, one.reply) for one in report.results] == [
        ("good@y.example", report.results[0].verdict.value, "2.0.0", "250 2.0.0 taken"),
        ("bad@y.example", "failed", "5.1.1", "550 5.1.1 no such user"),
        ("later@y.example", "deferred", "4.2.0", "451 4.2.0 later"),
    ]
    assert report.results[0].verdict.final
    assert {one.remote for one in report.results} == {"mx.example.net"}


def test_one_host_without_a_gateway(start):
    """Without a gateway the first message's host is the only one; others are given back untried."""
    program = start(gateway=None)
    greet(program)
    program.controller.send(message("E1", host="y.example", octets=len(MAIL)), MAIL)
    program.controller.send(message("E2", host="z.example", octets=len(MAIL)), MAIL)
    program.controller.send(message("E3", host="y.example", octets=len(MAIL)), MAIL)
    for _ in range(2):
        take(program.peer)
        program.peer.send(b"250 ok\r\n")
    reports = {one.id: one for one in (program.controller.expect(Report) for _ in range(3))}
    assert reports["E2"].scope == "local" and reports["E2"].verdict is Verdict.DEFERRED
    assert "y.example" in reports["E2"].reply
    assert reports["E1"].verdict.final and reports["E3"].verdict.final


def test_host_of_the_run(start):
    """A run that is joined to one host takes only its messages, whichever comes first."""
    program = start(gateway=None, host="z.example")
    greet(program)
    program.controller.send(message("E1", host="y.example", octets=len(MAIL)), MAIL)
    program.controller.send(message("E2", host="z.example", octets=len(MAIL)), MAIL)
    assert program.controller.expect(Report).id == "E1"
    assert b"RCPT" in take(program.peer)[0]


def test_gateway_takes_all_hosts(start):
    """Behind a gateway everything goes down the pipe."""
    program = start(gateway="[192.0.2.9]")
    greet(program)
    for host in ("y.example", "z.example"):
        program.controller.send(message(host, host=host, octets=len(MAIL)), MAIL)
        take(program.peer)
        program.peer.send(b"250 ok\r\n")
        assert program.controller.expect(Report).verdict.final


def test_transactions_per_session(start):
    """After ATTEMPT_TRANSACTIONS_PER_SESSION messages it quits, and never asked for more."""
    program = start(options={"attempt_transactions_per_session": 2})
    greet(program)
    for number in range(2):
        program.controller.send(message(f"E{number}", octets=len(MAIL)), MAIL)
        take(program.peer)
        program.peer.send(b"250 ok\r\n")
    assert program.peer.line() == b"QUIT\r\n"
    program.peer.send(b"221 bye\r\n")
    frames = program.controller.rest()
    assert sum(frame.n for frame in frames if isinstance(frame, Ask)) == 2
    assert program.ends() == 0


def test_connection_lost_in_a_transaction(start):
    """End of input in the middle defers the message and gives back the rest; exit status 75."""
    program = start()
    greet(program)
    program.controller.send(message("E1", octets=len(MAIL)), MAIL)
    program.peer.until(b"DATA\r\n")
    program.controller.send(message("E2", octets=len(MAIL)), MAIL)
    program.peer.send(b"250 ok\r\n")
    program.peer.close_input()
    first, second = program.controller.expect(Report), program.controller.expect(Report)
    assert (first.id, first.verdict, first.status, first.scope) == (
        "E1",
        Verdict.DEFERRED,
        "4.4.2",
        "recipient",
    )
    assert "lost" in first.reply and not first.connection
    assert (second.id, second.verdict, second.scope, second.reply) == ("E2", Verdict.DEFERRED, "local", "")
    assert program.ends() == 75
    assert program.errors.count("\n") == 1


def test_connection_lost_while_idle(start):
    """A peer that closes between messages has done nothing wrong."""
    program = start()
    program.controller.send(message("E1", octets=len(MAIL)), MAIL)
    greet(program)
    take(program.peer)
    program.peer.send(b"250 2.6.0 queued\r\n")
    program.controller.expect(Report)
    program.peer.send(b"421 4.4.2 idle too long\r\n")
    program.peer.close_input()
    assert program.ends() == 0


def test_a_peer_that_greets_and_leaves(start):
    """Who goes before the first message keeps its host's mail back, so that it is not called again at once."""
    program = start()
    greet(program)
    program.controller.expect(Event, event="opened")
    program.peer.send(b"421 4.7.0 too many of you\r\n")
    program.peer.close_input()
    program.controller.send(message("E1", octets=len(MAIL)), MAIL)
    report = program.controller.expect(Report)
    assert (report.verdict, report.status, report.scope) == (Verdict.DEFERRED, "4.7.0", "host")
    assert program.ends() == 75


@pytest.mark.parametrize(
    "said, verdict, status, scope",
    [
        (b"", Verdict.DEFERRED, "4.4.2", "host"),
        (b"421 4.3.2 come back later\r\n", Verdict.DEFERRED, "4.3.2", "host"),
        (b"450 4.7.1 greylisted\r\n", Verdict.DEFERRED, "4.7.1", "host"),
        (b"554 5.7.1 not you\r\n", Verdict.FAILED, "5.7.1", "recipient"),
        (b"SSH-2.0-OpenSSH\r\n", Verdict.DEFERRED, "4.5.0", "host"),
    ],
)
def test_no_session(start, said, verdict, status, scope):
    """A peer that does not greet us is told of one message only, and keeps the host's others back."""
    program = start()
    program.controller.send(message("E1", octets=len(MAIL)), MAIL)
    program.peer.send(said)
    program.peer.close_input()
    report = program.controller.expect(Report)
    assert (report.verdict, report.status, report.scope) == (verdict, status, scope)
    assert program.ends() == 75


def test_timeout(start):
    """A silent peer is given the time of the options, then the host is reported."""
    program = start(options={"status_mail_receive_time": 0.2, "timeout_multiplier": 1})
    program.controller.send(message("E1", octets=len(MAIL)), MAIL)
    report = program.controller.expect(Report)
    assert report.scope == "host" and "timeout waiting for the banner" in report.reply
    assert program.ends() == 75


def test_timeout_of_a_reply(start):
    """A peer that falls silent in a transaction is given up; the message is tried again later."""
    program = start(options={"status_data_receive_time": 0.2, "timeout_multiplier": 1})
    greet(program)
    program.controller.send(message("E1", octets=len(MAIL)), MAIL)
    take(program.peer)
    report = program.controller.expect(Report)
    assert (report.verdict, report.scope) == (Verdict.DEFERRED, "recipient")
    assert "timeout" in report.reply
    assert program.ends() == 75


def test_peer_that_does_not_read(start):
    """A peer that takes no octets is given up after DATA_TRANSMIT_TIME."""
    program = start(options={"data_transmit_time": 0.2, "timeout_multiplier": 1})
    greet(program)
    content = b"x" * 70 + b"\r\n"
    large = content * 60_000
    program.controller.send(message("E1", octets=len(large), more=True), large[:PIECE])
    program.peer.until(b"DATA\r\n")
    program.peer.send(b"250 ok\r\n250 ok\r\n354 go\r\n")
    for piece in pieces(large[PIECE:]):
        program.controller.send(Message(id="E1", more=True), piece)
    report = program.controller.expect(Report)
    assert report.verdict is Verdict.DEFERRED and "timeout" in report.reply
    assert program.ends() == 75


def test_stop_without_work(start):
    """Told to stop with nothing in hand, it takes leave politely and exits 0."""
    program = start()
    program.controller.send(Stop())
    greet(program)
    assert program.peer.line() == b"QUIT\r\n"
    program.peer.send(b"221 bye\r\n")
    assert program.ends() == 0


def test_stop_finishes_what_is_held(start):
    """Told to stop, it delivers what it holds and asks for nothing more."""
    program = start()
    greet(program)
    for number in range(2):
        program.controller.send(message(f"E{number}", octets=len(MAIL)), MAIL)
    program.controller.send(Stop())
    for _ in range(2):
        take(program.peer)
        program.peer.send(b"250 ok\r\n")
    assert program.peer.line() == b"QUIT\r\n"
    program.peer.close_input()
    assert [frame.verdict.final for frame in program.controller.rest() if isinstance(frame, Report)] == [
        True
    ] * 2
    assert program.ends() == 0


def test_sigterm_gives_back(start):
    """SIGTERM: the message under way is finished, what was not begun is given back, exit status 0."""
    program = start()
    greet(program)
    program.controller.send(message("E1", octets=len(MAIL)), MAIL)
    program.controller.send(message("E2", octets=len(MAIL)), MAIL)
    program.peer.until(b"DATA\r\n")
    program.process.send_signal(signal.SIGTERM)
    report = program.controller.expect(Report)
    assert (report.id, report.scope, report.reply) == ("E2", "local", "")
    program.peer.send(b"250 ok\r\n250 ok\r\n354 go\r\n")
    program.peer.until(b"\r\n.\r\n")
    program.peer.send(b"250 ok\r\n")
    assert program.controller.expect(Report).verdict.final
    assert program.peer.line() == b"QUIT\r\n"
    program.peer.send(b"221 bye\r\n")
    assert program.ends() == 0


def test_journal_before_the_dot(start):
    """When the dot arrives at the peer, its announcement stands in the journal already."""
    with tempfile.NamedTemporaryFile() as file:
        program = start(journal=os.open(file.name, os.O_WRONLY | os.O_APPEND))
        greet(program)
        for number in range(3):
            program.controller.send(message(f"E{number}", octets=len(MAIL), attempt=number + 1), MAIL)
            take(program.peer)
            assert file.read() == b"E%d %d\n" % (number, number + 1)
            program.peer.send(b"250 ok\r\n")
        program.controller.send(Stop())
        program.peer.line()
        program.peer.send(b"221 bye\r\n")
        assert not [frame for frame in program.controller.rest() if isinstance(frame, Sent)]


def test_sent_frame_before_the_dot(start):
    """Without a journal a frame announces the dot: while the link is full, the dot stays back."""
    program = start()
    greet(program)
    program.controller.send(message("E1", octets=len(MAIL)), MAIL)
    program.peer.until(b"DATA\r\n")
    program.peer.send(b"250 ok\r\n250 ok\r\n354 go\r\n")
    program.peer.until(b"\r\n.\r\n")
    # The dot is here, so the frame must be in the pipe: nothing has to be waited for.
    assert readable(program.controller._reading, 0)
    assert program.controller.expect(Sent).id == "E1"


def test_controller_gone(start):
    """When the controller dies no further dot goes out; exit status 75."""
    program = start()
    greet(program)
    program.controller.send(message("E1", octets=2 * len(MAIL), more=True), MAIL)
    program.peer.until(b"DATA\r\n")
    program.peer.send(b"250 ok\r\n250 ok\r\n354 go\r\n")
    program.controller.close()
    assert b"\r\n.\r\n" not in program.peer.rest()
    assert program.ends() == 75


def test_content_in_pieces(start):
    """Large content is asked for piece by piece and arrives octet for octet."""
    program = start()
    window = program.controller.expect(HelloProgram).window
    assert window > 0
    greet(program)
    content = b"".join(b".%07d" % number + b"z" * 69 + b"\r\n" for number in range(20_000))
    parts = pieces(content)
    assert len(parts) > 2 * window
    credit = window
    for number, piece in enumerate(parts):
        more = number < len(parts) - 1
        frame = Message(id="E1", more=more) if number else message("E1", octets=len(content), more=more)
        while not credit:
            credit += program.controller.expect(Ask, id="E1").n
        program.controller.send(frame, piece)
        credit -= 1
        if number == 0:
            program.peer.until(b"DATA\r\n")
            program.peer.send(b"250 ok\r\n250 ok\r\n354 go\r\n")
            got = []
        if number > 1:
            got.append(program.peer.until(parts[number - 2][-100:-90]))
    got.append(program.peer.until(b"\r\n.\r\n"))
    assert (b"\r\n" + b"".join(got))[:-3].replace(b"\r\n..", b"\r\n.")[2:] == content
    program.peer.send(b"250 ok\r\n")
    assert program.controller.expect(Report).verdict.final


def test_memory(start):
    """30 MB pass with less than 15 MB of growth."""
    program = start()
    greet(program)
    program.controller.send(message("E0", octets=len(MAIL)), MAIL)
    take(program.peer)
    program.peer.send(b"250 ok\r\n")
    program.controller.expect(Report)
    before = program.resident()
    piece = (b"x" * 76 + b"\r\n") * (PIECE // 78)
    count = 30 * 1024 * 1024 // len(piece)
    program.controller.send(message("E1", octets=count * len(piece), more=True), piece)
    program.peer.until(b"DATA\r\n")
    program.peer.send(b"250 ok\r\n250 ok\r\n354 go\r\n")
    most, seen = 0, 0
    for number in range(1, count):
        program.controller.expect(Ask, id="E1")
        program.controller.send(Message(id="E1", more=number < count - 1), piece)
        while seen < (number - 2) * len(piece):
            seen += len(program.peer._some())
        most = max(most, program.resident())
    while seen < count * len(piece) + 3:
        seen += len(program.peer._some())
    program.peer.send(b"250 ok\r\n")
    assert program.controller.expect(Report).verdict.final
    assert most - before < 15 * 1024 * 1024


def test_debug_lines(start):
    """master_debug shows the dialogue on stderr, content by its size only."""
    program = start(master_debug=True)
    greet(program)
    program.controller.send(message("E1", octets=len(MAIL)), MAIL)
    take(program.peer)
    program.peer.send(b"250 ok\r\n")
    program.controller.expect(Report)
    program.controller.send(Stop())
    program.peer.line()
    program.peer.send(b"221 bye\r\n")
    text = program.errors
    assert 'Sending : "RCPT TO:<ann@y.example>"' in text
    assert 'Received : "354 go"' in text
    assert f"Sending : {len(MAIL)} octets of content" in text
    assert "Hello" not in text


def test_application_info_until_the_banner(start):
    """The log gets the peer's banner as the application information of the connection."""
    program = start(environment={"TRANSPORTINFO": TRANSPORT})
    greet(program)
    opened = program.controller.expect(Event)
    assert (opened.event, opened.transport, opened.application) == (
        "opened",
        TRANSPORT,
        "mx.example.net ESMTP ready",
    )


def test_malformed_transport_info(start):
    """A malformed TRANSPORTINFO is passed on as it is, with one warning."""
    program = start(environment={"TRANSPORTINFO": "radio link 7"})
    greet(program)
    assert program.controller.expect(Event).transport == "radio link 7"
    program.controller.close()
    assert "radio link 7" in program.errors.splitlines()[0]


def test_option_file(start, tmp_path):
    """PMDF_CHANNEL_OPTION overrides the channel's options."""
    path = tmp_path / "x_test_option"
    path.write_text("BANNER_HOST=alias.example.org\n")
    program = start(environment={"PMDF_CHANNEL_OPTION": str(path)})
    program.peer.send(b"220 mx.example.net\r\n")
    assert program.peer.line() == b"EHLO alias.example.org\r\n"


@pytest.mark.parametrize("text", ["NONSENSE=1\n", "BANNER_PURGE_DELAY=often\nTRACE", None])
def test_bad_option_file(start, tmp_path, text):
    """An option file with mistakes, or none at all: one line that names it, exit status 78."""
    path = tmp_path / "x_test_option"
    if text is not None:
        path.write_text(text)
    program = start(environment={"PMDF_CHANNEL_OPTION": str(path)})
    assert program.ends() == 78
    assert program.errors.count("\n") == 1 and str(path) in program.errors


def test_needs_a_channel():
    """Without PMDF_CHANNEL: one line on stderr, nothing on stdout, exit status 78."""
    with Program(MODULE, environment={"PMDF_CHANNEL": None}) as program:
        assert program.ends() == 78
        assert program.peer.rest() == b""
        assert program.errors.count("\n") == 1 and "PMDF_CHANNEL" in program.errors


@pytest.mark.parametrize(
    "octets",
    [
        b"garbage\n",
        b'{"op":"stop"}\n',
        b'{"op":"hello","version":9,"job":"j","channel":"c","role":"master","settings":{}}\n',
    ],
)
def test_controller_that_makes_no_sense(octets):
    """A controller that breaks the protocol, or speaks another version, ends the program."""
    with Program(MODULE) as program:
        program.controller.send_octets(octets)
        assert program.ends() == 75
        assert program.errors.count("\n") == 1


def test_settings_of_another_release():
    """Settings that do not fit are a matter for the operator: exit status 78."""
    with Program(MODULE) as program:
        program.controller.send_octets(
            b'{"op":"hello","version":1,"job":"j","channel":"c","role":"master","settings":{"name":1}}\n'
        )
        assert program.ends() == 78
        assert program.errors.count("\n") == 1
