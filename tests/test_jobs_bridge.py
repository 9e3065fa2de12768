"""A program's stdio joined to a connection, to another program, to another channel's slave."""

import os
import time
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater
from zope.interface import implementer

from jobctl.jobprotocol.frames import Event, HelloProgram, Report
from jobctl.jobs.environment import CannotStart
from jobctl.jobs.spec import JobSpec
from jobctl.jobs.unwilling import REMEMBERED, Unwilling
from jobctl.net.listeners import open_listener
from jobctl.net.resolver import DnsTrouble, NextHop, NoSuchHost
from jobctl.net.resolvers import Resolvers
from tests.dns_server import NameServer, Zone
from tests.jobs_case import SupervisionCase
from tests.jobs_support import channel, message, program, spec


@implementer(IHalfCloseableProtocol)
class Remote(Protocol):
    """The other end of the connection, written down."""

    def __init__(self) -> None:
        self.data = b""
        self.count = 0
        self.half = False
        self.gone: Deferred[None] = Deferred()
        self.half_closed: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.count += len(data)
        if len(self.data) < 1000:
            self.data += data

    def readConnectionLost(self) -> None:
        self.half_closed.callback(None)
        if not self.half:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Any = None) -> None:
        self.gone.callback(None)


class FakeResolver:
    """Names to hops or to an error."""

    def __init__(self, **names: Any) -> None:
        self.names = names
        self.asked: list[str] = []

    async def next_hops(self, host: str, channel: Any) -> list[NextHop]:
        self.asked.append(host)
        await deferLater(reactor, 0)
        answer = self.names[host]
        if isinstance(answer, Exception):
            raise answer
        return [NextHop(name=host, address=address, port=port) for address, port in answer]


class TcpCase(SupervisionCase):
    def setUp(self) -> None:
        super().setUp()
        self.remotes: list[Remote] = []
        self.connected: Deferred[Remote] = Deferred()

        def build() -> Remote:
            remote = Remote()
            self.remotes.append(remote)
            reactor.callLater(0, self.connected.callback, remote)
            return remote

        factory = Factory.forProtocol(build)
        factory.noisy = False
        self.port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.number = self.port.getHost().port

    def here(self) -> tuple[str, int]:
        return "127.0.0.1", self.number

    async def bridged(self, *argv: str, **settings: Any) -> Remote:
        """Start a master towards ourselves; returns the connection's far end once both stand."""
        self.supervisor(resolver=FakeResolver(remote=[self.here()]))
        self.the.start(spec(*argv, host="remote", channel=channel(transport="tcp", **settings)))
        await self.handler.until(lambda: bool(self.handler.said(HelloProgram)))
        return await self.connected

    async def event(self, word: str) -> Any:
        await self.handler.until(lambda: any(e.event == word for e in self.handler.said(Event)))
        return next(e for e in self.handler.said(Event) if e.event == word)


class TcpTests(TcpCase):
    async def test_dialogue(self) -> None:
        """A program speaks with the next hop through stdin and stdout, and knows who that is."""
        remote = await self.bridged(*program("chats.py", "late"))
        opened = await self.event("opened")
        peer = remote.transport.getPeer()
        self.assertEqual(opened.transport, f"TCP|127.0.0.1|{peer.port}|127.0.0.1|{self.number}")
        self.assertEqual(opened.application, "SMTP")
        remote.half = True
        remote.transport.write(b"hello\r\nthere\r\n")
        remote.transport.loseWriteConnection()
        self.assertEqual((await self.event("closed")).text, "hello\r\nthere\r\n")
        await remote.half_closed
        self.assertEqual(remote.data, b"first\r\nlast\r\n")
        self.assertEqual((await self.end()).exit_status, 0)
        remote.transport.loseConnection()
        await remote.gone

    async def test_half_close_by_the_program(self) -> None:
        """A program that closes its stdout is heard to the end, and still hears."""
        remote = await self.bridged(*program("chats.py", "half"))
        remote.half = True
        await remote.half_closed
        self.assertEqual(remote.data, b"first\r\n")
        remote.transport.write(b"still here\r\n")
        remote.transport.loseConnection()
        self.assertEqual((await self.event("closed")).text, "still here\r\n")
        await self.end()

    async def test_exit_ends_the_connection(self) -> None:
        """When a program exits its connection ends, after what it wrote last."""
        remote = await self.bridged(*program("chats.py", "exit"))
        await remote.gone
        self.assertEqual(remote.data, b"first\r\n")
        await self.end()

    async def test_a_lost_connection_ends_the_program(self) -> None:
        """When the connection breaks the program reads end-of-file and is told to stop."""
        remote = await self.bridged(*program("chats.py"))
        remote.transport.abortConnection()
        await self.event("closed")
        how = await self.end()
        self.assertEqual(how.text, "exited with status 0 after its connection was lost")

    async def test_a_killed_program_ends_the_connection(self) -> None:
        """A program that is killed leaves no connection behind."""
        remote = await self.bridged(*program("chats.py"))
        self.handler.spawned[0].end("test")
        await remote.gone

    async def test_closed_stdin(self) -> None:
        """A program that closed its stdin may go on writing; what comes in is dropped, not kept."""
        script = """printf '{"op":"hello","version":1,"name":"x"}\\n' >&4; exec 0<&-
            read a <&3; printf '{"op":"event","event":"opened"}\\n' >&4; read a <&3; printf 'bye\\r\\n'"""
        remote = await self.bridged("sh", "-c", script)
        await self.event("opened")
        remote.transport.write(b"x" * 3_000_000)
        await deferLater(reactor, 0.05)
        self.assertEqual(self.handler.ended, [])
        self.handler.spawned[0].send_stop()
        await remote.gone
        self.assertEqual(remote.data, b"bye\r\n")

    async def test_flow_control(self) -> None:
        """100 MB pass both ways through a program, neither side runs ahead of the other, and fast."""
        remote = await self.bridged(*program("pumps.py"))
        total = 100 * 1024 * 1024
        chunk = b"m" * 65536

        class Source:
            sent = 0
            most = 0

            def resumeProducing(self) -> None:
                for _ in range(4):
                    if self.sent < total:
                        self.sent += len(chunk)
                        self.most = max(self.most, self.sent - remote.count)
                        remote.transport.write(chunk)
                if self.sent >= total:
                    remote.half = True
                    remote.transport.unregisterProducer()
                    remote.transport.loseWriteConnection()

            def stopProducing(self) -> None:
                pass

        source = Source()
        begun = time.process_time()
        remote.transport.registerProducer(source, False)
        await remote.half_closed
        spent = time.process_time() - begun
        self.assertEqual(remote.count, total)
        # The kernel's socket buffers hold the most of it.
        self.assertLess(source.most, 32 * 1024 * 1024)
        print(f"tcp bridge: {total / 1e6 / spent:.0f} MB/s each way of this process's CPU, both ends in it")
        remote.transport.loseConnection()
        await remote.gone
        await self.end()

    async def test_a_remote_that_does_not_read(self) -> None:
        """A program that writes without end to a remote that does not read is held back."""
        self.handler.on_frame = lambda job, frame, content: (
            self.remotes[0].transport.pauseProducing() if self.remotes else None
        )
        remote = await self.bridged(
            "sh", "-c", """echo '{"op":"hello","version":1,"name":"x"}' >&4; exec cat /dev/zero""", port=1
        )
        remote.transport.pauseProducing()
        for _ in range(300):
            await deferLater(reactor, 0)
        connection = next(iter(self.the._aside.values()))
        self.assertLess(len(connection.transport.dataBuffer) + connection.transport._tempDataLen, 1024 * 1024)
        remote.transport.abortConnection()
        await self.end()


class ConnectTests(TcpCase):
    async def failure(
        self, host: str = "remote", names: dict[str, Any] | None = None, **settings: Any
    ) -> Any:
        self.supervisor(resolver=FakeResolver(**(names or {})), connect_timeout=5)
        self.the.start(spec(*program("chats.py"), host=host, channel=channel(transport="tcp", **settings)))
        await self.handler.until(lambda: bool(self.handler.failed or self.handler.spawned))
        self.assertEqual(self.handler.spawned, [], "no program without a connection")
        return self.handler.failed[0][1:]

    def closed_port(self) -> tuple[str, int]:
        listener = open_listener("tcp:0:interface=127.0.0.1")
        try:
            return "127.0.0.1", listener.getsockname()[1]
        finally:
            listener.close()

    async def test_refused(self) -> None:
        """A connection refused is temporary, names the address, and no program is started for it."""
        dead = self.closed_port()
        reason, temporary = await self.failure(names={"remote": [dead]})
        self.assertTrue(temporary)
        self.assertIn(f"cannot connect to remote [127.0.0.1]:{dead[1]}: Connection was refused", reason)

    async def test_no_such_host(self) -> None:
        """A host that does not exist is a permanent failure."""
        reason, temporary = await self.failure(names={"remote": NoSuchHost("5.1.2", "no such domain")})
        self.assertEqual((reason, temporary), ("remote: no such domain", False))

    async def test_no_such_gateway(self) -> None:
        """A gateway mistyped in the configuration bounces nothing: mail waits until it is put right."""
        names = {"gate": NoSuchHost("5.1.2", "host gate does not exist")}
        reason, temporary = await self.failure(names=names, gateway="gate")
        self.assertEqual((reason, temporary), ("cannot connect to gate: host gate does not exist", True))

    async def test_dns_trouble(self) -> None:
        """A name service that does not answer is temporary."""
        reason, temporary = await self.failure(names={"remote": DnsTrouble("timed out")})
        self.assertEqual((reason, temporary), ("cannot connect to remote: timed out", True))

    async def test_no_host(self) -> None:
        """A channel with nobody to talk to says so."""
        reason, temporary = await self.failure(host="")
        self.assertEqual((reason, temporary), ("channel test_line has no host to connect to", False))

    async def test_a_bug_in_the_resolver(self) -> None:
        """An error of our own is temporary for the mail, and logged."""
        reason, temporary = await self.failure(names={"remote": RuntimeError("bug")})
        self.assertEqual((reason, temporary), ("an error in the controller", True))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_addresses_in_order_then_lastresort(self) -> None:
        """The addresses of the gateway are tried in order, then those of the last resort."""
        resolver = FakeResolver(gate=[self.closed_port(), self.closed_port()], last=[self.here()])
        self.supervisor(resolver=resolver)
        line = channel(transport="tcp", gateway="gate", lastresort="last", interfaceaddress="127.0.0.1")
        self.the.start(spec(*program("chats.py"), host="ignored", channel=line))
        remote = await self.connected
        await self.event("opened")
        self.assertEqual(resolver.asked, ["gate", "last"])
        remote.transport.loseConnection()
        await self.end()

    async def test_source_addresses_take_turns(self) -> None:
        """Each connection of a channel comes from the next of its ``sourceaddresses``."""
        self.supervisor(resolver=FakeResolver(remote=[self.here()]))
        line = channel(transport="tcp", sourceaddresses=("127.0.2.1=one.example", "127.0.2.2"))
        found = set()
        for number in range(2):
            self.connected = Deferred()
            self.the.start(spec(*program("chats.py"), host="remote", channel=line, id=f"j{number}"))
            remote = await self.connected
            found.add(remote.transport.getPeer().host)
            remote.transport.loseConnection()
            await self.handler.until(lambda: len(self.handler.ended) > number)  # noqa: B023 - before the next turn
        self.assertEqual(found, {"127.0.2.1", "127.0.2.2"})

    async def test_the_next_connection_goes_to_another_exchanger(self) -> None:
        """One that answered and opened no session comes last; when none of them did, the one longest ago is first."""
        self.supervisor()
        clock = Clock()
        unwilling = Unwilling(clock)
        hops = [NextHop(f"mx{at}", f"192.0.2.{at}", 25, at) for at in (1, 2, 3)]
        told = []
        for seconds in (0, 1, 1, 1, REMEMBERED + 1):
            clock.advance(seconds)
            first = unwilling.last("c", "h", hops)[0]
            told.append(first.name)
            unwilling.note("c", "h", f"TCP|192.0.2.9|1|{first.address}|25")
            unwilling.note("c", "other", "TCP|192.0.2.9|1|192.0.2.3|25")
            unwilling.note("c", "h", "no connection")
        self.assertEqual(told, ["mx1", "mx2", "mx3", "mx1", "mx1"])

    async def test_who_reports_the_host_is_asked_last(self) -> None:
        """The address that a program on a pipe could not open a session with is not the first for the next one."""
        self.supervisor(resolver=FakeResolver(remote=[self.here()]))
        said = (
            '{"op":"report","id":"e1","verdict":"deferred","status":"4.3.2","reply":"421 busy","scope":"host"'
        )
        said += ',"transport":"TCP|127.0.0.1|1|127.0.0.1|25"}'
        line = channel(transport="tcp")
        job = await self.started(*program("says.py", "take", said), host="remote", channel=line)
        job.assign(message("e1"), b"")
        await self.handler.until(lambda: bool(self.handler.said(Report)))
        hops = [NextHop("a", "127.0.0.1", 25), NextHop("b", "192.0.2.1", 25)]
        self.assertEqual(self.the._shared.unwilling.last(line.name, "remote", hops)[0].name, "b")
        job.end("test over")
        await self.end()

    async def test_name_servers_of_the_channel(self) -> None:
        """The next hop is looked for where the channel says, not where the system does."""
        server = NameServer(reactor, Zone("only.here.test. 60 A 127.0.0.1"))
        self.addCleanup(server.close)
        self.supervisor(resolver=Resolvers(reactor))
        settings = channel(
            transport="tcp", nameservers=(server.address,), port=self.number, mx="nomx", private=True
        )
        self.the.start(spec(*program("chats.py"), host="only.here.test", channel=settings))
        remote = await self.connected
        remote.transport.loseConnection()
        await self.end()
        self.assertIn(("only.here.test.", "A"), server.zone.asked)

    async def test_ip_access(self) -> None:
        """Addresses that the table skips are not connected to; a host that it forbids fails the mail."""
        for template, temporary, words in (
            ("$I", True, "cannot connect to remote: IP_ACCESS allows none of its addresses"),
            ("$Nsecret", False, "Invalid host: remote"),
        ):
            found = await self.failure(
                names={"remote": [self.here()]}, ip_access={"IP_ACCESS": f"*|1|1|*  {template}"}
            )
            self.assertEqual(found, (words, temporary))
            self.handler.failed.clear()

    async def test_last_resort_fails_too(self) -> None:
        """When the last resort does not exist either, it is still only for now."""
        names = {"remote": [self.closed_port()], "last": NoSuchHost("5.1.2", "no such domain")}
        reason, temporary = await self.failure(names=names, lastresort="last")
        self.assertTrue(temporary)
        self.assertIn("; last: no such domain", reason)

    async def test_program_missing_closes_the_connection(self) -> None:
        """A connection made for a program that does not start is closed."""
        self.supervisor(resolver=FakeResolver(remote=[self.here()]))
        self.the.start(spec("no_such_prog", host="remote", channel=channel(transport="tcp")))
        remote = await self.connected
        await remote.gone
        self.assertEqual(self.handler.failed[0][1:], ("program no_such_prog was not found", False))


class CommandTests(SupervisionCase):
    async def joined(self, command: str, *arguments: str) -> Any:
        self.supervisor(leave=0.2, kill_after=0.2)
        self.the.start(
            spec(*program("chats.py", *arguments), channel=channel(transport=f"command:{command}"))
        )
        await self.handler.until(lambda: bool(self.handler.failed or self.handler.said(HelloProgram)))
        return self.handler.spawned[0] if self.handler.spawned else None

    async def test_joined_to_a_program(self) -> None:
        """A program's dialogue goes through any command, here one that answers in capitals."""
        job = await self.joined('sh -c \'read a; echo "$a" | tr a-z A-Z; echo "for $PMDF_CHANNEL"; exit 5\'')
        how = await self.end()
        self.assertEqual(self.handler.said(Event)[-1].text, "FIRST\r\nfor test_line\n")
        self.assertEqual(how.exit_status, 0)
        self.assertEqual(job.peer, "sh exited with status 5")
        self.assertIn("sh exited with status 5", self.handler.logged)

    async def test_its_stderr_is_the_jobs(self) -> None:
        """What the command complains about stands in the log under the job's name."""
        job = await self.joined("sh -c 'echo no route to host >&2; exit 255'")
        await self.end()
        self.assertIn("sh: no route to host", self.handler.logged)
        self.assertEqual(job.peer, "sh exited with status 255: no route to host")

    async def test_it_dies(self) -> None:
        """A command that is killed is a lost connection, not an error of ours."""
        job = await self.joined("sh -c 'kill -9 $$'")
        how = await self.end()
        self.assertEqual(job.peer, "sh was killed by SIGKILL")
        self.assertEqual(how.exit_status, 0)

    async def test_it_stays_after_the_end(self) -> None:
        """A command that does not end with its program is ended: nothing stays behind."""
        job = await self.joined("sh -c 'trap \"\" TERM; while :; do sleep 100; done'", "exit")
        how = await self.end()
        self.assertEqual((how.exit_status, job.peer), (0, "sh was killed by SIGKILL"))

    async def test_it_floods_stderr(self) -> None:
        """A command that floods stderr delays nobody."""
        await self.joined('sh -c \'head -c 3000000 /dev/zero | tr "\\0" "\\n" >&2; echo done\'')
        how = await self.end()
        self.assertEqual(how.exit_status, 0)
        self.assertEqual(self.handler.said(Event)[-1].text, "done\n")
        self.assertLess(len(self.handler.logged), 20_000)

    async def test_it_does_not_exist(self) -> None:
        """A command that is not there is the reason why the job did not start."""
        self.assertIsNone(await self.joined("no_such_cmd -x"))
        self.assertEqual(self.handler.failed[0][1:], ("program no_such_cmd was not found", False))

    async def test_bad_quoting(self) -> None:
        """A command that cannot be split into words is named."""
        self.assertIsNone(await self.joined("sh 'x"))
        self.assertIn("No closing quotation", self.handler.failed[0][1])

    async def test_the_program_does_not_exist(self) -> None:
        """A program that is not there takes the command with it."""
        self.supervisor()
        self.the.start(spec("no_such_prog", channel=channel(transport="command:cat")))
        await self.handler.until(lambda: bool(self.handler.failed))
        self.assertEqual(self.handler.failed[0][1], "program no_such_prog was not found")


class ChannelTests(SupervisionCase):
    def peer_spec(self, name: str, master: JobSpec) -> JobSpec:
        if name != "test_in":
            raise CannotStart(f"there is no channel {name}", temporary=False)
        return spec(*self.slave, id=master.id + "s", role="slave", channel=channel("test_in"))

    slave = program("chats.py", "half")

    async def test_back_to_back(self) -> None:
        """A master and the slave of another channel are two jobs, joined by their stdio."""
        self.supervisor()
        self.the.start(spec(*program("chats.py", "half"), channel=channel(transport="channel:test_in")))
        await self.handler.until(lambda: len(self.handler.ended) == 2)
        self.assertEqual([job.spec.role for job in self.handler.spawned], ["slave", "master"])
        said = [e.text for e in self.handler.said(Event) if e.event == "closed"]
        self.assertEqual(said, ["first\r\n", "first\r\n"])
        self.assertEqual({how.exit_status for _, how in self.handler.ended}, {0})

    async def test_no_such_channel(self) -> None:
        """A channel that does not exist is the reason why the job did not start."""
        self.supervisor()
        self.the.start(spec("sh", channel=channel(transport="channel:nowhere")))
        await self.handler.until(lambda: bool(self.handler.failed))
        self.assertEqual(self.handler.failed[0][1:], ("there is no channel nowhere", False))

    async def test_master_missing(self) -> None:
        """When the master does not start its slave reads end-of-file and leaves."""
        self.supervisor()
        self.the.start(spec("no_such_prog", channel=channel(transport="channel:test_in")))
        await self.end()
        self.assertEqual(len(self.handler.failed), 1)

    async def test_slave_dies(self) -> None:
        """A slave that dies is the master's lost connection."""
        self.slave = program("waits.sh")
        self.supervisor()
        self.the.start(spec(*program("chats.py"), channel=channel(transport="channel:test_in")))
        await self.handler.until(lambda: len(self.handler.said(HelloProgram)) == 2)
        slave, master = self.handler.spawned
        os.kill(slave.pid, 9)
        await self.handler.until(lambda: len(self.handler.ended) == 2)
        self.assertEqual(master.peer, "slave j1s of channel test_in ended")
