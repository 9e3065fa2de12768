"""Failure to the sender, and the errors a person meets at the command line."""

import email
import email.policy
import re
from pathlib import Path

import pytest

from tests.configurations import GATEWAY
from tests.daemon import Daemon, until
from tests.smtp_peers import CollectingServer


@pytest.mark.real
@pytest.mark.parametrize("domain", ["partner.example", "fast.example"])
def test_a_permanent_failure_is_told_to_the_sender(tmp_path, domain):
    """One recipient of two is refused: the other gets the mail, the sender an RFC 3464 notification."""
    sink = CollectingServer(refuse=lambda line: b"550 5.1.1 no such user\r\n" if b"bad@" in line else b"")
    try:
        with Daemon(tmp_path, GATEWAY, GATEWAY=sink.port) as daemon:
            done = daemon.command(
                "enqueue",
                "--from",
                "ann@mail.example.org",
                "--to",
                f"bad@{domain}",
                "--to",
                f"good@{domain}",
                "-",
                input="Subject: s\n\nhi\n",
            )
            assert done.returncode == 0
            landed = until(lambda: list(Path(tmp_path / "Maildir/new").glob("*")), 60, daemon.log[-2000:])
            notice = email.message_from_bytes(landed[0].read_bytes(), policy=email.policy.default)
            assert notice.get_content_type() == "multipart/report"
            _, one = notice.get_payload()[1].get_payload()
            assert one["Final-Recipient"] == f"rfc822;bad@{domain}"
            assert one["Status"].startswith("5.1.1")
            assert "no such user" in one["Diagnostic-Code"]
            assert notice["Return-Path"] == "<>"
            until(lambda: sink.taken)
            assert sink.taken[0].recipients == [f"good@{domain}".encode()]
    finally:
        sink.close()


@pytest.mark.real
def test_the_last_age_of_notices_returns_the_message(tmp_path):
    """A message that cannot be delivered until its last age comes back as timed out."""
    text = GATEWAY.replace(
        "[channel.tcp_gateway]", '[channel.tcp_gateway]\nnotices = ["PT1S"]\nbackoff = ["PT1S"]'
    )
    with Daemon(tmp_path, text, GATEWAY=1) as daemon:
        daemon.command(
            "enqueue",
            "--from",
            "ann@mail.example.org",
            "--to",
            "x@fast.example",
            "-",
            input="Subject: s\n\nhi\n",
        )
        landed = until(lambda: list(Path(tmp_path / "Maildir/new").glob("*")), 60, daemon.log[-2000:])
        assert b"has timed out and failed" in landed[0].read_bytes()
        until(lambda: daemon.summary()["tcp_gateway"]["messages"] == 0)


@pytest.mark.real
def test_nobody_is_told_about_a_notification(tmp_path):
    """Mail with an empty sender that fails makes no notification: nothing loops."""
    sink = CollectingServer(refuse=lambda line: b"550 5.1.1 no\r\n")
    try:
        with Daemon(tmp_path, GATEWAY, GATEWAY=sink.port) as daemon:
            daemon.command("enqueue", "--from", "<>", "--to", "x@fast.example", "-", input="hi\n")
            until(lambda: daemon.summary()["tcp_gateway"]["messages"] == 0 and sink.connections)
            assert sum(row["messages"] for row in daemon.summary().values()) == 0
            assert not list(Path(tmp_path / "Maildir").glob("new/*"))
    finally:
        sink.close()


@pytest.mark.real
def test_errors_are_one_line_that_says_what_to_do(tmp_path):
    """Each mistake at the command line: one line on stderr, nothing on stdout, the right exit status."""
    daemon = Daemon(tmp_path, GATEWAY, GATEWAY=1)
    # Mail that nobody takes is to be tried again; a question without an answer is not.
    cases_down = [(("enqueue", "--from", "a@x", "--to", "b@c.example", "-"), 75), (("qm", "jobs"), 69)]
    cases_up = [
        (("run", "nonsense"), 78),
        (("submit", "nonsense"), 78),
        (("enqueue", "--from", "a@x.example", "--to", "no-at-sign and blanks", "-"), 65),
        (("enqueue", "--from", "a@x.example", "--to", "b@c.example", "/nonexistent/file"), 66),
        (("enqueue", "--from", "a@x.example", "--to", "b@c.example", "--channel", "nonsense", "-"), 78),
        (("qm", "history", "Q999999"), 66),
        (("--config", "/nonexistent.toml", "qm", "jobs"), 78),
    ]

    def check(words: tuple[str, ...], status: int) -> None:
        done = daemon.command(*words, input="hi\n")
        assert (done.returncode, done.stdout) == (status, ""), (words, done)
        assert re.fullmatch(r"jobctl: .+\n", done.stderr), (words, done.stderr)

    for words, status in cases_down:
        check(words, status)
    with daemon:
        for words, status in cases_up:
            check(words, status)


@pytest.mark.real
def test_a_second_controller_on_the_same_queue_refuses_to_start(tmp_path):
    """Two daemons never share a queue."""
    import subprocess

    from tests.daemon import TWISTD

    with Daemon(tmp_path, GATEWAY, GATEWAY=1) as daemon:
        done = subprocess.run(
            [*TWISTD, "-n", "--pidfile=", "jobctl"],
            cwd=tmp_path,
            env=daemon.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode != 0
        assert "jobctl: " in done.stderr
        in_background = subprocess.run(
            [*TWISTD, "--pidfile", "second.pid", "--logfile", "second.log", "jobctl"],
            cwd=tmp_path,
            env=daemon.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert in_background.returncode == 75
        assert "is in use by process" in in_background.stderr
        assert not (tmp_path / "second.pid").exists()
        assert daemon.json("qm", "summarize")


@pytest.mark.real
def test_a_controller_in_the_background_that_cannot_start_says_why(tmp_path):
    """Nobody reads its terminal, so the reason is in its log; its pidfile goes with it."""
    import socket
    import subprocess

    from tests.daemon import TWISTD

    daemon = Daemon(tmp_path, GATEWAY, GATEWAY=1)
    with socket.create_server(("127.0.0.1", daemon.port)):
        subprocess.run(
            [*TWISTD, "--pidfile", "it.pid", "--logfile", "it.log", "jobctl"],
            cwd=tmp_path,
            env=daemon.environment,
            check=True,
            timeout=60,
        )
        until(lambda: (tmp_path / "it.log").exists() and "cannot start" in (tmp_path / "it.log").read_text())
        until(lambda: not (tmp_path / "it.pid").exists())
    assert "Address already in use" in (tmp_path / "it.log").read_text()
