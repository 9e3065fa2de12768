"""Notifications to look at: an ordinary case, written in any language, and read back by others."""

import email
import email.message
import email.policy
from typing import Any

from jobctl.controller.texts import TextLibrary
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.envelope import Envelope, Recipient
from jobctl.notification.notice import Kind, Notice, Original
from jobctl.notification.report import Report, report

ORIGINAL = (
    b"From: ann@a.example\r\nTo: bob@b.example\r\nSubject: a\r\n folded one\r\nMessage-ID: <1@a.example>\r\n"
    b"\r\n.leading dot\r\n8-bit: \xc3\xa9\r\n"
)
LIBRARY = TextLibrary()
ARRIVED = 1_700_000_000.0
REFUSED = Disposition(
    "bob@b.example",
    Verdict.FAILED,
    "5.1.1",
    "550 5.1.1 <bob@b.example>... User unknown",
    "mx.b.example",
    "TCP|192.0.2.1|4000|192.0.2.2|25",
)


def case(**changes: Any) -> Notice:
    """One recipient of two was refused, and the sender is told."""
    given: dict[str, Any] = {
        "kind": Kind.FAILED,
        "to": "ann@a.example",
        "envelope": Envelope(
            "ann@a.example",
            (Recipient("bob@b.example", orcpt="rfc822;bob+2Bx@b.example"), Recipient("eve@b.example")),
            envid="QQ+2B314",
        ),
        "verdicts": (REFUSED,),
        "original": Original(ORIGINAL),
        "octets": len(ORIGINAL),
        "arrived": ARRIVED,
        "now": ARRIVED + 400_000,
        "local_host": "mail.example.org",
        "channel_host": "tcp-daemon",
        "postmaster": "postmaster@mail.example.org",
        "envelope_id": "E1@mail.example.org",
        "unique": "N1",
    }
    given.update(changes)
    if "content" in given:
        content = given.pop("content")
        given["original"], given["octets"] = Original(content), len(content)
    return Notice(**given)


def written(language: str = "en", **changes: Any) -> Report:
    """The ordinary case, with changes."""
    return report(case(**changes), LIBRARY.of(language), LIBRARY.english)


def read(content: bytes) -> email.message.EmailMessage:
    """As Python's parser sees it."""
    found = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(found, email.message.EmailMessage)
    return found


def parsed(language: str = "en", **changes: Any) -> email.message.EmailMessage:
    """:func:`written` as Python's parser sees it."""
    return read(written(language, **changes).content)


def status_groups(message: email.message.EmailMessage) -> list[Any]:
    """The groups of fields of the delivery status."""
    groups = message.get_payload()[1].get_payload()  # type: ignore[index, union-attr]
    assert isinstance(groups, list)
    return groups


def text_of(message: email.message.EmailMessage) -> str:
    """What people read, LF line ends."""
    found = str(message.get_payload()[0].get_content())  # type: ignore[index, union-attr]
    return found.replace("\r\n", "\n")
