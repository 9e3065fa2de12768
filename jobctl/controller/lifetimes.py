"""How long a queued message is tried, and when its sender is warned, by the settings in force."""

from collections.abc import Sequence

import msgspec

from jobctl.config.settings import DEFAULT_NOTICES, RetryRule, Settings
from jobctl.mail.disposition import Disposition
from jobctl.mail.entry import StoredEntry
from jobctl.schedule.expiry import Life, expires_at, is_late, life_of
from jobctl.schedule.rules import RetryRules
from jobctl.selection.candidate import queued


class Lifetimes:
    """
    :ivar settings: In force.
    :ivar rules: Their retry rules.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.rules = RetryRules(settings.retry)

    def number(self, stored: StoredEntry, now: float) -> int:
        """Of the retry rule that applies to an entry, 0: none."""
        return self.rules.number(queued(stored, now), now) if self.rules else 0

    def number_after(
        self, stored: StoredEntry, left: Sequence[Disposition], attempts: int, now: float
    ) -> int:
        """As :meth:`number`, once an attempt has ended with these deferrals."""
        if not self.rules:
            return 0
        candidate = msgspec.structs.replace(
            queued(stored, now, "delayed"),
            recipients=tuple(one.recipient for one in left),
            attempts=attempts,
            last_reply=left[-1].reply,
        )
        return self.rules.number(candidate, now)

    def of(self, stored: StoredEntry, now: float) -> Life:
        """The life of an entry."""
        entry = stored.entry
        return life_of(self.settings.channel(entry.channel), entry.priority, self.rule(stored, now))

    def rule(self, stored: StoredEntry, now: float) -> RetryRule | None:
        """The retry rule that applies to an entry."""
        return self.rules.rule(self.number(stored, now))

    def youngest(self) -> float:
        """Seconds: nothing younger is told of or returned by its age."""
        channels = self.settings.channels.values()
        ages = [first for channel in channels for first, *_ in channel.notices.values()]
        ages += [rule.lifetime for rule in self.settings.retry if rule.lifetime is not None]
        ages += [rule.notices[0] for rule in self.settings.retry if rule.notices is not None]
        return min(ages, default=DEFAULT_NOTICES[0])

    def expires_at(self, stored: StoredEntry, now: float) -> float:
        """Epoch seconds at which it is given up."""
        return expires_at(self.of(stored, now), stored.entry)

    def why_ended(self, stored: StoredEntry, now: float) -> str:
        """Why it is returned, for the log."""
        by_sender = stored.envelope.by
        if by_sender is not None and is_late(stored.entry, now):
            return f"the time has passed that its sender gave it, BY={by_sender.text}"
        life = self.of(stored, now)
        rule = self.rule(stored, now)
        by = "" if rule is None else f", by the retry rule on line {rule.line}"
        if stored.entry.attempts >= life.attempts:
            return f"{stored.entry.attempts} attempts were made, max_attempts is {life.attempts}{by}"
        return f"its age has reached {in_days(life.ages[-1])}{by}"


def in_days(seconds: float) -> str:
    """An age for people."""
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} seconds"
