"""Server programs say by what a message is known, and whether its client heard that it was taken."""

import socket
from typing import Any

import pytest

from channels.kit.arrival import Reception
from jobctl.jobprotocol.frames import Accepted, Submit, Told
from jobctl.mail.envelope import Envelope, Recipient, Source
from tests.kit_support import Program as Generic
from tests.kit_support import channel as generic_channel
from tests.tcp_support import Program
from tests.test_channels_smtp_slave import MODULE, TRANSPORT, envelope
from tests.test_tcp_server import CONTENT, RELAY, Client, Server

OPTIONS = {"reuse_timed_out_transfers": 1}
LARGE = b"Subject: large\r\n\r\n" + b"x" * 70 * 10_000 + b"\r\n"


class Patient:
    """Takes every message, but not by itself those of ``late``."""

    def __init__(self, *late: str) -> None:
        self.submitted: list[Submit] = []
        self._late = late

    def __call__(self, program: Program, frame: Any, content: bytes) -> bool:
        if not isinstance(frame, Submit):
            return False
        self.submitted.append(frame)
        if not frame.more and frame.id not in self._late:
            program.send(Accepted(id=frame.id, ids=("E1",)))
        return frame.id not in self._late


def known(submitted: list[Submit]) -> list[str]:
    """The digests of messages, each of which was with the last frame alone."""
    assert all(not frame.digest for frame in submitted if frame.more)
    return [frame.digest for frame in submitted if not frame.more]


def leave(server: Server, client: Client, how: str) -> None:
    """The client says nothing more, and the server knows."""
    if how == "left":
        client.__exit__()
    else:
        client.socket.shutdown(socket.SHUT_WR)
    # What a later connection hears is said after that of an earlier one was seen.
    with Client(server.address) as other:
        other.reply()
        other.say("NOOP")


@pytest.mark.parametrize("how", ["left", "silent", "pipelined"])
def test_who_says_nothing_more(how: str) -> None:
    """Whoever has closed its end may have gone; one that has sent QUIT ahead has not."""
    with (
        Server(Patient("1"), RELAY, options=OPTIONS) as server,
        Client(server.address) as client,
    ):
        client.begin()
        client.socket.sendall(CONTENT + b".\r\n" + (b"QUIT\r\n" if how == "pipelined" else b""))
        server.program.expect(Submit)
        leave(server, client, how)
        server.program.send(Accepted(id="1", ids=("E1",)))
        assert server.program.expect(Told).gone is (how != "pipelined")


def test_the_tcp_server_says_who_was_gone() -> None:
    """The same message from the same client has the same digest, whatever connection it comes by."""
    patient = Patient("1")
    with Server(patient, RELAY, options=OPTIONS, logging=True) as server:
        with Client(server.address) as client:
            client.begin()
            client.socket.sendall(CONTENT + b".\r\n")
            server.program.expect(Submit)
            leave(server, client, "left")
        server.program.send(Accepted(id="1", ids=("E1",)))
        assert server.program.expect(Told) == (Told(id="1", gone=True))
        for content, source in (
            (CONTENT, "127.0.0.1"),
            (CONTENT + b"x\r\n", "127.0.0.1"),
            (CONTENT, "127.0.0.2"),
        ):
            with Client(server.address, source) as client:
                client.begin()
                assert client.content(content).startswith("250")
            assert not server.program.expect(Told).gone
    first, again, other, elsewhere = known(patient.submitted)
    assert first == again and len({first, other, elsewhere}) == 3


def test_large_content_and_other_envelopes() -> None:
    """Content in pieces is known by all of it; other recipients make another message."""
    patient = Patient()
    with Server(patient, RELAY, options=OPTIONS) as server, Client(server.address) as client:
        client.begin()
        client.content(LARGE)
        for to in ("bob@b.example", "cid@b.example"):
            client.say("MAIL FROM:<ann@a.example>", f"RCPT TO:<{to}>", "DATA")
            client.content(LARGE)
    first, again, other = known(patient.submitted)
    assert first == again != other and len(patient.submitted) > 6


@pytest.mark.parametrize("options", [{}, {"fast_smtp_session_time_limit": 1.0}])
def test_nothing_is_said_unless_it_is_wanted(options: dict[str, Any]) -> None:
    """Without the option there is no digest and no further frame."""
    patient = Patient()
    with Server(patient, RELAY, options=options) as server, Client(server.address) as client:
        client.begin()
        client.content(CONTENT)
        server.program.stop()
        assert all(type(frame) is not Told for frame, _ in list(server.program.seen.queue))
    assert known(patient.submitted) == [""]


@pytest.mark.parametrize("how", ["told", "left", "pipelined"])
def test_the_generic_slave_says_who_was_gone(how: str) -> None:
    """Whoever has closed its end and says nothing more has gone; one that has sent QUIT ahead has not."""
    with Generic(MODULE, environment={"TRANSPORTINFO": TRANSPORT}) as program:
        program.controller.hello(generic_channel(options=OPTIONS), "slave")
        envelope(program, "ann@x.example")
        program.peer.send(CONTENT + b".\r\n" + (b"QUIT\r\n" if how == "pipelined" else b""))
        submit, _ = program.controller.expect(Submit)
        assert len(submit.digest) == 64
        if how != "told":
            program.peer.close_input()
        if how == "left":
            program.peer.close_output()
        program.controller.send(Accepted(id=submit.id, ids=("E1",)))
        assert program.controller.expect(Told).gone is (how == "left")


def test_how_long_a_transfer_took() -> None:
    """From the first octet of content, not from the envelope; a message that is refused leaves nothing of its time."""
    now = [0.0]
    sent: list[Submit] = []
    reception = Reception(
        lambda frame, content: sent.append(frame),
        lambda: now[0],
        {},
        "x",
    )
    for receiving, at in ((True, 0.0), (False, 50.0), (True, 60.0), (True, 70.0)):
        now[0] = at
        reception.look(receiving)
    source = Source("x_test", application="SMTP/c")
    whole = Envelope("a@a.example", (Recipient("b@b.example"),))
    now[0] = 99.5
    reception.begin(
        generic_channel(options=OPTIONS), whole, source, "c", "ESMTP", (None, None), CONTENT, True
    )
    assert sent[-1].seconds == 39.5
