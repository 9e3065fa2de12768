"""When a message has been tried for long enough."""

from jobctl.config.settings import DEFAULT_NOTICES, ChannelSettings, by_priority
from jobctl.mail.envelope import Priority


def lifetime(channel: ChannelSettings, priority: Priority) -> float:
    """Seconds from arrival to return: the last age of ``notices`` for this priority."""
    ages = by_priority(channel.notices, priority) if channel.notices else DEFAULT_NOTICES
    return ages[-1]


def expires_at(channel: ChannelSettings, priority: Priority, enqueued: float) -> float:
    """
    Epoch seconds at (and after) which a message is returned rather than tried.

    :param enqueued: Epoch seconds of its arrival.
    """
    return enqueued + lifetime(channel, priority)
