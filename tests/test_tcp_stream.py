"""Streams, listeners and the job link on real descriptors, turn by turn."""

import contextlib
import errno
import os
import socket
from typing import Any

from twisted.internet import main
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from channels.kit.reactor_link import FULL, ReactorLink
from channels.tcp.stream import Connecting, Listener, Stream
from jobctl.jobprotocol.codec import encode, from_program
from jobctl.jobprotocol.frames import Accepted, Alive, Report, Sent, Stop


class Turns(Clock):
    """A reactor that only remembers what it was asked to watch; time passes by ``advance``."""

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()
        self.addReader, self.removeReader = self.readers.add, self.readers.discard
        self.addWriter, self.removeWriter = self.writers.add, self.writers.discard


class Heard:
    """What a stream told."""

    def __init__(self) -> None:
        self.data = b""
        self.drained = 0
        self.lost: list[str] = []

    def data_received(self, data: bytes) -> None:
        self.data += data

    def stream_drained(self) -> None:
        self.drained += 1

    def stream_lost(self, why: str) -> None:
        self.lost.append(why)


class StreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.turns = Turns()
        self.heard = Heard()
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.peer.setblocking(False)
        self.addCleanup(self.peer.close)
        self.stream = Stream(self.turns, ours, self.heard)
        self.addCleanup(self.stream.abort)

    def take(self) -> bytes:
        data = b""
        while True:
            try:
                more = self.peer.recv(1 << 20)
            except BlockingIOError:
                return data
            if not more:
                return data
            data += more

    def test_writes_at_once(self) -> None:
        """A reply leaves with the call, without another turn."""
        self.stream.write(b"250 ok\r\n")
        self.assertEqual(self.take(), b"250 ok\r\n")
        self.assertEqual(self.turns.writers, set())

    def test_a_peer_that_only_listens(self) -> None:
        """After its end-of-file it is still told what there is to say; nothing is read again, which would spin."""
        ours, peer = socket.socketpair()
        ours.setblocking(False)
        self.addCleanup(peer.close)
        ended: list[str] = []
        stream = Stream(self.turns, ours, self.heard, lambda: ended.append("ended"))
        peer.sendall(b"QUIT\r\n")
        peer.shutdown(socket.SHUT_WR)
        stream.doRead()
        stream.doRead()
        stream.resume()
        self.assertEqual((self.heard.data, ended), (b"QUIT\r\n", ["ended"]))
        self.assertNotIn(stream, self.turns.readers)
        self.assertEqual(self.heard.lost, [])
        stream.write(b"221 bye\r\n")
        stream.close("left")
        self.assertEqual(peer.recv(100), b"221 bye\r\n")
        self.assertEqual(self.heard.lost, ["left"])

    def test_slow_reader(self) -> None:
        """What a slow peer does not take waits, in order, and goes on when there is room."""
        pieces = [bytes([at]) * 300_000 for at in range(10)]
        for piece in pieces:
            self.stream.write(piece)
        self.assertGreater(self.stream.unsent, 0)
        got = b""
        while self.stream in self.turns.writers:
            got += self.take()
            self.stream.doWrite()
        self.assertEqual(got + self.take(), b"".join(pieces))
        self.assertEqual((self.heard.drained, self.stream.unsent), (1, 0))

    def test_full_socket(self) -> None:
        """A full socket is no error."""
        self.stream.write(b"x" * 3_000_000)
        left = self.stream.unsent
        self.stream.doWrite()
        self.stream.write(b"y")
        self.assertEqual(self.stream.unsent, left + 1)
        self.assertEqual(self.heard.lost, [])

    def test_close_sends_first(self) -> None:
        """Closing lets go out what was said before, and nothing said after."""
        self.stream.write(b"x" * 3_000_000)
        self.stream.close()
        self.stream.write(b"late")
        got = 0
        while not self.heard.lost:
            got += len(self.take())
            self.stream.doWrite()
        self.assertEqual(got + len(self.take()), 3_000_000)
        self.assertEqual(self.heard.lost, ["closed"])

    def test_peer_gone(self) -> None:
        """Writing to a peer that is gone is told once, after what it had said was read."""
        self.peer.send(b"bye")
        self.peer.close()
        self.stream.write(b"hello")
        self.stream.doRead()
        self.assertEqual((self.heard.data, self.heard.lost), (b"bye", []))
        self.stream.doRead()
        self.stream.abort()
        self.assertEqual(len(self.heard.lost), 1)

    def test_peer_gone_while_writing(self) -> None:
        """A peer that goes while much waits for it is told as lost."""
        self.stream.write(b"x" * 3_000_000)
        self.peer.close()
        self.stream.doWrite()
        self.assertEqual(len(self.heard.lost), 1)

    def test_nothing_to_read(self) -> None:
        """Being woken for nothing is nothing."""
        self.stream.doRead()
        self.assertEqual((self.heard.data, self.heard.lost), (b"", []))

    def test_reactor_says_lost(self) -> None:
        """A hang-up and a bug of ours are told apart in the log."""
        self.stream.connectionLost(Failure(main.CONNECTION_LOST))
        self.assertEqual(self.heard.lost, ["connection lost"])

    def test_bug(self) -> None:
        """A bug in handling one connection ends that one."""
        self.stream.connectionLost(Failure(ZeroDivisionError()))
        self.assertEqual(self.heard.lost, ["internal error"])

    def test_pause(self) -> None:
        """A paused stream is not watched; a closed one never again."""
        self.stream.pause()
        self.assertNotIn(self.stream, self.turns.readers)
        self.stream.resume()
        self.assertIn(self.stream, self.turns.readers)
        self.stream.abort()
        self.stream.resume()
        self.assertNotIn(self.stream, self.turns.readers)


class _Failing:
    """A listening socket that has its troubles."""

    def __init__(self, *errors: int) -> None:
        self.errors = list(errors)
        self.closed = False

    def accept(self) -> Any:
        raise OSError(self.errors.pop(0), "no")

    def fileno(self) -> int:
        return 99

    def setblocking(self, flag: bool) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class ListenerTests(SynchronousTestCase):
    def test_out_of_descriptors(self) -> None:
        """Without descriptors it rests for a second instead of spinning; other errors are passed over."""
        turns = Turns()
        listener = Listener(turns, _Failing(errno.EMFILE, errno.EPERM), self.fail)  # type: ignore[arg-type]
        listener.doRead()
        self.assertEqual(turns.readers, set())
        turns.advance(1.0)
        self.assertEqual(turns.readers, {listener})
        listener.doRead()
        self.assertEqual(turns.readers, {listener})

    def test_closed_while_resting(self) -> None:
        """Closed while it rests, it never comes back."""
        turns = Turns()
        skt = _Failing(errno.ENFILE)
        listener = Listener(turns, skt, self.fail)  # type: ignore[arg-type]
        listener.doRead()
        listener.connectionLost(None)
        listener.close()
        turns.advance(5.0)
        self.assertEqual((turns.readers, skt.closed), (set(), True))

    def test_closed_by_what_it_accepted(self) -> None:
        """It takes no more connections once the first one has made us stop."""
        turns = Turns()
        skt = socket.create_server(("127.0.0.1", 0))
        address = skt.getsockname()
        taken: list[socket.socket] = []

        def accepted(one: socket.socket, peer: Any) -> None:
            taken.append(one)
            listener.close()

        listener = Listener(turns, skt, accepted)
        clients = [socket.create_connection(address) for _ in range(2)]
        listener.doRead()
        for one in [*clients, *taken]:
            one.close()
        self.assertEqual(len(taken), 1)


class ConnectingTests(SynchronousTestCase):
    def test_bad_source(self) -> None:
        """A source address that is not ours is a failure in the next turn, with the reason."""
        turns = Turns()
        why: list[str] = []
        Connecting(turns, ("127.0.0.1", 9), "192.0.2.1", lambda skt: self.fail("connected"), why.append)
        self.assertEqual(why, [])
        turns.advance(0)
        self.assertEqual(why, [os.strerror(errno.EADDRNOTAVAIL)])

    def test_hang_up(self) -> None:
        """A hang-up seen by the reactor is told once."""
        turns = Turns()
        why: list[str] = []
        with socket.create_server(("127.0.0.1", 0)) as server:
            one = Connecting(
                turns, server.getsockname(), None, lambda skt: self.fail("connected"), why.append
            )
            one.connectionLost(None)
            one.fail("again")
        self.assertEqual(len(why), 1)


class Owner:
    """What the link told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def link_frame(self, frame: Any, content: bytes) -> None:
        self.told.append(frame)

    def link_batch_done(self) -> None:
        self.told.append("done")

    def link_drained(self) -> None:
        self.told.append("drained")

    def link_lost(self, why: str) -> None:
        self.told.append(why)

    def connections(self) -> int:
        return 7


class LinkTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.turns = Turns()
        self.owner = Owner()
        to_us, self.say = os.pipe()
        self.hear, from_us = os.pipe()
        self.ours = [to_us, from_us]
        self.journal_read, self.journal = os.pipe()
        self.written: list[bytes] = []
        for fd in [*self.ours, self.say, self.hear, self.journal, self.journal_read]:
            self.addCleanup(self._close, fd)
        os.set_blocking(self.hear, False)

    def _close(self, fd: int) -> None:
        with contextlib.suppress(OSError):
            os.close(fd)

    def link(self, journal: int | None = None) -> ReactorLink:
        link = ReactorLink(self.turns, self.owner, *self.ours, journal)
        self.addCleanup(link.close)
        return link

    def heard(self) -> list[Any]:
        reader = from_program()
        frames: list[Any] = []
        while True:
            try:
                data = os.read(self.hear, 1 << 20)
            except BlockingIOError:
                return frames
            if not data:
                return frames
            frames += [frame for frame, _ in reader.feed(data)]

    def fill(self, link: ReactorLink) -> None:
        """Send so much that the pipe takes no more."""
        while not link.full:
            link.send(Report(id="x" * 200_000))
        self.turns.advance(0)

    def drain(self, link: ReactorLink) -> list[Any]:
        data = b""
        for _ in range(100):
            try:
                data += os.read(self.hear, 1 << 20)
            except BlockingIOError:
                if not self.turns.writers:
                    break
            for writer in list(self.turns.writers):
                writer.doWrite()
        return [frame for frame, _ in from_program().feed(data)]

    def test_one_write_a_turn(self) -> None:
        """What is said in one turn leaves together at its end."""
        link = self.link()
        for at in range(3):
            link.send(Report(id=str(at)))
        self.assertEqual(self.heard(), [])
        self.turns.advance(0)
        self.assertEqual([frame.id for frame in self.heard()], ["0", "1", "2"])

    def test_reads_a_batch(self) -> None:
        """Frames that came together are handed over, then their end is told."""
        link = self.link()
        os.write(self.say, encode(Accepted(id="1")) + encode(Stop()))
        link.doRead()
        self.assertEqual(self.owner.told, [Accepted(id="1"), Stop(), "done"])
        link.doRead()
        self.assertEqual(len(self.owner.told), 3)

    def test_full_and_drained(self) -> None:
        """A controller that does not read makes the link full; once all is gone it says so."""
        link = self.link()
        self.fill(link)
        self.assertTrue(link.full)
        self.assertGreater(link.pending, 0)
        link.send(Report(id="last"))
        self.turns.advance(0)
        frames = self.drain(link)
        self.assertEqual(frames[-1].id, "last")
        self.assertEqual((self.owner.told, link.full, link.pending), (["drained"], False, 0))
        self.assertGreater(sum(len(frame.id) for frame in frames), FULL)

    def test_dots_wait_for_the_frames(self) -> None:
        """Announced by frames, a dot stays back until the pipe has taken its announcement."""
        link = self.link()
        self.fill(link)
        link.dot("E1", 1)
        link.release(self.written.append, b".\r\n")
        self.turns.advance(0)
        self.assertEqual(self.written, [])
        frames = self.drain(link)
        self.assertIn(Sent(id="E1"), frames)
        self.assertEqual(self.written, [b".\r\n"])

    def test_journal(self) -> None:
        """With a journal the dots of one turn share one line each, and wait for no pipe."""
        link = self.link(self.journal)
        self.fill(link)
        link.dot("E1", 1)
        link.release(self.written.append, b"a")
        link.dot("E2", 4)
        link.release(self.written.append, b"b")
        self.assertEqual(self.written, [])
        self.turns.advance(0)
        self.assertEqual(self.written, [b"a", b"b"])
        self.assertEqual(os.read(self.journal_read, 100), b"E1 1\nE2 4\n")

    def test_journal_on_a_full_disk(self) -> None:
        """A journal that cannot be written is replaced by frames; nothing leaves unannounced."""
        with open("/dev/full", "wb", buffering=0) as full:
            link = self.link(full.fileno())
            link.dot("E1", 1)
            link.release(self.written.append, b".")
            self.turns.advance(0)
        self.assertEqual(self.heard(), [Sent(id="E1")])
        self.assertEqual(self.written, [b"."])

    def test_controller_gone(self) -> None:
        """When the controller is gone it is told once, and no dot leaves any more."""
        link = self.link()
        link.dot("E1", 1)
        link.release(self.written.append, b".")
        os.close(self.hear)
        self.turns.advance(0)
        self.assertEqual(self.owner.told, ["cannot write to the Job Controller"])
        link.send(Report(id="x"))
        link.release(self.written.append, b"more")
        self.turns.advance(60)
        os.close(self.say)
        link.doRead()
        self.assertEqual((len(self.owner.told), self.written), (1, []))

    def test_end_of_the_link(self) -> None:
        """End of file from the controller is told in words."""
        link = self.link()
        os.close(self.say)
        link.doRead()
        link.connectionLost(Failure(main.CONNECTION_DONE))
        self.assertEqual(self.owner.told, ["the Job Controller closed the link"])

    def test_heartbeat(self) -> None:
        """Every ten seconds it tells that the program lives, and how far it has come."""
        link = self.link()
        link.progress = 3
        self.turns.advance(10)
        self.turns.advance(0)
        self.assertEqual(self.heard(), [Alive(progress=3, connections=7)])

    def test_last_words(self) -> None:
        """Before exiting, what is waiting is written; a controller that does not read is not waited for."""
        link = self.link()
        link.send(Report(id="bye"))
        link.finish()
        self.assertEqual([frame.id for frame in self.heard()], ["bye"])
        other = self.link()
        self.fill(other)
        other.finish(0.05)
        self.assertEqual(self.owner.told, [])
