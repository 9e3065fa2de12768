"""Every command against a daemon with made-up operations, and every way it can go wrong."""

import base64
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from jobctl.commands import exits
from jobctl.commands.main import build_parser, main
from jobctl.commands.manual import pages
from jobctl.control import client as blocking
from jobctl.control.refusals import NoAnswer
from tests.control_fake import ROWS

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

CONFIG = """
[job_controller]
queue_directory = "queue"
control_socket = "control.sock"
log_directory = "log"
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_local]
official_host_name = "tcp-daemon"
smtp = true
[rewrite]
"." = "tcp_local"
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    """The control socket of a running daemon."""
    path = str(tmp_path_factory.mktemp("daemon") / "control.sock")
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.control_fake", path],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert child.stdout.readline() == "ready\n"
    yield path
    child.terminate()
    assert child.wait(20) in (0, -signal.SIGTERM)
    child.stdout.close()


@pytest.fixture
def jobctl(daemon, capfd, tmp_path, monkeypatch):
    """Do one command; gives exit status, lines of output, lines of complaint."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JOBCTL_CONFIG", raising=False)

    def do(*words, socket_path=daemon):
        status = main([*(["--socket", socket_path] if socket_path else []), *words])
        done = capfd.readouterr()
        return status, done.out.splitlines(), done.err.splitlines()

    return do


@pytest.fixture
def configured(tmp_path):
    """A configuration whose daemon does not run."""
    path = tmp_path / "jobctl.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def message(tmp_path):
    """A message with LF line ends."""
    path = tmp_path / "message.eml"
    path.write_bytes(b"Subject: hi\n\nHello\n")
    return str(path)


def test_enqueue(jobctl, message):
    """The ids are printed, one a line."""
    status, out, err = jobctl(
        "enqueue", "--from", "a@a.example", "--to", "b@b.example", "--to", "c@b.example", message
    )
    assert (status, err) == (0, [])
    assert len(out) == 2 and out[0].endswith("x0")
    status, out, _ = jobctl(
        "enqueue", "--json", "--from=<>", "--to=b@b.example", "--envid=1", "--ret=hdrs", message
    )
    assert status == 0 and len(json.loads("".join(out))) == 1


def test_enqueue_takes_an_address_at_a_time(jobctl, message):
    """Addresses joined by commas are no address: it is said how to give several."""
    status, _, err = jobctl("enqueue", "--from", "a@a.example", "--to", "b@b.example,c@b.example", message)
    assert status == 64
    assert "say it again for each further recipient" in " ".join(err)


def test_enqueue_from_standard_input(jobctl, monkeypatch):
    """Without a file, or with '-', the message is read from standard input."""
    for words in ((), ("-",)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Subject: x\n\ny\n")))
        assert jobctl("enqueue", "--from", "", "--to", "b@b.example", *words)[0] == 0


def test_run(jobctl):
    """The dialogue is shown, harmless to the terminal, and the exit status tells the outcome."""
    status, out, _ = jobctl("run", "test_smtp_gateway")
    assert out == [
        "S: 220 b.example ESMTP?[31m",
        "C: EHLO mail.example.org",
        "1 delivered, 0 deferred, 0 failed",
    ]
    assert status == 0
    assert jobctl("run", "tcp_local")[0] == exits.TEMPORARY
    assert jobctl("run", "test_smtp_gateway", "poll")[0] == exits.UNAVAILABLE
    status, out, _ = jobctl("run", "tcp_local", "--json")
    assert json.loads("".join(out)) == {"delivered": 1, "deferred": 1, "failed": 0}


def test_ctrl_c(daemon):
    """Ctrl-C ends the watching with one line, not with a traceback."""
    child = subprocess.Popen(
        [sys.executable, "-m", "jobctl.commands.main", "--socket", daemon, "run", "l"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with blocking.Client(daemon) as client:
        # The daemon serves connections in order: once it answers a later one, the run has begun.
        while not _waits_for_an_answer(child.pid):
            client.call("ping")
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=30)
    assert (child.returncode, err.count("\n")) == (exits.INTERRUPTED, 1)
    assert err.startswith("jobctl: no longer watching")


def _waits_for_an_answer(pid):
    with open(f"/proc/{pid}/wchan") as wait, open(f"/proc/{pid}/syscall") as call:
        return "poll" in wait.read() or call.read().split()[0] == "7"


def test_submit(jobctl):
    """A job is asked for, and the command returns."""
    assert jobctl("submit", "tcp_local") == (0, ["channel tcp_local: 0 jobs started"], [])
    assert jobctl("submit", "poll") == (0, ["channel l: 1 job started"], [])
    assert jobctl("submit") == (0, ["channel l: 0 jobs started"], [])
    assert json.loads(jobctl("submit", "tcp_local", "poll", "--json")[1][0])["started"] == 1


def test_summarize(jobctl):
    """One line per channel, with headings and totals unless told otherwise."""
    status, out, err = jobctl("qm", "summarize")
    assert (status, err) == (0, [])
    assert out[0].split()[:7] == ["Channel", "Messages", "Ready", "Active", "Delayed", "Held", "Size(KB)"]
    assert out[2].split()[:7] == ["tcp_local", "3", "0", "0", "2", "1", "12"] and out[2].endswith("yes")
    assert out[3].split() == ["Totals", "3", "0", "0", "2", "1", "12"]
    out = jobctl("qm", "sum", "-noheading", "-notrailing", "-noheld")[1]
    assert out[1].split()[:6] == ["tcp_local", "3", "0", "0", "2", "12"]
    assert len(out) == 2


def test_summarize_json(jobctl):
    """Programs rely on these keys."""
    rows = json.loads("".join(jobctl("--json", "qm", "summarize")[1]))
    keys = ["channel", "messages", "ready", "active", "delayed", "held", "size", "oldest", "stopped"]
    assert [list(row) for row in rows] == [keys, keys]


def test_directory(jobctl):
    """Messages with sender, recipients and what the other side said, harmless on a terminal."""
    status, out, _ = jobctl("qm", "directory")
    assert (status, len(out)) == (0, len(ROWS) + 2)
    assert "bob@b.example +1" in out[1] and "451 4.7.1 later?[2J" in out[1]
    assert "<>" in out[2]
    assert out[-1] == "4 messages, 16 KB"
    assert len(jobctl("qm", "dir", "-held", "-nototal", "-noenv", "-nofile_info")[1]) == 2
    assert len(jobctl("qm", "dir", "test_*", "-nototal")[1]) == 2
    assert len(jobctl("qm", "dir", "-from=<>", "-nototal")[1]) == 2
    assert len(jobctl("qm", "dir", "--limit", "1", "-nototal")[1]) == 2
    assert len(jobctl("qm", "dir", "-where=rcpt=bob@* and state=held", "-nototal")[1]) == 2
    status, out, complaint = jobctl("qm", "dir", "--where", "rcpt.domian=b.example")
    assert (status, out) == (exits.USAGE, [])
    assert complaint == [
        'jobctl: selector, column 1, at "rcpt.domian=b.example": '
        "there is no field rcpt.domian; did you mean rcpt.domain?"
    ]


def test_directory_json(jobctl):
    """Programs rely on these keys."""
    rows = json.loads("".join(jobctl("qm", "directory", "--json")[1]))
    assert rows == ROWS
    assert " ".join(rows[0]) == (
        "id channel host state sender recipients size priority attempts enqueued next_attempt last_reply"
    )
    assert jobctl("qm", "directory", "--json", "nosuch*")[1] == ["[]"]


def test_held(jobctl):
    """Held messages, and why."""
    assert "by root" in jobctl("qm", "held")[1][1]


def test_messages(jobctl):
    """Active and delayed messages by host."""
    assert jobctl("qm", "messages", "tcp_local")[1][1].split() == ["b.example", "1", "2"]
    assert json.loads("".join(jobctl("qm", "messages", "tcp_local", "--json")[1]))[0]["delayed"] == 2


def test_jobs(jobctl):
    """Jobs by channel, with hosts and messages."""
    out = "\n".join(jobctl("qm", "jobs")[1])
    for text in (
        "channel tcp_local",
        "job j1 (pid 43)",
        "b.example: 2 messages",
        "a1, a2",
        "processed messages: 7",
    ):
        assert text in out
    assert json.loads("".join(jobctl("qm", "jobs", "--json")[1]))[0]["job"] == "j1"


def test_shares(jobctl):
    """How senders share a channel, and how fairly."""
    out = jobctl("qm", "shares")[1]
    assert out[0] == "channel tcp_local: Jain's index 0.88"
    assert out[2].split() == ["a.example", "3", "1", "2", "9", "1.2"]
    assert json.loads("".join(jobctl("qm", "shares", "--json")[1]))[0]["jain"] == 0.876


def test_history(jobctl):
    """What was tried."""
    assert "451 later" in jobctl("qm", "history", "a1")[1][1]
    assert json.loads("".join(jobctl("qm", "history", "--json", "a1", "a2")[1]))[1]["id"] == "a2"
    assert jobctl("qm", "history", "-channel=l", "-all")[1] == ["nothing has been tried yet"]


def test_read(jobctl):
    """Envelope and header; the body on demand, octet for octet."""
    status, out, _ = jobctl("qm", "read", "a1")
    assert status == 0
    assert out[0] == "Message: a1, channel tcp_local, delayed"
    assert "Sender:  ann@a.example" in out and "To:      bea@b.example" in out
    assert "\n".join(out).count("Hello") == 0
    assert "\n".join(jobctl("qm", "read", "-content", "a1")[1]).count("Hello") == 100_000
    row = json.loads("".join(jobctl("qm", "read", "--json", "--content", "a1")[1]))
    assert base64.b64decode(row["content_base64"]).endswith(b"Hello\r\n")
    assert (
        len(
            [line for line in jobctl("qm", "read", "-channel=tcp_*", "-all")[1] if line.startswith("Message")]
        )
        == 3
    )


def test_start_and_stop(jobctl):
    """Channels are stopped and started by name."""
    assert jobctl("qm", "stop", "tcp_local") == (0, ["stopped: tcp_local"], [])
    assert jobctl("qm", "start", "tcp_local") == (0, ["started: tcp_local"], [])
    assert jobctl("qm", "start", "l") == (0, ["l was not stopped"], [])
    assert json.loads("".join(jobctl("qm", "stop", "l", "--json")[1])) == {"channels": ["l"]}


@pytest.mark.parametrize(("verb", "done"), [("hold", "held"), ("release", "released"), ("delete", "deleted")])
def test_changes(jobctl, verb, done):
    """Each message is reported; one that a job has is left, and that is trouble that passes."""
    assert jobctl("qm", verb, "a1", "a2") == (0, [f"{done} a1", f"{done} a2"], [])
    assert jobctl("qm", verb, "a1", "busy") == (
        exits.TEMPORARY,
        [f"{done} a1"],
        ["jobctl: busy: a job has it"],
    )
    assert jobctl("qm", verb, "-nolog", "a1") == (0, [], [])
    status, out, err = jobctl("qm", verb, "nosuch", "a1")
    assert (status, out) == (exits.NO_INPUT, [f"{done} a1"]) and "no message nosuch" in err[0]
    assert jobctl("qm", verb, "nosuch", "busy")[0] == exits.TEMPORARY
    assert json.loads("".join(jobctl("qm", verb, "--json", "a1")[1])) == {"done": ["a1"], "failed": []}


def test_a_look_before_many_are_changed(jobctl, monkeypatch):
    """Count and a sample are shown first, and just these are changed; where nobody can be asked, --yes is asked for."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    status, _, err = jobctl("qm", "delete", "--where", "age>1h")
    assert status == exits.USAGE and "say --yes" in err[0] and "age>1h" in err[0]
    monkeypatch.setattr(sys, "stdin", type("Terminal", (io.StringIO,), {"isatty": lambda self: True})())
    asked = []
    monkeypatch.setattr("builtins.input", lambda prompt: asked.append(prompt) or "n")
    status, out, err = jobctl("qm", "delete", "--where", "age>1h")
    assert (status, err) == (exits.USAGE, ["jobctl: nothing was done"])
    assert asked == ["delete 7 messages, 7 KB? (y/n) "]
    assert out[1].startswith("a1 ") and out[2].startswith("a2 ") and out[3] == "... and 5 more"
    assert jobctl("qm", "hold", "-channel=test_smtp_gateway", "-all") == (0, ["no messages"], [])
    assert jobctl("qm", "delete", "--where", "age>1h", "--yes") == (0, ["no messages"], [])


@pytest.mark.parametrize(
    ("words", "done"),
    [
        ("retry a1", "due now a1"),
        ("move tcp_local a1", "moved a1"),
        ("reroute a1", "rerouted a1"),
        ("redirect --to bob@b.example a1", "redirected a1"),
        ("redirect -host=mx.b.example a1", "redirected a1"),
        ("priority nonurgent a1", "changed a1"),
    ],
)
def test_verbs_beyond_the_original(jobctl, words, done):
    """Each takes ids like the others."""
    assert jobctl("qm", *words.split()) == (0, [done], [])


def test_undo(jobctl):
    """What was taken back, what could not be, and how many more; an operation that never was."""
    assert jobctl("undo", "12") == (
        exits.TEMPORARY,
        [
            "back: 200 messages",
            "3 more were so already, or are not meant any more",
            "cancelled; what is done stays done",
        ],
        ["jobctl: a9: a job is delivering it", "jobctl: and 119 more"],
    )
    status, _, err = jobctl("undo", "404")
    assert status == exits.NO_INPUT and "no operation 404" in err[0]
    assert json.loads("".join(jobctl("undo", "12", "--json")[1]))["operation"] == 13


def test_who_looks_away_ends_nothing(jobctl, monkeypatch):
    """Ctrl-C while a change is under way: it goes on, and how to see and end it is told."""

    def interrupt(bar, done, of):
        raise KeyboardInterrupt

    monkeypatch.setattr("jobctl.commands.bulk.Bar.update", interrupt)
    status, out, err = jobctl("undo", "12")
    assert (status, out) == (exits.INTERRUPTED, [])
    assert err == [
        "jobctl: operation 13 goes on; 'jobctl qm cancel 13' ends it, 'jobctl qm operations' shows it"
    ]


def test_operations_and_audit(jobctl):
    """Who did what, for eyes and for programs, with every key; what is under way can be ended."""
    status, out, _ = jobctl("qm", "operations")
    assert status == 0 and "running" in out[1] and "age>1h" in out[1] and "move" in out[2]
    rows = json.loads("".join(jobctl("qm", "operations", "--json")[1]))
    assert set(rows[0]) == set(rows[1]) and rows[1]["undo_until"] is None
    assert rows[0]["done"] == 3 and rows[0]["stage"] == "running"
    assert jobctl("qm", "cancel", "12")[1] == ["cancelled"]
    assert jobctl("qm", "cancel", "11")[1] == ["it was over already"]
    assert "tcp_local" in jobctl("qm", "audit", "--who", "ann", "-what=start")[1][1]
    (row,) = json.loads("".join(jobctl("qm", "audit", "--json", "--who", "ann")[1]))
    assert (row["who"], row["what"], row["number"], row["stage"]) == ("ann", "stop", 10, "done")


def test_hold_rules(jobctl):
    """Made with a reason and an end, shown with author and expiry, removed, and what they held released."""
    assert jobctl("hold", "where", "age>1h", "--reason", "partner moves")[:2] == (
        0,
        ["hold rule 12, until it is removed"],
    )
    assert jobctl("hold", "where", "age>1h", "-expires=2h")[1][0].startswith("hold rule 12, until ")
    rule = json.loads("".join(jobctl("hold", "where", "age>1h", "--expires", "PT1H", "--json")[1]))
    assert (rule["expires"] - rule["since"], rule["held"]) == (3600, None)
    status, out, _ = jobctl("hold", "list")
    assert status == 0 and "age>1h" in out[1] and "root" in out[1]
    assert json.loads("".join(jobctl("hold", "list", "--json")[1]))[0]["reason"] == "why"
    assert jobctl("hold", "remove", "12")[1] == ["hold rule 12 is removed"]
    assert jobctl("hold", "remove", "12", "--release")[1] == ["hold rule 12 is removed", "released a1"]
    assert jobctl("hold", "remove", "13")[0] == exits.NO_INPUT
    for words in (("--expires", "soon"), ("--expires", "0")):
        status, _, err = jobctl("hold", "where", "age>1h", *words)
        assert status == exits.USAGE and "--expires" in err[0]
    assert jobctl("hold", "where", "age>1h", "--queued")[1][-1] == "no messages"


def test_return(jobctl):
    """A reason can be given."""
    assert jobctl("qm", "return", "-reason=spam", "a1") == (0, ["returned a1"], [])


def test_whole_channels_are_confirmed(jobctl, monkeypatch):
    """A whole channel is changed only after a yes, or when told not to ask."""
    assert jobctl("qm", "delete", "-channel=l", "-all", "-noconfirm") == (0, ["no messages"], [])
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    status, _, err = jobctl("qm", "delete", "-channel=l", "-all")
    assert status == exits.USAGE and "--no-confirm" in err[0]
    for answer, expected in (("y", 0), ("no", exits.USAGE)):
        monkeypatch.setattr(sys, "stdin", type("Terminal", (io.StringIO,), {"isatty": lambda self: True})())
        monkeypatch.setattr("builtins.input", lambda prompt, answer=answer: answer)
        assert jobctl("qm", "delete", "-channel=l", "-all")[0] == expected
        assert jobctl("qm", "delete", "-confirm", "a1")[0] == expected


def test_cache_view(jobctl):
    """What the schedule has in memory."""
    assert jobctl("cache", "-view")[1][-1] == "2 messages in memory"
    assert len(json.loads("".join(jobctl("cache", "view", "--json")[1]))) == 2


CHANGES = [
    ("-global -max_messages=500 -debug", {"max_messages": "500", "debug": "1"}),
    ("--global --debug=5 --persistent", {"debug": "5"}),
    ("-channel=tcp_local -job_limit=3 -thread_depth=4", {"job_limit": "3", "thread_depth": "4"}),
    ("-channel=tcp_local -master_debug -noslave_debug", {"master_debug": "1", "slave_debug": "0"}),
    ("--channel tcp_local --master-job ./x", {"master_job": "./x"}),
    ("-template=l -slave_job=y", {"slave_job": "y"}),
    ("-channel_template=l -slave_j=y", {"slave_job": "y"}),
]


@pytest.mark.parametrize(("words", "values"), CHANGES, ids=[words for words, _ in CHANGES])
def test_cache_change(jobctl, words, values):
    """Values are set in the running Job Controller, in either spelling."""
    status, out, _ = jobctl("cache", "-change", *words.split(), "--json")
    rows = json.loads("".join(out))
    assert status == 0 and {row["option"]: row["value"] for row in rows} == values
    assert {row["persistent"] for row in rows} == {"persistent" in words}
    scope = words.lstrip("-").split("_template")[0].split("=")[0].split()[0]
    assert {row["scope"] for row in rows} <= {scope, "template"}


def test_cache_synchronize(jobctl):
    """Nothing needs it, and that is checked; a difference is an alarm with an exit status of its own."""
    for words in (("cache", "-sync"), ("cache", "-synchronize", "-norecipient", "-debug")):
        assert jobctl(*words) == (
            0,
            ["nothing needs to be synchronised: 4 messages of the queue and 3 in memory agree"],
            [],
        )
    assert jobctl("cache", "-walk", "-debug=64")[1] == [
        "9 lines written to the Job Controller's log; debug is 64"
    ]
    status, out, err = jobctl("cache", "-sync")
    assert (status, out) == (exits.SOFTWARE, ["a1 is not in memory?; mended"])
    assert "differ in 1 messages" in err[0]
    assert jobctl("cache", "-walk")[0] == 0
    assert json.loads(jobctl("cache", "sync", "--json")[1][0])["stored"] == 4


def test_cache_changes(jobctl):
    """What is in force is shown with who set it, and can be taken back."""
    out = jobctl("cache", "-view", "-changes")[1]
    assert out[0].split() == ["Scope", "Name", "Option", "Value", "By", "Since", "Persistent"]
    assert "max_messages" in out[1] and "root" in out[1]
    out = jobctl("cache", "revert", "--channel", "tcp_local", "job-limit")[1]
    assert "job_limit" in out[1] and out[-1] == "taken back: the configuration counts again"
    assert "job_limit" in jobctl("cache", "-revert", "-all")[1][1]
    assert "never rebuilt" in jobctl("cache", "-change", "-global", "-noinorder_rebuild")[1][0]


def test_explain(jobctl):
    """A chain of sentences, with the responsible line under each; what came from elsewhere does no harm."""
    out = jobctl("explain", "a1")[1]
    labels = [line[:14].rstrip() for line in out]
    assert labels == [
        *("Message:", "", "From:", "To:", "Why:", "Also:", "", "Next attempt:", "Warnings:"),
        *("In the end:", "", "Note:"),
    ]
    assert "4 KB, normal, channel tcp_local for b.example, came" in out[1] and "tried 2 times" in out[1]
    assert "stopped by ann, since" in out[4] and "later?[2J, until" in out[5]
    assert out[6].strip() == "jobctl.toml:14: channel.tcp_local.backoff"
    assert out[7].split(None, 2)[2] == "when the channel is started"
    held = next(line for line in jobctl("explain", "a2")[1] if line.startswith("Held by:"))
    assert "job tcp_local.1, tcp_smtp_client, pid 77, running for" in held and "with 3 others" in held


def test_explain_for_programs(jobctl):
    """The answer as it is; an unknown message has its exit status."""
    row = json.loads("".join(jobctl("explain", "a1", "--json")[1]))
    assert [cause["code"] for cause in row["causes"]] == ["stopped", "retry"]
    assert jobctl("explain", "x9")[0] == exits.NO_INPUT


def test_reload_shows_what_would_change(jobctl):
    """For how many messages, what needs a restart; and the same for programs."""
    status, out, err = jobctl("reload", "--dry-run")
    assert status == 0 and not err
    assert out[1].split()[:5] == ["channel.tcp_local.backoff", "normal", "PT10M", "PT1H", "normal"]
    assert "1204" in out[1] and out[2].split()[:4] == ["channel.old", "(section)", "-", "12"]
    assert out[-2] == "jobctl.toml: 2 changes would come into force"
    assert out[-1] == "job_controller.queue_directory needs a restart; until then it stays /a"
    outcome = json.loads("".join(jobctl("reload", "--dry-run", "--json")[1]))
    assert set(outcome) == {"configuration", "applied", "problems", "changes"}
    assert set(outcome["changes"][0]) == {"key", "line", "old", "new", "effect", "messages", "restart"}


def test_reload_of_a_wrong_file(jobctl):
    """Every mistake as the check prints it, exit status 78, and that nothing was changed."""
    status, out, err = jobctl("reload")
    assert status == exits.CONFIG and not out
    assert err[:2] == [
        f"jobctl: jobctl.toml:{line}: channel.x.smpt: there is no such keyword" for line in (4, 5)
    ]
    assert "old configuration stays" in err[2]


def test_process(jobctl):
    """The daemon with what the system knows of it; a job that has just ended is shown as gone."""
    out = jobctl("process")[1]
    assert out[1].split()[0] == "root" or os.geteuid() != 0
    assert "gone" in out[2]
    rows = json.loads("".join(jobctl("process", "--json")[1]))
    assert rows[0]["resident"] > 1_000_000 and rows[0]["cpu"] > 0


def test_stop_and_restart(jobctl):
    """The daemon is stopped and its end waited for; programs are replaced by name."""
    assert jobctl("stop") == (0, ["stopped, pid 4194303"], [])
    assert jobctl("stop", "job_controller", "--json")[1] == ['{"pid":4194303,"stopped":true}']
    assert jobctl("restart", "smtp") == (0, ["replaced: SMTP"], [])
    assert jobctl("restart", "l")[1] == ["replaced: nothing was running"]
    assert jobctl("stop", socket_path="/nonexistent/control.sock") == (0, ["no Job Controller runs"], [])


def test_version(jobctl):
    """Works with the daemon and without."""
    assert "9.9 on mail.example.org, pid 42" in jobctl("version")[1][1]
    assert json.loads("".join(jobctl("version", "--json")[1]))["daemon"]["pid"] == 42
    status, out, _ = jobctl("version", socket_path="/nonexistent/control.sock")
    assert status == 0 and "no Job Controller runs" in out[1]
    assert "no configuration" in jobctl("version", socket_path=None)[1][1]


def test_config(jobctl, configured):
    """A configuration in order is said to be, one that is not is told with file, line and key."""
    status, out, _ = jobctl("--config", str(configured), "test", "config")
    assert status == 0 and "is in order: 2 channels" in out[-1]
    assert json.loads("".join(jobctl("test", "config", "--json")[1]))["channels"] == ["l", "tcp_local"]
    configured.write_text(CONFIG + "[channel.x]\nnonsense = 5\n[channel.y]\nofficial_host_name = 7\n")
    status, out, err = jobctl("test", "config")
    assert (status, out) == (exits.CONFIG, [])
    assert len(err) >= 2 and all(line.startswith("jobctl: ") and "jobctl.toml:" in line for line in err)


def test_rewrite(jobctl, configured):
    """Where an address goes, and by which rule."""
    status, out, _ = jobctl("test", "rewrite", "bob@b.example")
    assert status == 0
    assert "channel:  tcp_local (official host name tcp-daemon)" in out
    assert any(line.startswith("rule:     . = tcp_local") for line in out)
    row = json.loads("".join(jobctl("test", "-rewrite", "--json", "<bob@b.example>")[1]))
    assert (row["channel"], row["host"], row["address"]) == ("tcp_local", "b.example", "bob@b.example")
    assert jobctl("test", "rewrite", "bob@b.example", "-source_channel=nosuch")[0] == exits.CONFIG
    assert jobctl("test", "rewrite", "not an address")[0] == exits.DATA
    configured.write_text(CONFIG.replace('"." = "tcp_local"', ""))
    status, _, err = jobctl("test", "rewrite", "bob@b.example")
    assert status == exits.NO_HOST and "goes nowhere" in err[0]


def test_rewrite_of_many(jobctl, configured, monkeypatch, tmp_path):
    """Without an address they are read one a line; the first trouble's status is told at the end."""
    monkeypatch.setattr(sys, "stdin", io.StringIO("bob@b.example\n\nnot an address\neve@c.example\n"))
    status, out, err = jobctl("test", "rewrite", "-nodebug")
    assert status == exits.DATA and len(err) == 1
    assert [line for line in out if line.startswith("address")] == [
        "address:  bob@b.example",
        "address:  eve@c.example",
    ]
    assert not any(line.startswith(" ") for line in out)
    (tmp_path / "in").write_text("bob@b.example\n")
    words = ("-configuration_file=" + str(configured), f"-input={tmp_path}/in", f"-output={tmp_path}/out")
    assert jobctl("test", "-rewrite", "-channel", *words, socket_path=None) == (0, [], [])
    assert "          channel_class = tcp_*\n" in (tmp_path / "out").read_text()
    assert jobctl("test", "-rewrite", "-input=/nonexistent")[0] == exits.NO_INPUT
    assert jobctl("test", "-rewrite", "-output=/nonexistent/x", "a@b.example")[0] == exits.IO


def test_rewrite_options(jobctl, configured):
    """A wrong destination is an exit status; options that cannot act say why."""
    assert jobctl("test", "-rewrite", "-destination_channel=tcp_local", "a@b.example")[0] == 0
    status, _, err = jobctl("test", "-rewrite", "-destination_channel=l", "a@b.example")
    assert status == exits.DATA and "goes to tcp_local, not to l" in err[0]
    status, _, err = jobctl("test", "-rewrite", "-from=x@y", "-noimage_file", "-alias_file=a", "a@b.example")
    assert status == 0 and len(err) == 3 and all("has no effect" in line for line in err)
    row = json.loads("".join(jobctl("test", "-rewrite", "-channel", "--json", "a@b.example")[1]))
    assert row["settings"]["maxjobs"] == 100


def test_match(jobctl, monkeypatch):
    """A pattern and targets, on the command line or asked for."""
    status, out, _ = jobctl("test", "-match", "*@b.example", "bob@B.example", "x")
    assert status == 0
    assert out == ["[ 1] 0: *", '[ 2] "@b.example"', "Match.", "0 - bob", "No match."]
    monkeypatch.setattr(sys, "stdin", io.StringIO("a%\nab\nb\n"))
    assert jobctl("test", "-match")[1][-3:] == ["Match.", "0 - b", "No match."]
    assert json.loads(jobctl("test", "-match", "--json", "a%", "ab")[1][0])["took"] == ["b"]
    assert jobctl("test", "-match", "$[")[0] == exits.DATA
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert jobctl("test", "-match")[0] == exits.USAGE


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ("crdb -noappend in out", exits.USAGE, "jobctl: crdb has no place here"),
        ("dumpdb x", exits.USAGE, "configuration"),
        ("msconfig set x 5", exits.USAGE, "jobctl reload"),
        ("refresh", exits.USAGE, "jobctl reload"),
        ("program -a -m x -p y", exits.USAGE, "master_command"),
        ("test -url ldap:x", exits.USAGE, "LDAP"),
    ],
)
def test_former_commands(jobctl, words, status, says):
    """A command of the original that has no place here says in one line what to use instead."""
    found, out, err = jobctl(*words.split())
    assert (found, out, len(err)) == (status, [], 1) and says in err[0]


def test_compiling(jobctl, configured):
    """What compiled the configuration checks it; what compiled tables has nothing to do."""
    assert "is in order" in jobctl("cnbuild", "-noimage_file", "-maximum")[1][0]
    assert jobctl("chbuild")[0] == 0
    configured.write_text("nonsense = 1")
    assert jobctl("cnbuild")[0] == exits.CONFIG


def test_other_names(jobctl):
    """Older names of commands."""
    assert jobctl("return", "a1") == (0, ["returned a1"], [])
    assert jobctl("shutdown")[1] == ["stopped, pid 4194303"]
    assert jobctl("submit_master", "tcp_local")[1] == ["channel tcp_local: 0 jobs started"]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion(jobctl, shell):
    """A completion script comes out."""
    status, out, _ = jobctl("completion", shell)
    assert status == 0 and any("summarize" in line for line in out)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("jobctl qm directory --where rcpt.d", "rcpt.domain"),
        ("jobctl qm delete --where 'age>1h_and_send", "age>1h and sender|age>1h and sender.domain"),
        ("jobctl hold where sou", "source|source.ip"),
    ],
)
def test_a_shell_completes_selectors(jobctl, tmp_path, line, found):
    """Fields, in a quoted selector too, by a real shell."""
    script = tmp_path / "completion.bash"
    script.write_text("\n".join(jobctl("completion", "bash")[1]))
    words = " ".join('"' + word.replace("_", " ") + '"' for word in line.split())
    ask = f"COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}}-1)); _shtab_jobctl"
    shell = ["bash", "-c", f'. {script}; {ask}; IFS="|"; echo "${{COMPREPLY[*]}}"']
    assert subprocess.run(shell, capture_output=True, text=True).stdout.startswith(found)


# What goes wrong -> exit status and a word of the one line that is said.
TROUBLE = [
    (("qm", "hold", "nosuch"), exits.NO_INPUT, "no message nosuch"),
    (("qm", "read", "nosuch"), exits.NO_INPUT, "jobctl qm directory"),
    (("qm", "history", "nosuch"), exits.NO_INPUT, "no message nosuch"),
    (("qm", "hold", "disk"), exits.TEMPORARY, "452"),
    (("qm", "hold", "broken"), exits.TEMPORARY, "451"),
    (("qm", "hold", "bug"), exits.SOFTWARE, "log"),
    (("qm", "hold"), exits.USAGE, "give the ids"),
    (("qm", "hold", "a", "-all"), exits.USAGE, "not both"),
    (("qm", "hold", "-all"), exits.USAGE, "--channel"),
    (("qm", "stop", "tcp_locl"), exits.CONFIG, "did you mean tcp_local?"),
    (("qm", "messages", "zzz"), exits.CONFIG, "not configured"),
    (("run", "zzz"), exits.CONFIG, "not configured"),
    (("submit", "zzz"), exits.CONFIG, "not configured"),
    (("qm", "dir", "--limit", "x"), exits.USAGE, "--help"),
    (("qm", "h", "a1"), exits.USAGE, "could be"),
    (("cache", "change", "--job-limit=3"), exits.USAGE, "--channel"),
    (("cache", "change", "--global", "--channel=l"), exits.USAGE, "not allowed"),
    (("cache", "change", "--channel=tcp_locl", "--job-limit=3"), exits.CONFIG, "tcp_local"),
    (("cache", "walk", "-debug=x"), exits.USAGE, "sum of bits"),
    (("cache", "revert"), exits.USAGE, "--all"),
    (("qm", "directory", "--bogus"), exits.USAGE, "--bogus; see 'jobctl qm directory --help'"),
    (("version", "now"), exits.USAGE, "now; see 'jobctl version --help'"),
    (("stop", "dispatcher"), exits.USAGE, "jobctl restart dispatcher"),
    (("start", "tcp_local"), exits.USAGE, "jobctl qm start"),
    (("kill",), exits.USAGE, "--help"),
    (("frobnicate",), exits.USAGE, "--help"),
    ((), exits.USAGE, "--help"),
    (("enqueue", "--to", "b@b.example"), exits.USAGE, "--from"),
]
BAD_MAIL = [
    (("--to", "not an address"), exits.DATA, "not an address"),
    (("--to", "refused@b.example"), exits.NO_HOST, "550 5.1.2"),
    (("--to", "busy@b.example"), exits.TEMPORARY, "451"),
    (("--to", "b@b.example", "--channel", "zzz"), exits.CONFIG, "zzz"),
    (("--to", "b@b.example", "--notify", "sometimes"), exits.USAGE, "NEVER"),
    (("--to", "b@b.example", "--priority", "soon"), exits.USAGE, "soon"),
    (("--to", "b@b.example", "--by", "soon"), exits.USAGE, "soon"),
    (("--to", "b@b.example", "--by", "0R"), exits.USAGE, "more than 0 seconds"),
    (("--to", "b@b.example", "/nonexistent/file"), exits.NO_INPUT, "/nonexistent/file"),
    (("--to", "b@b.example", "/"), exits.NO_INPUT, "directory"),
    (("--to", "b@b.example", "/proc/self/mem"), exits.IO, "nothing was queued"),
    (("--from", "full@a.example", "--to", "b@b.example"), exits.TEMPORARY, "452"),
]


@pytest.mark.parametrize(("words", "status", "says"), TROUBLE)
def test_trouble(jobctl, words, status, says):
    """Whatever goes wrong is one line that says what to do, and its exit status."""
    found, out, err = jobctl(*words)
    assert (found, out, len(err)) == (status, [], 1)
    assert err[0].startswith("jobctl: ") and says in err[0]


@pytest.mark.parametrize(("words", "status", "says"), BAD_MAIL)
def test_bad_mail(jobctl, message, words, status, says):
    """A message that is not taken leaves one line, the right exit status, and no id."""
    with open(message, "rb") as file:
        words = ("enqueue", "--from", "a@a.example", *words)
        if not words[-1].startswith("/"):
            words = (*words, file.name)
        found, out, err = jobctl(*words)
    assert (found, out, len(err)) == (status, [], 1)
    assert err[0].startswith("jobctl: ") and says in err[0]


@pytest.mark.parametrize("words", ["qm summarize", "qm", "qtop", "version", "cache view"])
def test_closed_streams(daemon, words):
    """Whoever closes standard input, output and error is spared a traceback, and nothing waits for him."""
    command = f"exec {sys.executable} -m jobctl.commands.main --socket {daemon} {words} <&- >&- 2>&-"
    assert subprocess.run(["/bin/sh", "-c", command], cwd=ROOT, check=False, timeout=60).returncode == 0


def test_reader_that_has_enough(daemon):
    """A reader that goes away, as head does, ends it without a word."""
    command = f"{sys.executable} -m jobctl.commands.main --socket {daemon} qm read -content a1 | head -1"
    done = subprocess.run(["/bin/sh", "-c", command], cwd=ROOT, check=False, timeout=60, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout.startswith(b"Message: a1")


def test_no_daemon(jobctl, message, tmp_path):
    """Without a daemon: one line; trouble that passes for whoever hands over mail."""
    mail = ("enqueue", "--from", "", "--to", "b@b.example", message)
    stale = str(tmp_path / "stale.sock")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as dead:
        dead.bind(stale)
    for path in (str(tmp_path / "none.sock"), stale, "/nonexistent/dir/control.sock"):
        for words, status in (
            (("qm", "summarize"), exits.UNAVAILABLE),
            (("qm", "hold", "a1"), exits.UNAVAILABLE),
            (("process",), exits.UNAVAILABLE),
            (mail, exits.TEMPORARY),
            (("run", "l"), exits.TEMPORARY),
            (("submit",), exits.TEMPORARY),
        ):
            found, out, err = jobctl(*words, socket_path=path)
            assert (found, out, len(err)) == (status, [], 1), (words, path)
            assert "twistd jobctl" in err[0]


def test_not_a_socket(jobctl, tmp_path):
    """A path that is something else is a matter of configuration."""
    (tmp_path / "file").write_text("")
    status, _, err = jobctl("qm", "summarize", socket_path=str(tmp_path / "file"))
    assert status == exits.CONFIG and "is not a socket" in err[0]


@contextlib.contextmanager
def other_program(path, says):
    """A listening socket that answers every connection with ``says`` and then is silent."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(path)
        listening.listen()
        kept = []

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    kept.append(connection)
                    connection.sendall(says)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in kept:
                connection.close()


def test_wrong_socket(jobctl, tmp_path):
    """Another program's socket is told from ours."""
    path = str(tmp_path / "other.sock")
    with other_program(path, b"220 mail.example.org ESMTP\r\n"):
        status, _, err = jobctl("qm", "summarize", socket_path=path)
    assert status == exits.PROTOCOL and "is not the control socket" in err[0]


def test_datagram_socket(jobctl, tmp_path):
    """So is one of another kind."""
    path = str(tmp_path / "log.sock")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as other:
        other.bind(path)
        assert jobctl("qm", "summarize", socket_path=path)[0] == exits.PROTOCOL


def test_silent_daemon(tmp_path):
    """A daemon that is there and says nothing is given up, not waited for."""
    path = str(tmp_path / "frozen.sock")
    with other_program(path, b""), blocking.Client(path, silence=0.05) as client:
        with pytest.raises(NoAnswer) as why:
            client.call("ping")
        assert why.value.exit_status == exits.TEMPORARY


def test_full_backlog(tmp_path):
    """A daemon that accepts nothing is given up as well."""
    path = str(tmp_path / "full.sock")
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
        listening.bind(path)
        listening.listen(0)
        first = stack.enter_context(contextlib.closing(socket.socket(socket.AF_UNIX)))
        first.connect(path)
        with pytest.raises(NoAnswer, match="takes no connections"):
            blocking.Client(path, connect=0.05)


def test_daemon_that_dies(tmp_path):
    """The end of the connection is an error of its own, also while a large message is being sent."""
    path = str(tmp_path / "dying.sock")
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(path)
        listening.listen()
        with blocking.Client(path) as client:
            listening.accept()[0].close()
            with pytest.raises(NoAnswer, match="closed the connection"):
                client.call("ping")
            client.close()
        with blocking.Client(path) as client:
            accepted, _ = listening.accept()
            thread = threading.Thread(target=lambda: (accepted.recv(65536), accepted.close()))
            thread.start()
            with pytest.raises(NoAnswer, match="closed the connection"):
                client.enqueue("", ["b@b.example"], b"x" * 10_000_000)
            thread.join()


def test_no_configuration(jobctl):
    """Where there is no configuration, the places looked at are told."""
    status, _, err = jobctl("qm", "summarize", socket_path=None)
    assert status == exits.CONFIG and "/etc/jobctl/jobctl.toml" in err[0]
    status, _, err = jobctl("--config", "/nonexistent.toml", "qm", "summarize", socket_path=None)
    assert status == exits.CONFIG and "/nonexistent.toml" in err[0]


def test_places_of_the_configuration(jobctl, configured, daemon, monkeypatch, tmp_path):
    """./jobctl.toml is found, JOBCTL_CONFIG goes before it, and the embedded one where it has been run."""
    os.symlink(daemon, tmp_path / "control.sock")
    assert jobctl("qm", "summarize", socket_path=None)[0] == 0
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    monkeypatch.setenv("JOBCTL_CONFIG", str(configured))
    assert jobctl("qm", "summarize", socket_path=None)[0] == 0
    monkeypatch.delenv("JOBCTL_CONFIG")
    assert jobctl("qm", "summarize", socket_path=None)[0] == exits.CONFIG
    (other / "var").mkdir()
    os.symlink(daemon, other / "var" / "control.sock")
    assert jobctl("qm", "summarize", socket_path=None)[0] == 0


def test_output_that_nobody_reads(daemon):
    """'jobctl ... | head -1' ends quietly."""
    child = subprocess.Popen(
        [sys.executable, "-m", "jobctl.commands.main", "--socket", daemon, "qm", "read", "-content", "a1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    child.stdout.readline()
    child.stdout.close()
    err = child.stderr.read()
    child.stderr.close()
    assert (child.wait(30), err) == (0, b"")


def test_terminal(daemon):
    """On a terminal a table is drawn, and a message shown without what would work on the terminal."""
    controller, terminal = os.openpty()
    words = [sys.executable, "-m", "jobctl.commands.main", "--socket", daemon, "qm"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    for more, says in ((["summarize"], b"\xe2\x94\x80"), (["read", "a1"], b"Subject: hi?[2J")):
        assert subprocess.run([*words, *more], stdout=terminal, env=environment, timeout=30).returncode == 0
        assert says in os.read(controller, 65536)
    os.close(controller)
    os.close(terminal)


def test_help_teaches(capsys):
    """Every command's help has examples."""
    for words in (["qm", "hold"], ["enqueue"], ["run"], ["test", "rewrite"], ["qm"], []):
        with pytest.raises(SystemExit) as ended:
            main([*words, "--help"])
        assert ended.value.code == 0
        assert "examples:\n  " in capsys.readouterr().out
    assert build_parser("imsimta").prog == "imsimta"


def test_manual_is_current():
    """The manual page says what the commands do; 'python -m jobctl.commands.manual docs/man' renews it."""
    for name, text in pages().items():
        with open(os.path.join(ROOT, "docs", "man", name)) as file:
            assert file.read() == text, name


def test_manual_names_every_command():
    """Every command has a section of its own in docs/commands.md and in the manual page."""
    with open(os.path.join(ROOT, "docs", "commands.md")) as file:
        guide = file.read()
    sections = [line[4:] for line in pages()["jobctl.1"].splitlines() if line.startswith(".SS ")]
    assert len(sections) > 20
    for section in sections:
        assert section in guide, section


def test_ledger(jobctl):
    """The accounts by channel; one that does not balance ends with 70 and a word on what to do."""
    status, out, err = jobctl("ledger")
    assert status == exits.SOFTWARE
    assert out[0].split()[0] == "Channel" and out[-1].split()[0] == "Totals"
    assert "channel tcp_local: 1 recipients are missing" in err[0] and len(err) == 1
    status, out, _ = jobctl("ledger", "--json")
    assert status == exits.SOFTWARE
    assert [row["missing"] for row in json.loads("".join(out))] == [0, 1]
