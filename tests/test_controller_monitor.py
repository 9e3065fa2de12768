"""``top``: what goes on just now, with what the programs tell."""

import pytest
from twisted.internet.defer import ensureDeferred

from jobctl.control.requests import Top
from jobctl.controller.monitor import PATIENCE
from jobctl.jobprotocol.frames import Alive, Ask, HelloProgram, Look, Work
from tests.controller_case import START, World


@pytest.fixture
def world() -> World:
    return World()


def teller(world):
    """A job whose program tells what it is doing."""
    world.turn()
    job = world.supervisor.spawn(world.supervisor.asked.pop())
    job.says(HelloProgram(version=1, name="program", connections=5, tells=True))
    job.says(Ask(n=100))
    world.turn()
    return job


def ask(world, **keys):
    return ensureDeferred(world.operate("top", Top(**keys)))


def test_messages_with_what_is_told(world):
    """A message in a transaction has its phase, remote and octets; others wait; the longest first."""
    one, two = world.accept("bob@b.example", "eve@e.example")
    job = teller(world)
    world.turn(5)
    looking = ask(world)
    assert [frame for frame in job.sent if isinstance(frame, Look)] and not looking.called
    job.says(Alive(progress=1, work=(Work(two, "rcpt", "mx.e.example [192.0.2.1]", 7),)))
    answer = world.do(looking)
    assert [(row["id"], row["phase"], row["octets"]) for row in answer["messages"]] == [
        (two, "rcpt", 7),
        (one, "waiting", 0),
    ]
    row = answer["messages"][0]
    assert row["recipients"] == ["eve@e.example"] and row["remote"] == "mx.e.example [192.0.2.1]"
    assert (row["since"], answer["now"]) == (START, START + 5)
    (shown,) = answer["jobs"]
    assert (shown["held"], shown["role"], shown["work"]) == (2, "master", [])


def test_a_program_that_is_late(world):
    """Nobody waits long for a program that does not answer; one that ends is not waited for."""
    world.accept()
    job = teller(world)
    looking = ask(world)
    world.turn(PATIENCE)
    assert world.do(looking)["messages"][0]["phase"] == "waiting"
    looking = ask(world)
    job.end()
    assert world.do(looking)["jobs"] == []


def test_programs_that_do_not_tell(world):
    """A program that does not say it tells is not asked: the unknown frame would end it."""
    (entry,) = world.accept()
    job = world.job()
    answer = world.do(ask(world))
    assert not any(isinstance(frame, Look) for frame in job.sent)
    assert answer["messages"][0]["id"] == entry


def test_sessions_of_servers(world):
    """What a server says of its sessions is shown with its job."""
    job = world.slave()
    job.says(HelloProgram(version=1, name="server", tells=True))
    looking = ask(world)
    job.says(Alive(work=(Work(phase="mail", remote="192.0.2.9", seconds=3.0),)))
    work = world.do(looking)["jobs"][0]["work"]
    assert work == [{"phase": "mail", "remote": "192.0.2.9", "octets": 0, "seconds": 3.0}]


def test_flow(world):
    """What goes through a channel is counted by entry, the notification among them, and by recipient."""
    (entry,) = world.accept("bob@b.example", "eve@b.example", "joe@b.example")
    job = world.job()
    job.results(entry, bob="relayed", eve="failed", joe="deferred")
    world.turn()
    row = next(row for row in world.do(ask(world))["channels"] if row["channel"] == "out")
    counts = {key: row[key] for key in ("accepted", "delivered", "deferred", "failed", "octets", "jobs")}
    assert counts == {"accepted": 2, "delivered": 1, "deferred": 1, "failed": 1, "octets": 0, "jobs": 1}


def test_bounded(world):
    """No more is told than is asked for, however much there is; the queue is not counted for every look."""
    for n in range(5):
        world.accept(f"u{n}@b{n}.example")
    world.job()
    answer = world.do(ask(world, hosts=2, messages=3))
    assert (len(answer["hosts"]), len(answer["messages"])) == (2, 3)
    before = world.store.calls.count("summarize")
    world.do(ask(world))
    assert world.store.calls.count("summarize") == before
    world.turn(2)
    world.do(ask(world))
    assert world.store.calls.count("summarize") == before + 1
