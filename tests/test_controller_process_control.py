"""``restart`` and ``stop`` over the control socket."""

import atexit
import os
import sys

import pytest

from jobctl.control.requests import Restart, Shutdown
from jobctl.controller.process_control import FAREWELL, Again
from jobctl.errors import StoreError, UsageError
from tests.controller_case import World


@pytest.fixture
def world() -> World:
    return World()


def restart(world, component=""):
    return world.do(world.operate("restart", Restart(component=component)))


def test_stop_answers_first(world):
    """Whoever asks for the end has his answer before it comes."""
    ends = []
    world.controller.process_control.end = lambda: ends.append(world.clock.seconds())
    answer = world.do(world.operate("shutdown", Shutdown()))
    assert answer == {"pid": os.getpid(), "started": world.controller.started}
    world.turn()
    assert ends == []
    world.turn(FAREWELL)
    assert len(ends) == 1


def test_restart_of_all(world):
    """It begins anew once it has ended; one that could not begin anew is not ended."""
    happened = []
    control = world.controller.process_control
    control.end, control.again = lambda: happened.append("end"), lambda: happened.append("again")
    assert restart(world)["started"] == world.controller.started
    world.turn(1)
    assert happened == ["again", "end"]

    def refuse():
        raise UsageError("it gave up rights")

    control.again = refuse
    with pytest.raises(UsageError, match="gave up rights"):
        restart(world, "job_controller")
    world.turn(1)
    assert happened == ["again", "end"]


def test_restart_of_a_channel(world):
    """Its master jobs finish what they hold and others come in their place; other channels go on."""
    (one,) = world.accept()
    job = world.job()
    assert restart(world, "gate")["replaced"] == []
    assert restart(world, "OUT")["replaced"] == [job.id]
    world.turn()
    (two,) = world.accept("eve@e.example")
    assert job.stopped and list(job.held) == [one]
    job.report(one)
    job.end()
    another = world.job()
    assert list(another.held) == [two]


def test_nothing_of_that_name(world):
    """What cannot be restarted is told with what can."""
    with pytest.raises(UsageError, match="no lmtp to restart"):
        restart(world, "lmtp")


def test_rights_given_up(monkeypatch):
    """A daemon that gave up its rights, or was given its sockets, does not try to begin anew."""
    again = Again()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(UsageError, match="as it was started"):
        again()
    monkeypatch.undo()
    monkeypatch.setenv("LISTEN_FDS", "1")
    with pytest.raises(UsageError, match="as it was started"):
        Again()()


def test_on_record(world):
    """Who stopped or restarted what is on record; a store that fails keeps nobody from stopping."""
    restart(world, "out")
    acts = world.do(world.store.memory.acts(limit=10))
    assert [(act.who, act.what, act.subject) for act in acts] == [("ann", "restart", "out")]
    world.store.broken = {"write_act": StoreError("disk")}
    assert world.do(world.operate("shutdown", Shutdown()))["pid"] == os.getpid()


def test_begins_as_it_was_started(monkeypatch, tmp_path):
    """The same words from the same directory, but the first message is only sent once."""
    done = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(atexit, "register", lambda call, command: done.append((call, command)))
    monkeypatch.setattr(sys, "orig_argv", ["python", "twistd", "-n", "jobctl", "--first-message"])
    monkeypatch.setattr(os, "execv", lambda *words: done.append((os.getcwd(), *words)))
    again = Again()
    monkeypatch.chdir("/")
    again()
    call, command = done.pop()
    assert command == [sys.executable, "twistd", "-n", "jobctl"]
    call(command)
    assert done == [(str(tmp_path), sys.executable, command)]
