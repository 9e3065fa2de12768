"""Starting and ending a TCP program: its descriptors, its log stream, its exit status."""

import contextlib
import gc
import os
import sys
from collections.abc import Callable
from typing import Any

import msgspec

import jobctl
from channels.kit.reactor_link import READ_FD, WRITE_FD, LinkOwner, ReactorLink, pipes_present
from jobctl.config.settings import ChannelSettings
from jobctl.jobprotocol.frames import VERSION, HelloController, HelloProgram

EX_OK = 0
EX_SOFTWARE = 70
EX_TEMPFAIL = 75
EX_CONFIG = 78


def say(text: str) -> None:
    """One line on the log stream; a log that nobody reads never stops the mail."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text.replace("\n", " ") + "\n")
        sys.stderr.flush()


class Process:
    """The process a program runs in: how it ends, and with which exit status."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self.status = EX_OK
        self.link: ReactorLink | None = None
        self._ending = False

    def end(self, status: int, why: str = "") -> None:
        """Write what the controller still has to hear, and stop the reactor."""
        if self._ending:
            return
        self._ending = True
        self.status = status
        if why:
            say(why)
        if self.link is not None:
            self.link.finish()
        # Not at once: the reactor may just be starting, or in the middle of a turn.
        self.reactor.callLater(0, self.reactor.stop)


def channel_settings(hello: HelloController) -> ChannelSettings:
    """
    The channel as the controller describes it.

    :raises ValueError: Another version of the protocol, or settings that do not fit.
    """
    if hello.version != VERSION:
        raise ValueError(
            f"the Job Controller speaks version {hello.version} of the job protocol, not {VERSION}"
        )
    return msgspec.convert(hello.settings, ChannelSettings)


def run(name: str, make: Callable[[Process], LinkOwner], hello: HelloProgram) -> int:
    """
    Run a program under the Job Controller until it is told to stop.

    :return: An exit status of sysexits.h.
    """
    if not pipes_present():
        channel = os.environ.get("PMDF_CHANNEL")
        say(
            f"{name}: run by the Job Controller only (no job link on descriptors 3 and 4); "
            + (f"try: jobctl run {channel}" if channel else "PMDF_CHANNEL names no channel")
        )
        return EX_TEMPFAIL if channel else EX_CONFIG
    from twisted.internet import reactor

    _log_failures_only()
    process = Process(reactor)
    owner = make(process)
    process.link = ReactorLink(reactor, owner, READ_FD, WRITE_FD, _journal())
    process.link.send(hello)
    # What start-up made lives as long as the process: no collection need look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    reactor.run()  # type: ignore[attr-defined]
    return process.status


def greeting(name: str, connections: int = 1, window: int = 0) -> HelloProgram:
    """The program's hello."""
    return HelloProgram(
        version=VERSION, name=name, release=jobctl.__version__, connections=connections, window=window
    )


def _journal() -> int | None:
    """The descriptor in JOBCTL_SENT_FD, where the controller looks after a crash."""
    text = os.environ.get("JOBCTL_SENT_FD", "")
    if not text.isdigit():
        return None
    try:
        os.fstat(int(text))
    except OSError:
        return None
    return int(text)


def _log_failures_only() -> None:
    """Twisted's own chatter is neither kept in memory nor written; failures go to the log stream."""
    from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogBeginner

    def observe(event: LogEvent) -> None:
        if event.get("log_level") is LogLevel.critical or "log_failure" in event:
            failure = event.get("log_failure")
            say(f"internal error: {formatEvent(event)}")
            if failure is not None:
                for line in failure.getTraceback().splitlines():
                    say(line)

    globalLogBeginner.beginLoggingTo([observe], redirectStandardIO=False, discardBuffer=True)
