"""A newcomer's first steps with a real daemon: the README's examples."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.configurations import GATEWAY
from tests.daemon import BIN, TWISTD, Daemon, program, until
from tests.smtp_peers import CollectingServer

DEFAULT = (Path(__file__).parent.parent / "jobctl/config/default.toml").read_text()


def default_configuration() -> str:
    """The built-in configuration, on a port of its own."""
    return DEFAULT.replace("tcp:2525", "tcp:@PORT@")


@pytest.fixture
def gateway():
    """A next hop that takes everything."""
    server = CollectingServer()
    yield server
    server.close()


def maildir(directory: Path) -> list[bytes]:
    """What has landed."""
    return [path.read_bytes() for path in sorted(directory.glob("new/*"))]


@pytest.mark.real
def test_make_run_shows_a_first_message(tmp_path):
    """The first message goes through the generic channel into the Maildir, its dialogue on the terminal."""
    (tmp_path / "jobctl.toml").write_text(
        default_configuration().replace("@PORT@", "0").replace("tcp:0:", "tcp:port=0:")
    )
    process = subprocess.Popen(
        [*TWISTD, "-n", "--pidfile=", "jobctl", "--first-message"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "JOBCTL_CONFIG"},
    )
    try:
        assert process.stdout is not None
        shown = []
        for line in process.stdout:
            shown.append(line)
            if "End: Ctrl-C" in line:
                break
        text = "".join(shown)
        assert 'Sending : "MAIL FROM:<postmaster@mail.example.org>' in text
        assert "Delivered: 1, deferred: 0, failed: 0." in text
        landed = until(lambda: maildir(tmp_path / "var/Maildir"))
        assert b"Subject: The first message" in landed[0]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    # twistd shuts down in order, then ends by the signal it was given.
    assert process.returncode in (0, -signal.SIGINT)


@pytest.mark.real
def test_swaks_lands_in_the_maildir(tmp_path):
    """A message sent with swaks lies in the Maildir, with our trace field."""
    swaks = program("swaks")
    if swaks is None:
        pytest.skip("swaks is not installed: apt-get install swaks")
    with Daemon(tmp_path, GATEWAY, GATEWAY=1) as daemon:
        daemon.await_listening()
        done = subprocess.run(
            [
                swaks,
                "--to",
                "ann@mail.example.org",
                "--from",
                "b@x.example",
                "--server",
                f"127.0.0.1:{daemon.port}",
            ],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        landed = until(lambda: maildir(tmp_path / "Maildir"))
    assert re.search(rb"(?m)^Received: from .*\[127\.0\.0\.1\]", landed[0])
    assert b"Return-Path: <b@x.example>" in landed[0]


@pytest.mark.real
@pytest.mark.parametrize("domain", ["partner.example", "fast.example"])
def test_enqueue_is_delivered_through_the_gateway(tmp_path, gateway, domain):
    """``jobctl enqueue`` prints ids, and the message reaches the gateway octet for octet."""
    content = (
        b"From: a@x\r\nSubject: t\r\n\r\n.dot\r\n..two\r\nhigh \xe9\xff\r\n"
        + b"x" * 2000
        + b"\r\n.\r\nend\r\n"
    )
    message = tmp_path / "message.eml"
    message.write_bytes(content)
    with Daemon(tmp_path, GATEWAY, GATEWAY=gateway.port) as daemon:
        done = daemon.command("enqueue", "--from", "a@x.example", "--to", f"b@{domain}", str(message))
        assert done.returncode == 0, done.stderr
        assert re.fullmatch(r"[A-Za-z][0-9A-Za-z]*\n", done.stdout)
        until(lambda: gateway.taken)
        until(
            lambda: (
                daemon.summary()[{"partner.example": "test_smtp_gateway"}.get(domain, "tcp_gateway")][
                    "messages"
                ]
                == 0
            )
        )
    assert gateway.taken[0].recipients == [f"b@{domain}".encode()]
    assert gateway.taken[0].body == content


@pytest.mark.real
def test_run_shows_the_dialogue_and_ends_with_its_outcome(tmp_path, gateway):
    """``jobctl run`` ignores backoff, shows SMTP on the terminal, and exits 0, 75 or 69 by what happened."""
    with Daemon(tmp_path, GATEWAY, GATEWAY=gateway.port) as daemon:
        assert daemon.command("qm", "stop", "test_smtp_gateway").returncode == 0
        assert (
            daemon.command(
                "enqueue", "--from", "a@x.example", "--to", "b@partner.example", "-", input="hello\n"
            ).returncode
            == 0
        )
        done = daemon.command("run", "test_smtp_gateway")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "MAIL FROM:<a@x.example>" in done.stdout
        assert len(gateway.taken) == 1
        assert daemon.command("run", "nonsense").returncode == 78


@pytest.mark.real
def test_stopping_loses_nothing(tmp_path, gateway):
    """What is queued when the background service stops is there after the next start, the stop mark too."""
    with Daemon(tmp_path, GATEWAY, GATEWAY=gateway.port) as daemon:
        daemon.command("qm", "stop", "tcp_gateway")
        for number in range(5):
            daemon.command(
                "enqueue", "--from", "a@x.example", "--to", f"b{number}@fast.example", "-", input="hello\n"
            )
        assert daemon.stop() in (0, -signal.SIGTERM)
        down = daemon.json("qm", "summarize")
        assert {row["channel"]: row["messages"] for row in down}["tcp_gateway"] == 5
        daemon.start()
        summary = daemon.summary()["tcp_gateway"]
        assert (summary["messages"], summary["stopped"]) == (5, True)
        assert daemon.command("qm", "start", "tcp_gateway").returncode == 0
        until(lambda: len(gateway.taken) == 5)


@pytest.mark.real
def test_background_service(tmp_path):
    """``twistd jobctl`` without -n goes into the background and ends on SIGTERM to its pid."""
    (tmp_path / "jobctl.toml").write_text(GATEWAY.replace("@PORT@", "0").replace("@GATEWAY@", "1"))
    pidfile = tmp_path / "twistd.pid"
    done = subprocess.run(
        [str(BIN / "twistd"), "--pidfile", str(pidfile), "--logfile", str(tmp_path / "log"), "jobctl"],
        cwd=tmp_path,
        timeout=60,
        env={key: value for key, value in os.environ.items() if key != "JOBCTL_CONFIG"},
    )
    assert done.returncode == 0
    pid = int(until(lambda: pidfile.exists() and pidfile.read_text()))
    try:
        until(lambda: "ready: " in (tmp_path / "log").read_text())
    finally:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not pidfile.exists())
    shutil.rmtree(tmp_path / "var", ignore_errors=True)
