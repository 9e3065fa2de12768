"""Slots that channels share, and who is next for one."""

from __future__ import annotations

from collections.abc import Iterable

from jobctl.config.settings import PoolSettings
from jobctl.schedule.queues import ChannelQueue

_DEFAULT = PoolSettings("DEFAULT")


class Pools:
    """
    How many more jobs each channel may have: min(``maxjobs``, what is left of its pool's ``job_limit``).

    Channels that would start a job if there were a slot wait in line, those without any job first.
    """

    def __init__(self, pools: dict[str, PoolSettings]) -> None:
        self._pools = pools
        self._used: dict[str, int] = {}
        self._waiting: dict[str, dict[ChannelQueue, None]] = {}

    def configure(self, pools: dict[str, PoolSettings], channels: Iterable[ChannelQueue]) -> None:
        """Take new limits; channels may have changed their pool."""
        self._pools = pools
        self._used = {}
        self._waiting = {}
        for channel in channels:
            self._used[channel.settings.pool] = self._used.get(channel.settings.pool, 0) + channel.slots

    def take(self, channel: ChannelQueue) -> None:
        """A slot is in use."""
        channel.slots += 1
        pool = channel.settings.pool
        self._used[pool] = self._used.get(pool, 0) + 1

    def give(self, channel: ChannelQueue) -> list[ChannelQueue]:
        """
        A slot is free.

        :return: Those that wait for one, who should have it first.
        """
        channel.slots -= 1
        pool = channel.settings.pool
        self._used[pool] -= 1
        return sorted(self._waiting.get(pool, ()), key=lambda waiting: waiting.slots > 0)

    def limit(self, channel: ChannelQueue) -> int:
        """Most jobs of this channel, were it alone."""
        return min(channel.settings.maxjobs, self.job_limit(channel))

    def used(self, channel: ChannelQueue) -> int:
        """Slots in use of a channel's pool."""
        return self._used.get(channel.settings.pool, 0)

    def job_limit(self, channel: ChannelQueue) -> int:
        """Slots of a channel's pool."""
        return self._pools.get(channel.settings.pool, _DEFAULT).job_limit

    def free(self, channel: ChannelQueue) -> int:
        """Jobs that may be started for a channel now; negative when limits were lowered."""
        settings = channel.settings
        pool = settings.pool
        own = settings.maxjobs - channel.slots
        left = self._pools.get(pool, _DEFAULT).job_limit - self._used.get(pool, 0)
        return own if own < left else left

    def wait(self, channel: ChannelQueue) -> bool:
        """It would start a job; ``True``: that is new."""
        waiting = self._waiting.setdefault(channel.settings.pool, {})
        if channel in waiting:
            return False
        waiting[channel] = None
        return True

    def served(self, channel: ChannelQueue) -> None:
        """It has got a slot, or needs none any more; the next time it stands behind the others."""
        waiting = self._waiting.get(channel.settings.pool)
        if waiting:
            waiting.pop(channel, None)

    def contended(self, channel: ChannelQueue) -> bool:
        """Whether any channel of the pool, this one included, is waiting for a slot."""
        return bool(self._waiting.get(channel.settings.pool))

    def others_wait(self, channel: ChannelQueue) -> bool:
        """Whether another channel of the pool is waiting for a slot."""
        waiting = self._waiting.get(channel.settings.pool, ())
        return len(waiting) > (channel in waiting)

    def must_yield(self, channel: ChannelQueue, channels: Iterable[ChannelQueue]) -> bool:
        """
        Whether a channel should give a slot back: another one has none, and this has the most.

        Jobs live for an hour; without this a busy channel would keep others out as long.
        """
        waiting = self._waiting.get(channel.settings.pool)
        if not waiting or channel.slots < 2 or all(other.slots for other in waiting):
            return False
        pool = channel.settings.pool
        return channel.slots == max(other.slots for other in channels if other.settings.pool == pool)
