"""The control socket's server, over a real UNIX socket."""

import os
import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPullProducer
from twisted.internet.threads import deferToThread
from zope.interface import implementer
from zope.interface.verify import verifyObject

from jobctl.control import output, server
from jobctl.control.operations import IOperations
from tests.control_case import ControlCase


class ServerTests(ControlCase):
    """What any client can rely on, and what none can bring about."""

    def test_interface(self) -> None:
        """The fake the tests use is what the server really works with."""
        verifyObject(IOperations, self.operations)

    async def test_ping(self) -> None:
        """A request is answered under its number, and the operation knows who asked."""
        self.assertEqual(await self.ask({"op": "ping", "id": 7}), {"id": 7, "result": "jobctl"})
        caller = self.operations.calls[0][1]
        self.assertEqual((caller.uid, caller.pid), (os.geteuid(), os.getpid()))

    async def test_unknown_operation(self) -> None:
        """An operation that does not exist is an error that leaves the connection in use."""
        raw = self.client()
        answer = await self.ask({"op": "qm.frobnicate", "id": 3}, client=raw)
        self.assertEqual((answer["id"], answer["error"]["exit"]), (3, os.EX_USAGE))
        self.assertEqual((await self.ask({"op": "ping", "id": 4}, client=raw))["result"], "jobctl")

    async def test_wrong_key(self) -> None:
        """A key of the wrong type is named in the error."""
        answer = await self.ask({"op": "qm.stop", "id": 3, "channel": 5})
        self.assertIn("channel", answer["error"]["text"])

    async def test_unknown_keys_are_ignored(self) -> None:
        """A newer client's keys do not hurt."""
        self.assertEqual((await self.ask({"op": "ping", "id": 1, "colour": "red"}))["result"], "jobctl")

    async def test_garbage_ends_one_connection_alone(self) -> None:
        """Garbage is answered with one error and the end of that connection; others do not notice."""
        other = self.client()
        for garbage in (
            b"\x00\xff\xfe\n",
            b"GET / HTTP/1.0\r\n\r\n",
            b"[1]\n",
            b'{"op":"ping","id":"x"}\n',
            b"\n",
        ):
            raw = self.client()
            raw.socket.sendall(garbage)
            answer = await deferToThread(raw.answer)
            self.assertEqual(answer["error"]["exit"], os.EX_PROTOCOL, garbage)
            self.assertIsNone(await deferToThread(raw.answer))
        self.assertEqual((await self.ask({"op": "ping", "id": 1}, client=other))["result"], "jobctl")

    async def test_endless_line(self) -> None:
        """A line without end is cut off at a megabyte."""
        raw = self.client()

        def flood() -> Any:
            try:
                for _ in range(64):
                    raw.socket.sendall(b"x" * 65536)
            except OSError:
                pass
            return raw.answer()

        self.assertEqual((await deferToThread(flood))["error"]["exit"], os.EX_PROTOCOL)

    async def test_too_much_content_announced(self) -> None:
        """No frame may bring more than 256 KiB."""
        answer = await self.ask({"op": "enqueue", "id": 1, "size": 10**9})
        self.assertEqual(answer["error"]["exit"], os.EX_PROTOCOL)

    async def test_same_number_twice(self) -> None:
        """A number that is still open cannot be used again."""
        raw = self.client()
        answer = await self.ask({"op": "run", "id": 1, "channel": "l"}, {"op": "ping", "id": 1}, client=raw)
        self.assertEqual((answer["id"], answer["error"]["exit"]), (0, os.EX_PROTOCOL))

    async def test_errors(self) -> None:
        """Each kind of failure has its exit status and one line; a bug shows no details."""
        for entry, exit_status in (
            ("disk", os.EX_TEMPFAIL),
            ("broken", os.EX_TEMPFAIL),
            ("config", os.EX_CONFIG),
            ("bug", os.EX_SOFTWARE),
        ):
            answer = await self.ask({"op": "qm.hold", "id": 1, "ids": [entry]})
            self.assertEqual(answer["error"]["exit"], exit_status, entry)
            self.assertNotIn("\n", answer["error"]["text"])
            self.assertNotIn("secret", answer["error"]["text"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        answer = await self.ask({"op": "qm.read", "id": 1, "message": "nosuch"})
        self.assertEqual(answer["error"]["exit"], os.EX_NOINPUT)

    async def test_list_is_streamed(self) -> None:
        """A list without bound comes item by item, then its count, however the operation gave it."""
        for op, count in (("qm.directory", 4), ("qm.held", 1)):
            raw = self.client()
            first = await self.ask({"op": op, "id": 1}, client=raw)
            self.assertIn("id", first["item"])
            answers = [first]
            while "result" not in answers[-1]:
                answers.append(await deferToThread(raw.answer))
            self.assertEqual(answers[-1]["result"], {"count": count})
            self.assertEqual(len(answers), count + 1)

    async def test_half_close_still_gets_answers(self) -> None:
        """A client that closes its writing half (socat) gets the answers to what it asked, then the end."""
        raw = self.client()
        raw.send({"op": "run", "id": 1, "channel": "l"}, {"op": "ping", "id": 2})
        raw.socket.shutdown(socket.SHUT_WR)
        self.assertEqual((await deferToThread(raw.answer))["id"], 2)
        self.operations.streams[0].cancel()
        self.assertEqual((await deferToThread(raw.answer))["id"], 1)
        self.assertIsNone(await deferToThread(raw.answer))

    async def test_going_away_is_noticed(self) -> None:
        """When the client is gone, what only served it is told at once."""
        raw = self.client()
        await self.ask({"op": "run", "id": 1, "channel": "l"}, {"op": "ping", "id": 2}, client=raw)
        gone = self.operations.streams[0].when_cancelled()
        raw.close()
        await gone
        self.assertTrue(self.operations.streams[0].cancelled)
        self.assertIsNone(self.operations.streams[0].line("nobody reads this"))

    async def test_cancel(self) -> None:
        """An open request can be cancelled without ending the connection."""
        raw = self.client()
        await self.ask({"op": "run", "id": 1, "channel": "l"}, {"op": "ping", "id": 2}, client=raw)
        raw.send({"op": "cancel", "id": 3, "request": 1}, {"op": "cancel", "id": 4, "request": 99})
        answers = {answer["id"]: answer for answer in [await deferToThread(raw.answer) for _ in range(3)]}
        self.assertEqual(answers[1]["error"]["text"], "nobody watches any more")
        self.assertEqual(answers[3]["result"], {"cancelled": True})
        self.assertEqual(answers[4]["result"], {"cancelled": False})

    async def test_heartbeat(self) -> None:
        """Whoever waits for an answer hears that the daemon is alive."""
        raw = self.client()
        await self.ask({"op": "run", "id": 5, "channel": "l"}, {"op": "ping", "id": 6}, client=raw)
        self.factory._tick()
        self.assertEqual(await deferToThread(raw.answer), {"id": 5, "alive": True})

    async def test_reader_that_never_reads(self) -> None:
        """A client that asks and never reads is dropped once too much waits for it; nobody else notices."""
        raw = self.client()
        await self.ask({"op": "run", "id": 1, "channel": "l"}, {"op": "ping", "id": 2}, client=raw)
        stream = self.operations.streams[0]
        gone = stream.when_cancelled()
        line = "x" * 100_000
        for _ in range(2 * output.LIMIT // len(line)):
            stream.line(line)
        await gone
        self.assertEqual((await self.ask({"op": "ping", "id": 1}))["result"], "jobctl")

    async def test_reader_that_stopped_reading(self) -> None:
        """A client that takes nothing for a minute is dropped though little waits for it."""
        raw = self.client()
        await self.ask({"op": "run", "id": 1, "channel": "l"}, {"op": "ping", "id": 2}, client=raw)
        stream = self.operations.streams[0]
        slow = None
        while slow is None:
            slow = stream.line("x" * 100_000)
        self.factory._tick()
        self.assertFalse(stream.cancelled)
        later = reactor.seconds() + output.PATIENCE + 1
        for connection in self.factory._connections:
            connection._output._seconds = lambda: later
        self.factory._tick()
        await stream.when_cancelled()
        await slow

    async def test_slow_reader_is_waited_for(self) -> None:
        """A list longer than the buffers arrives whole at a client that reads slowly."""
        raw = self.client()
        self.operations.qm_held = lambda *_: [{"n": n, "text": "x" * 1000} for n in range(5000)]  # type: ignore
        raw.send({"op": "qm.held", "id": 1})

        def read() -> int:
            count = 0
            while "item" in raw.answer():
                count += 1
            return count

        self.assertEqual(await deferToThread(read), 5000)

    async def test_many_requests_at_once(self) -> None:
        """More requests than may be open at a time are all answered, in their time."""
        raw = self.client()
        count = 3 * server.MOST_OPEN
        waiting: list[Deferred[str]] = []

        def ping(*_: Any) -> Deferred[str]:
            waiting.append(Deferred())
            if len(waiting) % server.MOST_OPEN == 0:
                reactor.callLater(0, self._answer_all, waiting[-server.MOST_OPEN :])
            return waiting[-1]

        self.operations.ping = ping  # type: ignore[assignment]
        raw.send(*({"op": "ping", "id": n} for n in range(1, count + 1)))

        def read() -> list[int]:
            return [raw.answer()["id"] for _ in range(count)]

        self.assertEqual(sorted(await deferToThread(read)), list(range(1, count + 1)))

    @staticmethod
    def _answer_all(waiting: "list[Deferred[str]]") -> None:
        for done in waiting:
            done.callback("jobctl")

    async def test_too_many_connections(self) -> None:
        """Beyond the limit a connection is refused with a reason; it passes."""
        self.patch(server, "MOST_CONNECTIONS", 1)
        await self.ask({"op": "ping", "id": 1})
        answer = await self.ask()
        self.assertEqual((answer["id"], answer["error"]["exit"]), (0, os.EX_TEMPFAIL))

    async def test_refused_ones_do_not_stay(self) -> None:
        """Who was refused goes when he has spoken, at the next heartbeat, or at once when there are many."""
        self.patch(server, "MOST_CONNECTIONS", 0)
        self.patch(server, "MOST_REFUSED", 2)
        talker, silent, third = self.client(), self.client(), self.client()
        for raw in (talker, silent, third):
            self.assertIn("error", await deferToThread(raw.answer))
        self.assertIsNone(await deferToThread(third.answer))
        talker.send({"op": "ping", "id": 1})
        self.assertIsNone(await deferToThread(talker.answer))
        self.factory._tick()
        self.assertIsNone(await deferToThread(silent.answer))


class EnqueueTests(ControlCase):
    """Messages over the control socket."""

    async def test_pieces(self) -> None:
        """Content in pieces arrives whole, with CRLF line ends."""
        raw = self.client()
        head = {
            "op": "enqueue",
            "id": 1,
            "sender": "a@a.example",
            "recipients": ["b@b.example", "c@b.example"],
        }
        raw.send({**head, "more": True, "size": 3})
        raw.socket.sendall(b"a\n\r")
        raw.send({"op": "enqueue", "id": 1, "more": True, "size": 4})
        raw.socket.sendall(b"\n\rb\n")
        raw.send({"op": "enqueue", "id": 1})
        self.assertEqual(await deferToThread(raw.answer), {"id": 1, "result": ["m1x0", "m1x1"]})
        self.assertEqual(self.operations.received[0][1], b"a\r\n\r\n\r\nb\r\n")

    async def test_refused_message_is_swallowed(self) -> None:
        """A message refused at its first piece does not upset the connection with the others."""
        raw = self.client()
        head = {"op": "enqueue", "id": 1, "sender": "a@a.example", "recipients": ["refused@b.example"]}
        answer = await self.ask({**head, "more": True}, client=raw)
        self.assertEqual(answer["error"], {"text": "550 5.1.2 no such domain", "exit": os.EX_NOHOST})
        raw.send(
            {"op": "enqueue", "id": 1, "more": True}, {"op": "enqueue", "id": 1}, {"op": "ping", "id": 2}
        )
        self.assertEqual((await deferToThread(raw.answer))["id"], 2)
        self.assertEqual(self.operations.received, [])

    async def test_full_disk(self) -> None:
        """A full disk is trouble that passes, whichever piece meets it."""
        raw = self.client()
        raw.send(
            {"op": "enqueue", "id": 1, "sender": "full@a.example", "recipients": ["b@b.example"], "size": 1}
        )
        raw.socket.sendall(b"x")
        self.assertEqual((await deferToThread(raw.answer))["error"]["exit"], os.EX_TEMPFAIL)

    async def test_abort(self) -> None:
        """A message that the client gives up is forgotten, on request and when the client dies."""
        head = {"op": "enqueue", "sender": "a@a.example", "recipients": ["b@b.example"], "more": True}
        raw = self.client()
        raw.send({**head, "id": 1}, {"op": "enqueue", "id": 1, "abort": True})
        self.assertIn("given up", (await deferToThread(raw.answer))["error"]["text"])
        self.assertEqual(self.operations.aborted, 1)
        raw.send({**head, "id": 2}, {"op": "ping", "id": 3})
        await deferToThread(raw.answer)
        raw.socket.shutdown(socket.SHUT_WR)
        self.assertIsNone(await deferToThread(raw.answer))
        self.assertEqual((self.operations.aborted, self.operations.received), (2, []))

    async def test_back_pressure(self) -> None:
        """While the receiver is busy nothing more is read; it all arrives afterwards."""
        self.operations.slow_write = busy = Deferred()
        raw = self.client()
        raw.send(
            {"op": "enqueue", "id": 1, "sender": "", "recipients": ["b@b.example"], "more": True, "size": 2}
        )
        raw.socket.sendall(b"ab")
        raw.send({"op": "enqueue", "id": 1, "size": 2})
        raw.socket.sendall(b"cd")
        await self.ask({"op": "ping", "id": 1})
        self.assertEqual(self.operations.received, [])
        self.operations.slow_write = None
        busy.callback(None)
        self.assertEqual((await deferToThread(raw.answer))["result"], ["m1x0"])
        self.assertEqual(self.operations.received[0][1], b"abcd")

    async def test_messages_begun_without_end(self) -> None:
        """No client can begin messages without end."""
        raw = self.client()
        head = {"op": "enqueue", "sender": "", "recipients": ["b@b.example"], "more": True}
        raw.send(*({**head, "id": n} for n in range(1, 300)))
        answer = await deferToThread(raw.answer)
        self.assertEqual((answer["id"], answer["error"]["exit"]), (0, os.EX_PROTOCOL))


class Echo:
    """Greets at once and says back what it hears."""

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.lost: Deferred[None] = Deferred()
        transport.write(b"hello")
        transport.writeSequence([b" ", b"there\n"])

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data.upper())

    def connectionLost(self, reason: Any) -> None:
        self.lost.callback(None)


class AttachTests(ControlCase):
    """A connection that becomes a job's pipe."""

    async def test_hand_over(self) -> None:
        """The answer comes first, then the job has every octet, those sent with the request too."""
        self.operations.attaching = Echo
        raw = self.client()
        raw.socket.sendall(b'{"op":"attach","id":1,"channel":"l","role":"master"}\nnot {json\n')
        self.assertEqual(await deferToThread(raw.answer), {"id": 1, "result": {"attached": True}})
        self.assertEqual(await deferToThread(raw.file.readline), b"hello there\n")
        self.assertEqual(await deferToThread(raw.file.readline), b"NOT {JSON\n")
        raw.socket.sendall(b"more\n")
        self.assertEqual(await deferToThread(raw.file.readline), b"MORE\n")
        raw.close()
        await self.operations.attached[0].lost

    async def test_job_with_a_producer(self) -> None:
        """A job that regulates its own output from the start is asked for it once the answer is out."""

        @implementer(IPullProducer)
        class Counting(Echo):
            left = 3

            def __init__(self, transport: Any) -> None:
                super().__init__(transport)
                transport.registerProducer(self, False)

            def resumeProducing(self) -> None:
                self.left -= 1
                self.transport.write(b"line\n")
                if not self.left:
                    self.transport.unregisterProducer()

            def stopProducing(self) -> None:
                pass

        self.operations.attaching = Counting
        raw = self.client()
        raw.send({"op": "attach", "id": 1, "channel": "l"})
        lines = [await deferToThread(raw.file.readline) for _ in range(5)]
        self.assertEqual(lines[1:], [b"hello there\n", b"line\n", b"line\n", b"line\n"])
        self.assertIn(b"attached", lines[0])

    async def test_refused(self) -> None:
        """A refused program hears why, and the connection stays a control connection."""
        raw = self.client()
        answer = await self.ask(
            {"op": "attach", "id": 1, "channel": "nosuch"}, {"op": "ping", "id": 2}, client=raw
        )
        self.assertEqual(answer["error"]["exit"], os.EX_CONFIG)
        self.assertEqual((await deferToThread(raw.answer))["id"], 2)

    async def test_gone_before_attached(self) -> None:
        """A program that dies while it is being attached leaves a job that is told."""
        ready: Deferred[Any] = Deferred()
        self.operations.attach = lambda request, caller, transport: ready.addCallback(  # type: ignore
            lambda _: self.operations.attached.append(Echo(transport)) or self.operations.attached[0]
        )
        raw = self.client()
        raw.send({"op": "attach", "id": 1, "channel": "l"})
        await self.ask({"op": "ping", "id": 1})
        raw.close()
        ready.callback(None)
        await self.operations.attached[0].lost

    async def test_not_among_other_requests(self) -> None:
        """A connection with open requests cannot become a job's pipe."""
        answer = await self.ask(
            {"op": "run", "id": 1, "channel": "l"}, {"op": "attach", "id": 2, "channel": "l"}
        )
        self.assertEqual(answer["error"]["exit"], os.EX_PROTOCOL)
