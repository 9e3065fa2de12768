"""The operators' runs under way, and how entries come to them and back."""

from __future__ import annotations

from jobctl.mail.entry import QueueEntry
from jobctl.schedule.jobs import Job
from jobctl.schedule.memory import Memory
from jobctl.schedule.plan import LoadRequest
from jobctl.schedule.runs import Run
from jobctl.schedule.tracked import ALONE, DELAYED, READY
from jobctl.schedule.window import Window

# Entries read from the store at a time; a run is watched by a person, it need not be fast.
PAGE = 200


class RunQueue:
    """Takes entries out of the schedule for a run, and puts back what was not offered."""

    def __init__(self, memory: Memory, window: Window) -> None:
        self._memory = memory
        self._window = window

    def begin(self, channel: str, name: str, now: float, starts: bool) -> None:
        """Set everything in memory aside for a run; what is only in the store is read by and by."""
        memory = self._memory
        queue = memory.channel(channel)
        run = memory.runs[name] = Run(name, channel, starts, now)
        for item in [item for item in memory.items.values() if item.host.channel is queue]:
            if item.state in (READY, DELAYED, ALONE):
                run.add(memory.again(item))
        run.exhausted = self._window.complete
        memory.dirty[queue] = True

    def done(self, name: str) -> bool:
        """Whether nothing is left of it; it is forgotten then."""
        run = self._memory.runs.get(name)
        if run is not None and not run.done:
            return False
        self._memory.runs.pop(name, None)
        return True

    def give_up(self, name: str, host: str | None, now: float) -> None:
        """What was not offered, of one host or (``None``) in all, goes back to the schedule."""
        run = self._memory.runs.get(name)
        for item in run.give_up(host) if run is not None else ():
            item.run = None
            if self._window.keeps(item):
                self._memory.place(item, item.entry.due, now)
            else:
                self._window.left(item.entry.id)
                self._memory.forget(item)

    def job_ended(self, job: Job, worked: bool, now: float) -> None:
        """Another job takes over if this one did anything and did not come by itself."""
        run = self._memory.runs.get(job.run or "")
        if run is not None and not (worked and run.starts):
            self.give_up(run.name, job.host if run.starts else None, now)

    def request(self) -> LoadRequest | None:
        """What a run needs to be read from the store."""
        for run in self._memory.runs.values():
            if not run.exhausted and run.waiting < PAGE:
                return LoadRequest("backlog", run.after, PAGE, (), run.channel, None, run.name)
        return None

    def loaded(self, request: LoadRequest, entries: list[QueueEntry]) -> None:
        """Offer what was read and was not offered yet."""
        memory = self._memory
        run = memory.runs.get(request.run or "")
        if run is None:
            return
        for entry in entries:
            if entry.enqueued > run.began or not run.takes(entry.id) or not self._window.fresh(entry.id):
                continue
            item = memory.items.get(entry.id)
            if item is None:
                run.add(memory.enter(entry))
            elif item.state in (READY, DELAYED, ALONE):
                run.add(memory.again(item))
        if entries:
            run.after = (entries[-1].due, entries[-1].id)
        run.exhausted = run.exhausted or len(entries) < request.limit
        memory.dirty[memory.channel(run.channel)] = True
