"""``explain``: gathers what store, schedule and jobs know of one message, and has it explained."""

import os
from typing import Any

from jobctl.accounts.history import Search
from jobctl.control.operations import Caller
from jobctl.control.refusals import unknown_id
from jobctl.control.requests import Explain
from jobctl.controller.monitor import Monitor
from jobctl.explaining.chain import explain
from jobctl.explaining.facts import Facts, Holder, HoldInsight
from jobctl.explaining.holds import RULE
from jobctl.explaining.rows import as_row, damaged_row, finished_row
from jobctl.jobprotocol.frames import Work

# Recipients of a message that has left who are told of.
MOST_FINISHED = 100
# Seconds that a program gets to say what it does with the message.
PATIENCE = 0.01


class Explanations:
    """
    Explains messages; each costs a few rows by their keys, however many are queued.

    :param controller: :class:`jobctl.controller.controller.Controller`
    :param monitor: Asks jobs what they are doing.
    """

    def __init__(self, controller: Any, monitor: Monitor) -> None:
        self._at = controller
        self._monitor = monitor

    async def explain(self, request: Explain, caller: Caller, stream: Any) -> dict[str, Any]:
        at = self._at
        look = await at.store.inspect(request.message)
        if look is None:
            return await self._not_there(request.message)
        stored, history, stopped, backoff = look
        entry = stored.entry
        job = at.scheduler.job_of(entry.id)
        work = None if job is None else await self._monitor.work_on(job, entry.id, PATIENCE)
        # What changes from moment to moment is looked at last, and all of it in one moment.
        now = at.reactor.seconds()
        insight = at.scheduler.insight(entry, now)
        facts = Facts(
            now=now,
            settings=at.settings,
            stored=stored,
            history=tuple(history),
            insight=insight,
            stopped=stopped,
            host_reply="" if backoff is None else backoff[2],
            standstill=at.dispatch.standstill,
            holder=self._holder(entry.id, insight.job, work),
            changes=tuple(at.live_changes),
            rule=at.verdicts.lifetimes.rule(stored, now),
            hold=self._hold(stored.reason),
        )
        return as_row(stored, explain(facts))

    def _hold(self, reason: str) -> HoldInsight | None:
        found = RULE.match(reason)
        rules = self._at.intake.hold_rules
        rule = None if found is None or rules is None else rules.get(int(found[1]))
        return None if rule is None else HoldInsight(rule.where, rule.expires, rule.release)

    async def _not_there(self, message: str) -> dict[str, Any]:
        for entry, since, why in await self._at.store.damaged():
            if entry == message:
                return damaged_row(message, since, why)
        finished, _ = await self._at.store.finished(Search(ids=(message,)), 0, MOST_FINISHED)
        if finished:
            return finished_row(finished)
        raise unknown_id(message)

    def _holder(self, entry_id: str, job_id: str | None, work: Work | None) -> Holder | None:
        at = self._at
        over = at.attempts.concluding(entry_id)
        job = at.jobs.get(over.job if over is not None else job_id)
        if over is None and (job is None or entry_id not in job.held):
            return None
        if job is None:
            return Holder(over.job, "", None, at.started, "", "recording", 0, True)
        spec, under_way = job.spec, over or at.attempts.get(entry_id)
        phase = "in hand" if work is None else work.phase
        if over is not None:
            phase = "recording"
        elif job.announced(entry_id):
            phase = "dot"
        return Holder(
            job=job.id,
            program=os.path.basename(spec.argv[0]) if spec.argv else "started by hand",
            pid=job.pid,
            since=job.started,
            remote=work.remote if work is not None else spec.channel.gateway or spec.host or "",
            phase=phase,
            others=max(len(job.held) - (over is None), 0),
            leaving=job.leaving,
            octets=0 if work is None else work.octets,
            began=None if under_way is None else under_way.since,
        )
