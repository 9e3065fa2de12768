"""What jobs are started with: a second connection in the clear is for one job, of one host."""

from types import SimpleNamespace

import pytest

from jobctl.controller import specs
from tests.controller_case import World


@pytest.fixture
def world():
    made = World()
    yield made
    made.close()


def test_once_and_for_that_host(world: World) -> None:
    """Whoever wants it gets it for the next job to the same host; the one after that is as any other."""
    made = world.controller.specs
    channel = world.settings.channels["out"]
    piped = type(channel)(name="piped", official_host_name="p", local_host="m.example", transport="tcp")
    assert made.master(channel, None, None).in_clear == ""
    first = made.master(piped, "b.example", None)
    assert first.in_clear == "offered"
    made.clear_wanted(SimpleNamespace(spec=first))
    assert made.master(piped, "c.example", None).in_clear == "offered"
    assert made.master(piped, "b.example", None).in_clear == "now"
    assert made.master(piped, "b.example", None).in_clear == "offered"


def test_nobody_gets_what_was_not_offered(world: World) -> None:
    """A program started by hand has no next job that could be told."""
    made = world.controller.specs
    channel = world.settings.channels["out"]
    piped = type(channel)(name="piped", official_host_name="p", local_host="m.example", transport="tcp")
    made.clear_wanted(SimpleNamespace(spec=made.by_hand(piped, "master", None)))
    assert made.master(piped, None, None).in_clear == "offered"


def test_it_is_not_remembered_without_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that never come again cost no more than so many."""
    monkeypatch.setattr(specs, "MOST_IN_CLEAR", 3)
    made = world.controller.specs
    channel = world.settings.channels["out"]
    piped = type(channel)(name="piped", official_host_name="p", local_host="m.example", transport="tcp")
    for number in range(10):
        made.clear_wanted(SimpleNamespace(spec=made.master(piped, f"h{number}.example", None)))
        assert len(made._in_clear) <= 3


def test_a_connection_knows_which_attempt_it_is_for(world: World) -> None:
    """For probes of IP_ACCESS: of the message that goes next; by an operator's run that is not known."""
    made = world.controller.specs
    gate = world.settings.channels["gate"]
    assert made.master(gate, None, None).attempt == -1
    world.accept("x@gate.example")
    assert made.master(gate, None, None).attempt == 1
    (spec,) = [one for one in world.supervisor.asked if one.channel is gate]
    assert spec.attempt == 1
    job = world.job(connections=1)
    (message,) = job.assigned
    job.report(message.id, "deferred", "450 4.2.0 later")
    job.end()
    world.turn(7200)
    (spec,) = [one for one in world.supervisor.asked if one.channel is gate]
    assert spec.attempt == 2
    assert made.master(gate, None, "run").attempt == -1
