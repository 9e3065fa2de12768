"""Entries that were set aside as damaged: what is left of them, put back, or given up."""

import os
from typing import Any

from twisted.logger import Logger

from jobctl.control.change_requests import QmAbandon, QmSalvage
from jobctl.control.operations import Caller
from jobctl.control.requests import QmDamaged
from jobctl.controller.refusals import Refusal
from jobctl.errors import StoreError
from jobctl.mail.envelope import Envelope, Recipient, Source
from jobctl.mail.remains import Remains

log = Logger()

_NONE = "it was not set aside as damaged; see 'jobctl qm damaged'"
_PIECE = 64 * 1024


class Unsaved(Exception):
    """An entry cannot be put back; the text says what to do."""


class Salvage:
    """
    The operations of the control socket on what the store has set aside.

    An entry that can be read again goes back as it was.  Of any other the message is
    queued anew, to the recipients that the operator names or believes, and then the old entry is
    given up: in this order, so that whatever happens in between nothing is lost.
    """

    def __init__(self, controller: Any) -> None:
        self._at = controller

    async def qm_damaged(self, request: QmDamaged, caller: Caller, stream: Any) -> list[dict[str, Any]]:
        rows = []
        for entry_id, _since, _why in await self._at.store.damaged():
            left = await self._at.store.remains(entry_id)
            if left is not None:
                rows.append(left.row())
        return rows

    async def qm_salvage(self, request: QmSalvage, caller: Caller, stream: Any) -> dict[str, Any]:
        done, failed, queued = [], [], {}
        for entry_id in dict.fromkeys(request.ids):
            try:
                queued[entry_id] = await self._save(entry_id, request)
            except (Unsaved, StoreError, Refusal) as why:
                text = why.text if isinstance(why, Refusal) else str(why)
                failed.append({"id": entry_id, "text": text, "exit": _exit(why)})
            else:
                done.append(entry_id)
                log.info(
                    "damaged entry {entry} is queued as {new} by {who}",
                    entry=entry_id,
                    new=", ".join(queued[entry_id]),
                    who=caller.name,
                )
        return {"done": done, "queued": queued, "failed": failed}

    async def qm_abandon(self, request: QmAbandon, caller: Caller, stream: Any) -> dict[str, Any]:
        done, failed = [], []
        for entry_id in dict.fromkeys(request.ids):
            if await self._at.store.give_up(entry_id):
                done.append(entry_id)
                log.info("damaged entry {entry} is given up by {who}", entry=entry_id, who=caller.name)
            else:
                failed.append({"id": entry_id, "text": _NONE, "exit": os.EX_NOINPUT})
        return {"done": done, "failed": failed}

    async def _save(self, entry_id: str, request: QmSalvage) -> list[str]:
        """
        :return: The ids under which its message is queued now.
        :raises Unsaved: Nothing was changed.
        """
        left: Remains | None = await self._at.store.remains(entry_id)
        if left is None:
            raise Unsaved(_NONE)
        try:
            restored = await self._at.store.restore(entry_id)
        except StoreError as why:
            return await self._anew(left, request, str(why))
        if not restored:
            raise Unsaved(_NONE)
        for stored in await self._at.store.fetch([entry_id]):
            # Where it is held nothing is due.
            if stored.state == "queued":
                self._at.scheduler.add(stored.entry, self._at.reactor.seconds())
        self._at.dispatch.kick()
        return [entry_id]

    async def _anew(self, left: Remains, request: QmSalvage, why: str) -> list[str]:
        envelope = _envelope(left, request, why)
        if left.content != "whole":
            raise Unsaved(
                f"its content is {left.content}, too: restore the queue from a backup, or give it up"
            )
        content = await self._content(left)
        # Who says where it goes to says it anew; the channel of an entry is as doubtful as the rest of it.
        ids: list[str] = await self._at.intake.accept(envelope, Source("process"), content, left.size)
        await self._at.store.give_up(left.id)
        return ids

    async def _content(self, left: Remains) -> Any:
        old = await self._at.store.content(left.message)
        try:
            if left.size <= _PIECE:
                return b"".join(iter(lambda: old.read(_PIECE), b""))
            staged = self._at.store.stage()
            try:
                while piece := old.read(_PIECE):
                    staged.write(piece)
            except BaseException:
                staged.discard()
                raise
            return staged
        finally:
            old.close()


def _envelope(left: Remains, request: QmSalvage, why: str) -> Envelope:
    sender, recipients = request.sender, tuple(Recipient(address) for address in request.recipients)
    if request.as_read:
        sender = left.sender if sender is None else sender
        recipients = recipients or left.recipients or ()
    missing = [
        option for option, there in (("--from", sender is not None), ("--to", recipients)) if not there
    ]
    if missing:
        hint = "" if request.as_read else "; or say --as-read to believe what 'jobctl qm damaged' shows"
        raise Unsaved(f"{why}: give {' and '.join(missing)}{hint}")
    return Envelope(sender or "", recipients)


def _exit(why: Exception) -> int:
    if isinstance(why, Unsaved):
        return os.EX_NOINPUT if str(why) == _NONE else os.EX_DATAERR
    return os.EX_TEMPFAIL if isinstance(why, StoreError) or why.code < 500 else os.EX_DATAERR  # type: ignore[attr-defined]
