"""Which priorities of a channel may go out now, by its delivery windows."""

import math

from jobctl.config.settings import ChannelSettings
from jobctl.mail.envelope import Priority
from jobctl.schedule.hours import closes, hours_of, opens


class Gate:
    """
    The delivery windows of a channel, looked at when one opens or closes and not for each message.

    :ivar opening: By priority, when it may go out; minus infinity: it may.
    :ivar next: Epoch seconds at which to look again.
    """

    def __init__(self, channel: ChannelSettings) -> None:
        self._hours = tuple(hours_of(channel, priority) for priority in Priority)
        self.opening = [-math.inf] * len(Priority)
        self.next = math.inf

    def when(self, priority: Priority, at: float) -> float:
        """When mail that is due at a time may go out."""
        return opens(self._hours[priority], at)

    def look(self, now: float) -> bool:
        """
        See what is open now.

        :return: Whether something is closed.
        """
        self.next = math.inf
        for priority, hours in enumerate(self._hours):
            if not hours:
                continue
            at = opens(hours, now)
            self.opening[priority] = at if at > now else -math.inf
            self.next = min(self.next, at if at > now else closes(hours, now))
        return any(at > now for at in self.opening)


def gate_of(channel: ChannelSettings) -> Gate | None:
    """``None``: it has no windows."""
    return Gate(channel) if any(channel.delivery.values()) else None
