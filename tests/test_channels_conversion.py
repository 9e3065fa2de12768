"""The programs, and peers that take seven bits only."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from jobctl.jobprotocol.frames import PIECE, Ask, Message, Report
from jobctl.mail.disposition import Verdict
from jobctl.mail.envelope import Envelope, Recipient
from tests import kit_support
from tests.mime_trees import leaves
from tests.ports import free_port
from tests.tcp_support import Peer, Program, Wire, channel, memory, message, serve

CLIENT, MASTER = "channels.tcp_smtp_client", "channels.test_smtp_master"
HEADER = (
    b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\n"
)
TEXT = b"--m\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
LINE = "Grüße, and words that have no need of any encoding at all.\r\n".encode()
EIGHT = (
    HEADER
    + (TEXT + LINE + b"\r\n") * 2
    + b"--m\r\nContent-Type: application/x-y\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    + bytes(octet for octet in range(256) if octet not in b"\0\r\n")
    + b"\r\n--m\r\nContent-Type: message/rfc822\r\n\r\n"
    + HEADER.replace(b"boundary=m", b"boundary=n")
    + TEXT.replace(b"--m", b"--n")
    + LINE
    + b"--n--\r\n\r\n--m--\r\n"
)
SIGNED = (
    b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n"
    + b"seven\r\n" * 100_000
    + b"\xe9\r\n--s--\r\n"
)


def declared(*recipients: str) -> Envelope:
    return Envelope("ann@a.example", tuple(map(Recipient, recipients or ("bob@b.example",))), body="8BITMIME")


class _Strict:
    """aiosmtpd for ASCII alone: it offers no 8BITMIME, and refuses an octet above 127."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.taken.append(envelope.original_content)
        return "250 2.0.0 taken"


class _StrictController(Controller):
    def factory(self) -> SMTP:
        return SMTP(self.handler, decode_data=True, hostname="strict.example")


def test_a_strict_server_of_another_make() -> None:
    """What it would have refused arrives, and reads as it was; what nobody declared as well."""
    strict = _Strict()
    taking = _StrictController(strict, hostname="127.0.0.1", port=free_port())
    taking.start()
    try:
        for keyword in ("eightnegotiate", "eightbit"):
            with Program(CLIENT, channel(port=taking.port, eight=keyword)) as one:
                one.send(message("E1", content=EIGHT), EIGHT)
                report = one.expect(Report)
                assert one.stop() == 0
            assert report.verdict is (Verdict.FAILED if keyword == "eightbit" else Verdict.DELIVERED), report
    finally:
        taking.stop()
    (taken,) = strict.taken
    assert taken.isascii() and leaves(taken) == leaves(EIGHT)


@pytest.mark.real
def test_smtp_sink() -> None:
    """smtp-sink without 8BITMIME keeps what was encoded, octet for octet as we said it."""
    sink = shutil.which("smtp-sink", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if sink is None:
        pytest.skip("smtp-sink is not installed")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        taking = subprocess.Popen(
            [sink, "-8", "-u", "nobody", "-D", f"{folder}/mail", f"127.0.0.1:{port}", "10"]
        )
        try:
            with Program(CLIENT, channel(port=port)) as one:
                scope = "host"
                while scope == "host":  # until it listens
                    one.send(message("E1", envelope=declared(), content=EIGHT), EIGHT)
                    report = one.expect(Report)
                    scope = report.scope
                assert one.stop() == 0
        finally:
            taking.terminate()
            taking.wait()
        (kept,) = Path(folder).iterdir()
        stored = kept.read_bytes().replace(b"\n", b"\r\n")
    assert report.verdict in (Verdict.DELIVERED, Verdict.RELAYED)
    content = stored[stored.index(b"Subject: x") :]
    assert content.isascii() and leaves(content) == leaves(EIGHT)


def test_a_large_message_is_encoded_as_it_passes() -> None:
    """100 MB of 8-bit text go encoded through a process that does not grow."""
    total = 400
    piece = (LINE * (PIECE // len(LINE) + 1))[:PIECE]
    begin = HEADER + TEXT
    octets = [0]
    seven = [True]
    commands: list[bytes] = []

    def script(wire: Wire, number: int) -> None:
        wire.greet("PIPELINING", "SIZE", "CHUNKING")
        for answer in ("250 ok", "250 ok", "354 go"):
            commands.append(wire.line())
            wire.say(answer)
        tail = b""
        while not tail.endswith(b"\r\n.\r\n"):
            data = wire.socket.recv(1 << 20)
            octets[0] += len(data)
            seven[0] = seven[0] and data.isascii()
            tail = (tail + data)[-5:]
        wire.say("250 2.0.0 taken")
        wire.transaction()

    with Peer(script) as peer, Program(CLIENT, channel(port=peer.port)) as program:
        program.expect(Ask)
        # What converting needs once, beside what a message needs.
        program.send(message("E0", envelope=declared(), content=begin, more=True), begin)
        before = memory(program.pid)
        credit = 0
        for sent in range(total):
            while credit == 0:
                credit += program.expect(Ask, where=lambda ask: ask.id == "E0").n
            credit -= 1
            program.send(Message(id="E0", more=sent < total - 1), piece)
        assert program.expect(Report).verdict is Verdict.DELIVERED
        assert memory(program.pid) - before < 40_000_000
        assert program.stop() == 0
    assert seven[0] and octets[0] > total * PIECE
    assert commands[0] == b"MAIL FROM:<ann@a.example>", "nobody knows the size of what is encoded later"


def test_what_turns_out_not_to_be_encodable_goes_back() -> None:
    """The peer never gets its end, the sender gets it back, and the next message goes on another connection."""
    taken: list[bytes] = []
    begun: list[bytes] = []

    def script(wire: Wire, number: int) -> None:
        if number:
            serve(taken, ("PIPELINING",))(wire, number)
            return
        wire.greet("PIPELINING")
        for answer in ("250 ok", "250 ok", "354 go"):
            wire.line()
            wire.say(answer)
        while data := wire.socket.recv(1 << 20):
            begun.append(data)

    with Peer(script) as peer, Program(CLIENT, channel(port=peer.port)) as program:
        program.expect(Ask)
        program.send(message("E1", envelope=declared(), content=SIGNED, more=True), SIGNED[:PIECE])
        for at in range(PIECE, len(SIGNED), PIECE):
            program.send(Message(id="E1", more=at + PIECE < len(SIGNED)), SIGNED[at : at + PIECE])
        report = program.expect(Report)
        program.send(message("E2", envelope=declared(), content=EIGHT), EIGHT)
        again = program.expect(Report)
        assert program.stop() == 0
    assert (report.verdict, report.status, report.scope) == (Verdict.FAILED, "5.6.3", "recipient")
    assert "multipart/signed" in report.reply
    assert not b"".join(begun).endswith(b"\r\n.\r\n")
    assert again.verdict is Verdict.DELIVERED and leaves(taken[0]) == leaves(EIGHT)


def _greet(peer: Any) -> None:
    peer.send(b"220 mx.example.net ESMTP ready\r\n")
    assert peer.line().startswith(b"EHLO ")
    peer.send(b"250-mx.example.net\r\n250 SIZE 0\r\n")


def _take(peer: Any) -> tuple[bytes, bytes]:
    mail = peer.line()
    for answer in (b"250 ok\r\n", b"250 ok\r\n"):
        peer.send(answer)
        peer.line()
    peer.send(b"354 go\r\n")
    return mail, peer.until(b"\r\n.\r\n")[:-3].replace(b"\r\n..", b"\r\n.")


@pytest.mark.parametrize("size", [0, 1000])
def test_the_generic_program_encodes_as_well(size: int) -> None:
    """A message that is at hand with its new size, and one that comes in pieces without any."""
    with kit_support.Program(MASTER) as program:
        program.controller.hello(kit_support.channel(gateway="gw.example.net"), "master")
        parts = kit_support.pieces(EIGHT, size or len(EIGHT))
        first = kit_support.message("E1", octets=len(EIGHT), more=len(parts) > 1)
        program.controller.send(Message(**{**_fields(first), "envelope": declared()}), parts[0])
        for number, part in enumerate(parts[1:], 2):
            program.controller.send(Message(id="E1", more=number < len(parts)), part)
        _greet(program.peer)
        mail, content = _take(program.peer)
        program.peer.send(b"250 2.0.0 taken\r\n")
        assert program.controller.expect(Report).verdict is Verdict.DELIVERED
    assert content.isascii() and leaves(content) == leaves(EIGHT)
    assert mail == b"MAIL FROM:<ann@a.example>%b\r\n" % (b"" if size else b" SIZE=%d" % len(content))


def test_the_generic_program_returns_what_cannot_be_encoded() -> None:
    """At hand it is not offered; in pieces its end is never said."""
    short = SIGNED.replace(b"seven\r\n" * 100_000, b"seven\r\n")
    for parts in ([short], [short[:60], short[60:]]):
        with kit_support.Program(MASTER) as program:
            program.controller.hello(kit_support.channel(gateway="gw.example.net"), "master")
            first = kit_support.message("E1", octets=len(short), more=len(parts) > 1)
            program.controller.send(Message(**{**_fields(first), "envelope": declared()}), parts[0])
            for part in parts[1:]:
                program.controller.send(Message(id="E1"), part)
            _greet(program.peer)
            if len(parts) > 1:
                for answer in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
                    program.peer.line()
                    program.peer.send(answer)
                assert not program.peer.rest().endswith(b"\r\n.\r\n")
            report = program.controller.expect(Report)
            assert (report.verdict, report.status, report.scope) == (Verdict.FAILED, "5.6.3", "recipient")


def _fields(frame: Message) -> dict[str, Any]:
    return {name: getattr(frame, name) for name in frame.__struct_fields__ if name != "size"}
