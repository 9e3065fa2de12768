"""Messages made fit for seven bits, or for short lines."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from jobctl.mime.conversion import Conversion
from tests.mime_trees import HONEST, HOSTILE, leaves, other_reading


def converted(
    content: bytes, eight: bool = True, longest: int | None = None, cuts: Iterable[int] = ()
) -> bytes:
    conversion = Conversion(eight, longest)
    edges = [0, *sorted(cuts), len(content)]
    pieces = [content[a:b] for a, b in zip(edges, edges[1:], strict=False)]
    return b"".join([*map(conversion.feed, pieces), conversion.finish()])


CUTS = st.lists(st.integers(0, 3000), max_size=6)


@given(HONEST)
def test_two_readers_find_the_same(content: bytes) -> None:
    """What goes out in seven bits reads as what came in, for readers that have nothing in common."""
    out = converted(content)
    assert out.isascii()
    assert leaves(out) == leaves(content)
    assert other_reading(out) == other_reading(content)


@given(HOSTILE, CUTS)
def test_cuts_do_not_matter(content: bytes, cuts: list[int]) -> None:
    """However it was cut, and whatever in it looks like a boundary, the same goes out and reads the same."""
    out = converted(content)
    assert converted(content, cuts=[min(cut, len(content)) for cut in cuts]) == out
    assert leaves(out) == leaves(content)


@given(HOSTILE)
def test_what_is_seven_bits_already_stays_octet_for_octet(content: bytes) -> None:
    """Seven-bit content is left alone, but for a label that says 8bit."""
    content = bytes(octet & 127 for octet in content)
    out = converted(content)
    assert out.replace(b"g: 7bit", b"") == content.replace(b"g: 8bit", b"").replace(b"g: 8BIT", b"").replace(
        b"g: 7bit", b""
    )


@given(HONEST, st.integers(76, 1000))
def test_long_lines_are_encoded_and_nothing_else(content: bytes, longest: int) -> None:
    """With ``linelength``, no line is longer; a message without such a line is left alone."""
    out = converted(content, eight=False, longest=longest)
    assert max(map(len, out.split(b"\r\n"))) <= longest
    assert leaves(out) == leaves(content)
    if max(map(len, content.split(b"\r\n"))) <= longest:
        assert out == content
