"""Events on real reactors: what happened to one descriptor never hits the next one of its number."""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.pollreactor import PollReactor

from channels.tcp.stream import Connecting
from jobctl.jobs.pipes import PipeReader, make_pipe
from jobctl.net.sure_events import install


@pytest.fixture(params=[EPollReactor, PollReactor])
def reactor(request: pytest.FixtureRequest) -> Iterator[Any]:
    """One of our own, turned by hand."""
    one = request.param()
    poller = one._poller
    install(one)
    yield one
    one.removeAll()
    if isinstance(one, EPollReactor):
        poller.close()


class Pair:
    """
    Two descriptors that the reactor is told of in one go.

    The one that comes first closes both, and ``replace`` gets the other's number, which has an event to come.
    """

    def __init__(self, replace: Callable[[int], None]) -> None:
        self.ends: list[Any] = []
        self._replace: Callable[[int], None] | None = replace

    def happened(self, which: int) -> None:
        replace, self._replace = self._replace, None
        if replace is not None:
            other = self.ends[1 - which].fileno()
            for one in self.ends:
                one.close()
            replace(other)


def turns(reactor: Any) -> None:
    for _ in range(3):
        reactor.iterate(0)


@contextmanager
def next_is(number: int) -> Iterator[None]:
    """What is opened gets this number, which is free: all below are in use."""
    below = []
    while (fd := os.open(os.devnull, os.O_RDONLY)) != number:
        below.append(fd)
    os.close(fd)
    try:
        yield
    finally:
        for fd in below:
            os.close(fd)


def test_the_next_pipe_is_not_taken_for_broken(reactor: Any) -> None:
    """A hang-up of one that was closed."""
    lost: list[str] = []
    opened: list[Any] = []

    def replace(number: int) -> None:
        with next_is(number):
            reading, writing = make_pipe()
        opened.append(writing)
        opened.append(PipeReader(reactor, reading, opened.append, lambda: lost.append("next")))

    pair = Pair(replace)
    for which in (0, 1):
        reading, writing = make_pipe()
        os.close(writing)
        pair.ends.append(
            PipeReader(reactor, reading, opened.append, lambda which=which: pair.happened(which))
        )
    turns(reactor)
    assert lost == []
    # Its own events reach it.
    os.write(opened[0], b"here")
    turns(reactor)
    assert opened[2:] == [b"here"]
    os.close(opened[0])
    turns(reactor)
    assert lost == ["next"]


class Ready:
    """A connected socket that can be written at once."""

    def __init__(self, reactor: Any, happened: Callable[[], None]) -> None:
        self._reactor = reactor
        self._socket, self._other = socket.socketpair()
        self._happened = happened
        self.fileno = self._socket.fileno
        reactor.addWriter(self)

    def logPrefix(self) -> str:
        return "ready"

    def doWrite(self) -> None:
        self._happened()

    def close(self) -> None:
        self._reactor.removeWriter(self)
        self._socket.close()
        self._other.close()


def test_a_connection_being_made_is_not_taken_for_made(reactor: Any) -> None:
    """Room to write in a socket that was closed."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        # A server that takes no more: who connects now waits.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for one in (first, second):
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        said: list[str] = []
        connecting: list[Connecting] = []

        def replace(number: int) -> None:
            with next_is(number):
                one = Connecting(
                    reactor, full.getsockname(), None, lambda skt: said.append("made"), said.append
                )
            connecting.append(one)

        pair = Pair(replace)
        pair.ends += [Ready(reactor, lambda which=which: pair.happened(which)) for which in (0, 1)]
        turns(reactor)
        assert len(connecting) == 1
        assert said == []
        connecting[0].fail("enough")
        assert said == ["enough"]
