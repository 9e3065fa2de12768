"""The screen of ``jobctl top``, on terminals of every size."""

import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from jobctl.commands import exits
from jobctl.commands.top_screen import age, number, octets, screen
from tests.control_fake import TOP
from tests.test_commands_main import ROOT, daemon, jobctl  # noqa: F401
from tests.test_commands_session import read_until

AGES = [
    (-1, "0s"),
    (0.9, "0s"),
    (59, "59s"),
    (65, "1m05s"),
    (3600, "1h00m"),
    (90061, "1d01h"),
    (86400 * 400, "400d00h"),
]
SIZES = [
    (0, "0"),
    (999, "999"),
    (999.6, "1.0K"),
    (1500, "1.5K"),
    (123456, "123K"),
    (99.96e6, "100M"),
    (5e15, "5000T"),
]


@pytest.mark.parametrize(("seconds", "text"), AGES)
def test_age(seconds, text):
    """Ages are short and never negative."""
    assert age(seconds) == text


@pytest.mark.parametrize(("value", "text"), SIZES)
def test_octets(value, text):
    """Sizes take few characters."""
    assert octets(value) == text
    assert number(99_999) == "99999" and number(0) == "0" and number(123_456) == "123K"


def texts(width=80, height=24, before=None, now=TOP):
    return [line.text for line in screen(now, before, width, height)]


def test_what_is_shown():
    """Totals and rates, channels, destinations, and what jobs have in hand."""
    lines = texts(140, None)
    assert lines[0].startswith("mail.example.org  jobctl 9.9  up 1m40s  2 jobs  3 messages (1 held)  12.3K")
    assert lines[1].startswith("per second: in 1.0  out 0.5  deferred 0.2  failed 0.0")
    said = "\n".join(lines)
    for part in (
        "tcp_local (stopped)",
        "b.example",
        "a1",
        "bob@b.example +1",
        "rcpt",
        "mx?[2J [192.0.2.1]",
        "2.0K/4.1K",
    ):
        assert part in said
    assert "test_smtp_gateway" not in said, "channels without mail or jobs are left out"
    server = next(line for line in lines if "(tcp_smtp_server)" in line)
    assert "mail" in server and "192.0.2.9" in server and server.endswith("3s")


def test_rates_between_looks():
    """Rates are of the time between two looks, and of all time when the daemon is another."""
    later = json.loads(json.dumps(TOP))
    later["now"] += 2
    next(row for row in later["channels"] if row["channel"] == "tcp_local")["delivered"] += 30
    assert "out 15.0" in texts(before=TOP, now=later)[1]
    later["started"] += 1
    assert "out 0.8" in texts(before=TOP, now=later)[1]


@given(st.integers(1, 200), st.integers(1, 60))
def test_fits(width, height):
    """Whatever the size of the terminal, no line is too long and none too many, and messages have their share."""
    many = json.loads(json.dumps(TOP))
    many["messages"] *= 30
    many["channels"] = [dict(row, messages=5) for row in many["channels"]] * 7
    many["hosts"] *= 30
    lines = screen(many, None, width, height)
    assert len(lines) <= height
    assert all(cell_len(line.text) <= max(width, 40) for line in lines)
    if height >= 20 and width >= 60:
        assert sum("a1 " in line.text for line in lines) >= 5


def test_once(jobctl):  # noqa: F811
    """Where standard output is no terminal it is shown once."""
    status, out, err = jobctl("top")
    assert (status, err) == (0, []) and out[0].startswith("mail.example.org")
    assert jobctl("top", "--once")[1] == out
    value = json.loads(jobctl("top", "--json")[1][0])
    assert list(value) == [
        "now",
        "started",
        "pid",
        "host",
        "version",
        "channels",
        "hosts",
        "jobs",
        "messages",
    ]
    assert jobctl("top", "--interval", "0.1")[0] == exits.USAGE
    assert jobctl("top", socket_path="/nonexistent/x")[0] == exits.UNAVAILABLE


@pytest.mark.parametrize("leave", [b"q", b"\x03"])
def test_live(daemon, leave):  # noqa: F811
    """On a terminal it is shown until q or Ctrl-C, and the terminal is as it was."""
    import fcntl

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(theirs)
    child = subprocess.Popen(
        [sys.executable, "-m", "jobctl.commands.main", "--socket", daemon, "top", "--interval", "0.3"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env={**os.environ, "TERM": "xterm"},
        start_new_session=True,
    )
    try:
        seen = read_until(ours, b"q: leave")
        assert b"Recipient" in seen
        if leave == b"q":
            os.write(ours, leave)
        else:
            child.send_signal(signal.SIGINT)
        rest = read_until(ours, b"\x1b[?1049l")
        assert b"Traceback" not in rest
        assert child.wait(30) == (0 if leave == b"q" else exits.INTERRUPTED)
        assert termios.tcgetattr(theirs) == before
    finally:
        child.kill()
        child.wait()
        os.close(ours)
        os.close(theirs)
