"""``explain``: gathers what store, schedule and jobs know of one message, and has it explained."""

import os
from typing import Any

import msgspec

from jobctl.accounts.history import Search
from jobctl.config.places import Place
from jobctl.control.operations import Caller
from jobctl.control.refusals import unknown_id
from jobctl.control.requests import Explain
from jobctl.explaining.chain import explain
from jobctl.explaining.facts import Cause, Explanation, Facts, Holder
from jobctl.mail.entry import Finished, Loss, StoredEntry

# Recipients of a message that has left who are told of.
MOST_FINISHED = 100
_BECAME = {
    Loss.DELIVERED: "was delivered",
    Loss.RELAYED: "was relayed",
    Loss.FAILED: "failed",
    Loss.EXPIRED: "was given up as too old",
    Loss.DELETED: "was deleted by an operator",
    Loss.MOVED: "was moved",
}


class Explanations:
    """
    Explains messages; each costs a few rows by their keys, however many are queued.

    :param controller: :class:`jobctl.controller.controller.Controller`
    """

    def __init__(self, controller: Any) -> None:
        self._at = controller

    async def explain(self, request: Explain, caller: Caller, stream: Any) -> dict[str, Any]:
        at = self._at
        look = await at.store.inspect(request.message)
        if look is None:
            return await self._not_there(request.message)
        stored, history, stopped, backoff = look
        entry = stored.entry
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
            holder=self._holder(entry.id, insight.job),
            changes=tuple(at.live_changes),
            rule=at.verdicts.lifetimes.rule(stored, now),
        )
        return as_row(stored, explain(facts))

    async def _not_there(self, message: str) -> dict[str, Any]:
        for entry, since, why in await self._at.store.damaged():
            if entry == message:
                text = f"its record in the queue is damaged and was set aside: {why}"
                return {
                    "id": message,
                    "state": "damaged",
                    "causes": [cause_row(Cause("damaged_record", text, since=since))],
                    "next_attempt": None,
                    "next": "not before it is repaired",
                }
        finished, _ = await self._at.store.finished(Search(ids=(message,)), 0, MOST_FINISHED)
        if finished:
            return finished_row(finished)
        raise unknown_id(message)

    def _holder(self, entry_id: str, job_id: str | None) -> Holder | None:
        at = self._at
        over = at.attempts.concluding(entry_id)
        job = at.jobs.get(over.job if over is not None else job_id)
        if over is None and (job is None or entry_id not in job.held):
            return None
        if job is None:
            return Holder(over.job, "", None, at.started, "", "recording", 0, True)
        spec = job.spec
        phase = "recording" if over is not None else "sent" if job.announced(entry_id) else "in hand"
        return Holder(
            job=job.id,
            program=os.path.basename(spec.argv[0]) if spec.argv else "started by hand",
            pid=job.pid,
            since=job.started,
            remote=spec.channel.gateway or spec.host or "",
            phase=phase,
            others=max(len(job.held) - (over is None), 0),
            leaving=job.leaving,
        )


def as_row(stored: StoredEntry, why: Explanation) -> dict[str, Any]:
    """With the stable keys of ``explain --json``."""
    entry = stored.entry
    return {
        "id": entry.id,
        "channel": entry.channel,
        "host": entry.host,
        "state": why.state,
        "sender": stored.envelope.sender,
        "recipients": [recipient.address for recipient in stored.envelope.recipients],
        "size": entry.size,
        "priority": entry.priority.word,
        "attempts": entry.attempts,
        "enqueued": entry.enqueued,
        "last_reply": stored.last_reply,
        "holder": None if why.holder is None else msgspec.to_builtins(why.holder),
        "causes": [cause_row(cause) for cause in why.causes],
        "next_attempt": why.next_attempt,
        "next": why.next_text,
        "expires": why.ending.when,
        "at_expiry": why.ending.text,
        "at_expiry_where": _where(why.ending.place),
        "warnings": list(why.ending.warnings),
        "notes": list(why.notes),
    }


def finished_row(finished: list[Finished]) -> dict[str, Any]:
    """Of a message that has left the queue: what became of whom."""
    last = finished[-1]
    causes = []
    for one in finished:
        by = f" by {one.remote}" if one.remote else ""
        said = f": {one.reply}" if one.reply else ""
        attempts = "one attempt" if one.attempts == 1 else f"{one.attempts} attempts"
        text = f"{one.recipient} {_BECAME[one.what]}{by} after {attempts}{said}"
        causes.append(cause_row(Cause(f"finished_{one.what.value}", text, since=one.when)))
    return {
        "id": last.id,
        "channel": last.channel,
        "host": last.host,
        "state": "finished",
        "sender": last.sender,
        "recipients": [one.recipient for one in finished],
        "size": last.size,
        "priority": "",
        "attempts": last.attempts,
        "enqueued": last.enqueued,
        "last_reply": last.reply,
        "holder": None,
        "causes": causes,
        "next_attempt": None,
        "next": "never: it has left the queue",
        "expires": None,
        "at_expiry": "",
        "at_expiry_where": "",
        "warnings": [],
        "notes": [],
    }


def cause_row(cause: Cause) -> dict[str, Any]:
    """One cause for programs: all keys, also those that say nothing."""
    return {
        "code": cause.code,
        "text": cause.text,
        "since": cause.since,
        "until": cause.until,
        "who": cause.who,
        "where": _where(cause.place),
    }


def _where(place: Place | None) -> str:
    return "" if place is None else place.text
