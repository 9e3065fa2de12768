"""Any order of arrivals, verdicts, deaths, looks at the store and operators' acts, against a store as the model."""

from collections import Counter
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, settings, stateful
from hypothesis import strategies as st

from jobctl.mail.entry import QueueEntry
from jobctl.mail.envelope import Priority
from jobctl.schedule.plan import LoadRequest, StartJob
from jobctl.schedule.scheduler import Scheduler
from jobctl.schedule.tracked import ACTIVE, DELAYED, READY
from tests.schedule_case import World, channel
from tests.schedule_case import settings as configured
from tests.zones import local_zone

CHANNELS = ("tcp_local", "generic", "local")
HOSTS = ("a", "b", "c", "d")
# Two windows a day for normal mail, one over midnight for what is lower.
HOURS = {"normal": ((360, 720), (780, 1080)), "nonurgent": ((1320, 120),)}


def check_books(scheduler: Scheduler) -> None:
    """Every count that is kept is what counting gives."""
    memory = scheduler._memory
    for queue in memory.channels.values():
        items = [item for item in memory.items.values() if item.host.channel is queue]
        assert queue.size == len(items)
        assert queue.recipients == (sum(item.entry.recipients for item in items) if queue.per_job else 0)
        for host in queue.hosts.values():
            mine = Counter(item.state for item in items if item.host is host)
            assert (host.size, host.ready, host.delayed, host.active) == (
                mine.total(),
                mine[READY],
                mine[DELAYED],
                mine[ACTIVE],
            )
            assert sum(stay.count for stay in host.serving.values()) <= host.active
            assert all(job.stays[host] is stay for job, stay in host.serving.items())
            assert not host.probing or host.failures
        assert queue.active == sum(host.active for host in queue.hosts.values())
        assert queue.delayed == sum(host.delayed for host in queue.hosts.values())
        for site in {host.site for host in queue.hosts.values()}:
            them = [host for host in queue.hosts.values() if host.site is site]
            assert (site.hosts, site.active) == (len(them), sum(host.active for host in them))
            assert set(site.busy) == {host for host in them if host.active}
        for share in queue.shares.known.values():
            lanes = [host.lanes[share.name] for host in queue.hosts.values() if share.name in host.lanes]
            mine = Counter(item.state for item in items if item.entry.share == share.name)
            assert (share.lanes, share.ready) == (len(lanes), mine[READY])
            assert share.active == mine[ACTIVE]
        free = [host.ready for host in queue.hosts.values() if not host.blocked]
        assert queue.ready == sum(free)
        assert queue.wanted == sum(-(-ready // queue.depth) for ready in free)
        assert queue.probing == sum(host.probing for host in queue.hosts.values())
        begun = [start for start in queue.starting if start.run is None]
        assert queue.slots == len(begun) + sum(job.run is None for job in queue.jobs.values())
        assert len({item.host for item in items}) <= len(queue.hosts)


class ScheduleLife(stateful.RuleBasedStateMachine):
    """The store has the truth; it answers late; jobs do what they like."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = 12
        self.per_job = 5
        self.world = World(self.configuration(), empty=False)
        self.scheduler = self.world.scheduler
        self.starting: list[StartJob] = []
        self.answers: list[tuple[LoadRequest, list[QueueEntry]]] = []
        self.removed: set[str] = set()
        self.credit: Counter[str] = Counter()
        self.expiring: set[str] = set()
        self.warning: dict[str, float] = {}
        self.postponing: list[tuple[QueueEntry, float]] = []
        self.runs = 0

    def configuration(self, **changes: object):  # type: ignore[no-untyped-def]
        return configured(
            channel("tcp_local", threaddepth=2, maxjobs=3, **changes),
            channel("generic", transport="tcp", threaddepth=2, maxjobs=2, delivery=HOURS),
            channel("local", smtp="nosmtp", maxjobs=2, addrsperjob=self.per_job),
            limit=self.limit,
            pools={"DEFAULT": 4},
        )

    @property
    def held(self) -> list[str]:
        return [id for ids in self.world.held.values() for id in ids]

    @stateful.rule(
        name=st.sampled_from(CHANNELS),
        host=st.sampled_from(HOSTS),
        priority=st.sampled_from((Priority.URGENT, Priority.NORMAL, Priority.THIRD_CLASS)),
        later=st.sampled_from((0, 0, 0, 60, 3600)),
        share=st.sampled_from(("", "x.example", "y.example")),
        count=st.integers(1, 6),
        recipients=st.sampled_from((1, 1, 2, 9)),
    )
    def arrive(
        self,
        name: str,
        host: str,
        priority: Priority,
        later: float,
        share: str,
        count: int,
        recipients: int = 1,
    ) -> None:
        for _ in range(count):
            self.world.enqueue(
                "" if name == "local" else host,
                channel=name,
                priority=priority,
                due=self.world.now + later,
                share=share,
                recipients=recipients,
            )

    @stateful.rule()
    def decide(self) -> None:
        """What is planned is possible, and what is started is within the limits."""
        plan = self.scheduler.plan(self.world.now)
        held = set(self.held)
        for job, ids in plan.handouts:
            assert not held & set(ids)
            held.update(ids)
            name, bound = self.world.of[job]
            for id in ids:
                entry = self.world.store.entries[id]
                assert entry.channel == name and bound in (None, entry.host)
                assert id not in self.removed
            self.credit[job] -= len(ids)
            assert self.credit[job] >= 0
            self.world.held[job] += ids
        assert not self.expiring & held
        assert not self.warning.keys() & held
        self.expiring.update(plan.expired)
        self.warning.update(plan.warn)
        self.postponing += plan.postpone
        self.starting += plan.starts
        self.world.stopped += plan.stop_jobs
        slots: Counter[str] = Counter(start.channel for start in self.starting if start.run is None)
        slots.update(name for job, (name, _) in self.world.of.items() if job not in self.ours)
        assert slots["tcp_local"] <= 3 and slots["generic"] <= 2 and slots["local"] <= 2
        assert slots.total() <= 4
        if plan.load is not None and not self.answers:
            self.answers.append((plan.load, self.world.store.answer(plan.load)))
        self.check_next()

    def check_next(self) -> None:
        """What is delayed in memory wakes the schedule up in time."""
        due = [at for _, _, item, at in self.scheduler._memory._delayed if item.state == DELAYED]
        coming = self.scheduler.next_due()
        if due:
            assert coming is not None and coming <= max(min(due), self.world.now)

    @property
    def ours(self) -> set[str]:
        return {job for job, known in self.scheduler._roster.jobs.items() if known.run is not None}

    @stateful.precondition(lambda self: self.answers)
    @stateful.rule()
    def store_answers(self) -> None:
        request, entries = self.answers.pop()
        self.scheduler.loaded(request, entries, self.world.now)

    @stateful.precondition(lambda self: self.answers)
    @stateful.rule()
    def store_fails(self) -> None:
        self.answers.clear()

    @stateful.precondition(lambda self: self.starting)
    @stateful.rule(credit=st.integers(0, 6))
    def job_comes(self, credit: int) -> None:
        start = self.starting.pop(0)
        job = self.world.start(start.channel, start.host, 2, credit, start.run)
        self.credit[job] = credit

    @stateful.precondition(lambda self: self.starting)
    @stateful.rule(known=st.booleans())
    def job_does_not_come(self, known: bool) -> None:
        start = self.starting.pop(0)
        if known:
            self.scheduler.start_failed(start.channel, start.host, self.world.now, start.run)
        else:
            ended = self.scheduler.job_ended(
                "never-seen", False, self.world.now, start.channel, start.host, start.run
            )
            assert ended == []

    @stateful.precondition(lambda self: self.world.held)
    @stateful.rule(data=st.data(), worked=st.booleans())
    def job_dies(self, data: st.DataObject, worked: bool) -> None:
        job = data.draw(st.sampled_from(sorted(self.world.held)))
        taken = self.removed & set(self.world.held[job])
        self.world.end(job, worked)
        self.forget_taken(taken)
        del self.world.of[job]

    @stateful.precondition(lambda self: self.world.held)
    @stateful.rule(data=st.data(), n=st.integers(1, 5))
    def ask(self, data: st.DataObject, n: int) -> None:
        job = data.draw(st.sampled_from(sorted(self.world.held)))
        if not self.scheduler._roster.jobs[job].stopping:
            self.credit[job] += n
        self.scheduler.grant(job, n)

    def with_held(self, data: st.DataObject, act: Callable[[str], None]) -> None:
        id = data.draw(st.sampled_from(sorted(self.held)))
        act(id)
        self.forget_taken({id} & self.removed)

    def forget_taken(self, ids: set[str]) -> None:
        """What an operator took from a job is gone when the job is done with it."""
        self.removed -= ids
        for id in ids:
            self.world.store.entries.pop(id, None)

    @stateful.precondition(lambda self: self.held)
    @stateful.rule(data=st.data())
    def delivered(self, data: st.DataObject) -> None:
        self.with_held(data, lambda id: self.world.settle([id]))

    @stateful.precondition(lambda self: self.held)
    @stateful.rule(data=st.data(), wait=st.sampled_from((0, 1, 600)))
    def deferred(self, data: st.DataObject, wait: float) -> None:
        self.with_held(data, lambda id: self.world.defer(id, self.world.now + wait))

    @stateful.precondition(lambda self: self.held)
    @stateful.rule(data=st.data())
    def host_fails(self, data: st.DataObject) -> None:
        def fail(id: str) -> None:
            entry = self.world.store.entries[id]
            backoff = self.scheduler.host_failed(entry.channel, entry.host, self.world.now)
            assert backoff.failures >= 1 and backoff.until > self.world.now
            self.world.defer(id, self.world.now, entry.attempts)

        self.with_held(data, fail)

    @stateful.rule(name=st.sampled_from(CHANNELS), host=st.sampled_from(HOSTS), count=st.integers(1, 3))
    def caller_claims(self, name: str, host: str, count: int) -> None:
        ids = self.scheduler.claim(name, host, count)
        assert not set(ids) & (set(self.held) | self.expiring | self.warning.keys())
        self.expiring.update(ids)

    @stateful.rule(name=st.sampled_from(CHANNELS), host=st.sampled_from(HOSTS))
    def host_answers(self, name: str, host: str) -> None:
        self.scheduler.host_answered(name, host, self.world.now)

    @stateful.precondition(lambda self: set(self.world.store.entries) - self.removed)
    @stateful.rule(data=st.data(), back=st.booleans())
    def operator_takes(self, data: st.DataObject, back: bool) -> None:
        """Deleted, or put back (held and released)."""
        id = data.draw(st.sampled_from(sorted(set(self.world.store.entries) - self.removed)))
        self.scheduler.remove(id)
        self.expiring.discard(id)
        self.warning.pop(id, None)
        if id in self.held:
            self.removed.add(id)
        elif back:
            entry = self.world.store.entries[id]
            entry.due = self.world.now
            self.scheduler.add(msgspec.structs.replace(entry), self.world.now)
            self.scheduler.promote(id, self.world.now, msgspec.structs.replace(entry))
        else:
            del self.world.store.entries[id]

    @stateful.rule(name=st.sampled_from(CHANNELS), host=st.sampled_from(HOSTS), site=st.sampled_from("pq"))
    def program_tells_a_site(self, name: str, host: str, site: str) -> None:
        self.scheduler.host_at(name, host, site)

    @stateful.rule(name=st.sampled_from(CHANNELS))
    def operator_retries(self, name: str) -> None:
        self.scheduler.retry_now(name, self.world.now)

    @stateful.rule(name=st.sampled_from(CHANNELS), stop=st.booleans())
    def operator_stops(self, name: str, stop: bool) -> None:
        if stop:
            self.scheduler.stop(name)
        else:
            self.scheduler.start(name, self.world.now)

    @stateful.rule(name=st.sampled_from(CHANNELS))
    def operator_runs(self, name: str) -> None:
        self.runs += 1
        self.scheduler.run(name, f"run-{self.runs}", self.world.now)

    @stateful.rule(
        limit=st.integers(1, 20),
        depth=st.integers(1, 4),
        most=st.sampled_from((None, 1, 2)),
        group=st.booleans(),
        per_job=st.sampled_from((0, 1, 5)),
    )
    def operator_configures(
        self, limit: int, depth: int, most: int | None, group: bool, per_job: int = 5
    ) -> None:
        self.limit, self.per_job = limit, per_job
        changed = self.configuration()
        changed.channels["tcp_local"] = channel(
            "tcp_local",
            threaddepth=depth,
            maxjobs=3,
            max_connections_per_host=most,
            rate_per_host=None if most is None else (30, 60.0),
            group_by_mx=group,
        )
        self.scheduler.reconfigure(changed, self.world.now)

    @stateful.rule(seconds=st.sampled_from((0.5, 5, 60, 700, 86400)))
    def time_passes(self, seconds: float) -> None:
        self.world.now += seconds

    @stateful.rule(seconds=st.sampled_from((3600, 86400)))
    def clock_is_set_back(self, seconds: float) -> None:
        self.world.now -= seconds

    @stateful.precondition(lambda self: self.expiring)
    @stateful.rule(data=st.data(), gone=st.booleans())
    def expiring_is_settled(self, data: st.DataObject, gone: bool) -> None:
        id = data.draw(st.sampled_from(sorted(self.expiring)))
        self.expiring.discard(id)
        if gone:
            self.world.settle([id])
        else:
            self.scheduler.deferred(id, self.world.now + 60, None, self.world.now)

    @stateful.precondition(lambda self: self.warning)
    @stateful.rule(recorded=st.booleans())
    def sender_is_told(self, recorded: bool) -> None:
        """Of the same age never again."""
        id, age = self.warning.popitem()
        stored = self.world.store.entries[id]
        assert age > stored.warned
        if recorded:
            stored.warned = age
            self.scheduler.deferred(id, stored.due, stored.attempts, self.world.now, age)
        else:
            self.scheduler.deferred(id, self.world.now + 60, None, self.world.now)

    @stateful.precondition(lambda self: self.postponing)
    @stateful.rule()
    def later_time_is_recorded(self) -> None:
        self.record_later(*self.postponing.pop(0))

    def record_later(self, entry: QueueEntry, due: float) -> None:
        stored = self.world.store.entries.get(entry.id)
        if stored is not None:
            stored.due = due
        entry.due = due
        self.scheduler.postponed(entry)

    @stateful.invariant()
    def books_are_right(self) -> None:
        check_books(self.scheduler)

    def teardown(self) -> None:
        """Whatever happened: everything that is queued is delivered in the end."""
        for name in CHANNELS:
            self.scheduler.start(name, self.world.now)
        for request, entries in self.answers:
            self.scheduler.loaded(request, entries, self.world.now)
        for entry, due in self.postponing:
            self.record_later(entry, due)
        for id in self.expiring | self.warning.keys():
            self.world.settle([id])
        world = self.world
        for start in self.starting:
            self.scheduler.start_failed(start.channel, start.host, world.now, start.run)
        for _ in range(400):
            for id in list(world.expired):
                world.store.entries.pop(id, None)
                self.scheduler.settled(id, world.now)
            if not world.store.entries:
                break
            world.work(credit=3, connections=2)
            due = self.scheduler.next_due()
            world.now = max(world.now + 0.1, min(due or world.now, world.now + 3600))
        assert not world.store.entries
        check_books(self.scheduler)
        assert not self.scheduler._memory.items


ScheduleLife.TestCase.settings = settings(
    deadline=None,
    max_examples=120,
    stateful_step_count=40,
    suppress_health_check=list(HealthCheck),
)
TestScheduleLife = pytest.mark.unmeasured(ScheduleLife.TestCase)


@local_zone("UTC")
@pytest.mark.parametrize("place", range(11))
def test_what_was_to_be_postponed_is_taken_away(place: int) -> None:
    """Found once by the machine: memory is full, mail outside its hours makes room, an operator deletes it at once."""
    life = ScheduleLife()
    life.operator_configures(limit=6, depth=1, most=None, group=False)
    life.arrive("tcp_local", "a", Priority.URGENT, 0, "", 5)
    life.decide()
    life.store_answers()
    life.operator_configures(limit=7, depth=1, most=None, group=False)
    life.arrive("generic", "a", Priority.NORMAL, 0, "", 6)
    id = sorted(life.world.store.entries)[place]
    life.scheduler.remove(id)
    del life.world.store.entries[id]
    check_books(life.scheduler)
    life.teardown()
