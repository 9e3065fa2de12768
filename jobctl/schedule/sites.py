"""What is allowed to one site: connections that it earns, and limits of the channel's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobctl.schedule.hosts import HostQueue
    from jobctl.schedule.jobs import Job, Stay

Rate = tuple[int, float]
# Hosts of a channel whose site is remembered after their mail has gone.
MOST_REMEMBERED = 10_000
# A rate may come in bursts of this part of it; what flows between them is as much less, so that no
# period has more than the rate.
BURST = 10


class Site:
    """
    One destination, or several hosts whose mail goes to the same machines (``group_by_mx``).

    :ivar name: ``""``: just the one host.
    :ivar window: Entries that jobs may have of it: one connection's worth, and that much more for each
        answer while half of it is in use, so a site that says nothing keeps one connection.
    :ivar active: Entries that jobs have.
    :ivar busy: Its hosts of which jobs have any.
    :ivar hosts: How many there are.
    """

    __slots__ = ("_filled", "_tokens", "active", "busy", "hosts", "name", "window")

    def __init__(self, name: str, window: int) -> None:
        self.name = name
        self.window = window
        self.active = 0
        self.hosts = 0
        self.busy: dict[HostQueue, None] = {}
        # Of its rate: messages that may go now, as of a time (steady seconds); None: nothing was sent yet.
        self._tokens = 0.0
        self._filled: float | None = None

    def answered(self, depth: int) -> None:
        """It has talked about a message."""
        if self.active * 2 >= self.window:
            self.window += depth

    def took(self, host: HostQueue, count: int) -> None:
        """Entries of one of its hosts were handed out."""
        self.active += count
        self.busy[host] = None

    def finished(self, host: HostQueue) -> None:
        """One of them is over."""
        self.active -= 1
        if not host.active:
            self.busy.pop(host, None)

    def connections(self, depth: int) -> int:
        """Those that what jobs have of it is worth."""
        return sum(stay.connections(depth) for host in self.busy for stay in host.serving.values())

    def allowance(self, host: HostQueue, job: Job, most: int, depth: int) -> int:
        """Entries of one of its hosts that a job can be handed without exceeding ``most`` connections."""
        spare = (most - self.connections(depth)) * depth
        stay: Stay | None = host.serving.get(job)
        if stay is not None:
            spare += stay.connections(depth) * depth - stay.count
        return max(spare, 0)

    # The rate.

    def may_send(self, rate: Rate, steady: float) -> int:
        """Messages that may go now."""
        most, _ = _bucket(rate)
        self._fill(rate, steady)
        return int(min(self._tokens + 1e-9, most))

    def sent(self, rate: Rate, count: int, steady: float) -> None:
        """So many went."""
        self._fill(rate, steady)
        self._tokens -= count

    @property
    def begun(self) -> bool:
        """Whether anything was sent to it under a rate."""
        return self._filled is not None

    def next_at(self, rate: Rate, ahead: int = 0) -> float:
        """Steady seconds at which one more may go, when so many go before it."""
        _, flow = _bucket(rate)
        assert self._filled is not None  # something was sent
        return self._filled + max(1.0 + ahead - self._tokens, 0.0) / flow

    def _fill(self, rate: Rate, steady: float) -> None:
        most, flow = _bucket(rate)
        if self._filled is None:
            self._tokens = most
        else:
            self._tokens = min(self._tokens + (steady - self._filled) * flow, most)
        self._filled = steady


def _bucket(rate: Rate) -> tuple[float, float]:
    """The burst, and messages a second."""
    count, seconds = rate
    burst = max(count // BURST, 1)
    return float(burst), max(count - burst, 1) / seconds


class Sites:
    """Which hosts of a channel are one site, as programs have told."""

    def __init__(self) -> None:
        self._sites: dict[str, Site] = {}
        self._names: dict[str, str] = {}

    def of(self, host: str, window: int) -> Site:
        """The site of a host that comes into memory."""
        name = self._names.get(host, "")
        site = self._sites.get(name) if name else None
        if site is None:
            site = Site(name, window)
            if name:
                self._sites[name] = site
        site.hosts += 1
        return site

    def forget(self, site: Site) -> None:
        """A host has left memory."""
        site.hosts -= 1
        if not site.hosts and self._sites.get(site.name) is site:
            del self._sites[site.name]

    def told(self, host: HostQueue, name: str) -> None:
        """A program has found where the mail of a host goes."""
        if self._names.get(host.name) == name:
            return
        self._names.pop(host.name, None)
        self._names[host.name] = name
        if len(self._names) > MOST_REMEMBERED:
            del self._names[next(iter(self._names))]
        old = host.site
        site = host.site = self.of(host.name, old.window)
        old.active -= host.active
        old.busy.pop(host, None)
        if host.active:
            site.took(host, host.active)
        self.forget(old)

    def clear(self, hosts: Mapping[str, HostQueue], window: int) -> None:
        """Every host is a site of its own again."""
        if not self._names:
            return
        self._sites.clear()
        self._names.clear()
        for host in hosts.values():
            site = host.site = self.of(host.name, window)
            if host.active:
                site.took(host, host.active)
