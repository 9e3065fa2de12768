"""``sendetrn`` in both client programs: asked once a connection, and the reply is logged."""

from jobctl.jobprotocol.frames import Ask, Event, Report
from tests.kit_support import Program as Generic
from tests.kit_support import channel as generic_channel
from tests.tcp_support import BODY, Peer, Wire, message
from tests.test_tcp_client import client

NODE = "us.example"
ASKED = f"ETRN {NODE}".encode()


def answer(line: bytes) -> str:
    """A peer that cannot do what ETRN asks for, and takes mail."""
    return "458 4.0.0 Unable" if line == ASKED else "250 ok"


def test_tcp_client() -> None:
    """Three messages over one connection: ETRN goes before the first, and mail is taken though it is refused."""
    heard: list[bytes] = []

    def script(wire: Wire, number: int) -> None:
        wire.greet("ETRN")
        while wire.transaction(answer=answer) is not None:
            pass
        heard.extend(wire.heard)

    with Peer(script) as peer, client(peer.port, keywords={"sendetrn": NODE}) as program:
        for number in range(3):
            program.send(message(f"E{number}"), BODY)
        event = program.expect(Event, where=lambda frame: frame.event == "etrn")
        reports = [program.expect(Report) for _ in range(3)]
        assert program.stop() == 0
    assert (event.recipient, event.text) == (NODE, "458 4.0.0 Unable")
    assert event.application == "peer ESMTP" and event.transport.startswith("TCP|")
    assert all(report.reply == "250 2.0.0 taken" for report in reports)
    assert heard[1] == ASKED and heard.count(ASKED) == 1


def test_generic_client() -> None:
    """The same on a pipe."""
    with Generic("channels.test_smtp_master") as program:
        controller, peer = program.controller, program.peer
        controller.hello(generic_channel(keywords={"sendetrn": NODE}), "master")
        controller.expect(Ask)
        peer.send(b"220 mx.example.net ready\r\n")
        peer.line()
        peer.send(b"250-mx.example.net\r\n250 ETRN\r\n")
        assert peer.line() == ASKED + b"\r\n"
        peer.send(b"250 2.0.0 started\r\n")
        event = controller.expect(Event, event="etrn")
        assert (event.recipient, event.text) == (NODE, "250 2.0.0 started")
        assert event.application == "mx.example.net ready"
