"""The prompt ``qm.maint>``: commands one after another, numbers of the latest listing for ids."""

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys

import pytest

from jobctl.commands import exits
from jobctl.commands.listing import Listing
from jobctl.commands.main import build_parser, main
from jobctl.commands.prompt import candidates, history_path
from jobctl.control.refusals import unknown_id
from jobctl.errors import UsageError
from tests.test_commands_main import ROOT, daemon  # noqa: F401

ROWS = [{"id": f"Q{n}", "channel": "tcp_local" if n < 4 else "l"} for n in range(1, 6)]


@pytest.fixture
def listing():
    listing = Listing()
    listing.number(ROWS)
    return listing


NUMBERS = [
    (["1"], None, ["Q1"]),
    (["1,3,4-5"], None, ["Q1", "Q3", "Q4", "Q5"]),
    (["2", "2-3", "Q9"], None, ["Q2", "Q3", "Q9"]),
    (["Q1,Q7"], None, ["Q1", "Q7"]),
    (["1-3"], "tcp_*", ["Q1", "Q2", "Q3"]),
    (["5-5"], "l", ["Q5"]),
]


@pytest.mark.parametrize(("words", "channel", "ids"), NUMBERS)
def test_numbers(listing, words, channel, ids):
    """Single numbers, lists, ranges and ids, each message once, in the order given."""
    assert listing.meant(words, channel) == ids


@pytest.mark.parametrize(
    ("words", "channel", "why"),
    [
        (["6"], None, "numbers 1 to 5, not 6"),
        (["0"], None, "not 0"),
        (["3-99999999999"], None, "not 99999999999"),
        (["4-2"], None, "write 2-4"),
        (["4"], "tcp_local", "number 4 is of channel l"),
    ],
)
def test_wrong_numbers(listing, words, channel, why):
    """A number that means no message is refused, and says which there are."""
    with pytest.raises(UsageError, match=why):
        listing.meant(words, channel)


def test_everything_listed(listing):
    """``-all`` is what was listed, of one channel or of all; nothing listed is said."""
    assert listing.everything(None) == ["Q1", "Q2", "Q3", "Q4", "Q5"]
    assert listing.everything("l") == ["Q4", "Q5"]
    with pytest.raises(UsageError, match="nothing of channel x"):
        listing.everything("x")
    for ask in (lambda: Listing().everything(None), lambda: Listing().meant(["1"], None)):
        with pytest.raises(UsageError, match="'directory' or 'held' first"):
            ask()


def test_a_new_listing_counts(listing):
    """Numbers are of the latest listing alone."""
    assert [row["no"] for row in listing.number(ROWS[3:])] == [1, 2]
    assert listing.meant(["1-2"], None) == ["Q4", "Q5"]


@pytest.fixture
def script(daemon, capfd, monkeypatch, tmp_path):  # noqa: F811
    """Commands on standard input that is no terminal; gives status, output, complaints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JOBCTL_CONFIG", raising=False)

    def do(text, *words):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        status = main(["--socket", daemon, *(words or ("qm",))])
        done = capfd.readouterr()
        return status, done.out, done.err

    return do


def test_script(script):
    """What is piped in is done line by line; numbers of the listing are ids; no prompt spoils the output."""
    status, out, err = script("dir -noenv -nofile_info\nhold 1,4\nrelease h1\n! nothing\n\nexit\nhold 1\n")
    assert (status, err) == (0, "")
    assert out.splitlines()[0].split()[:2] == ["No", "Id"]
    assert out.splitlines()[-3:] == ["held a1", "held h1", "released h1"]
    assert "qm.maint" not in out


def test_all_that_was_listed(script):
    """``-all`` in a session is the latest listing; nobody can be asked, so it must say -noconfirm."""
    status, out, _ = script("held\nrelease -all -noconfirm\n")
    assert status == 0 and out.splitlines()[-1] == "released h1"
    status, _, err = script("dir\ndelete -all -channel=tcp_local\n")
    assert status == exits.USAGE
    assert (
        err == "jobctl: delete 3 messages of the latest listing: say -noconfirm where nobody can be asked\n"
    )
    assert script("hold -all\n")[2].count("'directory' or 'held' first") == 1
    assert "not both" in script("dir\nhold 1 -all\n")[2]


def test_looking_at_numbers(script):
    """``read`` and ``history`` take numbers, too, and -all without a question."""
    status, out, _ = script("dir\nread 1\nhistory 2-3\nhistory -all\n")
    assert status == 0
    assert "Message: a1" in out and "451 later" in out


def test_script_goes_on_and_tells(script):
    """A command that fails does not end a script; its exit status is that of the first that failed."""
    status, out, err = script("read nosuch\nhold 'x\nfrobnicate\nhold a1\n")
    assert status == exits.NO_INPUT and out == "held a1\n"
    assert err.count("jobctl: ") == err.count("\n") == 3


def test_maintenance_mode(script):
    """``qm -maint`` is the same prompt."""
    assert script("dir\n", "qm", "-maint")[:2] == script("dir\n")[:2]


def test_view(script):
    """``view`` sets where later commands look; alone it would mean nothing."""
    status, _, err = script("view -directory_tree\nsummarize\n")
    assert status == exits.CONFIG and "no configuration" in err
    assert script("view -database\nsummarize\n")[0] == 0
    assert "session" in script("", "qm", "view", "-database")[2]


def test_run_a_file(script, tmp_path):
    """A file's commands are shown and done until one fails; with -ignore all of them."""
    path = tmp_path / "file.qm"
    path.write_text("! comment\ndir -nototal\nhold 1\nread nosuch\nhold 2\n")
    status, out, err = script("", "qm", "run", str(path))
    assert status == exits.NO_INPUT and err.count("\n") == 1
    assert "qm.maint> hold 1\nheld a1\n" in out and "held a2" not in out
    status, out, _ = script("", "qm", "run", "-ignore", "-nolog", str(path))
    assert status == 0 and "held a2" in out and "qm.maint>" not in out
    status, out, _ = script(f"run -ignore -nolog {path}\nhold 2\nexit\n")
    assert status == 0 and out.endswith("held a2\nheld a2\n")
    assert script("hold a1\nexit\nhold a2\n", "qm", "run", "-")[1].count("held") == 1
    status, _, err = script("", "qm", "run", "/nonexistent")
    assert status == exits.NO_INPUT and "/nonexistent" in err
    path.write_text(f"run {path}\n")
    assert "deep" in script("", "qm", "run", str(path))[2]


def test_counters(script):
    """The counters are shown and cleared from the prompt, too; there is nothing to create or delete."""
    status, out, err = script(
        "counters create -max_channels=100\ncounters show -noheaders\ncount delete\ncount clear\n"
    )
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("nothing to create") and "   Received" in out
    assert any(line.startswith("nothing was deleted") for line in lines)
    assert lines[-1].startswith("counting anew")


def test_small_commands(script):
    """Date, help, exit and quit."""
    assert script("", "qm", "date")[1].endswith("00\n")
    assert "usage: jobctl qm directory" in script("help dir\n")[1]
    assert "COMMAND" in script("help\n")[1]
    assert "usage: jobctl explain" in script("help explain\n")[1]
    assert script("quit\nhold a1\n") == (0, "", "")
    assert script("", "qm", "exit") == (0, "", "")


def test_commands_beside(script):
    """What is of use beside the commands of qm is there, too; numbers count for it as well."""
    status, out, err = script("dir\nexplain 1\ncache -sync\n")
    assert (status, err) == (0, "")
    assert "nothing needs to be synchronised" in out


def test_numbers_alone(script):
    """A number that no listing gave a meaning is told apart from an id."""
    status, _, err = script("", "qm", "read", "nosuch")
    assert status == exits.NO_INPUT and "numbers" not in err
    assert "count at the prompt alone" in str(unknown_id("1,3"))


def test_confirm_looking(script):
    """``read -confirm`` asks; where nobody can be asked it shows nothing."""
    status, out, err = script("", "qm", "read", "-confirm", "a1")
    assert (status, out) == (exits.USAGE, "") and "show a1" in err
    assert script("", "qm", "history", "-noconfirm", "a1")[0] == 0


def test_json_for_all(script):
    """``--json`` before the prompt counts for every command, and listings have their numbers."""
    status, out, _ = script("dir tcp_local\n", "--json", "qm")
    assert status == 0 and [row["no"] for row in json.loads(out)] == [1, 2, 3]


COMPLETIONS = [
    ([], "di", ["directory "]),
    ([], "H", ["held ", "help ", "history ", "hold "]),
    (["help"], "su", ["submit ", "summarize "]),
    (["dir"], "tc", ["tcp_local "]),
    (["directory"], "", ["l ", "tcp_local "]),
    (["dir"], "-noenv", ["-noenvelope "]),
    (["dir"], "--no-env", ["--no-envelope "]),
    (["dir"], "-file", ["-file_info "]),
    (["dir"], "-lim", ["-limit="]),
    (["hold"], "-ch", ["-channel="]),
    (["hold"], "-channel=t", ["-channel=tcp_local "]),
    (["hold", "-channel"], "l", ["l "]),
    (["hold"], "Q", ["Q1 ", "Q2 "]),
    (["explain"], "Q2", ["Q2 "]),
    ([], "und", ["undo "]),
    (["hold", "1"], "Q2", ["Q2 "]),
    (["h"], "x", []),
    (["nosuch"], "", []),
    (["date"], "", []),
    (["hold"], "-reason=t", []),
    (["hold", "-where='age>1h"], "an", ["and "]),
    (["hold", "-where='age>1h", "and"], "rcpt.d", ["rcpt.domain"]),
    (["hold", "--where", "'age>1h", "and"], "state=h", ["state=held "]),
    (["hold"], "-where='sender.l", ["-where='sender.local"]),
    (["hold", "-where='age>1h'"], "Q2", ["Q2 "]),
]


@pytest.mark.parametrize(("before", "text", "found"), COMPLETIONS)
def test_completion(before, text, found):
    """Commands, options in the spelling begun, channels, and ids of the listing."""
    parser = build_parser("jobctl")
    assert candidates(parser, before, text, ["l", "tcp_local"], ["Q1", "Q2"]) == found


def test_history_file():
    """Lines are kept where the system keeps such things."""
    assert history_path({"XDG_STATE_HOME": "/s"}) == "/s/jobctl/qm_history"
    assert history_path({}).endswith("/.local/state/jobctl/qm_history")


def read_until(fd, text, seen=b""):
    while text not in seen:
        ready, _, _ = select.select([fd], [], [], 30)
        assert ready, seen
        seen += os.read(fd, 4096)
    return seen


def interrupt(pid):
    """Ctrl-C, once it waits for a key: one that comes between two is only noticed at the next."""
    while True:
        with open(f"/proc/{pid}/wchan") as wait, open(f"/proc/{pid}/syscall") as call:
            if "poll" in wait.read() or call.read().split()[0] in _WAITING:
                break
    os.kill(pid, signal.SIGINT)


# select, poll, pselect6, ppoll (x86-64), where the kernel does not tell by name.
_WAITING = ("23", "7", "270", "271")


def test_terminal(daemon, tmp_path):  # noqa: F811
    """On a terminal: a prompt, questions before what is not undone, Ctrl-C, completion, kept lines, Ctrl-D."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "jobctl.commands.main", "--socket", daemon, "qm"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "TERM": "dumb", "COLUMNS": "200"},
        start_new_session=True,
    )
    os.close(theirs)
    try:
        read_until(ours, b"qm.maint> ")
        os.write(ours, b"hel\tx")
        read_until(ours, b"hel\x07x")  # held and help: nothing to complete
        interrupt(child.pid)
        read_until(ours, b"qm.maint> ")
        os.write(ours, b"dir\n")
        read_until(ours, b"qm.maint> ")
        os.write(ours, b"del -all\n")
        read_until(ours, b"delete 4 messages of the latest listing? (y/n) ")
        os.write(ours, b"n\n")
        assert b"nothing was done" in read_until(ours, b"qm.maint> ")
        os.write(ours, b"del -all -cha\tt\t\n")
        read_until(ours, b"delete 3 messages of the latest listing? (y/n) ")
        os.write(ours, b"y\n")
        assert b"deleted a2" in read_until(ours, b"qm.maint> ")
        os.write(ours, b"\x04")
        assert child.wait(30) == 0
    finally:
        child.kill()
        child.wait()
        os.close(ours)
    kept = (tmp_path / "jobctl" / "qm_history").read_text()
    assert "dir\n" in kept
    assert os.stat(tmp_path / "jobctl" / "qm_history").st_mode & 0o777 == 0o600
