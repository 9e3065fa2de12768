"""Running a channel in somebody's sight: its backlog tried once, the dialogue shown, the verdicts counted."""

import os
from typing import Any

from twisted.internet.defer import Deferred

from jobctl.config.settings import ChannelSettings
from jobctl.errors import UsageError
from jobctl.mail.disposition import Disposition, Verdict


class Run:
    """
    One ``run``: everything queued to a channel when it began.

    :ivar done: Fires with ``{delivered, deferred, failed}`` (recipients) when all has been tried.
    """

    def __init__(self, name: str, channel: str, stream: Any) -> None:
        self.name = name
        self.channel = channel
        self.stream = stream
        self.done: Deferred[dict[str, int]] = Deferred()
        self.delivered = 0
        self.deferred = 0
        self.failed = 0

    def count(self, dispositions: list[Disposition], recipients: int) -> None:
        """One entry's verdicts; recipients without one are deferred."""
        for disposition in dispositions:
            if disposition.verdict is Verdict.DEFERRED:
                continue
            if disposition.verdict is Verdict.FAILED:
                self.failed += 1
            else:
                self.delivered += 1
            recipients -= 1
        self.deferred += max(recipients, 0)

    def result(self) -> dict[str, int]:
        """The counts so far."""
        return {"delivered": self.delivered, "deferred": self.deferred, "failed": self.failed}


class Runs:
    """The runs under way, by name; jobs belong to one by ``JobSpec.run``."""

    def __init__(self, controller: Any) -> None:
        self._at = controller
        self._runs: dict[str, Run] = {}
        self._jobs: dict[str, str] = {}
        self._last = 0
        controller.handler.log_watchers.append(self._logged)
        controller.handler.spawn_watchers.append(self._job_began)
        controller.handler.end_watchers.append(self._job_ended)
        controller.handler.failure_watchers.append(self._start_failed)
        controller.attempts.watchers.append(self._attempted)
        controller.dispatch.decided.append(self._decided)

    def begin(self, channel: ChannelSettings, stream: Any, poll: bool) -> Run:
        """
        Try all that is queued to a channel.

        :raises UsageError: The channel has no master program.
        """
        if not channel.master_command:
            raise UsageError(
                f"channel {channel.name} has no master program: give its class a master_command", os.EX_CONFIG
            )
        run = self.enter(channel.name, stream)
        if poll and self._at.scheduler.run_done(run.name):
            self._at.start_job(channel.name, None, run.name)
        self._at.dispatch.kick()
        self._end_if_done(run)
        return run

    def give_up(self, run: Run) -> None:
        """Nobody watches any more: what was not tried goes back to the schedule, its jobs are told to stop."""
        if run.done.called:
            return
        self._at.scheduler.end_run(run.name, self._at.reactor.seconds())
        for job in self._jobs_of(run):
            self._at.scheduler.job_stopping(job.id)
            job.stop()
        self._at.dispatch.kick()

    def enter(self, channel: str, stream: Any, *, starts: bool = True) -> Run:
        """
        Name a run and give the schedule all of the channel's mail for it.

        :param starts: Whether the schedule starts jobs for it; else one has come by itself.
        """
        self._last += 1
        run = Run(f"run-{self._last}", channel, stream)
        self._runs[run.name] = run
        self._at.scheduler.run(channel, run.name, self._at.reactor.seconds(), starts)
        return run

    def _jobs_of(self, run: Run) -> list[Any]:
        return [job for job in self._at.jobs.values() if job.spec.run == run.name]

    def _of(self, spec: Any) -> Run | None:
        return None if spec.run is None else self._runs.get(spec.run)

    def _logged(self, job: Any, line: str) -> None:
        run = self._of(job.spec)
        if run is not None and run.stream is not None:
            run.stream.line(line)

    def _attempted(self, attempt: Any, dispositions: list[Disposition]) -> None:
        # By name, not through the running jobs: verdicts also come of a job's end.
        run = self._runs.get(self._jobs.get(attempt.job, ""))
        if run is not None:
            run.count(dispositions, len(attempt.stored.envelope.recipients))

    def _decided(self) -> None:
        for run in list(self._runs.values()):
            self._end_if_done(run)

    def _job_began(self, job: Any) -> None:
        if job.spec.run is not None:
            self._jobs[job.id] = job.spec.run

    def _job_ended(self, job: Any, how: Any) -> None:
        run = self._of(job.spec)
        self._jobs.pop(job.id, None)
        if run is not None:
            died = how.signal is not None or how.exit_status not in (0, None)
            if died and not how.worked and not any(run.result().values()):
                # It died before its first work: what it was started for waits.
                run.deferred = 1
            if run.stream is not None and how.exit_status != 0:
                run.stream.line(f"{job.spec.channel.name}: job {job.id} {how.text}")
            self._end_if_done(run)

    def _start_failed(self, spec: Any, why: Any, learnt: int) -> None:
        run = self._of(spec)
        if run is not None:
            if why.status and not why.temporary:
                run.failed += learnt
            else:
                run.deferred += max(learnt, 1)
            if run.stream is not None:
                run.stream.line(f"{spec.channel.name}: {why}")
            self._end_if_done(run)

    def _end_if_done(self, run: Run) -> None:
        if run.done.called or not self._at.scheduler.run_done(run.name):
            return
        mine = self._jobs_of(run)
        for job in mine:
            job.stop()
        if not mine and not any(spec.run == run.name for spec in self._at.starting.values()):
            self._runs.pop(run.name, None)
            if not any(run.result().values()):
                # Nothing was left for it to try: what there is was in other hands, and still waits.
                counts = self._at.scheduler.counts(run.channel)
                run.deferred = counts.ready + counts.active + counts.delayed
            run.done.callback(run.result())
