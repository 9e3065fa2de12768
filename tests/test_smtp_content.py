"""Dots and the end of content."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.smtp.content import DotStuffer, DotUnstuffer

OCTETS = st.lists(
    st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"\r\n.", b"ab", b"\x00", b"\xe9"]), max_size=30
).map(b"".join)
KEYWORDS = ("crlf", "crorlf", "lf", "cr")


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """``data`` cut at these places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def stuffed(parts: list[bytes]) -> bytes:
    stuffer = DotStuffer()
    return b"".join(stuffer.feed(part) for part in parts) + stuffer.finish()


def unstuffed(parts: list[bytes], line_ends: str = "crlf") -> tuple[bytes, bytes | None, bool]:
    unstuffer = DotUnstuffer(line_ends)
    content, rest = b"", None
    for part in parts:
        if rest is None:
            got, rest = unstuffer.feed(part)
            content += got
        else:
            rest += part
    return content, rest, unstuffer.bare


@settings(deadline=None, max_examples=200)
@given(OCTETS, st.lists(st.integers(0, 99), max_size=6))
def test_stuffing_does_not_depend_on_cuts(data: bytes, cuts: list[int]) -> None:
    """The octets sent do not depend on where the content was cut."""
    assert stuffed([data]) == stuffed(pieces(data, cuts))


@settings(deadline=None, max_examples=200)
@given(OCTETS)
def test_nothing_can_be_smuggled_out(data: bytes) -> None:
    """A lax server, for which any CR or LF ends a line, sees one end of content, where a strict one does."""
    wire = stuffed([data])
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", wire)
    assert wire.endswith(b".\r\n")
    lines = re.split(rb"\r\n|\r|\n", wire)
    assert lines.index(b".") == len(lines) - 2
    content, rest, bare = unstuffed([wire])
    expected = re.sub(rb"\r\n|\r|\n", b"\r\n", data)
    if expected and not expected.endswith(b"\r\n"):
        expected += b"\r\n"
    assert (content, rest, bare) == (expected, b"", False)


@pytest.mark.parametrize("line_ends", KEYWORDS)
@settings(deadline=None, max_examples=150)
@given(data=OCTETS, cuts=st.lists(st.integers(0, 99), max_size=6), ends=st.booleans())
def test_unstuffing_does_not_depend_on_cuts(line_ends: str, data: bytes, cuts: list[int], ends: bool) -> None:
    """What is taken out of the wire, and where it ends, does not depend on where the octets were cut."""
    wire = data + b"\r\n.\r\nNOOP\r\n" if ends else data
    whole, parts = DotUnstuffer(line_ends), DotUnstuffer(line_ends)
    content, rest = whole.feed(wire)
    got, left = b"", None
    for part in pieces(wire, cuts):
        if left is None:
            more, left = parts.feed(part)
            got += more
        else:
            left += part
    if rest is None:
        assert left is None
        assert got + drained(parts) == content + drained(whole)
    else:
        assert (got, left) == (content, rest)
    assert parts.bare == whole.bare


def drained(unstuffer: DotUnstuffer) -> bytes:
    """What is still held, made visible by an end of content."""
    return unstuffer.feed(b"\r\n.\r\n")[0]


@pytest.mark.parametrize("chunk", [1, 2, 3, 64])
@pytest.mark.parametrize("offset", range(-3, 4))
def test_dots_around_a_chunk_boundary(chunk: int, offset: int) -> None:
    """A dot is stuffed or not by what stands before it, wherever a buffer ends: no dot is lost or added."""
    for lead in (b"", b"\r\n", b"a\r\n"):
        size = 3 * chunk
        at = max(0, size + offset - len(lead))
        content = b"x" * at + lead + b".y\r\n.\r\n..\r\n"
        cut = [content[i : i + chunk] for i in range(0, len(content), chunk)]
        wire = stuffed(cut)
        again = [wire[i : i + chunk] for i in range(0, len(wire), chunk)]
        assert unstuffed(again) == (content, b"", False)


ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\n\x00.\r\n",
    b"\r\n.\x00\r\n",
]
ENDS += [b"\r\r\n.\r", b"\n\r.\r\n", b"\r\n.\r\r\n", b"\r\n..\r\n"]


@pytest.mark.parametrize("line_ends", KEYWORDS)
@pytest.mark.parametrize("end", ENDS)
def test_only_crlf_dot_crlf_ends_content(end: bytes, line_ends: str) -> None:
    """None of the twelve other ends of content is one, whatever line ends the channel accepts."""
    unstuffer = DotUnstuffer(line_ends)
    assert unstuffer.feed(b"first" + end + b"MAIL FROM:<evil@example>")[1] is None
    assert unstuffer.feed(b"\r\n.\r\nNOOP\r\n")[1] == b"NOOP\r\n"


@pytest.mark.parametrize(
    ("line_ends", "cr", "lf"),
    [("crlf", False, False), ("crorlf", True, True), ("lf", False, True), ("cr", True, False)],
)
def test_bare_line_ends_by_keyword(line_ends: str, cr: bool, lf: bool) -> None:
    """A bare CR or LF is made CRLF where the channel's keyword allows it, and reported where not."""
    for octet, allowed in ((b"\r", cr), (b"\n", lf)):
        content, _, bare = unstuffed([b"a" + octet + b"b\r\n.\r\n"], line_ends)
        assert bare is not allowed
        if allowed:
            assert content == b"a\r\nb\r\n"


def test_nul_and_eight_bits_pass() -> None:
    """Content is octets: NUL and values above 127 are carried, not judged."""
    every = bytes(code for code in range(256) if code not in (10, 13)) + b"\r\n"
    assert unstuffed([stuffed([every])]) == (every, b"", False)
