"""Starting and ending a TCP program: its link, its log stream, its exit status."""

import gc
import os
import sys
from collections.abc import Callable
from typing import Any

import jobctl
from channels.kit.log_stream import say
from channels.kit.reactor_link import LinkOwner, ReactorLink
from channels.kit.sent import journal_descriptor
from channels.kit.startup import (
    EX_OK,
    EX_TEMPFAIL,
    READ_FD,
    WRITE_FD,
    CannotStart,
    Start,
    channel_of,
    read_start,
)
from jobctl.config.settings import ChannelSettings
from jobctl.jobprotocol.frames import VERSION, HelloController, HelloProgram
from jobctl.net import sure_events
from jobctl.net.steady_clock import SteadyClock


class Process:
    """
    The process a program runs in: what it was given at the start, and how it ends.

    :ivar status: Exit status of sysexits.h.
    """

    def __init__(self, reactor: Any, name: str, start: Start) -> None:
        self.reactor = reactor
        self.name = name
        self.status = EX_OK
        self._start = start
        self._link: ReactorLink | None = None
        self._ending = False

    @property
    def link(self) -> ReactorLink:
        """The link to the controller."""
        assert self._link is not None
        return self._link

    def join(self, owner: LinkOwner) -> None:
        """Begin to listen to the controller."""
        journal = journal_descriptor(os.environ)
        self._link = ReactorLink(self.reactor, owner, READ_FD, WRITE_FD, journal)

    def channel(self, hello: HelloController) -> ChannelSettings:
        """
        The channel as the controller describes it.

        :raises CannotStart: Another version of the protocol, or settings that do not fit.
        """
        if hello.version != VERSION:
            raise CannotStart(
                f"the Job Controller speaks version {hello.version} of the job protocol", EX_TEMPFAIL
            )
        return channel_of(hello, self._start.option_file)

    def greet(self, connections: int = 1, window: int = 0) -> None:
        """Our own hello."""
        self.link.send(
            HelloProgram(
                version=VERSION,
                name=self.name,
                release=jobctl.__version__,
                connections=connections,
                window=window,
                tells=True,
            )
        )

    def end(self, status: int, why: str = "") -> None:
        """Write what the controller still has to hear, and stop the reactor."""
        if self._ending:
            return
        self._ending = True
        self.status = status
        if why:
            say(f"{self.name}: {why}")
        self.link.finish()
        # Not at once: the reactor may be in the middle of a turn.
        self.reactor.callLater(0, self.reactor.stop)


def run(name: str, make: Callable[[Process], LinkOwner]) -> int:
    """
    Run a program under the Job Controller until it is told to stop.

    :return: An exit status of sysexits.h.
    """
    try:
        start = read_start(name, sys.argv[1:], os.environ)
    except CannotStart as why:
        say(why.text)
        return why.status
    if not start.controlled:
        say(f"{name}: is run by the Job Controller only; try: jobctl run {start.channel}")
        return EX_TEMPFAIL
    from twisted.internet import reactor

    _log_failures_only()
    sure_events.install(reactor)
    SteadyClock(reactor).install()
    process = Process(reactor, name, start)
    process.join(make(process))
    # What start-up made lives as long as the process: no collection need look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    reactor.run()
    return process.status


def _log_failures_only() -> None:
    """Twisted's own chatter is neither kept in memory nor written; failures go to the log stream."""
    from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogBeginner
    from zope.interface import provider

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        failure = event.get("log_failure")
        if failure is not None:
            say(f"internal error: {formatEvent(event)}")
            for line in failure.getTraceback().splitlines():
                say(line)

    globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False, discardBuffer=True)
