"""``top``: what goes on just now: channels, destinations, jobs and what they are doing."""

import os
import socket
from collections import Counter
from heapq import nlargest, nsmallest
from operator import itemgetter
from typing import Any

from twisted.internet.defer import Deferred

from jobctl import __version__
from jobctl.control.operations import Caller
from jobctl.control.requests import QmSummarize, Top
from jobctl.controller.looks import Looks
from jobctl.jobprotocol.frames import Look, Work

# Seconds that programs get to say what they are doing; who is late is shown as he was.
PATIENCE = 0.3
# A count of the queue is shown again for a second, and for so many times as long as it took.
FRESH = 1.0
SHARE = 20.0
_BUSY = itemgetter(0, 1)
_LONGEST = itemgetter(0, 1, 2)


class Monitor:
    """
    Costs nothing while nobody watches: programs are asked when somebody does.

    :param controller: What is looked at.
    """

    def __init__(self, controller: Any, looks: Looks) -> None:
        self._at = controller
        self._looks = looks
        self._work: dict[str, tuple[Work, ...]] = {}
        self._awaited: set[str] = set()
        self._waiting: list[Deferred[None]] = []
        # By job: who asked about one of its messages.
        self._asked: dict[str, list[Deferred[None]]] = {}
        self._counts: list[dict[str, Any]] = []
        self._counted_until = 0.0
        controller.handler.work_told = self._told
        controller.handler.end_watchers.append(lambda job, how: self._gone(job))

    async def top(self, request: Top, caller: Caller, stream: Any) -> dict[str, Any]:
        counts = await self._count()
        await self._ask()
        now = self._at.reactor.seconds()
        jobs = Counter(job.spec.channel.name for job in self._at.jobs.values())
        return {
            "now": now,
            "started": self._at.started,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "version": __version__,
            "channels": [self._channel(row, jobs[row["channel"]]) for row in counts],
            "hosts": self._hosts(request.hosts),
            "jobs": [self._job(job) for job in self._at.jobs.values()],
            "messages": self._messages(request.messages),
        }

    async def _count(self) -> list[dict[str, Any]]:
        start = self._at.reactor.seconds()
        if start >= self._counted_until or self._counted_until > start + 60:
            self._counts = await self._looks.qm_summarize(QmSummarize(), None, None)  # type: ignore[arg-type]
            now = self._at.reactor.seconds()
            self._counted_until = now + max(FRESH, min(SHARE * (now - start), 30.0))
        return self._counts

    async def _ask(self) -> None:
        """Have the programs tell, and wait for them a little."""
        for job_id in self._at.handler.tellers:
            job = self._at.jobs.get(job_id)
            if job is not None:
                self._awaited.add(job_id)
                job.send(Look())
        if not self._awaited:
            return
        answered: Deferred[None] = Deferred()
        self._waiting.append(answered)
        late = self._at.reactor.callLater(PATIENCE, self._all_told)
        await answered
        if late.active():
            late.cancel()

    async def work_on(self, job_id: str, entry_id: str, patience: float) -> Work | None:
        """
        What a job says it does with one message.

        :param patience: Seconds that its program gets; who is late has said nothing.
        :return: ``None``: it does not say, or has not begun with it.
        """
        job = self._at.jobs.get(job_id)
        if job is None or job_id not in self._at.handler.tellers:
            return None
        answered: Deferred[None] = Deferred()
        self._asked.setdefault(job_id, []).append(answered)
        job.send(Look())
        late = self._at.reactor.callLater(patience, answered.callback, None)
        await answered
        if late.active():
            late.cancel()
        return next((one for one in self._work.get(job_id, ()) if one.id == entry_id), None)

    def _told(self, job: Any, work: tuple[Work, ...]) -> None:
        self._work[job.id] = work
        self._answer(job.id)
        self._no_longer_awaited(job.id)

    def _gone(self, job: Any) -> None:
        self._work.pop(job.id, None)
        self._answer(job.id)
        self._no_longer_awaited(job.id)

    def _answer(self, job_id: str) -> None:
        for answered in self._asked.pop(job_id, ()):
            if not answered.called:
                answered.callback(None)

    def _no_longer_awaited(self, job_id: str) -> None:
        if job_id in self._awaited:
            self._awaited.discard(job_id)
            if not self._awaited:
                self._all_told()

    def _all_told(self) -> None:
        self._awaited.clear()
        waiting, self._waiting = self._waiting, []
        for answered in waiting:
            answered.callback(None)

    def _channel(self, row: dict[str, Any], jobs: int) -> dict[str, Any]:
        flow = self._at.tally.flow(row["channel"])
        return {
            **row,
            "jobs": jobs,
            "accepted": flow.accepted,
            "delivered": flow.delivered,
            "deferred": flow.deferred,
            "failed": flow.failed,
            "octets": flow.octets,
        }

    def _hosts(self, most: int) -> list[dict[str, Any]]:
        """The busiest; there may be a hundred thousand, so only those are made rows of."""
        every = (
            (active, ready + delayed, channel, host, ready, delayed, until)
            for channel in self._at.settings.channels
            for host, active, ready, delayed, until in self._at.scheduler.hosts(channel)
        )
        return [
            {
                "channel": channel,
                "host": host,
                "active": active,
                "ready": ready,
                "delayed": delayed,
                "until": until,
            }
            for active, _, channel, host, ready, delayed, until in nlargest(most, every, key=_BUSY)
        ]

    def _job(self, job: Any) -> dict[str, Any]:
        tally = self._at.tally.of(job.id)
        spec = job.spec
        return {
            "job": job.id,
            "pid": job.pid,
            "channel": spec.channel.name,
            "role": spec.role,
            "program": os.path.basename(spec.argv[0]) if spec.argv else "",
            "started": job.started,
            "held": len(job.held),
            "processed": tally.processed,
            "failed": tally.failed,
            "work": [
                {"phase": one.phase, "remote": one.remote, "octets": one.octets, "seconds": one.seconds}
                for one in self._work.get(job.id, ())
                if not one.id
            ],
        }

    def _messages(self, most: int) -> list[dict[str, Any]]:
        """What jobs have in hand; those in a transaction first, then those that wait longest."""
        every = []
        for job in self._at.jobs.values():
            told = {one.id: one for one in self._work.get(job.id, ()) if one.id}
            for place, (entry_id, assignment) in enumerate(job.held.items()):
                under_way = self._at.attempts.get(entry_id)
                since = under_way.since if under_way is not None else job.started
                waits = entry_id not in told and not assignment.sent
                every.append((waits, since, place, job, assignment, told.get(entry_id), under_way))
        return [
            self._message(job, assignment, work, under_way, since)
            for _, since, _, job, assignment, work, under_way in nsmallest(most, every, key=_LONGEST)
        ]

    def _message(
        self, job: Any, assignment: Any, work: Work | None, under_way: Any, since: float
    ) -> dict[str, Any]:
        stored = under_way.stored if under_way is not None else None
        recipients = [one.address for one in stored.envelope.recipients] if stored is not None else []
        phase = work.phase if work is not None else "dot" if assignment.sent else "waiting"
        return {
            "id": assignment.frame.id,
            "job": job.id,
            "channel": job.spec.channel.name,
            "host": assignment.frame.host,
            "sender": stored.envelope.sender if stored is not None else "",
            "recipients": recipients,
            "attempt": assignment.frame.attempt,
            "size": assignment.frame.octets,
            "octets": work.octets if work is not None else 0,
            "phase": phase,
            "remote": work.remote if work is not None else "",
            "since": since,
        }
