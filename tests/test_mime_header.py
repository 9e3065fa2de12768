"""Header options: what becomes of the fields of a header."""

import re
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.config.header_settings import HeaderRule
from jobctl.mime.address_fields import divided
from jobctl.mime.fields import cut, folded
from jobctl.mime.header_section import MOST_HEADER, HeaderSection, changed, on_arrival, on_delivery
from jobctl.mime.trimming import trimmed
from jobctl.mime.unsendable import Unsendable
from tests.smtp_dialogues import Client, Server, channel

FIELDS = [
    b"Received: one\r\n",
    b"Received: two\r\n by\r\n",
    b"To: a@b\r\n",
    b"X-Old: x\r\n",
    b"Subject: s\r\n",
]


def rule(name: str, **options: Any) -> HeaderRule:
    return HeaderRule(field=name.lower(), name=name, **options)


@pytest.mark.parametrize(
    ("rules", "result"),
    [
        ([], FIELDS),
        ([rule("x-old", maximum=0)], [*FIELDS[:3], FIELDS[4]]),
        ([rule("X-Old", maximum=-1)], [*FIELDS[:3], FIELDS[4]]),
        ([rule("Received", maximum=1)], [FIELDS[0], *FIELDS[2:]]),
        ([rule("Received", maxlines=2)], [FIELDS[0], *FIELDS[2:]]),
        ([rule("Received", maxlines=3)], FIELDS),
        ([rule("Received", maxlines=-1)], FIELDS[2:]),
        ([rule("X-Old", relabel="X-New")], [*FIELDS[:3], b"X-New: x\r\n", FIELDS[4]]),
        ([rule("X-Old", relabel="Subject"), rule("Subject", maximum=1)], [*FIELDS[:3], b"Subject: x\r\n"]),
        ([rule("Received", add="here")], [*FIELDS[:2], b"Received: here\r\n", *FIELDS[2:]]),
        ([rule("Subject", fill="none")], FIELDS),
        ([rule("X-Fill", fill="none")], [*FIELDS, b"X-Fill: none\r\n"]),
        (
            [rule("Subject", maxchars=9), rule("Received", maxchars=14)],
            [*FIELDS[:1], b"Received: two\r\n", *FIELDS[2:4], b"Subject:\r\n"],
        ),
        (
            [rule("Subject", precedence=-1), rule("To", precedence=1)],
            [FIELDS[4], *FIELDS[:2], FIELDS[3], FIELDS[2]],
        ),
        ([rule("Defaults", maximum=0), rule("To"), rule("Subject")], [FIELDS[2], FIELDS[4]]),
        (
            [rule("Defaults", maxchars=7), rule("Received")],
            [*FIELDS[:2], b"To: a@b\r\n", b"X-Old:\r\n", b"Subject:\r\n"],
        ),
    ],
)
def test_options(rules: list[HeaderRule], result: list[bytes]) -> None:
    """Each option does what the table says; what it does not name keeps its octets."""
    assert trimmed(FIELDS, rules) == result


ADDRESSES = [
    b"a@b.example",
    b'"Last, First" <c@d.example>',
    b"Group: x@y, z@y;",
    b"e@[IPv6:::1] (a, comment \\) with, (more))",
    b"Joe\r\n Q. Public <joe@f.example>",
    b'"quoted \\" , mark"@g.example',
]


@given(st.lists(st.sampled_from(ADDRESSES), min_size=1, max_size=12), st.integers(1, 5))
def test_fields_of_many_addresses_are_divided(addresses: list[bytes], most: int) -> None:
    """No address is lost, changed or cut in two; each field has as many as allowed."""
    field = b"To: " + b", ".join(addresses) + b"\r\n"
    parts = divided(field, most, None)
    assert [part.partition(b":")[0] for part in parts] == [b"To"] * -(-len(addresses) // most)
    if len(addresses) <= most:
        assert parts == [field]
    read = [_read(part) for part in parts]
    assert [address for part in read for address in part] == _read(field)


def _read(field: bytes) -> list[Any]:
    value = field.partition(b":")[2].decode().replace("\r\n", "").strip()
    parsed = default.header_factory("To", value)
    return [(group.display_name, [str(one) for one in group.addresses]) for group in parsed.groups]


@given(st.lists(st.sampled_from(ADDRESSES), min_size=1, max_size=12), st.integers(1, 200))
def test_fields_of_many_octets_are_divided(addresses: list[bytes], longest: int) -> None:
    """Each field has as many octets as allowed, or one address."""
    field = b"Cc: " + b", ".join(addresses) + b"\r\n"
    parts = divided(field, None, longest)
    assert [one for part in parts for one in _read(part)] == _read(field)
    for part in parts:
        assert len(part.replace(b"\r\n", b"")) <= longest or len(_read(part)) == 1


def test_only_recipients_are_divided() -> None:
    """A second From would say something else."""
    field = b"From: a@b, c@d\r\n"
    assert divided(field, 1, 5) == [field]


@given(
    st.lists(st.sampled_from([b"word", b" ", b"\t", b"\r\n ", b"x" * 30, b"\xc3\xa9"]), max_size=30),
    st.integers(20, 60),
)
def test_folding(words: list[bytes], width: int) -> None:
    """Unfolded it is what it was; lines are as long as asked where there is a blank; no line is blank."""
    field = re.sub(rb"(\r\n[ \t]*)+(?=\r\n)", b"", b"X: y" + b"".join(words) + b"z\r\n")
    field = re.sub(rb"\r\n[ \t]+\r\n", b"\r\n", field)
    out = folded(field, width)
    assert out.replace(b"\r\n", b"") == field.replace(b"\r\n", b"")
    lines = out.split(b"\r\n")[:-1]
    assert all(line[:1] in (b" ", b"\t") for line in lines[1:]) and all(line.strip() for line in lines)
    for line in lines:
        assert len(line) <= width or not re.search(rb"[^ \t][ \t]+[^ \t]", line[: width + 1])


@given(st.integers(2, 40))
def test_cutting(octets: int) -> None:
    """A field that is cut is a field still, and no character of it is half."""
    field = "X: grüße\r\n über\r\n  alles\r\n".encode()
    out = cut(field, octets)
    assert len(out.replace(b"\r\n", b"")) <= octets and out.decode()
    assert out == field or octets < len(field) - 6


def test_header_in_pieces() -> None:
    """The header is complete before it is changed, wherever it is cut; the body is not looked at."""
    content = b"A: 1\r\nB: 2\r\n\r\nA: body\r\n"
    for at in range(len(content)):
        section = HeaderSection(lambda fields: fields[1:])
        assert section.feed(content[:at]) + section.feed(content[at:]) + section.finish() == content[6:]
    section = HeaderSection(lambda fields: [])
    assert section.feed(b"A: 1\r\n") + section.finish() == b""
    assert HeaderSection(lambda fields: [b"C: 3\r\n"]).feed(b"\r\nbody") == b"C: 3\r\n\r\nbody"


def test_a_header_without_end() -> None:
    """What is to be removed does not get through behind a header that is too long to be kept."""
    section = HeaderSection(lambda fields: fields)
    with pytest.raises(Unsendable) as caught:
        for _ in range(MOST_HEADER // 1000 + 2):
            section.feed(b"X: " + b"y" * 995 + b"\r\n")
    assert caught.value.status == "5.6.0"


def test_what_is_no_field_stays() -> None:
    """From a line on that is no field, nobody knows what is header."""
    assert changed(b"A: 1\r\nno field\r\nA: 2\r\n", lambda fields: []) == b"no field\r\nA: 2\r\n"


LONG = b"To: a@b, c@d, e@f\r\n"


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        ({"maxheaderaddrs": 2}, [b"To: a@b,\r\n c@d\r\n", b"To: e@f\r\n"]),
        ({"maxheaderaddrs": 2, "maxprocchars": 16}, [LONG]),
        ({"maxheaderaddrs": 2, "maxprocchars": 17}, [b"To: a@b,\r\n c@d\r\n", b"To: e@f\r\n"]),
        ({"maxheaderchars": 11}, [b"To: a@b\r\n", b"To: c@d\r\n", b"To: e@f\r\n"]),
        ({"headerlinelength": 12}, [b"To: a@b,\r\n c@d, e@f\r\n"]),
        ({"headertrim": (rule("To", maximum=0),)}, []),
        (
            {"headertrim": (rule("To", relabel="Cc"),), "maxheaderaddrs": 2},
            [b"Cc: a@b,\r\n c@d\r\n", b"Cc: e@f\r\n"],
        ),
    ],
)
def test_on_delivery(given: dict[str, Any], fields: list[bytes]) -> None:
    """The master's options act together, trimming first."""
    settings = channel(**given)
    assert on_delivery(settings)([LONG]) == fields
    client = Client(**given)
    content = LONG + b"X: y\r\n\r\n" + LONG
    client.begin(whole=content)
    client.hear("250 ok", "250 ok", "354 go")
    client.dialogue.feed(content)
    client.dialogue.finish()
    assert client.dialogue.take_output() == b"".join(fields) + b"X: y\r\n\r\n" + LONG + b".\r\n"


def test_on_arrival() -> None:
    """The slave's act on what comes in, by DATA and by BDAT, before our own Received field."""
    rules = (rule("X-Old", maximum=0), rule("X-New", add="a"))
    assert on_arrival(channel(headerread=rules))([b"X-Old: 1\r\n"]) == [b"X-New: a\r\n"]
    content = b"X-Old: 1\r\nB: 2\r\n\r\nX-Old: body\r\n"
    for how in ("DATA", f"BDAT {len(content)} LAST"):
        server = Server(headerread=rules)
        server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", how)
        server.send(content + (b".\r\n" if how == "DATA" else b""))
        assert server.asked[-1].data == b"B: 2\r\nX-New: a\r\n\r\nX-Old: body\r\n"


@pytest.mark.parametrize(
    ("keyword", "parameter", "reply"),
    [
        ("utf8strict", "", "554 5.6.9 header in UTF-8 without SMTPUTF8"),
        ("utf8strict", " SMTPUTF8", "250 2.5.0 Ok."),
        ("utf8negotiate", "", "250 2.5.0 Ok."),
    ],
)
@pytest.mark.parametrize("rest", [b"", b"\r\nbody\r\n"])
def test_utf8_has_to_be_declared(keyword: str, parameter: str, reply: str, rest: bytes) -> None:
    """``utf8strict`` takes no header in UTF-8 of a client that did not say so; a body in UTF-8 is another matter."""
    server = Server(keywords={keyword: True})
    server.say(f"MAIL FROM:<a@b>{parameter}", "RCPT TO:<c@d>", "DATA")
    assert server.send("Subject: ü\r\n".encode() + rest + b".\r\n") == reply
    server.say(f"MAIL FROM:<a@b>{parameter}", "RCPT TO:<c@d>", "DATA")
    assert server.send("Subject: u\r\n\r\nü\r\n.\r\n".encode()) == "250 2.5.0 Ok."


def test_a_header_too_long_for_its_options_is_refused() -> None:
    """Where options have to act and cannot, the client hears it."""
    server = Server(headerread=(rule("X-Old", maximum=0),))
    server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")
    said = server.send(
        b"X: " + b"y" * 995 + b"\r\n" * 1 + (b"X: " + b"y" * 995 + b"\r\n") * 1100 + b"\r\n.\r\n"
    )
    assert said.startswith("554 5.6.0 header section")
