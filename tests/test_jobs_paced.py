"""How fast a program's stderr is read: a flood costs little, and nothing waits for ever."""

import os

import pytest
from twisted.internet.task import Clock

from jobctl.jobs.paced import PACE, PacedReader
from jobctl.jobs.pipes import PIECE, make_pipe


class Reactor:
    """Who is to be read, and nothing else."""

    def __init__(self):
        self.reading = set()

    def addReader(self, reader):
        self.reading.add(reader)

    def removeReader(self, reader):
        self.reading.discard(reader)

    removeWriter = removeReader


class Flood:
    """A writer that fills its pipe whenever there is room, and a reader."""

    def __init__(self):
        self.clock = Clock()
        self.reactor = Reactor()
        reading, self.end = make_pipe()
        os.set_blocking(self.end, False)
        self.written = 0
        self.read = 0
        self.lost = False
        self.reader = PacedReader(self.reactor, self.clock, reading, self._received, self._lost)

    def _received(self, data):
        self.read += len(data)

    def _lost(self):
        self.lost = True

    def turn(self):
        """Write all that fits, read as the reactor would; ``False`` when nobody reads."""
        try:
            while True:
                self.written += os.write(self.end, b"noise\n" * 1000)
        except (BlockingIOError, OSError):
            pass
        if self.reader not in self.reactor.reading:
            return False
        if (why := self.reader.doRead()) is not None:
            self.reader.connectionLost(why)
        return True

    def second(self):
        """All that is read until it rests; gives the octets."""
        before = self.read
        while self.turn():
            assert self.read - before < 100 * PACE, "no end"
        return self.read - before


@pytest.fixture
def flood():
    made = Flood()
    yield made
    if not made.lost:
        made.reader.close()
    os.close(made.end)
    assert not made.clock.getDelayedCalls()


def test_a_flood_is_read_at_a_pace(flood):
    """In every second no more than the pace is read; the writer waits, and goes on after."""
    for _ in range(3):
        assert PACE <= flood.second() < PACE + PIECE
        flood.clock.advance(0.5)
        assert not flood.turn()
        flood.clock.advance(0.5)


def test_what_is_left_is_read_at_once_when_the_writer_is_gone(flood):
    """Its last words are not waited for."""
    flood.second()
    flood.reader.hurry()
    flood.second()
    assert flood.read > PACE + 1000
    flood.reader.hurry()
    assert flood.clock.getDelayedCalls() == []


def test_closed_while_it_rests(flood):
    """Nothing is left of it."""
    flood.second()
    flood.reader.close()
    assert flood.lost and not flood.clock.getDelayedCalls()
    flood.reader.hurry()
    assert flood.reader not in flood.reactor.reading


def test_a_clock_that_steps_back_does_not_stop_it(flood):
    """It rests a second at most, whatever the clock says."""
    flood.clock.advance(1000)
    flood.second()
    flood.clock.rightNow = 0.0
    flood.reader.hurry()
    assert flood.second() >= PACE
    (rest,) = flood.clock.getDelayedCalls()
    assert rest.getTime() - flood.clock.seconds() <= 1
