"""
A year of mail and retries in virtual time, with the real schedule and no reactor: ``python -m bench.year``.

By default 100,000 messages to 5,000 destinations.  Of the destinations one in twenty is dead all year, one
in ten puts each message off for a day, one in ten is down for a day each month; the others take what they get.
"""

import argparse
import random
import time

import msgspec

from jobctl.config.controller_settings import JobControllerSettings
from jobctl.config.settings import ChannelSettings, MtaSettings, PoolSettings, Settings
from jobctl.mail.entry import QueueEntry
from jobctl.mail.envelope import Priority
from jobctl.schedule.backoff import next_attempt
from jobctl.schedule.plan import LoadRequest, Plan
from jobctl.schedule.scheduler import Scheduler

DAY = 86400.0
START = 1_700_000_000.0
CHANNEL = ChannelSettings(
    name="tcp_local",
    official_host_name="tcp-daemon",
    local_host="mail.example.org",
    smtp="crlf",
    master_command=("program",),
    maxjobs=10,
)
PRIORITIES = (Priority.URGENT, Priority.NORMAL, Priority.NORMAL, Priority.NONURGENT)


class Outcome(msgspec.Struct):
    """
    :ivar attempts: Messages handed out, probes of dead hosts among them.
    :ivar waits: Seconds from arrival to delivery by kind of destination, the longest.
    """

    messages: int
    delivered: int = 0
    expired: int = 0
    warned: int = 0
    attempts: int = 0
    decisions: int = 0
    most_queued: int = 0
    waits: dict[str, float] = {}


# What a destination is like, by the rest of its number: of twenty in a row.
KINDS = ("dead", "greylists", "greylists", "sometimes down", "sometimes down") + ("fine",) * 15


class Year:
    """The controller's part: it does what the plan says, and deliveries take no time."""

    def __init__(self, messages: int, hosts: int, seed: int, limit: int = 100_000) -> None:
        settings = Settings(
            path="",
            controller=JobControllerSettings(
                queue_directory="", control_socket="", log_directory="", max_cache_messages=limit
            ),
            mta=MtaSettings(),
            pools={"DEFAULT": PoolSettings("DEFAULT", 10)},
            channels={CHANNEL.name: CHANNEL},
            services={},
            rules=(),
        )
        self.random = random.Random(seed)
        self.schedule = Scheduler(settings, random.Random(seed))
        self.now = START
        self.store: dict[str, QueueEntry] = {}
        self.jobs = 0
        self.told = Outcome(messages, waits={})
        self.kinds = {f"h{number}.example": KINDS[number % len(KINDS)] for number in range(hosts)}
        self.arrivals = sorted(
            (START + self.random.uniform(0, 365 * DAY), self.random.randrange(hosts)) for _ in range(messages)
        )
        self.arrivals.reverse()
        self._made = 0

    def run(self) -> Outcome:
        """All arrivals, and what follows of them until the queue is empty."""
        schedule, arrivals = self.schedule, self.arrivals
        self._act(schedule.plan(self.now, self.now))
        while arrivals or self.store:
            due = schedule.next_due()
            if arrivals and (due is None or arrivals[-1][0] < due):
                due = arrivals[-1][0]
            assert due is not None  # something is queued
            self.now = max(self.now, due)
            while arrivals and arrivals[-1][0] <= self.now:
                self._arrive(arrivals.pop()[1])
            self._act(schedule.plan(self.now, self.now))
            self.told.decisions += 1
        return self.told

    def _arrive(self, number: int) -> None:
        self._made += 1
        priority = self.random.choice(PRIORITIES)
        sender = f"s{self.random.randrange(50)}.example"
        entry = QueueEntry(
            f"Q{self._made}",
            CHANNEL.name,
            f"h{number}.example",
            priority,
            4096,
            self.now,
            self.now,
            share=sender,
        )
        self.store[entry.id] = entry
        self.told.most_queued = max(self.told.most_queued, len(self.store))
        self.schedule.add(msgspec.structs.replace(entry), self.now)

    def _act(self, plan: Plan) -> None:
        schedule = self.schedule
        for start in plan.starts:
            self.jobs += 1
            job = f"job{self.jobs}"
            schedule.job_started(job, start.channel, start.host, 10, self.now)
            schedule.grant(job, 100)
        for job in plan.stop_jobs:
            schedule.job_ended(job, True, self.now)
        for job, ids in plan.handouts:
            for id in ids:
                self._attempt(id)
            schedule.grant(job, len(ids))
        for id in plan.expired:
            del self.store[id]
            self.told.expired += 1
            schedule.settled(id, self.now)
        for id, age in plan.warn:
            self.told.warned += 1
            entry = self.store[id]
            entry.warned = age
            schedule.deferred(id, entry.due, None, self.now, age)
        if plan.load is not None:
            schedule.loaded(plan.load, self._answer(plan.load), self.now)

    def _attempt(self, id: str) -> None:
        """What the destination makes of it."""
        self.told.attempts += 1
        entry, schedule = self.store[id], self.schedule
        like = self.kinds[entry.host]
        if like == "dead" or (like == "sometimes down" and int((self.now - START) / DAY) % 30 == 7):
            schedule.host_failed(CHANNEL.name, entry.host, self.now)
            schedule.deferred(id, self.now, entry.attempts, self.now)
            return
        schedule.host_answered(CHANNEL.name, entry.host, self.now)
        if like == "greylists" and self.now < entry.enqueued + DAY:
            entry.attempts += 1
            entry.due = next_attempt(CHANNEL, entry.priority, entry.attempts, self.now, self.random)
            schedule.deferred(id, entry.due, entry.attempts, self.now)
            return
        self.told.waits[like] = max(self.told.waits.get(like, 0.0), self.now - entry.enqueued)
        self.told.delivered += 1
        del self.store[id]
        schedule.settled(id, self.now)

    def _answer(self, request: LoadRequest) -> list[QueueEntry]:
        after = request.after or (-1.0, "")
        skip = set(request.skip)
        found = sorted(
            (entry.due, entry.id)
            for entry in self.store.values()
            if (entry.due, entry.id) > after
            and (entry.channel, entry.host) not in skip
            and request.host in (None, entry.host)
        )
        return [msgspec.structs.replace(self.store[id]) for _, id in found[: request.limit]]


def main() -> None:
    """Run it and say how long it took."""
    parser = argparse.ArgumentParser(prog="python -m bench.year", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--hosts", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began, cpu = time.monotonic(), time.process_time()
    told = Year(given.messages, given.hosts, given.seed).run()
    cpu, elapsed = time.process_time() - cpu, time.monotonic() - began
    print(
        f"{given.messages} messages to {given.hosts} destinations, a year: {elapsed:.1f} s ({cpu:.1f} s of CPU)"
    )
    print(
        f"delivered {told.delivered}, expired {told.expired}, warned {told.warned}; {told.attempts} attempts "
        f"in {told.decisions} decisions; at most {told.most_queued} queued"
    )
    for like, seconds in sorted(told.waits.items()):
        print(f"longest until delivered, {like}: {seconds / 3600:.1f} h")


if __name__ == "__main__":
    main()
