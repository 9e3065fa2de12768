"""``cache change``: values set in the running Job Controller."""

import shutil
import tempfile

import pytest
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from jobctl.config.loader import load_text
from jobctl.control.requests import CacheChange, CacheChanges, CacheRevert
from jobctl.errors import StoreError, UsageError
from tests.controller_case import CONFIGURATION, World

WITH_SERVER = (
    CONFIGURATION
    + """
[dispatcher.service.SMTP]
listen = ["unix:@DIRECTORY@/smtp"]
channel = "in"
min_procs = 2
"""
)


@pytest.fixture
def world() -> World:
    return World()


def change(world, scope="channel", name="out", persistent=False, **values):
    request = CacheChange(scope=scope, name=name, set=values, persistent=persistent)
    done = world.do(world.operate("cache_change", request))
    world.turn()
    return done


def revert(world, **keys):
    done = world.do(world.operate("cache_revert", CacheRevert(**keys)))
    world.turn()
    return done


def changes(world):
    return world.operate("cache_changes", CacheChanges(), None)


def in_force(world):
    return {(one.name, one.option): one.value for one in changes(world)}


def restarted(world, configuration=CONFIGURATION):
    world.store.memory.disk.busy = False
    return World(configuration=configuration, disk=world.store.memory.disk, clock=world.clock)


def test_limit_counts_at_once():
    """A raised job_limit starts jobs for mail that waited for it, without any further event."""
    text = CONFIGURATION.replace("[channel.out]", '[channel.out]\ntransport = "tcp"\nmaxjobs = 1')
    world = World(configuration=text)
    for host in ("b", "c", "d"):
        world.accept(f"bob@{host}.example")
    assert len(world.supervisor.asked) == 1
    change(world, job_limit="3")
    assert len(world.supervisor.asked) == 3


def test_author_and_restart(world):
    """Who set what, when; what was said to persist is there after a restart, the rest is not."""
    change(world, job_limit="2")
    change(world, persistent=True, thread_depth="5")
    found = changes(world)
    assert [(one.option, one.author, one.persistent) for one in found] == [
        ("job_limit", "ann", False),
        ("thread_depth", "ann", True),
    ]
    again = restarted(world)
    assert in_force(again) == {("out", "thread_depth"): "5"}
    assert again.controller.settings.channels["out"].threaddepth == 5
    assert again.controller.settings.channels["out"].maxjobs == 100


def test_no_longer_persistent(world):
    """Set again without being said to persist, it no longer does; reverted, it is as configured for good."""
    change(world, persistent=True, job_limit="2")
    change(world, job_limit="3")
    assert in_force(restarted(world)) == {}
    change(world, persistent=True, job_limit="4", thread_depth="6")
    assert [one.option for one in revert(world, scope="channel", name="out", options=("job_limit",))] == [
        "job_limit"
    ]
    assert world.controller.settings.channels["out"].maxjobs == 100
    assert in_force(restarted(world)) == {("out", "thread_depth"): "6"}
    assert len(revert(world, all=True)) == 1
    assert in_force(restarted(world)) == {}


def test_changes_lie_over_a_reloaded_configuration(world):
    """Another configuration does not undo what operators have set."""
    change(world, job_limit="2")
    world.controller.configured = World().settings
    world.controller.settings_changed()
    assert world.controller.settings.channels["out"].maxjobs == 2


def test_all_or_nothing(world):
    """One value that will not do, and none is set; a disk that fails sets nothing that would be lost."""
    with pytest.raises(UsageError, match="thread_depth"):
        change(world, job_limit="2", thread_depth="x")
    with pytest.raises(UsageError, match="nothing to change"):
        change(world)
    world.store.broken = {"remember": StoreError("disk")}
    with pytest.raises(StoreError):
        change(world, persistent=True, job_limit="2")
    assert in_force(world) == {}
    assert world.controller.settings == world.controller.configured


def test_what_no_longer_fits_is_left_out(world):
    """A remembered change of a channel that is no longer configured stops nothing, and can be removed."""
    change(world, persistent=True, job_limit="2")
    text = CONFIGURATION.replace("[channel.out]", "[channel.away]").replace('"out"', '"away"')
    again = restarted(world, text)
    assert in_force(again) == {}
    revert(again, all=True)
    assert again.store.memory.disk.remembered == {}


def test_program_is_replaced(world):
    """Jobs started with another program are told to stop, and the new one is started for the mail."""
    (entry,) = world.accept()
    job = world.job()
    change(world, master_job="better")
    assert job.stopped
    job.report(entry)
    job.end()
    world.accept("eve@e.example")
    assert world.supervisor.asked[-1].argv == ("better",)


class ServerTests(SynchronousTestCase):
    """Server jobs under ``cache change`` and ``restart``."""

    def setUp(self) -> None:
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        self.world = World(directory=directory, configuration=WITH_SERVER)
        self.addCleanup(self.world.controller.services._sockets.close)
        self.old = [self.world.supervisor.spawn(spec).hello(0) for spec in self.world.supervisor.asked]

    def new(self) -> list:
        return [spec for spec in self.world.supervisor.asked if spec.id not in {job.id for job in self.old}]

    def test_replaced_one_by_one(self) -> None:
        """An old server is stopped when a new one has said hello, so the service is never without."""
        change(self.world, name="in", slave_job="better")
        first, second = self.new()
        self.assertEqual(first.argv, ("better",))
        self.assertEqual([job.stopped for job in self.old], [False, False])
        self.world.supervisor.spawn(first).hello(0)
        self.assertEqual(sum(job.stopped for job in self.old), 1)
        self.world.supervisor.spawn(second).hello(0)
        self.assertEqual([job.stopped for job in self.old], [True, True])
        for job in self.old:
            job.end()
        self.assertEqual(len(self.new()), 2)

    def test_bad_program(self) -> None:
        """New servers that end at once leave the old ones in their place."""
        change(self.world, name="in", slave_job="bad")
        for spec in self.new():
            self.world.supervisor.spawn(spec).end(78)
        self.assertEqual([job.stopped for job in self.old], [False, False])
        self.assertEqual(len(self.new()), 2)
        self.old[0].worked = True
        self.old[0].end()
        self.assertEqual(len(self.new()), 3)

    def test_limits_replace_no_server(self) -> None:
        """A change that no program sees leaves servers alone."""
        change(self.world, name="in", job_limit="2")
        self.assertEqual(self.new(), [])


def test_debug(world):
    """With debug bits on, what programs say and what the schedule decides is in the log; off, it is not."""
    change(world, scope="global", name="", debug="5")
    with capturedLogs() as captured:
        (entry,) = world.accept()
        job = world.job()
        job.report(entry)
    texts = [str(event.get("what") or event.get("handouts")) for event in captured]
    assert "report" in texts and any(entry in text for text in texts)
    assert world.stored(entry) is None
    change(world, scope="global", name="", debug="2")
    with capturedLogs() as captured:
        (entry,) = world.accept()
        job.report(entry, reply="250 noted")
    assert any("250 noted" in str(event.get("what")) for event in captured)
    revert(world, scope="global")
    with capturedLogs() as captured:
        (entry,) = world.accept()
        job.report(entry)
    assert world.stored(entry) is None
    assert not any("debug" in str(event["log_format"]) for event in captured)


def test_survives_a_reload(world):
    """A reload brings the file into force and leaves what operators have set over it."""
    change(world, job_limit="2")
    text = CONFIGURATION.replace("[channel.out]", "[channel.out]\nmaxjobs = 50\nthreaddepth = 7")
    world.controller.reloads.read = lambda: load_text(text, "jobctl.toml", exists=lambda path: True)
    outcome = world.do(world.controller.reloads.reload("ann"))
    assert outcome.applied and outcome.problems == []
    channel = world.controller.settings.channels["out"]
    assert (channel.maxjobs, channel.threaddepth) == (2, 7)
    revert(world, scope="channel", name="out")
    assert world.controller.settings.channels["out"].maxjobs == 50
