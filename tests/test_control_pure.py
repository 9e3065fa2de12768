"""The parts of the control socket that need no socket: codecs, selections, envelopes."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.control.crlf import CrlfLines
from jobctl.control.envelopes import envelope_of, notify_of, priority_of
from jobctl.control.refusals import unknown_channel
from jobctl.control.replies import AnswerReader
from jobctl.control.requests import Enqueue, QmDirectory, QmStop
from jobctl.control.selection import address_matches, channel_matches, in_list, matching_channels
from jobctl.control.wire import Misfit, RequestReader, error, partial, piece, result
from jobctl.errors import ProtocolViolation, UsageError
from jobctl.mail.envelope import Priority, Recipient
from jobctl.selection.candidate import Candidate


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"ab", b"."])), st.data())
def test_line_ends_do_not_depend_on_cuts(parts, data):
    """Content leaves with CRLF alone, wherever it was cut, and nothing but line ends changes."""
    content = b"".join(parts)
    cut = data.draw(st.integers(0, len(content)))
    whole, pieces = CrlfLines(), CrlfLines()
    once = whole.feed(content) + whole.finish()
    assert once == pieces.feed(content[:cut]) + pieces.feed(content[cut:]) + pieces.finish()
    assert once.count(b"\r\n") == once.count(b"\r") == once.count(b"\n")
    assert once.replace(b"\r\n", b"") == content.replace(b"\r", b"").replace(b"\n", b"")


def test_strict_content_is_untouched():
    """Content with CRLF line ends is not changed, not even copied."""
    content = b"a\r\nb\r\n"
    assert CrlfLines().feed(content) is content


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_requests_do_not_depend_on_cuts(data):
    """Requests and their content are the same wherever the stream was cut."""
    stream = (
        b'{"op":"ping","id":1}\n{"op":"enqueue","id":2,"size":7,"more":true}\n{\n\n"\xff}\n'
        b'{"op":"nope","id":3,"size":2}\nxy{"op":"qm.stop","id":4,"channel":"l"}\nrest'
    )
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader, found = RequestReader(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        reader.feed(stream[start:end])
        while (one := reader.next()) is not None:
            found.append((one[0].id, one[1]))
    assert found == [(1, b""), (2, b'{\n\n"\xff}\n'), (3, b"xy"), (4, b"")]
    assert reader.rest() == b"rest"
    assert reader.rest() == b""


def test_request_values():
    """A request knows its operation's name; one that is none says what is wrong."""
    reader = RequestReader()
    reader.feed(b'{"op":"qm.stop","id":4,"channel":"l"}\n{"op":"qm.stop","id":5}\n')
    stop, _ = reader.next()
    assert isinstance(stop, QmStop)
    assert (stop.op, stop.right, stop.channel) == ("qm.stop", "change", "l")
    misfit, _ = reader.next()
    assert isinstance(misfit, Misfit)
    assert "channel" in misfit.text


@pytest.mark.parametrize(
    "line", [b"garbage", b'{"op":"ping","id":"x"}', b'{"op":"ping","size":-1}', b"\xff\xfe"]
)
def test_not_a_request(line):
    """What is no request at all ends the connection."""
    reader = RequestReader()
    reader.feed(line + b"\n")
    with pytest.raises(ProtocolViolation):
        reader.next()


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_answers_do_not_depend_on_cuts(data):
    """Answers are the same wherever the stream was cut."""
    stream = (
        partial(1, "line", "hi")
        + piece(1, b"{\n}")
        + result(1, [1])
        + error(2, "no", 69)
        + partial(3, "alive", True)
    )
    cut = data.draw(st.integers(0, len(stream)))
    reader, found = AnswerReader(), []
    for part in (stream[:cut], stream[cut:]):
        reader.feed(part)
        while (one := reader.next()) is not None:
            found.append(one)
    assert [(answer.id, content) for answer, content in found] == [
        (1, b""),
        (1, b"{\n}"),
        (1, b""),
        (2, b""),
        (3, b""),
    ]
    assert found[0][0].line == "hi"
    assert found[2][0].value() == [1]
    assert found[4][0].alive
    with pytest.raises(UsageError) as why:
        found[3][0].value()
    assert why.value.exit_status == 69
    assert reader.rest() == b""


@pytest.mark.parametrize("line", [b"220 mail ESMTP", b"[]", b'{"id":1,"size":-5}'])
def test_not_an_answer(line):
    """Another program's words are no answer."""
    reader = AnswerReader()
    reader.feed(line + b"\n")
    with pytest.raises(ValueError):
        reader.next()


@pytest.mark.parametrize(
    ("pattern", "address", "matches"),
    [
        ("<>", "", True),
        ("<>", "a@b", False),
        ("bob", "BOB@b.example", True),
        ("*@b.example", "bob@b.example", True),
        ("*@b.example", "bob@b.example.org", False),
        ("bo?@*", "bob@b", True),
        ("[10.0.0.1]", "bob@[10.0.0.1]", True),
        ("*[10.0.0.1]", "bob@[10.0.0.1]", True),
    ],
)
def test_addresses(pattern, address, matches):
    """Sender and recipient patterns mean what the manual says."""
    assert address_matches(pattern, address) is matches


def test_channels():
    """Channel patterns have ``*`` and ``?`` and nothing else."""
    assert channel_matches(None, "x") and channel_matches("tcp_*", "tcp_local")
    assert not channel_matches("tcp", "tcp_local")
    assert matching_channels("tcp_*", ["tcp_b", "l", "tcp_a"]) == ["tcp_a", "tcp_b"]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (QmDirectory(), True),
        (QmDirectory(channel="l"), False),
        (QmDirectory(held=True), False),
        (QmDirectory(held=False), True),
        (QmDirectory(sender="ann"), True),
        (QmDirectory(sender="eve"), False),
        (QmDirectory(sender="eve", recipient="bob"), True),
        (QmDirectory(sender="eve", recipient="bob", match="and"), False),
        (QmDirectory(sender="ann", recipient="bob", match="and"), True),
        (QmDirectory(where="rcpt=bob@* and age>1h"), True),
        (QmDirectory(where="rcpt=bob@* and age>3h"), False),
        (QmDirectory(sender="eve", where="rcpt=bob@*"), False),
    ],
)
def test_selector(request_, expected):
    """Channel, state and selector must fit; of sender and recipient one, or both on demand."""
    message = Candidate(channel="tcp_local", sender="ann@a", recipients=("bob@b",), enqueued=1000.0)
    assert in_list(request_, 8200.0)(message) is expected


def test_envelope():
    """Every part of the request reaches the envelope."""
    envelope = envelope_of(
        Enqueue(
            sender="<ann@a.example>",
            recipients=("bob@b.example", Recipient("<bea@b.example>", "NEVER", "rfc822;b+2Ba@b.example")),
            notify="success,delay",
            ret="HDRS",
            envid="a+b c",
            body="8BITMIME",
        )
    )
    assert envelope.sender == "ann@a.example"
    assert envelope.recipients == (
        Recipient("bob@b.example", "SUCCESS,DELAY"),
        Recipient("bea@b.example", "NEVER", "rfc822;b+2Ba@b.example"),
    )
    assert (envelope.ret, envelope.envid, envelope.body) == ("HDRS", "a+2Bb+20c", "8BITMIME")
    assert envelope_of(Enqueue(sender="<>", recipients=("b@b.example",))).sender == ""


@pytest.mark.parametrize(
    ("keys", "exit_status"),
    [
        ({"recipients": ()}, os.EX_USAGE),
        ({"sender": "not an address"}, os.EX_DATAERR),
        ({"sender": "a@b\r\nRCPT TO:<x@y>"}, os.EX_DATAERR),
        ({"recipients": ("",)}, os.EX_DATAERR),
        ({"recipients": ("a@b\nX",)}, os.EX_DATAERR),
        ({"notify": "NEVER,DELAY"}, os.EX_USAGE),
        ({"notify": "NEVER\r\nX"}, os.EX_USAGE),
        ({"ret": "ALL"}, os.EX_USAGE),
        ({"body": "9BIT"}, os.EX_USAGE),
        ({"envid": "a\r\nb"}, os.EX_DATAERR),
        ({"envid": ""}, os.EX_DATAERR),
        ({"envid": "x" * 101}, os.EX_DATAERR),
        ({"recipients": (Recipient("a@b.example", orcpt="rfc822;a b"),)}, os.EX_DATAERR),
        ({"recipients": (Recipient("a@b.example", orcpt="rfc822;a\r\nX"),)}, os.EX_DATAERR),
    ],
)
def test_bad_envelopes(keys, exit_status):
    """Nothing that could break out of an SMTP command or mislead a next hop gets in."""
    with pytest.raises(UsageError) as why:
        envelope_of(Enqueue(**{"sender": "a@a.example", "recipients": ("b@b.example",), **keys}))
    assert why.value.exit_status == exit_status


def test_priority_and_notify():
    """Priorities are those of the header field; NOTIFY is as in SMTP."""
    assert priority_of(Enqueue(priority="Non-Urgent")) is Priority.NONURGENT
    assert priority_of(Enqueue(priority="urgent")) is Priority.URGENT
    with pytest.raises(UsageError):
        priority_of(Enqueue(priority="second_class"))
    assert notify_of(None) is None
    assert notify_of("never") == "NEVER"


def test_unknown_channel_helps():
    """A slip in a channel's name is answered with the name that was meant, else with those there are."""
    assert "did you mean tcp_local?" in str(unknown_channel("tcp_locl", ["tcp_local", "l"]))
    text = str(unknown_channel("zzz", [f"c{n:02}" for n in range(20)]))
    assert "c00, c01" in text and "8 more" in text
    assert json.dumps(text).count("\\n") == 0
