"""Notifications by real mail: a client asks, a whole daemon answers, and an independent reader understands it."""

import email
import smtplib
from pathlib import Path

import pytest
from flufl.bounce import all_failures

from tests.configurations import GATEWAY
from tests.daemon import Daemon, until
from tests.notification_case import read, status_groups, text_of
from tests.smtp_peers import CollectingServer

NOTICES = """
[mta]
postmaster = "postmaster@mail.example.org"
[defaults]
errsendpost = true
[notification]
directory = "texts"
[notification.language_for]
"recipient *@partner.example" = "de"
[rewrite]
"""
MESSAGE = "From: Ann <ann@mail.example.org>\r\nSubject: {}\r\nMessage-ID: <{}@x>\r\n\r\nGrüße\r\n"


def refuse(line: bytes) -> bytes:
    """What the hosts outside think of a recipient."""
    if b"bad@" in line:
        return b"550 5.1.1 no such user\r\n"
    return b"451 4.7.1 not now\r\n" if b"late@" in line else b""


def in_mailbox(directory: Path) -> dict[str, email.message.EmailMessage]:
    """What has been delivered, by whom it is for and its subject."""
    found = {}
    for path in directory.glob("Maildir/new/*"):
        message = read(path.read_bytes())
        found[f"{message['To'] or ''} {message['Subject']}"] = message
    return found


@pytest.mark.real
def test_a_client_hears_of_all_that_it_asked_for(tmp_path):
    """
    By SMTP with NOTIFY, RET, ENVID and ORCPT: refused, late, given up, delivered, passed on.

    A host that offers DSN is told all parameters and notifies itself; a notification that is refused goes to
    the postmaster.
    """
    (tmp_path / "texts" / "de").mkdir(parents=True)
    (tmp_path / "texts" / "de" / "return_suffix.txt").write_text("Hotline: 4711")
    plain, dsn = CollectingServer(refuse=refuse), CollectingServer(refuse=refuse, dsn=True)
    text = GATEWAY.replace("[rewrite]\n", NOTICES).replace("port = @GATEWAY@", f"port = {dsn.port}", 1)
    text = text.replace(
        "[channel.tcp_gateway]", '[channel.tcp_gateway]\nnotices = ["PT1S", "PT3S"]\nbackoff = ["PT30S"]'
    )
    try:
        with Daemon(tmp_path, text, GATEWAY=plain.port) as daemon:
            daemon.await_listening()

            def send(sender, recipient, subject):
                with smtplib.SMTP("127.0.0.1", daemon.port, "client.example") as client:
                    client.sendmail(
                        sender,
                        [recipient],
                        MESSAGE.format(subject, subject).encode(),
                        ["BODY=8BITMIME", "RET=HDRS", "ENVID=Q+2B1"],
                        ["NOTIFY=SUCCESS,FAILURE,DELAY", "ORCPT=rfc822;Bob+2B@x.example"],
                    )

            ann = "ann@mail.example.org"
            send(ann, "good@fast.example", "passed")
            # The program for that host runs: what is late is tried well before the warning, however busy we are.
            until(lambda: plain.taken + dsn.taken, 60, daemon.log)
            send(ann, "late@fast.example", "late")
            send(ann, "bad@partner.example", "refused")
            send(ann, "carl@mail.example.org", "delivered")
            send(ann, "good@partner.example", "dsn")
            send("bad@fast.example", "bad@fast.example", "double")
            found = until(lambda: len(box := in_mailbox(tmp_path)) >= 7 and box, 60, daemon.log)
            until(lambda: not sum(row["messages"] for row in daemon.summary().values()))
            assert len(in_mailbox(tmp_path)) == 7, list(found)
    finally:
        plain.close()
        dsn.close()
    prefix = f"{ann} Delivery Notification: "
    about = {
        f"{ann} Zustellbericht: Zustellung fehlgeschlagen": (
            "refused",
            "failed",
            "5.1.1",
            "bad@partner.example",
        ),
        prefix + "Delivery has been delayed": ("late", "delayed", "4.4.7", "late@fast.example"),
        prefix + "Delivery has timed out and failed": ("late", "failed", "4.4.7", "late@fast.example"),
        prefix + "Message has been passed on": ("passed", "relayed", "2.0.0", "good@fast.example"),
        prefix + "Delivery has been successful": ("delivered", "delivered", "2.", "carl@mail.example.org"),
    }
    for key, (subject, action, status, recipient) in about.items():
        message = found[key]
        top, one = status_groups(message)
        assert (one["Action"], top["Original-Envelope-Id"]) == (action, "Q+1")
        assert one["Status"].startswith(status), (key, one["Status"])
        assert one["Final-Recipient"] == f"rfc822;{recipient}"
        assert one["Original-Recipient"] == "rfc822;Bob+@x.example"
        assert f"Subject: {subject}" in text_of(message) and recipient in text_of(message)
        assert message.get_payload()[2].get_content_type() == "text/rfc822-headers"
        assert message["Return-Path"] == "<>"
        late, failed = all_failures(email.message_from_bytes(message.as_bytes()))
        assert failed == ({b"Bob+@x.example"} if action == "failed" else set())
        assert late == ({b"Bob+@x.example"} if action == "delayed" else set())
    assert "Hotline: 4711" in text_of(found[f"{ann} Zustellbericht: Zustellung fehlgeschlagen"])
    assert "451 4.7.1 not now" in text_of(found[prefix + "Delivery has been delayed"])
    double = found["postmaster@mail.example.org Postmaster copy: Delivery Notification: Delivery has failed"]
    assert "bad@fast.example" in text_of(double) and "has not been told" in " ".join(text_of(double).split())
    (passed,) = dsn.taken
    assert b" RET=HDRS ENVID=Q+2B1\r\n" in passed.sender
    assert b" NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;Bob+2B@x.example\r\n" in passed.lines[0]
