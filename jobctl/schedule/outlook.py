"""What an entry waits for, and when it will be tried: one answer for all who ask."""

from __future__ import annotations

from typing import NamedTuple

from jobctl.mail.entry import QueueEntry
from jobctl.schedule.hosts import HostQueue
from jobctl.schedule.memory import Memory
from jobctl.schedule.queues import ChannelQueue
from jobctl.schedule.tracked import ACTIVE, DELAYED, EXPIRED, RUN


class Outlook(NamedTuple):
    """
    How things stand with a queued entry.

    :ivar state: ``ready``, ``active`` or ``delayed``: its time, or that of its host, has not come.
    :ivar next_attempt: Epoch seconds, never in the past, as far as the schedule can know: a slot may be
        wanting then, and others of its host may go before it.  ``None``: it is being tried, or its channel is
        stopped or has no program.
    """

    state: str
    next_attempt: float | None


def waiting(
    due: float,
    now: float,
    until: float | None,
    going: bool = True,
    pause: float | None = None,
    paced: float = 0.0,
) -> Outlook:
    """
    Of an entry that no job has; all times in epoch seconds.

    :param until: The end of its host's backoff; ``None``: it is not backed off.
    :param going: Its channel is not stopped and has a program.
    :param pause: No program is started before.
    :param paced: The rate of its host lets nothing more go before.
    """
    delayed = due > now or until is not None
    at = max(due, now, until or now, pause or now, paced)
    return Outlook("delayed" if delayed else "ready", at if going else None)


def outlook(memory: Memory, entry: QueueEntry, now: float, ahead: int = 0) -> Outlook:
    """
    Of any queued entry, in memory or not.

    :param entry: As the store has it.
    :param ahead: So many of its host are known to go before it: they count where the host has a rate.
    """
    item = memory.items.get(entry.id)
    if item is not None and item.state in (ACTIVE, EXPIRED):
        return Outlook("active", None)
    due = entry.due
    if item is not None:
        due = item.due if item.state == DELAYED else now
    channel = memory.channels.get(entry.channel)
    if channel is None:
        return waiting(due, now, None, going=False)
    if item is not None and item.state == RUN:
        return Outlook("ready", now)
    if channel.gate is not None and (item is None or item.state == DELAYED):
        due = channel.gate.when(entry.priority, max(due, now))
    if item is None:
        due = max(due, channel.opening(entry.priority))
    host = channel.hosts.get(entry.host)
    until = host.until if host is not None and host.blocked else None
    paced = pace(host, now, memory.steady, ahead) if host is not None else 0.0
    return waiting(due, now, until, channel.served and not channel.stopped, _pause(channel), paced)


def pace(host: HostQueue, now: float, steady: float, ahead: int = 0) -> float:
    """When its rate lets another message go after so many (epoch seconds); 0: now."""
    rate, site = host.channel.rate, host.site
    if rate is None or not site.begun:
        return 0.0
    wait = site.next_at(rate, ahead) - steady
    return now + wait if wait > 0 else 0.0


def _pause(channel: ChannelQueue) -> float | None:
    """Until when nothing is handed out because programs come to nothing."""
    return None if channel.jobs else channel.throttle.until
