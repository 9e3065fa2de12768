"""What an operator does to the queue: stop and start channels; hold, release, return and delete messages."""

import os
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.logger import Logger

from jobctl.control.operations import Caller
from jobctl.control.refusals import unknown_id
from jobctl.control.requests import QmDelete, QmHold, QmRelease, QmReturn, QmStart, QmStop
from jobctl.controller.looks import Looks
from jobctl.controller.notices import NOTHING
from jobctl.errors import StoreError, UsageError
from jobctl.mail.entry import Attempt, Lasting, Loss, QueueEntry, Settlement, StoredEntry, paused

log = Logger()

# Messages changed at a time: each may need its content read, and a commit serves many.
TOGETHER = 50

_BUSY = (
    "a job is delivering it right now; try again when it has its verdict (qm jobs), or stop the channel first"
)
_GONE = "it has left the queue meanwhile"

# What is to be recorded of a message, or why it cannot be done.
_Change = Callable[[StoredEntry], Awaitable[Settlement | str]]


class Changes:
    """
    The changing operations of the control socket.

    A message in the hands of a job, or whose result is not on the disk yet, is
    never changed under it: that would make its verdict a lie; the caller is
    told to try again.
    """

    def __init__(self, controller: Any, looks: Looks) -> None:
        self._at = controller
        self._looks = looks

    async def qm_stop(self, request: QmStop, caller: Caller, stream: Any) -> dict[str, list[str]]:
        names = self._looks.channels(request.channel)
        for name in names:
            await self._at.store.set_stopped(name, True, caller.name)
            self._at.scheduler.stop(name)
            log.info("{channel} stopped by {who}", channel=name, who=caller.name)
        for job in list(self._at.jobs.values()):
            if job.spec.role == "master" and job.spec.channel.name in names and job.spec.run is None:
                self._at.scheduler.job_stopping(job.id)
                job.stop()
        # Those that are just starting are told when they are there.
        self._at.dispatch.kick()
        return {"channels": names}

    async def qm_start(self, request: QmStart, caller: Caller, stream: Any) -> dict[str, list[str]]:
        names = self._looks.channels(request.channel)
        stopped = await self._at.store.stopped()
        started = []
        for name in names:
            if name not in stopped:
                continue
            await self._at.store.set_stopped(name, False, caller.name)
            self._at.scheduler.start(name, self._at.reactor.seconds())
            log.info("{channel} started by {who}", channel=name, who=caller.name)
            started.append(name)
        self._at.dispatch.kick()
        return {"channels": started}

    async def qm_hold(self, request: QmHold, caller: Caller, stream: Any) -> dict[str, Any]:
        reason = request.reason or f"by {caller.name}"

        async def hold(stored: StoredEntry) -> Settlement | str:
            if stored.state is Lasting.HELD:
                return "it is held already"
            line = Attempt(when=self._at.reactor.seconds(), what="held", text=reason)
            return Settlement(id=stored.entry.id, state=Lasting.HELD, reason=reason, history=(line,))

        return await self._each(request, caller, "held", hold, of_all=False)

    async def qm_release(self, request: QmRelease, caller: Caller, stream: Any) -> dict[str, Any]:
        async def release(stored: StoredEntry) -> Settlement | str:
            if stored.state is not Lasting.HELD:
                return "it is not held"
            now = self._at.reactor.seconds()
            return Settlement(
                id=stored.entry.id,
                state=Lasting.QUEUED,
                reason="",
                due=now,
                deaths=0,
                history=(Attempt(when=now, what="released", text=f"by {caller.name}"),),
            )

        return await self._each(request, caller, "released", release, of_all=True)

    async def qm_return(self, request: QmReturn, caller: Caller, stream: Any) -> dict[str, Any]:
        reason = request.reason or "returned by the postmaster"

        async def give_back(stored: StoredEntry) -> Settlement:
            told = self._at.notices.gives_up(stored)
            original = await self._at.quotes.of(stored) if told else NOTHING
            settlement: Settlement = self._at.verdicts.returned(
                stored, reason, self._at.reactor.seconds(), original
            )
            return settlement

        return await self._each(request, caller, "returned", give_back)

    async def qm_delete(self, request: QmDelete, caller: Caller, stream: Any) -> dict[str, Any]:
        async def delete(stored: StoredEntry) -> Settlement:
            losses = tuple((recipient.address, Loss.DELETED) for recipient in stored.envelope.recipients)
            return Settlement(id=stored.entry.id, losses=losses, reason=f"by {caller.name}")

        return await self._each(request, caller, "deleted", delete)

    async def _each(
        self, request: Any, caller: Caller, done_word: str, change: _Change, of_all: bool | None = None
    ) -> dict[str, Any]:
        """:param of_all: Which messages ``all`` means: ``True`` those held, ``False`` the others."""
        done: list[str] = []
        chosen, failed = await self._chosen(request, of_all)
        for at in range(0, len(chosen), TOGETHER):
            for entry_id, why in (await self._some(chosen[at : at + TOGETHER], change)).items():
                if why:
                    failed.append(_failure(entry_id, why, os.EX_NOINPUT if why == _GONE else os.EX_TEMPFAIL))
                else:
                    done.append(entry_id)
            self._at.dispatch.kick()
        log.info("{count} messages {what} by {who}", count=len(done), what=done_word, who=caller.name)
        return {"done": done, "failed": failed}

    async def _some(self, chosen: list[tuple[QueueEntry, bool]], change: _Change) -> dict[str, str]:
        """Take them from the schedule, look at them again, and change them; gives why not, or ``""``, by id."""
        now = self._at.reactor.seconds()
        outcome = {}
        free = []
        for entry, held in chosen:
            outcome[entry.id] = _BUSY
            if self._at.scheduler.state(entry.id, now) != "active":
                outcome[entry.id] = _GONE
                self._at.scheduler.remove(entry.id)
                self._at.hot.drop(entry.id)
                free.append((entry, held))
        try:
            found: list[StoredEntry] = await self._at.store.fetch([entry.id for entry, _ in free])
        except StoreError:
            for entry, held in free:
                self._put_back(entry, held)
            raise
        reasons = await gatherResults([ensureDeferred(self._one(stored, change)) for stored in found])
        outcome.update(zip((stored.entry.id for stored in found), reasons, strict=True))
        return outcome

    async def _one(self, stored: StoredEntry, change: _Change) -> str:
        try:
            settlement = await change(stored)
            if isinstance(settlement, Settlement):
                notice_ids = await self._at.store.settle(settlement)
        except Exception as why:
            if not isinstance(why, StoreError):
                log.failure("{entry}: bug while an operator changes it", entry=stored.entry.id)
            settlement = str(why) or repr(why)
        if isinstance(settlement, str):
            self._put_back(stored.entry, stored.state is Lasting.HELD)
            return settlement
        if settlement.notifications and not notice_ids:
            return _GONE
        self._at.books.settled(stored, settlement)
        for ids, notice in zip(notice_ids, settlement.notifications, strict=True):
            self._at.intake.remember(ids, notice)
        if settlement.state is Lasting.QUEUED:
            self._go_first(stored)
        return ""

    def _put_back(self, entry: QueueEntry, held: bool) -> None:
        if not held:
            self._at.scheduler.add(entry, self._at.reactor.seconds())

    def _go_first(self, stored: StoredEntry) -> None:
        """A released message goes before all others, and its age goes on from where it was."""
        now = self._at.reactor.seconds()
        entry = stored.entry
        entry.due = now
        entry.paused, _ = paused(entry.paused, stored.held_since, Lasting.QUEUED, now)
        self._at.scheduler.add(entry, now)
        self._at.scheduler.promote(entry.id, now, entry)

    async def _chosen(
        self, request: Any, of_all: bool | None
    ) -> tuple[list[tuple[QueueEntry, bool]], list[dict[str, Any]]]:
        """Entries, and whether each is held; and those asked for by id that cannot be meant."""
        if request.all:
            if request.channel is None:
                raise UsageError("say which channel's messages are meant: -channel=NAME with -all")
            return [
                (stored.entry, stored.state is Lasting.HELD)
                async for page in self._looks.pages(request.channel, of_all)
                for stored in page
            ], []
        found = {stored.entry.id: stored for stored in await self._at.store.fetch(list(request.ids))}
        names = None if request.channel is None else self._looks.channels(request.channel)
        chosen = []
        failed = []
        for entry_id in dict.fromkeys(request.ids):
            stored = found.get(entry_id)
            if stored is None:
                failed.append(_failure(entry_id, str(unknown_id(entry_id)), os.EX_NOINPUT))
            elif names is not None and stored.entry.channel not in names:
                why = f"it is queued to {stored.entry.channel}, not to {request.channel}"
                failed.append(_failure(entry_id, why, os.EX_NOINPUT))
            else:
                chosen.append((stored.entry, stored.state is Lasting.HELD))
        return chosen, failed


def _failure(entry_id: str, why: str, exit_status: int) -> dict[str, Any]:
    return {"id": entry_id, "text": why, "exit": exit_status}
