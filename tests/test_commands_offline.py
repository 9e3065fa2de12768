"""The commands that work on the queue itself while no daemon runs."""

import base64
import json
import subprocess
import sys
import time

import pytest

from jobctl.commands import exits
from jobctl.commands.main import main
from jobctl.commands.queue_rows import backoffs_of, directory_rows, message_rows, summary_rows
from jobctl.control.requests import QmDirectory
from jobctl.mail.entry import Attempt, Lasting, QueueEntry, Settlement, StoredEntry
from jobctl.mail.envelope import Envelope, Priority, Recipient, Source
from jobctl.store.offline import OfflineQueue
from jobctl.store.sqlite import SQLiteStore
from tests.store_contract import PumpReactor, submission

CONFIG = """
[job_controller]
queue_directory = "queue"
control_socket = "control.sock"
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_local]
official_host_name = "tcp-daemon"
smtp = true
[rewrite]
"." = "tcp_local"
"""
NOW = 1_700_000_000.0
# The daemon's store, made and closed in a process of its own.
MAKE_QUEUE = """
import sys
from twisted.internet import task
from jobctl.store.sqlite import SQLiteStore

def main(reactor):
    store = SQLiteStore(reactor, sys.argv[1])
    store.open()
    return store.close()

task.react(main)
"""


def entry(id, channel="tcp_local", due=NOW, held=False, host="b.example"):
    """A stored entry."""
    return StoredEntry(
        QueueEntry(id, channel, host, Priority.NORMAL, 2048, NOW - 60, due, 1),
        1,
        Lasting.HELD if held else Lasting.QUEUED,
        Envelope("ann@a.example", (Recipient("bob@b.example"),)),
        Source("l"),
        last_reply="451 later",
        reason="by root" if held else "",
    )


class FakeQueue:
    """As :class:`OfflineQueue`, with three messages."""

    marked = {}

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def summarize(self):
        return {"tcp_local": (2, 1, 1, 6144, NOW)}

    def directory(self):
        return [entry("a1"), entry("a2", due=NOW * 2), entry("a3", held=True)]

    def history(self, id):
        return [Attempt(NOW, "deferred", "451 later")] if id == "a2" else []

    def stopped(self):
        return self.marked

    def host_backoffs(self):
        return []

    def overdue(self, hosts):
        return [0] * len(hosts)

    def note(self, who, uid, what, subject, text):
        self.noted = [what, subject, text]

    def set_stopped(self, channel, stopped, author):
        if stopped:
            self.marked[channel] = (author, NOW)
        else:
            del self.marked[channel]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A configured place without a daemon, its queue made by the real store."""
    (tmp_path / "jobctl.toml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def fake(place, monkeypatch):
    """The same with made-up messages."""
    (place / "queue").mkdir()
    (place / "queue" / "queue.db").touch()
    monkeypatch.setattr("jobctl.store.offline.OfflineQueue", lambda directory, clock: FakeQueue())


def run(capsys, *words):
    """Exit status, lines of output, lines of complaint."""
    status = main(list(words))
    done = capsys.readouterr()
    return status, done.out.splitlines(), done.err.splitlines()


def test_lists(fake, capsys):
    """The lists come from the queue itself, and that is said; the keys are the same."""
    status, out, err = run(capsys, "qm", "summarize", "--json")
    assert (status, len(err)) == (0, 1) and "from the queue itself" in err[0]
    rows = json.loads("".join(out))
    assert rows[1] == {
        "channel": "tcp_local",
        "messages": 3,
        "ready": 1,
        "active": 0,
        "delayed": 1,
        "held": 1,
        "size": 6144,
        "oldest": NOW,
        "stopped": False,
    }
    rows = json.loads("".join(run(capsys, "qm", "directory", "--json")[1]))
    assert [(row["id"], row["state"]) for row in rows] == [("a1", "ready"), ("a2", "delayed"), ("a3", "held")]
    assert json.loads("".join(run(capsys, "qm", "held", "--json")[1]))[0]["reason"] == "by root"
    assert run(capsys, "qm", "messages", "tcp_local")[1][1].split() == ["b.example", "1", "1"]
    rows = json.loads(
        "".join(run(capsys, "qm", "directory", "--json", "--where", "state!=held and size>1KB")[1])
    )
    assert [row["id"] for row in rows] == ["a1", "a2"]
    assert run(capsys, "qm", "messages", "tcp_local", "--where", "id=a2")[1][1].split() == [
        "b.example",
        "0",
        "1",
    ]
    rows = json.loads("".join(run(capsys, "qm", "history", "--json", "--where", "state=delayed")[1]))
    assert [row["id"] for row in rows] == ["a2"]
    status, _, err = run(capsys, "qm", "directory", "--where", "size>1X")
    assert status == exits.USAGE and "'1X' is no size" in err[-1]
    assert run(capsys, "qm", "history", "a1")[0] == 0
    assert "451" in run(capsys, "qm", "history", "-channel=tcp_*", "-all")[1][1]
    assert run(capsys, "qm", "history", "nosuch")[0] == exits.NO_INPUT


def test_sources(fake, capsys):
    """-database insists on the daemon, -directory_tree asks nobody."""
    assert run(capsys, "qm", "sum", "-database")[0] == exits.UNAVAILABLE
    assert run(capsys, "qm", "sum", "-directory_tree")[2] == []
    assert run(capsys, "--socket", "/nonexistent", "qm", "sum")[0] == exits.UNAVAILABLE


def test_stop_and_start(fake, capsys):
    """Channels are stopped and started for the daemon that comes later."""
    assert run(capsys, "qm", "stop", "tcp_*")[1] == ["stopped: tcp_local"]
    assert list(FakeQueue.marked) == ["tcp_local"]
    assert run(capsys, "qm", "start", "l")[1] == ["l was not stopped"]
    assert run(capsys, "qm", "start", "tcp_local")[1] == ["started: tcp_local"]
    status, _, err = run(capsys, "qm", "stop", "tcp_locl")
    assert status == exits.CONFIG and "did you mean" in err[-1]
    assert run(capsys, "qm", "dir", "zzz*")[0] == exits.CONFIG


def test_what_needs_the_daemon(fake, capsys):
    """Commands that need the daemon say that it does not run."""
    for words in (
        ("qm", "hold", "a1"),
        ("qm", "jobs"),
        ("cache", "view"),
        ("process",),
    ):
        status, _, err = run(capsys, *words)
        assert status == exits.UNAVAILABLE and "start it with" in err[0], words


def test_no_queue_yet(place, capsys):
    """Where no daemon has ever run there is nothing to look at."""
    status, _, err = run(capsys, "qm", "summarize")
    assert (status, len(err)) == (exits.UNAVAILABLE, 1)
    status, _, err = run(capsys, "qm", "summarize", "-directory_tree")
    assert status == exits.IO and "no queue" in err[0]


def test_real_queue(place, capsys):
    """A queue made by the daemon's store can be looked at and steered; one that is in use cannot."""
    subprocess.run([sys.executable, "-c", MAKE_QUEUE, str(place / "queue")], check=True, timeout=60)
    assert run(capsys, "qm", "stop", "tcp_local")[0] == 0
    rows = json.loads("".join(run(capsys, "qm", "summarize", "--json")[1]))
    assert [row["stopped"] for row in rows] == [False, True]
    rows = json.loads("".join(run(capsys, "qm", "audit", "--json")[1]))
    assert (rows[0]["what"], rows[0]["subject"], rows[0]["text"]) == ("stop", "tcp_local", "tcp_local")
    assert run(capsys, "qm", "audit", "--json", "--who", "nobody-else")[1] == ["[]"]
    with OfflineQueue(str(place / "queue"), lambda: NOW):
        status, _, err = run(capsys, "qm", "start", "tcp_local")
        assert status == exits.TEMPORARY and "another process has the queue open" in err[-1]


def test_explain_without_a_daemon(place, capsys):
    """That none runs is the first cause; what else the queue knows is told, too."""
    reactor = PumpReactor()
    store = SQLiteStore(reactor, str(place / "queue"), free_space=0)
    store.open()
    (id,) = reactor.wait(store.enqueue(submission()))
    line = Attempt(NOW, "deferred", "451 later")
    later = time.time() + 3600
    settlement = Settlement(id, due=later, attempts=1, last_reply="451 later", history=(line,))
    reactor.wait(store.settle(settlement))
    reactor.wait(store.set_host_backoff("tcp_local", "a.example", 3, later, "421 refused"))
    reactor.wait(store.set_stopped("tcp_local", True, "ann"))
    reactor.wait(store.close())
    status, out, err = run(capsys, "explain", id, "--json")
    assert status == 0 and "from the queue itself" in err[0]
    row = json.loads("".join(out))
    assert [cause["code"] for cause in row["causes"]] == ["no_daemon", "stopped", "retry", "host_backoff"]
    assert row["next"] == "when the Job Controller runs again" and row["next_attempt"] is None
    assert "421 refused" in row["causes"][3]["text"]
    assert run(capsys, "explain", "Q99")[0] == exits.NO_INPUT


def test_contents_without_a_daemon(place, capsys):
    """What is in the messages can be counted and read from the queue itself, large messages too."""
    reactor = PumpReactor()
    store = SQLiteStore(reactor, str(place / "queue"), free_space=0)
    store.open()
    large = b"Subject: large one\r\n\r\n" + b"x" * 200_000 + b"\r\n"
    (small,) = reactor.wait(store.enqueue(submission(source=Source("tcp_local", user="ann"))))
    (id,) = reactor.wait(store.enqueue(submission(content=large)))
    reactor.wait(store.close())
    status, out, err = run(capsys, "qtop", "-min_count=1", "--json")
    assert status == 0 and "from the queue itself" in err[0]
    values = json.loads(out[0])["parts"][0]["values"]
    assert values == [{"count": 1, "value": "large one"}, {"count": 1, "value": "x"}]
    assert run(capsys, "qtop", "-directory_tree", "tcp_local")[2] == []
    status, out, err = run(capsys, "qm", "read", id)
    assert status == 0 and "from the queue itself" in err[0] and "Subject: large one" in out
    row = json.loads("".join(run(capsys, "qm", "read", "-content", "--json", id)[1]))
    assert base64.b64decode(row["content_base64"]) == large
    assert len(run(capsys, "qm", "read", "-channel=*", "-all", "--json")[1]) == 2
    assert run(capsys, "qm", "read", "Q99")[0] == exits.NO_INPUT
    rows = json.loads("".join(run(capsys, "qm", "dir", "-owner=ann", "-match=AND", "--json")[1]))
    assert [row["id"] for row in rows] == [small]
    words = ("qm", "dir", '-owner=a"n*', "--where", "age>1h or age<1h", "--json")
    assert run(capsys, *words)[1] == ["[]"]
    assert run(capsys, "qclean", "-from=<>")[0] == exits.UNAVAILABLE


def test_rows():
    """Channels that are configured no longer are shown too; held messages are of no host."""
    assert [row["channel"] for row in summary_rows({"old": (1, 0, 0, 9, NOW)}, ["old"], ["l"], {})] == [
        "l",
        "old",
    ]
    entries = [entry("a1"), entry("a2", host="a.example", due=NOW + 5), entry("a3", held=True)]
    assert message_rows(entries, NOW, {}) == [
        {"host": "a.example", "active": 0, "delayed": 1},
        {"host": "b.example", "active": 1, "delayed": 0},
    ]
    assert len(directory_rows(entries, QmDirectory(limit=2), NOW, {})) == 2


def test_rows_of_a_host_that_is_backed_off():
    """What waits for its host is delayed in every list, and is not tried before the host is."""
    backoffs = backoffs_of(
        [("tcp_local", "b.example", 2, NOW + 60, "421 no"), ("tcp_local", "c.example", 0, 0, "")]
    )
    entries = [entry("a1"), entry("a2", host="c.example")]
    rows = directory_rows(entries, QmDirectory(), NOW, backoffs)
    assert [(row["state"], row["next_attempt"]) for row in rows] == [("delayed", NOW + 60), ("ready", NOW)]
    assert [(row["active"], row["delayed"]) for row in message_rows(entries, NOW, backoffs)] == [
        (0, 1),
        (1, 0),
    ]
    (row,) = summary_rows({"tcp_local": (2, 0, 0, 9, NOW)}, [], [], {"tcp_local": 1})
    assert (row["ready"], row["delayed"]) == (1, 1)
