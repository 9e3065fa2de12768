"""The record of what operators do: each act gets a number and is on the disk before it changes anything."""

from collections import deque
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from jobctl.control.operations import Caller
from jobctl.control.refusals import deleted_lately, unknown_id
from jobctl.controller.steering import End, Outcome
from jobctl.errors import StoreError, UsageError
from jobctl.mail.acts import Act, Stage

log = Logger()

# Ids kept in the record of an act, and in the answer to who asked for it; failures in the answer.
MOST_RECORDED = 100
MOST_DONE = 10_000
MOST_FAILED = 1_000
# Acts looked at after a restart for those that it interrupted.
_LOOKED_AT = 1_000


class Course:
    """
    One act under way.

    :ivar act: As it stands.
    :ivar expected: Messages it was said to be about, for showing progress; 0: not known.
    :ivar done: Ids of what was changed, the first of them; ``failed``: those that could not be, with why.
    :ivar cancelled: It is to end after what it is at; ``interrupted``: because the controller stops.
    """

    def __init__(self, act: Act, expected: int = 0) -> None:
        self.act = act
        self.expected = expected
        self.done: list[str] = []
        self.failed: list[dict[str, Any]] = []
        self.cancelled = False
        self.interrupted = False
        self.over = False
        self._waiting: list[Deferred[None]] = []

    def count(self, outcomes: dict[str, Outcome], exits: dict[End, int]) -> None:
        """Some more were dealt with."""
        ends = [outcome.end for outcome in outcomes.values()]
        done, unchanged = ends.count(End.DONE), ends.count(End.UNCHANGED)
        act = self.act
        self.act = msgspec.structs.replace(
            act,
            found=act.found + len(ends),
            done=act.done + done,
            unchanged=act.unchanged + unchanged,
            failed=act.failed + len(ends) - done - unchanged,
        )
        for entry_id, outcome in outcomes.items():
            if outcome.end is End.DONE and len(self.done) < MOST_DONE:
                self.done.append(entry_id)
            elif outcome.text:
                self.fail(entry_id, outcome.text, exits[outcome.end], counted=True)
        self.tell()

    def fail(self, entry_id: str, text: str, exit_status: int, counted: bool = False) -> None:
        """One could not be changed."""
        if not counted:
            self.act = msgspec.structs.replace(self.act, failed=self.act.failed + 1)
        if len(self.failed) < MOST_FAILED:
            self.failed.append({"id": entry_id, "text": text, "exit": exit_status})

    def changed(self) -> Deferred[None]:
        """Fires when there is more to tell, or it is over."""
        done: Deferred[None] = Deferred()
        if self.over:
            done.callback(None)
        else:
            self._waiting.append(done)
        return done

    def tell(self) -> None:
        """There is more to tell."""
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.callback(None)

    @property
    def cut_short(self) -> Stage:
        """How it ended, having been cancelled."""
        return Stage.INTERRUPTED if self.interrupted else Stage.CANCELLED

    def progress(self) -> dict[str, int]:
        """How far it is."""
        act = self.act
        return {
            "operation": act.number,
            "expected": max(self.expected, act.found),
            "found": act.found,
            "done": act.done,
            "unchanged": act.unchanged,
            "failed": act.failed,
        }


class Acts:
    """
    All acts of this queue.

    :ivar running: Those under way, by number.
    :param keep: Gives for how long records are kept, in seconds.
    """

    def __init__(self, store: Any, seconds: Any, keep: Any) -> None:
        self._store = store
        self._seconds = seconds
        self._keep = keep
        self._next = 1
        self.running: dict[int, Course] = {}
        # Those that ended lately, with the ids that the record on the disk has no room for.
        self._ended: deque[Course] = deque(maxlen=20)

    async def restore(self) -> None:
        """Go on counting; what a restart has interrupted says so."""
        found: list[Act] = await self._store.acts(limit=_LOOKED_AT)
        if found:
            self._next = found[0].number + 1
        for act in found:
            if act.stage is Stage.RUNNING:
                log.warn("operation {number} ({what}) was interrupted", number=act.number, what=act.what)
                await self._write(msgspec.structs.replace(act, stage=Stage.INTERRUPTED))

    async def begin(
        self, caller: Caller, what: str, subject: str, text: str = "", expected: int = 0
    ) -> Course:
        """
        Put an act on record before it changes anything.

        :raises StoreError: It cannot be recorded, so it must not be done.
        """
        act = Act(
            number=self._next,
            when=self._seconds(),
            who=caller.name,
            what=what,
            subject=subject,
            text=text,
            uid=caller.uid,
            stage=Stage.RUNNING,
        )
        self._next += 1
        await self._write(act)
        course = self.running[act.number] = Course(act, expected)
        return course

    async def end(
        self, course: Course, stage: Stage, undo_until: float | None = None, text: str = ""
    ) -> None:
        """It is over; never fails: that what was done cannot be recorded does not undo it."""
        course.act = msgspec.structs.replace(
            course.act,
            stage=stage,
            ended=self._seconds(),
            text=text or course.act.text,
            undo_until=undo_until,
            ids=tuple(course.done) if len(course.done) <= MOST_RECORDED else (),
        )
        act = course.act
        try:
            await self._write(act)
        except StoreError as why:
            log.error(
                "operation {number}: its end cannot be recorded: {why}", number=act.number, why=str(why)
            )
        course.over = True
        self.running.pop(act.number, None)
        self._ended.append(course)
        course.tell()
        log.info(
            "operation {number}: {what} {subject} by {who}: {stage}, {count} messages, {failed} failed",
            number=act.number,
            what=act.what,
            subject=act.subject,
            who=act.who,
            stage=act.stage.value,
            count=act.done,
            failed=act.failed,
        )

    async def note(self, who: str, what: str, subject: str, text: str = "", uid: int = 0) -> int:
        """
        Put on record what is done at once and changes no message.

        :return: Its number.
        :raises StoreError: It cannot be recorded.
        """
        now = self._seconds()
        act = Act(self._next, now, who, what, subject, text, uid=uid, ended=now)
        self._next += 1
        await self._write(act)
        return act.number

    async def find(self, number: int) -> Act | None:
        """One act, under way or on record."""
        course = self.running.get(number)
        if course is not None:
            return course.act
        found: list[Act] = await self._store.acts(before=number + 1, limit=1)
        return found[0] if found and found[0].number == number else None

    async def absent(self, entry_id: str) -> UsageError:
        """What to say of an entry that is in no list."""
        undo = await self._store.in_grace(entry_id)
        if undo is None:
            return unknown_id(entry_id)
        act = await self.find(undo.operation)
        return deleted_lately(entry_id, undo.what, "somebody" if act is None else act.who, undo.operation)

    def course(self, number: int) -> Course | None:
        """An act under way, or one that ended lately."""
        return self.running.get(number) or next((c for c in self._ended if c.act.number == number), None)

    async def undone(self, act: Act) -> None:
        """Note on an act that it was taken back."""
        await self._write(msgspec.structs.replace(act, stage=Stage.UNDONE, undo_until=None))

    def cancel_all(self) -> list[Course]:
        """The controller stops: what is under way ends after what it is at."""
        for course in self.running.values():
            course.cancelled = course.interrupted = True
        return list(self.running.values())

    def _write(self, act: Act) -> Deferred[None]:
        written: Deferred[None] = self._store.write_act(act, self._seconds() - self._keep())
        return written
