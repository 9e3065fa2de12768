"""An operator's run: everything of a channel, once, whatever the schedule says."""

from tests.schedule_case import START, World, channel, settings


def test_run_ignores_backoff_stop_and_limits() -> None:
    """Delayed mail, mail of a backed-off host and of a stopped channel without slots: all is offered."""
    world = World(settings(channel(maxjobs=0)))
    ids = world.enqueue("a.example", due=START + 3600) + world.enqueue("dead.example", count=2)
    world.scheduler.host_failed("tcp_local", "dead.example", world.now)
    world.scheduler.stop("tcp_local")
    world.scheduler.run("tcp_local", "r1", world.now)
    (start,) = world.plan().starts
    assert (start.channel, start.host, start.run) == ("tcp_local", None, "r1")
    assert world.plan().starts == []
    job = world.start(run="r1", credit=10)
    plan = world.plan()
    assert sorted(world.held[job]) == sorted(ids) and plan.stop_jobs == []
    assert not world.scheduler.run_done("r1")
    world.settle(world.held[job])
    assert world.scheduler.run_done("r1") and world.scheduler.run_done("r1")


def test_run_sends_nothing_that_is_late() -> None:
    """What its sender wants back by a time that passes while it waits for the run comes back; the rest goes."""
    world = World()
    late, told, plain = (
        *world.enqueue(deadline=START + 60, returns=True),
        *world.enqueue(deadline=START + 60),
        *world.enqueue(),
    )
    world.scheduler.run("tcp_local", "r1", world.now)
    world.plan()
    world.now += 61
    job = world.start(run="r1", credit=10)
    world.plan()
    assert world.expired == [late] and sorted(world.held[job]) == [told, plain]
    world.scheduler.settled(late, world.now)
    world.settle(list(world.held[job]))
    assert world.scheduler.run_done("r1")


def test_run_offers_once() -> None:
    """What was deferred in a run goes back to the schedule, and the run ends."""
    world = World()
    (id,) = world.enqueue()
    world.scheduler.run("tcp_local", "r1", world.now)
    world.plan()
    job = world.start(run="r1")
    world.plan()
    world.defer(id, START + 600)
    assert world.scheduler.run_done("r1")
    world.plan()
    assert world.held[job] == [] and world.scheduler.state(id, world.now) == "delayed"


def test_later_mail_is_not_part_of_it() -> None:
    """Mail that comes while a run goes on is the schedule's, and other jobs get nothing of the run."""
    world = World()
    world.enqueue(count=2)
    world.scheduler.run("tcp_local", "r1", world.now)
    other = world.start()
    later = world.enqueue()
    job = world.start(run="r1")
    world.plan()
    assert world.held[other] == later and len(world.held[job]) == 2


def test_bound_run_goes_host_by_host() -> None:
    """A program on a pipe is run for one host after the other, and stopped when its host has no more."""
    world = World(settings(channel("generic", transport="tcp")))
    world.enqueue("a", channel="generic", count=2)
    world.enqueue("b", channel="generic")
    world.scheduler.stop("generic")
    world.scheduler.run("generic", "r1", world.now)
    (start,) = world.plan().starts
    assert start.host == "a"
    job = world.start("generic", "a", run="r1")
    assert world.plan().stop_jobs == []
    world.settle(world.held[job])
    assert world.plan().stop_jobs == [job]
    world.end(job)
    (start,) = world.plan().starts
    assert start.host == "b"
    world.scheduler.start_failed("generic", "b", world.now, "r1")
    assert world.scheduler.run_done("r1")
    assert world.scheduler.host_backoffs() == []
    assert world.scheduler.counts("generic").ready == 1


def test_failed_start_without_the_runs_name_is_understood() -> None:
    """Who reports that a job could not start need not know that it was a run's."""
    world = World()
    world.enqueue()
    world.scheduler.stop("tcp_local")
    world.scheduler.run("tcp_local", "r1", world.now)
    world.plan()
    world.scheduler.start_failed("tcp_local", None, world.now)
    assert world.scheduler.run_done("r1")


def test_dead_program_ends_the_run() -> None:
    """If the run's program dies before it did anything, what was not offered goes back."""
    world = World()
    ids = world.enqueue(count=3)
    world.scheduler.stop("tcp_local")
    world.scheduler.run("tcp_local", "r1", world.now)
    world.plan()
    world.end(world.start(run="r1", credit=1), worked=False)
    assert world.scheduler.run_done("r1")
    assert [world.scheduler.state(id, world.now) for id in ids] == ["ready"] * 3
    world.scheduler.run("tcp_local", "r2", world.now)
    assert len(world.plan().starts) == 1
    world.scheduler.job_ended("unseen", False, world.now, "tcp_local", None, "r2")
    assert world.scheduler.run_done("r2")


def test_program_that_worked_is_followed_by_another() -> None:
    """A run's program that dies half way is replaced; what it held is not offered again."""
    world = World()
    world.enqueue(count=5)
    world.scheduler.run("tcp_local", "r1", world.now)
    world.plan()
    job = world.start(run="r1", credit=2)
    world.plan()
    world.settle(world.held[job][:1])
    world.end(job)
    assert "r1" in [start.run for start in world.plan().starts]
    second = world.start(run="r1", credit=9)
    world.plan()
    assert len(world.held[second]) == 3


def test_program_that_came_by_itself() -> None:
    """A program started by hand gets the run; none is started beside it, and its end is the run's."""
    world = World()
    world.scheduler.stop("tcp_local")
    world.enqueue(count=5)
    world.scheduler.run("tcp_local", "r1", world.now, starts=False)
    assert world.plan().starts == []
    job = world.start(run="r1", credit=1)
    world.plan()
    assert len(world.held[job]) == 1
    world.end(job)
    assert world.scheduler.run_done("r1")
    assert world.scheduler.counts("tcp_local").ready == 5


def test_program_that_never_asks_is_stopped() -> None:
    """A run does not hang for ever on a program that takes nothing."""
    world = World()
    world.enqueue()
    world.scheduler.run("tcp_local", "r1", world.now)
    world.plan()
    job = world.start(run="r1", credit=0)
    assert world.plan().stop_jobs == []
    world.now += 60
    assert world.plan().stop_jobs == [job]


def test_run_covers_what_is_only_in_the_store() -> None:
    """Mail that memory has no room for is offered too, and nothing twice."""
    world = World(settings(limit=50))
    world.enqueue(count=500)
    world.scheduler.stop("tcp_local")
    world.scheduler.run("tcp_local", "r1", world.now)
    world.plan()
    job = world.start(run="r1", credit=30)
    offered: list[str] = []
    for _ in range(400):
        world.plan()
        offered += world.held[job]
        for id in list(world.held[job]):
            world.defer(id, world.now + 600)
            world.scheduler.grant(job, 1)
        assert len(world.scheduler._memory.items) <= 50 + 2 * 200
        if world.scheduler.run_done("r1"):
            break
    assert len(offered) == 500 == len(set(offered))


def test_run_that_is_ended_gives_back() -> None:
    """When nobody watches any more, the rest goes back to the schedule."""
    world = World()
    ids = world.enqueue(count=3) + world.enqueue(due=START + 60)
    world.scheduler.run("tcp_local", "r1", world.now)
    world.scheduler.remove(ids[0])
    world.scheduler.end_run("r1", world.now)
    world.scheduler.end_run("unknown", world.now)
    assert world.scheduler.run_done("r1")
    states = [world.scheduler.state(id, world.now) for id in ids]
    assert states == [None, "ready", "ready", "delayed"]


def test_empty_run_is_done() -> None:
    """A run of an empty channel is over at once."""
    world = World()
    world.scheduler.run("tcp_local", "r1", world.now)
    assert world.scheduler.run_done("r1")
    assert world.plan().starts == []
