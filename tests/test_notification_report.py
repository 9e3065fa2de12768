"""Notifications as mail: read back by independent parsers."""

import email
import re

import fast_mail_parser
import msgspec
import pytest
from flufl.bounce import all_failures
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.entry import Attempt
from jobctl.mail.envelope import Envelope, Recipient
from jobctl.notification.notice import Kind, Original, wants
from tests.notification_case import (
    ARRIVED,
    LIBRARY,
    ORIGINAL,
    REFUSED,
    parsed,
    read,
    status_groups,
    text_of,
    written,
)

LANGUAGES = sorted(LIBRARY.languages)
BOB = Recipient("bob@b.example")


def test_it_is_a_multipart_report_of_three_parts():
    """A mail program recognises the notification and finds text, status and original in it."""
    message = parsed()
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    kinds = [part.get_content_type() for part in message.get_payload()]
    assert kinds == ["text/plain", "message/delivery-status", "message/rfc822"]
    assert not message.defects
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["In-Reply-To"] == message["References"] == "<1@a.example>"


def test_the_status_names_recipient_reply_and_remote():
    """The machine-readable part says who, what, why and where."""
    top, one = status_groups(parsed())
    assert top["Reporting-MTA"].startswith("dns;mail.example.org")
    assert top["Original-Envelope-Id"] == "QQ+314"
    assert one["Final-Recipient"] == "rfc822;bob@b.example"
    assert one["Original-Recipient"] == "rfc822;bob+x@b.example"
    assert one["Action"] == "failed"
    assert one["Status"].split()[0] == "5.1.1"
    assert "User unknown" in one["Diagnostic-Code"]
    assert one["Diagnostic-Code"].startswith("smtp;")
    assert "mx.b.example" in one["Remote-MTA"]


def test_our_own_words_are_not_passed_off_as_a_peers():
    """A reason that is ours is x-local, whatever it looks like (RFC 3464 section 2.3.6)."""
    ours = Disposition("bob@b.example", Verdict.FAILED, "5.4.1", "550 5.4.1 no way there")
    _, one = status_groups(parsed(verdicts=(ours,)))
    assert one["Diagnostic-Code"].startswith("x-local;")
    assert one["Remote-MTA"] is None


def test_what_stands_in_a_comment_does_not_end_it():
    """A connection as a program told of it cannot add text outside the comment."""
    odd = msgspec.structs.replace(REFUSED, transport="TCP) rfc822;x (|1")
    _, one = status_groups(parsed(verdicts=(odd,)))
    assert one["Remote-MTA"] == "dns;mx.b.example (TCP] rfc822;x [|1)"


def test_no_envelope_id_is_invented():
    """Original-Envelope-Id is there only when the sender gave ENVID (RFC 3464 section 2.2.1)."""
    top, _ = status_groups(parsed(envelope=Envelope("ann@a.example", (BOB,))))
    assert top["Original-Envelope-Id"] is None


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, None),
        ({"hold_for": 3600}, "for;3600"),
        ({"hold_until": "2026-11-25T18:00:00Z"}, "until;2026-11-25T18:00:00Z"),
    ],
)
def test_when_it_was_to_be_released(asked, field):
    """What the sender had asked for by FUTURERELEASE is told as it was said (RFC 4865)."""
    top, _ = status_groups(parsed(envelope=Envelope("ann@a.example", (BOB,), **asked)))
    assert top["Future-Release-Request"] == field


def test_the_original_is_quoted_octet_for_octet():
    """What could not be delivered comes back unchanged."""
    assert ORIGINAL in written().content
    assert written().body == "8BITMIME"
    assert written(content=b"Subject: a\r\n\r\nhello\r\n").body is None


@pytest.mark.parametrize(
    "changes",
    [
        {"envelope": Envelope("ann@a.example", (BOB,), ret="HDRS")},
        {"whole": False},
        {"octets": len(ORIGINAL) + 1},
        {"kind": Kind.DELAYED},
        {"kind": Kind.DELIVERED},
        {"kind": Kind.RELAYED},
    ],
)
def test_header_only(changes):
    """RET=HDRS, a large message, or what is no failure, brings back the header and nothing of the body."""
    text = written(**changes).content
    assert b"text/rfc822-headers" in text
    assert b"Subject: a\r\n folded one" in text
    assert b"leading dot" not in text


def test_an_original_that_cannot_be_read_is_left_out():
    """A damaged message is reported all the same, without a third part."""
    message = parsed(original=Original())
    assert [part.get_content_type() for part in message.get_payload()] == [
        "text/plain",
        "message/delivery-status",
    ]


def test_a_header_without_end_is_quoted_in_part():
    """A header of megabytes does not come back whole."""
    text = written(content=b"X-Bomb: " + b"a" * 70 + b"\r\n" + b"X: y\r\n" * 300_000, whole=False).content
    assert len(text) < 100_000
    assert b"X: y\r\n\r\n--Boundary" in text


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", list(Kind))
def test_independent_readers_understand_it(kind, language):
    """flufl.bounce finds who failed and who is late, and another MIME parser the same parts, in every language."""
    several = (
        REFUSED,
        Disposition("eve@b.example", Verdict.FAILED, "5.2.2", "550 5.2.2 full", "mx.b.example"),
    )
    changes = {"kind": kind, "verdicts": several, "until": ARRIVED + 700_000}
    content = written(language, **changes).content
    late, failed = all_failures(email.message_from_bytes(content))
    who = {b"bob+x@b.example", b"eve@b.example"}
    assert failed == (who if kind.failure else set())
    assert late == (who if kind is Kind.DELAYED else set())
    other = fast_mail_parser.parse_email(content)
    assert other.subject == LIBRARY.of(language).label(f"SUBJECT_{kind.name}")
    assert other.text_plain[0].replace("\r\n", "\n").rstrip() == text_of(read(content)).rstrip()
    last = "message/rfc822" if kind.failure else "text/rfc822-headers"
    assert [part.mimetype for part in other.attachments] == ["message/delivery-status", last]
    assert other.attachments[0].content.count(f"Action: {kind.action}".encode()) == 2


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", list(Kind))
def test_it_can_be_read_by_people_and_sent_anywhere(kind, language):
    """No line is longer than 78 characters, none is empty where something should stand, and all is 7-bit."""
    written_ = written(
        language,
        kind=kind,
        content=b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nhello\r\n",
        until=ARRIVED + 700_000,
    )
    assert written_.content.isascii()
    assert max(len(line) for line in written_.content.split(b"\r\n")) <= 78
    text = text_of(read(written_.content))
    assert max(len(line) for line in text.split("\n")) <= 78
    assert "Grüße" in text and "bob@b.example" in text and "User unknown" in text
    assert "mail.example.org" in text and "E1@mail.example.org" in text
    assert not re.search(r"%[A-Z]|[A-Z]_[A-Z]", text), "something was not filled in"
    assert "\n\n\n" not in text


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        (Kind.FAILED, "Delivery Notification: Delivery has failed"),
        (Kind.TIMEDOUT, "Delivery Notification: Delivery has timed out and failed"),
        (Kind.BOUNCED, "Delivery Notification: Delivery has been manually aborted"),
        (Kind.DELAYED, "Delivery Notification: Delivery has been delayed"),
    ],
)
def test_subjects_are_those_of_the_original(kind, subject):
    """Rules in mailboxes that sort by the subjects of PMDF and Messaging Server go on working."""
    assert parsed(kind=kind)["Subject"] == subject


def test_expiry_says_for_how_long_it_was_tried_and_what_stood_in_the_way():
    """A message that timed out says so in subject, text and status 4.4.7."""
    late = Disposition("bob@b.example", Verdict.FAILED, "4.4.7", "451 4.4.1 no answer", "mx.b.example")
    message = parsed(kind=Kind.TIMEDOUT, verdicts=(late,))
    _, one = status_groups(message)
    assert one["Status"] == "4.4.7 (unable to deliver this message after 4 days)"
    assert one["Action"] == "failed"
    text = text_of(message)
    assert "in the queue for 4 days" in text
    assert "Reason: the destination does not answer" in text


def test_a_warning_says_until_when():
    """The sender of a late message learns how long it will still be tried."""
    message = parsed(kind=Kind.DELAYED, until=ARRIVED + 7 * 86400)
    _, one = status_groups(message)
    assert one["Action"] == "delayed"
    assert email.utils.parsedate_to_datetime(one["Will-Retry-Until"]).timestamp() == ARRIVED + 7 * 86400
    assert "tried for another 2 days" in text_of(message)


HISTORY = (
    *(
        Attempt(ARRIVED + n, "deferred", f"451 4.7.0 try {n}", "bob@b.example", "j1", "mx1")
        for n in range(30)
    ),
    Attempt(ARRIVED + 40, "held", "by root"),
    Attempt(ARRIVED + 50, "interrupted", "program died", job="j2"),
    Attempt(ARRIVED + 60, "deferred", "451 4.7.0 not eve", "eve@b.example"),
    Attempt(ARRIVED + 70, "failed", "550 5.7.1 last", "bob@b.example", "j3", "mx2"),
)


def test_the_history_of_delivery_is_appended():
    """The last attempts on the recipient are shown, neither those on others nor what operators did."""
    text = text_of(parsed(original=Original(ORIGINAL, HISTORY)))
    shown = text[text.index("What was tried before") : text.index("If you have")]
    assert "550 5.7.1 last (mx2)" in shown
    assert "earlier attempts are not shown" in shown
    assert "try 29" in shown and "try 11 " in shown and "try 10 " not in shown
    assert "root" not in shown and "died" not in shown and "eve" not in shown


def test_what_was_said_again_and_again_is_told_once():
    """A week of the same reply is two lines, with the number of attempts and when the last was."""
    bob, eve = (
        [Attempt(ARRIVED + 600 * n, "deferred", "451 4.7.0 later", who, "", "mx") for n in range(30)]
        for who in ("bob@b.example", "eve@b.example")
    )
    mixed = tuple(line for pair in zip(bob, eve, strict=True) for line in pair)
    several = (REFUSED, Disposition("eve@b.example", Verdict.FAILED, "5.1.1", "550 no"))
    text = text_of(parsed(verdicts=several, original=Original(ORIGINAL, mixed)))
    assert text.count("451 4.7.0 later (mx)") == 2
    assert text.count("the same 29 more times, the last on ") == 2
    assert "earlier attempts" not in text


def test_with_several_recipients_the_history_says_who():
    """Whose attempt it was is told where there could be a doubt."""
    eve = Disposition("eve@b.example", Verdict.FAILED, "5.1.1", "550 no")
    text = text_of(parsed(verdicts=(REFUSED, eve), original=Original(ORIGINAL, HISTORY[-3:])))
    assert "eve@b.example: 451 4.7.0 not eve" in text
    assert "bob@b.example: 550 5.7.1 last" in text


@pytest.mark.parametrize(
    ("form", "final"),
    [
        ("includefinal", "bob@inner.b.example"),
        ("useintermediate", "bob@b.example"),
        ("suppressfinal", "Bob+x@b.example"),
    ],
)
def test_the_form_of_the_address(form, final):
    """An operator decides whether senders see the addresses that our rules made."""
    bob = Recipient("bob@inner.b.example", orcpt="rfc822;Bob+2Bx@b.example", intermediate="bob@b.example")
    message = parsed(
        envelope=Envelope("ann@a.example", (bob,)),
        verdicts=(Disposition(bob.address, Verdict.FAILED, "5.1.1", "550 no"),),
        addresses=form,
    )
    _, one = status_groups(message)
    assert one["Final-Recipient"] == f"rfc822;{final}"
    assert one["Original-Recipient"] == "rfc822;Bob+x@b.example"
    text = text_of(message)
    assert f"Recipient address: {final}" in text
    assert ("Original address: Bob+x@b.example" in text) is (form != "suppressfinal")
    assert ("inner" in text) is (form == "includefinal")


def test_a_copy_for_the_postmaster_says_so():
    """A postmaster sees at once that it is a copy, whether the sender knows, and programs that it is one."""
    told = parsed(copy=True, to="postmaster@mail.example.org")
    assert told["Subject"] == "Postmaster copy: Delivery Notification: Delivery has failed"
    assert told["To"] == "postmaster@mail.example.org"
    assert told["Postmaster-Copy"] == "mail.example.org"
    assert "this report has been sent to ann@a.example" in " ".join(text_of(told).split())
    assert "you sent" not in text_of(told)
    untold = parsed(copy=True, told=False, envelope=Envelope("", (BOB,)))
    assert "the sender, an empty address, has not been told" in " ".join(text_of(untold).split())
    assert parsed()["Postmaster-Copy"] is None


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("Mail, Inc.", '"Mail, Inc." <postmaster@mail.example.org>'),
        ("", "Internet Mail Delivery <postmaster@mail.example.org>"),
        ("Zustellung Köln", "=?utf-8?q?Zustellung_K=C3=B6ln?= <postmaster@mail.example.org>"),
    ],
)
def test_the_name_of_the_sender(name, header):
    """The name in From is as the operator wants, quoted or encoded where needed."""
    assert f"\r\nFrom: {header}\r\n".encode() in written(personal=name).content


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


HOSTILE = st.text(max_size=400) | st.text(st.characters(max_codepoint=127), max_size=2000)


@settings(max_examples=100, deadline=None)
@given(
    HOSTILE, st.text(max_size=80), HOSTILE, st.sampled_from(LANGUAGES), st.booleans(), st.sampled_from(Kind)
)
def test_a_remote_cannot_add_fields(reply, remote, subject, language, smtputf8, kind):
    """Whatever a remote or a sender says, parts and fields stay the same, and no line is too long for mail."""
    hostile = Disposition("bob@b.example", Verdict.FAILED, "5.1.1", reply + "\r\nX-Evil: yes\n\nhi", remote)
    envelope = Envelope("ann@a.example", (BOB,), envid=subject, smtputf8=smtputf8)
    header = f"Subject: {subject}\r\nMessage-ID: {remote}\r\n\r\n".encode("utf-8", "replace")
    text = written(
        language,
        kind=kind,
        verdicts=(hostile,),
        envelope=envelope,
        original=Original(header, (Attempt(ARRIVED, "deferred", reply, "bob@b.example", "", remote),)),
    ).content
    message = read(text)
    assert message["X-Evil"] is None
    assert len(message.get_payload()) == 3
    groups = status_groups(message)
    assert len(groups) == 2
    assert all(group["X-Evil"] is None for group in groups)
    ours = text[: text.index(b"--Boundary", text.index(b"delivery-status\r\n\r\n"))]
    assert ours.isascii()
    assert max(len(line) for line in ours.split(b"\r\n")) <= 998
    assert b"\n" not in ours.replace(b"\r\n", b"")
    assert b"\r" not in ours.replace(b"\r\n", b"")


EVE = "ève@bücher.example"
INTERNATIONAL = "From: ann@a.example\r\nSubject: Grüße\r\n\r\nÀ bientôt\r\n".encode()


def international(smtputf8, sender="ann@a.example", ret=None, **changes):
    """A notification about a recipient whose address is not ASCII."""
    eve = Recipient(EVE, orcpt=r"utf-8;\x{C8}ve@b\x{FC}cher.example")
    return written(
        envelope=Envelope(sender, (eve,), smtputf8=smtputf8, ret=ret),
        to=sender,
        verdicts=(Disposition(EVE, Verdict.FAILED, "5.6.7", "550 5.6.7 nön", "mx.example"),),
        content=INTERNATIONAL,
        **changes,
    )


def test_an_international_message_is_reported_in_utf_8():
    """Who sent with SMTPUTF8 gets addresses and header as they are (RFC 6533)."""
    made = international(True)
    assert made.body == "8BITMIME" and not made.smtputf8, "its own header is ASCII: 8BITMIME suffices"
    message = read(made.content)
    kinds = [part.get_content_type() for part in message.get_payload()]
    assert kinds == ["text/plain", "message/global-delivery-status", "message/global"]
    assert f"Final-Recipient: utf-8;{EVE}\r\n".encode() in made.content
    assert f"Original-Recipient: utf-8;È{EVE[1:]}\r\n".encode() in made.content
    assert "Diagnostic-Code: smtp;550 5.6.7 nön\r\n".encode() in made.content
    assert INTERNATIONAL in made.content
    assert EVE in text_of(message) and "Grüße" in text_of(message)
    header = read(international(True, ret="HDRS").content)
    assert header.get_payload()[2].get_content_type() == "message/global-headers"


def test_who_cannot_read_utf_8_gets_ascii():
    """Without SMTPUTF8 the address is written in ASCII, and what was said in the form that all understand."""
    message = read(international(False).content)
    kinds = [part.get_content_type() for part in message.get_payload()]
    assert kinds == ["text/plain", "message/delivery-status", "message/rfc822"]
    _, one = status_groups(message)
    assert one["Final-Recipient"] == r"utf-8;\x{E8}ve@b\x{FC}cher.example"
    assert one["Original-Recipient"] == r"utf-8;\x{C8}ve@b\x{FC}cher.example"
    assert one["Diagnostic-Code"].isascii()


def test_an_international_sender_needs_smtputf8():
    """A notification whose own header has an address that is not ASCII says so, and keeps the address."""
    made = international(True, sender="änn@a.example")
    assert made.smtputf8 and made.body == "8BITMIME"
    assert "\r\nTo: änn@a.example\r\n".encode() in made.content


def test_an_address_of_another_type_is_kept():
    """ORCPT of a type that is not mail's comes back as it was; what is no ORCPT is left out."""
    for orcpt, field in (("x400;/C=de/S+3Dx", "x400;/C=de/S=x"), ("nonsense", None), ("bad type;x", None)):
        envelope = Envelope("ann@a.example", (Recipient("bob@b.example", orcpt=orcpt),))
        _, one = status_groups(parsed(envelope=envelope, addresses="suppressfinal"))
        assert one["Original-Recipient"] == field
        assert one["Final-Recipient"] == "rfc822;bob@b.example"
