"""One act over any number of messages: by id at once, by channel or selector in the background."""

import os
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.control.change_requests import QmPreview
from jobctl.control.operations import Caller
from jobctl.controller.acts import Acts, Course
from jobctl.controller.breaks import Breaks
from jobctl.controller.looks import PAGE, Looks
from jobctl.controller.piecemeal import Piecemeal
from jobctl.controller.steering import Change, End, Steering, Wanted
from jobctl.controller.verbs import Verb
from jobctl.errors import StoreError, UsageError
from jobctl.mail.acts import Stage
from jobctl.mail.entry import StoredEntry
from jobctl.selection.candidate import queued
from jobctl.selection.narrowing import ANYTHING
from jobctl.selection.selector import Selector, selector

log = Logger()

EXITS = {End.BUSY: os.EX_TEMPFAIL, End.GONE: os.EX_NOINPUT, End.REFUSED: os.EX_TEMPFAIL}
# Ids named in the record of an act.
_NAMED = 20


class Scope(msgspec.Struct, frozen=True):
    """
    Which messages an act is about, as of one moment.

    :ivar channel: Name or pattern, ``None``: any.
    :ivar held: Only held ones, only others, or both.
    :ivar newest: Id of the entry that was there last; nothing that came later is touched. ``None``: there was none.
    :ivar now: Epoch seconds, for ages.
    """

    channel: str | None
    where: Selector | None
    held: bool | None
    newest: str | None
    now: float

    def reaches(self, entry_id: str) -> bool:
        """Whether an entry was there at that moment: ids only grow."""
        return self.newest is not None and (len(entry_id), entry_id) <= (len(self.newest), self.newest)

    def __str__(self) -> str:
        parts = [] if self.where is None else [self.where.text]
        if self.channel is not None:
            parts.append(f"channel={self.channel}")
        return " and ".join(parts)


class Bulk:
    """
    Does acts, and tells how far they are.

    Pages are read and changed one after the other, so memory stays what it is for
    any number of messages.  Some hundred messages at a time are one commit, shared with
    mail; after it comes a pause (:mod:`jobctl.controller.breaks`), so that mail goes on.
    """

    def __init__(self, controller: Any, looks: Looks, steering: Steering, acts: Acts) -> None:
        self._at = controller
        self._looks = looks
        self._steering = steering
        self._acts = acts
        # Told until when something can be undone.
        self.graced: Callable[[float], None] = lambda until: None

    async def preview(self, request: QmPreview) -> dict[str, Any]:
        """What an act would be about, and the moment that this is true of."""
        scope = await self.scope(request, request.held)
        if scope is None:
            raise UsageError("say which messages are meant: a selector, or a channel and all of it")
        count = octets = 0
        sample: list[dict[str, Any]] = []
        breaks = Breaks(self._at)
        async for page in self.pages(scope):
            await breaks.rest()
            meant = [stored for stored, _ in self.meant(scope, page)]
            count += len(meant)
            octets += sum(stored.entry.size for stored in meant)
            if len(sample) < request.sample:
                some = meant[: request.sample - len(sample)]
                sample += [self._looks.row(stored, scope.now, with_reason=True) for stored in some]
        return {
            "count": count,
            "octets": octets,
            "sample": sample,
            "snapshot": scope.newest,
            "at": scope.now,
        }

    async def do(self, request: Any, verb: Verb, caller: Caller, stream: Any) -> dict[str, Any]:
        """
        :param request: With the keys of :class:`jobctl.control.requests._Chosen`.
        :return: What came of it; of a request in the background its number alone.
        :raises UsageError: Nothing is meant, or what is meant cannot be understood; nothing was done.
        :raises StoreError: It cannot be recorded or read; with ids nothing was done.
        """
        scope = await self.scope(request, verb.held)
        if scope is None:
            return await self._named(request, verb, caller)
        course = await self._acts.begin(caller, verb.what, str(scope), verb.text, request.expected)
        verb = self._as_room_allows(verb)
        self.in_background(course, self._all(course, scope, verb), verb.window)
        if request.background:
            return {"operation": course.act.number}
        return await self.watch(course, stream)

    async def piecemeal(self, verb: Verb, subject: str, caller: Caller) -> Piecemeal:
        """
        Begin an act whose messages its caller finds.

        :param subject: Which they are, for the record.
        :raises StoreError: It cannot be recorded, so it must not be done.
        """
        course = await self._acts.begin(caller, verb.what, subject, verb.text)
        return Piecemeal(course, self._as_room_allows(verb), self._steering, EXITS, self._end)

    def in_background(self, course: Course, work: Any, window: float) -> None:
        """Do it, whoever waits for it or not; it ends in the record."""
        done: Deferred[Stage] = ensureDeferred(work)
        done.addErrback(self._broken, course)
        done.addCallback(lambda stage: ensureDeferred(self._end(course, stage, window)))
        done.addErrback(lambda why: log.failure("bug at the end of an operation", failure=why))

    async def _end(self, course: Course, stage: Stage, window: float) -> None:
        until = None
        if window and course.act.done:
            until = self._at.reactor.seconds() + window
            self.graced(until)
        await self._acts.end(course, stage, until)

    def _broken(self, why: Failure, course: Course) -> Stage:
        if why.check(StoreError) is None:
            log.failure("operation {number}: bug", failure=why, number=course.act.number)
        course.fail("", why.getErrorMessage(), os.EX_TEMPFAIL)
        return Stage.FAILED

    def _as_room_allows(self, verb: Verb) -> Verb:
        """On a full disk whoever deletes wants room, not a way back."""
        if verb.window and self._at.store.short_of_room:
            return msgspec.structs.replace(verb, window=0.0)
        return verb

    async def watch(self, course: Course, stream: Any) -> dict[str, Any]:
        """Tell how far it is until it is over; whoever goes away does not end it."""
        while not course.over:
            await course.changed()
            if stream is not None and not stream.cancelled:
                slow = stream.progress(course.progress())
                if slow is not None:
                    await slow
        return answer(course)

    async def scope(self, request: Any, held: bool | None) -> Scope | None:
        """
        What is meant besides ids; ``None``: ids.

        :raises UsageError: Nothing, or too much.
        """
        if request.ids and (request.all or request.where is not None):
            raise UsageError("give ids, or say which messages are meant, not both")
        if request.where is None and not request.all:
            if not request.ids:
                raise UsageError("say which messages are meant: ids, a selector, or a channel and all of it")
            return None
        if request.where is None and request.channel is None:
            raise UsageError("say which channel's messages are meant: -channel=NAME with -all")
        where = None if request.where is None else selector(request.where)
        if request.channel is not None:
            self._looks.channels(request.channel)
        newest = request.snapshot or await self._at.store.newest()
        now = request.at or self._at.reactor.seconds()
        return Scope(request.channel, where, held, newest, now)

    async def pages(self, scope: Scope, size: int = PAGE) -> AsyncIterator[list[StoredEntry]]:
        """All that is meant, page by page."""
        narrowed = ANYTHING if scope.where is None else scope.where.narrowed
        async for page in self._looks.pages(scope.channel, scope.held, narrowed, size):
            yield [stored for stored in page if scope.reaches(stored.entry.id)]

    def meant(self, scope: Scope, page: list[StoredEntry]) -> list[tuple[StoredEntry, str | None]]:
        """Those of a page that are meant, each with its state as of now (``None``: nobody asked for it)."""
        where = scope.where
        if where is None:
            return [(stored, None) for stored in page]
        candidates = [(stored, self._looks.candidate(stored, scope.now)) for stored in page]
        return [(stored, one.state) for stored, one in candidates if where.matches(one, scope.now)]

    async def _all(self, course: Course, scope: Scope, verb: Verb) -> Stage:
        breaks = Breaks(self._at)
        change = verb.change_for(course.act.number)
        async for page in self.pages(scope, verb.together):
            for at in range(0, len(page) or 1, verb.together):
                await breaks.rest()
                if course.cancelled:
                    return course.cut_short
                # From here until they are taken from the schedule nothing else happens.
                chosen = self.meant(scope, page[at : at + verb.together])
                if chosen:
                    still_meant = self._still_meant(change, scope, chosen)
                    changed = await self._steering.change([stored for stored, _ in chosen], still_meant)
                    course.count(changed, EXITS)
        return course.cut_short if course.cancelled else Stage.DONE

    def _still_meant(
        self, change: Change, scope: Scope, chosen: list[tuple[StoredEntry, str | None]]
    ) -> Change:
        """What an attempt has changed since it was read may make it another message than was meant."""
        where = scope.where
        if where is None:
            return change
        as_read = {stored.entry.id: (stored, state) for stored, state in chosen}

        def checked(stored: StoredEntry) -> Wanted:
            before, state = as_read[stored.entry.id]
            if stored != before and not where.matches(queued(stored, scope.now, state), scope.now):
                return None
            return change(stored)

        return checked

    async def _named(self, request: Any, verb: Verb, caller: Caller) -> dict[str, Any]:
        """Those named by id, at once."""
        ids = list(dict.fromkeys(request.ids))
        subject = " ".join(ids[:_NAMED]) + (f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else "")
        course = await self._acts.begin(caller, verb.what, subject, verb.text, len(ids))
        verb = self._as_room_allows(verb)
        stage = Stage.FAILED
        try:
            found = await self._found(ids, request, course)
            change = verb.change_for(course.act.number)
            for at in range(0, len(found), verb.together):
                chosen = found[at : at + verb.together]
                course.count(await self._steering.change(chosen, change, verb.first), EXITS)
            stage = Stage.DONE
        finally:
            await self._end(course, stage, verb.window)
        return answer(course)

    async def _found(self, ids: list[str], request: Any, course: Course) -> list[StoredEntry]:
        """Entries by id; those that cannot be meant are failures."""
        there = {stored.entry.id: stored for stored in await self._at.store.fetch(ids)}
        names = None if request.channel is None else self._looks.channels(request.channel)
        found = []
        for entry_id in ids:
            stored = there.get(entry_id)
            if stored is None:
                course.fail(entry_id, str(await self._acts.absent(entry_id)), os.EX_NOINPUT)
            elif names is not None and stored.entry.channel not in names:
                why = f"it is queued to {stored.entry.channel}, not to {request.channel}"
                course.fail(entry_id, why, os.EX_NOINPUT)
            else:
                found.append(stored)
        return found


def answer(course: Course) -> dict[str, Any]:
    """What the caller is told at the end."""
    act = course.act
    return {
        "done": course.done,
        "failed": course.failed,
        "operation": act.number,
        "stage": act.stage.value,
        "count": act.done,
        "unchanged": act.unchanged,
        "failures": act.failed,
        "undo_until": act.undo_until,
    }
