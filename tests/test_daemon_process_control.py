"""``jobctl start``, ``restart``, ``stop`` and ``kill`` with a real daemon in the background."""

import os
import signal
import smtplib

from tests.daemon import Daemon, until

CONFIGURATION = """
[job_controller]
queue_directory = "queue"
control_socket = "control.sock"
log_directory = "log"
[dispatcher.service.SMTP]
listen = ["tcp:@PORT@:interface=127.0.0.1"]
channel = "tcp_local"
relay_from = ["127.0.0.0/8"]
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_local]
official_host_name = "tcp-daemon"
smtp = true
[channel.maildir]
official_host_name = "maildir-daemon"
maildir = "Maildir"
[rewrite]
"mail.example.org" = "maildir"
"""


def test_life(tmp_path):
    """Started, restarted, its server replaced under a client, stopped, started again, killed; mail stays."""
    daemon = Daemon(tmp_path, CONFIGURATION)
    pid = None
    try:
        started = daemon.json("start")
        pid = started["pid"]
        assert started["started"] and daemon.json("start") == {"pid": pid, "started": False}
        daemon.command("qm", "stop", "maildir")
        ids = daemon.command("enqueue", "--from=a@b.example", "--to=x@mail.example.org", "-", input="hi\n")
        assert ids.returncode == 0

        changed = daemon.json("cache", "change", "--channel=maildir", "--job-limit=2", "--persistent")
        assert changed[0]["value"] == "2"
        assert daemon.json("qtop", "-to", "-min_count=1")["parts"][0]["values"][0]["value"].startswith("x@")

        before = daemon.json("version")["daemon"]
        assert daemon.json("restart")["pid"]
        after = daemon.json("version")["daemon"]
        pid = after["pid"]
        assert after["started"] > before["started"]
        assert daemon.summary()["maildir"]["messages"] == 1
        assert [one["option"] for one in daemon.json("cache", "view", "--changes")] == ["job_limit"]
        assert daemon.json("cache", "-sync") == {"stored": 1, "memory": 1, "differences": []}

        daemon.await_listening()
        with smtplib.SMTP("127.0.0.1", daemon.port, timeout=30) as client:
            client.ehlo()
            server = _server(daemon)
            sessions = [work for job in daemon.json("top")["jobs"] for work in job["work"]]
            assert [(one["phase"], one["remote"]) for one in sessions] == [("ready", "127.0.0.1")]
            assert daemon.json("restart", "smtp")["replaced"] == ["SMTP"]
            until(lambda: _server(daemon) not in (None, server), 60, "a new server")
            assert client.docmd("NOOP")[0] == 250, "the old server still serves its client"

        with daemon.config.open("a") as file:
            file.write("nonsense = 1\n")
        refused = daemon.command("restart")
        assert refused.returncode == os.EX_CONFIG and "nothing was stopped" in refused.stderr
        assert daemon.command("start").returncode == os.EX_CONFIG
        text = daemon.config.read_text().replace("nonsense = 1\n", "")
        daemon.config.write_text(text)

        assert daemon.json("stop") == {"pid": pid, "stopped": True}
        assert not os.path.exists(f"/proc/{pid}/exe")
        assert daemon.json("stop") == {"pid": None, "stopped": False}
        pid = daemon.json("start")["pid"]
        assert daemon.json("kill", "job_controller") == {"pid": pid, "killed": True}
        pid = None
        assert daemon.json("kill", "job_controller")["killed"] is False
        # The pidfile that it left means nothing.
        pid = daemon.json("start")["pid"]
        assert daemon.summary()["maildir"]["messages"] == 1
        assert daemon.json("stop")["pid"] == pid
        pid = None
    finally:
        if pid is not None:
            os.kill(pid, signal.SIGKILL)


def _server(daemon):
    """The process number of the server that takes connections: the youngest."""
    rows = [row for row in daemon.json("process") if row["role"] == "slave"]
    return max(rows, key=lambda row: row["started"])["pid"] if rows else None
