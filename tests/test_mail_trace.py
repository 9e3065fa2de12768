"""Received fields, transport strings, ids of arrivals."""

import re
import time
from email import message_from_bytes
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jobctl.mail.trace import new_envelope_id, received_count, received_field, rfc5322_date
from jobctl.mail.transportinfo import TransportInfo

WIRE = "TCP|192.0.2.1|25|198.51.100.7|40001"


def _field(**changes):
    given = {
        "helo": "client.example.net",
        "transport": TransportInfo.parse(WIRE)[0],
        "by": "mail.example.org",
        "protocol": "ESMTP",
        "envelope_id": "ID1@mail.example.org",
        "recipient": "ann@mail.example.org",
        "when": 1_220_621_546.9,
        "product": "jobctl 0.1",
    }
    return received_field(**{**given, **changes})


def test_field():
    """The field says who came from where, by which host, how, as which id, for whom and when."""
    text = _field().decode("ascii")
    assert text.startswith(
        "Received: from client.example.net ([198.51.100.7])\r\n"
        " by mail.example.org (jobctl 0.1)\r\n"
        " with ESMTP id <ID1@mail.example.org>\r\n"
        " for <ann@mail.example.org>;\r\n "
    )
    date = parsedate_to_datetime(text.rsplit(";", 1)[1].strip())
    assert date.timestamp() == 1_220_621_546


def test_field_without_what_is_unknown():
    """Without transport information no address is claimed; without HELO no name; no "for" among several."""
    text = _field(helo="", transport=None, recipient=None, envelope_id="X1").decode()
    assert text.startswith(
        "Received: from unknown\r\n by mail.example.org (jobctl 0.1)\r\n with ESMTP id X1;\r\n "
    )
    assert "(gw.example" in _field(transport=None, rdns="gw.example").decode()
    assert "(gw.example [198.51.100.7])" in _field(rdns="gw.example").decode()


def test_field_with_ipv6():
    """An IPv6 client is shown as the tagged literal of RFC 5321."""
    transport = TransportInfo.make("2001:db8::1", 25, "2001:db8::2", 4000)
    assert b"([IPv6:2001:db8::2])" in _field(transport=transport)


def test_odd_recipient_is_left_out():
    """A recipient that cannot stand in the field unchanged is not put there changed."""
    assert b" for " not in _field(recipient='"a b"@c.example')
    assert b" for " not in _field(recipient="a" * 300 + "@c.example")


_any = st.text(max_size=40)


@given(_any, _any, _any, _any, _any, _any, _any)
@example("a\r\n\r\nbody", "(", ")", ";", "\\", '"', "\0")
@settings(deadline=None, max_examples=150)
def test_nothing_can_be_injected(helo, by, protocol, envelope_id, recipient, product, rdns):
    """Whatever names clients claim, the field stays one field: ASCII, short lines, balanced comments."""
    field = _field(
        helo=helo,
        by=by,
        protocol=protocol,
        envelope_id=envelope_id,
        recipient=recipient,
        product=product,
        rdns=rdns,
    )
    lines = field.split(b"\r\n")
    assert lines.pop() == b""
    assert b"\r" not in b"".join(lines) and b"\n" not in b"".join(lines) and field.isascii()
    assert all(line.startswith(b" ") for line in lines[1:]) and all(len(line) < 998 for line in lines)
    message = message_from_bytes(field + b"Subject: s\r\n\r\nbody\r\n")
    assert message.keys() == ["Received", "Subject"]
    text = message["Received"]
    assert text.count(";") == 1 and text.count("(") == text.count(")") and "\\" not in text


def test_date_follows_the_clock():
    """Each second has its own date, also when the clock goes back."""
    first, second = 1_700_000_000.0, 1_700_000_001.5
    for when in (first, second, first):
        assert parsedate_to_datetime(rfc5322_date(when)).timestamp() == int(when)


@pytest.mark.parametrize("zone, end", [("XXX+03:30", "-0330"), ("XXX-05:45", "+0545"), ("UTC", "+0000")])
def test_date_has_the_zone(zone, end, monkeypatch):
    """The date is local time with its offset, east and west."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        text = rfc5322_date(987_654_321 + len(end + zone))
        assert text.endswith(end)
        assert parsedate_to_datetime(text).timestamp() == 987_654_321 + len(end + zone)
    finally:
        monkeypatch.undo()
        time.tzset()
        rfc5322_date(1)  # another second, so that no other test gets this zone's text


def test_received_count():
    """Received fields of the header are counted, whatever their case; those of the body are not."""
    header = b"Received: a\r\nX-Received: b\r\nRECEIVED: c\r\n by d\r\nreceived: e\r\n\r\nReceived: f\r\n"
    assert received_count(header) == 3
    assert received_count(header[: header.find(b"\r\n\r\n")]) == 3
    assert received_count(b"") == 0


def test_envelope_ids_are_unique():
    """Ids of one process never repeat and are fit for a header and a DSN."""
    ids = {new_envelope_id(1_700_000_000, "mail.example.org") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"[0-9A-Z]+@mail\.example\.org", one) for one in ids)


def test_transport_string():
    """The five fields are taken apart; ours first; the text is kept as it was."""
    info, warning = TransportInfo.parse(WIRE)
    assert warning is None
    assert info == TransportInfo(WIRE, "192.0.2.1", "25", "198.51.100.7", "40001")
    assert TransportInfo.make("192.0.2.1", 25, "198.51.100.7", 40001) == info


@pytest.mark.parametrize("text", ["", "TCP||||", "TCP|::1|25|2001:db8::7|", "TCP||25||"])
def test_transport_fields_may_be_empty(text):
    """Nothing known, or part of it, is no mistake."""
    info, warning = TransportInfo.parse(text)
    assert warning is None and info.text == text


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "UDP|1.2.3.4|1|1.2.3.4|2",
        "TCP|1.2.3.4|1|1.2.3.4",
        "TCP|1.2.3.4|1|1.2.3.4|2|",
        "TCP|[1.2.3.4]|1|1.2.3.4|2",
        "TCP|a.example|1|1.2.3.4|2",
        "TCP|1.2.3.4|65536|1.2.3.4|2",
        "TCP|1.2.3.4|smtp|1.2.3.4|2",
        "TCP|1.2.3.4|1|1.2.3.4|²",
        "TCP|1.2.3.4|1|1.2.3.4\r\nX: y|2",
    ],
)
def test_malformed_transport_is_opaque(text):
    """A malformed string is kept as text with a warning, and no address is believed."""
    info, warning = TransportInfo.parse(text)
    assert info == TransportInfo(text)
    assert warning is not None and "\n" not in warning
