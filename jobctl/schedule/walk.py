"""The whole state of the schedule in lines of text, for ``cache -walk``; nothing here changes anything."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nlargest

from jobctl.schedule.hosts import HostQueue
from jobctl.schedule.jobs import Job
from jobctl.schedule.memory import Memory
from jobctl.schedule.pools import Pools
from jobctl.schedule.queues import ChannelQueue
from jobctl.schedule.tracked import ACTIVE, ALONE, DELAYED, EXPIRED, GONE, READY, RUN
from jobctl.schedule.window import Window

# Hosts of a channel that are shown, those with the most mail.
MOST = 100
_STATES = {
    READY: "ready",
    DELAYED: "delayed",
    ACTIVE: "active",
    RUN: "run",
    EXPIRED: "expired",
    GONE: "gone",
    ALONE: "alone",
}


def walk(memory: Memory, window: Window, pools: Pools, now: float) -> Iterator[str]:
    """
    Line by line.

    :param now: Times are told relative to it.
    """
    states = dict.fromkeys(_STATES.values(), 0)
    for item in memory.items.values():
        states[_STATES[item.state]] += 1
    counts = ", ".join(f"{count} {name}" for name, count in states.items() if count)
    yield f"entries in memory: {len(memory.items)} ({counts or 'none'})"
    yield (
        f"window: {'all of the store is in memory' if window.complete else 'the store has more'}; "
        f"read up to {_when(window.cursor.due, now)}; {len(window.partial)} hosts read by themselves; "
        f"{f'asking for {window.asked}' if window.asked else 'nothing is being read'}"
    )
    next_due = memory.next_due()
    yield f"next due in memory: {'nothing' if next_due is None else _when(next_due, now)}"
    for run in memory.runs.values():
        yield f"run {run.name} of channel {run.channel}"
    for channel in sorted(memory.channels.values(), key=lambda one: one.name):
        yield from _channel(channel, pools, now)


def _channel(channel: ChannelQueue, pools: Pools, now: float) -> Iterator[str]:
    marks = [word for word, is_so in (("stopped", channel.stopped), ("bound", channel.bound)) if is_so]
    if not channel.served:
        marks.append("without master program")
    if channel.throttle.until > now:
        marks.append(
            f"starts wait until {_when(channel.throttle.until, now)}, {channel.throttle.failures} failed"
        )
    yield (
        f"channel {channel.name}: {channel.size} entries, {channel.ready} ready, {channel.active} active, "
        f"{channel.delayed} delayed; {channel.slots} slots of pool {channel.settings.pool} in use, "
        f"at most {pools.limit(channel)}, {pools.free(channel)} free; wants {channel.wanted} connections"
        + "".join(f"; {mark}" for mark in marks)
    )
    for starting in channel.starting:
        yield f"  starting for host {starting.host or '(any)'}{f', run {starting.run}' if starting.run else ''}"
    for job in channel.jobs.values():
        yield _job(job)
    hosts = list(channel.hosts.values())
    for host in nlargest(MOST, hosts, key=lambda one: one.size):
        yield _host(host, now)
    if len(hosts) > MOST:
        yield f"  and {len(hosts) - MOST} hosts with less mail"


def _job(job: Job) -> str:
    return (
        f"  job {job.id}: host {job.host or '(any)'}, {job.connections} connections, credit {job.credit}, "
        f"holds {len(job.held)}, was handed {job.handed}"
        f"{f', run {job.run}' if job.run else ''}{', stopping' if job.stopping else ''}"
    )


def _host(host: HostQueue, now: float) -> str:
    text = (
        f"  host {host.name or '(any)'}: {host.size} entries, {host.ready} ready, {host.active} active, "
        f"{host.delayed} delayed"
    )
    if host.failures:
        text += f"; failed {host.failures} times, backed off until {_when(host.until, now)}"
        text += ", to be probed" if host.lapsed else ", being probed" if host.probing else ""
    if host.cursor is not None:
        text += f"; read up to {_when(host.cursor.due, now)}"
    return text


def _when(moment: float, now: float) -> str:
    """Relative, so that it can be read; infinity is the end or the beginning of all times."""
    if moment in (float("inf"), float("-inf")):
        return "the end" if moment > 0 else "nothing"
    return f"{moment - now:+.0f} s"
