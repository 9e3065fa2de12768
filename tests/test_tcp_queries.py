"""What clients of the real TCP server ask beside mail, and what it looks up about them."""

from typing import Any

import dns.rcode
import pytest

from jobctl.jobprotocol.frames import Etrn, Route, VerdictFrame
from tests.dns_server import Zone
from tests.tcp_support import Intake, NameServerThread, Program, service
from tests.test_tcp_server import CONTENT, Client, Server

ZONE = """\
mx.example. 60 MX 10 nowhere.example.
plain.example. 60 A 192.0.2.1
wild.example. 60 A 192.0.2.66
null.example. 60 MX 0 .
text.example. 60 TXT "no mail here"
"""


class Answers:
    """A controller that is asked, and says what stands beside each."""

    def __init__(self, **answers: tuple[int, str, str]) -> None:
        self.asked: list[Any] = []
        self._answers = answers

    def __call__(self, program: Program, frame: Any, content: bytes) -> bool:
        if not isinstance(frame, Route | Etrn):
            return False
        self.asked.append(frame)
        name = "etrn" if isinstance(frame, Etrn) else frame.command.lower()
        code, status, text = self._answers[name]
        program.send(VerdictFrame(id=frame.id, code=code, status=status, text=text))
        return True


def test_the_controller_is_asked() -> None:
    """VRFY, EXPN and ETRN go to the controller with the client that asks; its words are the reply."""
    answers = Answers(
        vrfy=(250, "2.1.5", "<ann@mail.example.org>"),
        expn=(250, "2.1.5", "<ann@inside.example>"),
        etrn=(253, "2.0.0", "OK, 3 pending messages for node b.example started"),
    )
    with Server(answers, keywords={"expnallow": True}) as server, Client(server.address) as client:
        client.reply()
        client.say("EHLO c.example")
        assert client.say("VRFY <ann>") == "250 2.1.5 <ann@mail.example.org>"
        assert client.say("EXPN ann@mail.example.org") == "250 2.1.5 <ann@inside.example>"
        assert client.say("ETRN b.example").startswith("253 2.0.0 OK, 3 pending")
        assert client.say("ETRN b.example") == "458 4.7.1 ETRN session limit reached"
    verify, expand, etrn = answers.asked
    assert (verify.command, verify.recipient) == ("VRFY", "ann")
    assert (expand.command, expand.recipient) == ("EXPN", "ann@mail.example.org")
    assert etrn.node == "b.example"
    assert all(one.source.application == "SMTP/c.example" for one in answers.asked)
    assert all(one.source.transport.startswith("TCP|127.0.0.1|") for one in answers.asked)


def test_a_verified_address_is_not_welcome_by_that() -> None:
    """A 250 to VRFY is nothing to remember for RCPT: whether it may come in is asked by itself."""
    answers = Answers(vrfy=(250, "2.1.5", "<ann@x.example>"), rcpt=(550, "5.7.1", "Relaying not allowed"))
    with Server(answers, service()) as server, Client(server.address) as client:
        client.reply()
        client.say("EHLO c.example")
        assert client.say("VRFY ann@x.example").startswith("250")
        client.say("MAIL FROM:<a@a.example>")
        assert client.say("RCPT TO:<ann@x.example>") == "550 5.7.1 Relaying not allowed"


@pytest.mark.parametrize(
    ("sender", "reply"),
    [
        ("a@mx.example", "250 2.5.0 Address Ok."),
        ("a@plain.example", "250 2.5.0 Address Ok."),
        ("", "250 2.5.0 Address Ok."),
        ("a@[192.0.2.1]", "250 2.5.0 Address Ok."),
        ("a@nowhere.example", "550 5.1.8 Sender refused: host nowhere.example does not exist"),
        ("a@text.example", "550 5.1.8 Sender refused: text.example has no address"),
        ("a@null.example", "550 5.7.27 Sender refused: null.example accepts no mail (null MX)"),
        ("a@wild.example", "550 5.1.8 Sender refused: wild.example has neither mail exchanger nor address"),
        ("a@broken.example", "451 4.4.3 The domain of the sender cannot be looked up now; try again later."),
    ],
)
def test_sender_domains(sender: str, reply: str) -> None:
    """``mailfromdnsverify``: refused for good is only who is not there; trouble with the DNS is temporary."""
    zone = Zone(ZONE)
    zone.rcodes["broken.example."] = dns.rcode.SERVFAIL
    mta = {"blocked_mail_from_ips": ("192.0.2.64/30",)}
    keywords = {"mailfromdnsverify": True}
    with (
        NameServerThread(zone) as names,
        Server(keywords=keywords, mta=mta, nameservers=(names.address,)) as server,
        Client(server.address) as client,
    ):
        client.reply()
        client.say("EHLO c.example")
        assert client.say(f"MAIL FROM:<{sender}>") == reply


def test_sender_domains_known_already() -> None:
    """Hundreds of senders sent ahead, whose domain is known by then, are answered in order."""
    with (
        NameServerThread(Zone(ZONE)) as names,
        Server(keywords={"mailfromdnsverify": True}, nameservers=(names.address,)) as server,
        Client(server.address) as client,
    ):
        client.reply()
        client.say("EHLO c.example")
        client.socket.sendall(b"MAIL FROM:<a@plain.example>\r\nRSET\r\n" * 2000)
        for _ in range(2000):
            assert client.reply() == "250 2.5.0 Address Ok."
            assert client.reply() == "250 2.5.0 Ok."


@pytest.mark.parametrize(
    ("keyword", "forward", "shown"),
    [
        ("forwardchecknone", "192.0.2.1", b"(nine.example [127.0.0.9])"),
        ("forwardchecktag", "127.0.0.9", b"(nine.example [127.0.0.9])"),
        ("forwardchecktag", "192.0.2.1", b"(nine.example* [127.0.0.9])"),
        ("forwardcheckdelete", "127.0.0.9", b"(nine.example [127.0.0.9])"),
    ],
)
def test_forward_check(keyword: str, forward: str, shown: bytes) -> None:
    """A name that does not lead back to the client is marked as forged with forwardchecktag."""
    assert shown in _received(keyword, forward, shown)


def test_forged_names_are_dropped() -> None:
    """forwardcheckdelete: only the address is left of a client with a forged name."""
    field = _received("forwardcheckdelete", "192.0.2.1")
    assert b"([127.0.0.9])" in field and b"nine.example" not in field


def _received(keyword: str, forward: str, wanted: bytes = b"") -> bytes:
    """
    The Received field of a message once it says what is wanted: names are looked up in the background.

    :param wanted: ``b""``: once the name has been looked up both ways.
    """
    zone = Zone(f"9.0.0.127.in-addr.arpa. 60 PTR nine.example.\nnine.example. 60 A {forward}")
    intake = Intake()
    with (
        NameServerThread(zone) as names,
        Server(intake, keywords={keyword: True}, nameservers=(names.address,)) as server,
    ):
        left = 50
        while left:
            left -= 1
            if not wanted and left > 2 and ("nine.example.", "AAAA") in zone.asked:
                left = 2
            with Client(server.address, "127.0.0.9") as client:
                client.begin()
                client.content(CONTENT)
            if wanted and wanted in intake.messages[-1][1]:
                break
    return intake.messages[-1][1]
