"""When a message has been tried for long enough."""

from jobctl.config.settings import DEFAULT_NOTICES, ChannelSettings, by_priority
from jobctl.mail.envelope import Priority

_DEFAULT = dict.fromkeys(("urgent", "normal", "nonurgent"), DEFAULT_NOTICES)


def lifetime(channel: ChannelSettings, priority: Priority) -> float:
    """Seconds from arrival to return: the last age of ``notices`` for this priority."""
    return by_priority(_DEFAULT | channel.notices, priority)[-1]


def expires_at(channel: ChannelSettings, priority: Priority, enqueued: float) -> float:
    """
    Epoch seconds at (and after) which a message is returned rather than tried.

    :param enqueued: Epoch seconds of its arrival.
    """
    return enqueued + lifetime(channel, priority)
