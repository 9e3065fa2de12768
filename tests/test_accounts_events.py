"""The daemon's log as JSON lines: every event whole, one line each, whatever it says."""

import json
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import Logger

from jobctl.accounts.events import ALWAYS, MOST, event_line
from jobctl.controller.json_log import JsonLog
from tests.controller_case import CONFIGURATION, World

log = Logger(namespace="jobctl.tests")


class Reactor(Clock):
    """Calls of other threads are made in the next turn."""

    def callFromThread(self, call: Any, *arguments: Any) -> None:
        self.callLater(0, call, *arguments)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def written(tmp_path: Path) -> Any:
    reactor = Reactor()
    json_log = JsonLog(reactor)
    json_log.write_to(str(tmp_path / "events.json"))

    def look() -> list[dict[str, Any]]:
        reactor.advance(0)
        reactor.advance(0)
        return lines(tmp_path / "events.json")

    yield look
    json_log.stop()


def test_an_event(written: Any) -> None:
    """Time, level, where from, which event, its sentence, and its fields as they are."""
    log.warn("{entry}: {why}", entry="Q1", why="full", count=3, hosts=["a"], more={"b": None}, odd=Path("/x"))
    log.debug("not told")
    (line,) = written()
    assert line.pop("time") > 0
    assert line == {
        "level": "warn",
        "source": "jobctl.tests",
        "event": "{entry}: {why}",
        "text": "Q1: full",
        "entry": "Q1",
        "why": "full",
        "count": 3,
        "hosts": ["a"],
        "more": {"b": None},
        "odd": "/x",
    }


def test_a_bug(written: Any) -> None:
    """With its traceback."""
    try:
        raise ZeroDivisionError("7")
    except ZeroDivisionError:
        log.failure("bug in {what}", what="this")
    (line,) = written()
    assert line["level"] == "critical" and line["text"].startswith("bug in this")
    assert "ZeroDivisionError: 7" in line["traceback"]


def test_from_another_thread(written: Any) -> None:
    """The store's threads log as well."""
    thread = Thread(target=lambda: log.error("from a thread"))
    thread.start()
    thread.join()
    assert [line["text"] for line in written()] == ["from a thread"]


@given(st.text(), st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=5))
def test_one_line_whatever_it_says(text: str, fields: dict[str, str]) -> None:
    """A peer's words cannot end the line, nor hide what every line has."""
    line = event_line({"log_time": 1.5, "log_format": "{x}", **fields}, "info", text)
    assert line.isprintable()
    value = json.loads(line)
    assert set(ALWAYS) <= set(value)
    assert (value["time"], value["level"], value["event"]) == (1.5, "info", "{x}")


def test_long_texts_are_cut() -> None:
    """No event fills the disk."""
    line = event_line(
        {"log_format": "{x}", "x": "y" * 10**6, "many": list(range(10**5))}, "info", "z" * 10**6
    )
    assert len(line) < 3 * MOST


def test_where_the_configuration_says(tmp_path: Path) -> None:
    """json_log names the file; another name counts at once, none ends it."""
    text = CONFIGURATION.replace("[job_controller]", f'[job_controller]\njson_log = "{tmp_path}/one"')
    world = World(configuration=text)
    controller = world.controller
    log.info("first")
    world.turn()
    assert "first" in [line["text"] for line in lines(tmp_path / "one")]
    controller.json_log_file = str(tmp_path / "two")
    controller.reconfigure(world.settings)
    log.info("second")
    world.close()
    log.info("third")
    world.turn()
    assert "second" in [line["text"] for line in lines(tmp_path / "two")]
    assert "third" not in (tmp_path / "one").read_text() + (tmp_path / "two").read_text()
