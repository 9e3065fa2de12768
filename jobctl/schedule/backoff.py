"""How long to wait: before a message is tried again, before a failing destination is."""

from random import Random

from jobctl.config.settings import ABSOLUTE, DEFAULT_BACKOFF, ChannelSettings, RetryRule, by_priority
from jobctl.mail.envelope import Priority

# Seconds.  The first wait of a host that could not be reached; doubled up to the channel's first
# retry interval, and HOST_LONGEST at most: a host costs one probe however much is queued for it, so
# it is asked more often than a single message would be.
HOST_FIRST = 30.0
HOST_LONGEST = 3600.0
HOST_JITTER = 0.2


def intervals(
    channel: ChannelSettings, priority: Priority, rule: RetryRule | None = None
) -> tuple[float, ...]:
    """The retry intervals in seconds (``backoff``, ``normalbackoff`` ...); never empty, the last repeats."""
    if rule is not None and rule.backoff is not None:
        return rule.backoff
    return by_priority(channel.backoff, DEFAULT_BACKOFF, priority)


def next_attempt(
    channel: ChannelSettings,
    priority: Priority,
    attempts: int,
    now: float,
    random: Random,
    rule: RetryRule | None = None,
) -> float:
    """
    When a message that was deferred is due again.

    Messages that failed together must not come back together (a herd after an outage): later by up to
    a part of the interval (``jitter``), never earlier, since the intervals are what the operator asked for.

    :param attempts: Counted attempts including the one that just failed, at least 1.
    :param now: Epoch seconds, as is the result.
    :param rule: The retry rule that applies.
    """
    waits = intervals(channel, priority, rule)
    jitter = channel.jitter if rule is None or rule.jitter is None else rule.jitter
    return now + waits[min(max(attempts, 1), len(waits)) - 1] * (1 + jitter * random.random())


def first_attempt(channel: ChannelSettings, priority: Priority, now: float) -> float:
    """When new mail is due: at once, or as ``after`` says."""
    after = channel.after.get(priority.word, 0.0) if channel.after else 0.0
    return max(now, after) if after >= ABSOLUTE else now + after


def demoted(channel: ChannelSettings, priority: Priority, size: int) -> Priority:
    """The priority of mail of this size in octets: large mail drops, step by step."""
    while channel.demotion and size > channel.demotion.get(priority.word, size):
        priority = Priority(priority + 1)
    return priority


def host_wait(channel: ChannelSettings, failures: int, random: Random) -> float:
    """
    Seconds to leave a host alone after it failed at connection level.

    :param failures: In a row, this one included, at least 1.
    """
    return jittered(failures, longest(channel), random)


def jittered(failures: int, longest: float, random: Random) -> float:
    """The same, where the longest wait of the channel is at hand."""
    seconds = min(HOST_FIRST * float(1 << min(failures - 1, 16)), longest)
    return seconds * random.uniform(1 - HOST_JITTER, 1 + HOST_JITTER)


def longest(channel: ChannelSettings) -> float:
    """Seconds that a host is left alone for at most, but for the jitter."""
    return min(intervals(channel, Priority.NORMAL)[0], HOST_LONGEST)


def longest_wait(channel: ChannelSettings) -> float:
    """Seconds: no host is left alone for longer."""
    return longest(channel) * (1 + HOST_JITTER)
