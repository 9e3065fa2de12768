"""Acts taken back while that is possible, and what follows when it is possible no longer."""

import os
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, DeferredLock, ensureDeferred, gatherResults
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.control.operations import Caller
from jobctl.control.refusals import unknown_operation
from jobctl.controller.acts import Acts, Course
from jobctl.controller.breaks import Breaks
from jobctl.controller.bulk import EXITS, Bulk
from jobctl.controller.moving import taken_back
from jobctl.controller.steering import DONE, End, Outcome, Steering
from jobctl.controller.verbs import Verbs
from jobctl.errors import StoreError, UsageError
from jobctl.mail.acts import Act, Stage
from jobctl.mail.entry import Lasting, Settlement, StoredEntry, Undo

log = Logger()

# Entries at a time; of those that become final some may have to be told of, with their content.
PAGE = 100
_FINAL = 50
# Seconds until what could not be recorded is tried again; never sleep longer, since the clock can step.
PAUSE = 60.0


class Undoing:
    """
    Deleted and returned messages in grace, and moves that can be taken back.

    When the time is over a deletion is final, and a return's notification goes out.
    """

    def __init__(self, controller: Any, steering: Steering, acts: Acts, verbs: Verbs, bulk: Bulk) -> None:
        self._at = controller
        self._steering = steering
        self._acts = acts
        self._verbs = verbs
        self._bulk = bulk
        # What becomes final and what is taken back: one page at a time, or a message could be both.
        self._lock = DeferredLock()
        self._next: IDelayedCall | None = None
        self._working = False
        self._stopped = False

    async def start(self) -> None:
        """Go on after a restart."""
        until = await self._at.store.next_lapse()
        if until is not None:
            self.look_at(until)

    def stop(self) -> None:
        """No more looks."""
        self._stopped = True
        if self._next is not None and self._next.active():
            self._next.cancel()

    def look_at(self, until: float) -> None:
        """Something can be undone until then."""
        if self._stopped:
            return
        delay = min(max(until - self._at.reactor.seconds(), 0.0), PAUSE)
        if self._next is None or not self._next.active():
            self._next = self._at.reactor.callLater(delay, self._look)
        elif self._next.getTime() > self._at.reactor.seconds() + delay:
            self._next.reset(delay)

    def _look(self) -> None:
        self._next = None
        if not self._working:
            self._working = True
            ensureDeferred(self._lapse()).addErrback(self._failed)

    def _failed(self, why: Any) -> None:
        self._working = False
        if why.check(StoreError) is None:
            log.failure("bug while operations become final", failure=why)
        else:
            log.error("operations cannot become final yet: {why}", why=why.getErrorMessage())
        self.look_at(self._at.reactor.seconds() + PAUSE)

    async def _lapse(self) -> None:
        """Everything whose time is over."""
        finished = 0
        breaks = Breaks(self._at)
        while not self._stopped and (count := await self._lock.run(ensured, self._page)):
            finished += count
            await breaks.rest()
        if finished:
            log.info("{count} changes of operators are final", count=finished)
        self._working = False
        await self.start()

    async def _page(self) -> int:
        """
        Some of it.

        :raises StoreError: Not all of it can be recorded.
        """
        rows = await self._at.store.lapsed(self._at.reactor.seconds(), _FINAL)
        ends = await DeferredList([ensureDeferred(self._finish(*row)) for row in rows], consumeErrors=True)
        for _, why in ends:
            if isinstance(why, Failure):
                why.raiseException()
        return len(rows)

    async def _finish(self, entry_id: str, stored: StoredEntry | None, undo: Undo) -> None:
        settlement = Settlement(entry_id, ended=undo.operation)
        if stored is not None and stored.state is Lasting.GRACE:
            if undo.what == "delete":
                settlement = self._verbs.deleted(stored, undo.reason, undo.operation)
            elif undo.what == "return":
                settlement = await self._verbs.returned(stored, undo.reason, undo.operation)
        notice_ids = await self._at.store.settle(settlement)
        if stored is not None:
            self._at.books.settled(stored, settlement)
        for ids, notice in zip(notice_ids, settlement.notifications, strict=False):
            self._at.intake.remember(ids, notice)

    async def undo(self, number: int, caller: Caller, stream: Any, background: bool) -> dict[str, Any]:
        """
        Take an act back.

        :raises UsageError: There is none, or it cannot be taken back (any more).
        """
        act = await self._undoable(number)
        course = await self._acts.begin(caller, "undo", str(number), f"{act.what} {act.subject}", act.done)
        self._bulk.in_background(course, self._all(course, act, caller), 0.0)
        if background:
            return {"operation": course.act.number}
        return await self._bulk.watch(course, stream)

    async def _undoable(self, number: int) -> Act:
        running = self._acts.running.get(number)
        if running is not None and running.act.what != "undo":
            # Whoever wants it back does not want more of it.
            running.cancelled = True
            while not running.over:
                await running.changed()
        act = await self._acts.find(number)
        if act is None:
            raise unknown_operation(number)
        if act.stage is Stage.UNDONE:
            raise UsageError(f"operation {number} was undone before", os.EX_NOINPUT)
        if not await self._at.store.undoable(number, limit=1):
            late = act.undo_until is not None
            why = (
                "it is too late, or its messages have left the queue" if late else "there is nothing to undo"
            )
            raise UsageError(f"operation {number} ({act.what}) cannot be undone: {why}", os.EX_NOINPUT)
        return act

    async def _all(self, course: Course, act: Act, caller: Caller) -> Stage:
        after: str | None = ""
        breaks = Breaks(self._at)
        while after is not None:
            await breaks.rest()
            if course.cancelled:
                return course.cut_short
            after = await self._lock.run(ensured, self._some, course, act, after or None, caller)
        if not course.act.failed:
            await self._acts.undone(act)
        return Stage.DONE

    async def _some(self, course: Course, act: Act, after: str | None, caller: Caller) -> str | None:
        """A page of it; gives where to go on, ``None``: that was the last."""
        rows = await self._at.store.undoable(act.number, after=after, limit=PAGE)
        if not rows:
            return None
        outcomes = await self._back_from_grace(rows, caller)
        outcomes.update(await self._moved_back(rows, caller))
        course.count(outcomes, EXITS)
        last: str = rows[-1][0].entry.id
        return last

    async def _back_from_grace(
        self, rows: list[tuple[StoredEntry, Undo]], caller: Caller
    ) -> dict[str, Outcome]:
        """Nobody else has these."""
        in_grace = [row for row in rows if row[0].state is Lasting.GRACE]
        ends = await gatherResults([self._restore(*row, caller) for row in in_grace])
        return {stored.entry.id: end for (stored, _), end in zip(in_grace, ends, strict=True)}

    def _restore(self, stored: StoredEntry, undo: Undo, caller: Caller) -> "Deferred[Outcome]":
        now = self._at.reactor.seconds()
        settlement = taken_back(undo, stored, now, caller.name)

        def committed(_: object) -> Outcome:
            self._at.books.settled(stored, settlement)
            self._steering.scheduled(stored, settlement, now)
            self._at.dispatch.kick()
            return DONE

        def failed(why: Failure) -> Outcome:
            why.trap(StoreError)
            return Outcome(End.REFUSED, why.getErrorMessage())

        done: Deferred[Any] = self._at.store.settle(settlement)
        return done.addCallbacks(committed, failed)

    async def _moved_back(self, rows: list[tuple[StoredEntry, Undo]], caller: Caller) -> dict[str, Outcome]:
        by_id = {
            stored.entry.id: (stored, undo) for stored, undo in rows if stored.state is not Lasting.GRACE
        }
        if not by_id:
            return {}

        def change(stored: StoredEntry) -> Settlement:
            return taken_back(by_id[stored.entry.id][1], stored, self._at.reactor.seconds(), caller.name)

        return await self._steering.change([stored for stored, _ in by_id.values()], change)


def ensured(work: Callable[..., Any], *arguments: Any) -> "Deferred[Any]":
    """A coroutine as a Deferred, for a lock."""
    return ensureDeferred(work(*arguments))
