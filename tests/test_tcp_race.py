"""Addresses of one host tried beside each other, and our own addresses in turn."""

from typing import Any

import pytest
from twisted.internet.task import Clock

from channels.tcp import race as module
from channels.tcp.race import CONNECT_TIMEOUT, STAGGER, Race
from jobctl.jobprotocol.frames import Report
from jobctl.mail.disposition import Verdict
from jobctl.net.resolver import NextHop
from jobctl.net.sources import Sources
from tests.dns_server import Zone
from tests.tcp_support import BODY, NameServerThread, Peer, Wire, channel, message, serve
from tests.test_tcp_client import client

HOPS = [NextHop("mx.example", f"192.0.2.{at}", 25) for at in range(1, 4)]


class Attempt:
    """A connection being made, as the test wants it to go."""

    made: list["Attempt"] = []

    def __init__(self, reactor: Any, address: Any, source: Any, connected: Any, failed: Any) -> None:
        self.address, self.source, self.connected, self.failed = address[0], source, connected, failed
        self.over = False
        Attempt.made.append(self)

    def fail(self, why: str) -> None:
        if not self.over:
            self.over = True
            self.failed(why)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setattr(module, "Connecting", Attempt)
    Attempt.made = []
    return []


def race(clock: Clock, told: list[Any], hops: list[NextHop] = HOPS) -> Race:
    def connected(skt: Any, hop: NextHop) -> None:
        told.append((skt, hop.address))

    return Race(clock, hops, lambda address: None, connected, told.append, lambda hop, why: None)


def test_a_silent_address_is_not_waited_for(told: list[Any]) -> None:
    """After a quarter of a second the next address is tried beside it; the first that answers wins."""
    clock = Clock()
    running = race(clock, told)
    assert [one.address for one in Attempt.made] == ["192.0.2.1"]
    clock.advance(STAGGER)
    assert len(Attempt.made) == 2
    Attempt.made[1].connected("socket")
    assert told == [("socket", "192.0.2.2")]
    assert Attempt.made[0].over
    # What was given up may still be tried, should this peer turn out to be of no use.
    assert sorted(hop.address for hop in running.left) == ["192.0.2.1", "192.0.2.3"]
    clock.advance(60)
    assert len(Attempt.made) == 2


def test_a_refused_address_makes_way_at_once(told: list[Any]) -> None:
    """A refusal costs no quarter of a second, and the last one is what is told."""
    race(Clock(), told)
    for at in range(3):
        assert len(Attempt.made) == at + 1
        Attempt.made[at].fail("refused")
    assert told == ["connect to mx.example [192.0.2.3]:25: refused"]


def test_all_silent(told: list[Any]) -> None:
    """Addresses that never answer end in a timeout each."""
    clock = Clock()
    running = race(clock, told)
    clock.advance(STAGGER)
    clock.advance(STAGGER)
    clock.advance(CONNECT_TIMEOUT + 1)
    running.expire()
    assert told == ["connect to mx.example [192.0.2.3]:25: timed out"]


def test_addresses_in_turn() -> None:
    """A pool of addresses is used in turn, each with its own name, and never for the other family."""
    sources = Sources(
        channel(sourceaddresses=("192.0.2.1=out1.example", "192.0.2.2", "2001:db8::1=six.example"))
    )
    assert {sources.towards("198.51.100.1") for _ in range(4)} == {"192.0.2.1", "192.0.2.2"}
    assert sources.towards("2001:db8::9") == "2001:db8::1"
    assert sources.helo == {"192.0.2.1": "out1.example", "2001:db8::1": "six.example"}
    assert Sources(channel()).towards("198.51.100.1") is None
    assert Sources(channel(interfaceaddress="192.0.2.9")).towards("2001:db8::9") is None


def test_each_address_greets_by_its_name() -> None:
    """Connections come from the addresses in turn and say EHLO with the name that belongs to each."""
    heard: list[tuple[int, bytes]] = []

    def script(wire: Wire, number: int) -> None:
        serve()(wire, number)
        heard.append((number, wire.heard[0]))

    names = ("127.0.0.11=one.example", "127.0.0.12=two.example")
    how = {"sourceaddresses": names, "options": {"attempt_transactions_per_session": 1}}
    with Peer(script) as peer, client(peer.port, **how) as program:
        for at in range(2):
            program.send(message(f"E{at}"), BODY)
            assert program.expect(Report).verdict is Verdict.DELIVERED
        program.stop()
        sources = list(peer.sources)
    assert sorted(sources) == ["127.0.0.11", "127.0.0.12"]
    expected = {"127.0.0.11": b"EHLO one.example", "127.0.0.12": b"EHLO two.example"}
    assert all(greeting == expected[sources[number]] for number, greeting in heard)


def test_a_dead_address_of_an_exchanger_costs_no_time() -> None:
    """Two addresses, one refuses: the message goes to the other in the same attempt."""
    with Peer(serve(), "127.0.1.2") as peer:
        zone = Zone(
            "b.example. 60 MX 10 mx.b.example.\nmx.b.example. 60 A 127.0.1.1\nmx.b.example. 60 A 127.0.1.2"
        )
        with (
            NameServerThread(zone) as names,
            client(peer.port, mx="nonrandommx", nameservers=(names.address,)) as program,
        ):
            program.send(message("E0", host="b.example"), BODY)
            report = program.expect(Report)
            program.stop()
    assert report.verdict is Verdict.DELIVERED
    assert report.transport.split("|")[3] == "127.0.1.2"


@pytest.mark.parametrize(
    ("table", "verdict", "words"),
    [
        ("tcp_local|*|127.0.1.1|mx1.b.example  $I", Verdict.DELIVERED, ""),
        ("*|127.0.1.1|*  $A127.0.1.2", Verdict.DELIVERED, ""),
        ("*|mx2.b.example  $Nnot$ there", Verdict.FAILED, "Invalid host: mx2.b.example"),
        ("*  $I", Verdict.DEFERRED, "mx2.b.example: IP_ACCESS allows none of its addresses"),
        ("*|mx2.b.example|1  $Ntoo$ early\n*|mx2.b.example|3  $Y\n*  $I", Verdict.DELIVERED, ""),
    ],
)
def test_addresses_by_ip_access(table: str, verdict: Verdict, words: str) -> None:
    """Skipped, replaced, refused after the better one would not do; by the attempt; the table's text is not told."""
    with Peer(serve(), "127.0.1.2") as peer:
        zone = Zone(
            "b.example. 60 MX 10 mx1.b.example.\nb.example. 60 MX 20 mx2.b.example.\n"
            "mx1.b.example. 60 A 127.0.1.1\nmx2.b.example. 60 A 127.0.1.2"
        )
        settings = {
            "mx": "nonrandommx",
            "ip_access": {"IP_ACCESS": table},
            "use_ip_access": int("|3" in table),
        }
        with (
            NameServerThread(zone) as names,
            client(peer.port, nameservers=(names.address,), **settings) as program,
        ):
            program.send(message("E0", host="b.example", attempt=3), BODY)
            report = program.expect(Report)
            program.stop()
    assert report.verdict is verdict
    assert words in report.reply and "not there" not in report.reply
