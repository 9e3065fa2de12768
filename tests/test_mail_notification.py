"""Notifications: read back by an independent parser."""

import email
import email.policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.envelope import Envelope, Recipient
from jobctl.mail.notification import (
    QUOTE_LIMIT,
    Kind,
    Notice,
    Original,
    decode_xtext,
    report,
    wants,
)

ORIGINAL = (
    b"From: ann@a.example\r\nTo: bob@b.example\r\nSubject: a\r\n folded one\r\nMessage-ID: <1@a.example>\r\n"
    b"\r\n.leading dot\r\n8-bit: \xc3\xa9\r\n"
)


def case(**changes):
    """An ordinary undelivered message."""
    given = {
        "envelope": Envelope(
            "ann@a.example",
            (Recipient("bob@b.example", orcpt="rfc822;bob+2Bx@b.example"), Recipient("eve@b.example")),
            envid="QQ+2B314",
        ),
        "verdicts": (
            Disposition(
                "bob@b.example",
                Verdict.FAILED,
                "5.1.1",
                "550 5.1.1 <bob@b.example>... User unknown",
                "mx.b.example",
                "TCP|192.0.2.1|4000|192.0.2.2|25",
            ),
        ),
        "original": Original(ORIGINAL),
        "octets": len(ORIGINAL),
        "kind": Kind.FAILED,
        "arrived": 1_700_000_000.0,
        "now": 1_700_400_000.0,
        "local_host": "mail.example.org",
        "channel_host": "tcp-daemon",
        "postmaster": "postmaster@mail.example.org",
        "envelope_id": "E1@mail.example.org",
        "unique": "N1",
    }
    given.update(changes)
    return Notice(**given)


def parsed(notice):
    """The notification as Python's parser sees it."""
    return email.message_from_bytes(report(notice), policy=email.policy.default)


def status_groups(message):
    """The groups of fields of message/delivery-status."""
    return message.get_payload()[1].get_payload()


def test_it_is_a_multipart_report_of_three_parts():
    """A mail program recognises the notification and finds text, status and original in it."""
    message = parsed(case())
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    kinds = [part.get_content_type() for part in message.get_payload()]
    assert kinds == ["text/plain", "message/delivery-status", "message/rfc822"]
    assert not message.defects


def test_the_status_names_recipient_reply_and_remote():
    """The machine-readable part says who, what, why and where."""
    top, one = status_groups(parsed(case()))
    assert top["Reporting-MTA"].startswith("dns;mail.example.org")
    assert top["Original-Envelope-Id"] == "QQ+314"
    assert one["Final-Recipient"] == "rfc822;bob@b.example"
    assert one["Original-Recipient"] == "rfc822;bob+x@b.example"
    assert one["Action"] == "failed"
    assert one["Status"].split()[0] == "5.1.1"
    assert "User unknown" in one["Diagnostic-Code"]
    assert one["Diagnostic-Code"].startswith("smtp;")
    assert "mx.b.example" in one["Remote-MTA"]


def test_no_envelope_id_is_invented():
    """Original-Envelope-Id is there only when the sender gave ENVID (RFC 3464 section 2.2.1)."""
    top, _ = status_groups(parsed(case(envelope=Envelope("ann@a.example", (Recipient("bob@b.example"),)))))
    assert top["Original-Envelope-Id"] is None


def test_the_original_is_quoted_octet_for_octet():
    """What could not be delivered comes back unchanged."""
    assert ORIGINAL in report(case())


@pytest.mark.parametrize(
    "changes",
    [
        {"envelope": Envelope("ann@a.example", (Recipient("bob@b.example"),), ret="HDRS")},
        {"octets": QUOTE_LIMIT + 1},
    ],
)
def test_header_only(changes):
    """RET=HDRS, or a large message, brings back the header and nothing of the body."""
    text = report(case(**changes))
    assert b"text/rfc822-headers" in text
    assert b"Subject: a\r\n folded one" in text
    assert b"leading dot" not in text


def test_expiry_says_for_how_long_it_was_tried():
    """A message that timed out says so in subject, text and status 4.4.7."""
    message = parsed(case(kind=Kind.TIMEDOUT))
    assert message["Subject"] == "Delivery Notification: Delivery has timed out and failed"
    _, one = status_groups(message)
    assert one["Status"].startswith("4.4.7")
    assert one["Action"] == "failed"
    assert "after 5 days" in message.get_payload()[0].get_content()


@pytest.mark.parametrize(
    ("notify", "kinds"),
    [
        (None, "failed timedout bounced delayed"),
        ("FAILURE", "failed timedout bounced"),
        ("success,failure", "failed timedout bounced delivered relayed"),
        ("SUCCESS", "delivered relayed"),
        ("DELAY", "delayed"),
        ("NEVER", ""),
    ],
)
def test_who_is_told(notify, kinds):
    """NOTIFY decides what a sender hears of, and an empty sender is never told anything."""
    recipient = Recipient("bob@b.example", notify=notify)
    told = [kind for kind in Kind if wants(Envelope("ann@a.example", (recipient,)), recipient, kind)]
    assert told == [Kind(word) for word in kinds.split()]
    assert not any(wants(Envelope("", (recipient,)), recipient, kind) for kind in Kind)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=400), st.text(max_size=80))
def test_a_remote_cannot_add_fields(reply, remote):
    """Whatever a remote says, the notification has the same fields, and only ASCII before the original."""
    hostile = Disposition("bob@b.example", Verdict.FAILED, "5.1.1", reply + "\r\nX-Evil: yes\n\nhi", remote)
    text = report(case(verdicts=(hostile,)))
    message = email.message_from_bytes(text, policy=email.policy.default)
    assert len(message.get_payload()) == 3
    groups = status_groups(message)
    assert len(groups) == 2
    assert all(group["X-Evil"] is None for group in groups)
    assert text[: text.index(b"message/rfc822")].isascii()


def test_xtext():
    """RFC 3461 section 4."""
    assert decode_xtext("a+2Bb+3Dc") == "a+b=c"
