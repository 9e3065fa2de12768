"""An operator's run: everything queued to a channel, offered once, whatever the schedule says."""

from __future__ import annotations

from collections import OrderedDict, deque

from jobctl.schedule.plan import Key
from jobctl.schedule.tracked import RUN, Item


class Run:
    """
    One run.

    :ivar starts: Whether jobs are to be started for it; else one has come by itself.
    :ivar waiting: Entries that were not offered yet.
    :ivar active: Entries that its jobs hold.
    :ivar began: Epoch seconds; later mail is not part of it.
    :ivar exhausted: The store has no more of its channel.
    :ivar after: Where reading goes on.
    """

    def __init__(self, name: str, channel: str, starts: bool, began: float) -> None:
        self.name = name
        self.channel = channel
        self.starts = starts
        self.began = began
        self.waiting = 0
        self.active = 0
        self.exhausted = False
        self.asked = False
        self.after: Key | None = None
        self._offered: set[str] = set()
        self._hosts: OrderedDict[str, deque[Item]] = OrderedDict()

    @property
    def done(self) -> bool:
        return not self.waiting and not self.active and self.exhausted

    def takes(self, id: str) -> bool:
        """Whether it was not offered before."""
        return id not in self._offered

    def add(self, item: Item) -> None:
        """An entry to be offered."""
        item.state = RUN
        item.run = self.name
        self._offered.add(item.entry.id)
        self._hosts.setdefault(item.host.name, deque()).append(item)
        self.waiting += 1

    def next_host(self) -> str | None:
        """The first host that has something."""
        while self._hosts:
            name, items = next(iter(self._hosts.items()))
            while items and items[0].state != RUN:
                items.popleft()
            if items:
                return name
            del self._hosts[name]
        return None

    def take(self, host: str | None, count: int) -> list[Item]:
        """
        At most ``count`` entries to be offered now.

        :param host: Only of this host; ``None``: of any, one host after the other.
        """
        taken: list[Item] = []
        while len(taken) < count:
            name = self.next_host() if host is None else host
            items = self._hosts.get(name) if name is not None else None
            while items and len(taken) < count:
                item = items.popleft()
                if item.state == RUN:
                    taken.append(item)
            if host is not None or (not items and name is None):
                break
        self.waiting -= len(taken)
        return taken

    def has(self, host: str) -> bool:
        """Whether there is more for a host."""
        items = self._hosts.get(host, ())
        return any(item.state == RUN for item in items)

    def give_up(self, host: str | None) -> list[Item]:
        """Everything that was not offered, of one host or (``None``) in all; nothing more is read then."""
        if host is None:
            self.exhausted = True
        return self.take(host, self.waiting)
