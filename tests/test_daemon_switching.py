"""Source channels through the whole daemon: who is switched is queued, logged and let in as the other channel says."""

import re
import smtplib
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobctl.sasl.secrets import scram_keys, scram_line
from tests.certificates import Authority
from tests.daemon import Daemon, until

CONFIGURATION = """
[job_controller]
queue_directory = "var/queue"
control_socket = "var/control.sock"
log_directory = "var/log"
[job_controller.channel_class."tcp_*"]
slave_command = "@SLAVE@"
@TRANSPORT@
[job_controller.channel_class."maildir*"]
master_command = "maildir_master"
[dispatcher.service.SUBMIT]
listen = ["tcp:@PORT@:interface=127.0.0.1"]
channel = "tcp_local"
tls_certificate = "@CERTIFICATE@"
password_file = "users"
[mta]
log_connection = 255
[defaults]
logging = true
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_local]
switchchannel = true
maytlsserver = true
maysaslserver = true
saslswitchchannel = "tcp_auth"
identnonelimited = true
[channel.tcp_intranet]
official_host_name = "tcp_intranet-daemon"
allowswitchchannel = true
local_host_alias = "inside.example.org"
[channel.tcp_auth]
noswitchchannel = true
mustsaslserver = true
submit = true
authrewrite = 2
[channel.maildir]
official_host_name = "maildir-daemon"
maildir = "Maildir"
[mapping]
INTERNAL_IP = '''
127.0.0.2  $Y
'''
[rewrite]
"mail.example.org" = "maildir"
"only.inside.example" = "$U%mail.example.org@maildir-daemon$Mtcp_intranet"
"[]" = "$E$R${INTERNAL_IP,$L}$U%[$L]@tcp_intranet-daemon"
"""
MAIL = b"From: boss@mail.example.org\r\nSubject: from %b\r\n\r\nbody\r\n"


@pytest.fixture(
    params=[("tcp_smtp_server", ""), ("test_smtp_slave", 'transport = "tcp"')], ids=["tcp", "generic"]
)
def daemon(request: Any, tmp_path: Path) -> Iterator[tuple[Daemon, ssl.SSLContext]]:
    slave, transport = request.param
    authority = Authority(tmp_path)
    certificate = authority.issue("mail.example.org", "127.0.0.1")
    (tmp_path / "users").write_text(f"ann:{scram_line(scram_keys('sesame', iterations=4096))}\n")
    values = {"SLAVE": slave, "TRANSPORT": transport, "CERTIFICATE": certificate}
    with Daemon(tmp_path, CONFIGURATION, **values) as running:
        yield running, ssl.create_default_context(cafile=str(authority.file))


def connect(daemon: Daemon, source: str) -> smtplib.SMTP:
    return smtplib.SMTP("127.0.0.1", daemon.port, timeout=60, source_address=(source, 0))


def delivered(daemon: Daemon, word: bytes) -> bytes:
    """The message with this in its subject, once it is in the Maildir."""
    folder = daemon.directory / "Maildir/new"

    def find() -> bytes | None:
        contents = [path.read_bytes() for path in folder.glob("*")]
        return next((one for one in contents if b"Subject: from " + word in one), None)

    return until(find, 60, daemon.log[-3000:])


@pytest.mark.real
def test_switched_clients(daemon: tuple[Daemon, ssl.SSLContext]) -> None:
    """
    One client is of the intranet by its address: rules for that channel let its mail go where others may not
    send. Another proves who it is and comes in by tcp_auth, where its mail is completed. The log tells of each.
    """
    running, context = daemon
    with connect(running, "127.0.0.2") as inside:
        assert inside.ehlo()[1].startswith(b"inside.example.org")
        inside.sendmail("pc@mail.example.org", ["bob@only.inside.example"], MAIL % b"intranet")
    with connect(running, "127.0.0.3") as outside:
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            outside.sendmail("x@x.example", ["bob@only.inside.example"], MAIL % b"outside")
        outside.sendmail("x@x.example", ["bob@mail.example.org"], MAIL % b"outside")
        outside.starttls(context=context)
        outside.login("ann", "sesame")
        outside.sendmail("ann@mail.example.org", ["bob@mail.example.org"], MAIL % b"ann")
    assert b"Message-ID" not in delivered(running, b"intranet")
    assert b"Message-ID" not in delivered(running, b"outside")
    completed = delivered(running, b"ann")
    assert b"\nSender: ann@mail.example.org\n" in completed.replace(b"\r\n", b"\n")
    assert b"Message-ID: <" in completed and b"Date: " in completed
    log = running.directory / "var/log/mail.log_current"
    text = until(lambda: log.exists() and log.read_text().count(" D ") >= 3 and log.read_text(), 60)
    lines = [line.split() for line in text.splitlines()]
    queued = {line[2] for line in lines if line[4:5] == ["E"] or (len(line) > 4 and line[4][:1] == "E")}
    assert {"tcp_intranet", "tcp_local", "tcp_auth"} <= queued, text
    opened = [line[2] for line in lines if "O" in line[3:5]]
    assert sorted(opened) == ["tcp_intranet", "tcp_local"], text


@pytest.mark.real
def test_a_reload_reaches_the_other_channel(daemon: tuple[Daemon, ssl.SSLContext]) -> None:
    """What changes in a channel that clients are switched to, and who is switched, holds for the next client."""
    running, _ = daemon
    with connect(running, "127.0.0.2") as before:
        before.ehlo()
        changed = running.config.read_text().replace("inside.example.org", "within.example.org")
        running.config.write_text(changed.replace("127.0.0.2  $Y", "127.0.0.2  $Y\n127.0.0.4  $Y"))
        effects = [one["effect"] for one in running.json("reload")["changes"]]
        assert any(
            re.match("[1-9][0-9]* running programs? (is|are) replaced", effect) for effect in effects
        ), effects

        def greeted(source: str) -> bool:
            with connect(running, source) as client:
                return client.ehlo()[1].startswith(b"within.example.org")

        until(lambda: greeted("127.0.0.2"), 60, running.log[-3000:])
        until(lambda: greeted("127.0.0.4"), 60, running.log[-3000:])
        before.sendmail("pc@mail.example.org", ["bob@mail.example.org"], MAIL % b"before")
    assert b"by inside.example.org" in delivered(running, b"before")
