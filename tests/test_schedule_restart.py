"""A restart with more in the queue than memory takes, most of which cannot go out."""

import random
from bisect import bisect_right

from jobctl.mail.entry import QueueEntry
from jobctl.mail.envelope import Priority
from jobctl.schedule.plan import LoadRequest
from jobctl.schedule.scheduler import Scheduler
from tests.schedule_case import START, channel, settings


class Sorted:
    """A store that is only read and has an order, as an index gives one; entries are made when they are asked for."""

    def __init__(self, count: int, hosts: int) -> None:
        self._hosts = hosts
        self._keys = [(START - 3600 + 3600 * number / count, f"Q{number:08d}") for number in range(count)]
        self.fresh: list[QueueEntry] = []
        self.pages = 0

    def put(self, entry: QueueEntry) -> QueueEntry:
        """It is due after everything else."""
        self.fresh.append(entry)
        self._keys.append((entry.due, entry.id))
        return entry

    def _entry(self, place: int) -> QueueEntry:
        due, id = self._keys[place]
        old = len(self._keys) - len(self.fresh)
        if place >= old:
            return self.fresh[place - old]
        return QueueEntry(id, "stopped", f"h{place % self._hosts}.example", Priority.NORMAL, 4096, due, due)

    def answer(self, request: LoadRequest) -> list[QueueEntry]:
        self.pages += 1
        skip = set(request.skip)
        found: list[QueueEntry] = []
        place = bisect_right(self._keys, request.after) if request.after is not None else 0
        while place < len(self._keys) and len(found) < request.limit:
            entry = self._entry(place)
            one_host = request.kind == "backlog"
            if (entry.channel, entry.host) not in skip and (
                not one_host or (entry.channel, entry.host) == (request.channel, request.host)
            ):
                found.append(entry)
            place += 1
        return found


def test_stopped_channel_keeps_nobody_waiting() -> None:
    """
    Ten times as much as memory takes, for 500 hosts of a channel that is stopped: after a restart the mail
    of another channel does not wait until all of that has been read.
    """
    store = Sorted(100_000, 500)
    schedule = Scheduler(settings(channel("stopped"), channel("tcp_local"), limit=10_000), random.Random(1))
    schedule.stop("stopped")
    fresh = store.put(QueueEntry("Qfresh", "tcp_local", "b.example", Priority.NORMAL, 4096, START, START))
    for _ in range(20):
        plan = schedule.plan(START)
        if plan.starts:
            break
        assert plan.load is not None
        schedule.loaded(plan.load, store.answer(plan.load), START)
    assert [start.channel for start in plan.starts] == ["tcp_local"]
    schedule.job_started("j", "tcp_local", None, 10, START)
    schedule.grant("j", 10)
    assert schedule.plan(START).handouts == [("j", [fresh.id])]
    # So little of what is stopped is in memory that there is room for everybody else.
    assert schedule.counts("stopped").ready <= 2000


def test_channel_that_is_started_is_read() -> None:
    """What was left to the store while its channel was stopped is read when that goes on."""
    store = Sorted(5_000, 50)
    schedule = Scheduler(settings(channel("stopped", maxjobs=1), limit=1_000), random.Random(1))
    schedule.stop("stopped")

    def read() -> list[str]:
        handed: list[str] = []
        while (plan := schedule.plan(START)).load is not None or plan.starts or plan.handouts:
            for _ in plan.starts:
                schedule.job_started("j", "stopped", None, 100, START)
                schedule.grant("j", 10_000)
            for _, ids in plan.handouts:
                handed += ids
                for id in ids:
                    schedule.settled(id, START)
            if plan.load is not None:
                schedule.loaded(plan.load, store.answer(plan.load), START)
        return handed

    assert read() == []
    schedule.start("stopped", START)
    assert len(set(read())) == 5_000
