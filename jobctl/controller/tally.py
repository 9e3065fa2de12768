"""What each running job has done, for ``qm jobs``."""

import msgspec

from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.entry import StoredEntry


class JobTally(msgspec.Struct):
    """``processed``: attempts with a verdict; ``failed``: of them those with a recipient not delivered."""

    processed: int = 0
    failed: int = 0


class Flow(msgspec.Struct):
    """
    What a channel has done since the start of the daemon: ``accepted`` entries, octets of those
    whose attempts ended without a recipient deferred, and recipients by verdict.
    """

    accepted: int = 0
    delivered: int = 0
    deferred: int = 0
    failed: int = 0
    octets: int = 0


class Tally:
    """
    Counts attempts by job, forgotten when the job ends, and what goes through each channel.

    :ivar messages: Entries queued and attempts ended, of all channels.
    """

    def __init__(self) -> None:
        self.messages = 0
        self._jobs: dict[str, JobTally] = {}
        self._flows: dict[str, Flow] = {}

    def flow(self, channel: str) -> Flow:
        """What has gone through a channel."""
        flow = self._flows.get(channel)
        if flow is None:
            flow = self._flows[channel] = Flow()
        return flow

    def accepted(self, channel: str) -> None:
        """An entry was queued."""
        self.messages += 1
        self.flow(channel).accepted += 1

    def of(self, job: str) -> JobTally:
        """The counts of a job; zeros for one that has done nothing."""
        return self._jobs.get(job) or JobTally()

    def attempted(self, job: str, stored: StoredEntry, dispositions: list[Disposition]) -> None:
        """One attempt is over."""
        self.messages += 1
        flow = self.flow(stored.entry.channel)
        open = len(stored.envelope.recipients)
        for disposition in dispositions:
            if disposition.verdict is Verdict.FAILED:
                flow.failed += 1
            elif disposition.verdict is not Verdict.DEFERRED:
                flow.delivered += 1
            else:
                continue
            open -= 1
        if open > 0:
            flow.deferred += open
        else:
            flow.octets += stored.entry.size
        tally = self._jobs.get(job)
        if tally is None:
            tally = self._jobs[job] = JobTally()
        tally.processed += 1
        if not dispositions or any(d.verdict in (Verdict.DEFERRED, Verdict.FAILED) for d in dispositions):
            tally.failed += 1

    def forget(self, job: str) -> None:
        """The job is over."""
        self._jobs.pop(job, None)
