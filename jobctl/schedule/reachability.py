"""Which hosts are left alone, and for how long."""

from __future__ import annotations

from random import Random

from jobctl.schedule.backoff import HOST_JITTER, HOST_LONGEST, jittered, longest_wait
from jobctl.schedule.hosts import HostQueue
from jobctl.schedule.memory import Memory
from jobctl.schedule.plan import HostBackoff
from jobctl.schedule.queues import ChannelQueue
from jobctl.schedule.window import Window


class Reachability:
    """
    Backoff of hosts that failed at connection level.

    :param random: For its jitter.
    """

    def __init__(self, memory: Memory, window: Window, random: Random) -> None:
        self._memory = memory
        self._window = window
        self._random = random

    def failed(self, host: HostQueue, now: float) -> HostBackoff:
        """It could not be talked to; while it is backed off a further failure says nothing new."""
        early, host.early = host.early, 0.0
        if early > now:
            # It had called, was tried before its time, and could not be talked to: all is as before.
            host.failures -= 1
            self._back_off(host, early)
        elif not host.failures or host.until <= now:
            wait = jittered(host.failures + 1, host.channel.longest_backoff, self._random)
            self._back_off(host, now + wait)
        return HostBackoff(host.failures, host.until)

    def _back_off(self, host: HostQueue, until: float) -> None:
        host.failed(until)
        self._memory.wall.set(host, until)
        self._window.shed_blocked(host)
        self._memory.dirty.setdefault(host.channel, False)

    def reconsider(self, channel: ChannelQueue, now: float) -> None:
        """Other retry intervals: no host is left alone for longer than they allow."""
        latest = now + longest_wait(channel.settings)
        for host in channel.hosts.values():
            host.early = min(host.early, latest)
            if host.failures and host.until > latest and not host.lapsed:
                host.until = latest
                self._memory.wall.set(host, latest)

    def hurry(self, host: HostQueue, now: float) -> None:
        """An operator wants it tried: its probe may go out now, and if that fails it is backed off as before."""
        if host.failures and host.until > now and not host.lapsed:
            host.until = now
            self._memory.wall.set(host, now)
            self._memory.dirty[host.channel] = True

    def call(self, host: HostQueue, now: float) -> None:
        """It says itself that it is there (ETRN): its probe may go out now, and counts for nothing if it fails."""
        waits = host.failures and host.until > now and not host.lapsed and not host.probing
        if waits and not host.early and (host.size or host.cursor is not None):
            host.early = host.until
            self.hurry(host, now)

    def answered(self, host: HostQueue) -> bool:
        """It has answered; ``True``: that is news."""
        if not host.failures:
            return False
        self._memory.wall.clear(host)
        host.recovered()
        self._memory.dirty.setdefault(host.channel, False)
        self._window.freed(host)
        host.channel.forget_if_idle(host)
        return True

    def backoffs(self) -> list[tuple[str, str, int, float]]:
        """Channel, host, failures, until."""
        return [
            (channel.name, host.name, host.failures, host.until)
            for channel in self._memory.channels.values()
            for host in channel.hosts.values()
            if host.failures
        ]

    def restore(self, host: HostQueue, failures: int, until: float, now: float) -> None:
        """As it was before a restart, but not longer than a backoff can be: the clock may have been wrong."""
        host.failures = failures - 1
        self._back_off(host, min(until, now + HOST_LONGEST * (1 + HOST_JITTER)))
