"""A job: a channel program run by us, its pipes and its end."""

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any, Protocol

from twisted.internet.interfaces import IPushProducer
from twisted.logger import Logger
from zope.interface import implementer

from jobctl.jobs.child import Child, Program, open_failed, outcome_text
from jobctl.jobs.conversation import Conversation
from jobctl.jobs.journal import Journal
from jobctl.jobs.log_lines import LineLog
from jobctl.jobs.paced import PacedReader
from jobctl.jobs.pipes import PipeReader, PipeWriter, make_pipe
from jobctl.jobs.shared import Shared
from jobctl.jobs.spec import Ended, JobSpec

log = Logger()

__all__ = ["Ended", "Job", "JobSpec"]

# The descriptors of a program beside stdio; listening sockets come from LISTEN on.
WORK, REPORT, SENT, LISTEN = 3, 4, 5, 6


# Sessions of a server job that was replaced go on for so long at most (seconds); it is told to stop like any
# other then, and its clients with 421 between two transactions.
LONGEST_SESSION = 3600.0
# Why a job was asked to stop, when it was not by us.
LOST = "its connection was lost"


class Job(Conversation):
    """
    A program in a process of its own.

    It is over when the process has been reaped and its report pipe and stderr
    are at their end, so all it said has been heard, and when the program at the
    other side of its stdio, if any, is over too.  What it left behind in its
    process group is killed then; something that left the group and holds a pipe
    open is waited for no longer than ``drain`` and loses the pipe.

    :ivar journal: The final dots it announced; ``None`` for a slave.  After the end, when all it
        held is settled and that is stored, call :meth:`Journal.remove`.
    """

    def __init__(self, spec: JobSpec, shared: Shared) -> None:
        super().__init__(spec, shared)
        self.journal: Journal | None = None
        self._child = Child(shared.clock, shared.settings.kill_after)
        self._lines = LineLog(shared.clock.seconds, self.log_line)
        self._outcome: tuple[int | None, int | None] | None = None
        self._drain_timer: Any = None
        # Why it was asked to stop.
        self._stopping = ""
        # It was asked to take its time over that.
        self._retiring = False
        self._retire_timer: Any = None
        self._leaving = False
        self._concluded = False
        self._at_end: list[Callable[[], None]] = []
        self._companion: Companion | None = None
        self._work: PipeWriter
        self._report: PipeReader
        self._stderr: PacedReader

    def start(self, program: Program, stdio: tuple[int, int] | None = None) -> None:
        """
        Start the program and say hello to it.

        :param stdio: Descriptors for its stdin and stdout; they stay the caller's.  ``None``:
            ``/dev/null``, and stdout goes where stderr goes.
        :raises CannotStart: It does not run; nothing is left of the attempt.
        """
        listen = tuple(range(LISTEN, LISTEN + len(self.spec.listen)))
        with ExitStack() as theirs, ExitStack() as ours:
            try:
                work, work_end = make_pipe()
                theirs.callback(os.close, work)
                ours.callback(os.close, work_end)
                report_end, report = make_pipe()
                theirs.callback(os.close, report)
                ours.callback(os.close, report_end)
                stderr_end, stderr = os.pipe2(os.O_CLOEXEC)
                theirs.callback(os.close, stderr)
                ours.callback(os.close, stderr_end)
                if stdio is None:
                    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
                    theirs.callback(os.close, null)
                    stdio = null, stderr
                descriptors = {0: stdio[0], 1: stdio[1], 2: stderr, WORK: work, REPORT: report}
                if self.spec.role == "master":
                    journal = Journal(self._shared.settings.sent_directory, self.id)
                    theirs.callback(journal.close)
                    ours.callback(journal.remove)
                    descriptors[SENT] = journal.fd
                    self.journal = journal
            except OSError as why:
                raise open_failed(why) from None
            descriptors.update(zip(listen, self.spec.listen, strict=True))
            self._child.start(self._shared.reactor, program, descriptors)
            ours.pop_all()
        self.pid = self._child.pid
        reactor = self._shared.reactor
        self._work = PipeWriter(reactor, work_end, self._pipe_lost)
        self._work.registerProducer(_WhenDrained(self._drained), True)
        self._report = PipeReader(reactor, report_end, self._receive, self._pipe_lost)
        self._stderr = PacedReader(reactor, self._shared.clock, stderr_end, self._log, self._pipe_lost)
        self._greet(listen)
        self._child.watch(self._exited)

    def accompany(self, companion: "Companion") -> None:
        """Not be over before ``companion`` is, which says so by :meth:`companion_over`."""
        self._companion = companion

    def companion_over(self) -> None:
        """The program at the other side of stdio has ended: that is this one's lost connection."""
        self._companion = None
        self.connection_lost()
        self._pipe_lost()

    def connection_lost(self) -> None:
        """What its stdio was joined to is gone: it reads end-of-file, and has no more to do."""
        self._ask_to_stop(LOST, None)

    def when_ended(self, call: Callable[[], None]) -> None:
        """Call ``call`` once the job is over, before the handler hears of it."""
        self._at_end.append(call)

    @property
    def pending(self) -> int:
        return self._work.pending

    def announced(self, id: str) -> bool:
        if super().announced(id) or self.journal is None or id not in self.held:
            return super().announced(id)
        with suppress(OSError):
            return (id, self.held[id].frame.attempt) in self.journal.announced()
        return False

    def pause(self) -> None:
        if self._outcome is None:
            self._report.pauseProducing()

    def resume(self) -> None:
        self._report.resumeProducing()

    def stop(self, patience: float | None = None) -> None:
        self._ask_to_stop("it was told to stop", patience)

    def _ask_to_stop(self, why: str, patience: float | None) -> None:
        if self._outcome is None:
            if not self._stopping or self._retiring:
                self._stopping = why
                self._retiring = False
                self.send_stop()
            self._child.end_after(self._shared.settings.stop_timeout if patience is None else patience)

    def retire(self) -> None:
        if self._outcome is not None or self._stopping:
            return
        self._stopping = "it was replaced"
        self._retiring = True
        slave = self.spec.role != "master"
        self.send_stop(sessions=slave)
        if slave:
            self._retire_timer = self._shared.clock.callLater(LONGEST_SESSION, self.stop)
        elif not self.held:
            self._has_finished()

    def _has_finished(self) -> None:
        if self._retiring:
            self._child.end_after(self._shared.settings.stop_timeout)

    def end(self, reason: str) -> None:
        self._reason = self._reason or reason
        self._child.kill()

    def log_line(self, line: str) -> None:
        """Log a line under the job's name, as if it were of its stderr."""
        log.info(
            "{job} {channel}: {line}", job=self.id, channel=self.spec.channel.name, pid=self.pid, line=line
        )
        if self.over:
            return
        try:
            self._handler.job_logged(self, line)
        except Exception:
            log.failure("{job}: bug while handling what it logged", job=self.id)

    def _write(self, data: bytes) -> None:
        self._work.write(data)

    def _log(self, data: bytes) -> None:
        self._heard = True
        self._lines.feed(data)

    def _exited(self, status: int | None, signal: int | None) -> None:
        self._outcome = status, signal
        if self._retire_timer is not None and self._retire_timer.active():
            self._retire_timer.cancel()
        self._drain_timer = self._shared.clock.callLater(self._shared.settings.drain, self._sweep)
        if self._companion is not None:
            self._companion.program_ended()
        # The handler may have paused it; no more comes than the pipe holds.
        self._report.resumeProducing()
        self._stderr.hurry()
        self._work.close()
        self._pipe_lost()

    def _sweep(self) -> None:
        """Something holds the pipes of a program that is gone: kill it, or else turn away from it."""
        self._child.sweep()
        self._shared.hunt(self.id)
        self._drain_timer = self._shared.clock.callLater(self._shared.settings.drain, self._turn_away)

    def _turn_away(self) -> None:
        self.log_line("[something it started outlived it and held its pipes open]")
        self._report.close()
        self._stderr.close()

    def _pipe_lost(self) -> None:
        """A pipe is at its end; when that was the last thing to wait for, so is the job."""
        if self._outcome is None:
            if not (self._report.connected and self._work.connected):
                self._leaving = True
                self._child.end_after(self._shared.settings.leave)
        elif not (self._report.connected or self._stderr.connected):
            if self._drain_timer is not None and self._drain_timer.active():
                self._drain_timer.cancel()
            if self._companion is None and not self._concluded:
                self._concluded = True
                self._conclude(*self._outcome)

    def _conclude(self, status: int | None, signal: int | None) -> None:
        self._child.sweep()
        self._lines.close()
        if self.journal is not None:
            self._mark_sent(self.journal)
        for call in self._at_end:
            call()
        text = outcome_text(status, signal, self._lines.last)
        if self._stopping:
            text += f" after {self._stopping}"
        elif self._leaving and self._child.terminated:
            text += " after it closed a job pipe and did not exit"
        self._over(status, signal, text, bool(self._stopping), self._stopping == LOST)

    def _mark_sent(self, journal: Journal) -> None:
        try:
            announced = journal.announced()
        except OSError:
            # Then nobody knows: whatever it held may have been sent.
            log.failure("{job}: its journal cannot be read", job=self.id)
            for assignment in self.held.values():
                assignment.sent = True
            return
        for id, attempt in announced:
            held = self.held.get(id)
            if held is not None and held.frame.attempt == attempt:
                held.sent = True


class Companion(Protocol):
    """What a job's stdio is joined to, when it has to end before the job is over."""

    def program_ended(self) -> None:
        """The job's program has gone; :meth:`Job.companion_over` is to follow."""


@implementer(IPushProducer)
class _WhenDrained:
    """A producer for :class:`PipeWriter` that is told when its buffer is empty."""

    def __init__(self, drained: Callable[[], None]) -> None:
        self._drained = drained

    def pauseProducing(self) -> None:
        """The writer's own count (``pending``) is what holds content back."""

    def resumeProducing(self) -> None:
        self._drained()

    def stopProducing(self) -> None:
        """The pipe is gone: :class:`Job` hears of that itself."""
