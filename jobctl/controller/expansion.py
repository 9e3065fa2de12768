"""Channel ``reprocess``: messages with many recipients, routed when nobody waits for it (``expandlimit``)."""

from typing import Any

import msgspec

from jobctl.config.settings import REPROCESS
from jobctl.controller.refusals import Refusal
from jobctl.interfaces import IContent
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.entry import Attempt, Loss, Settlement, StoredEntry, Submission
from jobctl.mail.envelope import Recipient
from jobctl.mail.hints import hints_of
from jobctl.notification.notice import Kind, Original
from jobctl.store.records import INLINE, with_recipients

# Messages expanded at a time.
TOGETHER = 5
_PIECE = 256 * 1024


class Copied(msgspec.Struct, frozen=True):
    """:ivar content: All of it, or staged; ``beginning``: with its header."""

    content: Any
    beginning: bytes


class Expansion:
    """
    Takes what is ready in the channel and puts it where the rules say, as mail that comes in now.

    The entries that are made, and what is told of recipients who lead nowhere, are
    committed with the end of the one that had them all.

    :param controller: :class:`jobctl.controller.controller.Controller`
    """

    def __init__(self, controller: Any) -> None:
        self._at = controller

    def look(self) -> None:
        """Whether there is something to be done; called after each decision."""
        if REPROCESS in self._at.settings.channels:
            ids = self._at.scheduler.claim(REPROCESS, "", TOGETHER, stopped=False)
            if ids:
                self._at.unattempted.decide(ids, self._settled, self._copied)

    async def _copied(self, stored: StoredEntry) -> Copied:
        opened: IContent = await self._at.store.content(stored.message)
        try:
            beginning = opened.read(_PIECE)
            if opened.size <= INLINE:
                return Copied(beginning, beginning)
            staged = self._at.store.stage()
            piece = beginning
            while piece:
                staged.write(piece)
                piece = opened.read(_PIECE)
            return Copied(staged, beginning)
        finally:
            opened.close()

    def _settled(self, stored: StoredEntry, copied: Copied, now: float) -> Settlement:
        refused: dict[str, Refusal] = {}
        submission = None
        everybody = stored.envelope.recipients
        while submission is None and (left := tuple(r for r in everybody if r.address not in refused)):
            try:
                submission = self._submission(stored, left, copied)
            except Refusal as why:
                alone = self._without_route(stored, left)
                refused.update(alone or {one.address: why for one in left})
        failed = [
            Disposition(address, Verdict.FAILED, why.status, f"{why.code} {why.status} {why.text}")
            for address, why in refused.items()
        ]
        original = Original(content=copied.beginning)
        notices = self._at.verdicts.notices.failed(stored, failed, Kind.FAILED, now=now, original=original)
        if submission is None and not isinstance(copied.content, bytes):
            copied.content.discard()
        entries = 0 if submission is None else len(submission.entries)
        return Settlement(
            id=stored.entry.id,
            losses=tuple(
                (one.address, Loss.FAILED if one.address in refused else Loss.MOVED) for one in everybody
            ),
            notifications=(*((submission,) if submission is not None else ()), *notices),
            history=(Attempt(when=now, what="expanded", text=f"into {entries} entries"),),
            said=tuple(failed),
        )

    def _submission(
        self, stored: StoredEntry, recipients: tuple[Recipient, ...], copied: Copied
    ) -> Submission:
        """:raises Refusal: An address leads nowhere, or a channel does not take the message."""
        submission: Submission = self._at.intake.submission(
            with_recipients(stored.envelope, recipients),
            stored.source,
            copied.content,
            stored.entry.size,
            envelope_id=stored.envelope_id,
            priority=stored.entry.priority,
            hints=hints_of(copied.beginning),
            beginning=copied.beginning,
            expanding=True,
        )
        # It is as old as it was.
        return msgspec.structs.replace(submission, arrived=stored.entry.enqueued)

    def _without_route(self, stored: StoredEntry, recipients: tuple[Recipient, ...]) -> dict[str, Refusal]:
        found = {}
        for recipient in recipients:
            try:
                self._at.intake.groups((recipient,), stored.source.channel)
            except Refusal as why:
                found[recipient.address] = why
        return found
