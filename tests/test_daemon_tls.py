"""TLS and AUTH through the whole daemon: generic channels on both sides, joined by bridges."""

import smtplib
import ssl
from pathlib import Path

import pytest

from jobctl.sasl.secrets import scram_keys, scram_line
from tests.certificates import Authority
from tests.configurations import PLACES
from tests.daemon import Daemon, until

CONFIGURATION = (
    PLACES
    + """
[dispatcher.service.SUBMIT]
listen = ["tcp:@PORT@:interface=127.0.0.1"]
channel = "test_smtp_in"
tls_certificate = "@CERTIFICATE@"
password_file = "users"
implicit_tls = @IMPLICIT@
[channel.l]
official_host_name = "mail.example.org"
[channel.test_smtp_in]
official_host_name = "in-daemon"
smtp = true
musttlsserver = true
mustsaslserver = true
slave_debug = true
[channel.test_smtp_gateway]
official_host_name = "gateway.example.net"
smtp = true
daemon = "[127.0.0.1]"
port = @PORT@
tls_policy = "verify"
implicit_tls = @IMPLICIT@
tls_ca_file = "@CA@"
auth_username = "robot"
auth_password_file = "secret"
[channel.maildir]
official_host_name = "maildir-daemon"
maildir = "Maildir"
[rewrite]
"mail.example.org" = "maildir"
"away.example" = ["$U%mail.example.org@maildir-daemon$Mtest_smtp_in", "test_smtp_gateway"]
"""
)


@pytest.mark.real
@pytest.mark.parametrize("implicit", ["false", "true"])
def test_generic_channels_with_tls_and_auth(tmp_path: Path, implicit: str) -> None:
    """
    A client submits to test_smtp_slave, which needs TLS and a password; test_smtp_master sends the message
    through a gateway that needs them too; certificates are verified, and the trace tells of all of it.
    """
    authority = Authority(tmp_path)
    certificate = authority.issue("mail.example.org", "127.0.0.1")
    (tmp_path / "users").write_text(
        f"ann:{scram_line(scram_keys('sesame', iterations=4096))}\n"
        f"robot:{scram_line(scram_keys('r2', iterations=4096))}\n"
    )
    (tmp_path / "secret").write_text("r2\n")
    values = {"CERTIFICATE": certificate, "CA": authority.file, "IMPLICIT": implicit}
    with Daemon(tmp_path, CONFIGURATION, **values) as daemon:
        done = daemon.command(
            "enqueue", "--from", "a@x.example", "--to", "b@away.example", "-", input="to you\n"
        )
        assert done.returncode == 0, done.stderr
        folder = tmp_path / "Maildir/new"
        (landed,) = until(lambda: list(folder.glob("*")), 60, daemon.log[-3000:])
        content = landed.read_bytes()
        assert b"to you" in content
        assert b"with ESMTPSA id" in content
        assert "r2" not in daemon.log
        context = ssl.create_default_context(cafile=str(authority.file))
        if implicit == "true":
            client: smtplib.SMTP = smtplib.SMTP_SSL("127.0.0.1", daemon.port, timeout=60, context=context)
        else:
            client = smtplib.SMTP("127.0.0.1", daemon.port, timeout=60)
            with pytest.raises(smtplib.SMTPSenderRefused, match="STARTTLS"):
                client.sendmail("a@x.example", ["b@mail.example.org"], "Subject: x\r\n\r\nearly\r\n")
            client.starttls(context=context)
        client.login("ann", "sesame")
        client.sendmail("a@x.example", ["b@mail.example.org"], "Subject: x\r\n\r\nfrom ann\r\n")
        client.quit()
        until(
            lambda: any(b"from ann" in path.read_bytes() for path in folder.glob("*")), 60, daemon.log[-3000:]
        )
