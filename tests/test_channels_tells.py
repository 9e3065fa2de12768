"""Programs say what they are doing when they are asked: what ``jobctl top`` shows."""

import threading
from typing import Any

from jobctl.jobprotocol.frames import Alive, HelloProgram, Look, Report
from tests.kit_support import Program as KitProgram
from tests.kit_support import channel as kit_channel
from tests.kit_support import message as kit_message
from tests.kit_support import readable
from tests.tcp_support import BODY, Peer, Program, Wire, channel, message
from tests.test_tcp_server import Client, Server


def told(alive: Alive) -> list[tuple[str, str, str, int]]:
    return [(one.id, one.phase, one.remote, one.octets) for one in alive.work]


def ask_until(controller: Any, expected: list[tuple[str, str, str, int]]) -> None:
    """Ask until this is told; asked too often it says nothing, and what it has told may be a moment old."""
    seen: list[Any] = []
    for _ in range(200):
        controller.send(Look())
        while readable(controller._reading, 0.05):
            frame, _ = controller.next()
            if isinstance(frame, Alive):
                seen.append(told(frame))
                if seen[-1] == expected:
                    return
    raise AssertionError(seen)


def test_tcp_client() -> None:
    """Each message in a transaction: its phase, who is at the other end, octets gone."""
    there, go_on = threading.Event(), threading.Event()

    def script(wire: Wire, number: int) -> None:
        wire.greet()
        wire.line()
        wire.say("250 ok")
        wire.line()
        there.set()
        go_on.wait(20)
        wire.say("250 ok")
        wire.line()
        wire.say("354 go")
        wire.content()
        wire.say("250 2.0.0 taken")
        wire.line()
        wire.say("221 bye")

    with Peer(script) as peer, Program("channels.tcp_smtp_client", channel(port=peer.port)) as program:
        assert program.hello.tells
        program.send(message("E1"), BODY)
        assert there.wait(20)
        program.send(Look())
        alive = program.expect(Alive, where=lambda frame: bool(frame.work))
        go_on.set()
        assert program.expect(Report).id == "E1"
        assert program.stop() == 0, program.log
    assert told(alive) == [("E1", "rcpt", "[127.0.0.1]", 0)]


def test_tcp_server() -> None:
    """Each session: where it stands, who the client is, how long it lasts."""
    with Server() as server:
        assert server.program.hello.tells
        with Client(server.address) as client:
            client.reply()
            client.say("EHLO x", "MAIL FROM:<a@a.example>")
            server.program.send(Look())
            alive = server.program.expect(Alive, where=lambda frame: bool(frame.work))
        assert told(alive) == [("", "mail", "127.0.0.1", 0)]
        assert server.program.stop() == 0


def test_generic_master() -> None:
    """The model program tells as well, before it has a message and while one is on its way."""
    with KitProgram("channels.test_smtp_master") as program:
        controller, peer = program.controller, program.peer
        controller.hello(kit_channel(gateway="gw.example.net"), "master")
        assert controller.expect(HelloProgram).tells
        ask_until(controller, [("", "banner", "gw.example.net", 0)])
        controller.send(kit_message(octets=len(BODY)), BODY)
        peer.send(b"220 gw\r\n")
        peer.line()
        peer.send(b"250 gw\r\n")
        peer.until(b"MAIL FROM")
        ask_until(controller, [("E1", "mail", "gw.example.net", 0)])


def test_generic_slave() -> None:
    """A slave tells where its session stands."""
    with KitProgram("channels.test_smtp_slave") as program:
        controller, peer = program.controller, program.peer
        controller.hello(kit_channel(), "slave")
        assert controller.expect(HelloProgram).tells
        peer.reply()
        ask_until(controller, [("", "begin", "", 0)])
