"""Promises about the header of submissions: what is added, what goes, and that the rest stays as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.mail.submission import HeaderTooLong, completed, mailboxes, originator

DATE = "Wed, 25 Nov 2026 20:00:00 +0000"
ID = "<1@mail.example.org>"


def made(
    header: str, rewrite: int = 0, who: str | None = "ann@a.example", adds: bool = True
) -> tuple[str, str]:
    content = header.replace("\n", "\r\n").encode()
    front, rest = completed(
        content,
        True,
        date=DATE if adds else "",
        message_id=ID if adds else "",
        originator=who,
        rewrite=rewrite,
    )
    return front.decode().replace("\r\n", "\n"), rest.decode().replace("\r\n", "\n")


COMPLETE = "date: x\nMESSAGE-ID : y\nFrom: ann@a.example\n"


def test_what_is_missing_is_added() -> None:
    """Date and Message-ID, each only where it is not there, however it is written; the content stays."""
    assert made("Subject: t\n\nDate: no\n") == (
        f"Date: {DATE}\nMessage-ID: {ID}\n",
        "Subject: t\n\nDate: no\n",
    )
    assert made("Date:\n 1\n\n") == (f"Message-ID: {ID}\n", "Date:\n 1\n\n")
    assert made(COMPLETE + "\nbody\n") == ("", COMPLETE + "\nbody\n")
    assert made("Subject: a\n Date: folded\n\n")[0].startswith("Date:")
    assert made("\nDate: in the body\n")[0].startswith("Date:")
    assert made("Subject: t\n", adds=False) == ("", "Subject: t\n")


@pytest.mark.parametrize("rewrite", [1, 2])
@pytest.mark.parametrize(
    ("header", "front", "rest"),
    [
        ("From: Ann <ANN@a.example>\n\n", "", None),
        ("From: boss@a.example\n\n", "Sender: ann@a.example\n", None),
        ("Subject: nobody\n\n", "Sender: ann@a.example\n", None),
        ("From: ann@a.example, boss@a.example\n\n", "Sender: ann@a.example\n", None),
        ('From: "ann@a.example" <boss@a.example>\n\n', "Sender: ann@a.example\n", None),
        ("From: boss@a.example\nSender: (me) <ann@A.example>\n\n", "", None),
        (
            "Sender: boss@a.example\nFrom: boss@a.example\n\nSender: x\n",
            "Sender: ann@a.example\n",
            "From: boss@a.example\n\nSender: x\n",
        ),
        (
            "Sender: ann@a.example,\n evil@x.example\nFrom: ann@a.example\nsender: z\n\n",
            "",
            "From: ann@a.example\n\n",
        ),
    ],
)
def test_the_sender_is_true(rewrite: int, header: str, front: str, rest: str | None) -> None:
    """Who has authenticated stands in From or Sender, and nobody else in Sender."""
    assert made(header, rewrite, adds=False) == (front, header if rest is None else rest)
    assert made(header, 0, adds=False) == ("", header)
    assert made(header, rewrite, None, adds=False) == ("", header)


def test_what_is_sent_again() -> None:
    """Value 1 speaks of the last that it was sent again, 2 of the message itself."""
    once = "Resent-From: ann@a.example\nResent-Sender: x@x.example\nFrom: boss@a.example\n\n"
    assert made(once, 1, adds=False) == ("", "Resent-From: ann@a.example\nFrom: boss@a.example\n\n")
    assert made(once, 2, adds=False) == ("Sender: ann@a.example\n", once)
    twice = "Resent-From: bob@b.example\nResent-From: ann@a.example\nResent-Sender: ann@a.example\n\n"
    assert made(twice, 1, adds=False) == ("Resent-Sender: ann@a.example\n", twice)


def test_a_header_without_an_end() -> None:
    """What cannot be seen whole is not completed by halves; a message of a header alone is."""
    with pytest.raises(HeaderTooLong):
        completed(b"Subject: t\r\n", False, date=DATE, message_id=ID, originator=None, rewrite=0)
    assert completed(b"X: y\r\n", True, date=DATE, message_id="", originator=None, rewrite=0)[0]


@given(st.binary(max_size=80), st.integers(0, 2))
def test_the_rest_is_untouched(body: bytes, rewrite: int) -> None:
    """Not an octet of the body changes, whatever it is, and none of the header but a Sender that is not true."""
    content = b"Sender: x@x.example\r\nFrom: b@b.example\r\n\r\n" + body
    _, rest = completed(content, True, date=DATE, message_id=ID, originator="ann@a.example", rewrite=rewrite)
    assert rest == (content if not rewrite else content.partition(b"\r\n")[2])


@given(st.binary(max_size=200), st.booleans())
def test_no_octets_are_a_problem(content: bytes, whole: bool) -> None:
    """Whatever comes in is completed, or refused as a header without an end."""
    try:
        completed(content, whole, date=DATE, message_id=ID, originator="ann@a.example", rewrite=1)
    except HeaderTooLong:
        assert not whole


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"a@b", ["a@b"]),
        (b"A (comment, (nested) with comma) <a@B.Example>", ["a@b.example"]),
        (b'"Last, First" <a@b>, c@d (e)', ["a@b", "c@d"]),
        (b'"quo\\"te,d"@b', ['"quo\\"te,d"@b']),
        (b"=?utf-8?q?x?= <a @ b>", ["a@b"]),
        (b"", []),
        (b"<>", []),
        (b"a@b <c@d>", ["c@d"]),
        (b"<a@b", []),
    ],
)
def test_addresses_in_fields(value: bytes, found: list[str]) -> None:
    """A display name that looks like an address is none."""
    assert mailboxes(value) == found


@pytest.mark.parametrize(
    ("user", "address"),
    [
        ("ann", "ann@mail.example.org"),
        ("ann@a.example", "ann@a.example"),
        ("ann lee", '"ann lee"@mail.example.org'),
        ('an"n', '"an\\"n"@mail.example.org'),
        ("\u00e4nn", None),
        ("an\r\nBcc: x", None),
        ("ann@a b", None),
    ],
)
def test_the_address_of_a_user(user: str, address: str | None) -> None:
    """Names become addresses that a header can carry, or none."""
    assert originator(user, "mail.example.org", utf8=False) == address
    assert originator("\u00e4nn", "a.example", utf8=True) == "\u00e4nn@a.example"
