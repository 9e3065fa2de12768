"""Cutting octets into command lines and replies."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.errors import ProtocolViolation
from jobctl.mail.reply import Reply
from jobctl.smtp.lines import HOPELESS, MAX_AUTH_LINE, MAX_LINE, BadLine, CommandLines
from jobctl.smtp.replies import encode
from jobctl.smtp.reply_reader import MAX_REPLY, ReplyReader

PARTS = st.lists(st.sampled_from([b"NOOP", b"\r", b"\n", b"\r\n", b"", b" x", b"q" * MAX_LINE]), max_size=14)


def taken(line_ends: str, chunks: list[bytes]) -> list[bytes | str]:
    lines, out = CommandLines(line_ends), []
    for chunk in chunks:
        lines.add(chunk)
        while True:
            try:
                line = lines.next()
            except BadLine as bad:
                out.append(bad.reply.text)
                continue
            if line is None:
                break
            out.append(line)
    return out


@pytest.mark.parametrize("line_ends", ["crlf", "crorlf", "lf", "cr"])
@settings(deadline=None, max_examples=100)
@given(parts=PARTS, size=st.integers(1, 9))
def test_lines_do_not_depend_on_cuts(line_ends: str, parts: list[bytes], size: int) -> None:
    """The commands read do not depend on how their octets arrived."""
    data = b"".join(parts) + b"\r\n"
    cut = [data[i : i + size] for i in range(0, len(data), size)]
    assert taken(line_ends, [data]) == taken(line_ends, cut)


@pytest.mark.parametrize(
    ("line_ends", "lines"),
    [
        ("crlf", [b"a", None, None]),
        ("crorlf", [b"a", b"b", b"c", b"d"]),
        ("lf", [b"a", b"b", None]),
        ("cr", [b"a", None, b"c", b"d"]),
    ],
)
def test_line_ends_by_keyword(line_ends: str, lines: list[bytes | None]) -> None:
    """CRLF ends a command; a bare CR or LF where the keyword says so; else the line is refused, never run."""
    got = taken(line_ends, [b"a\r\nb\nc\rd\r\n"])
    assert [line if isinstance(line, bytes) else None for line in got] == lines
    assert all("CRLF" in line for line in got if isinstance(line, str))


def test_long_lines_are_bounded() -> None:
    """A line without end costs no memory; it is refused when it ends, and the next is read."""
    lines = CommandLines()
    for _ in range(20):
        lines.add(b"x" * 1000)
        assert lines.next() is None
        assert lines.buffered <= MAX_LINE + 1
    lines.add(b"x\r\nNOOP\r\n")
    with pytest.raises(BadLine, match="too long"):
        lines.next()
    assert lines.next() == b"NOOP"
    assert not lines.hopeless


@pytest.mark.parametrize(("begin", "long"), [(b"AUTH X ", False), (b"auth x ", False), (b"dG9r", True)])
def test_auth_may_be_longer(begin: bytes, long: bool) -> None:
    """12,288 octets for AUTH and for the lines of its exchange (RFC 4954 section 4), 4,096 for all else."""
    lines = CommandLines()
    lines.long = long
    for size, good in ((MAX_LINE + 1, True), (MAX_AUTH_LINE, True), (MAX_AUTH_LINE + 1, False)):
        line = begin.ljust(size, b"x")
        for at in range(0, size, 1000):
            lines.add(line[at : at + 1000])
            assert lines.next() is None
        lines.add(b"\r\n")
        if good:
            assert lines.next() == line
        else:
            with pytest.raises(BadLine, match="too long"):
                lines.next()


def test_a_megabyte_without_line_end_is_hopeless() -> None:
    """Somebody who sends one endless line is told apart from somebody who made a mistake."""
    lines = CommandLines()
    for _ in range(HOPELESS // 65536 + 1):
        lines.add(b"x" * 65536)
        lines.next()
    assert lines.hopeless
    assert lines.buffered <= 1


def test_lf_after_cr_is_not_content() -> None:
    """The LF of a CRLF cut in two after DATA is not taken for the first octet of content."""
    for follow, content in ((b"\nhello", b"hello"), (b"hello", b"hello")):
        lines = CommandLines("crorlf")
        lines.add(b"DATA\r")
        assert lines.next() == b"DATA"
        lines.add(follow)
        assert lines.rest() == content


REPLIES = st.lists(
    st.builds(
        Reply,
        st.sampled_from([220, 250, 354, 421, 550]),
        st.lists(
            st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), max_size=12),
            min_size=1,
            max_size=4,
        )
        .map("\n".join)
        .filter(lambda text: text == text.strip()),
    ),
    min_size=1,
    max_size=5,
)


@settings(deadline=None, max_examples=150)
@given(REPLIES, st.integers(1, 7))
def test_replies_are_read_back_however_they_are_cut(said: list[Reply], size: int) -> None:
    """Replies of one and of many lines arrive as they were given, wherever their octets were cut."""
    wire = b"".join(encode(reply) for reply in said)
    for cut in (len(wire), size):
        reader, got = ReplyReader(), []
        for i in range(0, len(wire), cut):
            reader.add(wire[i : i + cut])
            while (reply := reader.next()) is not None:
                got.append(reply)
        assert got == said


@pytest.mark.parametrize(
    "text", ["ok\r\n250 stuffed", "ok\n250 stuffed", "a\x00b\x07", "x" * 3000, "2.1.0 a\n2.1.0 b", "é\u2028"]
)
def test_a_reply_text_cannot_become_another_reply(text: str) -> None:
    """Whatever a text holds, the peer reads one reply with the code that was given."""
    reader = ReplyReader()
    reader.add(encode(Reply(550, text)))
    reply = reader.next()
    assert reply is not None and reply.code == 550
    assert all(line.isprintable() for line in reply.text.split("\n"))
    assert reader.next() is None


def test_enhanced_code_begins_every_line() -> None:
    """RFC 2034 section 4."""
    assert encode(Reply(550, "5.1.1 no\nsuch user")) == b"550-5.1.1 no\r\n550 5.1.1 such user\r\n"


@pytest.mark.parametrize(
    "wire",
    [
        b"hello\r\n",
        b"25 x\r\n",
        b"2500 x\r\n",
        b"199 x\r\n",
        b"600 x\r\n",
        b"\r\n",
        b"25\xb2 x\r\n",
        b"250_x\r\n",
    ],
)
def test_garbage_is_no_reply(wire: bytes) -> None:
    """What is no reply is a violation, not an acceptance."""
    reader = ReplyReader()
    reader.add(wire)
    with pytest.raises(ProtocolViolation):
        reader.next()


def test_replies_are_bounded() -> None:
    """Neither a line nor a reply without end can fill the memory."""
    reader = ReplyReader()
    reader.add(b"2" * 5000)
    with pytest.raises(ProtocolViolation):
        reader.next()
    reader = ReplyReader()
    line = b"250-" + b"x" * 500 + b"\r\n"
    with pytest.raises(ProtocolViolation):
        for _ in range(MAX_REPLY // 500 + 2):
            reader.add(line)
            reader.next()


def test_replies_may_end_in_lf_and_lose_control_characters() -> None:
    """A peer's odd line ends do not cost us mail, and its odd octets do not reach our log."""
    reader = ReplyReader()
    reader.add(b"250-a\x1b[2Jb\n250\n")
    assert reader.next() == Reply(250, "a [2Jb\n")
