"""What became of messages: those that have left the queue, and those that are still in it."""

from typing import Any

import msgspec

from jobctl.accounts.history import Search
from jobctl.accounts.history_rows import attempt_rows, finished_row, waiting_rows
from jobctl.control.account_requests import History
from jobctl.control.operations import Caller
from jobctl.controller.looks import Looks
from jobctl.controller.row_stream import RowStream
from jobctl.errors import UsageError
from jobctl.mail.entry import Finished, Loss
from jobctl.selection.candidate import Candidate
from jobctl.selection.narrowing import ANYTHING
from jobctl.selection.selector import Selector, selector

PAGE = 500


class Histories:
    """The operation ``history`` of the control socket."""

    def __init__(self, controller: Any, looks: Looks) -> None:
        self._at = controller
        self._looks = looks

    async def history(self, request: History, caller: Caller, stream: Any) -> int:
        if request.what and request.what not in tuple(Loss):
            raise UsageError(f"what became of a message is one of {', '.join(Loss)}, not {request.what}")
        search = search_of(request)
        where = None if request.where is None else selector(request.where)
        if where is not None and where.narrowed.ids is not None and not search.ids:
            search = msgspec.structs.replace(search, ids=tuple(where.narrowed.ids))
        answer = RowStream(stream, request.limit)
        await self._finished(request, search, where, answer)
        if request.waiting and not request.what and not answer.over:
            await self._waiting(request, search, where, answer)
        return answer.sent

    async def _finished(
        self, request: History, search: Search, where: Selector | None, answer: RowStream
    ) -> None:
        after = 0
        now = self._at.reactor.seconds()
        while not answer.over:
            found, after = await self._at.store.finished(search, after, PAGE)
            if where is not None:
                found = [one for one in found if where.matches(candidate(one), now)]
            rows = [finished_row(one) for one in answer.wanted(found)]
            await self._send(answer, rows, request.attempts)
            if not after:
                break

    async def _waiting(
        self, request: History, search: Search, where: Selector | None, answer: RowStream
    ) -> None:
        now = self._at.reactor.seconds()
        narrowed = ANYTHING if where is None else where.narrowed
        if search.ids and narrowed.ids is None:
            narrowed = msgspec.structs.replace(narrowed, ids=frozenset(search.ids))
        async for page in self._looks.pages(None, None, narrowed):
            rows: list[dict[str, Any]] = []
            for stored in page:
                one = self._looks.candidate(stored, now)
                if where is None or where.matches(one, now):
                    rows += waiting_rows(stored, one.state, search)
            await self._send(answer, answer.wanted(rows), request.attempts)
            if answer.over:
                break

    async def _send(self, answer: RowStream, rows: list[dict[str, Any]], attempts: bool) -> None:
        if attempts:
            for row in rows:
                lines = await self._at.store.history(row["id"])
                row["lines"] = attempt_rows(lines, row["recipient"])
        await answer.send(rows)


def search_of(request: History) -> Search:
    """The part of a request that the store can answer."""
    return Search(
        recipient=request.recipient,
        sender=request.sender,
        since=request.since,
        until=request.until,
        message_id=request.message_id,
        subject=request.subject,
        ids=request.ids,
        channel=request.channel,
        what=request.what,
    )


def candidate(one: Finished) -> Candidate:
    """A finished recipient as selectors look at it."""
    return Candidate(
        id=one.id,
        channel=one.channel,
        host=one.host,
        state="",
        sender=one.sender,
        recipients=(one.recipient,),
        size=one.size,
        attempts=one.attempts,
        enqueued=one.enqueued,
        due=one.when,
        last_reply=one.reply,
        source=one.source,
    )
