"""Where mail for a host goes: asked of a real name server on loopback."""

import socket
from typing import Any

import dns.rcode
from twisted.internet import reactor
from twisted.internet.defer import Deferred, ensureDeferred, inlineCallbacks
from twisted.trial.unittest import SynchronousTestCase, TestCase

from jobctl.config.settings import ChannelSettings
from jobctl.config.tcp_settings import TcpOptions
from jobctl.net.dns_cache import DnsCache
from jobctl.net.dns_hosts import HostsFile, parse_server, system_servers
from jobctl.net.resolver import DnsTrouble, NextHop, NoSuchHost, Resolver
from tests.dns_server import NameServer, Zone

ZONE = """
two.example. 60 MX 20 mx2.two.example.
two.example. 60 MX 10 mx1.two.example.
mx1.two.example. 60 A 192.0.2.1
mx2.two.example. 60 A 192.0.2.2
mx2.two.example. 60 AAAA 2001:db8::2
plain.example. 60 A 192.0.2.3
null.example. 60 MX 0 .
alias.example. 60 CNAME two.example.
loop1.example. 60 CNAME loop2.example.
loop2.example. 60 CNAME loop1.example.
text.example. 60 TXT "no address"
lame.example. 60 MX 10 gone.lame.example.
us.example. 60 MX 10 first.example.
us.example. 60 MX 20 mail.example.org.
us.example. 60 MX 20 peer.example.
us.example. 60 MX 30 later.example.
first.example. 60 A 192.0.2.10
peer.example. 60 A 192.0.2.11
later.example. 60 A 192.0.2.12
mail.example.org. 60 A 192.0.2.13
only.example. 60 MX 10 mail.example.org.
inner.example. 60 A 10.1.2.3
mixed.example. 60 A 169.254.1.1
mixed.example. 60 A 198.51.100.1
mixed.example. 60 AAAA 64:ff9b::7f00:1
mixed.example. 60 AAAA fd00::1
v6.example. 60 AAAA 2001:db8::6
odd.example. 60 A 0.0.0.0
odd.example. 60 A 224.0.0.1
odd.example. 60 AAAA ::ffff:192.0.2.9
half.example. 60 MX 10 sick.half.example.
half.example. 60 MX 20 mx1.two.example.
1.2.0.192.in-addr.arpa. 60 PTR mx1.two.example.
"""


def channel(**changes: Any) -> ChannelSettings:
    options = TcpOptions(**changes.pop("options", {}))
    base = {"name": "tcp_local", "official_host_name": "tcp-daemon", "local_host": "mail.example.org"}
    return ChannelSettings(**(base | {"mx": "nonrandommx", "options": options} | changes))


def addresses(hops: list[NextHop]) -> list[str]:
    return [hop.address for hop in hops]


class ResolverTests(TestCase):
    """Each test says what happens to mail for such a domain."""

    def setUp(self) -> None:
        zone = ZONE + "".join(f"big.example. 60 MX {at} mx{at}.big.example.\n" for at in range(400))
        zone += "".join(f"mx{at}.big.example. 60 A 192.0.2.{at % 250 + 1}\n" for at in range(1000))
        zone += "".join(f"huge.example. 60 MX {at} mx{at}.huge.example.\n" for at in range(1000))
        zone += "".join(f"many.example. 60 A 10.0.{at // 250}.{at % 250 + 1}\n" for at in range(1000))
        zone += "".join(f"same.example. 60 MX 10 s{at}.example.\n" for at in range(8))
        zone += "".join(f"s{at}.example. 60 A 192.0.2.{at + 1}\n" for at in range(8))
        zone += "".join(f"c{at}.example. 60 CNAME c{at + 1}.example.\n" for at in range(30))
        self.zone = Zone(zone)
        self.server = NameServer(reactor, self.zone)
        hosts = self.mktemp()
        with open(hosts, "w") as file:
            file.write("192.0.2.77 here.example here # a comment\nnonsense line\n2001:db8::77 here.example\n")
        self.own: set[str] = set()
        self.resolver = Resolver(
            reactor, (self.server.address,), (0.7,), HostsFile(hosts), lambda address: address in self.own
        )

    @inlineCallbacks
    def tearDown(self) -> Any:
        self.resolver.close()
        yield self.server.close()
        # The client's end of a connection for long answers closes a turn later.
        for _ in range(3):
            pause: Deferred[None] = Deferred()
            reactor.callLater(0, pause.callback, None)
            yield pause

    def hops(self, host: str, **changes: Any) -> "Deferred[list[NextHop]]":
        return ensureDeferred(self.resolver.next_hops(host, channel(**changes)))

    @inlineCallbacks
    def fails(self, host: str, error: type, status: str, **changes: Any) -> Any:
        why = yield self.assertFailure(self.hops(host, **changes), error)
        self.assertEqual(why.status, status)
        self.assertTrue(why.text)

    @inlineCallbacks
    def test_by_preference(self) -> Any:
        """Mail exchangers are tried by preference, all addresses of each, IPv4 first."""
        hops = yield self.hops("Two.Example.")
        self.assertEqual(
            hops,
            [
                NextHop("mx1.two.example", "192.0.2.1", 25, 10),
                NextHop("mx2.two.example", "192.0.2.2", 25, 20),
                NextHop("mx2.two.example", "2001:db8::2", 25, 20),
            ],
        )

    @inlineCallbacks
    def test_no_mx(self) -> Any:
        """A host without MX records takes its mail itself."""
        hops = yield self.hops("plain.example", port=2525)
        self.assertEqual(hops, [NextHop("plain.example", "192.0.2.3", 2525)])

    @inlineCallbacks
    def test_nomx(self) -> Any:
        """nomx asks for addresses only."""
        yield self.fails("two.example", NoSuchHost, "5.4.4", mx="nomx")
        self.assertNotIn("MX", [kind for _, kind in self.zone.asked])

    @inlineCallbacks
    def test_defaultmx_on_another_port(self) -> Any:
        """MX records are about port 25: with another port defaultmx does not ask for them."""
        yield self.hops("plain.example", mx="defaultmx", port=2525)
        self.assertNotIn("MX", [kind for _, kind in self.zone.asked])
        hops = yield self.hops("two.example", mx="defaultmx")
        self.assertEqual(hops[0].name, "mx1.two.example")

    @inlineCallbacks
    def test_equal_preference(self) -> Any:
        """Equal exchangers stay in the order of the answer with mx, and are shuffled with randommx."""
        first = yield self.hops("same.example")
        self.assertEqual(addresses(first), [f"192.0.2.{at + 1}" for at in range(8)])
        orders = set()
        for _ in range(10):
            hops = yield self.hops("same.example", mx="randommx")
            orders.add(tuple(addresses(hops)))
            self.assertEqual(sorted(addresses(hops)), sorted(addresses(first)))
        self.assertGreater(len(orders), 1)

    @inlineCallbacks
    def test_our_own_address_among_the_exchangers(self) -> Any:
        """
        Whatever an exchanger is called: when it is this host, only better ones are tried, and without
        one the mail would come back here: it fails at once, and nothing is connected to.
        """
        self.own = {"192.0.2.2"}
        hops = yield self.hops("two.example")
        self.assertEqual(addresses(hops), ["192.0.2.1"])
        self.own = {"192.0.2.1"}
        yield self.fails("two.example", NoSuchHost, "5.4.6")
        self.own = {"192.0.2.3"}
        yield self.fails("plain.example", NoSuchHost, "5.4.6")
        hops = yield self.hops("plain.example", port=26)
        self.assertEqual(addresses(hops), ["192.0.2.3"])
        hops = yield self.hops("plain.example", gateway="plain.example")
        self.assertEqual(addresses(hops), ["192.0.2.3"])

    @inlineCallbacks
    def test_private_addresses(self) -> Any:
        """Nobody's DNS leads our connections into our own network, unless the operator allows it."""
        yield self.fails("inner.example", DnsTrouble, "4.4.4")
        hops = yield self.hops("mixed.example")
        self.assertEqual(addresses(hops), ["198.51.100.1"])
        for how in ({"private": True}, {"port": 26}, {"gateway": "inner.example"}):
            hops = yield self.hops("inner.example", **how)
            self.assertEqual(addresses(hops), ["10.1.2.3"])
        yield self.fails("inner.example", DnsTrouble, "4.4.4", port=26, private=False)

    @inlineCallbacks
    def test_null_mx(self) -> Any:
        """A domain that accepts no mail is a permanent failure, and says so (RFC 7505)."""
        yield self.fails("null.example", NoSuchHost, "5.1.10")

    @inlineCallbacks
    def test_no_such_host(self) -> Any:
        """A domain that does not exist is a permanent failure."""
        yield self.fails("none.example", NoSuchHost, "5.1.2")
        yield self.fails("none.example", NoSuchHost, "5.1.2", mx="nomx")

    @inlineCallbacks
    def test_exists_without_address(self) -> Any:
        """A name without MX and address takes no mail."""
        yield self.fails("text.example", NoSuchHost, "5.4.4")

    @inlineCallbacks
    def test_trouble_is_temporary(self) -> Any:
        """SERVFAIL, REFUSED and silence of the name service never bounce a message."""
        for code in (dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP, dns.rcode.FORMERR, None):
            self.zone.rcodes["two.example."] = code
            yield self.fails("two.example", DnsTrouble, "4.4.3")

    @inlineCallbacks
    def test_trouble_says_what_was_answered(self) -> Any:
        """Whoever reads why mail waits finds the name server's answer by its usual name."""
        for code in (dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP, dns.rcode.FORMERR):
            self.zone.rcodes["two.example."] = code
            why = yield self.assertFailure(self.hops("two.example"), DnsTrouble)
            self.assertEqual(why.text, f"name service error for two.example: {dns.rcode.to_text(code)}")

    @inlineCallbacks
    def test_trouble_is_forgotten(self) -> Any:
        """Once the name service answers again, mail flows at once."""
        self.zone.rcodes["two.example."] = dns.rcode.SERVFAIL
        yield self.fails("two.example", DnsTrouble, "4.4.3")
        del self.zone.rcodes["two.example."]
        hops = yield self.hops("two.example")
        self.assertEqual(len(hops), 3)

    @inlineCallbacks
    def test_exchanger_in_trouble(self) -> Any:
        """One exchanger that cannot be looked up does not hide the others; alone it only defers."""
        self.zone.rcodes["sick.half.example."] = dns.rcode.SERVFAIL
        hops = yield self.hops("half.example")
        self.assertEqual(addresses(hops), ["192.0.2.1"])
        yield self.fails("lame.example", DnsTrouble, "4.4.4")

    @inlineCallbacks
    def test_aliases(self) -> Any:
        """An alias is followed; a ring or a long chain of them is only deferred, and soon."""
        hops = yield self.hops("alias.example")
        self.assertEqual(hops[0].address, "192.0.2.1")
        yield self.fails("loop1.example", DnsTrouble, "4.4.4")
        yield self.fails("c0.example", DnsTrouble, "4.4.4")
        self.assertLess(len(self.zone.asked), 40)

    @inlineCallbacks
    def test_hundreds_of_exchangers(self) -> Any:
        """A long answer comes over TCP, and hundreds of exchangers cost no more than MAX_MX_RECORDS."""
        hops = yield self.hops("big.example")
        self.assertEqual(len(hops), 32)
        self.assertEqual(hops[0].name, "mx0.big.example")
        self.assertGreater(self.zone.over_tcp, 0)
        self.assertLessEqual(len(self.zone.asked), 2 + 2 * 32)
        hops = yield self.hops("big.example", options={"max_mx_records": 3})
        self.assertEqual(len(hops), 3)

    @inlineCallbacks
    def test_absurd_answer(self) -> Any:
        """An answer beyond all measure defers the mail; it does not bounce, and it does not hang."""
        yield self.fails("huge.example", DnsTrouble, "4.4.3")

    @inlineCallbacks
    def test_thousand_addresses(self) -> Any:
        """A thousand addresses are a hundred at most, or MAX_A_RECORDS."""
        hops = yield self.hops("many.example", private=True)
        self.assertEqual(len(hops), 100)
        hops = yield self.hops("many.example", private=True, options={"max_a_records": 2})
        self.assertEqual(len(hops), 2)

    @inlineCallbacks
    def test_literals(self) -> Any:
        """[address] is connected to without asking anybody."""
        for text, address in (
            ("[192.0.2.5]", "192.0.2.5"),
            ("[IPv6:2001:db8::5]", "2001:db8::5"),
            ("[2001:db8::5]", "2001:db8::5"),
            ("[::ffff:192.0.2.5]", "192.0.2.5"),
        ):
            hops = yield self.hops(text, port=26)
            self.assertEqual(hops, [NextHop(text, address, 26)])
        for text in ("[]", "[nonsense]", "[0.0.0.0]", "[ff02::1]"):
            yield self.fails(text, NoSuchHost, "5.1.2")
        self.assertEqual(self.zone.asked, [])

    @inlineCallbacks
    def test_addresses_nobody_can_mean(self) -> Any:
        """Unspecified and multicast addresses are left out; IPv4 in IPv6 dress is IPv4."""
        hops = yield self.hops("odd.example")
        self.assertEqual(addresses(hops), ["192.0.2.9"])

    @inlineCallbacks
    def test_ourselves(self) -> Any:
        """Where we are an exchanger, only better ones are tried; where we are the best, it is a loop."""
        hops = yield self.hops("us.example")
        self.assertEqual([hop.name for hop in hops], ["first.example"])
        yield self.fails("only.example", NoSuchHost, "5.4.6")
        hops = yield self.hops("only.example", port=2525)
        self.assertEqual(addresses(hops), ["192.0.2.13"])

    @inlineCallbacks
    def test_ipv6_only(self) -> Any:
        """A host that has IPv6 addresses only is reached there."""
        hops = yield self.hops("v6.example")
        self.assertEqual(addresses(hops), ["2001:db8::6"])

    @inlineCallbacks
    def test_not_a_name(self) -> Any:
        """What can be no domain name is refused without asking."""
        for name in ("", "a..b", "x" * 64 + ".example", ".".join(["abcdefg"] * 40), "xn--\u2603.\u00e4-"):
            yield self.fails(name, NoSuchHost, "5.1.2")
        self.assertEqual(self.zone.asked, [])

    @inlineCallbacks
    def test_international_name(self) -> Any:
        """A name with other letters is asked for in its ASCII form."""
        yield self.fails("b\u00fccher.example", NoSuchHost, "5.1.2")
        self.assertIn(("xn--bcher-kva.example.", "MX"), self.zone.asked)

    @inlineCallbacks
    def test_cached(self) -> Any:
        """What was asked is not asked again while it is good, nor is a name that does not exist."""
        for _ in range(3):
            yield self.hops("two.example")
            yield self.fails("none.example", NoSuchHost, "5.1.2")
        self.assertEqual(self.zone.asked.count(("two.example.", "MX")), 1)
        self.assertEqual(self.zone.asked.count(("none.example.", "MX")), 1)

    @inlineCallbacks
    def test_hosts_file(self) -> Any:
        """The machine's own hosts file counts, even while the name service is down."""
        hops = yield self.hops("here.example")
        self.assertEqual(addresses(hops), ["192.0.2.77", "2001:db8::77"])
        self.zone.rcodes["here.example."] = dns.rcode.SERVFAIL
        hops = yield self.hops("HERE.example")
        self.assertEqual(len(hops), 2)
        hops = yield self.hops("localhost", mx="nodns")
        self.assertEqual(hops[0].address, "127.0.0.1")

    @inlineCallbacks
    def test_nodns(self) -> Any:
        """nodns asks the system, and tells what is not there from what cannot be found out."""

        def system(error: int | None, found: list[str]) -> None:
            def getaddrinfo(*args: Any) -> list[Any]:
                if error is not None:
                    raise socket.gaierror(error, "no")
                return [(0, 0, 0, "", (one, 0)) for one in found]

            self.patch(socket, "getaddrinfo", getaddrinfo)

        system(None, ["192.0.2.8", "192.0.2.8"])
        hops = yield self.hops("odd.system", mx="nodns")
        self.assertEqual(addresses(hops), ["192.0.2.8"])
        system(None, ["0.0.0.0"])
        yield self.fails("odd.system", NoSuchHost, "5.4.4", mx="nodns")
        system(socket.EAI_NONAME, [])
        yield self.fails("odd.system", NoSuchHost, "5.1.2", mx="nodns")
        system(socket.EAI_AGAIN, [])
        yield self.fails("odd.system", DnsTrouble, "4.4.3", mx="nodns")
        self.assertEqual(self.zone.asked, [])

    @inlineCallbacks
    def test_reverse(self) -> Any:
        """The name of an address: by PTR or by the hosts file, or none."""
        for address, name in (
            ("192.0.2.1", "mx1.two.example"),
            ("192.0.2.77", "here.example"),
            ("192.0.2.9", None),
        ):
            found = yield ensureDeferred(self.resolver.reverse(address))
            self.assertEqual(found, name)

    @inlineCallbacks
    def test_server_not_there(self) -> Any:
        """Without any name server mail is deferred."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
            nobody.bind(("127.0.0.1", 0))
            lost = Resolver(
                reactor, (f"127.0.0.1:{nobody.getsockname()[1]}",), (0.05,), HostsFile("/nonexistent")
            )
            why = yield self.assertFailure(
                ensureDeferred(lost.next_hops("two.example", channel())), DnsTrouble
            )
            self.assertIn("two.example", why.text)


class PiecesTests(SynchronousTestCase):
    def test_server_addresses(self) -> None:
        """Name servers are addresses with or without a port; anything else is an error that says so."""
        self.assertEqual(parse_server("192.0.2.1"), ("192.0.2.1", 53))
        self.assertEqual(parse_server("192.0.2.1:5353"), ("192.0.2.1", 5353))
        self.assertEqual(parse_server("[2001:db8::1]:5353"), ("2001:db8::1", 5353))
        self.assertEqual(parse_server("2001:db8::1"), ("2001:db8::1", 53))
        for text in ("ns.example", "192.0.2.1:0", "192.0.2.1:x", "[2001:db8::1]:99999", ""):
            with self.assertRaisesRegex(ValueError, "name server"):
                parse_server(text)

    def test_resolv_conf(self) -> None:
        """The first three servers of resolv.conf are asked; without any the machine itself."""
        path = self.mktemp()
        with open(path, "w") as file:
            file.write(
                "search example\nnameserver 192.0.2.1\nnameserver\nnameserver x\nnameserver 2001:db8::1 # b\n"
            )
        self.assertEqual(system_servers(path), [("192.0.2.1", 53), ("2001:db8::1", 53)])
        self.assertEqual(system_servers("/nonexistent"), [("127.0.0.1", 53)])

    def test_cache_is_bounded(self) -> None:
        """The cache forgets what has expired and what is longest unused."""
        cache: DnsCache[str] = DnsCache(2)
        cache.put("a", "A", 0, 10)
        cache.put("b", "B", 0, 10)
        self.assertEqual(cache.get("a", 5), "A")
        cache.put("c", "C", 5, 0)
        self.assertIsNone(cache.get("b", 5))
        self.assertEqual((cache.get("a", 9.9), cache.get("a", 10), len(cache)), ("A", None, 1))
        self.assertEqual((cache.get("c", 5.5), cache.get("c", 6)), ("C", None))
        cache.put("d", "D", 0, 1e9)
        self.assertIsNone(cache.get("d", 3600))
