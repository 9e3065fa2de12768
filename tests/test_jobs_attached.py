"""Programs started by hand, joined over a connection: the same promises as for our own."""

import json
import os
from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from jobctl.jobprotocol.codec import from_controller
from jobctl.jobprotocol.frames import HelloController, Message, Report, Stop
from jobctl.jobs.supervisor import Supervisor, SupervisorSettings
from tests.jobs_support import Handler, message, spec


class AttachedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.handler = Handler()
        self.transport = StringTransport()
        settings = SupervisorSettings(sent_directory="/nonexistent/sent")  # attached jobs have no journal
        self.the = Supervisor(self.clock, self.handler, None, settings)
        self.job = self.the.attach(spec(id="a1"), self.transport, pid=4711)
        self.frames = from_controller()

    def said(self) -> list[Any]:
        """What the program was told since the last look."""
        data = self.transport.value()
        self.transport.clear()
        return [frame for frame, _ in self.frames.feed(data)]

    def say(self, op: str, **keys: Any) -> None:
        self.job.dataReceived(json.dumps({"op": op, **keys}).encode() + b"\n")

    def greet(self, window: int = 0) -> None:
        self.say("hello", version=1, name="byhand", window=window)
        self.said()

    def test_it_is_a_job(self) -> None:
        """A program started by hand gets a hello, messages and a stop, and its verdicts count."""
        self.assertEqual(self.handler.spawned, [self.job])
        hello = self.said()[0]
        self.assertIsInstance(hello, HelloController)
        self.assertEqual((hello.job, hello.channel, self.job.pid), ("a1", "test_line", 4711))
        self.greet()
        self.job.assign(message("e1", octets=2), b"Hi")
        self.assertEqual([frame.id for frame in self.said()], ["e1"])
        self.say("report", id="e1", verdict="delivered", status="2.0.0")
        self.assertEqual(len(self.handler.said(Report)), 1)
        self.job.stop()
        self.job.stop()
        self.assertEqual([type(frame) for frame in self.said()], [Stop])
        self.job.connectionLost()
        self.job.connectionLost()
        [(_, how)] = self.handler.ended
        self.assertEqual((how.text, how.exit_status, how.signal, how.worked), ("left", None, None, True))
        self.assertEqual(self.the.jobs, {})
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_hello(self) -> None:
        """One that does not say hello is turned away."""
        self.clock.advance(31)
        self.assertTrue(self.transport.disconnecting or self.transport.aborting)
        self.job.connectionLost()
        self.assertEqual(self.handler.ended[0][1].text, "did not say hello within 30 s")

    def test_not_leaving(self) -> None:
        """One that does not leave when told is turned away in the end."""
        self.greet()
        self.job.stop(7)
        self.clock.advance(8)
        self.job.connectionLost()
        self.assertEqual(self.handler.ended[0][1].text, "did not leave when it was told to stop")

    def test_violation(self) -> None:
        """One that breaks the protocol is not heard any more."""
        self.greet()
        self.say("sent", id="e1")
        self.say("ask", n=1)
        self.job.connectionLost()
        self.assertEqual(self.handler.ended[0][1].text, "broke the protocol: it does not hold 'e1'")
        self.assertEqual(len(self.handler.frames), 1)

    def test_a_slow_reader_is_not_drowned(self) -> None:
        """While the connection is full, large content waits where it is, and goes on after."""
        self.greet(window=50)
        self.transport.producer.pauseProducing()
        content = os.urandom(5_000_000)
        self.job.assign(message("big", octets=len(content)), content)
        self.assertEqual(self.transport.value(), b"")
        self.assertLess(self.job.pending, 1024 * 1024)
        received = b""
        while len(received) < len(content):
            self.job.resumeProducing()
            self.transport.producer.pauseProducing()
            pieces = self.frames.feed(self.transport.value())
            self.assertTrue(pieces)
            self.transport.clear()
            received += b"".join(piece for _, piece in pieces)
        self.assertEqual(received, content)

    def test_pausing(self) -> None:
        """Reading from it can be paused."""
        self.job.pause()
        self.assertEqual(self.transport.producerState, "paused")
        self.job.resume()
        self.assertEqual(self.transport.producerState, "producing")

    def test_frames_do_not_pass_a_message_in_order(self) -> None:
        """A program without a window gets a whole message before anything else is said."""
        self.greet(window=0)
        self.job.pauseProducing()
        content = b"x" * 2_000_000
        self.job.assign(message("big", octets=len(content)), content)
        self.job.assign(message("small"), b"y")
        self.job.stop()
        told: list[Any] = []
        while not told or not isinstance(told[-1], Stop):
            self.job.resumeProducing()
            self.job.pauseProducing()
            told += self.said()
        self.assertEqual([frame.id for frame in told if isinstance(frame, Message)], ["big"] * 8 + ["small"])
        self.job.connectionLost()

    def test_a_window_is_kept(self) -> None:
        """A program with a window gets no more pieces than it asked for, and none after its verdict."""
        self.greet(window=2)
        self.job.assign(message("big", octets=2_000_000), b"x" * 2_000_000)
        self.assertEqual([frame.more for frame in self.said()], [True, True])
        self.say("ask", n=1, id="big")
        self.assertEqual(len(self.said()), 1)
        self.say("ask", n=5, id="other")
        self.assertEqual(self.said(), [])
        self.say("report", id="big", verdict="failed", status="5.3.4")
        self.say("ask", n=5, id="big")
        self.assertEqual(self.said(), [])
        self.job.assign(message("big", octets=2_000_000), b"x" * 2_000_000)
        self.assertEqual(len(self.said()), 2)

    def test_assigning_too_early_or_twice(self) -> None:
        """Before hello, or while it is held, a message cannot be given."""
        self.assertRaises(ValueError, self.job.assign, message("e1"), b"")
        self.greet()
        self.job.assign(message("e1"), b"")
        self.assertRaises(ValueError, self.job.assign, message("e1"), b"")

    def test_debug(self) -> None:
        """A job started for debugging has its program show the dialogue."""
        self.transport = StringTransport()
        self.the.attach(spec(id="a2", debug=True), self.transport)
        self.assertTrue(self.said()[0].settings["master_debug"])

    def test_bugs_in_the_handler(self) -> None:
        """Errors of our own while handling a job end that job alone, and are logged."""

        def fail(*_: Any) -> None:
            raise RuntimeError("bug")

        self.handler.job_batch_done = fail  # type: ignore[method-assign]
        self.greet()
        self.handler.job_ended = fail  # type: ignore[method-assign]
        self.job.connectionLost()
        self.handler.job_spawned = fail  # type: ignore[method-assign]
        other = StringTransport()
        self.the.attach(spec(id="a3"), other)
        self.assertTrue(other.disconnecting or other.aborting)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 3)
        self.assertTrue(self.transport.disconnecting or self.transport.aborting)
