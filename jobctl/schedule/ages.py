"""What is to be told of entries by their age: that they are late, or that they are given up."""

from __future__ import annotations

import math

from jobctl.schedule.expiry import ended, expires_at, is_late, warning_age
from jobctl.schedule.tracked import EXPIRED, Item


class Ages:
    """
    When there is something to be told of an entry, and what has to be told now.

    :ivar expired: Entries to be given out as expired, ``warn``: as those whose senders are to be warned, with the
        age that they have reached, 0: only their deadline has passed.
    :ivar patient: What grew old before ``woke``, when nobody looked, neither expires nor is warned of before
        this time (both in epoch seconds); ``once``: or before it has been tried once more.
    """

    def __init__(self) -> None:
        self.expired: list[str] = []
        self.warn: list[tuple[str, float]] = []
        self.patient = self.woke = -math.inf
        self.once = False

    def shift(self, by: float) -> None:
        """The wall clock was set by so much."""
        self.patient += by
        self.woke += by

    def next_said(self, item: Item) -> float:
        """When its sender is to be warned, or it is to be returned."""
        entry = item.entry
        life = item.host.channel.lives[entry.rule][entry.priority]
        if entry.attempts >= life.attempts:
            return -math.inf
        age = life.speaks(entry.warned) if entry.warned else life.ages[0]
        said = entry.enqueued + entry.paused + age
        return entry.deadline if 0 < entry.deadline < said else said

    def heard(self, said: float, item: Item) -> float:
        """When that is really said. There is no patience with a deadline: whoever set it knew the hour."""
        if item.entry.deadline and item.entry.deadline <= said:
            return item.entry.deadline
        return max(said, self.patient) if said <= self.woke else said

    def speak(self, item: Item, said: float, now: float, tried: bool = False) -> bool:
        """
        Give it out as expired, or to warn of the delay, if there is something to be said now.

        :param said: As :meth:`next_said` has it.
        :param tried: It has just been tried.
        :return: Whether it was given out.
        """
        entry = item.entry
        life = item.host.channel.lives[entry.rule][entry.priority]
        if entry.deadline and is_late(entry, now):
            self._late(item, now)
            return True
        if not (tried and self.once) and self.heard(said, item) > now and entry.attempts < life.attempts:
            return False
        if ended(life, entry, now):
            self.expire(item)
        elif (age := warning_age(life, entry, now)) is not None:
            item.state = EXPIRED
            self.warn.append((entry.id, age))
        else:
            return False
        return True

    def over(self, item: Item, now: float) -> bool:
        """Whether an entry that is ready is too old to be tried."""
        entry = item.entry
        end = expires_at(item.host.channel.lives[entry.rule][entry.priority], entry)
        return end <= now and self.heard(end, item) <= now

    def _late(self, item: Item, now: float) -> None:
        """Its deadline has passed."""
        if item.entry.returns:
            self.expire(item)
        else:
            life = item.host.channel.lives[item.entry.rule][item.entry.priority]
            item.state = EXPIRED
            self.warn.append((item.entry.id, warning_age(life, item.entry, now) or 0.0))

    def expire(self, item: Item) -> None:
        """It is past its time."""
        item.state = EXPIRED
        self.expired.append(item.entry.id)
