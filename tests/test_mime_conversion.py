"""Messages made fit for seven bits, or for short lines."""

import re
import tracemalloc
from binascii import a2b_base64, a2b_qp
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.mime.conversion import MOST_DEPTH, MOST_HEADER, Conversion
from jobctl.mime.encoders import Base64, QuotedPrintable
from jobctl.mime.leaf import LOOK
from jobctl.mime.unsendable import Unsendable
from tests.mime_trees import HONEST, HOSTILE, leaves, other_reading, text


def converted(
    content: bytes, eight: bool = True, longest: int | None = None, cuts: Iterable[int] = ()
) -> bytes:
    conversion = Conversion(eight, longest)
    edges = [0, *sorted(cuts), len(content)]
    pieces = [content[a:b] for a, b in pairwise(edges)]
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
    edges = [min(cut, len(content)) for cut in cuts]
    try:
        out = converted(content)
    except Unsendable:
        # A line that looked like a boundary had behind it what is no header.
        with pytest.raises(Unsendable):
            converted(content, cuts=edges)
        return
    assert converted(content, cuts=edges) == out
    assert leaves(out) == leaves(content)


@given(HOSTILE)
def test_what_is_seven_bits_already_stays_octet_for_octet(content: bytes) -> None:
    """Seven-bit content is left alone, but for a label that says 8bit."""
    content = bytes(octet & 127 for octet in content)
    assert relabelled(converted(content)) == relabelled(content)


def relabelled(content: bytes) -> bytes:
    return re.sub(rb"(Encoding): (8bit|8BIT)\r", rb"\1: 7bit\r", content)


@given(HONEST, st.integers(76, 1000))
def test_long_lines_are_encoded_and_nothing_else(content: bytes, longest: int) -> None:
    """With ``linelength``, no line is longer; a message without such a line is left alone."""
    out = converted(content, eight=False, longest=longest)
    assert max(map(len, out.split(b"\r\n"))) <= longest
    assert leaves(out) == leaves(content)
    if max(map(len, content.split(b"\r\n"))) <= longest:
        assert out == content


UTF8 = (
    "Gr\u00fc\u00dfe aus \u00c5s".encode()
    + b" and words that need no encoding at all, so that some can be read"
)


def one(*lines: bytes, body: bytes = UTF8) -> bytes:
    """A message of one part."""
    return b"\r\n".join((b"Subject: x", *lines, b"", body, b""))


def test_what_is_no_mime_becomes_it() -> None:
    """8-bit text that never said what it is gets a header which says that nobody knows (RFC 1428)."""
    assert converted(one()) == (
        b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=unknown-8bit\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        b"Gr=C3=BC=C3=9Fe aus =C3=85s and words that need no encoding at all, so that=\r\n some can be read\r\n"
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([b"MIME-Version: 1.0", b"Content-Type: text/html"], b"quoted-printable"),
        (
            [b"Content-Type: text/plain; charset=x"],
            b"MIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable",
        ),
        (
            [b"MIME-Version: 1.0", b"Content-Transfer-Encoding:\r\n 8bit (why not)"],
            b"Encoding: quoted-printable",
        ),
        ([b"MIME-Version: 1.0", b"Content-Type: application/pdf"], b"Content-Transfer-Encoding: base64"),
        ([b"MIME-Version: 1.0", b"Content-Type: not a type"], b"Content-Transfer-Encoding: quoted-printable"),
    ],
)
def test_the_header_says_how_to_read_the_body(given: list[bytes], says: bytes) -> None:
    """One label, in the place where it was or at the end; every other field is what it was."""
    out = converted(one(*given))
    header = out.partition(b"\r\n\r\n")[0]
    assert says in header and header.count(b"Encoding:") == 1 and header.count(b"MIME-Version:") == 1
    assert leaves(out)[0][1] == UTF8 + b"\r\n"


def test_dense_text_becomes_base64() -> None:
    """Text of which nothing could be read anyhow is sent in the shorter form."""
    text = "\u041f\u0440\u0438\u0432\u0435\u0442".encode() * 40
    out = converted(one(b"MIME-Version: 1.0", b"Content-Type: text/plain; charset=utf-8", body=text))
    assert b"Encoding: base64" in out and leaves(out) == [("text/plain", text + b"\r\n")]


DEEP = b"".join(
    b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (depth, depth)
    for depth in range(MOST_DEPTH + 1)
)


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (
            one(b"Content-Type: multipart/signed; boundary=x", body=b"--x\r\n\r\n\xe9\r\n--x--"),
            "multipart/signed",
        ),
        (
            one(b"Content-Type: multipart/encrypted; boundary=x", body=b"--x\r\n\r\n\xe9\r\n--x--"),
            "encrypted",
        ),
        (one(b"Content-Transfer-Encoding: base64"), "encoded already"),
        (one(b"Content-Transfer-Encoding: x-uuencode"), "encoded already"),
        (one(b"Content-Transfer-Encoding: 7bit", b"Content-Transfer-Encoding: 8bit"), "twice"),
        (one(b"Content-Type: multipart/mixed"), "without boundary"),
        (one(b"Content-Type: message/partial; number=1"), "message/partial"),
        (b"no header\r\n\xe9\r\n", "header"),
        (b"X: " + b"y" * MOST_HEADER + b"\r\n\r\n\xe9\r\n", "header"),
        (DEEP + b"\xe9\r\n\r\n\xe9\r\n", "deep"),
    ],
)
def test_what_must_not_be_changed_is_not_sent(content: bytes, named: str) -> None:
    """Signed, encrypted and damaged parts with 8-bit octets go back to the sender rather than broken on (5.6.3)."""
    with pytest.raises(Unsendable, match=named) as caught:
        converted(content)
    assert caught.value.status == "5.6.3"
    assert converted(content, eight=False, longest=10**6) == content
    seven = bytes(octet & 127 for octet in content)
    assert converted(seven) == seven.replace(b": 8bit", b": 7bit") or b"Encoding: 7bit" in seven


def test_a_signed_part_beside_others_is_left_alone() -> None:
    """A signature survives where it can: its part is seven bits, whatever stands beside it."""
    signed = b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nseven = bits \r\n--s--\r\n"
    beside = b"\r\n\r\n" + UTF8
    content = one(
        b"MIME-Version: 1.0",
        b"Content-Type: multipart/mixed; boundary=m",
        body=b"--m\r\n" + signed + b"\r\n--m" + beside + b"\r\n--m--",
    )
    out = converted(content)
    assert signed in out and out.isascii() and leaves(out) == leaves(content)


def test_the_message_that_a_notification_quotes_may_lose_its_signature() -> None:
    """It is quoted to be read, and nobody could be told otherwise; what stands beside it is sealed as ever."""
    signed = (
        b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        b"\xc3\xa9\xc3\xa9 and so on\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\nsig\r\n--s--\r\n"
    )
    quoted = b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\nMIME-Version: 1.0\r\n" + signed

    def report(*parts: bytes) -> bytes:
        return one(
            b"MIME-Version: 1.0",
            b"Content-Type: multipart/report; report-type=delivery-status; boundary=r",
            body=b"".join(b"--r\r\n" + part + b"\r\n" for part in parts) + b"--r--",
        )

    content = report(
        b"\r\nyours", b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns;x\r\n", quoted
    )
    out = converted(content)
    assert out.isascii() and leaves(out) == leaves(content)
    for sealed in (
        report(quoted, signed),
        report(signed),
        report(b"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n" + quoted + b"\r\n--m--"),
    ):
        with pytest.raises(Unsendable, match="multipart/signed"):
            converted(sealed)
    # Long lines are no reason to break what can go as it is.
    long = content.replace(b"\xc3\xa9\xc3\xa9", b"e" * 100)
    assert converted(long, eight=False, longest=90) == long


def test_parts_of_a_digest_are_messages() -> None:
    """A part of a digest without a type is a message (RFC 2046 section 5.1.5)."""
    inner = one(b"MIME-Version: 1.0", b"Content-Type: text/plain; charset=utf-8")
    content = one(
        b"MIME-Version: 1.0",
        b"Content-Type: multipart/digest; boundary=m",
        body=b"--m\r\n\r\n" + inner + b"--m--",
    )
    out = converted(content)
    assert out.isascii() and leaves(out) == leaves(content)


def test_header_fields_and_preambles_are_not_touched() -> None:
    """There is nothing to make them readable again; readers skip what stands around parts."""
    content = one(
        b"X-Name: \xe9",
        b"MIME-Version: 1.0",
        b"Content-Type: multipart/mixed; boundary=m",
        body=b"pr\xe9amble\r\n--m\r\nX-Name: \xe9\r\n\r\nseven\r\n--m--\r\n\xe9pilogue",
    )
    assert converted(content) == content


@given(text(), st.lists(st.integers(0, 3000), max_size=6), st.sampled_from([QuotedPrintable, Base64]))
def test_encoders(content: bytes, cuts: list[int], encoder: type[QuotedPrintable | Base64]) -> None:
    """Seven bits, lines of 76 at most, none with a blank at its end, and the octets come back (RFC 2045 6.7, 6.8)."""
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    at_work = encoder()
    out = b"".join([*(at_work.feed(content[a:b]) for a, b in pairwise(edges)), at_work.finish()])
    lines = out.split(b"\r\n")
    assert out.isascii() and all(len(line) <= 76 and line == line.rstrip() for line in lines)
    assert (a2b_qp(out) if encoder is QuotedPrintable else a2b_base64(out)) == content
    if encoder is QuotedPrintable and not re.search(rb"(^|\r\n)-", content):
        assert not re.search(rb"(^|\r\n)-", out), "a soft line break must not make a boundary"


def test_a_large_message_streams() -> None:
    """However large a message, a line or a part of it is, what is kept of it is bounded."""
    head = one(b"MIME-Version: 1.0", b"Content-Type: multipart/mixed; boundary=m", body=b"--m\r\n\r\n")
    conversion = Conversion(True)
    tracemalloc.start()
    out = len(conversion.feed(head))
    for _ in range(96):
        out += len(conversion.feed(b"x" * 60_000 + b"\r\n\xc3\xa9" * 2000))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    out += len(conversion.feed(b"\r\n--m--\r\n")) + len(conversion.finish())
    assert out > 96 * 60_000 and most < 16 * LOOK
