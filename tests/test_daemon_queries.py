"""VRFY, EXPN, ETRN and the look-up of senders through the whole daemon: both server programs say the same."""

import smtplib
from pathlib import Path

import dns.rcode
import pytest

from tests.configurations import PLACES
from tests.daemon import Daemon, greets, until
from tests.dns_server import Zone
from tests.ports import free_port
from tests.tcp_support import NameServerThread

CONFIGURATION = (
    PLACES
    + """
[dispatcher.service.TCP]
listen = ["tcp:@PORT@:interface=127.0.0.1"]
channel = "tcp_in"
[dispatcher.service.GENERIC]
listen = ["tcp:@OTHER@:interface=127.0.0.1"]
channel = "test_smtp_in"
[mta]
log_connection = 4
blocked_mail_from_ips = ["192.0.2.0/24"]
[defaults]
logging = true
allowetrn = true
expnallow = true
mailfromdnsverify = true
nameservers = ["@NAMES@"]
options = { ALLOW_ETRNS_PER_SESSION = 5 }
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_in]
official_host_name = "in-daemon"
smtp = true
[channel.test_smtp_in]
official_host_name = "other-daemon"
smtp = true
[channel.test_smtp_out]
official_host_name = "out-daemon"
smtp = true
blocketrn = true
[channel.maildir]
official_host_name = "maildir-daemon"
maildir = "Maildir/{local}"
existingmaildirs = true
[rewrite]
"mail.example.org" = "maildir"
"old.example" = "$U%mail.example.org"
"away.example" = "test_smtp_out"
"." = "tcp_in"
"""
)
ZONE = "good.example. 60 MX 10 mx.good.example.\nwild.example. 60 A 192.0.2.7\n"
ASKED = (
    ("VRFY ann", 250, "2.1.5 <ann@mail.example.org>"),
    ("VRFY <no@mail.example.org>", 550, "5.1.1 unknown or illegal alias: no@mail.example.org"),
    ("VRFY x@far.example", 252, "2.5.0 Possible remote address not checked"),
    ("EXPN ann@old.example", 250, "2.1.5 <ann@mail.example.org>"),
    (
        "ETRN mail.example.org",
        251,
        "2.0.0 OK, no messages waiting for node mail.example.org: channel maildir",
    ),
    ("ETRN #test_smtp_out", 459, "4.7.1 Node #test_smtp_out not allowed: its mail is not started by ETRN"),
    ("MAIL FROM:<x@good.example>", 250, "2.5.0 Address Ok."),
    ("RSET", 250, "2.5.0 Ok."),
    ("MAIL FROM:<x@none.example>", 550, "5.1.8 Sender refused: host none.example does not exist"),
    (
        "MAIL FROM:<x@wild.example>",
        550,
        "5.1.8 Sender refused: wild.example has neither mail exchanger nor address",
    ),
    (
        "MAIL FROM:<x@broken.example>",
        451,
        "4.4.3 The domain of the sender cannot be looked up now; try again later.",
    ),
)


@pytest.mark.real
def test_both_programs_say_the_same(tmp_path: Path) -> None:
    """The same questions to a TCP server and to a generic slave get the same answers, and ETRN is in the log."""
    (tmp_path / "Maildir" / "ann").mkdir(parents=True)
    zone = Zone(ZONE)
    zone.rcodes["broken.example."] = dns.rcode.SERVFAIL
    other = free_port()
    with (
        NameServerThread(zone) as names,
        Daemon(tmp_path, CONFIGURATION, OTHER=other, NAMES=names.address) as daemon,
    ):
        for port in (daemon.port, other):
            until(lambda port=port: greets(port), 60, "the port greets")
            with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
                client.ehlo("c.example")
                assert client.has_extn("etrn")
                for command, code, text in ASKED:
                    assert client.docmd(command) == (code, text.encode()), command
        path = tmp_path / "var/log/mail.log_current"
        until(lambda: path.exists() and path.read_text().count(" IE ") >= 4, 60, "the log")
        log = path.read_text()
        assert log.count(" IE ") == 4
        assert log.count("#test_smtp_out: 459 4.7.1 Node") == 2
