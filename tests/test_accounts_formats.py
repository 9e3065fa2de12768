"""Lines of the transaction log: the reference's examples, every format read back, and nothing forged."""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.accounts.escapes import field, text, unescaped
from jobctl.accounts.formats import CONNECTION_FIELDS, MAIL_FIELDS, Formatter
from jobctl.accounts.records import ConnectionRecord, MailRecord
from jobctl.config.log_options import LogSettings
from tests.zones import local_zone

WHEN = 1171640053.72  # 16-Feb-2007 15:34:13.72 GMT
_OPTIONS = ("node", "process", "notary", "filename", "envelope_id", "message_id", "username")
ALL = {f"log_{name}": 1 for name in (*_OPTIONS, "priority", "reason", "remote_mta", "queue_time")}
WHOLE = MailRecord(
    when=WHEN,
    action="D",
    modifiers="ES",
    source="tcp_local",
    size=1025,
    sender="ann@a.example",
    original="rfc822;bob@b.example",
    recipient="bob@b.example",
    job="tcp_local.1f.3",
    notify="SUCCESS,DELAY",
    file="Q1A.02",
    envelope_id="ID 7",
    message_id="<1@a.example>",
    user="ann",
    system="mx.b.example",
    priority="normal",
    reason="by hand",
    diagnostic="250 2.1.5 ok",
    remote="mx.b.example",
    transport="TCP|192.0.2.1|2788|192.0.2.2|25",
    application="mx.b.example ESMTP",
    queued=12.7,
)


@pytest.fixture(autouse=True)
def greenwich() -> Iterator[None]:
    with local_zone("UTC"):
        yield


def lines(record: MailRecord, bits: int = 0, **options: int) -> str:
    return Formatter(LogSettings(**options), "mail.example.org").mail(record, bits)


def test_as_in_the_reference() -> None:
    """The examples of the original's guide, field by field."""
    enqueued = MailRecord(
        when=WHEN,
        action="E",
        modifiers="E",
        source="tcp_local",
        destination="ims-ms",
        size=1024,
        sender="ann@a.example",
        original="rfc822;bob@b.example",
        recipient="bob@ims-ms-daemon",
    )
    assert lines(enqueued) == (
        "16-Feb-2007 15:34:13.72 tcp_local ims-ms EE 1 ann@a.example rfc822;bob@b.example bob@ims-ms-daemon"
    )
    delivered = MailRecord(
        when=WHEN,
        action="D",
        modifiers="E",
        source="tcp_local",
        size=10,
        sender="adam@sesta.example",
        original="rfc822;marlowe@siroe.example",
        recipient="marlowe@siroe.example",
        system="thor.siroe.example",
        remote="thor.siroe.example",
        connection="TCP|206.184.139.12|2788|192.160.253.66|25",
        banner="thor.siroe.example ESMTP ready",
        diagnostic="250 2.1.5 <marlowe@siroe.example>... Recipient ok",
    )
    assert lines(delivered, 1) == (
        "16-Feb-2007 15:34:13.72 tcp_local  DE 1 adam@sesta.example rfc822;marlowe@siroe.example "
        "marlowe@siroe.example thor.siroe.example dns;thor.siroe.example "
        "(TCP|206.184.139.12|2788|192.160.253.66|25) (thor.siroe.example ESMTP ready) "
        "smtp;250 2.1.5 <marlowe@siroe.example>... Recipient ok"
    )
    opened = ConnectionRecord(
        when=WHEN,
        action="O",
        channel="tcp_local",
        inbound=True,
        transport="TCP|206.184.139.12|25|192.160.253.66|1244",
        application="SMTP",
    )
    assert Formatter(LogSettings(), "x").connection(opened) == (
        "16-Feb-2007 15:34:13.72 tcp_local + O TCP|206.184.139.12|25|192.160.253.66|1244 SMTP"
    )


def test_every_format() -> None:
    """The same record in all six, with everything that can be shown."""
    plain = (
        "16-Feb-2007 15:34:13.72 mail.example.org tcp_local.1f.3 tcp_local  DES 2 ann@a.example "
        "rfc822;bob@b.example bob@b.example SUCCESS,DELAY Q1A.02 ID\\x207 <1@a.example> ann mx.b.example normal "
        "by\\x20hand dns;mx.b.example smtp;250 2.1.5 ok mx.b.example TCP|192.0.2.1|2788|192.0.2.2|25 "
        "mx.b.example\\x20ESMTP 12"
    )
    bits = 1 | 32 | 64
    assert lines(WHOLE, bits, log_format=1, **ALL) == plain
    assert lines(WHOLE, bits, log_format=2, **ALL) == plain
    assert lines(WHOLE, bits, log_format=3, **ALL) == (
        "16-Feb-2007 15:34:13.72 16:mail.example.org 14:tcp_local.1f.3 9:tcp_local 0: DES 2 13:ann@a.example "
        "20:rfc822;bob@b.example 13:bob@b.example 13:SUCCESS,DELAY 6:Q1A.02 4:ID 7 13:<1@a.example> 3:ann "
        "12:mx.b.example 6:normal 7:by hand 34:dns;mx.b.example smtp;250 2.1.5 ok 12:mx.b.example "
        "31:TCP|192.0.2.1|2788|192.0.2.2|25 18:mx.b.example ESMTP 12"
    )
    attributes = {
        "ts": "2007-02-16T15:34:13.72+00:00",
        "no": "mail.example.org",
        "pi": "tcp_local.1f.3",
        "sc": "tcp_local",
        "dc": "",
        "ac": "DES",
        "sz": "2",
        "so": "ann@a.example",
        "od": "rfc822;bob@b.example",
        "de": "bob@b.example",
        "rf": "SUCCESS,DELAY",
        "fi": "Q1A.02",
        "ei": "ID 7",
        "mi": "<1@a.example>",
        "us": "ann",
        "ss": "mx.b.example",
        "pr": "normal",
        "re": "by hand",
        "di": "dns;mx.b.example smtp;250 2.1.5 ok",
        "rm": "mx.b.example",
        "tr": "TCP|192.0.2.1|2788|192.0.2.2|25",
        "ap": "mx.b.example ESMTP",
        "qt": "12",
    }
    element = ElementTree.fromstring(lines(WHOLE, bits, log_format=4, **ALL))
    assert element.tag == "en"
    assert list(element.attrib.items()) == list(attributes.items())
    values = {**attributes, "sz": 2, "qt": 12}
    assert json.loads(lines(WHOLE, bits, log_format=5, **ALL)) == {"en": values}
    assert json.loads(lines(WHOLE, bits, log_format=6, **ALL)) == {"el": "en", **values}


def test_what_is_shown_by_itself() -> None:
    """Formats 4 to 6 turn on what the reference says; nothing empty is there unless bit 2 asks for it."""
    record = MailRecord(when=WHEN, action="E", source="l", destination="out", recipient="bob@b.example")
    assert lines(record, log_format=4) == (
        '<en ts="2007-02-16T15:34:13.72+00:00" sc="l" dc="out" ac="E" sz="0" so="" od="" de="bob@b.example"/>'
    )
    whole = set(json.loads(lines(WHOLE, log_format=6)))
    assert {"fi", "mi", "rf", "pr", "pi", "qt", "re", "us"} <= whole
    assert not {"no", "ei", "ss", "rm", "tr", "ap"} & whole
    assert "fi" not in json.loads(lines(WHOLE, log_format=6, log_filename=0))
    assert json.loads(lines(record, log_format=6, log_username=5))["us"] == ""
    assert "di" not in json.loads(lines(WHOLE, log_format=6, log_diagnostics=0))


def test_addresses_without_a_domain() -> None:
    """log_local gives them this host's name; what has one, is none, or is of another kind stays as it is."""

    def seen(record: MailRecord, log_local: bool = True) -> list[str | None]:
        made = json.loads(lines(record, log_format=6, log_local=log_local))
        return [made.get(name) for name in ("so", "od", "de")]

    bare = msgspec.structs.replace(WHOLE, sender="ann", original="rfc822;bob", recipient="bob")
    here = ["ann@mail.example.org", "rfc822;bob@mail.example.org", "bob@mail.example.org"]
    assert seen(bare) == here
    assert seen(bare, log_local=False) == ["ann", "rfc822;bob", "bob"]
    assert seen(WHOLE) == ["ann@a.example", "rfc822;bob@b.example", "bob@b.example"]
    other = msgspec.structs.replace(bare, sender="", original="x400;/C=de")
    assert seen(other) == ["", "x400;/C=de", "bob@mail.example.org"]
    command = msgspec.structs.replace(bare, action="B", sender="", original="", recipient="FOO")
    assert seen(command) == ["", "", "FOO"]


def test_no_address() -> None:
    """The null sender is nothing in format 1, and <> in format 2."""
    record = MailRecord(
        when=WHEN, action="E", source="l", destination="out", recipient="bob@b.example", size=1
    )
    assert lines(record).endswith(" l out E 1   bob@b.example")
    assert lines(record, log_format=2).endswith(" l out E 1 <> <> bob@b.example")


EVIL = st.text(
    st.sampled_from(list("a@;\\x20\n\r\t\0 \"'<>&|:{}[]\x1b\x7f\x85\x9b\u2028\u202e\ud800\U0001f600ä")),
    max_size=30,
)
FREE = [name for name in MailRecord.__struct_fields__ if name not in ("when", "size", "queued", "action")]
LINE_ENDS = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


@settings(deadline=None, max_examples=200)
@given(st.fixed_dictionaries(dict.fromkeys(FREE, EVIL)), st.integers(1, 6))
def test_nothing_can_be_forged(values: dict[str, str], log_format: int) -> None:
    """Whatever a peer says: one line, no terminal control, and each field reads back as what was said."""
    values["modifiers"] = ""
    record = MailRecord(when=WHEN, size=1, queued=1, action="D", **values)
    line = lines(record, 255, log_format=log_format, log_sensitivity=1, **ALL)
    assert not LINE_ENDS.search(line)
    assert line.isprintable()
    line.encode("utf-8")
    expected = {
        "so": values["sender"],
        "de": values["recipient"],
        "od": values["original"],
        "ap": values["application"],
        "mi": values["message_id"],
    }
    names = [name for name, _ in MAIL_FIELDS]
    if log_format == 1:
        # Only the diagnostic has blanks of its own: the fields before and after it are in their columns.
        columns = ("date " + line.partition(" ")[2]).split(" ")
        before, after = columns[: names.index("di") + 1], columns[names.index("di") - len(names) + 1 :]
        found = {name: unescaped(value) for name, value in zip(["date", *names], before, strict=False)}
        found |= {
            name: unescaped(value) for name, value in zip(names[names.index("rm") :], after, strict=True)
        }
        assert {name: found[name] for name in expected} == expected
    elif log_format == 3:
        rest = line.split(" ", 2)[2].encode()
        found = {}
        for name in names[1:]:
            if name in ("ac", "sz", "qt"):
                rest = rest.partition(b" ")[2]
                continue
            length, _, rest = rest.partition(b":")
            found[name] = unescaped(rest[: int(length)].decode())
            rest = rest[int(length) + 1 :]
        assert {name: found[name] for name in expected} == expected
    elif log_format == 4:
        element = ElementTree.fromstring(line)
        assert {name: unescaped(element.get(name, "")) for name in expected} == expected
    elif log_format >= 5:
        value = json.loads(line)
        value = value.get("en", value)
        whole = {name: value.encode("utf-8", "replace").decode() for name, value in expected.items()}
        assert {name: value.get(name, "") for name in expected} == whole


@given(EVIL)
def test_escapes_can_be_undone(value: str) -> None:
    """What was said can be read again from what was written, blanks and backslashes too."""
    assert unescaped(text(value)) == value
    assert unescaped(field(value)) == value
    assert " " not in field(value)


def test_long_values_are_cut() -> None:
    """A peer cannot fill the log with one reply."""
    record = MailRecord(when=WHEN, action="Q", source="l", sender="s" * 100_000, diagnostic="d" * 100_000)
    for log_format in range(1, 7):
        assert len(lines(record, log_format=log_format)) < 3000


def test_connections_in_every_format() -> None:
    """Direction, why it was closed, who was authenticated."""
    record = ConnectionRecord(
        when=WHEN,
        action="C",
        channel="tcp_local",
        inbound=False,
        transport="TCP|192.0.2.1|2788|192.0.2.2|25",
        application="mx ESMTP",
        user="ann",
        diagnostic="closed by the\npeer",
    )
    told = [Formatter(LogSettings(log_format=n), "x").connection(record) for n in range(1, 7)]
    assert told[0] == (
        "16-Feb-2007 15:34:13.72 tcp_local - C TCP|192.0.2.1|2788|192.0.2.2|25 mx\\x20ESMTP closed by the\\x0apeer"
    )
    assert told[2].endswith(
        " 9:tcp_local - C 31:TCP|192.0.2.1|2788|192.0.2.2|25 8:mx ESMTP 21:closed by the\\x0apeer"
    )
    element = ElementTree.fromstring(told[3])
    assert element.tag == "co"
    assert list(element.attrib) == [name for name, _ in CONNECTION_FIELDS if name in element.attrib]
    assert json.loads(told[4])["co"]["di"] == json.loads(told[5])["di"] == "closed by the\npeer"
    assert json.loads(told[5])["el"] == "co" and json.loads(told[5])["us"] == "ann"


@local_zone("IST-5:30")
def test_local_time() -> None:
    """Times are the clock's on the wall, in formats 4 to 6 with their distance from GMT."""
    record = MailRecord(when=WHEN, action="E", source="l")
    assert lines(record).startswith("16-Feb-2007 21:04:13.72 ")
    assert '"2007-02-16T21:04:13.72+05:30"' in lines(record, log_format=4)
