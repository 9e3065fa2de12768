"""A small world around the schedule: a store, jobs that do what they are told, a clock that is set."""

import random
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from jobctl.config.controller_settings import JobControllerSettings
from jobctl.config.settings import (
    ChannelSettings,
    MtaSettings,
    PoolSettings,
    Settings,
)
from jobctl.mail.entry import QueueEntry
from jobctl.mail.envelope import Priority
from jobctl.schedule.plan import LoadRequest, Plan
from jobctl.schedule.scheduler import Scheduler

START = 1_700_000_000.0
BACKOFF = dict.fromkeys(("urgent", "normal", "nonurgent"), (600.0, 1200.0))
NOTICES = dict.fromkeys(("urgent", "normal", "nonurgent"), (86400.0, 4 * 86400.0))


def channel(name: str = "tcp_local", **changes: object) -> ChannelSettings:
    """A channel of a program with connections of its own; ``transport="tcp"`` makes it a generic one."""
    given: dict[str, object] = {
        "official_host_name": f"{name}-daemon",
        "local_host": "mail.example.org",
        "smtp": "crlf",
        "master_command": ("program",),
        "backoff": BACKOFF,
        "notices": NOTICES,
        "maxjobs": 10,
    }
    given.update(changes)
    return ChannelSettings(name=name, **given)  # type: ignore[arg-type]


def settings(
    *channels: ChannelSettings, limit: int = 100_000, pools: dict[str, int] | None = None
) -> Settings:
    """A configuration of these channels."""
    return Settings(
        path="",
        controller=JobControllerSettings(
            queue_directory="", control_socket="", log_directory="", max_cache_messages=limit
        ),
        mta=MtaSettings(),
        pools={name: PoolSettings(name, n) for name, n in (pools or {"DEFAULT": 10}).items()},
        channels={one.name: one for one in channels or (channel(),)},
        services={},
        rules=(),
    )


class Store:
    """What a store answers to the schedule's requests; entries are copies, as from a disk."""

    def __init__(self) -> None:
        self.entries: dict[str, QueueEntry] = {}

    def put(self, entry: QueueEntry) -> None:
        self.entries[entry.id] = msgspec.structs.replace(entry)

    def answer(self, request: LoadRequest) -> list[QueueEntry]:
        after = request.after or (-1.0, "")
        skip = set(request.skip)
        found = [
            entry
            for entry in self.entries.values()
            if (entry.due, entry.id) > after
            and (entry.channel, entry.host) not in skip
            and (request.kind == "window" or entry.channel == request.channel)
            and (request.kind == "window" or request.host in (None, entry.host))
        ]
        found.sort(key=lambda entry: (entry.due, entry.id))
        return [msgspec.structs.replace(entry) for entry in found[: request.limit]]


class World:
    """
    A schedule, its store and its jobs.

    :ivar held: Job to the entries it has, in order.
    :ivar delivered: Ids in order of delivery.
    :ivar warned: Entries whose senders were told of the delay, at which age.
    """

    def __init__(self, configuration: Settings | None = None, empty: bool = True) -> None:
        self.settings = configuration or settings()
        self.scheduler = Scheduler(self.settings, random.Random(1))
        self.store = Store()
        self.now = START
        self.held: dict[str, list[str]] = {}
        self.of: dict[str, tuple[str, str | None]] = {}
        self.delivered: list[str] = []
        self.expired: list[str] = []
        self.warned: list[tuple[str, float]] = []
        self.postponed = 0
        self.stopped: list[str] = []
        self._made = 0
        self._jobs = 0
        if empty:
            self.plan()

    def entry(
        self,
        host: str = "a.example",
        channel: str = "tcp_local",
        priority: Priority = Priority.NORMAL,
        due: float | None = None,
        share: str = "",
        size: int = 4096,
        **more: Any,
    ) -> QueueEntry:
        self._made += 1
        return QueueEntry(
            f"Q{self._made:08d}",
            channel,
            host,
            priority,
            size,
            self.now,
            self.now if due is None else due,
            share=share,
            **more,
        )

    def enqueue(self, *args: object, count: int = 1, **given: object) -> list[str]:
        """Queue mail: first the store, then the schedule."""
        ids = []
        for _ in range(count):
            entry = self.entry(*args, **given)  # type: ignore[arg-type]
            self.store.put(entry)
            self.scheduler.add(entry, self.now)
            ids.append(entry.id)
        return ids

    def plan(self, load: bool = True) -> Plan:
        """One decision; hand-outs are recorded, what is to be read is read."""
        plan = self.scheduler.plan(self.now)
        for job, ids in plan.handouts:
            self.held[job] += ids
        self.expired += plan.expired
        for id, age in plan.warn:
            self.warned.append((id, age))
            stored = self.store.entries[id]
            stored.warned = age
            self.scheduler.deferred(id, stored.due, stored.attempts, self.now, age)
        for entry, due in plan.postpone:
            self.store.entries[entry.id].due = entry.due = due
            self.scheduler.postponed(entry)
            self.postponed += 1
        for job in plan.stop_jobs:
            self.stopped.append(job)
        if load and plan.load is not None:
            self.scheduler.loaded(plan.load, self.store.answer(plan.load), self.now)
        return plan

    def settle(self, ids: Iterable[str]) -> None:
        """These have left the queue."""
        for id in list(ids):
            for held in self.held.values():
                if id in held:
                    held.remove(id)
            self.store.entries.pop(id, None)
            self.delivered.append(id)
            self.scheduler.settled(id, self.now)

    def defer(self, id: str, due: float, attempts: int = 1) -> None:
        """This is to be tried again."""
        for held in self.held.values():
            if id in held:
                held.remove(id)
        stored = self.store.entries[id]
        stored.due, stored.attempts = due, attempts
        self.scheduler.deferred(id, due, attempts, self.now)

    def start(
        self,
        channel: str = "tcp_local",
        host: str | None = None,
        connections: int = 10,
        credit: int = 100,
        run: str | None = None,
    ) -> str:
        """A job says hello and asks for work."""
        self._jobs += 1
        job = f"{channel}.{self._jobs}"
        self.held[job] = []
        self.of[job] = (channel, host)
        self.scheduler.job_started(job, channel, host, connections, self.now, run)
        self.scheduler.grant(job, credit)
        return job

    def end(self, job: str, worked: bool = True) -> None:
        """A job is over; what it held goes back."""
        held = self.held.pop(job)
        ids = self.scheduler.job_ended(job, worked, self.now)
        assert ids == held
        for id in ids:
            self.scheduler.deferred(id, self.now, None, self.now)

    def work(
        self,
        credit: int = 100,
        connections: int = 10,
        verdict: Callable[[str, str, "World"], bool] | None = None,
        rounds: int = 1,
    ) -> None:
        """
        A second: decide, start and stop jobs as told, and give a verdict on all they hold.

        :param verdict: Called with id and host; ``True``: delivered, else it has dealt with it.
        """
        for _ in range(rounds):
            plan = self.plan()
            # The store is quicker than deliveries.
            for _ in range(20):
                if plan.load is None:
                    break
                more = self.plan()
                plan.starts += more.starts
                plan.stop_jobs += more.stop_jobs
                plan.load = more.load
            for job in plan.stop_jobs:
                if job in self.held and not self.held[job]:
                    self.end(job)
            for start in plan.starts:
                self.start(start.channel, start.host, connections, credit, start.run)
            for job, ids in list(self.held.items()):
                for id in list(ids):
                    host = self.store.entries[id].host
                    if verdict is None or verdict(id, host, self):
                        self.scheduler.host_answered(self.of[job][0], host, self.now)
                        self.settle([id])
                    self.scheduler.grant(job, 1)
            for job in [job for job in self.stopped if job in self.held and not self.held[job]]:
                self.end(job)
            self.now += 1
