"""The source channel of the client of test_smtp_slave, and submissions through it."""

import base64

import pytest

from jobctl.config.settings import ServiceSettings
from jobctl.jobprotocol.frames import Accepted, Event, Locate, Located, Route, Stop, Submit, VerdictFrame
from jobctl.sasl.secrets import scrypt_line
from tests.kit_support import Program, channel

MODULE = "channels.test_smtp_slave"
TRANSPORT = {"TRANSPORTINFO": "TCP|192.0.2.1|25|198.51.100.7|40001"}
INSIDE = channel(name="x_inside", local_host="inside.example.org", recipientlimit=1)


@pytest.fixture
def start():
    running = []

    def begin(*, others=(INSIDE,), service=None, environment=TRANSPORT, **settings):
        program = Program(MODULE, environment=environment)
        running.append(program)
        program.controller.hello(channel(**settings), "slave", service=service, others=others)
        return program

    yield begin
    for program in running:
        program.__exit__()


def say(program, *lines):
    for line in lines:
        program.peer.send(line.encode() + b"\r\n")
        reply = program.peer.reply()
    return reply


def deliver(program, content=b"Subject: t\r\n\r\n"):
    say(program, "MAIL FROM:<ann@a.example>")
    program.peer.send(b"RCPT TO:<bob@b.example>\r\n")
    route = program.controller.expect(Route)
    program.controller.send(VerdictFrame(id=route.id, code=250, status="2.1.5", text="OK"))
    assert program.peer.reply().startswith(b"250")
    say(program, "DATA")
    program.peer.send(content + b".\r\n")
    submit, octets = program.controller.expect(Submit)
    program.controller.send(Accepted(id=submit.id, ids=("E1",)))
    assert program.peer.reply().startswith(b"250")
    return submit, octets, route


def test_the_address_chooses(start):
    """TRANSPORTINFO tells the client; the controller says by which channel it comes in, and that holds."""
    program = start(switchchannel="switchchannel")
    program.peer.send(b"EHLO early\r\n")
    asked = program.controller.expect(Locate)
    assert asked.host == "[198.51.100.7]"
    assert program.peer.silent
    program.controller.send(Located(id=asked.id, channel="x_inside"))
    assert program.controller.expect(Event).channel == "x_inside"
    assert program.peer.reply().startswith(b"220 inside.example.org")
    assert program.peer.reply().startswith(b"250-inside")
    submit, octets, route = deliver(program)
    assert submit.source.channel == route.source.channel == "x_inside"
    assert b"by inside.example.org" in octets


@pytest.mark.parametrize(
    "how", [{}, {"switchchannel": "switchchannel", "environment": {}}, {"switchchannel": "noswitchchannel"}]
)
def test_nothing_is_asked(start, how):
    """Without switchchannel, or where nobody knows the client, it is greeted at once."""
    program = start(**how)
    assert program.peer.reply().startswith(b"220 ")
    assert program.controller.expect(Event, event="opened").channel == "x_test"


def test_a_stop_while_it_is_asked(start):
    """A program that is told to leave before the answer has come says so and goes."""
    program = start(switchchannel="switchchannel")
    program.controller.expect(Locate)
    program.controller.send(Stop())
    assert b"421" in program.peer.rest()
    assert program.ends() == 0


def test_auth_chooses(start, tmp_path):
    """After AUTH mail comes in by another channel, completed as that one says; before, a submission is refused."""
    (tmp_path / "users").write_text(f"ann:{scrypt_line('sesame')}\n")
    service = ServiceSettings(
        name="S", listen=(), channel="x_test", password_file=str(tmp_path / "users"), plaintext_auth=True
    )
    auth = channel(name="x_auth", submit=True, authrewrite=2, keywords={"mustsaslserver": True})
    program = start(
        service=service,
        others=(auth,),
        submit=True,
        saslswitchchannel="x_auth",
        keywords={"maysaslserver": True},
    )
    program.peer.reply()
    assert say(program, "EHLO c", "MAIL FROM:<ann@a.example>").startswith(b"530 5.7.0")
    token = base64.b64encode(b"\0ann\0sesame").decode()
    assert say(program, f"AUTH PLAIN {token}").startswith(b"235")
    submit, octets, _ = deliver(program, b"From: boss@a.example\r\n\r\n")
    assert (submit.source.channel, submit.source.user) == ("x_auth", "ann")
    assert b"\r\nSender: ann@" in octets and b"\r\nDate: " in octets and b"\r\nMessage-ID: <" in octets
    assert octets.endswith(b"\r\nFrom: boss@a.example\r\n\r\n")


def test_who_has_no_address_may_not_submit_without_auth(start):
    """A client of a UNIX socket is in no relay_from."""
    service = ServiceSettings(name="S", listen=(), channel="x_test", relay_from=("0.0.0.0/0",))
    program = start(service=service, submit=True, environment={})
    program.peer.reply()
    assert say(program, "EHLO c", "MAIL FROM:<ann@a.example>").startswith(b"530 5.7.0")


def test_who_may_relay_may_submit(start):
    """An address of relay_from needs no AUTH."""
    service = ServiceSettings(name="S", listen=(), channel="x_test", relay_from=("198.51.100.0/24",))
    program = start(service=service, submit=True)
    program.peer.reply()
    say(program, "EHLO c")
    _, octets, _ = deliver(program)
    assert b"\r\nDate: " in octets


@pytest.mark.parametrize("implicit", [False, True])
def test_a_certificate_that_cannot_be_used(start, tmp_path, implicit):
    """The client is told to come again, unless it waits for TLS; the log learns which file it is."""
    (tmp_path / "cert.pem").write_text("no certificate\n")
    service = ServiceSettings(
        name="S",
        listen=(),
        channel="x_test",
        tls_certificate=str(tmp_path / "cert.pem"),
        implicit_tls=implicit,
    )
    program = start(service=service, keywords={"maytlsserver": True})
    said = b"" if implicit else b"421 4.3.2 Service not available, try again later\r\n"
    assert program.peer.rest() == said
    assert program.ends() == 78
    assert "cert.pem" in program.errors
