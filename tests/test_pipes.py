"""Ends of pipes on a real epoll reactor: what one does to itself never hits another."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from twisted.internet.epollreactor import EPollReactor

from jobctl.jobs.pipes import PipeReader, PipeWriter, make_pipe


@pytest.fixture
def reactor() -> Iterator[EPollReactor]:
    """One of our own, turned by hand."""
    one = EPollReactor()
    yield one
    one.removeAll()
    with closing(one._poller):
        one.iterate(0)


class Pair:
    """
    Two pipes whose writers are gone, so that epoll tells of both in one go.

    The one that is told of first closes the other, and a new pipe gets the number.
    """

    def __init__(self, reactor: EPollReactor) -> None:
        self.reactor = reactor
        self.opened: list[tuple[PipeReader, int]] = []
        self.lost = 0
        self._readers = []
        for number in (0, 1):
            reading, writing = make_pipe()
            os.close(writing)
            self._readers.append(self._reader(reading, lambda number=number: self._first_lost(1 - number)))

    def _reader(self, fd: int, lost: Callable[[], None]) -> PipeReader:
        return PipeReader(self.reactor, fd, lambda data: None, lost)

    def _first_lost(self, other: int) -> None:
        if not self.opened:
            # Another number, should the one that is at its end be free already.
            self._open()
            self._readers[other].close()
            self._open()

    def _open(self) -> None:
        reading, writing = make_pipe()
        self.opened.append((self._reader(reading, self._opened_lost), writing))

    def _opened_lost(self) -> None:
        self.lost += 1


def test_an_event_for_a_closed_pipe_never_ends_the_next_one_of_that_number(reactor: EPollReactor) -> None:
    pair = Pair(reactor)
    for _ in range(3):
        reactor.iterate(0)
    assert [reader.connected for reader, _ in pair.opened] == [1, 1]
    assert pair.lost == 0
    for reader, writing in pair.opened:
        reader.close()
        os.close(writing)


def test_a_pipe_that_was_closed_is_given_back_within_a_turn(reactor: EPollReactor) -> None:
    reading, writing = make_pipe()
    lost: list[str] = []
    reader = PipeReader(reactor, reading, lambda data: None, lambda: lost.append("reader"))
    writer = PipeWriter(reactor, writing, lambda: lost.append("writer"))
    reader.close()
    writer.close()
    assert lost == ["reader", "writer"]
    reactor.iterate(0)
    for fd in (reading, writing):
        with pytest.raises(OSError):
            os.fstat(fd)
