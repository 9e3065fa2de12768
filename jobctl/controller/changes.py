"""What an operator does to the queue, as the control socket asks for it."""

from typing import Any

from twisted.logger import Logger

from jobctl.control.change_requests import (
    QmAudit,
    QmCancel,
    QmDelete,
    QmHold,
    QmMove,
    QmOperations,
    QmPreview,
    QmPriority,
    QmRedirect,
    QmRelease,
    QmReroute,
    QmRetry,
    QmReturn,
    QmWatch,
    Undo,
)
from jobctl.control.operations import Caller
from jobctl.control.refusals import unknown_operation
from jobctl.control.requests import QmClean, QmStart, QmStop
from jobctl.controller.bulk import Bulk
from jobctl.controller.hold_rules import HoldRules
from jobctl.controller.looks import Looks
from jobctl.controller.moving import Moving
from jobctl.controller.piecemeal import Piecemeal
from jobctl.controller.row_stream import RowStream
from jobctl.controller.steering import Steering
from jobctl.controller.undoing import Undoing
from jobctl.controller.verbs import Verbs
from jobctl.errors import UsageError
from jobctl.mail.acts import Act, Stage

log = Logger()

# Acts read at a time; operations listed that are over.
PAGE = 500
LISTED = 50
# Acts that change messages, and can take a while.
_BULK = frozenset(
    {"hold", "release", "return", "delete", "retry", "move", "reroute", "redirect", "priority", "undo"}
)


class Changes:
    """
    The changing operations of the control socket.

    :ivar undoing: What becomes final when its time is over.
    :ivar hold_rules: By which new mail is held.
    """

    def __init__(self, controller: Any, looks: Looks) -> None:
        self._at = controller
        self._looks = looks
        self._acts = controller.acts
        steering = Steering(controller)
        self._verbs = Verbs(controller)
        self._moving = Moving(controller)
        self.bulk = Bulk(controller, looks, steering, self._acts)
        self.undoing = Undoing(controller, steering, self._acts, self._verbs, self.bulk)
        self.bulk.graced = self.undoing.look_at
        self.hold_rules = HoldRules(controller, self.bulk, self._verbs)

    async def qm_stop(self, request: QmStop, caller: Caller, stream: Any) -> dict[str, list[str]]:
        names = self._looks.channels(request.channel)
        await self._acts.note(caller.name, "stop", request.channel, " ".join(names), caller.uid)
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
        started = [name for name in names if name in stopped]
        if started:
            await self._acts.note(caller.name, "start", request.channel, " ".join(started), caller.uid)
        for name in started:
            await self._at.store.set_stopped(name, False, caller.name)
            self._at.scheduler.start(name, self._at.reactor.seconds())
            log.info("{channel} started by {who}", channel=name, who=caller.name)
        self._at.dispatch.kick()
        return {"channels": started}

    async def qm_hold(self, request: QmHold, caller: Caller, stream: Any) -> dict[str, Any]:
        return await self.bulk.do(request, self._verbs.hold(request.reason, caller), caller, stream)

    async def clean(self, request: QmClean, what: str, caller: Caller) -> Piecemeal:
        """
        Begin to hold, or to delete, what ``qm.clean`` finds.

        :param what: What it looks for, in words.
        """
        if request.action == "delete":
            verb = self._verbs.delete(self._window(request), caller)
        else:
            verb = self._verbs.hold(f"clean by {caller.name}: {what}"[:500], caller)
        return await self.bulk.piecemeal(verb, f"clean: {what}"[:500], caller)

    async def qm_release(self, request: QmRelease, caller: Caller, stream: Any) -> dict[str, Any]:
        return await self.bulk.do(request, self._verbs.release(caller), caller, stream)

    async def qm_return(self, request: QmReturn, caller: Caller, stream: Any) -> dict[str, Any]:
        window = self._window(request, self._at.settings.controller.return_undo_window)
        verb = self._verbs.give_back(request.reason, window, caller)
        return await self.bulk.do(request, verb, caller, stream)

    async def qm_delete(self, request: QmDelete, caller: Caller, stream: Any) -> dict[str, Any]:
        verb = self._verbs.delete(self._window(request), caller)
        return await self.bulk.do(request, verb, caller, stream)

    async def qm_retry(self, request: QmRetry, caller: Caller, stream: Any) -> dict[str, Any]:
        return await self.bulk.do(request, self._verbs.retry(caller), caller, stream)

    async def qm_priority(self, request: QmPriority, caller: Caller, stream: Any) -> dict[str, Any]:
        return await self.bulk.do(request, self._verbs.priority(request.priority, caller), caller, stream)

    async def qm_move(self, request: QmMove, caller: Caller, stream: Any) -> dict[str, Any]:
        verb = self._moving.move(request.to, self._window(request), caller)
        return await self.bulk.do(request, verb, caller, stream)

    async def qm_reroute(self, request: QmReroute, caller: Caller, stream: Any) -> dict[str, Any]:
        verb = self._moving.reroute(self._window(request), caller)
        return await self.bulk.do(request, verb, caller, stream)

    async def qm_redirect(self, request: QmRedirect, caller: Caller, stream: Any) -> dict[str, Any]:
        verb = self._moving.redirect(request.to, request.host, self._window(request), caller)
        return await self.bulk.do(request, verb, caller, stream)

    async def undo(self, request: Undo, caller: Caller, stream: Any) -> dict[str, Any]:
        return await self.undoing.undo(request.operation, caller, stream, request.background)

    async def qm_preview(self, request: QmPreview, caller: Caller, stream: Any) -> dict[str, Any]:
        return await self.bulk.preview(request)

    async def qm_operations(self, request: QmOperations, caller: Caller, stream: Any) -> list[Act]:
        """Those under way, then those that are over, the newest first."""
        running = [course.act for course in self._acts.running.values()]
        numbers = {act.number for act in running}
        found: list[Act] = []
        before = None
        while len(found) < LISTED and (page := await self._at.store.acts(before=before, limit=PAGE)):
            before = page[-1].number
            found += [act for act in page if act.what in _BULK and act.number not in numbers]
        return [*running, *found[:LISTED]]

    async def qm_watch(self, request: QmWatch, caller: Caller, stream: Any) -> dict[str, Any]:
        course = self._acts.course(request.operation)
        if course is None:
            act = await self._acts.find(request.operation)
            if act is None:
                raise unknown_operation(request.operation)
            raise UsageError(f"operation {act.number} ({act.what}) is over: {act.stage.value}")
        return await self.bulk.watch(course, stream)

    async def qm_cancel(self, request: QmCancel, caller: Caller, stream: Any) -> dict[str, Any]:
        course = self._acts.running.get(request.operation)
        if course is None:
            if await self._acts.find(request.operation) is None:
                raise unknown_operation(request.operation)
            return {"operation": request.operation, "cancelled": False}
        course.cancelled = True
        text = f"{course.act.what} {course.act.subject}"
        await self._acts.note(caller.name, "cancel", str(request.operation), text, caller.uid)
        while not course.over:
            await course.changed()
        return {"operation": request.operation, "cancelled": course.act.stage is Stage.CANCELLED}

    async def qm_audit(self, request: QmAudit, caller: Caller, stream: Any) -> int:
        """Sends acts, the newest first."""
        answer, before = RowStream(stream, request.limit), request.before
        while page := await self._at.store.acts(before=before, limit=PAGE):
            before = page[-1].number
            await answer.send(
                [act for act in page if request.who in (None, act.who) and request.what in (None, act.what)]
            )
            if answer.over:
                break
        return answer.sent

    async def stop(self) -> None:
        """The controller stops: what is under way ends after what it is at, and is on record as interrupted."""
        self.undoing.stop()
        self.hold_rules.stop()
        for course in self._acts.cancel_all():
            while not course.over:
                await course.changed()

    def _window(self, request: Any, window: float | None = None) -> float:
        """In how many seconds it can be undone."""
        if not request.undo:
            return 0.0
        return float(self._at.settings.controller.undo_window if window is None else window)
