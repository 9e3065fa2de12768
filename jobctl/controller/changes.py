"""What an operator does to the queue: stop and start channels; hold, release, return and delete messages."""

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.logger import Logger

from jobctl.control.operations import Caller
from jobctl.control.refusals import unknown_id
from jobctl.control.requests import QmDelete, QmHold, QmRelease, QmReturn, QmStart, QmStop
from jobctl.controller.looks import Looks
from jobctl.errors import StoreError, UsageError
from jobctl.mail.entry import Attempt, Lasting, Loss, QueueEntry, Settlement, StoredEntry

log = Logger()

_BUSY = (
    "a job is delivering it right now; try again when it has its verdict (qm jobs), or stop the channel first"
)


class Changes:
    """
    The changing operations of the control socket.

    A message in the hands of a job is never changed under it: that would make
    its verdict a lie; the caller is told to try again.
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
        async def hold(stored: StoredEntry) -> str:
            if stored.state is Lasting.HELD:
                return "it is held already"
            reason = request.reason or f"by {caller.name}"
            now = self._at.reactor.seconds()
            return await self._settle(
                stored,
                Settlement(
                    id=stored.entry.id,
                    state=Lasting.HELD,
                    reason=reason,
                    history=(Attempt(when=now, what="held", text=reason),),
                ),
            )

        return await self._each(request, caller, "held", hold)

    async def qm_release(self, request: QmRelease, caller: Caller, stream: Any) -> dict[str, Any]:
        async def release(stored: StoredEntry) -> str:
            if stored.state is not Lasting.HELD:
                return "it is not held"
            now = self._at.reactor.seconds()
            gone = await self._settle(
                stored,
                Settlement(
                    id=stored.entry.id,
                    state=Lasting.QUEUED,
                    reason="",
                    due=now,
                    deaths=0,
                    history=(Attempt(when=now, what="released", text=f"by {caller.name}"),),
                ),
            )
            if not gone:
                old = stored.entry
                entry = QueueEntry(
                    old.id, old.channel, old.host, old.priority, old.size, old.enqueued, now, old.attempts
                )
                self._at.scheduler.add(entry, now)
                self._at.scheduler.promote(entry.id, now, entry)
                self._at.dispatch.kick()
            return gone

        return await self._each(request, caller, "released", release)

    async def qm_return(self, request: QmReturn, caller: Caller, stream: Any) -> dict[str, Any]:
        async def give_back(stored: StoredEntry) -> str:
            reason = request.reason or "returned by the postmaster"
            content = await self._at.quotes.of(stored)
            now = self._at.reactor.seconds()
            return await self._settle(stored, self._at.verdicts.returned(stored, reason, now, content))

        return await self._each(request, caller, "returned", give_back)

    async def qm_delete(self, request: QmDelete, caller: Caller, stream: Any) -> dict[str, Any]:
        async def delete(stored: StoredEntry) -> str:
            losses = tuple((recipient.address, Loss.DELETED) for recipient in stored.envelope.recipients)
            return await self._settle(stored, Settlement(id=stored.entry.id, losses=losses))

        return await self._each(request, caller, "deleted", delete)

    async def _settle(self, stored: StoredEntry, settlement: Settlement) -> str:
        """Take it from the schedule and record the change; gives why not, or ``""``."""
        entry_id = stored.entry.id
        if self._at.scheduler.job_of(entry_id) is not None:
            return _BUSY
        scheduled = self._at.scheduler.remove(entry_id)
        self._at.hot.drop(entry_id)
        try:
            notice_ids = await self._at.store.settle(settlement)
        except StoreError:
            if scheduled is not None:
                self._at.scheduler.add(scheduled, self._at.reactor.seconds())
            raise
        for ids, notice in zip(notice_ids, settlement.notifications, strict=False):
            self._at.intake.remember(ids, notice)
        return ""

    async def _each(
        self, request: Any, caller: Caller, done_word: str, change: Callable[[StoredEntry], Awaitable[str]]
    ) -> dict[str, Any]:
        done: list[str] = []
        failed: list[dict[str, str]] = []
        for stored in await self._chosen(request):
            why = await change(stored)
            if why:
                failed.append({"id": stored.entry.id, "text": why})
            else:
                done.append(stored.entry.id)
        log.info("{count} messages {what} by {who}", count=len(done), what=done_word, who=caller.name)
        self._at.dispatch.kick()
        return {"done": done, "failed": failed}

    async def _chosen(self, request: Any) -> list[StoredEntry]:
        if request.all:
            if request.channel is None:
                raise UsageError("say which channel's messages are meant: -channel=NAME with -all")
            return [stored async for page in self._looks.pages(request.channel, None) for stored in page]
        found = {stored.entry.id: stored for stored in await self._at.store.fetch(list(request.ids))}
        names = None if request.channel is None else self._looks.channels(request.channel)
        chosen = []
        for entry_id in request.ids:
            stored = found.get(entry_id)
            if stored is None:
                raise unknown_id(entry_id)
            if names is not None and stored.entry.channel not in names:
                raise UsageError(
                    f"message {entry_id} is queued to {stored.entry.channel}, not to {request.channel}"
                )
            chosen.append(stored)
        return chosen
