"""Jobs follow the backlog, within the limits, and a broken program is not started in a storm."""

import msgspec
import pytest

from jobctl.schedule.throttle import LONGEST, Throttle
from tests.schedule_case import START, World, channel, settings

GENERIC = {"transport": "tcp", "threaddepth": 5}


def started(world: World) -> list[str | None]:
    """Hosts of the jobs that one decision starts."""
    return [start.host for start in world.plan().starts]


class TestAnyHost:
    """Programs with connections of their own."""

    def test_first_message_starts_one_job(self) -> None:
        """One job is started for the first message, and none more while it is starting."""
        world = World()
        world.enqueue()
        assert started(world) == [None]
        world.enqueue(count=500)
        world.now += 30
        assert started(world) == []

    def test_small_backlog_needs_one_job(self) -> None:
        """A backlog that the connections of a job are worth starts no second one."""
        world = World(settings(channel(gateway="relay.example")))
        world.enqueue("", count=100)
        world.start(connections=10, credit=0)
        world.now += 60
        assert started(world) == [] and started(world) == []
        world.now += 30
        world.enqueue("", count=1)
        assert started(world) == []
        world.now += 1
        assert started(world) == [None]

    def test_jobs_double_up_to_the_limit(self) -> None:
        """A large backlog gets 1, 2, 4 jobs and then what the limits allow, not all at once."""
        world = World(settings(channel(maxjobs=7, gateway="relay.example")))
        world.enqueue("", count=5000)
        for expected in (1, 1, 2, 3, 0):
            started(world)
            world.now += 1
            world.plan()
            starting = world.scheduler._memory.channels["tcp_local"].starting
            assert len(starting) == expected
            for _ in range(expected):
                world.start(credit=0)

    def test_a_job_for_so_many_entries(self) -> None:
        """filesperjob: a program that does one thing at a time gets a job for every five messages begun."""
        world = World(settings(channel(maxjobs=20, smtp="nosmtp", filesperjob=5, threaddepth=100)))
        world.enqueue("", count=23)
        for _ in range(8):
            for _ in started(world):
                world.start(connections=1, credit=0)
            world.now += 1
        assert len(world.scheduler._memory.channels["tcp_local"].jobs) == 5

    @pytest.mark.parametrize(
        ("recipients", "jobs"), [((50,) * 10, 5), ((1,) * 10, 1), ((1000,) * 3, 3), ((10, 10, 370, 10), 4)]
    )
    @pytest.mark.parametrize("later", [False, True])
    def test_a_job_for_so_many_recipients(self, recipients: tuple[int, ...], jobs: int, later: bool) -> None:
        """addrsperjob: as many as messages of this size have together, and no more jobs than messages."""
        named = channel(maxjobs=20, smtp="nosmtp", addrsperjob=100, threaddepth=100)
        world = World(settings(channel(maxjobs=20, smtp="nosmtp", threaddepth=100) if later else named))
        for count in recipients:
            world.enqueue("", recipients=count)
        if later:
            world.scheduler.reconfigure(settings(named), world.now)
        for _ in range(12):
            for _ in started(world):
                world.start(connections=1, credit=100)
            world.now += 1
        queue = world.scheduler._memory.channels["tcp_local"]
        assert len(queue.jobs) == jobs
        assert sum(bool(held) for held in world.held.values()) == jobs, "and each has its part"
        world.settle([id for held in world.held.values() for id in held])
        assert (queue.recipients, queue.size) == (0, 0)

    def test_recipients_do_not_count_for_programs_with_many_connections(self) -> None:
        """They go by connections: a message's recipients go over one."""
        world = World(settings(channel(addrsperjob=1)))
        world.enqueue("", recipients=500, count=9)
        assert len(started(world)) == 1 and world.scheduler._memory.channels["tcp_local"].depth == 10

    def test_burst_that_the_job_masters_starts_no_other(self) -> None:
        """A backlog that is gone within a second was no reason for another process."""
        world = World(settings(channel(gateway="relay.example")))
        world.start(credit=0)
        world.enqueue("", count=500)
        assert started(world) == []
        world.now += 0.5
        world.scheduler.grant("tcp_local.1", 700)
        for _ in range(5):
            assert started(world) == []
            world.settle(list(world.held["tcp_local.1"]))
        world.now += 0.6
        assert started(world) == [] and len(world.delivered) == 500

    def test_backlog_beyond_threaddepth_gets_a_second_job_and_it_gets_work(self) -> None:
        """With one connection a job, and one message a connection, four messages are two jobs' work."""
        world = World(settings(channel(threaddepth=1, maxjobs=2)))
        world.enqueue("a.example", count=4)
        world.enqueue("b.example", count=4)
        first = world.start(connections=1, credit=10)
        assert started(world) == []
        world.now += 1
        assert started(world) == [None]
        second = world.start(connections=1, credit=10)
        world.plan()
        assert world.held[first] and world.held[second]

    def test_backlog_of_a_gateway_is_shared_too(self) -> None:
        """The same behind a gateway, where there is but one destination."""
        world = World(settings(channel(threaddepth=1, maxjobs=2, gateway="relay.example")))
        world.enqueue("", count=4)
        first = world.start(connections=1, credit=10)
        world.plan()
        assert len(world.held[first]) == 1
        world.now += 1
        assert started(world) == [None]
        second = world.start(connections=1, credit=10)
        world.plan()
        assert len(world.held[first]) == 2 and len(world.held[second]) == 2

    def test_silent_host_with_much_mail_gets_one_job(self) -> None:
        """A host that has never answered does not deserve a second process, whatever its backlog."""
        world = World()
        world.enqueue("silent.example", count=5000)
        assert started(world) == [None]
        world.start(connections=10, credit=100)
        for _ in range(10):
            world.now += 1
            assert started(world) == []

    def test_many_hosts_want_connections(self) -> None:
        """Thirty hosts with one message each want more connections than one job has."""
        world = World()
        world.start(connections=10, credit=0)
        for n in range(30):
            world.enqueue(f"h{n}.example")
        world.plan()
        world.now += 1
        assert started(world) == [None]

    def test_what_was_said_at_hello_counts(self) -> None:
        """A program that serves one destination at a time gets help sooner."""
        world = World()
        world.start(connections=1, credit=0)
        world.enqueue("a.example", count=5)
        world.enqueue("b.example", count=5)
        world.plan()
        world.now += 1
        assert started(world) == [None]

    def test_idle_job_lingers_and_goes(self) -> None:
        """A job without work stays a minute, then it is told to stop, and told once."""
        world = World()
        job = world.start()
        world.plan()
        due = world.scheduler.next_due()
        assert due == START + 60
        world.now += 59
        assert world.plan().stop_jobs == []
        world.now += 1
        assert world.plan().stop_jobs == [job]
        world.enqueue()
        plan = world.plan()
        assert plan.stop_jobs == [] and plan.handouts == []
        world.scheduler.grant(job, 5)
        assert world.plan().handouts == []

    def test_old_job_is_replaced(self) -> None:
        """After max_life_time, or max_life_askwork messages, a job is stopped and the next one started."""
        world = World(settings(channel(max_life_time=1000, max_life_askwork=20)))
        old = world.start(credit=1)
        world.enqueue("a.example", count=3)
        world.plan()
        for _ in range(10):
            world.now += 60
            assert world.plan().stop_jobs == []
        world.now += 30
        for _ in range(10):
            world.now += 60
            if world.plan().stop_jobs == [old]:
                break
        assert 1000 <= world.now - START <= 1120
        busy = world.start(credit=50)
        world.enqueue("b.example", count=10)
        world.enqueue("c.example", count=10)
        assert world.plan().stop_jobs == [busy]

    def test_start_that_is_never_heard_of_is_forgotten(self) -> None:
        """A lost start does not hold its slot for ever."""
        world = World(settings(channel(maxjobs=1)))
        world.enqueue()
        assert started(world) == [None]
        for _ in range(12):
            world.now += 60
            world.plan()
        assert len(world.scheduler._memory.channels["tcp_local"].starting) == 1
        assert world.scheduler.next_due() is not None

    def test_job_stopped_by_others_gets_nothing(self) -> None:
        """A job that somebody else told to stop is handed nothing more."""
        world = World()
        job = world.start()
        world.scheduler.job_stopping(job)
        world.scheduler.job_stopping("unknown")
        world.enqueue()
        assert world.plan().handouts == []
        world.scheduler.grant("unknown", 5)


class TestBound:
    """Programs on a pipe: one host in their life."""

    def world(self, **changes: object) -> World:
        return World(settings(channel("generic", **{**GENERIC, **changes}), pools={"DEFAULT": 4}))

    def test_each_host_gets_its_job(self) -> None:
        """Every destination gets a job of its own, within the limits, and only its own mail."""
        world = self.world()
        for host in ("a", "b", "c", "d", "e"):
            world.enqueue(host, channel="generic", count=2)
        assert started(world) == ["a", "b", "c", "d"]
        job = world.start("generic", "b")
        world.plan()
        assert [world.store.entries[id].host for id in world.held[job]] == ["b", "b"]

    def test_long_queue_gets_another_job(self) -> None:
        """A host that answers and whose backlog passes a multiple of threaddepth gets another connection."""
        world = self.world()
        world.enqueue("a", channel="generic", count=14)
        assert started(world) == ["a"]
        job = world.start("generic", "a", connections=1, credit=20)
        assert started(world) == []
        for expected in (["a"], ["a"], []):
            world.scheduler.host_answered("generic", "a", world.now)
            world.settle(world.held[job][:1])
            assert started(world) == expected

    def test_gateway_serves_all(self) -> None:
        """With a gateway any job takes anything."""
        world = self.world(gateway="relay.example")
        world.enqueue("", channel="generic", count=3)
        assert started(world) == [None]

    def test_job_without_work_makes_room(self) -> None:
        """A bound job whose host has no more is stopped soon: at once if another host waits."""
        world = self.world(maxjobs=1)
        world.enqueue("a", channel="generic")
        assert started(world) == ["a"]
        job = world.start("generic", "a", credit=5)
        world.plan()
        world.enqueue("b", channel="generic")
        assert world.plan().stop_jobs == []
        world.settle(world.held[job])
        assert world.plan().stop_jobs == [job]
        assert started(world) == []
        world.end(job)
        assert started(world) == ["b"]

    def test_job_without_work_lingers_shortly(self) -> None:
        """If nobody waits it stays for two seconds, for the next message of a conversation."""
        world = self.world()
        job = world.start("generic", "a")
        world.plan()
        world.now += 1.9
        assert world.plan().stop_jobs == []
        world.now += 0.1
        assert world.plan().stop_jobs == [job]

    def test_long_queue_does_not_keep_others_out(self) -> None:
        """A host with endless mail gives its slot back after a hundred messages when another waits."""
        world = self.world(maxjobs=1)
        world.enqueue("a", channel="generic", count=500)
        world.plan()
        job = world.start("generic", "a", credit=120)
        world.plan()
        world.enqueue("b", channel="generic")
        assert world.plan().stop_jobs == [job]
        world.end(job)
        world.plan()
        assert started(world) == []
        hosts = [start.host for start in world.scheduler._memory.channels["generic"].starting]
        assert hosts == ["b"]

    def test_unreachable_host_is_backed_off(self) -> None:
        """A connection that is refused backs the host off; others start at once but for a breath."""
        world = self.world(maxjobs=2)
        for host in ("a", "b", "c"):
            world.enqueue(host, channel="generic")
        assert started(world) == ["a", "b"]
        world.scheduler.start_failed("generic", "a", world.now)
        assert world.scheduler.host_backoffs()[0][1:3] == ("a", 1)
        assert started(world) == [] and world.scheduler.next_due() == world.now + 0.1
        world.now += 0.1
        assert started(world) == ["c"]

    def test_probes_take_half_of_the_slots(self) -> None:
        """Dead hosts whose backoff is over leave half of the slots to living ones."""
        world = self.world()
        for n in range(6):
            world.enqueue(f"dead{n}", channel="generic")
            world.scheduler.restore_host("generic", f"dead{n}", 2, world.now, world.now)
        assert len(started(world)) == 2
        world.enqueue("a", channel="generic")
        world.enqueue("b", channel="generic")
        assert started(world) == ["a", "b"]

    def test_probe_that_connects_gets_one_message(self) -> None:
        """A job for a host on trial is handed one message until there is an answer."""
        world = self.world()
        world.enqueue("dead", channel="generic", count=5)
        world.scheduler.restore_host("generic", "dead", 2, world.now, world.now)
        assert started(world) == ["dead"]
        job = world.start("generic", "dead", credit=3)
        world.plan()
        assert len(world.held[job]) == 1
        world.scheduler.host_answered("generic", "dead", world.now)
        world.plan()
        assert len(world.held[job]) == 3


class TestLimits:
    """Pools and maxjobs."""

    def test_pool_limit_spans_channels(self) -> None:
        """Channels of a pool share its job_limit; one of another pool is not touched."""
        channels = (channel("x"), channel("y"), channel("z", pool="OTHER"))
        world = World(settings(*channels, pools={"DEFAULT": 1, "OTHER": 1}))
        for name in "xyz":
            world.enqueue(channel=name)
        assert [start.channel for start in world.plan().starts] == ["x", "z"]
        world.start("x", credit=0)
        assert world.plan().starts == []
        world.end("x.1")
        assert [start.channel for start in world.plan().starts] == ["y"]

    def test_idle_job_makes_place_for_another_channel(self) -> None:
        """A lingering job is stopped at once when another channel of the pool waits for its slot."""
        world = World(settings(channel("x"), channel("y"), pools={"DEFAULT": 1}))
        job = world.start("x")
        assert world.plan().stop_jobs == []
        world.enqueue(channel="y")
        assert world.plan().stop_jobs == [job]

    def test_busy_channel_gives_a_slot_to_one_that_has_none(self) -> None:
        """A channel with all slots of a pool gives one back when another has none, and only one."""
        world = World(settings(channel("x"), channel("y"), pools={"DEFAULT": 3}))
        for _ in range(3):
            world.start("x", credit=5)
        world.enqueue(channel="x", count=500)
        world.plan()
        world.enqueue(channel="y")
        plan = world.plan()
        assert len(plan.stop_jobs) == 1 and plan.starts == []
        assert world.plan().stop_jobs == []
        world.end(plan.stop_jobs[0])
        assert [start.channel for start in world.plan().starts] == ["y"]

    def test_lowered_limit_stops_jobs(self) -> None:
        """A limit that is lowered on the fly stops what is too many, the idle ones first."""
        world = World()
        jobs = [world.start(credit=1) for _ in range(4)]
        world.enqueue(count=2)
        world.plan()
        busy = {job for job in jobs if world.held[job]}
        world.scheduler.reconfigure(settings(channel(maxjobs=2)), world.now)
        stopped = world.plan().stop_jobs
        assert len(stopped) == 2 and not busy & set(stopped)

    def test_channel_without_program_starts_nothing(self) -> None:
        """A channel without a master program, or one that is not configured, only queues."""
        world = World(settings(channel(master_command=())))
        world.enqueue()
        world.enqueue(channel="gone")
        assert world.plan().starts == []
        assert world.scheduler.counts("gone").ready == 1


class TestThrottle:
    """Programs that come to nothing."""

    def test_program_that_dies_at_once_is_started_slowly(self) -> None:
        """Starts of a program that dies before its first work are 1, 2, 4 ... 60 s apart."""
        world = World()
        world.enqueue()
        gaps = []
        for _ in range(9):
            assert started(world) == [None]
            world.end(world.start(credit=0), worked=False)
            assert started(world) == []
            due = world.scheduler.next_due()
            assert due is not None
            gaps.append(round(due - world.now))
            world.now = due
        assert gaps == [1, 2, 4, 8, 16, 32, 60, 60, 60]

    def test_work_ends_it(self) -> None:
        """A program that did any work is replaced at once."""
        world = World()
        world.enqueue()
        world.scheduler.start_failed("tcp_local", None, world.now)
        assert started(world) == []
        world.end(world.start(credit=0), worked=True)
        assert started(world) == [None]

    def test_program_that_never_says_hello(self) -> None:
        """A job that ends before it was known frees its slot and counts as a failure."""
        world = World(settings(channel(maxjobs=1)))
        world.enqueue()
        assert started(world) == [None]
        assert world.scheduler.job_ended("x", False, world.now, "tcp_local", None) == []
        assert world.scheduler.job_ended("y", False, world.now) == []
        assert started(world) == []
        world.now += 1
        assert started(world) == [None]

    def test_stopping_without_work_is_no_failure(self) -> None:
        """A job that was told to stop before it had anything to do is not held against its program."""
        world = World()
        job = world.start()
        world.now += 59
        world.plan()
        world.now += 60
        assert world.plan().stop_jobs == [job]
        world.end(job, worked=False)
        world.enqueue()
        assert started(world) == [None]

    def test_bounds(self) -> None:
        """However often it fails, the pause has an end."""
        throttle = Throttle()
        for _ in range(2000):
            throttle.failed(START)
        assert throttle.until == START + LONGEST


class TestChannels:
    """Stop, start, reload."""

    def test_stopped_channel_hands_out_nothing(self) -> None:
        """A stopped channel's jobs are told to stop; started again it goes on at once."""
        world = World()
        job = world.start()
        ids = world.enqueue(count=3)
        world.scheduler.stop("tcp_local")
        plan = world.plan()
        assert plan.handouts == [] and plan.stop_jobs == [job]
        world.end(job, worked=False)
        assert world.plan().starts == []
        world.scheduler.start("tcp_local", world.now)
        assert started(world) == [None]
        job = world.start()
        world.plan()
        assert world.held[job] == ids

    def test_reload_replaces_programs_with_other_settings(self) -> None:
        """What a program was told at its start has changed: it is stopped after what it holds."""
        world = World()
        job = world.start(credit=1)
        world.enqueue(count=50)
        world.plan()
        world.scheduler.reconfigure(settings(channel(port=2525)), world.now)
        plan = world.plan()
        assert plan.stop_jobs == [job] and len(plan.starts) == 1

    def test_reload_of_limits_keeps_programs(self) -> None:
        """Limits, intervals and ages need no new program, and apply at once."""
        world = World()
        world.start(credit=0)
        world.enqueue(count=300)
        new = channel(maxjobs=2, threaddepth=50, backoff={}, notices={}, max_life_time=10)
        world.scheduler.reconfigure(settings(new), world.now)
        assert world.plan().stop_jobs == []
        assert world.scheduler._memory.channels["tcp_local"].wanted == 6

    def test_removed_channel_keeps_its_mail(self) -> None:
        """A channel that a reload removed starts nothing and loses nothing; it goes on when it is back."""
        world = World()
        ids = world.enqueue(count=2)
        world.scheduler.reconfigure(settings(channel("other")), world.now)
        assert world.plan().starts == []
        world.scheduler.reconfigure(world.settings, world.now)
        assert started(world) == [None]
        job = world.start()
        world.plan()
        assert world.held[job] == ids

    def test_channel_settings_cover_what_is_ours(self) -> None:
        """The list of settings that need no new program names real ones."""
        from jobctl.schedule.queues import _OURS

        assert set(_OURS) <= {field.name for field in msgspec.structs.fields(channel())}
