"""Operators at a real daemon: many messages changed, a kill in the midst of it, undo, hold rules, looks."""

import hashlib
import os
import pty
import sqlite3
import subprocess

import pytest

from jobctl.control.client import Client
from tests.daemon import BIN, Daemon, until

CONFIGURATION = """
[job_controller]
queue_directory = "queue"
control_socket = "control.sock"
log_directory = "log"
return_undo_window = "PT1S"
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_local]
official_host_name = "tcp-daemon"
smtp = true
[channel.tcp_gate]
official_host_name = "gate-daemon"
smtp = true
daemon = "[127.0.0.1]"
port = 9
[rewrite]
"." = "tcp_local"
"""
COUNT = 400


@pytest.fixture
def daemon(tmp_path):
    """One that keeps everything it is given."""
    found = Daemon(tmp_path, CONFIGURATION)
    found.start()
    assert found.command("qm", "stop", "*").returncode == 0
    yield found
    if found.process.poll() is None:
        found.stop()


def fill(daemon, count=COUNT):
    """So many messages, to even and odd hosts."""
    with Client(str(daemon.directory / "control.sock")) as client:
        return [
            client.enqueue("ann@a.example", [f"u{n}@h{n % 2}.example"], b"Subject: s\n\nx\n")[0]
            for n in range(count)
        ]


def queued(daemon):
    """Ids in the queue."""
    return {row["id"] for row in daemon.json("qm", "directory")}


def balanced(daemon):
    """The ledger, which must balance."""
    rows = daemon.json("ledger")
    assert not any(row["missing"] for row in rows)
    return {row["channel"]: row for row in rows}


def test_killed_in_the_midst_of_a_deletion(daemon):
    """kill -9 while many are deleted: the record says interrupted, and undo brings every one of them back."""
    ids = fill(daemon)
    with Client(str(daemon.directory / "control.sock")) as client:
        for answer, _ in client.stream("qm.delete", where="rcpt=u*"):
            if answer.progress and answer.progress["done"]:
                daemon.kill()
                break
    daemon.start()
    left = queued(daemon)
    assert left < set(ids)
    (act,) = daemon.json("qm", "operations")
    assert (act["stage"], act["what"], act["subject"]) == ("interrupted", "delete", "rcpt=u*")
    balanced(daemon)
    back = daemon.json("undo", str(act["number"]))
    assert set(back["done"]) == set(ids) - left
    assert queued(daemon) == set(ids)
    assert balanced(daemon)["tcp_local"]["queued"] == len(ids)
    assert [row["what"] for row in daemon.json("qm", "audit")] == ["undo", "delete", "stop"]


def test_a_day_of_an_operator(daemon):
    """Move, redirect, hold by rule, return: each seen in lists, history and record, over a restart too."""
    ids = fill(daemon, 10)
    assert (
        daemon.command("qm", "move", "tcp_gate", "--where", "rcpt.domain=h1.example", "--yes").returncode == 0
    )
    assert daemon.command("qm", "redirect", "--to", "new@n.example", ids[0]).returncode == 0
    rule = daemon.json("hold", "where", "sender=eve@*", "--reason", "looked at", "--expires", "1h")
    daemon.stop()
    daemon.start()
    (row,) = daemon.json("qm", "directory", "--where", f"id={ids[0]}")
    assert row["recipients"] == ["new@n.example"] and row["host"] == "n.example"
    assert {row["id"] for row in daemon.json("qm", "directory", "tcp_gate")} == set(ids[1::2])
    with Client(str(daemon.directory / "control.sock")) as client:
        (held,) = client.enqueue("eve@e.example", ["bob@h0.example"], b"Subject: s\n\nx\n")
    (row,) = daemon.json("qm", "held")
    assert (row["id"], row["reason"]) == (held, rule["cause"])
    lines = daemon.json("qm", "history", ids[1], ids[0])
    assert [line["what"] for line in lines] == ["moved", "redirected"]
    returned = daemon.json("qm", "return", "--reason", "no", ids[2])
    assert returned["undo_until"] is not None and ids[2] not in queued(daemon)
    (notice,) = until(lambda: daemon.json("qm", "directory", "--where", "sender=<>"), why="the notification")
    assert notice["recipients"] == ["ann@a.example"]
    assert daemon.command("undo", str(returned["operation"])).returncode == os.EX_NOINPUT
    balanced(daemon)


def test_looks_leave_the_disk_as_it_is(daemon):
    """Every list and every look: what lies on the disk of queue, history and record is what it was."""
    ids = fill(daemon, 60)
    daemon.command("qm", "hold", *ids[:5])
    daemon.command("qm", "delete", *ids[5:10])
    looks = {
        "qm.directory": {"where": "age<1h"},
        "qm.held": {},
        "qm.summarize": {},
        "qm.messages": {"channel": "*", "where": "rcpt=u1*"},
        "qm.history": {"where": "state=held"},
        "qm.read": {"message": ids[20], "content": True},
        "qm.jobs": {},
        "qm.preview": {"where": "age<1h", "sample": 100},
        "qm.operations": {},
        "qm.audit": {},
        "qm.top": {},
        "cache.view": {},
        "ledger": {},
        "hold.list": {},
        "process": {},
        "explain": {"message": ids[20]},
    }
    before = digest(daemon)
    with Client(str(daemon.directory / "control.sock")) as client:
        for op, keys in looks.items():
            answers = list(client.stream(op, **keys))
            assert answers[-1][0].error is None, (op, answers[-1][0].error)
            assert digest(daemon) == before, op


def digest(daemon):
    """Of every row of the tables that say what is queued and what was done."""
    database = sqlite3.connect(daemon.directory / "queue" / "queue.db")
    tables = (
        "messages",
        "entries",
        "history",
        "ledger",
        "ids",
        "stopped",
        "backoffs",
        "acts",
        "undo",
        "damaged",
    )
    rows = [sorted(map(repr, database.execute(f"SELECT * FROM {name}"))) for name in tables]
    database.close()
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def test_a_person_is_shown_and_asked(daemon):
    """On a terminal: how many, how much, some of them, a question; and after a yes just these."""
    fill(daemon, 8)

    def answered(words):
        ours, theirs = pty.openpty()
        child = subprocess.Popen(
            [str(BIN / "jobctl"), "qm", "delete", "--where", "rcpt.domain=h0.example"],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=daemon.environment,
            text=True,
        )
        os.write(ours, words)
        out, _ = child.communicate(timeout=60)
        os.close(ours)
        os.close(theirs)
        return child.returncode, out

    status, out = answered(b"n\n")
    assert status == os.EX_USAGE and "delete 4 messages, 1 KB? (y/n)" in out and "nothing was done" in out
    assert out.count("h0.example") == 4
    status, out = answered(b"y\n")
    assert (
        status == 0 and out.count("\ndeleted Q") + out.count("(y/n) deleted Q") == 4 and "jobctl undo" in out
    )
    assert len(queued(daemon)) == 4
