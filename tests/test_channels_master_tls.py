"""test_smtp_master and TLS that does not come about, and by which destination its policy goes."""

import pytest

from jobctl.config.tls_rules import TlsRule
from jobctl.jobprotocol.frames import Ask, Event, Report, Stop
from jobctl.mail.disposition import Verdict
from tests.kit_support import Program, channel, message

MODULE = "channels.test_smtp_master"
MAIL = b"Subject: test\r\n\r\nHello\r\n"


@pytest.fixture
def start():
    """Start a master under a controller that has said hello; all are ended with the test."""
    running = []

    def begin(*, host=None, in_clear="", **settings):
        program = Program(MODULE)
        running.append(program)
        program.controller.hello(channel(**settings), "master", host, in_clear=in_clear)
        return program

    yield begin
    for program in running:
        program.__exit__()


def greet(peer):
    """Be a server that offers STARTTLS, up to the end of EHLO."""
    peer.send(b"220 mx.example.net ESMTP\r\n")
    assert peer.line().startswith(b"EHLO")
    peer.send(b"250-mx.example.net\r\n250-PIPELINING\r\n250 STARTTLS\r\n")


def fail_the_handshake(program, words=b"554 no idea of TLS\r\n"):
    greet(program.peer)
    assert program.peer.line() == b"STARTTLS\r\n"
    program.peer.send(b"220 go\r\n")
    assert program.peer._some()[:1] == b"\x16"
    if words:
        program.peer.send(words)
    else:
        program.peer.close_input()


@pytest.mark.parametrize("words", [b"554 no idea of TLS\r\n", b""], ids=["garbage", "closed"])
def test_a_second_connection_is_asked_for(start, words):
    """Under may, where there can be another connection: the mail goes back at once, not tried, and it is said."""
    program = start(gateway="gw.example.net", tls_policy="may", in_clear="offered")
    program.controller.send(message("E1", octets=len(MAIL)), MAIL)
    fail_the_handshake(program, words)
    report = program.controller.expect(Report)
    assert (report.id, report.in_clear, report.scope, report.retry) == ("E1", True, "local", 0.0)
    assert report.verdict is Verdict.DEFERRED and report.reply.startswith("TLS: ")
    assert program.ends() == 75
    assert "gw.example.net: TLS: " in program.errors
    assert "tls_policy may: the next connection is in the clear" in program.errors


def test_without_a_second_connection_the_mail_waits(start):
    """By hand nobody can connect again: deferred, with a text that says so."""
    program = start(gateway="gw.example.net", tls_policy="may")
    program.controller.send(message("E1", octets=len(MAIL)), MAIL)
    fail_the_handshake(program)
    report = program.controller.expect(Report)
    assert (report.verdict, report.scope, report.status) == (Verdict.DEFERRED, "host", "4.7.5")
    assert report.reply.endswith(
        "; tls_policy may, but there is no second connection here to send in the clear"
    )
    assert not report.in_clear
    assert program.ends() == 75


@pytest.mark.parametrize("policy", ["must", "verify"])
def test_must_never_asks(start, policy):
    """Nor does verify: whatever is offered, the mail waits."""
    program = start(gateway="gw.example.net", tls_policy=policy, in_clear="offered")
    program.controller.send(message("E1", octets=len(MAIL)), MAIL)
    fail_the_handshake(program)
    report = program.controller.expect(Report)
    assert (report.verdict, report.scope, report.in_clear) == (Verdict.DEFERRED, "host", False)


@pytest.mark.parametrize(
    ("policy", "said"), [("may", b"MAIL"), ("must", b"STARTTLS"), ("verify", b"STARTTLS")]
)
def test_the_second_connection(start, policy, said):
    """Under may it does not try again what failed; where the policy has become stricter it counts for nothing."""
    program = start(gateway="gw.example.net", tls_policy=policy, in_clear="now")
    program.controller.send(message("E1", octets=len(MAIL)), MAIL)
    greet(program.peer)
    assert program.peer.line().startswith(said)


RULES = {"y.example": TlsRule("y.example", "must")}


@pytest.mark.parametrize(
    ("gateway", "host", "of_mail", "said"),
    [
        ("y.example", None, "z.example", b"STARTTLS"),
        ("gw.example.net", None, "y.example", b"MAIL"),
        (None, "y.example", "y.example", b"STARTTLS"),
        (None, "z.example", "z.example", b"MAIL"),
        (None, None, "y.example", b"STARTTLS"),
        (None, None, "z.example", b"MAIL"),
    ],
)
def test_whose_policy(start, gateway, host, of_mail, said):
    """The gateway's, else that of the run's host; by hand that of the first message's host."""
    program = start(gateway=gateway, host=host, tls_rules=RULES)
    program.peer.send(b"220 mx.example.net ESMTP\r\n")
    program.controller.expect(Ask)
    program.controller.send(message("E1", host=of_mail, octets=len(MAIL)), MAIL)
    assert program.peer.line().startswith(b"EHLO")
    program.peer.send(b"250-mx.example.net\r\n250-PIPELINING\r\n250 STARTTLS\r\n")
    assert program.peer.line().startswith(said)


def test_stop_before_a_message_tells_where_the_pipe_leads(start):
    """It has said nothing to anybody, and ends in peace."""
    program = start(gateway=None, tls_rules=RULES)
    program.controller.expect(Ask)
    program.controller.send(Stop())
    assert program.ends() == 0
    assert not [frame for frame in program.controller.rest() if isinstance(frame, Event)]
