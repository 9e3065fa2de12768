"""What an attempt's verdicts mean for a queue entry: who leaves, when the rest is tried again, who is told."""

import random as _random
from collections.abc import Iterable

from jobctl.config.settings import RetryRule, Settings
from jobctl.controller.lifetimes import Lifetimes, in_days
from jobctl.controller.notices import NOTHING, Notices
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.entry import Attempt, Lasting, Loss, Settlement, StoredEntry
from jobctl.notification.notice import Kind, Original
from jobctl.schedule.backoff import next_attempt
from jobctl.schedule.expiry import is_late

_LOSS = {Verdict.DELIVERED: Loss.DELIVERED, Verdict.RELAYED: Loss.RELAYED, Verdict.FAILED: Loss.FAILED}
# A message that was in the hands of so many programs when they died is set aside.
DEADLY = 3
# Recipients of one attempt that are told one by one as reached: a history has room for a hundred lines.
MOST_TOLD = 30
REACHED = frozenset({Verdict.DELIVERED, Verdict.RELAYED})
# How soon work is offered again that a job gave back or lost through no fault of the message.
GIVEN_BACK = 5.0
# A next hop's wish for the next attempt is not granted beyond this: programs may say anything.
LONGEST_WISH = 7 * 86400.0


class Verdicts:
    """
    Turns what jobs report into :class:`Settlement` values; does nothing else.

    :param notices: Makes the notifications that they carry.
    """

    def __init__(self, settings: Settings, notices: Notices, random: _random.Random) -> None:
        self.reconfigure(settings)
        self.notices = notices
        self._random = random

    def reconfigure(self, settings: Settings) -> None:
        """What is decided from now on is decided by these."""
        self.settings = settings
        self.lifetimes = Lifetimes(settings)

    def tried(
        self,
        stored: StoredEntry,
        dispositions: list[Disposition],
        *,
        counted: bool,
        retry: float | None,
        job: str,
        now: float,
        original: Original,
    ) -> Settlement:
        """
        One attempt is over.

        :param dispositions: One for every recipient of the entry.
        :param counted: Whether the attempt counts for those that are deferred.
        :param retry: The next hop's wish for the next attempt, seconds from now.
        :param original: For a notification; only where :meth:`Notices.told_of` says so.
        """
        losses = losses_of(dispositions)
        left = [d for d in dispositions if d.verdict is Verdict.DEFERRED]
        notifications = self.notices.attempted(stored, dispositions, now=now, original=original)
        if not left:
            return Settlement(
                id=stored.entry.id,
                losses=losses,
                notifications=notifications,
                said=tuple(dispositions),
                job=job,
            )
        attempts = stored.entry.attempts + 1 if counted else stored.entry.attempts
        rule = self.lifetimes.number_after(stored, left, attempts, now)
        return Settlement(
            id=stored.entry.id,
            losses=losses,
            due=self._due(stored, retry, counted, bool(losses), now, self.lifetimes.rules.rule(rule)),
            attempts=attempts if counted else None,
            rule=rule,
            last_reply=left[-1].reply,
            history=tuple(_lines(dispositions, job, now)),
            notifications=notifications,
            said=tuple(dispositions),
            job=job,
        )

    def _due(
        self,
        stored: StoredEntry,
        retry: float | None,
        counted: bool,
        partial: bool,
        now: float,
        rule: RetryRule | None,
    ) -> float:
        entry = stored.entry
        wish = now if retry is None else now + min(max(retry, 0.0), LONGEST_WISH)
        # Leftovers of a partial success are tried once more at once; only progress brings this about again.
        if partial or not counted:
            return wish
        channel = self.settings.channel(entry.channel)
        due = next_attempt(channel, entry.priority, entry.attempts + 1, now, self._random, rule)
        return max(wish, due)

    def expired(self, stored: StoredEntry, now: float, original: Original) -> Settlement:
        """Its age has reached the last of ``notices``, or its deadline: the sender is told, and it leaves the queue."""
        # RFC 2852 section 4: who wanted it back by now gets it back with a status of its own.
        status = "5.4.7" if stored.entry.returns and is_late(stored.entry, now) else "4.4.7"
        reply = (
            stored.last_reply
            or "451 4.4.7 never tried: its channel was stopped, outside its hours, held back or without a program"
        )
        return self._given_up(stored, status, reply, Loss.EXPIRED, Kind.TIMEDOUT, now, original)

    def warned(self, stored: StoredEntry, age: float, now: float, original: Original) -> Settlement:
        """
        Its sender is told of the delay; it stays as it is.

        :param age: Seconds, one of ``notices``: that was told of then, whether anybody wanted to know or not.
            0: its deadline has passed, which is told once, too.
        """
        notifications = self.notices.delayed(
            stored, until=self.lifetimes.expires_at(stored, now), now=now, original=original
        )
        after = in_days(age or now - stored.entry.enqueued)
        line = Attempt(when=now, what="warned", text=f"not delivered after {after}")
        return Settlement(
            id=stored.entry.id,
            warned=age or None,
            deadline=0.0 if is_late(stored.entry, now) else None,
            history=(line,) if notifications else (),
            notifications=notifications,
        )

    def returned(self, stored: StoredEntry, reason: str, now: float, original: Original) -> Settlement:
        """An operator gives it back as undeliverable."""
        return self._given_up(stored, "5.0.0", reason, Loss.FAILED, Kind.BOUNCED, now, original)

    def _given_up(
        self,
        stored: StoredEntry,
        status: str,
        reply: str,
        loss: Loss,
        kind: Kind,
        now: float,
        original: Original,
    ) -> Settlement:
        """All its recipients are lost, for one reason, without an attempt."""
        recipients = [recipient.address for recipient in stored.envelope.recipients]
        failed = tuple(
            Disposition(recipient=recipient, verdict=Verdict.FAILED, status=status, reply=reply)
            for recipient in recipients
        )
        return Settlement(
            id=stored.entry.id,
            losses=tuple((recipient, loss) for recipient in recipients),
            notifications=self.notices.failed(stored, failed, kind, now=now, original=original),
            said=failed,
        )

    def interrupted(
        self,
        stored: StoredEntry,
        dispositions: list[Disposition],
        *,
        why: str,
        deadly: bool,
        sent: bool,
        job: str,
        now: float,
    ) -> Settlement:
        """
        Its program ended before every recipient had a verdict: the rest are deferred, no attempt counted.

        :param dispositions: Of those that were delivered nevertheless.
        :param deadly: The program died on it; the third time it is set aside.
        :param sent: The final dot may have gone out, so it may have been delivered.
        """
        deaths = stored.deaths + 1 if deadly else stored.deaths
        text = f"451 4.3.0 channel program {why}" + ("; it may have been delivered" if sent else "")
        held = deadly and deaths >= DEADLY
        reason = f"{deaths} programs died holding it; the last: {why}" if held else None
        return Settlement(
            id=stored.entry.id,
            losses=losses_of(dispositions),
            due=now + GIVEN_BACK,
            last_reply=text,
            history=(
                *_lines(dispositions, job, now),
                Attempt(when=now, what="interrupted", text=text, job=job),
            ),
            deaths=deaths if deadly else None,
            suspect=stored.suspect + 1 if sent else None,
            state=Lasting.HELD if held else None,
            reason=reason,
            notifications=self.notices.attempted(stored, dispositions, now=now, original=NOTHING),
            said=tuple(dispositions),
            job=job,
        )


def losses_of(dispositions: Iterable[Disposition]) -> tuple[tuple[str, Loss], ...]:
    """Who leaves the queue, and how."""
    return tuple((d.recipient, _LOSS[d.verdict]) for d in dispositions if d.verdict.final)


def _lines(dispositions: Iterable[Disposition], job: str, now: float) -> list[Attempt]:
    """
    What an attempt adds to the history of an entry that stays.

    Also who was reached, and by whom; those who were not come last, as they may not be crowded out.
    """
    given = list(dispositions)
    reached = [d for d in given if d.verdict in REACHED]
    others = [d for d in given if d.verdict not in REACHED]
    lines = [
        Attempt(now, d.verdict.value, d.reply or d.status, d.recipient, job, d.remote)
        for d in (*reached[:MOST_TOLD], *others)
    ]
    if len(reached) > MOST_TOLD:
        text = f"{len(reached) - MOST_TOLD} more recipients"
        lines.insert(MOST_TOLD, Attempt(now, Verdict.DELIVERED.value, text, job=job))
    return lines


def aside(settlement: Settlement, reason: str, now: float) -> Settlement:
    """
    Instead of a settlement that cannot be: who was delivered leaves the queue, the others are held.

    :param reason: What an operator should know.
    """
    return Settlement(
        id=settlement.id,
        losses=tuple(loss for loss in settlement.losses if loss[1] in (Loss.DELIVERED, Loss.RELAYED)),
        state=Lasting.HELD,
        reason=reason,
        history=(Attempt(when=now, what="held", text=reason),),
        said=settlement.said,
        job=settlement.job,
    )
