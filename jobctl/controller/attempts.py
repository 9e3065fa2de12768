"""Attempts under way: which entry is in whose hands, and what follows when a verdict, or none, comes."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.controller.hot import HotMessages
from jobctl.controller.intake import Intake
from jobctl.controller.verdicts import GIVEN_BACK, Verdicts
from jobctl.errors import StoreError
from jobctl.interfaces import IContent
from jobctl.jobprotocol.frames import Report
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.entry import Lasting, Settlement, StoredEntry
from jobctl.mail.notification import QUOTE_LIMIT

log = Logger()


class UnderWay(msgspec.Struct):
    """
    One entry in the hands of one job.

    :ivar content: The content when it was at hand, for a notification.
    """

    stored: StoredEntry
    job: str
    content: bytes | None


class Attempts:
    """
    Every entry that a job holds.

    An entry goes back to the schedule only after what was learnt about it is
    committed: until then it stays active, so nothing outdated is handed out.

    :ivar recorded: Called each time an attempt's outcome is committed and in the schedule.
    :ivar watchers: Called with (attempt, dispositions) for each finished attempt: logs and ``run``.
    :ivar suspects: Attempts since the start whose final dot went out and no verdict came.
    :param standstill: Called with a reason when results can no longer be recorded, and with ``""``
        when they can again: nothing may be handed out in between (what is delivered but not
        recorded would be delivered again).
    """

    def __init__(
        self,
        store: Any,
        scheduler: Any,
        hot: HotMessages,
        intake: Intake,
        verdicts: Verdicts,
        reactor: Any,
        kick: Callable[[], None],
        standstill: Callable[[str], None],
    ) -> None:
        self._store = store
        self._scheduler = scheduler
        self._hot = hot
        self._intake = intake
        self.verdicts = verdicts
        self._reactor = reactor
        self._kick = kick
        self._standstill = standstill
        self._open: dict[str, UnderWay] = {}
        self.suspects = 0
        self._unrecorded: dict[str, tuple[Settlement, StoredEntry]] = {}
        self.recorded: list[Callable[[], None]] = []
        self.watchers: list[Callable[[UnderWay, list[Disposition]], None]] = []

    def begin(self, stored: StoredEntry, job: str, content: bytes | None) -> None:
        """An entry is handed to a job."""
        self._open[stored.entry.id] = UnderWay(stored, job, content)

    def get(self, entry_id: str) -> UnderWay | None:
        """The attempt under way, if there is one."""
        return self._open.get(entry_id)

    def __len__(self) -> int:
        return len(self._open)

    def report(self, frame: Report) -> None:
        """A job's verdicts on one entry: supervision has seen to it that there is one for every recipient."""
        attempt = self._open.pop(frame.id, None)
        if attempt is None:
            return
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
            )
            for recipient in attempt.stored.envelope.recipients
        ]
        self._conclude(attempt, dispositions, frame)

    def _conclude(self, attempt: UnderWay, dispositions: list[Disposition], frame: Report) -> None:
        entry = attempt.stored.entry
        for watcher in self.watchers:
            watcher(attempt, dispositions)
        now = self._reactor.seconds()
        counted = frame.scope == "recipient"
        retry = frame.retry
        if frame.scope == "host":
            backoff = self._scheduler.host_failed(entry.channel, entry.host, now)
            self._store.set_host_backoff(
                entry.channel, entry.host, backoff.failures, backoff.until, frame.reply
            ).addErrback(_logged)
        elif counted:
            if self._scheduler.host_answered(entry.channel, entry.host, now):
                self._store.set_host_backoff(entry.channel, entry.host, 0, 0.0, "").addErrback(_logged)
        elif retry is None:
            # Given back unasked: not at once again, or a program that refuses everything would spin.
            retry = 0.0 if not any(d.reply for d in dispositions) else GIVEN_BACK
        failed = any(d.verdict is Verdict.FAILED for d in dispositions)
        done = self._quotable(attempt) if failed else succeed(None)
        done.addCallback(self._settle_tried, attempt, dispositions, counted, retry, now)
        done.addErrback(_logged)

    def _settle_tried(
        self,
        content: bytes | None,
        attempt: UnderWay,
        dispositions: list[Disposition],
        counted: bool,
        retry: float | None,
        now: float,
    ) -> None:
        settlement = self.verdicts.tried(
            attempt.stored,
            dispositions,
            counted=counted,
            retry=retry,
            job=attempt.job,
            now=now,
            content=content,
        )
        self.settle(settlement, attempt.stored)

    def _quotable(self, attempt: UnderWay) -> Deferred[bytes | None]:
        if attempt.content is not None:
            return succeed(attempt.content)
        return self.quotable(attempt.stored)

    def quotable(self, stored: StoredEntry) -> Deferred[bytes | None]:
        """The original, or its beginning, to be quoted; ``b""`` when it cannot be read any more."""
        reading: Deferred[IContent] = self._store.content(stored.message)

        def read(content: IContent) -> bytes:
            try:
                pieces, left = [], QUOTE_LIMIT
                while left > 0 and (piece := content.read(min(left, 65536))):
                    pieces.append(piece)
                    left -= len(piece)
                return b"".join(pieces)
            finally:
                content.close()

        reading.addCallbacks(read, lambda why: why.trap(StoreError) and b"")
        return reading

    def settle(self, settlement: Settlement, stored: StoredEntry) -> Deferred[bool]:
        """
        Record a settlement, then tell the schedule.

        :return: Fires with whether the entry was still there; never fails: what cannot be
            recorded is kept and tried again, and hand-outs stand still until it is.
        """
        self._hot.drop(settlement.id)
        done: Deferred[Any] = self._store.settle(settlement)
        done.addCallbacks(self._settled, self._not_recorded, (settlement, stored), None, (settlement, stored))
        return done

    def _settled(self, notice_ids: list[list[str]], settlement: Settlement, stored: StoredEntry) -> bool:
        now = self._reactor.seconds()
        entry = stored.entry
        for ids, notice in zip(notice_ids, settlement.notifications, strict=False):
            self._intake.remember(ids, notice)
        left = len(settlement.losses) < len(stored.envelope.recipients)
        if not left or settlement.state is Lasting.HELD:
            self._scheduler.settled(entry.id, now)
        else:
            due = entry.due if settlement.due is None else settlement.due
            attempts = entry.attempts if settlement.attempts is None else settlement.attempts
            self._scheduler.deferred(entry.id, due, attempts, now)
        for watcher in self.recorded:
            watcher()
        self._kick()
        return True

    def _not_recorded(self, why: Failure, settlement: Settlement, stored: StoredEntry) -> bool:
        log.critical(
            "{entry}: its result cannot be recorded, so nothing more is handed out until it can: {why}",
            entry=settlement.id,
            why=why.getErrorMessage(),
        )
        if not self._unrecorded:
            self._standstill(why.getErrorMessage())
            self._reactor.callLater(10, self._record_again)
        self._unrecorded[settlement.id] = (settlement, stored)
        return False

    def _record_again(self) -> None:
        waiting, self._unrecorded = self._unrecorded, {}
        self._standstill("")
        for settlement, stored in waiting.values():
            self.settle(settlement, stored)

    def unreachable(self, entry_ids: list[str], why: Any, job: str) -> None:
        """
        A destination could not be reached before there was a job for these entries.

        :param why: jobctl.jobs.environment.CannotStart; temporary: deferred, no attempt counted;
            else they fail.
        """
        verdict = Verdict.DEFERRED if why.temporary else Verdict.FAILED
        reply = f"{451 if why.temporary else 550} {why.status} {why}"

        def fetched(found: list[StoredEntry]) -> None:
            there = {stored.entry.id: stored for stored in found if stored.state is Lasting.QUEUED}
            now = self._reactor.seconds()
            for entry_id in entry_ids:
                stored = there.get(entry_id)
                if stored is None:
                    self._scheduler.settled(entry_id, now)
                    continue
                dispositions = [
                    Disposition(recipient.address, verdict, why.status, reply)
                    for recipient in stored.envelope.recipients
                ]
                content = self.quotable(stored) if verdict is Verdict.FAILED else succeed(None)
                content.addCallback(
                    self._settle_tried, UnderWay(stored, job, None), dispositions, False, None, now
                )
                content.addErrback(_logged)

        def failed(reason: Failure) -> None:
            log.error(
                "{count} messages cannot be read: {why}", count=len(entry_ids), why=reason.getErrorMessage()
            )
            now = self._reactor.seconds()
            for entry_id in entry_ids:
                self._scheduler.deferred(entry_id, now + 60, None, now)

        if entry_ids:
            self._store.fetch(entry_ids).addCallbacks(fetched, failed).addErrback(_logged)

    def job_ended(self, job: str, entry_ids: list[str], how: Any, held: Mapping[str, Any]) -> Deferred[bool]:
        """
        A job is over; whoever has no verdict is deferred, no attempt counted.

        :param entry_ids: In the order they were handed out.
        :param held: Its open :class:`jobctl.jobs.assignment.Assignment` by id: verdicts given so far stand.
        :return: Fires when all of that is recorded, with ``False`` when some of it could not be.
        """
        now = self._reactor.seconds()
        settling: list[Deferred[bool]] = []
        # Ended by us, or a lost session that the program itself told of: no message is to blame.
        peaceful = how.stopped or how.exit_status in (os.EX_OK, os.EX_TEMPFAIL, os.EX_CONFIG)
        violent = not peaceful and (how.signal is not None or how.exit_status is not None)
        # Only what it was working on can have killed it: the oldest it held.
        first = True
        for entry_id in entry_ids:
            attempt = self._open.pop(entry_id, None)
            if attempt is None:
                self._scheduler.deferred(entry_id, now, None, now)
                continue
            assignment = held.get(entry_id)
            sent = assignment is not None and assignment.sent
            if sent:
                self.suspects += 1
                log.warn(
                    "{entry}: job {job} {why}; it may have been delivered",
                    entry=entry_id,
                    job=job,
                    why=how.text,
                )
            settlement = self.verdicts.interrupted(
                attempt.stored,
                [] if assignment is None else assignment.ended(how.text),
                why=how.text,
                deadly=violent and first,
                sent=sent,
                job=job,
                now=now,
            )
            first = False
            for watcher in self.watchers:
                watcher(attempt, [])
            settling.append(self.settle(settlement, attempt.stored))
        self._kick()
        return gatherResults(settling).addCallback(all)


def _logged(why: Failure) -> None:
    log.failure("unexpected", failure=why)
