"""``jobctl run``: everything queued is tried once, in sight; it always ends."""

import os

import pytest
from twisted.internet.defer import Deferred

from jobctl.control.requests import Run
from jobctl.errors import UsageError
from jobctl.jobs.environment import CannotStart
from tests.controller_case import CHANGES, DISK_FULL, Terminal, World, ids_of


@pytest.fixture
def world() -> World:
    return World()


def run(world: World, channel: str = "out", **more) -> tuple[Deferred, Terminal]:
    seen = Terminal()
    done = world.operate("run", Run(channel=channel, **more), seen)
    world.turn()
    return done, seen


def test_a_run_tries_everything_and_tells_the_verdicts(world):
    """Backoff is ignored, the program's lines are shown, recipients are counted."""
    (late,) = world.accept("a@b.example")
    job = world.job()
    job.report(late, "deferred", "450 later")
    world.turn()
    job.end()
    (two,) = world.accept("a@b.example", "c@b.example")
    (bad,) = world.accept()
    done, seen = run(world)
    mine = world.job(run=True)
    assert mine.spec.run and mine.spec.debug
    world.controller.handler.job_logged(mine, "EHLO x")
    assert sorted(ids_of(mine.assigned)) == sorted([late, two, bad])
    mine.report(late, "relayed")
    mine.results(two, a="relayed", c="deferred")
    mine.report(bad, "failed", "550 5.1.1 no")
    world.turn()
    assert mine.stopped and not done.called
    mine.end()
    assert world.do(done) == {"delivered": 2, "deferred": 1, "failed": 1}
    assert seen.lines == ["EHLO x"]


def test_a_run_of_an_empty_queue_ends_at_once(world):
    """Nothing to be tried."""
    done, _ = run(world)
    assert world.do(done) == {"delivered": 0, "deferred": 0, "failed": 0}
    assert not world.supervisor.asked


def test_a_run_just_after_a_restart_ends(world):
    """The queue has not been read yet, and is empty."""
    world.store.memory.close()
    disk = world.store.memory.disk
    again = World(disk=disk, clock=world.clock, slow=frozenset({"window", "backlog"}))
    done, _ = run(again)
    assert not done.called
    again.store.slow = frozenset()
    again.store.commit()
    again.turn()
    assert world.do(done)["delivered"] == 0


def test_a_run_of_an_empty_queue_can_poll(world):
    """With ``poll`` one job is started all the same, and ends by itself."""
    done, _ = run(world, poll=True)
    (spec,) = world.supervisor.asked
    assert spec.run and not done.called
    job = world.supervisor.spawn(spec).hello()
    world.turn()
    assert job.stopped
    job.end()
    assert world.do(done) == {"delivered": 0, "deferred": 0, "failed": 0}


@pytest.mark.parametrize(
    ("why", "counted"),
    [
        (CannotStart("program master was not found", temporary=False), "deferred"),
        (CannotStart("nobody answers", temporary=True, status="4.4.1"), "deferred"),
        (CannotStart("there is no such host", temporary=False, status="5.1.2"), "failed"),
    ],
)
def test_a_run_whose_job_cannot_start_ends_with_the_reason(why, counted):
    """Bound to a destination or not."""
    world = World()
    world.accept("x@gate.example")
    (spec,) = world.supervisor.asked
    world.supervisor.fail(spec, CannotStart("stopped before it began", temporary=True))
    world.turn()
    done, seen = run(world, "gate")
    spec = world.supervisor.asked.pop()
    assert spec.run
    world.supervisor.fail(spec, why)
    world.turn()
    counts = world.do(done)
    assert counts[counted] == 1 and sum(counts.values()) == 1
    assert seen.lines == [f"gate: {why}"]
    world.balance()


def test_a_run_whose_job_dies_says_so_and_goes_on(world):
    """Its mail is deferred; the run ends."""
    (id,) = world.accept()
    done, seen = run(world)
    job = world.job(run=True)
    job.end(signal=9)
    world.turn()
    assert world.do(done) == {"delivered": 0, "deferred": 1, "failed": 0}
    assert "signal 9" in seen.lines[0] and world.stored(id) is not None


def test_verdicts_before_a_death_count_in_a_run(world):
    """One recipient delivered, then the program dies: one delivered, one deferred."""
    (id,) = world.accept("a@b.example", "c@b.example")
    done, _ = run(world)
    job = world.job(run=True)
    job.results(id, a="relayed")
    job.end(signal=9)
    world.turn()
    assert world.do(done) == {"delivered": 1, "deferred": 1, "failed": 0}


def test_a_run_waits_until_its_results_are_recorded(world):
    """What is shown as delivered is delivered for good."""
    (id,) = world.accept()
    done, _ = run(world)
    job = world.job(run=True)
    world.store.broken["settle"] = DISK_FULL
    job.report(id, "relayed")
    job.end()
    world.turn(100)
    assert not done.called
    world.store.broken.clear()
    world.turn(100)
    assert world.do(done)["delivered"] == 1


def test_a_run_nobody_watches_any_more_is_given_up(world):
    """The client goes away: the job finishes what it holds, the rest goes on as before."""
    one, two = world.accept() + world.accept()
    done, seen = run(world)
    job = world.job(credit=1, run=True)
    seen.cancel()
    world.turn()
    assert job.stopped and ids_of(job.assigned) == [one]
    world.scheduler.grant(job.id, 5)
    job.report(one, "relayed")
    world.turn()
    job.end()
    assert world.do(done)["delivered"] == 1
    assert ids_of(world.job().assigned) == [two]


def test_cancelled_after_its_end(world):
    """Nothing happens."""
    done, seen = run(world)
    world.do(done)
    seen.cancel()


def test_cancelled_while_its_job_starts(world):
    """The job that comes too late is sent home."""
    (id,) = world.accept()
    done, seen = run(world)
    seen.cancel()
    world.turn()
    job = world.job(run=True)
    world.turn()
    assert job.stopped and not job.assigned
    job.end()
    assert done.called and world.state(id) is not None


def test_a_channel_that_runs_nothing(world):
    """No master program, or no such channel: exit status 78."""
    with pytest.raises(UsageError, match="no master program") as why:
        run(world, "in")
    assert why.value.exit_status == os.EX_CONFIG
    with pytest.raises(UsageError, match="not configured"):
        run(world, "nonsense")


def test_a_run_of_a_stopped_channel(world):
    """An operator's run goes on all the same."""
    (id,) = world.accept()
    world.scheduler.stop("out")
    world.turn()
    done, _ = run(world)
    job = world.job(run=True)
    assert ids_of(job.assigned) == [id]
    world.store.slow = CHANGES
    job.report(id, "relayed")
    world.store.commit()
    world.turn()
    job.end()
    assert world.do(done)["delivered"] == 1
