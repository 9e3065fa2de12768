"""Attempts under way: which entry is in whose hands, and what follows when a verdict, or none, comes."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from jobctl.controller.hosts import Hosts
from jobctl.controller.notices import NOTHING
from jobctl.controller.quotes import Quotes
from jobctl.controller.recording import Recorder
from jobctl.controller.verdicts import GIVEN_BACK, Verdicts, aside, losses_of
from jobctl.jobprotocol.frames import Report
from jobctl.jobs.assignment import Assignment
from jobctl.jobs.spec import Ended
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.entry import Settlement, StoredEntry
from jobctl.notification.notice import Original

log = Logger()

# Characters of the name of a site.
LONGEST_SITE = 512
# Entries remembered that were given back without a word.
MOST_GIVEN_BACK = 10_000


class UnderWay(msgspec.Struct):
    """
    One entry in the hands of one job.

    :ivar content: The content when it was at hand, for a notification.
    :ivar since: Epoch seconds of the hand-out.
    """

    stored: StoredEntry
    job: str
    content: bytes | None
    since: float = 0.0


class Attempts:
    """
    Every entry that a job holds, or has held until its result is recorded.

    :ivar watchers: Called with (attempt, dispositions) for each finished attempt: logs and ``run``.
    :ivar suspects: Attempts since the start whose final dot went out and no verdict came.
    """

    def __init__(
        self,
        scheduler: Any,
        recorder: Recorder,
        verdicts: Verdicts,
        quotes: Quotes,
        hosts: Hosts,
        seconds: Callable[[], float],
    ) -> None:
        self._scheduler = scheduler
        self._recorder = recorder
        self._verdicts = verdicts
        self._quotes = quotes
        self._hosts = hosts
        self._seconds = seconds
        self._open: dict[str, UnderWay] = {}
        # Verdicts were given, or never will be; what follows is not on the disk yet.
        self._concluding: dict[str, UnderWay] = {}
        # By job: entries of the two above; and who waits for there to be none.
        self._owed: dict[str, int] = {}
        self._ended: dict[str, Deferred[None]] = {}
        self._quoting: set[Deferred[None]] = set()
        self._given_back: dict[str, None] = {}
        self.suspects = 0
        self.watchers: list[Callable[[UnderWay, list[Disposition]], None]] = []
        recorder.recorded.append(self._recorded)

    def begin(self, stored: StoredEntry, job: str, content: bytes | None) -> None:
        """An entry is handed to a job."""
        self._open[stored.entry.id] = UnderWay(stored, job, content, self._seconds())
        self._owed[job] = self._owed.get(job, 0) + 1

    def undo(self, entry_id: str) -> None:
        """It was not handed over after all."""
        self._owe_less(self._open.pop(entry_id))

    def get(self, entry_id: str) -> UnderWay | None:
        """The attempt under way, if there is one."""
        return self._open.get(entry_id)

    def concluding(self, entry_id: str) -> UnderWay | None:
        """The attempt that is over, if what came of it is not on the disk yet."""
        return self._concluding.get(entry_id)

    def __len__(self) -> int:
        return len(self._open)

    def report(self, frame: Report) -> None:
        """A job's verdicts on one entry: supervision has seen to it that there is one for every recipient."""
        attempt = self._open.pop(frame.id, None)
        if attempt is None:
            return
        self._concluding[frame.id] = attempt
        if frame.scope != "local" and self._scheduler.suspicious:
            self._scheduler.acquit(frame.id)
        given = {disposition.recipient: disposition for disposition in frame.results}
        dispositions = [
            given.get(recipient.address)
            or Disposition(
                recipient.address,
                frame.verdict or Verdict.DEFERRED,
                frame.status,
                frame.reply,
                frame.remote,
                frame.transport,
                frame.timed,
            )
            for recipient in attempt.stored.envelope.recipients
        ]
        self._tell(attempt, dispositions)
        counted = frame.scope == "recipient"
        retry = self._learn(attempt, dispositions, frame)
        if self._verdicts.notices.told_of(attempt.stored, dispositions):
            quoting: Deferred[None] = self._quotes.of(attempt.stored, attempt.content).addCallback(
                self._settle, attempt, dispositions, counted, retry
            )
            self._quoting.add(quoting)
            quoting.addBoth(lambda _: self._quoting.discard(quoting))
        else:
            self._settle(NOTHING, attempt, dispositions, counted, retry)

    def _tell(self, attempt: UnderWay, dispositions: list[Disposition]) -> None:
        for watcher in self.watchers:
            try:
                watcher(attempt, dispositions)
            except Exception:
                log.failure("{entry}: bug while counting its attempt", entry=attempt.stored.entry.id)

    def _learn(self, attempt: UnderWay, dispositions: list[Disposition], frame: Report) -> float | None:
        """What a report says about the destination; gives in how many seconds to try again, if it says so."""
        entry = attempt.stored.entry
        if frame.scope == "host":
            self._hosts.failed(entry.channel, entry.host, frame.reply, self._seconds())
        elif frame.scope == "recipient":
            if frame.site:
                self._scheduler.host_at(entry.channel, entry.host, frame.site[:LONGEST_SITE])
            self._hosts.answered(entry.channel, entry.host, self._seconds())
        elif frame.retry is None:
            return self._pause(entry.id, dispositions)
        if self._given_back:
            self._given_back.pop(entry.id, None)
        return frame.retry

    def _pause(self, entry_id: str, dispositions: list[Disposition]) -> float:
        """Given back unasked: at once again if there was no reason, but not for ever, or that would spin."""
        if entry_id in self._given_back or any(d.reply for d in dispositions):
            return GIVEN_BACK
        if len(self._given_back) >= MOST_GIVEN_BACK:
            self._given_back.clear()
        self._given_back[entry_id] = None
        return 0.0

    def _settle(
        self,
        original: Original,
        attempt: UnderWay,
        dispositions: list[Disposition],
        counted: bool,
        retry: float | None,
    ) -> None:
        stored = attempt.stored
        attempt.content = None
        now = self._seconds()
        try:
            settlement = self._verdicts.tried(
                stored,
                dispositions,
                counted=counted,
                retry=retry,
                job=attempt.job,
                now=now,
                original=original,
            )
        except Exception as why:
            log.failure("{entry}: bug while acting on its verdicts", entry=stored.entry.id)
            known = Settlement(
                id=stored.entry.id,
                losses=losses_of(dispositions),
                said=tuple(dispositions),
                job=attempt.job,
            )
            settlement = aside(known, f"error in the controller: {why}", now)
        self._recorder.record(settlement, stored)

    def job_ended(
        self, job: str, entry_ids: list[str], how: Ended, held: Mapping[str, Assignment]
    ) -> Deferred[None]:
        """
        A job is over; whoever has no verdict is deferred, no attempt counted.

        :param entry_ids: What the schedule gave it and has not back, in the order they were handed out.
        :param held: Its open assignments by id: verdicts given so far stand.
        :return: Fires once all that it ever held is recorded.
        """
        now = self._seconds()
        # Ended by us, or a lost session that the program itself told of: no message is to blame.
        peaceful = how.stopped or how.exit_status in (os.EX_OK, os.EX_TEMPFAIL, os.EX_CONFIG)
        deadly = not peaceful and (how.signal is not None or how.exit_status is not None)
        under_way = []
        for entry_id in entry_ids:
            if entry_id in self._concluding:
                continue
            assignment = held.get(entry_id)
            if entry_id in self._open and assignment is not None and assignment.untouched:
                # The program has seen nothing of it.  How fast programs that come to nothing follow one
                # another, the schedule limits; one that gave a verdict has made the queue shorter.
                self.undo(entry_id)
            attempt = self._open.pop(entry_id, None)
            if attempt is None:
                # Or it had not been read yet.
                self._scheduler.deferred(entry_id, now, None, now)
            else:
                under_way.append(attempt)
        if deadly:
            deadly = self._scheduler.died([attempt.stored.entry.id for attempt in under_way])
        for attempt in under_way:
            assignment = held.get(attempt.stored.entry.id)
            self._interrupt(attempt, assignment, how, deadly, now)
        done: Deferred[None] = Deferred()
        if job in self._owed:
            self._ended[job] = done
        else:
            done.callback(None)
        return done

    def _interrupt(
        self, attempt: UnderWay, assignment: Assignment | None, how: Ended, deadly: bool, now: float
    ) -> None:
        stored = attempt.stored
        entry_id = stored.entry.id
        self._concluding[entry_id] = attempt
        sent = assignment is not None and assignment.sent
        if sent:
            self.suspects += 1
            log.warn(
                "{entry}: job {job} {why}; it may have been delivered",
                entry=entry_id,
                job=attempt.job,
                why=how.text,
            )
        # Failures are asked about again, so that a program that lives gives the reason.
        known = [] if assignment is None else assignment.ended(how.text)
        delivered = [d for d in known if d.verdict in (Verdict.DELIVERED, Verdict.RELAYED)]
        self._tell(attempt, delivered)
        settlement = self._verdicts.interrupted(
            stored, delivered, why=how.text, deadly=deadly, sent=sent, job=attempt.job, now=now
        )
        self._recorder.record(settlement, stored)

    def _recorded(self, entry_id: str) -> None:
        attempt = self._concluding.pop(entry_id, None)
        if attempt is not None:
            self._owe_less(attempt)

    def _owe_less(self, attempt: UnderWay) -> None:
        job = attempt.job
        self._owed[job] -= 1
        if not self._owed[job]:
            del self._owed[job]
            ended = self._ended.pop(job, None)
            if ended is not None:
                ended.callback(None)

    async def finish(self) -> None:
        """Wait until every result is recorded, or could not be once more."""
        while self._quoting:
            await DeferredList(list(self._quoting))
        await self._recorder.finish()
