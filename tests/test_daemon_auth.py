"""Every mechanism, to both server programs, by clients that others wrote: what is told of it, and what is not."""

import base64
import json
import smtplib
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobctl.sasl.client import Credentials, Exchange
from jobctl.sasl.secrets import scram_keys, scram_line
from tests.auth_case import at_once, b64, plain, token_line
from tests.certificates import Authority
from tests.daemon import Daemon, greets, program, until
from tests.ports import free_port
from tests.web_verifier import USERS, WebVerifier

CONFIGURATION = """
[job_controller]
queue_directory = "var/queue"
control_socket = "var/control.sock"
log_directory = "var/log"
json_log = "events.json"
[job_controller.channel_class."tcp_*"]
slave_command = "tcp_smtp_server"
[job_controller.channel_class."test_smtp*"]
slave_command = "test_smtp_slave"
transport = "tcp"
[job_controller.channel_class."maildir*"]
master_command = "maildir_master"
[mta]
log_format = 6
log_connection = 255
[defaults]
logging = true
[channel.l]
official_host_name = "mail.example.org"
[channel.maildir]
official_host_name = "maildir-daemon"
maildir = "Maildir"
[rewrite]
"mail.example.org" = "maildir"
"""
SERVICE = """
[dispatcher.service.@NAME@]
listen = ["tcp:@ITS@:interface=127.0.0.1"]
channel = "@NAME@"
tls_certificate = "@CERTIFICATE@"
@SOURCES@
[channel.@NAME@]
official_host_name = "@NAME@-daemon"
smtp = true
maytlsserver = true
mustsaslserver = true
slave_debug = true
"""
WEB = """
auth_url = "@WEB@/users"
introspection_url = "@WEB@/tokens"
introspection_client_file = "client"
"""
SECRETS = {"good": "Pl4nted-g00d", "bad": "Pl4nted-b4d", "client": "Pl4nted-cl1ent"}


def required(name: str) -> str:
    found = program(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


class Site:
    """A daemon with four services: TCP and generic program, each with a password file and with verifiers."""

    def __init__(self, directory: Path, web: WebVerifier) -> None:
        self.authority = Authority(directory)
        certificate = self.authority.issue("127.0.0.1")
        (directory / "users").write_text(f"ann:{scram_line(scram_keys(SECRETS['good'], iterations=4096))}\n")
        (directory / "client").write_text(f"mail:{SECRETS['client']}\n")
        (directory / "message").write_text("Subject: x\r\n\r\nto you\r\n")
        text = CONFIGURATION
        self.ports: dict[str, int] = {}
        for name in ("tcp_web", "tcp_file", "test_smtp_web", "test_smtp_file"):
            self.ports[name] = free_port()
            text += (
                SERVICE.replace("@SOURCES@", WEB if name.endswith("web") else 'password_file = "users"')
                .replace("@NAME@", name)
                .replace("@ITS@", str(self.ports[name]))
            )
        self.daemon = Daemon(directory, text, WEB=web.url, CERTIFICATE=certificate)
        self.directory = directory

    def records(self, name: str) -> list[tuple[str, str]]:
        """User and what was said of each AUTH in the log of connections."""
        path = self.directory / "var/log/mail.log_current"
        # To the last line that is whole: it is being written.
        text = path.read_text().rpartition("\n")[0] if path.exists() else ""
        found = [json.loads(line) for line in text.splitlines()]
        return [(one.get("us", ""), one["di"]) for one in found if one["ac"][0] == "U" and one["sc"] == name]

    def counted(self, name: str) -> Any:
        (row,) = self.daemon.json("counters", "show", name)
        return row["authentications"]


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebVerifier]:
    monkeypatch.setitem(USERS, "ann", SECRETS["good"])
    with WebVerifier() as verifier:
        verifier.tokens[SECRETS["good"]] = {"active": True, "username": "ann"}
        yield verifier


@pytest.fixture
def site(tmp_path: Path, web: WebVerifier) -> Iterator[Site]:
    one = Site(tmp_path, web)
    with one.daemon:
        for port in one.ports.values():
            until(lambda port=port: greets(port), 60, "the port greets")
        yield one


def swaks(site: Site, port: int, mechanism: str, secret: str) -> bool:
    command = [required("swaks"), "--server", f"127.0.0.1:{port}", "--tls", "--auth", mechanism]
    command += ["--auth-user", "ann", "--auth-password", secret, "--from", "ann@mail.example.org"]
    done = subprocess.run([*command, "--to", "bob@mail.example.org"], capture_output=True, timeout=60)
    assert done.returncode in (0, 28), done.stdout
    return done.returncode == 0


def curl(site: Site, port: int, mechanism: str, secret: str) -> bool:
    command = [required("curl"), "-sS", f"smtp://127.0.0.1:{port}", "--ssl-reqd", "--cacert"]
    command += [str(site.authority.file), "--mail-from", "ann@mail.example.org", "--upload-file"]
    command += [str(site.directory / "message"), "--mail-rcpt", "bob@mail.example.org", "--user", "ann"]
    command += ["--oauth2-bearer", secret]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode in (0, 67), done.stderr
    return done.returncode == 0


def msmtp(site: Site, port: int, mechanism: str, secret: str) -> bool:
    settings = site.directory / f"msmtprc.{port}"
    settings.write_text(
        f"account default\nhost 127.0.0.1\nport {port}\ntls on\ntls_trust_file {site.authority.file}\n"
        f"from ann@mail.example.org\nuser ann\npassword {secret}\nauth {mechanism.lower()}\n"
    )
    settings.chmod(0o600)
    command = [required("msmtp"), "-C", str(settings), "bob@mail.example.org"]
    done = subprocess.run(command, input=b"Subject: x\n\nto you\n", capture_output=True, timeout=60)
    settings.unlink()
    assert done.returncode in (0, 77), done.stderr
    return done.returncode == 0


def ours(site: Site, port: int, mechanism: str, secret: str) -> bool:
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.starttls()
        client.ehlo()
        exchange = Exchange(mechanism, Credentials("ann", secret), None)

        def respond(challenge: bytes | None = None) -> str:
            said = exchange.initial() if challenge is None else exchange.respond(challenge)
            return (said or b"").decode()

        try:
            client.auth(mechanism, respond)
        except smtplib.SMTPAuthenticationError:
            return False
        client.sendmail("ann@mail.example.org", ["bob@mail.example.org"], "Subject: x\r\n\r\nto you\r\n")
    return True


Client = Callable[[Site, int, str, str], bool]
WAYS: list[tuple[str, Client, str]] = [
    *(("web", swaks, mechanism) for mechanism in ("PLAIN", "LOGIN")),
    *(("web", msmtp, mechanism) for mechanism in ("XOAUTH2", "OAUTHBEARER")),
    # With a token curl takes the best that is offered, whatever it is told.
    ("web", curl, "OAUTHBEARER"),
    *(("file", swaks, mechanism) for mechanism in ("PLAIN", "LOGIN")),
    ("file", ours, "SCRAM-SHA-256"),
]


@pytest.mark.real
def test_every_mechanism_is_logged_and_counted(site: Site) -> None:
    """Clients log in and send, or are refused; each AUTH is a U record and a count, and no secret is told."""

    def log_in(name: str) -> None:
        source = name.rpartition("_")[2]
        expected = []
        for _, client, mechanism in (way for way in WAYS if way[0] == source):
            assert not client(site, site.ports[name], mechanism, SECRETS["bad"])
            assert client(site, site.ports[name], mechanism, SECRETS["good"])
            token = "OAUTH" in mechanism
            no = "535 5.7.8 The token is not valid here." if token else "535 5.7.8 Bad username or password."
            expected += [("ann", no), ("ann", f"235 2.7.0 {mechanism}")]
        until(lambda: len(site.records(name)) >= len(expected))
        assert site.records(name) == expected
        number = len(expected) // 2
        assert site.counted(name) == {"accepted": number, "failed": number}

    at_once(log_in, site.ports)
    for kind in ("tcp", "test_smtp"):
        _misbehave(site, site.ports[f"{kind}_web"])
    until(lambda: len(list((site.directory / "Maildir/new").glob("*"))) == 2 * len(WAYS))
    _nothing_shows(site)
    site.daemon.stop()
    _nothing_shows(site)


def _misbehave(site: Site, port: int) -> None:
    """Clients that say secrets where none belong."""
    bad = SECRETS["bad"]
    for lines in (
        [plain("ann", bad)],  # before EHLO
        ["EHLO c", plain("ann", bad), token_line("XOAUTH2", "ann", bad)],  # before TLS
        ["EHLO c", "AUTH LOGIN", b64("ann"), b64(bad)],  # goes on regardless
        [f" AUTH PLAIN {b64(bad)}", f"AUTH NONE {b64(bad)}"],
    ):
        with socket.create_connection(("127.0.0.1", port), 60) as one:
            one.sendall("".join(f"{line}\r\n" for line in [*lines, "QUIT"]).encode())
            while one.recv(65536):
                pass


def _nothing_shows(site: Site) -> None:
    """No file, argument or variable of ours has a secret in it, whichever way it is written."""
    shapes = set()
    for secret in SECRETS.values():
        shapes.add(secret.encode())
        shapes.add(base64.b64encode(secret.encode()).rstrip(b"="))
        for before in (b"\0ann\0", b"ann:", b"mail:"):
            shapes.add(base64.b64encode(before + secret.encode()).rstrip(b"="))
        for mechanism in ("XOAUTH2", "OAUTHBEARER"):
            shapes.add(token_line(mechanism, "ann", secret).split()[2].rstrip("=").encode())
    texts = {
        path: path.read_bytes()
        for path in site.directory.rglob("*")
        if path.is_file() and path.name not in ("client", "users")
    }
    process = site.daemon.process
    if process is not None and process.poll() is None:
        for pid in _family(process.pid):
            for what in ("cmdline", "environ"):
                path = Path(f"/proc/{pid}/{what}")
                texts[path] = path.read_bytes()
    assert any(b"***" in text for text in texts.values()), "there is no transcript"
    found = [(path, shape) for path, text in texts.items() for shape in shapes if shape in text]
    assert found == []


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in _family(int(child)))]
