"""test_smtp_slave: SMTP from whatever is on its stdin, submissions to the controller."""

import os
import pty
import signal
import threading

import pytest

from jobctl.jobprotocol.frames import (
    Accepted,
    Event,
    HelloProgram,
    Refused,
    Route,
    Stop,
    Submit,
    VerdictFrame,
)
from jobctl.mail.trace import received_count
from tests.kit_support import Program, channel, readable, serve_slave

MODULE = "channels.test_smtp_slave"
TRANSPORT = "TCP|192.0.2.1|25|198.51.100.7|40001"
MAIL = b"Subject: test\r\n\r\nHello\r\n"
ODD = (
    b"Subject: odd\r\n\r\n.\r\n..\r\n.leading\r\n\xe4\xf6\xfc\x80\xff\r\n"
    + b"x" * 900
    + b"\r\n\r\n"
    + b"."
    + b"y" * 900
    + b"\r\n..two\r\n.\r\n"
)


@pytest.fixture
def start():
    """Start a slave under a controller that has said hello; all are ended with the test."""
    running = []

    def begin(*, environment=None, mta=None, **settings):
        program = Program(MODULE, environment=environment)
        running.append(program)
        program.controller.hello(channel(**settings), "slave", mta=mta)
        return program

    yield begin
    for program in running:
        program.__exit__()


def stuffed(content):
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"


def welcome(program, *recipients):
    """Let the recipients in, as the controller."""
    for recipient in recipients:
        asked = program.controller.expect(Route)
        assert asked.recipient == recipient
        program.controller.send(
            VerdictFrame(id=asked.id, code=250, status="2.1.5", text=f"{recipient} OK.", channel="l")
        )


def envelope(program, *recipients):
    """Greet and give an envelope, up to 354."""
    peer = program.peer
    peer.reply()
    peer.send(b"EHLO client.example.net\r\nMAIL FROM:<bob@x.example>\r\n")
    peer.reply()
    assert peer.reply().startswith(b"250 2.5.0")
    for recipient in recipients:
        peer.send(b"RCPT TO:<%b>\r\n" % recipient.encode())
        welcome(program, recipient)
        assert peer.reply() == b"250 2.1.5 %b OK.\r\n" % recipient.encode()
    peer.send(b"DATA\r\n")
    assert peer.reply().startswith(b"354")


def submission(program):
    """One whole submission: its first frame and its content."""
    first, content = program.controller.expect(Submit)
    frame = first
    while frame.more:
        frame, more = program.controller.expect(Submit, id=first.id)
        content += more
    return first, content


def test_takes_a_message(start):
    """A message is handed over octet for octet behind a Received field, and 250 names its entry."""
    program = start(environment={"TRANSPORTINFO": TRANSPORT, "APPLICATIONINFO": "SMTP"})
    assert program.controller.expect(HelloProgram).name == "test_smtp_slave"
    opened = program.controller.expect(Event)
    assert (opened.event, opened.transport, opened.application) == ("opened", TRANSPORT, "SMTP")
    envelope(program, "ann@mail.example.org")
    program.peer.send(stuffed(ODD))
    frame, content = submission(program)
    assert frame.envelope.sender == "bob@x.example"
    assert frame.source.transport == TRANSPORT
    assert frame.source.application == "SMTP/client.example.net"
    field = content[: -len(ODD)]
    assert content[-len(ODD) :] == ODD
    assert field.startswith(
        b"Received: from client.example.net ([198.51.100.7])\r\n by mail.example.org (jobctl "
    )
    assert (
        b"\r\n with ESMTP id <%b>\r\n for <ann@mail.example.org>;\r\n " % frame.envelope_id.encode() in field
    )
    assert frame.octets == len(content)
    assert program.peer.silent, "250 before the controller accepted"
    program.controller.send(Accepted(id=frame.id, ids=("E42",)))
    assert program.peer.reply() == b"250 2.5.0 Ok, E42\r\n"
    program.peer.send(b"QUIT\r\n")
    assert program.peer.reply().startswith(b"221")
    assert program.ends() == 0
    assert program.controller.expect(Event, event="closed").application == "SMTP/client.example.net"
    assert program.errors == ""


def test_recipients_are_not_told_of_each_other(start):
    """With several recipients the Received field names none."""
    program = start()
    envelope(program, "ann@mail.example.org", "ben@mail.example.org")
    program.peer.send(stuffed(MAIL))
    frame, content = submission(program)
    assert [one.address for one in frame.envelope.recipients] == [
        "ann@mail.example.org",
        "ben@mail.example.org",
    ]
    assert b" for " not in content and b"[" not in content.split(b"\r\n by")[0]


def test_recipient_refused(start):
    """What the controller says about a recipient is what the client hears; the question has all it needs."""
    program = start(environment={"TRANSPORTINFO": TRANSPORT})
    peer = program.peer
    peer.reply()
    peer.send(b"EHLO c.example\r\n")
    peer.reply()
    peer.send(b"MAIL FROM:<bob@x.example>\r\nRCPT TO:<ann@far.example>\r\n")
    peer.reply()
    asked = program.controller.expect(Route)
    assert (asked.recipient, asked.sender) == ("ann@far.example", "bob@x.example")
    assert (asked.source.channel, asked.source.transport) == ("x_test", TRANSPORT)
    program.controller.send(VerdictFrame(id=asked.id, code=550, status="5.7.1", text="Relaying not allowed"))
    assert peer.reply() == b"550 5.7.1 Relaying not allowed\r\n"
    peer.send(b"DATA\r\n")
    assert peer.reply().startswith(b"5")
    refused = program.controller.expect(Event, event="refused")
    assert "Relaying" in refused.text
    assert (refused.sender, refused.recipient) == ("bob@x.example", "ann@far.example")


def test_refused_message(start):
    """What the controller refuses is refused with its words, and the session goes on."""
    program = start()
    envelope(program, "ann@mail.example.org")
    program.peer.send(stuffed(MAIL))
    frame, _ = submission(program)
    program.controller.send(
        Refused(id=frame.id, code=452, status="4.3.1", text="Insufficient system storage")
    )
    assert program.peer.reply() == b"452 4.3.1 Insufficient system storage\r\n"
    program.peer.send(b"NOOP\r\n")
    assert program.peer.reply().startswith(b"250")


@pytest.mark.parametrize(
    "limit, fields, code", [(None, 50, b"250"), (None, 51, b"554 5.4.6"), (2, 3, b"554 5.4.6")]
)
def test_mail_loop(start, limit, fields, code):
    """More Received fields than max_received_lines is a loop; the limit is what the configuration says."""
    program = start(mta=None if limit is None else {"max_received_lines": limit})
    envelope(program, "ann@mail.example.org")
    program.peer.send(stuffed(b"Received: x\r\n" * fields + MAIL))
    if code == b"250":
        frame, content = submission(program)
        assert received_count(content) == fields + 1
        program.controller.send(Accepted(id=frame.id, ids=("E1",)))
    assert program.peer.reply().startswith(code)


def test_large_loop(start):
    """A looping message too large for one piece is refused too, at its end, and none of it is submitted."""
    program = start()
    envelope(program, "ann@mail.example.org")
    program.peer.send(stuffed(b"Received: x\r\n" * 51 + MAIL + b"x" * 70 + b"\r\n" + b"y\r\n" * 200_000))
    assert program.peer.reply().startswith(b"554 5.4.6")
    program.peer.close_input()
    assert not [frame for frame in program.controller.rest() if isinstance(frame, Submit)]


def test_input_from_a_file(start, tmp_path):
    """Commands in a file, replies into a file: everything is answered, then it exits 0."""
    path = tmp_path / "commands"
    path.write_bytes(
        b"EHLO c.example\r\nMAIL FROM:<>\r\nRCPT TO:<ann@mail.example.org>\r\nDATA\r\n"
        + stuffed(MAIL)
        + b"MAIL FROM:<bob@x.example>\r\n"
    )
    replies = tmp_path / "replies"
    stdin = os.open(path, os.O_RDONLY)
    stdout = os.open(replies, os.O_WRONLY | os.O_CREAT)
    with Program(MODULE, stdin=stdin, stdout=stdout) as program:
        arrived = serve_slave(program.controller, channel())
        assert program.ends() == 0
        assert len(arrived) == 1 and arrived[0][0].sender == "" and arrived[0][2].endswith(MAIL)
    codes = [line[:3] for line in replies.read_bytes().splitlines() if line[3:4] == b" "]
    assert codes == [b"220", b"250", b"250", b"250", b"354", b"250", b"250"]


def test_person_at_a_terminal():
    """A person can type SMTP at it: the return key ends a line, also of content."""
    ours, theirs = pty.openpty()
    try:
        with Program(MODULE, stdin=os.dup(theirs), stdout=os.dup(theirs)) as program:
            os.close(theirs)
            program.controller.hello(channel(), "slave")

            def until(text):
                seen = b""
                while text not in seen:
                    assert readable(ours), seen
                    seen += os.read(ours, 65536)

            until(b"220 ")
            for said, heard in [
                (b"HELO me\n", b"250 "),
                (b"MAIL FROM:<bob@x.example>\n", b"250 2.5.0"),
                (b"RCPT TO:<ann@mail.example.org>\n", None),
            ]:
                os.write(ours, said)
                if heard:
                    until(heard)
            welcome(program, "ann@mail.example.org")
            until(b"250 2.1.5")
            os.write(ours, b"DATA\n")
            until(b"354")
            os.write(ours, b"Subject: typed\n\nby hand\n.\n")
            frame, content = submission(program)
            assert content.endswith(b"Subject: typed\r\n\r\nby hand\r\n")
            program.controller.send(Accepted(id=frame.id, ids=("E1",)))
            until(b"250 2.5.0 Ok")
            os.write(ours, b"QUIT\n")
            until(b"221")
            assert program.ends() == 0
    finally:
        os.close(ours)


def test_timeout(start):
    """A silent client hears 421 after COMMAND_RECEIVE_TIME, and the program exits 0."""
    program = start(options={"command_receive_time": 0.2, "timeout_multiplier": 1})
    program.peer.reply()
    assert program.peer.reply().startswith(b"421 4.4.2")
    assert program.peer.rest() == b""
    assert program.ends() == 0


def test_session_time(start):
    """SESSION_TIME ends a session however busy the client is."""
    program = start(options={"session_time": 0.3, "timeout_multiplier": 1, "command_receive_time": 100})
    program.peer.reply()
    while not (reply := program.peer.reply()).startswith(b"421"):
        assert reply.startswith(b"250")
    assert reply == b"421 4.4.2 The time for this session is over.\r\n"
    assert program.ends() == 0


def test_client_that_does_not_read(start):
    """A client that never reads our replies is left after the time of the options."""
    program = start(options={"command_receive_time": 0.3, "timeout_multiplier": 1})
    noops = b"NOOP\r\n" * 10_000
    with pytest.raises(BrokenPipeError):
        while True:
            program.peer.send(noops)
    assert program.ends() == 0


def test_banner_purge_delay(start):
    """BANNER_PURGE_DELAY: what comes before the banner is dropped."""
    program = start(options={"banner_purge_delay": 30})
    program.peer.send(b"EHLO early.example\r\n")
    assert program.peer.reply().startswith(b"220")
    assert program.peer.silent
    program.peer.send(b"HELO late.example\r\n")
    assert program.peer.reply().startswith(b"250")


def test_stop(start):
    """Told to stop, it says 421 at the next command and exits 0."""
    program = start()
    program.peer.reply()
    program.controller.send(Stop())
    assert program.peer.reply().startswith(b"421 4.3.2")
    assert program.ends() == 0


def test_stop_takes_the_message_under_way(start):
    """A message whose content is coming is still taken, then 421."""
    program = start()
    envelope(program, "ann@mail.example.org")
    program.process.send_signal(signal.SIGTERM)
    program.peer.send(stuffed(MAIL))
    frame, _ = submission(program)
    program.controller.send(Accepted(id=frame.id, ids=("E1",)))
    assert program.peer.reply().startswith(b"250")
    assert program.peer.reply().startswith(b"421")
    assert program.ends() == 0


def test_controller_gone(start):
    """Without the controller nothing is accepted: the client hears 421; exit status 75."""
    program = start()
    program.peer.reply()
    program.controller.close()
    assert program.peer.reply().startswith(b"421 4.3.2")
    assert program.ends() == 75
    assert program.errors.count("\n") == 1


def test_controller_gone_before_accepting(start):
    """A message that was not yet accepted when the controller died is not answered 250."""
    program = start()
    envelope(program, "ann@mail.example.org")
    program.peer.send(stuffed(MAIL))
    submission(program)
    program.controller.close()
    replies = program.peer.rest()
    assert replies.startswith(b"451 4.3.0") and b"\r\n421 4.3.2" in replies
    assert program.ends() == 75


def test_controller_gone_before_hello():
    """A controller that dies before it said anything: 421 as the banner."""
    with Program(MODULE) as program:
        program.controller.close()
        assert program.peer.reply().startswith(b"421 4.3.2")
        assert program.ends() == 75


def test_abandoned_content(start):
    """When the client leaves in the middle of a large message, what was submitted of it is taken back."""
    program = start()
    envelope(program, "ann@mail.example.org")
    program.peer.send(MAIL + b"x\r\n" * 200_000)
    first, _ = program.controller.expect(Submit)
    assert first.more
    program.peer.close_input()
    frames = [frame for frame in program.controller.rest() if isinstance(frame, Submit)]
    assert frames[-1].abort and not any(frame.abort for frame in frames[:-1])
    assert program.ends() == 0


def test_client_gone(start):
    """Nobody reads the replies: it ends quietly."""
    program = start()
    program.peer.reply()
    program.peer.close_output()
    program.peer.send(b"NOOP\r\n")
    assert program.ends() == 0


def test_verdicts_are_remembered_briefly(start):
    """A recipient just welcomed is not asked about again; one refused is."""
    program = start()
    peer = program.peer
    peer.reply()
    peer.send(b"HELO c.example\r\n")
    peer.reply()
    peer.send(
        b"MAIL FROM:<a@x.example>\r\nRCPT TO:<ann@mail.example.org>\r\nRCPT TO:<no@mail.example.org>\r\n"
    )
    welcome(program, "ann@mail.example.org")
    asked = program.controller.expect(Route)
    program.controller.send(VerdictFrame(id=asked.id, code=450, status="4.2.0", text="later"))
    peer.send(
        b"RSET\r\nMAIL FROM:<a@x.example>\r\n"
        b"RCPT TO:<ann@mail.example.org>\r\nRCPT TO:<no@mail.example.org>\r\n"
    )
    assert program.controller.expect(Route).recipient == "no@mail.example.org"
    assert [peer.reply()[:3] for _ in range(6)] == [b"250", b"250", b"450", b"250", b"250", b"250"]


def test_other_commands(start):
    """EXPN is refused unless the channel allows it, garbage is answered and noted."""
    program = start()
    peer = program.peer
    peer.reply()
    peer.send(b"HELO c.example\r\n")
    peer.reply()
    for said, code in [
        (b"EXPN list", b"550"),
        (b"XYZ", b"500"),
    ]:
        peer.send(said + b"\r\n")
        assert peer.reply().startswith(code)
    bad = program.controller.expect(Event, event="bad_command")
    assert (bad.recipient, bad.text[:3]) == ("XYZ", "500")


def test_size_limit(start):
    """block_limit of the configuration is the SIZE that is offered."""
    program = start(mta={"block_limit": 4096, "received_domain": "front.example.org"})
    program.peer.reply()
    program.peer.send(b"EHLO c.example\r\n")
    assert b"SIZE 4096\r\n" in program.peer.reply()


def test_debug_lines(start):
    """slave_debug shows the dialogue on stderr, content by its size only."""
    program = start(slave_debug=True)
    envelope(program, "ann@mail.example.org")
    program.peer.send(stuffed(MAIL))
    frame, _ = submission(program)
    program.controller.send(Accepted(id=frame.id, ids=("E1",)))
    program.peer.reply()
    program.peer.close_input()
    text = program.errors
    assert 'Received : "RCPT TO:<ann@mail.example.org>"' in text
    assert 'Sending : "250 2.5.0 Ok, E1"' in text
    assert f"Received : {len(MAIL)} octets of content" in text
    assert "Hello" not in text


def test_memory(start):
    """30 MB pass with less than 15 MB of growth, however fast the client is."""
    program = start()
    envelope(program, "ann@mail.example.org")
    before = program.resident()
    block = (b"x" * 76 + b"\r\n") * 3000
    blocks = 30 * 1024 * 1024 // len(block)
    client = threading.Thread(
        target=lambda: [program.peer.send(one) for one in [block] * blocks + [b".\r\n"]]
    )
    client.start()
    try:
        most, octets, last = 0, 0, False
        while not last:
            frame, content = program.controller.expect(Submit)
            octets += len(content)
            last = not frame.more
            most = max(most, program.resident())
    finally:
        client.join(20)
    assert octets > blocks * len(block)
    assert most - before < 15 * 1024 * 1024
    program.controller.send(Accepted(id=frame.id, ids=("E1",)))
    assert program.peer.reply().startswith(b"250")


def test_needs_a_channel():
    """Without PMDF_CHANNEL: one line on stderr, nothing on stdout, exit status 78."""
    with Program(MODULE, environment={"PMDF_CHANNEL": ""}) as program:
        assert program.ends() == 78
        assert program.peer.rest() == b""
        assert program.errors.count("\n") == 1 and "PMDF_CHANNEL" in program.errors


def test_port_access_and_the_log(start):
    """With $T a refused connection has a record of its own; what the site says of it goes with its end."""
    table = "TCP|*|*|198.51.100.7|*  $N$T554$ 5.7.1$ no||list$ 7"
    program = start(environment={"TRANSPORTINFO": TRANSPORT}, mta={"mappings": {"PORT_ACCESS": table}})
    assert program.peer.line() == b"554 5.7.1 no\r\n"
    denied = program.controller.expect(Event, event="denied")
    assert (denied.transport, denied.text) == (TRANSPORT, "PORT_ACCESS: 554 5.7.1 no")
    closed = program.controller.expect(Event, event="closed")
    assert closed.site == "list 7"
    assert program.ends() == 0
