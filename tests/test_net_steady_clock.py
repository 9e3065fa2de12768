"""A reactor's delayed calls come after the time that was asked for, whatever is done to the wall clock."""

import pytest
from twisted.internet.selectreactor import SelectReactor

from jobctl.net.steady_clock import INTERVAL, SteadyClock

START = 1_700_000_000.0
DAY = 86400.0


class Machine:
    """A reactor that is run by hand, on clocks that are set."""

    def __init__(self) -> None:
        self.wall = START
        self.up = 5000.0
        self.reactor = SelectReactor()
        self.clock = SteadyClock(self.reactor, lambda: self.wall, lambda: self.up)
        self.clock.install()
        self.called: list[str] = []

    def later(self, seconds: float, name: str) -> None:
        self.reactor.callLater(seconds, self.called.append, name)

    def pass_time(self, seconds: float) -> None:
        """As a reactor does it: sleep until the next call, and run what is due."""
        end = self.up + seconds
        while True:
            self.reactor.runUntilCurrent()
            wait = self.reactor.timeout()
            step = min(end - self.up, 1e9 if wait is None else wait)
            if step <= 0 and self.up >= end:
                return
            self.up += step
            self.wall += step

    def close(self) -> None:
        self.reactor.removeAll()
        self.clock.remove()


@pytest.fixture
def machine():  # type: ignore[no-untyped-def]
    machine = Machine()
    yield machine
    machine.close()


@pytest.mark.parametrize("step", [3600.0, -3600.0, DAY, -DAY, 0.0])
def test_intervals_stay_what_they_are(machine, step):
    """Set by an hour or a day, either way: nothing comes early, and nothing late."""
    machine.later(100, "first")
    machine.later(200, "second")
    cancelled = machine.reactor.callLater(150, machine.called.append, "never")
    machine.pass_time(50)
    cancelled.cancel()
    machine.wall += step
    machine.pass_time(49)
    assert machine.called == []
    machine.pass_time(2)
    assert machine.called == ["first"]
    machine.later(50, "third")
    machine.pass_time(98)
    assert machine.called == ["first", "third"]
    machine.pass_time(2)
    assert machine.called == ["first", "third", "second"]


@pytest.mark.parametrize("step", [3600.0, -3600.0, DAY, -DAY])
def test_the_wall_clock_is_followed(machine, step):
    """Half a minute later the time of day is what the wall clock shows."""
    assert machine.reactor.seconds() == START
    machine.wall += step
    machine.pass_time(INTERVAL + 1)
    assert machine.reactor.seconds() == pytest.approx(machine.wall)
    assert machine.called == []


def test_a_machine_that_was_asleep(machine):
    """The clock that only passes stands still meanwhile: no timeout is over by sleeping."""
    machine.later(40, "timeout")
    machine.wall += 8 * 3600
    machine.pass_time(39)
    assert machine.called == []
    assert machine.reactor.seconds() == pytest.approx(machine.wall)
    machine.pass_time(2)
    assert machine.called == ["timeout"]


def test_a_clock_that_is_disciplined(machine):
    """Small corrections change nothing anybody notices."""
    machine.later(300, "call")
    for _ in range(9):
        machine.wall += 0.3
        machine.pass_time(INTERVAL)
    assert machine.called == []
    machine.pass_time(31)
    assert machine.called == ["call"]


def test_it_can_be_taken_away_again(machine):
    """The reactor has its own clock then."""
    machine.later(100, "call")
    machine.clock.remove()
    assert "seconds" not in vars(machine.reactor)
    assert [call.getTime() for call in machine.reactor.getDelayedCalls()] == [START + 100]
    machine.clock.remove()
