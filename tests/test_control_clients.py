"""The Python clients, blocking and Deferred, against a real server."""

import io
import os
import random
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.threads import deferToThread

from jobctl.control.client import Client
from jobctl.control.deferred_client import DeferredClient, connect
from jobctl.control.refusals import ControlError, NoAnswer, NoDaemon
from tests.control_case import ControlCase
from tests.control_fake import ROWS


class BlockingClientTests(ControlCase):
    """Programs without a reactor."""

    async def with_client(self, do: Any) -> Any:
        def work() -> Any:
            with Client(self.path) as client:
                return do(client)

        return await deferToThread(work)

    async def test_several_calls(self) -> None:
        """One connection serves one request after the other, errors among them."""

        def do(client: Client) -> Any:
            try:
                client.call("qm.read", message="nosuch")
            except ControlError as why:
                return (
                    client.call("ping"),
                    why.exit_status,
                    client.call("qm.directory"),
                    client.call("qm.summarize"),
                )

        pong, status, rows, summary = await self.with_client(do)
        self.assertEqual((pong, status, rows, len(summary)), ("jobctl", os.EX_NOINPUT, ROWS, 2))

    async def test_empty_list(self) -> None:
        """A list without items is an empty list."""
        self.assertEqual(
            await self.with_client(lambda client: client.call("qm.directory", channel="nosuch")), []
        )

    async def test_large_message(self) -> None:
        """A large message arrives octet for octet, from memory and from a file, its line ends made CRLF."""
        content = random.Random(1).randbytes(3_000_000).replace(b"\r", b"").replace(b"\n", b"") + b"\r\n"
        lines = b"line\n" * 200_000

        def do(client: Client) -> Any:
            return [
                client.enqueue("a@a.example", ["b@b.example"], content),
                client.enqueue(
                    "a@a.example", [{"address": "b@b.example", "notify": "NEVER"}], io.BytesIO(lines)
                ),
                client.enqueue("", ["b@b.example"], b""),
            ]

        self.assertEqual(await self.with_client(do), [["m1x0"], ["m2x0"], ["m3x0"]])
        found = [octets for _, octets in self.operations.received]
        self.assertEqual(found, [content, lines.replace(b"\n", b"\r\n"), b""])
        self.assertEqual(self.operations.received[0][0].octets, len(content))

    async def test_refused_while_sending(self) -> None:
        """A message refused early is not sent to its end, and the connection serves the next one."""
        sent = []

        class Endless(io.RawIOBase):
            def read(self, count: int = -1) -> bytes:
                sent.append(count)
                return b"x" * count if len(sent) < 2000 else b""

        def do(client: Client) -> Any:
            try:
                client.enqueue("a@a.example", ["refused@b.example"], Endless())  # type: ignore[arg-type]
            except ControlError as why:
                return why.exit_status, client.enqueue("a@a.example", ["b@b.example"], b"x")

        self.assertEqual(await self.with_client(do), (os.EX_NOHOST, ["m1x0"]))
        self.assertLess(len(sent), 1000)

    async def test_not_allowed(self) -> None:
        """Whoever has no right hears so, though the server closes at once."""
        self.factory.rights = type("Nobody", (), {"of": lambda *_: frozenset()})()
        with self.assertRaisesRegex(ControlError, "control_group"):
            await self.with_client(lambda client: client.call("ping"))
        with self.assertRaisesRegex(ControlError, "control_group"):
            await self.with_client(lambda client: client.enqueue("", ["b@b.example"], b"x" * 10_000_000))

    async def test_attach(self) -> None:
        """The socket is handed over with all that was read of it."""

        class Greeter:
            def __init__(self, transport: Any) -> None:
                transport.write(b'{"op":"hello"}\n')

            def dataReceived(self, data: bytes) -> None:
                pass

            def connectionLost(self, reason: Any) -> None:
                pass

        self.operations.attaching = Greeter

        def work() -> bytes:
            with Client(self.path) as client:
                joined, already = client.attach("l", "master")
                joined.settimeout(10)
                while not already.endswith(b"\n") and (more := joined.recv(100)):
                    already += more
                return already

        self.assertEqual(await deferToThread(work), b'{"op":"hello"}\n')


class DeferredClientTests(ControlCase):
    """Programs on Twisted."""

    async def joined(self, silence: float = 30) -> DeferredClient:
        client = await connect(reactor, self.path, silence=silence)
        self.addCleanup(client.close)
        return client

    async def test_many_at_once(self) -> None:
        """Requests share a connection and are answered each under its own number."""
        client = await self.joined()
        content = b"x\n" * 300_000
        results = await gatherResults(
            [
                client.call("ping"),
                client.enqueue("a@a.example", ["b@b.example"], content),
                client.call("qm.directory"),
                client.enqueue("", ["b@b.example", "c@b.example"], b""),
                client.call("qm.directory", channel="nosuch"),
            ]
        )
        self.assertEqual(results, ["jobctl", ["m1x0"], ROWS, ["m2x0", "m2x1"], []])
        self.assertEqual(self.operations.received[0][1], content.replace(b"\n", b"\r\n"))

    async def test_errors(self) -> None:
        """A refused request fails with its text and exit status; the others go on."""
        client = await self.joined()
        with self.assertRaisesRegex(ControlError, "no message nosuch"):
            await client.call("qm.read", message="nosuch")
        self.assertEqual(await client.call("ping"), "jobctl")

    async def test_stream(self) -> None:
        """Answers before the last come one by one, with the octets that belong to them."""
        client = await self.joined()
        lines: list[Any] = []
        result = await client.stream(
            "run", lambda answer, _: lines.append(answer.line), channel="test_smtp_gateway"
        )
        self.assertEqual((result["delivered"], lines[-1]), (1, "C: EHLO mail.example.org"))
        octets: list[bytes] = []
        await client.stream("qm.read", lambda _, content: octets.append(content), message="a1", content=True)
        self.assertEqual(len(b"".join(octets)), 19 + 700_000)

    async def test_cancel(self) -> None:
        """Cancelling tells the server; the connection stays."""
        client = await self.joined()
        running = client.stream("run", print, channel="l")
        await client.call("ping")
        gone = self.operations.streams[0].when_cancelled()
        running.cancel()
        with self.assertRaises(CancelledError):
            await running
        await gone
        self.assertEqual(await client.call("ping"), "jobctl")

    async def test_daemon_dies(self) -> None:
        """Everything open fails when the connection ends, and everything after it."""
        client = await self.joined()
        running = client.call("run", channel="l")
        await client.call("ping")
        self.factory.drop_all()
        with self.assertRaises(NoAnswer):
            await running
        with self.assertRaises(NoAnswer):
            await client.call("ping")

    async def test_silence(self) -> None:
        """A daemon that gives no sign of life is given up; heartbeats count as signs."""
        client = await self.joined(silence=0.01)
        self.operations.ping = lambda *_: Deferred()  # type: ignore[assignment]
        with self.assertRaisesRegex(NoAnswer, "has not answered"):
            await client.call("ping")

    async def test_closed_by_us(self) -> None:
        """After close nothing can be asked."""
        client = await self.joined()
        client.close()
        with self.assertRaisesRegex(NoAnswer, "closed by this program"):
            await client.call("ping")

    async def test_cannot_connect(self) -> None:
        """The reason is told as the blocking client tells it."""
        with self.assertRaises(NoDaemon):
            await connect(reactor, self.path + ".none")

    async def test_refused(self) -> None:
        """An error about the connection fails what is open."""
        self.factory.rights = type("Nobody", (), {"of": lambda *_: frozenset()})()
        client = await self.joined()
        with self.assertRaisesRegex(ControlError, "control_group"):
            await client.call("ping")

    async def test_another_program(self) -> None:
        """Garbage from the other side is told to be that."""
        client = await self.joined()
        waiting = client.call("run", channel="l")
        client.dataReceived(b"220 mail ESMTP\r\n")
        with self.assertRaisesRegex(ControlError, "not the control socket"):
            await waiting
