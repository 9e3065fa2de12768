"""The log's files: full disks, files that others move, and the end of the day."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs

from jobctl.accounts.log_names import MAIL, last_rollover, next_rollover
from jobctl.controller import log_file
from jobctl.controller.log_file import LogFile
from jobctl.controller.log_rollover import PIECE, Rollover
from jobctl.controller.syslog import Syslog
from tests.zones import local_zone

NOON = 1_700_049_600.0  # 15-Nov-2023 12:00 GMT


@pytest.fixture(autouse=True)
def greenwich() -> Iterator[None]:
    with local_zone("UTC"):
        yield


def clock(now: float = NOON) -> Clock:
    made = Clock()
    made.advance(now)
    return made


def turn(reactor: Clock, seconds: float = 0) -> None:
    reactor.advance(seconds)
    while any(call.getTime() <= reactor.seconds() for call in reactor.getDelayedCalls()):
        reactor.advance(0)


class FullDisk:
    """Replaces ``os.write``: takes so many octets, then there is no room."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.write = os.write

    def __call__(self, descriptor: int, data: bytes) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        count = self.write(descriptor, data[: self.room])
        self.room -= count
        return count


# The file.


def test_one_write_for_a_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many records a turn has, they are one write, after the turn."""
    reactor, writes = clock(), []
    file = LogFile(str(tmp_path / "x"), reactor)
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: writes.append(data) or real(descriptor, data))
    for number in range(100):
        file.append(f"line {number}")
    assert writes == []
    turn(reactor)
    assert len(writes) == 1
    assert (tmp_path / "x").read_text().splitlines() == [f"line {number}" for number in range(100)]
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640
    file.append("last")
    file.end()
    assert (tmp_path / "x").read_text().endswith("\nlast\n")
    assert not reactor.getDelayedCalls()


def test_much_in_one_turn_does_not_fill_memory(tmp_path: Path) -> None:
    """Beyond a mebibyte it is written before the turn is over."""
    file = LogFile(str(tmp_path / "x"), clock())
    for _ in range(300):
        file.append("x" * 10_000)
    assert (tmp_path / "x").stat().st_size > log_file.MOST


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No half line stays; what is lost is told once and counted; when there is room the log goes on."""
    reactor, now = clock(), [0.0]
    file = LogFile(str(tmp_path / "x"), reactor, monotonic=lambda: now[0])
    file.append("before")
    turn(reactor)
    with capturedLogs() as events:
        # A short line fits now and then, which is no end of the trouble.
        for text in ("there is no room for this", "yes") * 5:
            monkeypatch.setattr(os, "write", FullDisk(4))
            file.append(text)
            turn(reactor)
            monkeypatch.undo()
        now[0] += log_file.CALM
        file.append("after")
        turn(reactor)
    assert (tmp_path / "x").read_text() == "before\n" + "yes\n" * 5 + "after\n"
    assert file.lost == 5
    assert [event["log_level"] for event in events] == [LogLevel.error, LogLevel.info]
    assert events[1]["count"] == 5


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    """The file is made anew as soon as its directory is there again."""
    reactor = clock()
    file = LogFile(str(tmp_path / "logs" / "x"), reactor)
    file.append("lost")
    turn(reactor)
    (tmp_path / "logs").mkdir()
    file.append("kept")
    turn(reactor)
    assert (tmp_path / "logs" / "x").read_text() == "kept\n"
    assert file.lost == 1


@pytest.mark.parametrize("how", ["renamed", "removed"])
def test_others_may_move_it(tmp_path: Path, how: str) -> None:
    """logrotate needs no signal: within a second the lines go into a new file."""
    now = [0.0]
    reactor = clock()
    file = LogFile(str(tmp_path / "x"), reactor, monotonic=lambda: now[0])
    now[0] += 10
    file.append("one")
    turn(reactor)
    if how == "renamed":
        (tmp_path / "x").rename(tmp_path / "x.1")
    else:
        (tmp_path / "x").unlink()
    now[0] += 1
    file.append("two")
    turn(reactor)
    assert (tmp_path / "x").read_text() == "two\n"


def test_a_pipe_nobody_reads(tmp_path: Path) -> None:
    """Whatever stands at the log's name, nothing waits for it."""
    os.mkfifo(tmp_path / "x")
    reactor = clock()
    file = LogFile(str(tmp_path / "x"), reactor)
    file.append("lost")
    turn(reactor)
    assert file.lost == 1


# The day.


@pytest.mark.parametrize(
    ("zone", "now", "minutes", "last", "following"),
    [
        ("UTC", NOON, 30, NOON - 11.5 * 3600, NOON + 12.5 * 3600),
        ("UTC", NOON, 720, NOON, NOON + 86400),
        ("UTC", NOON, 721, NOON + 60 - 86400, NOON + 60),
        # 29-Oct-2023 02:59 in Central Europe, one hour before its clocks go back: that day has 25 hours.
        ("CET-1CEST,M3.5.0,M10.5.0/3", 1698541140.0, 30, 1698532200.0, 1698622200.0),
    ],
)
def test_days(zone: str, now: float, minutes: int, last: float, following: float) -> None:
    """A day begins at the same time on the wall, whatever its length."""
    with local_zone(zone):
        assert (last_rollover(now, minutes), next_rollover(now, minutes)) == (last, following)


class Day:
    """A log that is rolled over at 00:30."""

    def __init__(self, directory: Path, now: float = NOON) -> None:
        self.directory = directory
        self.reactor = clock(now)
        self.file = LogFile(str(directory / MAIL.current), self.reactor)
        self.rollover = Rollover(self.file, str(directory), MAIL, self.reactor, 30)

    def line(self, text: str) -> None:
        self.file.append(text)
        turn(self.reactor)

    def pass_days(self, days: float = 1.0) -> None:
        for _ in range(int(days * 1440)):
            turn(self.reactor, 60)

    def texts(self) -> dict[str, str]:
        return {path.name: path.read_text() for path in sorted(self.directory.iterdir())}


def test_day_by_day(tmp_path: Path) -> None:
    """Today, yesterday, and all that was before, in order and each line once."""
    day = Day(tmp_path)
    day.rollover.start()
    for text in ("one", "two", "three", "four"):
        day.line(text)
        day.pass_days()
    day.line("five")
    assert day.texts() == {
        "mail.log": "one\ntwo\nthree\n",
        "mail.log_current": "five\n",
        "mail.log_yesterday": "four\n",
    }
    day.rollover.stop()
    assert not day.reactor.getDelayedCalls()


def test_an_end_of_day_that_was_missed(tmp_path: Path) -> None:
    """Was the daemon down at midnight, yesterday's lines are put away when it starts, today's are not."""
    for hours, left in ((13, []), (5, ["old\n"])):
        current = tmp_path / MAIL.current
        current.write_text("old\n")
        os.utime(current, (NOON - hours * 3600,) * 2)
        day = Day(tmp_path)
        day.rollover.start()
        day.rollover.stop()
        assert [text for name, text in day.texts().items() if name == MAIL.current] == left


@pytest.mark.parametrize("pieces", [0, 1, 2])
def test_a_crash_while_a_day_is_appended(tmp_path: Path, pieces: int) -> None:
    """Whenever it comes, no line is lost or doubled: the append begins anew."""
    day = Day(tmp_path)
    old, yesterday = "old\n", "".join(f"line {number}\n" for number in range(2 * PIECE // 9))
    (tmp_path / MAIL.whole).write_text(old)
    (tmp_path / MAIL.yesterday).write_text(yesterday)
    day.line("today")
    day.rollover.roll()
    for _ in range(pieces):
        day.reactor.advance(0)
    # The crash: nobody stops anything in order.
    after = Day(tmp_path)
    after.rollover.start()
    turn(after.reactor)
    assert after.texts() == {MAIL.whole: old + yesterday, MAIL.yesterday: "today\n"}


def test_the_clock_steps(tmp_path: Path) -> None:
    """Two days forward is one end of a day; a day back delays none by more than that day."""
    day = Day(tmp_path)
    day.rollover.start()
    day.line("one")
    turn(day.reactor, 2 * 86400)
    assert day.texts() == {MAIL.yesterday: "one\n"}
    day.reactor.rightNow -= 2 * 86400
    for call in day.reactor.getDelayedCalls():
        call.reset(60)
    day.line("two")
    day.pass_days(0.6)
    assert MAIL.current not in day.texts()


def test_what_cannot_be_renamed(tmp_path: Path) -> None:
    """An error at the end of the day is told, and lines go on to be written."""
    day = Day(tmp_path)
    day.line("one")
    (tmp_path / MAIL.yesterday).mkdir()
    (tmp_path / MAIL.yesterday / "x").touch()
    (tmp_path / MAIL.whole).mkdir()
    with capturedLogs() as events:
        day.rollover.roll()
        turn(day.reactor)
    assert [event["log_level"] for event in events] == [LogLevel.error]
    day.line("two")
    assert "two\n" in (tmp_path / MAIL.current).read_text()


def test_another_time_of_day(tmp_path: Path) -> None:
    """A changed log_rollover counts at once; never is never."""
    day = Day(tmp_path)
    day.rollover.start()
    day.line("one")
    day.rollover.reconfigure(13 * 60)
    day.pass_days(0.1)
    assert MAIL.current not in day.texts()
    day.line("two")
    day.rollover.reconfigure(-1)
    day.pass_days(2)
    assert day.texts()[MAIL.current] == "two\n"


# Syslog.


def test_syslog(tmp_path: Path) -> None:
    """Facility and severity before the line; nobody there is told once, and nothing waits."""
    path = str(tmp_path / "log")
    syslog = Syslog(path)
    with capturedLogs() as events:
        syslog.send("lost", 22)
        syslog.send("lost", 22)
    assert syslog.lost == 2 and len(events) == 1
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(path)
        syslog.send("a line", 22)
        assert receiver.recv(4096) == b"<22>jobctl: a line"
        syslog.send("x" * 10_000, 22)
        assert len(receiver.recv(20_000)) == 2048
    syslog.close()
