"""Channel ``reprocess``: recipients that are routed when nobody waits for it, and those of whom nobody could tell."""

from typing import Any

import msgspec

from jobctl.config.settings import REPROCESS
from jobctl.controller.refusals import Refusal
from jobctl.interfaces import IContent
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.entry import Attempt, Loss, Settlement, StoredEntry, Submission
from jobctl.mail.envelope import Recipient
from jobctl.mail.hints import hints_of
from jobctl.notification.notice import Original
from jobctl.store.records import INLINE, with_recipients

# Messages expanded at a time.
TOGETHER = 5
_PIECE = 256 * 1024


class Copied(msgspec.Struct, frozen=True):
    """
    :ivar content: All of it, or staged; ``beginning``: with its header.
    :ivar judged: Recipients that cannot go on, and why.
    """

    content: Any
    beginning: bytes
    judged: dict[str, Refusal]


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
        judged = self._at.intake.lenience.judged(stored)
        opened: IContent = await self._at.store.content(stored.message)
        try:
            beginning = opened.read(_PIECE)
            if opened.size <= INLINE or len(judged) == len(stored.envelope.recipients):
                return Copied(beginning, beginning, judged)
            staged = self._at.store.stage()
            piece = beginning
            while piece:
                staged.write(piece)
                piece = opened.read(_PIECE)
            return Copied(staged, beginning, judged)
        finally:
            opened.close()

    def _settled(self, stored: StoredEntry, copied: Copied, now: float) -> Settlement:
        refused = dict(copied.judged)
        submission = None
        everybody = stored.envelope.recipients
        while submission is None and (left := tuple(r for r in everybody if r.address not in refused)):
            try:
                submission = self._submission(stored, left, copied)
            except Refusal as why:
                alone = self._without_route(stored, left)
                refused.update(alone or {one.address: why for one in left})
        if submission is None and not isinstance(copied.content, bytes):
            copied.content.discard()
        settlement: Settlement = self._at.verdicts.tried(
            stored,
            [_verdict(address, why) for address, why in refused.items()],
            counted=True,
            retry=None,
            job="",
            now=now,
            original=Original(content=copied.beginning),
        )
        if submission is None:
            return settlement
        entries = len(submission.entries)
        moved = tuple((one.address, Loss.MOVED) for one in everybody if one.address not in refused)
        return msgspec.structs.replace(
            settlement,
            losses=(*settlement.losses, *moved),
            notifications=(submission, *settlement.notifications),
            history=(Attempt(when=now, what="expanded", text=f"into {entries} entries"), *settlement.history),
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


def _verdict(address: str, why: Refusal) -> Disposition:
    verdict = Verdict.DEFERRED if why.code < 500 else Verdict.FAILED
    return Disposition(address, verdict, why.status, f"{why.code} {why.status} {why.text}")
