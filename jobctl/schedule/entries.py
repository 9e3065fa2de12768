"""Entries come into the schedule, go back to it and leave it."""

from __future__ import annotations

from collections.abc import Iterable

from jobctl.mail.entry import QueueEntry
from jobctl.mail.envelope import Priority
from jobctl.schedule.memory import Memory
from jobctl.schedule.reachability import Reachability
from jobctl.schedule.shares import FIRST_CLASS
from jobctl.schedule.tracked import ACTIVE, DELAYED, EXPIRED, READY, Item
from jobctl.schedule.window import Window


class Entries:
    """What callers say of single entries.  Ids that are not known are ignored."""

    def __init__(self, memory: Memory, window: Window, reach: Reachability) -> None:
        self._memory = memory
        self._window = window
        self._reach = reach

    def add(self, entry: QueueEntry, now: float) -> bool:
        """
        An entry was queued, and the store has it.

        :return: Whether it is kept in memory; else it is left to the store, to be read later.
        """
        self._window.added(entry.id)
        known = self._memory.items.get(entry.id)
        if known is not None:
            known.removed = False
            return True
        return self._enter(entry, now, entry.priority == Priority.URGENT) is not None

    def _enter(self, entry: QueueEntry, now: float, first: bool) -> Item | None:
        channel = self._memory.channel(entry.channel)
        host = channel.host(entry.host)
        if not self._window.admit(host, entry.due, now, first):
            channel.forget_if_idle(host)
            return None
        item = self._memory.enter(entry)
        self._memory.place(item, entry.due, now)
        return item

    def deferred(
        self,
        id: str,
        due: float,
        attempts: int | None,
        now: float,
        warned: float | None = None,
        rule: int | None = None,
        deadline: float | None = None,
    ) -> None:
        """
        An active entry goes back.

        :param attempts: Counted attempts as the store has them now, with ``due``; ``None``: nothing
            was recorded, the store has what it had.
        :param warned: The age of which its sender was told meanwhile.
        :param rule: Number of the retry rule that applies now.
        :param deadline: The one that it has now.
        """
        item = self._memory.items.get(id)
        if item is None or item.state not in (ACTIVE, EXPIRED):
            return
        if item.removed:
            self._forget(item)
            return
        # Only an attempt looks for the rule anew.
        tried = item.state == ACTIVE and rule is not None
        self._memory.detach(item)
        if warned is not None:
            item.entry.warned = warned
        if deadline is not None:
            item.entry.deadline = deadline
        if rule is not None:
            item.entry.rule = rule
        if attempts is not None:
            item.entry.attempts = attempts
            item.entry.due = due
            if not self._window.keeps(item):
                self._forget(item)
                return
        self._memory.place(item, due, now, tried)

    def ruled(self, entry: QueueEntry, rule: int, now: float) -> None:
        """
        Which retry rule applies to an entry is known.

        :param entry: As it was looked at; if it is known already by what has become of it since, that counts.
        """
        item = self._memory.items.get(entry.id)
        if item is not None and (item.entry.rule < 0 or item.entry.attempts == entry.attempts):
            self._memory.ruled(item, rule, now)

    def judge_later(self, ids: Iterable[str]) -> None:
        """Which rules apply to these entries could not be found out: ask again."""
        self._memory.judge.update((id, None) for id in ids if id in self._memory.items)

    def adopt(self, entry: QueueEntry, rule: int) -> bool:
        """
        An entry that only the store has is to be decided upon without an attempt.

        :param rule: Number of the retry rule that applies to it.
        :return: ``False``: memory has it, or an operator; else it stays with the caller until ``settled`` or
            ``deferred``.
        """
        if entry.id in self._memory.items or not self._window.fresh(entry.id):
            return False
        entry.rule = rule
        self._memory.enter(entry).state = EXPIRED
        return True

    def postponed(self, entry: QueueEntry) -> None:
        """The store has an entry as due later; it is read when its time comes near."""
        channel = self._memory.channels.get(entry.channel)
        self._window.later(
            channel.hosts.get(entry.host) if channel is not None else None, entry.id, entry.due
        )

    def settled(self, id: str, now: float) -> None:
        """An entry has left the queue, or is held."""
        item = self._memory.items.get(id)
        if item is not None:
            self._forget(item)

    def _forget(self, item: Item) -> None:
        self._window.left(item.entry.id)
        self._memory.forget(item)

    def remove(self, id: str) -> QueueEntry | None:
        """
        An operator takes an entry away: it is deleted, held or moved next.

        Works in every state; an active one is forgotten when it settles.  To undo it, add it again.
        """
        self._window.removed(id)
        item = self._memory.items.get(id)
        if item is None:
            return None
        if item.state == ACTIVE:
            item.removed = True
        else:
            self._forget(item)
        return item.entry

    def promote(self, id: str, now: float, entry: QueueEntry | None = None) -> bool:
        """
        An entry goes ahead of all others, at once.

        :param entry: The entry, in case it was left to the store.
        :return: ``False``: it is not in memory, or a job has it.
        """
        item = self._memory.items.get(id)
        if item is None and entry is not None and self._window.fresh(id):
            item = self._enter(entry, now, first=True)
        if item is None or item.state not in (READY, DELAYED):
            return False
        fresh = self._memory.again(item)
        fresh.due = now
        self._memory.make_ready(fresh, FIRST_CLASS, self._memory.ages.next_said(fresh))
        return True

    def claim(self, channel: str, host: str, count: int, stopped: bool = True) -> list[str]:
        """
        Take ready entries of a host, backed off or not, of which something was learnt without a job.

        :param stopped: Also those of a channel that is stopped.
        :return: At most ``count`` ids; they stay with the caller until ``settled`` or ``deferred``.
        """
        queue = self._memory.channels.get(channel)
        known = queue.hosts.get(host) if queue is not None else None
        ids: list[str] = []
        if queue is not None and queue.stopped and not stopped:
            return ids
        while known is not None and len(ids) < count and (lane := known.next_lane()) is not None:
            item = known.pop(lane)
            item.state = EXPIRED
            ids.append(item.entry.id)
        if known is not None:
            known.lapse_if_spent()
        return ids

    def hurry(self, channel: str, host: str, now: float) -> None:
        """What is queued for a host is not to wait for the end of its backoff, nor for that of failed starts."""
        queue = self._memory.channels.get(channel)
        known = queue.hosts.get(host) if queue is not None else None
        if queue is not None and known is not None:
            self._reach.hurry(known, now)
            queue.throttle.worked()
            self._memory.dirty[queue] = True

    def retry_now(self, channel: str, now: float) -> None:
        """What is delayed in memory is due now; backoff of hosts and starts is forgotten."""
        memory = self._memory
        queue = memory.channel(channel)
        for item in [item for item in memory.items.values() if item.host.channel is queue]:
            if item.state == DELAYED:
                memory.place(memory.again(item), now, now)
        for host in list(queue.hosts.values()):
            self._reach.answered(host)
        queue.throttle.worked()
        memory.dirty[queue] = True
