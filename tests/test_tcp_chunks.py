"""Large messages in chunks of BDAT, by both programs, to peers that take them, refuse them or leave."""

import threading
from typing import Any

import pytest

from jobctl.jobprotocol.frames import PIECE, Ask, Message, Report, Stop
from jobctl.mail.disposition import Verdict
from tests import kit_support
from tests.tcp_support import BODY, Peer, Program, Wire, memory, message
from tests.test_tcp_client import client

LINE = b"x" * 126 + b"\r\n"
PIECES = [LINE * (PIECE // 128)] * 3 + [b".\r\nno end"]
LARGE = b"".join(PIECES)


def greet(wire: Wire) -> None:
    wire.greet("PIPELINING", "CHUNKING")


def envelope(wire: Wire) -> None:
    assert wire.line().startswith(b"MAIL")
    assert wire.line().startswith(b"RCPT")
    wire.say("250 sender", "250 recipient")


def chunk(wire: Wire) -> tuple[bytes, bool]:
    verb, size, *last = wire.line().split()
    assert verb == b"BDAT"
    return wire.read(int(size)), bool(last)


def send(program: Program, id: str, pieces: list[bytes], **changes: Any) -> None:
    """A large message, piece by piece as the program asks for them."""
    first = message(id, **{"octets": sum(map(len, pieces)), "more": True} | changes)
    program.send(first, pieces[0])
    credit = 0
    for at, piece in enumerate(pieces[1:], 2):
        while not credit:
            asked = program.expect(Ask, Report, where=lambda one: one.id == id)
            if isinstance(asked, Report):
                program.seen.put((asked, b""))
                return
            credit += asked.n
        credit -= 1
        program.send(Message(id=id, more=at < len(pieces)), piece)


def test_arrives_octet_for_octet() -> None:
    """Chunks of a piece each, the last one closed by a line end; another message follows on the connection."""
    taken: list[list[bytes]] = []

    def script(wire: Wire, number: int) -> None:
        greet(wire)
        for _ in range(2):
            envelope(wire)
            chunks = []
            last = False
            while not last:
                data, last = chunk(wire)
                chunks.append(data)
                wire.say("250 taken")
            taken.append(chunks)
            if wire.line() != b"RSET":
                return
            wire.say("250 reset")

    with Peer(script) as peer, client(peer.port) as program:
        for id in ("E1", "E2"):
            send(program, id, PIECES)
            assert program.expect(Report).verdict is Verdict.DELIVERED
    assert [b"".join(chunks) for chunks in taken] == [LARGE + b"\r\n"] * 2
    assert [len(one) for one in taken[0]] == [PIECE] * 3 + [11]


@pytest.mark.parametrize(("reply", "verdict"), [("452 4.3.1 full", "deferred"), ("552 5.3.4 no", "failed")])
def test_a_refusal_in_the_middle(reply: str, verdict: str) -> None:
    """A refused chunk decides; the rest is not sent, and the connection carries the next message."""
    chunks: list[int] = []

    def script(wire: Wire, number: int) -> None:
        greet(wire)
        envelope(wire)
        chunk(wire)
        wire.say("250 ok")
        chunk(wire)
        wire.say(reply)
        while (line := wire.line()) != b"RSET":
            chunks.append(len(wire.read(int(line.split()[1]))))
            wire.say("503 5.5.1 no transaction")
        wire.say("250 reset")
        assert wire.line().startswith(b"MAIL")
        assert wire.line().startswith(b"RCPT")
        chunk(wire)
        wire.say("250 sender", "250 recipient", "250 2.0.0 taken")
        assert wire.transaction() is None

    with Peer(script) as peer, client(peer.port) as program:
        send(program, "E1", PIECES[:1] * 40)
        report = program.expect(Report)
        assert (str(report.verdict), report.reply) == (verdict, reply)
        program.send(message("E2"), BODY)
        second = program.expect(Report)
        assert (second.id, second.verdict) == ("E2", Verdict.DELIVERED)
        assert program.stop() == 0
    assert peer.count == 1
    assert len(chunks) < 10


def test_a_peer_that_answers_late_is_not_run_over() -> None:
    """Without replies so many chunks go out and no more, and none of the rest is asked for."""
    released = threading.Event()
    sizes: list[int] = []

    def script(wire: Wire, number: int) -> None:
        greet(wire)
        envelope(wire)
        for _ in range(4):
            sizes.append(len(chunk(wire)[0]))
        wire.socket.settimeout(0.2)
        with pytest.raises(TimeoutError):
            wire.socket.recv(1)
        released.set()
        wire.until_closed()

    with Peer(script) as peer, client(peer.port) as program:
        program.send(message("E1", octets=20 * PIECE, more=True), PIECES[0])
        asked = 1
        for _ in range(19):
            if released.is_set():
                break
            program.send(Message(id="E1", more=True), PIECES[0])
        assert released.wait(20)
        while not program.seen.empty():
            frame, _ = program.seen.get()
            asked += frame.n if isinstance(frame, Ask) and frame.id else 0
        assert asked <= 10
    assert sizes == [PIECE] * 4


def test_large_message_bounded_memory() -> None:
    """100 MB in chunks go through a process that stays small."""
    size = [0]

    def script(wire: Wire, number: int) -> None:
        greet(wire)
        envelope(wire)
        last = False
        while not last:
            data, last = chunk(wire)
            size[0] += len(data)
            wire.say("250 ok")
        wire.until_closed()

    with Peer(script) as peer, client(peer.port) as program:
        program.expect(Ask)
        before = memory(program.pid)
        send(program, "E1", PIECES[:1] * 400)
        assert program.expect(Report).verdict is Verdict.DELIVERED
        assert memory(program.pid) - before < 40_000_000
    assert size[0] == 400 * PIECE


def test_master_debug_shows_no_content() -> None:
    """The log has the commands of chunks, never what is in them."""

    def script(wire: Wire, number: int) -> None:
        greet(wire)
        envelope(wire)
        last = False
        while not last:
            _, last = chunk(wire)
            wire.say("250 ok")
        assert wire.transaction() is None

    with Peer(script) as peer, client(peer.port, master_debug=True) as program:
        send(program, "E1", PIECES)
        program.expect(Report)
        assert program.stop() == 0
    log = program.log.decode()
    assert f'Sending : "BDAT {PIECE}"' in log and 'Sending : "BDAT 11 LAST"' in log
    assert "xxx" not in log and "no end" not in log


# The same with test_smtp_master.


@pytest.fixture
def master():
    program = kit_support.Program("channels.test_smtp_master")
    program.controller.hello(kit_support.channel(gateway="gw.example.net"), "master")
    program.peer.send(b"220 mx ESMTP\r\n")
    yield program
    program.__exit__()


def begin(program: kit_support.Program) -> None:
    program.peer.line()
    program.peer.send(b"250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n")
    program.controller.send(kit_support.message("E1", octets=len(LARGE), more=True), PIECES[0])
    assert program.peer.line().startswith(b"MAIL") and program.peer.line().startswith(b"RCPT")
    program.peer.send(b"250 ok\r\n250 ok\r\n")


def take_chunk(program: kit_support.Program) -> tuple[bytes, bool]:
    _, size, *last = program.peer.line().split()
    data = b""
    while len(data) < int(size):
        data += program.peer.some(int(size) - len(data))
    return data, bool(last)


def test_generic_arrives_octet_for_octet(master: kit_support.Program) -> None:
    """Chunks over standard output, asked for from the controller piece by piece; the announcement before LAST."""
    begin(master)
    feeder = threading.Thread(target=feed_rest, args=(master,))
    feeder.start()
    got, last = b"", False
    while not last:
        data, last = take_chunk(master)
        got += data
        master.peer.send(b"250 ok\r\n")
    feeder.join()
    assert got == LARGE + b"\r\n"
    assert master.controller.expect(Report).verdict is Verdict.DELIVERED
    master.controller.send(Stop())
    assert master.peer.line() == b"QUIT\r\n"


def feed_rest(program: kit_support.Program) -> None:
    for at, piece in enumerate(PIECES[1:], 2):
        program.controller.send(Message(id="E1", more=at < len(PIECES)), piece)


def test_generic_refusal_in_the_middle(master: kit_support.Program) -> None:
    """The verdict is the refused chunk's; after RSET the pipe carries the next message."""
    begin(master)
    master.controller.send(Message(id="E1", more=True), PIECES[1])
    take_chunk(master)
    master.peer.send(b"552 5.3.4 too large\r\n")
    assert master.peer.line() == b"RSET\r\n"
    master.peer.send(b"250 ok\r\n")
    report = master.controller.expect(Report)
    assert (report.verdict, report.reply) == (Verdict.FAILED, "552 5.3.4 too large")
    master.controller.send(kit_support.message("E2", octets=len(BODY)), BODY)
    assert master.peer.line().startswith(b"MAIL")
