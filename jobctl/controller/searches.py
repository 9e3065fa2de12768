"""``qm.clean`` and ``qm.top``: looks at all messages and into them, in the background and never in a hurry."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.logger import Logger

from jobctl.control.operations import Caller
from jobctl.control.requests import QmClean, QmTop
from jobctl.controller.changes import Changes
from jobctl.controller.looks import Looks
from jobctl.controller.piecemeal import Piecemeal
from jobctl.controller.row_stream import RowStream
from jobctl.errors import UsageError
from jobctl.mail.entry import StoredEntry
from jobctl.selection.occurrences import Occurrences, Stretch, check
from jobctl.selection.parts import CONTENT, SUBJECT, Head, subject
from jobctl.selection.substrings import SHORTEST, Substrings

log = Logger()

# Entries looked at in one go; fewer where their content is read.
PAGE = 200
PAGE_WITH_CONTENT = 40
# Searches under way; others wait.
AT_A_TIME = 2
# Longest pause between two pages, seconds.
LONGEST_PAUSE = 1.0
_HEADER = 64 * 1024

Look = Callable[[StoredEntry, Head], Any]


class Searches:
    """
    Searches read page by page in the store's thread for lists, which deliveries do not use, and rest
    after each page as long as it took: so they have half of one core at most.  They see what was queued
    when they began.
    """

    def __init__(self, controller: Any, looks: Looks, changes: Changes) -> None:
        self._at = controller
        self._looks = looks
        self._changes = changes
        self._turns = DeferredSemaphore(AT_A_TIME)

    async def qm_top(self, request: QmTop, caller: Caller, stream: Any) -> dict[str, Any]:
        stretches = dict(request.parts) or {SUBJECT: Stretch()}
        try:
            check(stretches)
        except ValueError as why:
            raise UsageError(str(why)) from None
        occurrences = Occurrences(stretches, request.ignore_zz)
        size = PAGE_WITH_CONTENT if CONTENT in stretches else PAGE
        counted = 0
        pages = self._pages(request.channel, request.held, size, occurrences.count, stream)
        async with aclosing(pages):
            async for found in pages:
                counted += len(found)
        return occurrences.result(counted, request.top, request.min_count)

    async def qm_clean(self, request: QmClean, caller: Caller, stream: Any) -> dict[str, Any]:
        substrings = Substrings(request.texts, request.match == "and", request.ignore_zz)
        try:
            substrings.check(SHORTEST if request.min_length is None else request.min_length)
        except ValueError as why:
            raise UsageError(str(why)) from None
        if request.action not in ("look", "hold", "delete"):
            raise UsageError(f"{request.action} is no action of clean: look, hold or delete")
        size = PAGE_WITH_CONTENT if CONTENT in request.texts else PAGE

        def look(stored: StoredEntry, head: Head) -> Any:
            return (stored, subject(head(_HEADER))) if substrings.match(stored, head) else None

        # To be held again would be no change, and what is held can be deleted.
        held = None if request.action == "delete" else False
        pages = self._pages(request.channel, held, size, look, stream)
        if request.action == "look":
            return await self._clean(pages, None, stream)
        what = ", ".join(f"{part} {text!r}" for part, text in request.texts.items())
        act = await self._changes.clean(request, what, caller)
        whole = False
        try:
            counts = await self._clean(pages, act, stream)
            whole = not stream.cancelled
        finally:
            ended = await act.end(whole)
        return {**counts, **ended}

    async def _clean(
        self, pages: AsyncGenerator[list[Any], None], act: Piecemeal | None, stream: Any
    ) -> dict[str, Any]:
        counts = {"matched": 0, "done": 0, "failed": 0}
        answer = RowStream(stream)
        # Closed at once, so that the next search has its turn.
        async with aclosing(pages):
            async for found in pages:
                trouble = (
                    await act.change([stored for stored, _ in found]) if act is not None and found else {}
                )
                counts["matched"] += len(found)
                counts["failed"] += len(trouble)
                if act is not None:
                    counts["done"] += len(found) - len(trouble)
                rows = [_row(stored, about, trouble.get(stored.entry.id, "")) for stored, about in found]
                await answer.send(rows)
                if act is not None and act.course.cancelled:
                    break
        return counts

    async def _pages(
        self, channel: str | None, held: bool | None, size: int, look: Look, stream: Any
    ) -> AsyncGenerator[list[Any], None]:
        """What ``look`` made of each page; says how far it is."""
        began = self._at.reactor.seconds()
        names: list[str | None] = [None] if channel is None else list(self._looks.channels(channel))
        total = await self._number(channel, held)
        done = 0
        await self._turns.acquire()
        try:
            for name in names:
                async for scanned in self._of(name, held, size, look, began):
                    done += scanned.seen
                    stream.progress({"done": min(done, total), "of": total})
                    yield scanned.found
                    if stream.cancelled:
                        return
        finally:
            self._turns.release()

    async def _of(
        self, name: str | None, held: bool | None, size: int, look: Look, began: float
    ) -> AsyncIterator[Any]:
        """The pages of one channel, as it was when the search began."""
        newer = False

        def only_older(stored: StoredEntry, head: Head) -> Any:
            nonlocal newer
            if stored.entry.enqueued > began:
                newer = True
                return None
            return look(stored, head)

        after = None
        while not newer:
            start = self._at.reactor.seconds()
            scanned = await self._at.store.scan(only_older, name, held, size, after)
            yield scanned
            if scanned.last is None:
                return
            after = scanned.last
            await self._rest(self._at.reactor.seconds() - start)

    async def _rest(self, seconds: float) -> None:
        pause: Deferred[None] = Deferred()
        self._at.reactor.callLater(min(max(seconds, 0.0), LONGEST_PAUSE), pause.callback, None)
        await pause

    async def _number(self, channel: str | None, held: bool | None) -> int:
        """About how many entries there are to look at."""
        meant = None if channel is None else set(self._looks.channels(channel))
        summary = await self._at.store.summarize()
        return sum(
            (0 if held is True else queued) + (0 if held is False else kept)
            for name, (queued, _, kept, *_rest) in summary.items()
            if meant is None or name in meant
        )


def _row(stored: StoredEntry, about: str, trouble: str) -> dict[str, Any]:
    return {
        "id": stored.entry.id,
        "channel": stored.entry.channel,
        "sender": stored.envelope.sender,
        "recipients": [recipient.address for recipient in stored.envelope.recipients],
        "subject": about,
        "text": trouble,
    }
