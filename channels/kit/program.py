"""One run of a channel program: joins its duty to the job link, the loop, signals and the heartbeat."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from channels.kit.link import JobLink
from channels.kit.log_stream import say
from channels.kit.loop import Loop, Outlet, enlarge_pipe, read_some
from channels.kit.sent import Announcements, journal_descriptor
from channels.kit.startup import (
    EX_CONFIG,
    EX_TEMPFAIL,
    READ_FD,
    WRITE_FD,
    CannotStart,
    Start,
    channel_of,
    read_start,
)
from jobctl.config.settings import ChannelSettings
from jobctl.errors import ProtocolViolation
from jobctl.jobprotocol.frames import MOST_WORK, Alive, HelloController, Look, Work

if TYPE_CHECKING:
    import socket

ALIVE_INTERVAL = 10.0
# Seconds between two answers to those who watch.
TELL_INTERVAL = 0.2
# Seconds that the last words to the controller may take before we go.
_FAREWELL = 5.0
# While there is more to come, so many reports, or so many seconds, go together.
_TOGETHER = 8
_HELD_AT_MOST = 0.005


class Duty(Protocol):
    """
    What a program is there for; the run calls it, one call at a time.

    :ivar status: Once not ``None``, the run ends with this exit status.
    :ivar deadline: When :meth:`timed_out` is due, by :func:`time.monotonic`; ``None``: never.
    :ivar busy: More will be reported in a moment: what can wait for it may.
    """

    status: int | None
    deadline: float | None

    @property
    def busy(self) -> bool: ...

    def begin(self, hello: HelloController, channel: ChannelSettings) -> None:
        """
        The controller has described the job; called first.

        :raises CannotStart: It cannot be done.
        """

    def hear(self, event: Any) -> None:
        """The controller said something: an :data:`channels.kit.link.Event` other than hello."""

    def turn(self) -> None:
        """All that came in has been told: act on it. Also called when output has room again."""

    def leave(self) -> None:
        """A signal asks us to go: finish what cannot be left, give back the rest."""

    def link_lost(self) -> None:
        """The controller is gone: nothing can be accepted or reported any more."""

    def timed_out(self) -> None:
        """The deadline passed."""

    def work(self) -> Iterable[Work]:
        """What it is doing just now, for who watches."""

    def flush(self) -> None:
        """Write what may go; called after what was said to the controller has been handed to its pipe."""


class Run:
    """
    A program's run.

    :ivar link: Say things to the controller here.
    :ivar announcements: Of final dots.
    :ivar progress: To be raised whenever anything gets done.
    """

    def __init__(self, start: Start, name: str, role: str, window: int) -> None:
        self.start = start
        self.loop = Loop()
        self.link = JobLink(name, window=window)
        self.link_gone = False
        self.progress = 0
        self._role = role
        self._socket: socket.socket | None = None
        self._duty: Duty
        self._alive_at = 0.0
        self._told_at = 0.0
        self._held_until: float | None = None
        read_fd, write_fd = READ_FD, WRITE_FD
        rest = b""
        if not start.controlled:
            # Late: most programs are started by the controller, and starting counts.
            from channels.kit.attach import attach, settings_of

            settings = settings_of(start)
            self._socket, rest = attach(settings.controller.control_socket, start.channel, role)
            read_fd = write_fd = self._socket.fileno()
        self._rest = rest
        self._read_fd = read_fd
        self.announcements = Announcements(
            self.link, journal_descriptor(os.environ) if start.controlled else None
        )
        self._outlet = Outlet(
            self.loop, write_fd, lambda why: self._lost("cannot write to the Job Controller")
        )
        os.set_blocking(read_fd, False)
        enlarge_pipe(write_fd)

    @property
    def link_full(self) -> bool:
        """So much waits for the controller that no more should be produced."""
        return self._outlet.full

    @property
    def link_pending(self) -> int:
        """Octets that the controller's pipe has not taken yet."""
        return self._outlet.pending

    def serve(self, duty: Duty) -> int:
        """
        Do the duty.

        :return: The exit status.
        """
        self._duty = duty
        self._watch_signals()
        self._alive_at = time.monotonic() + ALIVE_INTERVAL
        self.loop.reading(self._read_fd, self._readable)
        if self._rest:
            self._heard(self._rest)
        while duty.status is None:
            duty.turn()
            self._flush()
            if duty.status is None:
                self._wait()
        self._farewell()
        return duty.status

    def look_again(self) -> None:
        """Before leaving: hear what lies in the pipe already."""
        if not self.link_gone:
            self._readable()

    def _flush(self) -> None:
        self.announcements.publish()
        if self.link.waiting and not self._may_wait():
            self._held_until = None
            output = self.link.take_output()
            if not self.link_gone:
                self._outlet.write(output)
                self._outlet.flush()
        self._duty.flush()

    def _may_wait(self) -> bool:
        """Whether what is to be said to the controller goes later, with more: each write wakes it."""
        if self.link.hurried or self.link.waiting >= _TOGETHER or not self._duty.busy:
            return False
        now = time.monotonic()
        if self._held_until is None:
            self._held_until = now + _HELD_AT_MOST
        return now < self._held_until

    def _wait(self) -> None:
        now = time.monotonic()
        deadline = self._duty.deadline
        next_at = self._alive_at if deadline is None else min(deadline, self._alive_at)
        if self._held_until is not None:
            next_at = min(next_at, self._held_until)
        self.loop.wait(next_at - now)
        if now < next_at and time.monotonic() < next_at:
            return
        now = time.monotonic()
        if now >= self._alive_at:
            self._alive_at = now + ALIVE_INTERVAL
            self.link.send(Alive(progress=self.progress, connections=1))
        deadline = self._duty.deadline
        if deadline is not None and now >= deadline:
            self._duty.timed_out()

    def _readable(self) -> None:
        data = read_some(self._read_fd)
        if data is None:
            return
        if data:
            self._heard(data)
        else:
            self._lost("the Job Controller closed the link")

    def _heard(self, data: bytes) -> None:
        try:
            events = self.link.receive(data)
        except ProtocolViolation as why:
            self._lost(f"the Job Controller broke the protocol: {why}")
            return
        for event in events:
            if self._duty.status is not None:
                return
            if type(event) is HelloController:
                self._begin(event)
            elif type(event) is Look:
                self._tell()
            else:
                self._duty.hear(event)

    def _tell(self) -> None:
        """At most once in a while: whoever asks more often learns nothing new."""
        now = time.monotonic()
        if now - self._told_at >= TELL_INTERVAL:
            self._told_at = now
            work = tuple(islice(self._duty.work(), MOST_WORK))
            self.link.send(Alive(progress=self.progress, connections=1, work=work))

    def _begin(self, hello: HelloController) -> None:
        try:
            self._duty.begin(hello, channel_of(hello, self.start.option_file))
        except CannotStart as why:
            say(why.text)
            self._duty.status = why.status

    def _lost(self, why: str) -> None:
        if self.link_gone:
            return
        self.link_gone = True
        self.loop.reading(self._read_fd, None)
        say(why)
        self._duty.link_lost()

    def _watch_signals(self) -> None:
        """SIGTERM, SIGINT and SIGHUP ask us to go, between two turns."""
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

        def came() -> None:
            if read_some(reading):
                self._duty.leave()

        self.loop.reading(reading, came)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)

    def _farewell(self) -> None:
        """Write what the controller still has to hear."""
        end = time.monotonic() + _FAREWELL
        if not self.link_gone:
            self._outlet.write(self.link.take_output())
            self._outlet.flush()
        while self._outlet.pending and (left := end - time.monotonic()) > 0:
            self.loop.reading(self._read_fd, None)
            self.loop.wait(left)
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()


def main(name: str, role: str, window: int, make: Callable[[Run], Duty], unavailable: bool = False) -> int:
    """
    Run a program from its ``main``.

    :param make: Makes its duty.
    :param unavailable: It serves a dialogue on stdout: without a controller its client is told 421.
    :return: The exit status.
    """
    start = None
    try:
        start = read_start(name, sys.argv[1:], os.environ)
        for warning in start.warnings:
            say(f"{name}: {warning}")
        run = Run(start, name, role, window)
    except CannotStart as why:
        say(why.text)
        if unavailable and start is not None and why.status != EX_CONFIG:
            with contextlib.suppress(OSError):
                os.write(1, b"421 4.3.2 Service not available, try again later\r\n")
        return why.status
    try:
        return run.serve(make(run))
    except BrokenPipeError:
        return EX_TEMPFAIL
