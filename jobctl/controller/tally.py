"""What each running job has done, for ``qm jobs``."""

import msgspec

from jobctl.mail.disposition import Disposition, Verdict


class JobTally(msgspec.Struct):
    """``processed``: attempts with a verdict; ``failed``: of them those with a recipient not delivered."""

    processed: int = 0
    failed: int = 0


class Tally:
    """Counts attempts by job, forgotten when the job ends."""

    def __init__(self) -> None:
        self._jobs: dict[str, JobTally] = {}

    def of(self, job: str) -> JobTally:
        """The counts of a job; zeros for one that has done nothing."""
        return self._jobs.get(job) or JobTally()

    def attempted(self, job: str, dispositions: list[Disposition]) -> None:
        """One attempt is over."""
        tally = self._jobs.get(job)
        if tally is None:
            tally = self._jobs[job] = JobTally()
        tally.processed += 1
        if not dispositions or any(d.verdict in (Verdict.DEFERRED, Verdict.FAILED) for d in dispositions):
            tally.failed += 1

    def forget(self, job: str) -> None:
        """The job is over."""
        self._jobs.pop(job, None)
