"""``find``, ``view`` and ``purge``: log files and their versions."""

import json
import os
import time

import pytest

from jobctl.commands import exits
from jobctl.commands.log_versions import log_of, outdated, versions
from tests.test_commands_main import CONFIG, daemon, jobctl  # noqa: F401

NAMES = [
    ("jobctl.log", "jobctl.log"),
    ("jobctl.log.7", "jobctl.log"),
    ("jobctl.log.2026_11_25", "jobctl.log"),
    ("tcp_local_master.log-0Z1A2B", "tcp_local_master.log"),
    ("mail.log_current", "mail.log_current"),
    ("mail.log", "mail.log"),
    ("notes.txt-1", "notes.txt-1"),
    (".log.1", ".log.1"),
]


@pytest.mark.parametrize(("name", "log"), NAMES)
def test_what_is_a_version(name, log):
    """Only what is named like a version of a log is one."""
    assert log_of(name) == log


@pytest.fixture
def logs(jobctl, tmp_path, monkeypatch):  # noqa: F811
    """Seven versions of jobctl.log, an hour apart, .6 the oldest; one of another log; and what is none."""
    folder = tmp_path / "log"
    folder.mkdir()
    monkeypatch.setenv("JOBCTL_CONFIG", str(tmp_path / "jobctl.toml"))
    (tmp_path / "jobctl.toml").write_text(CONFIG)
    now = time.time()
    names = [("jobctl.log", 0)] + [(f"jobctl.log.{n}", n) for n in range(1, 7)]
    for name, hours in [*names, ("x.log-0A", 99), ("notes", 999)]:
        (folder / name).write_text(f"in {name}\x1b\n")
        os.utime(folder / name, (now - hours * 3600 - 60,) * 2)
    return folder


def test_find(jobctl, logs):  # noqa: F811
    """The newest version, the k-th from the oldest, the k-th from the newest."""
    for words, name in (
        (("jobctl.log",), "jobctl.log"),
        (("jobctl.log", "-f=0"), "jobctl.log.6"),
        (("jobctl.log", "-l=1"), "jobctl.log.1"),
        (("jobctl.log.3",), "jobctl.log.3"),
        (("*.log", "-f=0"), "x.log-0A"),
        ((str(logs / "x*"),), "x.log-0A"),
    ):
        assert jobctl("find", *words) == (0, [str(logs / name)], [])
    assert json.loads(jobctl("find", "jobctl.log", "--json")[1][0])["log"] == "jobctl.log"
    status, out, err = jobctl("find", "nosuch")
    assert (status, out) == (exits.NO_INPUT, []) and "no log matches" in err[0]
    assert "0 to 6" in jobctl("find", "jobctl.log", "-f=7")[2][0]
    assert jobctl("find", "/nonexistent/x.log")[0] == exits.NO_INPUT


def test_view(jobctl, logs):  # noqa: F811
    """What is in it."""
    assert jobctl("view", "jobctl.log", "-f=1")[1] == ["in jobctl.log.5\x1b"]


def test_purge(jobctl, logs):  # noqa: F811
    """Five of each log are kept, or those of some days; what is written, and what is no log, always stays."""
    assert jobctl("purge", "-day=1", "x.log")[1] == [str(logs / "x.log-0A"), "1 file removed, 1 KB"]
    status, out, err = jobctl("purge")
    assert (status, err) == (0, [])
    assert out == [str(logs / "jobctl.log.6"), str(logs / "jobctl.log.5"), "2 files removed, 1 KB"]
    assert len(json.loads("".join(jobctl("purge", "-hour=3", "--json")[1]))) == 2
    assert len(jobctl("purge", "--num", "1")[1]) == 3
    assert sorted(os.listdir(logs)) == ["jobctl.log", "notes"]
    assert jobctl("purge", "--num", "0")[0] == exits.USAGE
    assert jobctl("purge", "--day=x")[0] == exits.USAGE


def test_links_are_left_alone(logs, tmp_path):
    """A link with the name of a version is no version: what it leads to is somebody's."""
    (logs / "x.log.1").symlink_to(tmp_path / "jobctl.toml")
    assert [one.log for one in versions(str(logs), "x.log")] == ["x.log"]
    assert outdated(versions(str(logs), "*"), time.time(), 1, None) != []
