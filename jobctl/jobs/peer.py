"""The program that ``transport = "command:..."`` puts at the other side of a job's stdio."""

import os
from typing import Any

from jobctl.config.settings import ChannelSettings
from jobctl.jobs.child import Child, open_failed, outcome_text, prepare
from jobctl.jobs.job import Job
from jobctl.jobs.log_lines import LineLog
from jobctl.jobs.paced import PacedReader
from jobctl.jobs.shared import Shared


class Peer:
    """
    One such program.

    Its stderr goes into the log under the job's name; its end is a lost connection
    for the job, and is said in the log and in ``job.peer``.

    :param name: What to call it in the log.
    """

    def __init__(self, shared: Shared, name: str) -> None:
        self._shared = shared
        self._name = name
        self._job: Job | None = None
        self._child = Child(shared.clock, shared.settings.kill_after)
        self._lines = LineLog(shared.clock.seconds, self._log_line)
        self._stderr: PacedReader
        self._outcome: tuple[int | None, int | None] | None = None
        self._timer: Any = None

    def start(
        self,
        argv: tuple[str, ...],
        variables: dict[str, str],
        channel: ChannelSettings,
        stdio: tuple[int, int],
    ) -> None:
        """
        Start it, as the channel's programs are.

        :param stdio: Its stdin and stdout; they stay the caller's.
        :raises CannotStart: Nothing is left of the attempt.
        """
        program = prepare(argv, variables, channel)
        try:
            stderr_end, stderr = os.pipe2(os.O_CLOEXEC)
        except OSError as why:
            raise open_failed(why) from None
        try:
            self._child.start(self._shared.reactor, program, {0: stdio[0], 1: stdio[1], 2: stderr})
        except BaseException:
            os.close(stderr_end)
            raise
        finally:
            os.close(stderr)
        self._stderr = PacedReader(
            self._shared.reactor, self._shared.clock, stderr_end, self._lines.feed, self._conclude
        )
        self._shared.keep(self)
        self._child.watch(self._exited)

    def join(self, job: Job) -> None:
        """Belong to a job."""
        self._job = job
        job.accompany(self)

    def abort(self) -> None:
        """End it at once."""
        self._child.kill()

    def program_ended(self) -> None:
        """Its stdin is at its end, and it should be too, soon."""
        self._child.end_after(self._shared.settings.leave)

    def _log_line(self, line: str) -> None:
        if self._job is not None:
            self._job.heard()
            self._job.log_line(f"{self._name}: {line}")

    def _exited(self, status: int | None, signal: int | None) -> None:
        self._outcome = status, signal
        self._stderr.hurry()
        if self._stderr.connected:
            self._timer = self._shared.clock.callLater(self._shared.settings.drain, self._turn_away)
        else:
            self._conclude()

    def _turn_away(self) -> None:
        self._child.sweep()
        self._stderr.close()

    def _conclude(self) -> None:
        """Both the process and its stderr are at their end."""
        if self._outcome is None or self._stderr.connected:
            return
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._child.sweep()
        self._lines.close()
        if self._job is not None:
            text = outcome_text(*self._outcome, self._lines.last)
            self._job.peer = f"{self._name} {text}"
            self._job.log_line(self._job.peer)
            self._job.companion_over()
        self._shared.release(self)
