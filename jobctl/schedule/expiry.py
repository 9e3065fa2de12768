"""How long mail is tried: when its sender is warned, and when it is returned."""

import msgspec

from jobctl.config.settings import DEFAULT_NOTICES, ChannelSettings, RetryRule, by_priority
from jobctl.mail.entry import QueueEntry
from jobctl.mail.envelope import Priority

_DEFAULT = dict.fromkeys(("urgent", "normal", "nonurgent"), DEFAULT_NOTICES)
# More than anybody tries.
UNLIMITED = 1 << 62


class Life(msgspec.Struct, frozen=True):
    """
    The life of a message.

    :ivar ages: Seconds, rising, at least one: at the last it is returned, at each other its sender is warned.
    :ivar attempts: Counted attempts after which it is returned whatever its age.
    """

    ages: tuple[float, ...]
    attempts: int = UNLIMITED

    def speaks(self, warned: float) -> float:
        """The age at which there is something to tell next, given the one that was told of last (0: none)."""
        for age in self.ages:
            if age > warned:
                return age
        return self.ages[-1]


def life_of(channel: ChannelSettings, priority: Priority, rule: RetryRule | None = None) -> Life:
    """What ``notices`` and ``max_attempts`` say of mail of this priority, and a rule that applies to it."""
    ages = by_priority(channel.notices, _DEFAULT, priority)
    attempts = channel.max_attempts
    if rule is not None:
        ages = rule.notices or ages
        if rule.lifetime is not None:
            ages = (*(age for age in ages if age < rule.lifetime), rule.lifetime)
        attempts = rule.max_attempts or attempts
    return Life(ages, attempts or UNLIMITED)


def expires_at(life: Life, entry: QueueEntry) -> float:
    """Epoch seconds at (and after) which a message is returned rather than tried."""
    end = entry.born + life.ages[-1]
    return min(end, entry.deadline) if entry.returns and entry.deadline else end


def ended(life: Life, entry: QueueEntry, now: float) -> bool:
    """Whether it has been tried for long enough, or often enough."""
    return expires_at(life, entry) <= now or entry.attempts >= life.attempts


def is_late(entry: QueueEntry, now: float) -> bool:
    """Whether its deadline has passed and its sender is still to be told, of that or of its return."""
    return 0 < entry.deadline <= now


def next_warning(life: Life, entry: QueueEntry) -> float | None:
    """Epoch seconds at which its sender is to be told of the delay (again); ``None``: not any more."""
    age = life.speaks(entry.warned)
    return None if age >= life.ages[-1] else entry.born + age


def warning_age(life: Life, entry: QueueEntry, now: float) -> float | None:
    """
    The age of which the sender is to be told now; ``None``: there is nothing to be told.

    Of several that have passed untold (the host was down) it is the latest: one warning says it all.
    """
    born = entry.born
    passed = [age for age in life.ages[:-1] if age > entry.warned and born + age <= now]
    return passed[-1] if passed else None
