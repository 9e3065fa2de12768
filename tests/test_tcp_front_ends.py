"""Clients behind front ends: the PROXY protocol and XCLIENT, believed of those only who may use them."""

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from jobctl.jobprotocol.frames import Event, Route
from jobctl.net.proxy_header import Proxied, read_header
from tests.tcp_support import Intake, service
from tests.test_tcp_server import CONTENT, Client, Server

HERE = "127.0.0.0/8"
V2 = b"\r\n\r\n\x00\r\nQUIT\n"
IPV4 = (
    V2
    + struct.pack("!BBH", 0x21, 0x11, 12 + 3)
    + bytes([192, 0, 2, 9, 127, 0, 0, 1])
    + struct.pack("!HH", 4001, 25)
    + b"\x04\x00\x00"
)
IPV6 = (
    V2
    + struct.pack("!BBH", 0x21, 0x21, 36)
    + socket.inet_pton(socket.AF_INET6, "2001:db8::9")
    + bytes(16)
    + struct.pack("!HH", 4001, 25)
)


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (b"PROXY TCP4 192.0.2.9 127.0.0.1 4001 25\r\n", "192.0.2.9"),
        (b"PROXY TCP6 2001:db8::9 ::1 4001 25\r\n", "2001:db8::9"),
        (b"PROXY UNKNOWN\r\n", ""),
        (IPV4, "192.0.2.9"),
        (IPV6, "2001:db8::9"),
        (V2 + struct.pack("!BBH", 0x20, 0, 0), ""),
    ],
)
def test_both_versions_however_they_are_cut(header: bytes, client: str) -> None:
    """A header is the same whatever pieces it comes in; what follows it is not taken."""
    for cut in range(len(header)):
        assert read_header(header[:cut]) is None
    found = read_header(header + b"EHLO x\r\n")
    assert found is not None
    said, taken = found
    assert (said.client, taken) == (client, len(header))
    assert isinstance(said, Proxied)


@pytest.mark.parametrize(
    "data",
    [
        b"EHLO x\r\n",
        b"PROXY TCP4 here there 1 2\r\n",
        b"PROXY TCP6 fe80::1%|25 ::1 1 2\r\n",
        b"PROXY TCP4 192.0.2.9 127.0.0.1 4001 99999\r\n",
        b"PROXY " + b"x" * 200,
        V2 + struct.pack("!BBH", 0x31, 0x11, 12),
        V2 + struct.pack("!BBH", 0x21, 0x11, 60000),
        V2 + struct.pack("!BBH", 0x21, 0x11, 4) + b"1234",
    ],
)
def test_what_is_no_header(data: bytes) -> None:
    """Anything else is told apart from a header that is not complete."""
    with pytest.raises(ValueError, match=r"PROXY|address"):
        read_header(data)


@pytest.fixture
def taken() -> Intake:
    return Intake()


@pytest.fixture
def fronted(taken: Intake) -> Iterator[Server]:
    how = service(proxy_from=("127.0.0.2",), relay_from=(HERE, "192.0.2.0/24"), max_conns_per_address=2)
    with Server(taken, how, logging=True) as server:
        yield server


def test_the_client_is_the_one_in_the_header(fronted: Server, taken: Intake) -> None:
    """Trace, log, relay rules and limits go by the client's own address."""
    with Client(fronted.address, "127.0.0.2") as client:
        client.socket.sendall(b"PROXY TCP4 192.0.2.9 127.0.0.1 4001 25\r\n")
        assert client.reply().startswith("220")
        client.say("EHLO c", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA")
        client.socket.sendall(CONTENT + b".\r\n")
        assert client.reply().startswith("250")
    submit, content = taken.messages[0]
    assert submit.source is not None
    assert submit.source.transport == "TCP|127.0.0.1|25|192.0.2.9|4001"
    assert b"([192.0.2.9])" in content


def test_a_header_of_others_is_no_header(fronted: Server) -> None:
    """Whoever is no front end cannot pretend to be somebody else."""
    with Client(fronted.address) as client:
        client.reply()
        assert client.say("PROXY TCP4 192.0.2.9 127.0.0.1 4001 25").startswith("500 5.5.1")


def test_a_front_end_without_header_is_cut_off(fronted: Server) -> None:
    """A front end that is not set up is found at once, in the log."""
    with Client(fronted.address, "127.0.0.2") as client:
        client.socket.sendall(b"EHLO x\r\n")
        assert client.reply() == ""
    assert (
        fronted.program.expect(Event, where=lambda frame: frame.event == "rejected").text == "no PROXY header"
    )


def test_connections_of_one_address_are_limited(fronted: Server) -> None:
    """The third connection of an address is told to come later; others are not touched, and room comes back."""
    with Client(fronted.address) as first, Client(fronted.address) as second:
        assert first.reply().startswith("220")
        assert second.reply().startswith("220")
        with Client(fronted.address) as third:
            assert third.reply().startswith("421 4.7.0")
            assert third.reply() == ""
        with Client(fronted.address, "127.0.0.3") as other:
            assert other.reply().startswith("220")
        first.say("QUIT")
        fronted.program.expect(Event, where=lambda frame: frame.event == "closed")
    with Client(fronted.address) as again:
        assert again.reply().startswith("220")


def test_xclient(taken: Intake) -> None:
    """A content filter or front end that may says for whom it speaks; the session begins again as theirs."""
    how = service(xclient_from=("127.0.0.2",), relay_from=("192.0.2.0/24",))
    with Server(taken, how, logging=True) as server:
        with Client(server.address, "127.0.0.2") as client:
            client.reply()
            assert "250-XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT" in client.say(
                "EHLO filter"
            )
            assert client.say("XCLIENT ADDR=here").startswith("501")
            assert client.say("XCLIENT").startswith("501")
            assert client.say(
                "XCLIENT ADDR=192.0.2.9 PORT=4001 LOGIN=ann+40example.org NAME=[UNAVAILABLE]"
            ).startswith("220")
            assert client.say("MAIL FROM:<a@b.example>").startswith("503 5.5.1 Say EHLO")
            client.say("EHLO c", "MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>", "DATA")
            client.socket.sendall(CONTENT + b".\r\n")
            assert client.reply().startswith("250")
        source = taken.messages[0][0].source
        assert source is not None
        assert source.user == "ann@example.org"
        assert source.transport.endswith("|192.0.2.9|4001")
        with Client(server.address) as client:
            client.reply()
            assert "XCLIENT" not in client.say("EHLO c")
            assert client.say("XCLIENT ADDR=192.0.2.9").startswith("550 5.7.0")


def test_who_is_spoken_for_has_to_be_let_in(taken: Intake) -> None:
    """By XCLIENT as by PROXY: PORT_ACCESS is asked about the client, and what it says holds for that one."""
    table = "TCP|*|*|192.0.2.6|*  $N$T554$ 5.7.1$ not$ from$ there||list$ 7\nTCP|*|*|192.0.2.7|*  $Y$V"
    how = service(xclient_from=("127.0.0.2",))
    mta = {"mappings": {"PORT_ACCESS": table}}
    with Server(taken, how, mta=mta, logging=True) as server:
        with Client(server.address, "127.0.0.2") as client:
            client.reply()
            client.say("EHLO filter")
            client.socket.sendall(b"XCLIENT ADDR=192.0.2.6\r\nEHLO x\r\nMAIL FROM:<a@b.example>\r\n")
            assert client.reply() == "554 5.7.1 not from there"
            assert client.reply() == ""
        told = server.program.expect(Event, where=lambda frame: frame.event != "opened")
        assert (told.event, told.text) == ("denied", "PORT_ACCESS: 554 5.7.1 not from there")
        assert "|192.0.2.6|" in told.transport
        closed = server.program.expect(Event)
        assert (closed.event, closed.text, closed.site) == ("closed", told.text, "list 7")
        with Client(server.address, "127.0.0.2") as client:
            client.reply()
            client.say("EHLO filter")
            assert client.say("XGEN").startswith("550")
            assert client.say("XCLIENT ADDR=192.0.2.7").startswith("220")
            client.socket.sendall(b"XGEN\r\n")
            server.program.expect(Route, where=lambda frame: frame.command == "XGEN")


def test_connections_count_for_who_is_spoken_for(taken: Intake) -> None:
    """A front end has as many connections as it wants, each of its clients as many as any."""
    how = service(xclient_from=("127.0.0.2",), max_conns_per_address=1)
    with Server(taken, how, logging=True) as server, ExitStack() as crowd:
        clients = [crowd.enter_context(Client(server.address, "127.0.0.2")) for _ in range(3)]
        for client in clients:
            assert client.reply().startswith("220")
            client.say("EHLO filter")
        assert clients[0].say("XCLIENT ADDR=192.0.2.7").startswith("220")
        assert clients[1].say("XCLIENT ADDR=192.0.2.7").startswith("421 4.7.0")
        assert clients[1].reply() == ""
        assert clients[2].say("XCLIENT ADDR=192.0.2.8").startswith("220")
        clients[0].say("QUIT")
        server.program.expect(
            Event, where=lambda frame: frame.event == "closed" and "192.0.2.7" in frame.transport
        )
        with Client(server.address, "127.0.0.2") as client:
            client.reply()
            client.say("EHLO filter")
            assert client.say("XCLIENT ADDR=192.0.2.7").startswith("220")
