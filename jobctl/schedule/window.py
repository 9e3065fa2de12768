"""Which entries are in memory and which are left to the store."""

from __future__ import annotations

import math

from jobctl.mail.entry import QueueEntry
from jobctl.schedule.cursor import Cursor
from jobctl.schedule.hosts import HostQueue
from jobctl.schedule.memory import Memory
from jobctl.schedule.overtaking import Overtaking
from jobctl.schedule.plan import Key, LoadRequest
from jobctl.schedule.tracked import Item

# Entries read at a time: large enough to be worth a query, small enough not to be felt.
PAGE = 1000
# Memory is filled again when it is down to this part of its limit.
LOW_WATER = 0.7
# Part of the limit kept free for urgent mail and what an operator releases.
RESERVE = 20
# A host that cannot be served keeps this part of the limit, for its probes.
BLOCKED = 64
# All hosts of a channel that is stopped keep this part of it: nothing can go out, and what is in memory of
# them only keeps the window from moving on to what can.
STOPPED = 16
# Pairs that a request may leave out (IMessageStore.window).
MOST_SKIPPED = 500
# Entries that wait for their delivery window and make room at a time: each is a change in the store.
SHUT_AT_ONCE = 1000
# Ids remembered that an operator removed or that left while the store was being read.
MOST_REMEMBERED = 50_000


class Window:
    """
    A bounded part of the queue in memory, the next due first.

    What the store has up to :attr:`cursor` is in memory.  A host with more than
    its share is excepted: it has a cursor of its own, is left out when the
    window moves on, and gets more when it runs thin.  So one destination, dead,
    slow or just large, never keeps others out.  A host may have as much as is
    left free (the dynamic threshold of Choudhury and Hahne, 1998): n large ones
    leave 1/(n+1) of memory for everybody else, without a share to configure.
    """

    def __init__(self, memory: Memory, limit: int) -> None:
        self._memory = memory
        self._items = memory.items
        self.cursor = Cursor()
        self._overtaking = Overtaking(memory, self.cursor)
        self.partial: dict[HostQueue, None] = {}
        #: What the store is being asked.
        self.asked: LoadRequest | None = None
        self._gone: dict[str, None] = {}
        self._removed: dict[str, None] = {}
        self._postponing: dict[str, None] = {}
        self._postponed: dict[str, tuple[QueueEntry, float]] = {}
        self._overrun = False
        self._tight_at: int | None = None
        # Who may ask next: the window, hosts with a cursor, channels that overtake.
        self._turn = 0
        self.limit(limit)

    def limit(self, limit: int) -> None:
        """Hold at most so many entries."""
        self._limit = max(limit, 1)
        self._usual = self._limit - self._limit // RESERVE
        self._low = int(self._limit * LOW_WATER)
        self._tight_at = None
        self._overtaking.limit(self._limit)

    @property
    def complete(self) -> bool:
        """Whether memory has everything."""
        return self.cursor.done and not self.partial

    def admit(self, host: HostQueue, due: float, now: float, first: bool) -> bool:
        """
        Whether an entry may come into memory; if not, it is noted that the store has more.

        :param first: It goes before others: urgent, or released by an operator.
        """
        cursor = host.cursor or self.cursor
        if (due <= cursor.due or cursor.asked) and len(self._items) < self._usual:
            return True
        # Mail of a channel that has little here does not wait for a backlog of others.
        first = first or (host.cursor is None and due <= now and self._overtaking.may(host.channel))
        most = self._limit if first else self._usual
        if due > cursor.due and not cursor.asked and not first:
            self._miss(host, due)
            return False
        if len(self._items) >= most and due <= now:
            self._make_room(now)
        if not self._has_room(now) if first else len(self._items) >= most:
            self._miss(host, due)
            return False
        return True

    def _miss(self, host: HostQueue, due: float) -> None:
        """An entry of it is left to the store."""
        if host.cursor is not None:
            host.cursor.miss(due)
        else:
            self.cursor.miss(due)
            self._overtaking.miss(host.channel, due)

    def keeps(self, item: Item) -> bool:
        """Whether an entry whose due time the store knows stays in memory; if not, that is noted."""
        cursor = item.host.cursor or self.cursor
        if item.entry.due > cursor.due and not cursor.asked:
            self._miss(item.host, item.entry.due)
            return False
        return True

    def left(self, id: str) -> None:
        """An entry has left memory: an answer that was read before must not bring it back."""
        if self.asked is not None:
            self._gone[id] = None
            if len(self._gone) > MOST_REMEMBERED:
                self._overrun = True
                self._gone.clear()

    def removed(self, id: str) -> None:
        """An operator took an entry away, the store will learn of it later."""
        self._removed[id] = None
        self._postponed.pop(id, None)
        if len(self._removed) > MOST_REMEMBERED:
            del self._removed[next(iter(self._removed))]

    def added(self, id: str) -> None:
        """It is queued (again)."""
        for without in (self._removed, self._gone, self._postponing):
            without.pop(id, None)
        self._postponed.pop(id, None)

    def relax(self) -> None:
        """Something changed that may let room be made."""
        self._tight_at = None

    def freed(self, host: HostQueue) -> None:
        """A host can be served again, so more of it may be wanted."""
        self._tight_at = None
        if host.cursor is not None:
            self._memory.thin[host] = None

    def next_due(self, now: float) -> float | None:
        """When the first entry that memory has not is due; ``None``: nothing to be done then."""
        if self.asked is not None or self.cursor.done:
            return None
        due, ahead = self.cursor.due, self._overtaking.next_due(now)
        return min((at for at in (due, ahead) if at is not None and now < at < math.inf), default=None)

    # Making room.

    def _allowed(self, host: HostQueue) -> int:
        channel = host.channel
        if (channel.stopped or not channel.served) and channel.size * STOPPED >= self._limit:
            return 1
        if self._stuck(host):
            return max(1, self._limit // BLOCKED)
        return max(1, self._usual - len(self._items))

    def _stuck(self, host: HostQueue) -> bool:
        return host.blocked or host.channel.stopped or not host.channel.served

    def _excess(self, host: HostQueue) -> int:
        excess = host.ready - self._allowed(host)
        # Of a host that can be served every entry that goes is also one that it may have more.
        return excess if self._stuck(host) else excess // 2

    def _make_room(self, now: float) -> None:
        count = len(self._items)
        # A look at all hosts that found nothing is worth repeating when something has changed.
        if self._tight_at is not None and abs(count - self._tight_at) < max(1, self._limit // 50):
            return
        hosts = [host for channel in self._memory.channels.values() for host in channel.hosts.values()]
        stuck = [host for host in hosts if self._stuck(host)]
        self._shed_excess(stuck)
        surplus = len(self._items) - self._low
        if surplus > 0:
            for item in self._memory.latest_delayed(surplus, now):
                self._drop(item)
        surplus = min(len(self._items) - self._low, SHUT_AT_ONCE)
        if surplus > 0:
            for item in self._memory.latest_shut(surplus):
                self._postpone(item)
        self._shed_excess([host for host in hosts if not self._stuck(host)])
        for host in stuck:
            if len(self._items) <= self._low:
                break
            # More dead hosts than memory has places: they are read when they are to be probed.
            self._shed(host, host.ready)
        self._tight_at = len(self._items) if len(self._items) > self._low else None

    def _shed_excess(self, hosts: list[HostQueue]) -> None:
        for host in sorted(hosts, key=lambda host: -host.ready):
            if len(self._items) <= self._low:
                break
            if (excess := self._excess(host)) > 0:
                self._shed(host, excess)

    def shed_blocked(self, host: HostQueue) -> None:
        """A host cannot be served for now: what of it is more than a share makes room for others."""
        self._tight_at = None
        if (self.partial or self.cursor.due < math.inf) and (excess := self._excess(host)) > 0:
            self._shed(host, excess)

    def _shed(self, host: HostQueue, count: int) -> None:
        if not count:
            return
        self._make_partial(host, self.cursor.copy())
        for item in list(host.in_order())[-count:]:
            self._drop(item)

    def _make_partial(self, host: HostQueue, cursor: Cursor) -> None:
        if host.cursor is None:
            host.cursor = cursor
            self.partial[host] = None

    def _drop(self, item: Item) -> None:
        self._miss(item.host, item.entry.due)
        self.left(item.entry.id)
        self._memory.forget(item)

    def _postpone(self, item: Item) -> None:
        """
        Its delivery window is closed: it leaves memory, and the store is to have it due when that opens.

        Before that is recorded it is not read again, or it would come back at once.
        """
        self._postponed[item.entry.id] = item.entry, item.due
        self._drop(item)
        self._postponing[item.entry.id] = None

    @property
    def postpones(self) -> bool:
        """Whether :meth:`postponed` may have something."""
        return bool(self._postponed)

    def postponed(self) -> list[tuple[QueueEntry, float]]:
        """
        Entries that the store is to have as due later, with the time; each is said once.

        What an operator has taken away or put back since is not among them.
        """
        if not self._postponed:
            return []
        said, self._postponed = self._postponed, {}
        return list(said.values())

    def later(self, host: HostQueue | None, id: str, due: float) -> None:
        """The store has a postponed entry as due then."""
        # An operator may have taken it away meanwhile: that stands.
        self._postponing.pop(id, None)
        if host is not None:
            self._miss(host, due)
        else:
            self.cursor.miss(due)

    # Loading.

    def request(self, now: float) -> LoadRequest | None:
        """What to read from the store, if anything; the same until it is answered."""
        if self.asked is not None:
            return self.asked
        if self.cursor.due == math.inf and not self._memory.thin and len(self._items) <= self._limit:
            return None
        due = not self.cursor.done and self.cursor.due <= now and len(self._items) > self._low
        if due or len(self._items) > self._limit or (self._memory.thin and len(self._items) >= self._usual):
            self._make_room(now)
        asking = (self._window, lambda: self._backlog(now), lambda: self._past(now))
        for number in range(len(asking)):
            turn = (self._turn + number) % len(asking)
            if (asked := asking[turn]()) is not None:
                self._turn = turn + 1
                self.ask(asked)
                return asked
        return None

    def _past(self, now: float) -> LoadRequest | None:
        """Of a channel that overtakes, while the window cannot move on."""
        if len(self._items) <= self._low or not self._has_room(now):
            return None
        return self._overtaking.request(now, PAGE)

    def _has_room(self, now: float) -> bool:
        """Room for one that goes before others; the channel that fills memory makes some."""
        if len(self._items) >= self._limit:
            for item in self._overtaking.room(now):
                self._drop(item)
        return len(self._items) < self._limit

    def ask(self, request: LoadRequest) -> None:
        """This is being read."""
        self.asked = request
        self._gone.clear()
        self._overrun = False

    def _window(self) -> LoadRequest | None:
        if self.cursor.done or len(self._items) > self._low:
            return None
        self.cursor.ask()
        skip = [
            (host.channel.name, host.name) for host, _ in zip(self.partial, range(MOST_SKIPPED), strict=False)
        ]
        return LoadRequest("window", self.cursor.after, min(PAGE, self._usual - len(self._items)), skip)

    def _backlog(self, now: float) -> LoadRequest | None:
        room = self._usual - len(self._items)
        if room <= 0:
            past = self._overtaking.host(lambda host: self._is_thin(host) and not self._stuck(host))
            if past is not None and self._has_room(now):
                return self._of_host(past, self._overtaking.wanted(past.channel, PAGE))
            return None
        thin = self._memory.thin
        for host in list(thin):
            if host.cursor is None or not self._is_thin(host):
                del thin[host]
            elif not (self._stuck(host) and len(self._items) > self._low):
                wanted = self._allowed(host) - host.size
                limit = max(1, min(wanted if self._stuck(host) else wanted // 2, PAGE, room))
                return self._of_host(host, limit)
        return None

    def _of_host(self, host: HostQueue, limit: int) -> LoadRequest:
        assert host.cursor is not None
        del self._memory.thin[host]
        self._memory.thin[host] = None  # behind the others
        host.cursor.ask()
        return LoadRequest("backlog", host.cursor.after, limit, (), host.channel.name, host.name)

    def _is_thin(self, host: HostQueue) -> bool:
        return host.size == 0 or host.size * 2 <= self._allowed(host)

    def answered(self, request: LoadRequest) -> bool:
        """The store has answered; ``False``: this is not what was asked last."""
        if request != self.asked:
            return False
        self.asked = None
        return True

    def loaded(self, request: LoadRequest, entries: list[QueueEntry], now: float) -> None:
        """Take the answer to a request of kind ``window``, or ``backlog`` for a host."""
        cursor: Cursor | None = self.cursor
        if request.kind == "backlog" and request.host is None:
            known = [] if self._overrun else entries
            self._overtaking.loaded(
                request, known, self._overrun, now, self.fresh, lambda: self._has_room(now)
            )
            return
        if request.kind == "backlog":
            queue = self._memory.channel(request.channel).hosts.get(request.host or "")
            cursor = queue.cursor if queue is not None else None
        if cursor is None:
            return
        to, end = request.after, len(entries) < request.limit
        if self._overrun:
            # So much has left memory since it was asked that what is outdated cannot be told.
            entries, end = [], False
        for entry in entries:
            if not self._take(entry, request, to, now):
                end = False
                break
            to = (entry.due, entry.id)
        cursor.advance(request.after, to, end)
        self._rejoin()

    def fresh(self, id: str) -> bool:
        """Whether an entry that was read is still queued as it was read."""
        return not (id in self._gone or id in self._removed or id in self._postponing)

    def _take(self, entry: QueueEntry, request: LoadRequest, before: Key | None, now: float) -> bool:
        """Put one loaded entry into memory, unless it needs none; ``False``: there is no room."""
        if entry.id in self._items or not self.fresh(entry.id):
            return True
        channel = self._memory.channel(entry.channel)
        host = channel.host(entry.host)
        if request.kind == "window":
            if len(self._items) >= self._usual:
                self._make_room(now)
            if host.cursor is None and host.size >= self._allowed(host):
                # Memory has what there is of it up to the entry before.
                self._make_partial(host, Cursor(before))
            if host.cursor is not None:
                host.cursor.miss(entry.due)
                return True
        if len(self._items) >= self._usual and not (self._overtaking.may(channel) and self._has_room(now)):
            channel.forget_if_idle(host)
            return False
        self._memory.place(self._memory.enter(entry), entry.due, now)
        return True

    def _rejoin(self) -> None:
        """Hosts of which memory has all that the window has seen are nothing special any more."""
        for host in [host for host in self.partial if host.cursor is not None]:
            cursor = host.cursor
            if cursor is not None and not cursor.asked and (cursor.done or cursor.due > self.cursor.due):
                host.cursor = None
                del self.partial[host]
                self._overtaking.miss(host.channel, cursor.due)
                host.channel.forget_if_idle(host)
