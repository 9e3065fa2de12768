"""Who the client of test_smtp_slave is: its name, and for whom it says by XCLIENT that it speaks."""

from contextlib import contextmanager

import pytest

from jobctl.config.settings import ServiceSettings
from jobctl.jobprotocol.frames import Event, Locate, Located, Route, Stop, VerdictFrame
from tests.kit_support import Program, channel
from tests.test_channels_slave_switching import INSIDE, MODULE, TRANSPORT, deliver, say

SERVICE = ServiceSettings(
    name="S",
    listen=(),
    channel="x_test",
    xclient_from=("198.51.100.0/24",),
    relay_from=("203.0.113.0/24",),
)
CHOSEN = {"switchchannel": "switchchannel", "others": (INSIDE,)}


@contextmanager
def slave(*, service=None, others=(), environment=TRANSPORT, mta=None, **settings):
    with Program(MODULE, environment=environment) as program:
        program.controller.hello(channel(**settings), "slave", service=service, others=others, mta=mta)
        yield program


def named(program, name):
    """Answer the question for the client's name, once it comes."""
    asked = program.controller.expect(Locate, named=True)
    program.controller.send(Located(id=asked.id, channel="x_test", name=name))
    return asked.host


def chosen(program, host, name):
    """Answer the question for the client's channel."""
    asked = program.controller.expect(Locate, named=False)
    assert asked.host == host
    program.controller.send(Located(id=asked.id, channel=name))


@pytest.mark.parametrize(
    ("how", "field"),
    [
        ({}, b"from c (seven.example [198.51.100.7])\r\n"),
        ({"keywords": {"identnonelimited": True}}, b"from c (seven.example [198.51.100.7])\r\n"),
        ({"keywords": {"identnonesymbolic": True}}, b"from c (seven.example)\r\n"),
    ],
)
def test_the_clients_name_is_in_the_received_field(how, field):
    """The controller knows what the client's address is called; the greeting does not wait for that."""
    with slave(**how) as program:
        assert program.peer.reply().startswith(b"220 ")
        assert named(program, "seven.example") == "[198.51.100.7]"
        say(program, "EHLO c")
        assert field in deliver(program)[1]


@pytest.mark.parametrize(
    "how",
    [
        {"keywords": {"identnonenumeric": True}},
        {"options": {"check_source": 0}},
        {"environment": {}},
        {"environment": {"TRANSPORTINFO": "a modem"}},
    ],
)
def test_no_name_is_asked_for(how):
    """Where the name is not wanted, or nobody knows the client."""
    with slave(**how) as program:
        program.peer.reply()
        say(program, "EHLO c", "QUIT")
        assert not any(type(frame) is Locate for frame in program.controller.rest())


def test_a_name_that_does_not_come():
    """Mail is taken without it: a slow name service is nobody's trouble."""
    with slave() as program:
        program.peer.reply()
        say(program, "EHLO c")
        assert b"from c ([198.51.100.7])\r\n" in deliver(program)[1]


def test_the_name_chooses_where_the_address_does_not():
    """With identnone the client is greeted once it is known where its name leads."""
    with slave(**CHOSEN) as program:
        chosen(program, "[198.51.100.7]", "x_test")
        asked = program.controller.expect(Locate)
        assert (asked.host, asked.named, program.peer.silent) == ("[198.51.100.7]", True, True)
        program.controller.send(Located(id=asked.id, channel="x_test", name="seven.example"))
        chosen(program, "seven.example", "x_inside")
        assert program.peer.reply().startswith(b"220 inside.example.org")
        say(program, "EHLO c")
        assert b"(seven.example [198.51.100.7])" in deliver(program)[1]


def test_a_client_without_a_name_is_greeted():
    """It comes in by the channel of the service."""
    with slave(**CHOSEN) as program:
        chosen(program, "[198.51.100.7]", "x_test")
        named(program, "")
        assert program.peer.reply().startswith(b"220 mail.example.org")


def test_who_may_not_connect_is_told_at_once():
    """Nobody looks up who that is, as PORT_ACCESS knows it by its address."""
    mta = {"mappings": {"PORT_ACCESS": "TCP|*|*|198.51.100.7|*  $N554$ 5.7.1$ no"}}
    with slave(mta=mta, **CHOSEN) as program:
        assert program.peer.rest() == b"554 5.7.1 no\r\n"
        assert [frame.event for frame in program.controller.rest() if type(frame) is Event] == [
            *("opened", "rejected", "closed"),
        ]


@pytest.mark.parametrize("keyword", ["identnonelimited", "identnonenumeric"])
def test_the_name_does_not_choose(keyword):
    """Where the name does not count nobody waits for it."""
    with slave(keywords={keyword: True}, **CHOSEN) as program:
        chosen(program, "[198.51.100.7]", "x_test")
        assert program.peer.reply().startswith(b"220 mail.example.org")


def test_xclient():
    """The session begins again as that of the client that a front end speaks for, with its rights alone."""
    with slave(service=SERVICE, submit=True) as program:
        program.peer.reply()
        assert b"250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT\r\n" in say(program, "EHLO f")
        for wrong in ("XCLIENT", "XCLIENT ADDR=here", "XCLIENT PORT=many", "XCLIENT DESTADDR=a|b"):
            assert say(program, wrong).startswith(b"501 5.5.4")
        assert say(program, "MAIL FROM:<a@b.example>").startswith(b"530")
        said = "XCLIENT ADDR=203.0.113.9 PORT=4001 LOGIN=ann+40example.org NAME=[UNAVAILABLE] DESTPORT=587"
        assert say(program, said).startswith(b"220 mail.example.org")
        assert say(program, "MAIL FROM:<a@b.example>").startswith(b"503 5.5.1")
        assert b"XCLIENT" not in say(program, "EHLO c")
        assert say(program, "XCLIENT ADDR=192.0.2.9").startswith(b"550 5.7.0")
        submit, octets, route = deliver(program)
        assert (submit.source.user, submit.source.transport) == (
            "ann@example.org",
            "TCP|192.0.2.1|587|203.0.113.9|4001",
        )
        assert route.source == submit.source
        assert b"from c ([203.0.113.9])\r\n" in octets
        say(program, "QUIT")
        closed = program.controller.expect(Event, event="closed")
        assert closed.transport == submit.source.transport


def test_what_xclient_does_not_say_stays():
    """A front end may tell some of it in one command and the rest in the next."""
    with slave(service=SERVICE) as program:
        program.peer.reply()
        say(program, "EHLO f", "XCLIENT PORT=4001")
        assert say(program, "HELO f").endswith(b"OK, [198.51.100.7].\r\n")
        say(program, "XCLIENT ADDR=192.0.2.9 HELO=[UNAVAILABLE]", "EHLO c")
        assert deliver(program)[0].source.transport == "TCP|192.0.2.1|25|192.0.2.9|"


def test_xclient_has_its_own_name_and_channel():
    """The channel and the name of the client that is spoken for count, not those of whoever speaks for it."""
    with slave(service=SERVICE, keywords={"identnonelimited": True}, **CHOSEN) as program:
        chosen(program, "[198.51.100.7]", "x_test")
        program.peer.reply()
        named(program, "filter.example")
        say(program, "EHLO f")
        program.peer.send(b"XCLIENT ADDR=IPV6:2001:db8::9\r\nEHLO c\r\n")
        chosen(program, "[IPv6:2001:db8::9]", "x_inside")
        assert program.peer.reply().startswith(b"220 inside.example.org")
        assert program.peer.reply().startswith(b"250-inside.example.org")
        assert named(program, "nine.example") == "[IPv6:2001:db8::9]"
        submit, octets, _ = deliver(program)
        assert submit.source.channel == "x_inside"
        assert b"from c (nine.example [IPv6:2001:db8::9])\r\n" in octets


def test_a_yes_is_for_one_client():
    """Whoever speaks for another client is asked about again: what one may the other may not."""
    with slave(service=SERVICE) as program:
        program.peer.reply()
        say(program, "EHLO f")
        deliver(program)
        say(program, "XCLIENT ADDR=192.0.2.9", "EHLO c", "MAIL FROM:<ann@a.example>")
        program.peer.send(b"RCPT TO:<bob@b.example>\r\n")
        route = program.controller.expect(Route)
        assert "|192.0.2.9|" in route.source.transport
        program.controller.send(VerdictFrame(id=route.id, code=550, status="5.7.1", text="Relaying"))
        assert program.peer.reply().startswith(b"550 5.7.1")


@pytest.mark.parametrize(
    "how",
    [
        {"service": SERVICE, "environment": {}},
        {},
        {"service": ServiceSettings(name="S", listen=(), channel="x")},
    ],
)
def test_others_speak_for_nobody(how):
    """XCLIENT is for those alone whom the service names."""
    with slave(**how) as program:
        program.peer.reply()
        assert b"XCLIENT" not in say(program, "EHLO c")
        assert say(program, "XCLIENT ADDR=203.0.113.9").startswith(b"550 5.7.0")


def test_a_stop_while_xclient_waits():
    """A program that is told to leave before it knows where the new client belongs says so and goes."""
    with slave(service=SERVICE, keywords={"identnonelimited": True}, **CHOSEN) as program:
        chosen(program, "[198.51.100.7]", "x_test")
        program.peer.reply()
        program.peer.send(b"XCLIENT ADDR=203.0.113.9\r\n")
        program.controller.expect(Locate, host="[203.0.113.9]")
        program.controller.send(Stop())
        assert b"\r\n421 " in program.peer.rest()
        assert program.ends() == 0


def test_who_is_spoken_for_has_to_be_let_in():
    """PORT_ACCESS is asked about the client that XCLIENT names, and what it says holds for that one."""
    table = "TCP|*|*|192.0.2.6|*  $N$T554$ 5.7.1$ not$ from$ there||list$ 7\nTCP|*|*|192.0.2.7|*  $Y$V"
    mta = {"mappings": {"PORT_ACCESS": table}}
    with slave(service=SERVICE, mta=mta) as program:
        program.peer.reply()
        say(program, "EHLO f")
        program.peer.send(b"XCLIENT ADDR=192.0.2.6\r\nEHLO x\r\nMAIL FROM:<a@b.example>\r\n")
        assert program.peer.rest() == b"554 5.7.1 not from there\r\n"
        told = [frame for frame in program.controller.rest() if type(frame) is Event]
        assert [frame.event for frame in told] == ["opened", "denied", "closed"]
        assert "|192.0.2.6|" in told[1].transport
        assert (told[2].text, told[2].site) == ("PORT_ACCESS: 554 5.7.1 not from there", "list 7")
    with slave(service=SERVICE, mta=mta) as program:
        program.peer.reply()
        say(program, "EHLO f")
        assert say(program, "XGEN").startswith(b"550")
        say(program, "XCLIENT ADDR=192.0.2.7", "EHLO x")
        program.peer.send(b"XGEN\r\n")
        program.controller.expect(Route, command="XGEN")
