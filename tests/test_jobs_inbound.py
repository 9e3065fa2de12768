"""Connections that the controller accepts for generic channels: each gets a slave, if it may have one."""

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from jobctl.config.settings import ServiceSettings
from jobctl.jobs.inbound import InboundFactory
from jobctl.jobs.spec import JobSpec
from jobctl.net.listeners import open_listener
from jobctl.net.proxy_header import PATIENCE
from tests.jobs_support import channel, program, spec
from tests.test_jobs_bridge import Remote, TcpCase

FRONT_END = "127.0.0.2"
HEADER = b"PROXY TCP4 192.0.2.9 192.0.2.25 4001 25\r\n"


class InboundCase(TcpCase):
    async def serve(self, *argv: str, virtual: bool = False, **service: Any) -> tuple[str, int]:
        self.supervisor(virtual=virtual)
        listener = open_listener("tcp:0:interface=127.0.0.1")
        numbers = iter(range(100))

        def make() -> JobSpec:
            return spec(*argv, role="slave", id=f"s{next(numbers)}", channel=channel(transport="tcp"))

        settings = ServiceSettings(name="S", listen=(), channel="test_line", **service)
        self.factory = InboundFactory(self.the, make, settings)
        self.listening = reactor.adoptStreamPort(listener.fileno(), listener.family, self.factory)
        self.addCleanup(self.listening.stopListening)
        address = listener.getsockname()
        listener.close()
        return address

    async def connect(self, address: tuple[str, int], source: str = "127.0.0.1") -> Remote:
        remote = Remote()
        connected: Deferred[None] = Deferred()
        remote.connectionMade = lambda: connected.callback(None)
        factory = Factory.forProtocol(lambda: remote)
        factory.noisy = False
        await TCP4ClientEndpoint(reactor, *address, bindAddress=(source, 0)).connect(factory)
        await connected
        return remote


class InboundTests(InboundCase):
    async def test_a_connection_gets_a_slave(self) -> None:
        """A client that connects to a generic channel's service speaks with a program of its own."""
        address = await self.serve(*program("chats.py"))
        client = await self.connect(address)
        opened = await self.event("opened")
        mine = client.transport.getHost()
        self.assertEqual(opened.transport, f"TCP|127.0.0.1|{address[1]}|127.0.0.1|{mine.port}")
        client.transport.write(b"hello\r\n")
        client.transport.loseConnection()
        self.assertEqual((await self.event("closed")).text, "hello\r\n")
        await self.end()

    async def test_one_too_many(self) -> None:
        """A connection above the limit is told to come back later, and costs no program."""
        address = await self.serve(*program("chats.py"), max_conns=1)
        first = await self.connect(address)
        await self.event("opened")
        second = await self.connect(address)
        await second.gone
        self.assertEqual(second.data, b"421 4.3.2 too many connections, try again later\r\n")
        first.transport.loseConnection()
        await self.end()
        third = await self.connect(address)
        await self.handler.until(lambda: len(self.handler.spawned) == 2)
        third.transport.loseConnection()

    async def test_a_program_that_does_not_start(self) -> None:
        """A client whose program cannot be started hears 421, not silence."""
        address = await self.serve("no_such_prog")
        client = await self.connect(address)
        await client.gone
        self.assertEqual(client.data, b"421 4.3.2 service not available, try again later\r\n")
        self.assertEqual(self.handler.failed[0][1:], ("program no_such_prog was not found", False))

    async def test_too_many_of_one_address(self) -> None:
        """A client above the limit of its address is told to come later; another is served."""
        address = await self.serve(*program("chats.py"), max_conns_per_address=1)
        first = await self.connect(address)
        await self.event("opened")
        second = await self.connect(address)
        await second.gone
        self.assertTrue(second.data.startswith(b"421 4.7.0 too many connections from your address"))
        transport, why = self.handler.rejected[0]
        self.assertRegex(transport, r"^TCP\|127\.0\.0\.1\|\d+\|127\.0\.0\.1\|\d+$")
        self.assertEqual(why, "too many connections from this address")
        other = await self.connect(address, "127.0.0.3")
        await self.handler.until(lambda: len(self.handler.spawned) == 2)
        first.transport.loseConnection()
        await self.end()
        again = await self.connect(address)
        await self.handler.until(lambda: len(self.handler.spawned) == 3)
        for remote in (other, again):
            remote.transport.loseConnection()

    async def test_a_limit_can_change(self) -> None:
        """A new limit counts the connections there are."""
        address = await self.serve(*program("chats.py"))
        first = await self.connect(address)
        await self.event("opened")
        settings = ServiceSettings(
            name="S", listen=(), channel="test_line", max_conns_per_address=1, implicit_tls=True
        )
        self.factory.reconfigure(lambda: spec(role="slave", channel=channel()), settings)
        second = await self.connect(address)
        await second.gone
        # Whoever begins with TLS cannot read a reply in the clear.
        self.assertEqual(second.data, b"")
        first.transport.loseConnection()
        await self.end()


class FrontEndTests(InboundCase):
    async def test_the_client_is_the_one_in_the_header(self) -> None:
        """A front end says whose connection it is; what follows the header is for the program."""
        address = await self.serve(*program("chats.py"), proxy_from=(FRONT_END,))
        client = await self.connect(address, FRONT_END)
        for piece in (HEADER[:9], HEADER[9:] + b"hello\r\n"):
            client.transport.write(piece)
        opened = await self.event("opened")
        self.assertEqual(opened.transport, "TCP|192.0.2.25|25|192.0.2.9|4001")
        client.transport.write(b"there\r\n")
        client.transport.loseConnection()
        self.assertEqual((await self.event("closed")).text, "hello\r\nthere\r\n")
        await self.end()

    async def test_a_front_end_for_itself(self) -> None:
        """UNKNOWN is a front end that looks whether we are there."""
        address = await self.serve(*program("chats.py"), proxy_from=(FRONT_END,))
        client = await self.connect(address, FRONT_END)
        client.transport.write(b"PROXY UNKNOWN\r\n")
        mine = client.transport.getHost()
        self.assertEqual(
            (await self.event("opened")).transport, f"TCP|127.0.0.1|{address[1]}|{FRONT_END}|{mine.port}"
        )
        client.transport.loseConnection()
        await self.end()

    async def test_a_header_of_others_is_the_programs(self) -> None:
        """Whoever is no front end is who it is, whatever it says."""
        address = await self.serve(*program("chats.py"), proxy_from=(FRONT_END,))
        client = await self.connect(address)
        client.transport.write(HEADER)
        self.assertIn("|127.0.0.1|", (await self.event("opened")).transport)
        client.transport.loseConnection()
        self.assertEqual((await self.event("closed")).text, HEADER.decode())
        await self.end()

    async def test_no_header(self) -> None:
        """A front end that is not set up is cut off at once, and told of."""
        address = await self.serve(*program("chats.py"), proxy_from=(FRONT_END,))
        client = await self.connect(address, FRONT_END)
        client.transport.write(b"EHLO x\r\n")
        await client.gone
        self.assertEqual((client.data, self.handler.rejected[0][1]), (b"", "no PROXY header"))
        self.assertEqual(self.handler.spawned, [])

    async def test_no_header_in_time(self) -> None:
        """One that says half a header waits so long and no longer; others are served meanwhile."""
        address = await self.serve(*program("chats.py"), virtual=True, proxy_from=(FRONT_END,))
        client = await self.connect(address, FRONT_END)
        client.transport.write(HEADER[:9])
        other = await self.connect(address)
        await self.event("opened")
        self.clock.advance(PATIENCE - 0.1)
        self.assertEqual(self.handler.rejected, [])
        self.clock.advance(0.2)
        await client.gone
        self.assertEqual(self.handler.rejected[0][1], "no PROXY header")
        other.transport.loseConnection()
        await self.end()

    async def test_the_end_before_the_header(self) -> None:
        """A connection that ends before anybody knows whose it was leaves nothing behind."""
        address = await self.serve(*program("chats.py"), proxy_from=(FRONT_END,))
        client = await self.connect(address, FRONT_END)
        client.transport.write(HEADER[:9])
        client.transport.loseWriteConnection()
        await client.gone
        self.assertEqual((self.handler.rejected, self.handler.spawned), ([], []))

    async def test_limits_are_for_clients(self) -> None:
        """Connections of one client are counted whatever front end passes them on; those of the front end are not."""
        address = await self.serve(*program("chats.py"), proxy_from=(FRONT_END,), max_conns_per_address=1)
        first = await self.connect(address, FRONT_END)
        first.transport.write(HEADER)
        await self.event("opened")
        second = await self.connect(address, FRONT_END)
        second.transport.write(HEADER)
        await second.gone
        self.assertTrue(second.data.startswith(b"421 4.7.0"))
        self.assertEqual(self.handler.rejected[0][0], "TCP|192.0.2.25|25|192.0.2.9|4001")
        third = await self.connect(address, FRONT_END)
        third.transport.write(HEADER.replace(b"2.9", b"2.8"))
        await self.handler.until(lambda: len(self.handler.spawned) == 2)
        for remote in (first, third):
            remote.transport.loseConnection()

    async def test_who_speaks_for_others_is_not_counted(self) -> None:
        """Whose the connections are that one who may say XCLIENT has, its programs alone will hear."""
        address = await self.serve(*program("chats.py"), xclient_from=(FRONT_END,), max_conns_per_address=1)
        several = [await self.connect(address, FRONT_END) for _ in range(2)]
        await self.handler.until(lambda: len(self.handler.spawned) == 2)
        for remote in several:
            remote.transport.loseConnection()

    async def test_nobody_listens_any_more(self) -> None:
        """A service that ends waits for no header."""
        address = await self.serve(*program("chats.py"), virtual=True, proxy_from=(FRONT_END,))
        client = await self.connect(address, FRONT_END)
        client.transport.write(HEADER[:9])
        while not self.factory.connections:
            await deferLater(reactor, 0)
        await self.listening.stopListening()
        await client.gone
        self.assertEqual((self.factory.connections, self.handler.spawned), (0, []))
