"""Decisions are made where there is something to decide."""

from bench.year import Year
from jobctl.schedule.plan import Plan
from tests.schedule_case import World, channel, settings


def _says(plan: Plan) -> bool:
    lists = (plan.handouts, plan.starts, plan.expired, plan.stop_jobs, plan.warn, plan.judge, plan.postpone)
    return plan.load is not None or any(lists)


def test_hardly_any_decision_is_empty() -> None:
    """The schedule is not woken up by verdicts that change nothing, nor by the end of a job nobody waits for."""
    year = Year(200, 50, 1)
    plans: list[Plan] = []
    decide = year.schedule.plan

    def plan(now: float, monotonic: float | None = None) -> Plan:
        plans.append(decide(now, monotonic))
        return plans[-1]

    year.schedule.plan = plan  # type: ignore[method-assign]
    told = year.run()
    empty = sum(not _says(one) for one in plans)
    assert told.delivered + told.expired == 200 and empty * 50 < len(plans)


def test_verdict_wakes_nobody_up() -> None:
    """After it the schedule has nothing to say until the job has idled for long enough, and then it says so."""
    world = World()
    (id,) = world.enqueue()
    job = world.start()
    world.plan()
    world.now += 5
    world.settle([id])
    world.scheduler.grant(job, 1)
    world.plan()
    assert world.scheduler.next_due() == world.now + 60
    world.now += 60
    assert world.plan().stop_jobs == [job]


def test_verdict_makes_place_for_what_waits() -> None:
    """Of the channel itself, and of another one that waits for its slot."""
    world = World(settings(channel(), channel("other"), pools={"DEFAULT": 1}))
    first, second = world.enqueue(count=2)
    job = world.start(credit=1, connections=1)
    world.plan()
    assert world.held[job] == [first]
    world.settle([first])
    world.scheduler.grant(job, 1)
    assert world.scheduler.next_due() == world.now and world.plan().handouts == [(job, [second])]
    world.enqueue("b.example", channel="other")
    assert world.plan().stop_jobs == []
    world.settle([second])
    world.scheduler.grant(job, 1)
    assert world.scheduler.next_due() == world.now and world.plan().stop_jobs == [job]
    world.end(job)
    assert [start.channel for start in world.plan().starts] == ["other"]
