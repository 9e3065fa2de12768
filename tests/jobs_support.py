"""A handler that remembers, channels and specs for the tests of supervision."""

import os
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from jobctl.config.settings import ChannelSettings
from jobctl.interfaces import IJobHandler
from jobctl.jobprotocol.frames import Message
from jobctl.jobs.environment import CannotStart
from jobctl.jobs.job import Ended, JobSpec
from jobctl.mail.envelope import Envelope, Recipient

PROGRAMS = os.path.join(os.path.dirname(__file__), "programs")


def program(name: str, *arguments: str) -> tuple[str, ...]:
    """The argument vector of one of ``tests/programs``."""
    path = os.path.join(PROGRAMS, name)
    return (sys.executable, path, *arguments) if name.endswith(".py") else (path, *arguments)


def channel(name: str = "test_line", **settings: Any) -> ChannelSettings:
    return ChannelSettings(
        name=name, official_host_name="line.example", local_host="mail.example.org", **settings
    )


def spec(*argv: str, id: str = "j1", role: str = "master", **keys: Any) -> JobSpec:
    keys.setdefault("channel", channel())
    return JobSpec(id=id, role=role, argv=argv, **keys)


def message(id: str, *recipients: str, attempt: int = 1, octets: int = 0) -> Message:
    addresses = tuple(Recipient(address) for address in recipients or ("ann@a.example",))
    return Message(
        id=id, attempt=attempt, host="a.example", envelope=Envelope("s@x.example", addresses), octets=octets
    )


@implementer(IJobHandler)
class Handler:
    """Remembers what it is told; ``until`` waits for something to be true of it."""

    def __init__(self) -> None:
        self.spawned: list[Any] = []
        self.frames: list[tuple[Any, bytes]] = []
        self.logged: list[str] = []
        self.ended: list[tuple[Any, Ended]] = []
        self.failed: list[tuple[JobSpec, str, bool]] = []
        self.rejected: list[tuple[str, str]] = []
        self.batches = 0
        self.on_frame: Callable[[Any, Any, bytes], None] | None = None
        self.keep_frames = True
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def until(self, true: Callable[[], bool]) -> "Deferred[None]":
        done: Deferred[None] = Deferred()
        self._waiting.append((true, done))
        self._check()
        return done

    def said(self, kind: type) -> list[Any]:
        return [frame for frame, _ in self.frames if isinstance(frame, kind)]

    def _check(self) -> None:
        ready = [one for one in self._waiting if one[0]()]
        for one in ready:
            self._waiting.remove(one)
        for _, done in ready:
            done.callback(None)

    def job_spawned(self, job: Any) -> None:
        self.spawned.append(job)
        self._check()

    def job_frame(self, job: Any, frame: Any, content: bytes) -> None:
        if self.keep_frames:
            self.frames.append((frame, content))
        if self.on_frame is not None:
            self.on_frame(job, frame, content)

    def job_batch_done(self, job: Any) -> None:
        self.batches += 1
        self._check()

    def job_logged(self, job: Any, line: str) -> None:
        self.logged.append(line)
        self._check()

    def job_ended(self, job: Any, how: Ended) -> None:
        self.ended.append((job, how))
        self._check()

    def start_failed(self, spec: JobSpec, why: CannotStart) -> None:
        self.failed.append((spec, str(why), why.temporary))
        self._check()

    def connection_rejected(self, spec: JobSpec, transport: str, why: str) -> None:
        self.rejected.append((transport, why))
        self._check()
