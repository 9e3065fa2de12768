"""Failure to the sender, and the errors a person meets at the command line."""

import email
import email.policy
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.configurations import GATEWAY
from tests.daemon import TWISTD, Daemon, until
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
        second = subprocess.run(
            [*TWISTD, "--pidfile", "second.pid", "--logfile", "second.log", "jobctl"],
            cwd=tmp_path,
            env=daemon.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert second.returncode == 75
        assert "is in use by process" in second.stderr
        assert not (tmp_path / "second.pid").exists()
        assert daemon.json("qm", "summarize")


def in_background(daemon: Daemon) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*TWISTD, "--pidfile", "it.pid", "--logfile", "it.log", "jobctl"],
        cwd=daemon.directory,
        env=daemon.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.real
@pytest.mark.parametrize(
    ("obstacle", "complaint"),
    [
        ("port", "jobctl: cannot listen on tcp:{port}:interface=127.0.0.1: Address already in use\n"),
        (
            "var/control.sock",
            "jobctl: control_socket: {directory}/var/control.sock is there and is not a socket; ",
        ),
        ("var/queue", "jobctl: cannot make the queue directory {directory}/var/queue: "),
    ],
)
def test_a_controller_in_the_background_that_cannot_start_says_why(tmp_path, obstacle, complaint):
    """On the terminal, by its exit status and in its log; its pidfile goes with it, and the queue is free."""
    daemon = Daemon(tmp_path, GATEWAY, GATEWAY=1)
    with socket.socket() as other:
        if obstacle == "port":
            other.bind(("127.0.0.1", daemon.port))
            other.listen()
        else:
            (tmp_path / "var").mkdir()
            (tmp_path / obstacle).write_text("in the way")
        done = in_background(daemon)
    assert done.returncode == 75, done
    assert done.stderr.startswith(complaint.format(port=daemon.port, directory=tmp_path)), done.stderr
    until(lambda: not (tmp_path / "it.pid").exists())
    assert "the Job Controller cannot start" in (tmp_path / "it.log").read_text()
    if obstacle != "port":
        (tmp_path / obstacle).unlink()
    with daemon:
        assert daemon.json("qm", "summarize")


@pytest.mark.real
def test_a_controller_in_the_background(tmp_path):
    """Started, it says nothing and ends with 0 when its port is open; the process that stays owns the queue."""
    daemon = Daemon(tmp_path, GATEWAY, GATEWAY=1)
    done = in_background(daemon)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    pid = int((tmp_path / "it.pid").read_text())
    try:
        daemon.await_listening()
        assert (tmp_path / "var" / "queue" / "lock").read_text().split() == [str(pid)]
        assert daemon.command("version").returncode == 0
        # Nothing of the terminal it was started from is left with it.
        assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0, 1, 2)} == {"/dev/null"}
    finally:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not (tmp_path / "it.pid").exists())
