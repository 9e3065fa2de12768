"""Generic channels whose peer is a program that misbehaves, and a real mailbox through the bridge."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.configurations import GATEWAY
from tests.daemon import Daemon, until
from tests.smtp_peers import CollectingServer

PEERS = {
    "dies": ("import os; print('220 hi', flush=True); input(); os._exit(3)", "lost"),
    "hangs": ("import time; time.sleep(3600)", ""),
    "floods stderr": ("import sys\nwhile 1: sys.stderr.write('noise ' * 100 + chr(10))", ""),
    "garbage": (
        "import sys; sys.stdout.write('no smtp at all' + chr(10)); sys.stdout.flush(); sys.stdin.read()",
        "",
    ),
    "closes early": ("pass", ""),
    "refuses": ("print('421 4.3.2 not now', flush=True)", "421"),
}

COMMAND = """
[channel.test_smtp_command]
official_host_name = "command-daemon"
smtp = true
daemon = "peer.example"
transport = "command:@PYTHON@ @SCRIPT@"
options = { TIMEOUT_MULTIPLIER = 1, STATUS_MAIL_RECEIVE_TIME = 2, STATUS_RECEIVE_TIME = 2 }
"""


@pytest.mark.real
@pytest.mark.parametrize("kind", PEERS)
def test_a_peer_program_that_misbehaves(tmp_path, kind):
    """The mail stays, the reason is in ``qm history``, and another channel does not notice."""
    script = tmp_path / "peer.py"
    script.write_text(PEERS[kind][0])
    sink = CollectingServer()
    text = GATEWAY.replace("[rewrite]", COMMAND + '[rewrite]\n"odd.example" = "test_smtp_command"')
    try:
        with Daemon(tmp_path, text, GATEWAY=sink.port, PYTHON=sys.executable, SCRIPT=script) as daemon:
            done = daemon.command(
                "enqueue", "--from", "a@x.example", "--to", "b@odd.example", "-", input="hi\n"
            )
            entry = done.stdout.strip()
            until(lambda: daemon.ask("qm.history", ids=[entry]), 60, f"{kind}: {daemon.log[-1500:]}")
            history = daemon.json("qm", "history", entry)
            assert any(PEERS[kind][1] in line["text"] for line in history), history
            assert history[0]["text"]
            daemon.command("enqueue", "--from", "a@x.example", "--to", "b@fast.example", "-", input="hi\n")
            until(lambda: len(sink.taken) == 1)
            (row,) = daemon.json("qm", "directory", "test_smtp_command")
            assert row["id"] == entry
            assert row["state"] in ("delayed", "ready", "active")
    finally:
        sink.close()


MAILBOX = [
    b"From: a@x\r\nSubject: dots\r\n\r\n.\r\n..\r\n.a\r\n...\r\n",
    b"Subject: 8-bit\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\ngr\xc3\xbc\xc3\x9fe \xff\xfe\r\n",
    b"Subject: long\r\n\r\n" + b"x" * 900 + b"\r\n" + b"y" * 998 + b"\r\n",
    b"Subject: no line end at the end\r\n\r\nlast line\r\n",
    b"Subject: attachment\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n"
    b"--b\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    + b"QUJD" * 19 * 1000
    + b"\r\n--b--\r\n",
    b"Subject: empty body\r\n\r\n",
]


@pytest.mark.real
@pytest.mark.parametrize("way", ["gateway", "direct"])
def test_a_mailbox_through_the_generic_channel(tmp_path, way):
    """Attachments, 8-bit text, long lines and leading dots arrive octet for octet through the bridge."""
    sink = CollectingServer()
    text = GATEWAY
    if way == "direct":
        text = text.replace(
            'smtp = true\ndaemon = "[127.0.0.1]"\nport = @GATEWAY@\n[channel.tcp_gateway]',
            "smtp = true\nport = @GATEWAY@\n[channel.tcp_gateway]",
        )
        text = text.replace('"partner.example" =', '"[]" =')
    to = "b@partner.example" if way == "gateway" else "b@[127.0.0.1]"
    try:
        with Daemon(tmp_path, text, GATEWAY=sink.port) as daemon:
            for content in MAILBOX:
                path = tmp_path / "m.eml"
                path.write_bytes(content)
                done = daemon.command("enqueue", "--from", "a@x.example", "--to", to, str(path))
                assert done.returncode == 0, done.stderr
            until(lambda: len(sink.taken) == len(MAILBOX), 60, daemon.log[-2000:])
        assert sorted(taken.body for taken in sink.taken) == sorted(MAILBOX)
    finally:
        sink.close()


@pytest.mark.real
def test_transport_info_of_the_real_connection_is_in_the_log_and_the_received_field(tmp_path):
    """A service of a generic channel: the client's address from the bridge is in the Received field."""
    sink = CollectingServer()
    text = GATEWAY.replace('channel = "tcp_local"\nrelay', 'channel = "test_smtp_in"\nrelay').replace(
        "[rewrite]",
        '[channel.test_smtp_in]\nofficial_host_name = "in-daemon"\nsmtp = true\nslave_debug = true\n[rewrite]',
    )
    try:
        with Daemon(tmp_path, text, GATEWAY=sink.port) as daemon:
            daemon.await_listening()
            from tests.smtp_peers import Sender

            sender = Sender(daemon.port, "one", 1, "ann@fast.example").start()
            sender.join()
            assert len(sender.accepted) == 1
            until(lambda: sink.taken, 60, daemon.log[-2000:])
            assert b"[127.0.0.1]" in sink.taken[0].content.split(b"\r\nMessage-ID")[0]
            until(lambda: f"TCP|127.0.0.1|{daemon.port}|127.0.0.1|" in daemon.log, 60, "it is shown")
    finally:
        sink.close()


@pytest.mark.real
def test_by_hand_from_queue_to_queue(tmp_path):
    """The two generic programs, joined by a pipe and a FIFO in a shell, move a message from queue to queue."""
    text = GATEWAY.replace(
        "[rewrite]",
        '[channel.x_line]\nofficial_host_name = "x-line"\nsmtp = true\n'
        '[channel.y_line]\nofficial_host_name = "y-line"\nsmtp = true\n'
        '[rewrite]\n"line.example" = ["$U%$D@maildir-daemon$My_line", "x_line"]',
    )
    with Daemon(tmp_path, text, GATEWAY=1) as daemon:
        daemon.command("enqueue", "--from", "a@x.example", "--to", "b@line.example", "-", input="by hand\n")
        os.mkfifo(tmp_path / "r")
        done = subprocess.run(
            "PMDF_CHANNEL=x_line test_smtp_master <r | PMDF_CHANNEL=y_line test_smtp_slave >r",
            shell=True,
            cwd=tmp_path,
            env=daemon.environment,
            timeout=60,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        landed = until(
            lambda: list(Path(tmp_path / "Maildir/new").glob("*")), 30, done.stderr + daemon.log[-1500:]
        )
        assert b"by hand" in landed[0].read_bytes()
        assert daemon.summary()["x_line"]["messages"] == 0


@pytest.mark.real
@pytest.mark.parametrize("command", ["/nonexistent/program", "/bin/false"])
def test_a_program_that_cannot_work_is_told_to_the_operator(tmp_path, command):
    """The reason is in ``qm history``, and ``jobctl run`` says that something waits: exit status 75."""
    odd = COMMAND.replace("@PYTHON@ @SCRIPT@", command)
    text = GATEWAY.replace("[rewrite]", odd + '[rewrite]\n"odd.example" = "test_smtp_command"')
    with Daemon(tmp_path, text, GATEWAY=1) as daemon:
        done = daemon.command("enqueue", "--from", "a@x.example", "--to", "b@odd.example", "-", input="hi\n")
        entry = done.stdout.strip()
        until(lambda: daemon.ask("qm.history", ids=[entry]), 60, daemon.log[-1500:])
        history = daemon.json("qm", "history", entry)
        assert history[0]["text"].startswith("451 4.3.0")
        assert daemon.command("run", "test_smtp_command").returncode == 75
        assert daemon.summary()["test_smtp_command"]["messages"] == 1
