"""The frames of the job protocol on the wire."""

import itertools
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.errors import ProtocolViolation
from jobctl.jobprotocol.codec import encode, from_controller, from_program
from jobctl.jobprotocol.frames import (
    MAX_LINE,
    PIECE,
    Accepted,
    Alive,
    Ask,
    Etrn,
    Event,
    HelloController,
    HelloProgram,
    Message,
    Refused,
    Report,
    Route,
    Sent,
    Stop,
    Submit,
    VerdictFrame,
)
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.envelope import Envelope, Recipient, Source

ENVELOPE = Envelope("a@x.example", (Recipient("b@y.example", "NEVER", "rfc822;b@y.example"),), "HDRS", "Q1")
PROGRAM_FRAMES = [
    (HelloProgram(version=1, name="p", window=2), b""),
    (Ask(n=4), b""),
    (Report(id="E1", verdict=Verdict.RELAYED, status="2.0.0", reply='250 "ok"\nline'), b""),
    (Report(id="E2", results=(Disposition("b@y.example", Verdict.FAILED, "5.1.1", "550 no"),)), b""),
    (Sent(id="E1"), b""),
    (Submit(id="1", envelope=ENVELOPE, source=Source("c"), more=True), b"\n{}\n\0\xff" * 10),
    (Submit(id="1"), b"end\n"),
    (Route(id="r", recipient="ü@y.example"), b""),
    (Route(id="r", recipient="", sender="a@x.example", command="MAIL"), b""),
    (Etrn(id="q", node="#out", source=Source("c")), b""),
    (Event(event="opened", text="x"), b""),
    (Alive(progress=7), b""),
]
CONTROLLER_FRAMES = [
    (HelloController(version=1, job="j", channel="c", role="master", settings={"a": [1]}), b""),
    (Message(id="E1", envelope=ENVELOPE, octets=4, more=True), b"\r\n.\r"),
    (Message(id="E1"), b"\n"),
    (Ask(n=1, id="E1"), b""),
    (Accepted(id="1", ids=("E9",)), b""),
    (Refused(id="1", code=452, status="4.3.1", text="full"), b""),
    (VerdictFrame(id="r", code=250, status="2.1.5", text="ok"), b""),
    (Stop(), b""),
]


def _wire(frames):
    return b"".join(encode(frame, content) for frame, content in frames)


@pytest.mark.parametrize(
    "frames, reader", [(PROGRAM_FRAMES, from_program), (CONTROLLER_FRAMES, from_controller)]
)
def test_every_cut(frames, reader):
    """Wherever a stream of frames is cut in two, the same frames and contents come out."""
    wire = _wire(frames)
    for cut in range(len(wire) + 1):
        cutter = reader()
        assert cutter.feed(wire[:cut]) + cutter.feed(wire[cut:]) == frames
        assert cutter.idle


@given(st.lists(st.integers(1, 400), min_size=1, max_size=8))
@settings(deadline=None, max_examples=60)
def test_any_pieces(steps):
    """Neither do many small pieces change what is read."""
    wire = _wire(PROGRAM_FRAMES)
    cutter, got, at = from_program(), [], 0
    for step in itertools.cycle(steps):
        got += cutter.feed(wire[at : at + step])
        at += step
        if at >= len(wire):
            break
    assert got == PROGRAM_FRAMES


def test_octet_by_octet():
    """A stream that comes one octet at a time is read like one that comes whole."""
    cutter, got = from_program(), []
    wire = _wire(PROGRAM_FRAMES)
    for at in range(len(wire)):
        got += cutter.feed(wire[at : at + 1])
    assert got == PROGRAM_FRAMES


def test_not_idle_inside_a_frame():
    """A stream that ends inside a line or inside content is known to be cut off."""
    wire = encode(Submit(id="1", envelope=ENVELOPE), b"content")
    for cut in range(1, len(wire)):
        cutter = from_program()
        assert cutter.feed(wire[:cut]) == []
        assert not cutter.idle


def test_largest_piece():
    """Content of exactly the largest size passes; one octet more is refused on both sides."""
    content = b"x" * PIECE
    assert from_program().feed(encode(Submit(id="1"), content))[0][1] == content
    with pytest.raises(ValueError, match="at most"):
        encode(Submit(id="1"), content + b"x")
    with pytest.raises(ProtocolViolation, match="announces"):
        from_program().feed(b'{"op":"submit","id":"1","size":%d}\n' % (PIECE + 1))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"garbage",
        b"{}",
        b'{"op":"unknown"}',
        b'{"op":"stop"}',
        b'{"op":"ask"}',
        b'{"op":"ask","n":"1"}',
        b'{"op":"sent","id":"\xff\xfe"}',
        b'{"op":"sent","id":"1","size":-1}',
        b'{"op":"sent","id":"1","size":99999999999999999999}',
        b'{"op":"sent","id":"1","x":' + b"[" * 100_000 + b"}",
    ],
)
def test_garbage_is_a_violation(line):
    """Whatever is not a frame of the protocol ends the stream with a violation, never with another error."""
    with pytest.raises(ProtocolViolation):
        from_program().feed(line + b"\n")


def test_endless_line():
    """A line that never ends is given up at its limit, in pieces as in one."""
    with pytest.raises(ProtocolViolation, match="longer"):
        from_program().feed(b" " * (MAX_LINE + 1))
    cutter = from_program()
    with pytest.raises(ProtocolViolation, match="longer"):
        for _ in range(MAX_LINE // PIECE + 1):
            cutter.feed(b" " * PIECE)
    with pytest.raises(ProtocolViolation, match="longer"):
        from_program().feed(b" " * (MAX_LINE + 1) + b"\n")


def test_unknown_keys_are_ignored():
    """A newer partner may say more than we know."""
    assert from_program().feed(b'{"op":"ask","n":3,"colour":{"deep":[1,2]}}\n') == [(Ask(n=3), b"")]


def test_one_line_each():
    """No text, whatever is in it, makes a second line."""
    frame = Report(id="E1", verdict=Verdict.FAILED, reply='5\r\n{"op":"sent","id":"x"}\n\u2028\0')
    wire = encode(frame)
    assert wire.count(b"\n") == 1
    assert json.loads(wire)["reply"] == frame.reply
    assert from_program().feed(wire) == [(frame, b"")]


def test_defaults_are_left_out():
    """What has its default value costs nothing on the pipe."""
    assert encode(Sent(id="E1")) == b'{"op":"sent","id":"E1"}\n'
    assert msgspec.json.decode(encode(Report(id="E1", verdict=Verdict.DELIVERED))) == {
        "op": "report",
        "id": "E1",
        "verdict": "delivered",
    }


def test_what_came_before_a_violation_is_told():
    """Verdicts that a program gave in the same breath as garbage stand."""
    frames = from_program().frames(encode(Sent(id="E1")) + b"garbage\n")
    assert next(frames) == (Sent(id="E1"), b"")
    with pytest.raises(ProtocolViolation):
        next(frames)
