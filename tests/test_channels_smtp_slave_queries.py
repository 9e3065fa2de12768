"""What clients of the generic slave ask beside mail, and senders whose domains are looked up."""

import pytest

from jobctl.jobprotocol.frames import Etrn, Route, VerdictFrame
from tests.kit_support import Program, channel

MODULE = "channels.test_smtp_slave"
TRANSPORT = "TCP|192.0.2.1|25|198.51.100.7|40001"


@pytest.fixture
def start():
    """Start a slave that has been greeted; all are ended with the test."""
    running = []

    def begin(mta=None, **keywords):
        program = Program(MODULE, environment={"TRANSPORTINFO": TRANSPORT})
        running.append(program)
        program.controller.hello(channel(keywords=keywords), "slave", mta=mta)
        program.peer.reply()
        program.peer.send(b"EHLO c.example\r\n")
        program.peer.reply()
        return program

    yield begin
    for program in running:
        program.__exit__()


def answer(program, kind, code, status, text):
    """Answer the next question of the program, as the controller."""
    asked = program.controller.expect(kind)
    program.controller.send(VerdictFrame(id=asked.id, code=code, status=status, text=text))
    assert asked.source.transport == TRANSPORT and asked.source.application == "SMTP/c.example"
    return asked


def test_the_controller_is_asked(start):
    """VRFY, EXPN and ETRN go to the controller with the client that asks; its words are the reply."""
    program = start(expnallow=True)
    peer = program.peer
    for said, kind, reply in (
        (b"VRFY <ann>", Route, (550, "5.1.1", "unknown")),
        (b"EXPN ann@x.example", Route, (250, "2.1.5", "<ann@inside.example>")),
        (b"ETRN #out", Etrn, (459, "", "not for you")),
    ):
        peer.send(said + b"\r\n")
        asked = answer(program, kind, *reply)
        assert peer.reply().decode().rstrip() == " ".join(str(part) for part in reply if part)
        if kind is Route:
            assert (asked.command, asked.recipient) == (
                ("VRFY", "ann") if said.startswith(b"VRFY") else ("EXPN", "ann@x.example")
            )
        else:
            assert asked.node == "#out"


def test_a_verified_address_is_not_welcome_by_that(start):
    """A 250 to VRFY is not remembered as a yes to the recipient that was asked about before it."""
    program = start()
    peer = program.peer
    peer.send(b"MAIL FROM:<a@a.example>\r\nRCPT TO:<ann@x.example>\r\n")
    peer.reply()
    answer(program, Route, 450, "4.2.0", "later")
    assert peer.reply().startswith(b"450")
    peer.send(b"VRFY ann@x.example\r\n")
    answer(program, Route, 250, "2.1.5", "<ann@x.example>")
    assert peer.reply().startswith(b"250")
    peer.send(b"RCPT TO:<ann@x.example>\r\n")
    answer(program, Route, 550, "5.7.1", "no")
    assert peer.reply().startswith(b"550 5.7.1")


def test_sender_domains(start):
    """``mailfromdnsverify``: a program without a resolver asks the controller about the sender."""
    program = start(mailfromdnsverify=True)
    peer = program.peer
    peer.send(b"MAIL FROM:<a@nowhere.example>\r\n")
    asked = answer(program, Route, 550, "5.1.8", "Sender refused: no such host")
    assert (asked.command, asked.sender) == ("MAIL", "a@nowhere.example")
    assert peer.reply() == b"550 5.1.8 Sender refused: no such host\r\n"
    peer.send(b"MAIL FROM:<a@there.example>\r\n")
    answer(program, Route, 250, "", "")
    assert peer.reply() == b"250 2.5.0 Address Ok.\r\n"


def test_the_original_recipient_is_asked_about_too(start):
    """The question has the ORCPT parameter; a yes to one original recipient is none to another."""
    program = start()
    peer = program.peer
    peer.send(b"MAIL FROM:<a@a.example>\r\n")
    peer.reply()
    for orcpt in ("rfc822;one@y.example", "rfc822;two@y.example"):
        peer.send(f"RCPT TO:<ann@x.example> ORCPT={orcpt}\r\n".encode())
        assert answer(program, Route, 250, "2.1.5", "ok").orcpt == orcpt
        assert peer.reply().startswith(b"250")


def test_private_commands(start):
    """Where PORT_ACCESS or an option allows them the controller answers."""
    program = start()
    program.peer.send(b"XSTA\r\n")
    assert program.peer.reply() == b"550 5.7.0 XSTA command has been disabled.\r\n"
    permitted = start(mta={"mappings": {"PORT_ACCESS": "TCP|192.0.2.1|*  $V$Y"}})
    permitted.peer.send(b"XSTA\r\n")
    assert answer(permitted, Route, 250, "2.3.0", "1 channels\nout received 5").command == "XSTA"
    assert permitted.peer.reply() == b"250-2.3.0 1 channels\r\n250 2.3.0 out received 5\r\n"
