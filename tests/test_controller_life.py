"""Starting, stopping, crashing; server jobs; what jobs say; nothing is forgotten between two lives."""

import os
import socket

import msgspec
import pytest
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from jobctl.config.settings import ServiceSettings
from jobctl.controller.hot import HotMessage, HotMessages
from jobctl.controller.server_jobs import FIRST_PAUSE, LONGEST_PAUSE, ServerJobs
from jobctl.controller.tally import Tally
from jobctl.errors import ChannelViolation
from jobctl.jobprotocol.frames import Alive, Ask, Event, Sent, Submit
from jobctl.jobs.environment import CannotStart
from jobctl.mail.entry import Lasting, QueueEntry, StoredEntry
from jobctl.mail.envelope import Priority, Source
from tests.controller_case import ANN, CONFIGURATION, CONTENT, DISK_FULL, World, ids_of

SERVICES = (
    CONFIGURATION
    + """
[channel.pipe]
official_host_name = "pipe-daemon"
smtp = true
slave_command = "slave"
master_command = "master"
transport = "channel:in"
[dispatcher.service.SMTP]
listen = ["tcp:0:interface=127.0.0.1"]
channel = "in"
min_procs = 2
"""
)


@pytest.fixture
def world() -> World:
    return World()


def again(world: World, directory="/nonexistent") -> World:
    """The next life on the same disk."""
    world.store.memory.close()
    return World(directory, disk=world.store.memory.disk, clock=world.clock)


# Lives.


def test_the_queue_goes_on_after_a_restart(world):
    """What was accepted is handed out by the next life."""
    (id,) = world.accept()
    world = again(world)
    assert ids_of(world.job().assigned) == [id]


def test_the_retry_schedule_survives_a_restart(world):
    """A delayed message waits as long as it would have."""
    (id,) = world.accept()
    world.job().report(id, "deferred", "450 no")
    world.turn()
    due = world.stored(id).entry.due
    world = again(world)
    world.turn(due - world.clock.seconds() - 1)
    assert not world.supervisor.asked
    world.turn(2)
    (frame,) = world.job().assigned
    assert (frame.id, frame.attempt) == (id, 2)


def journals(tmp_path, **lines: str) -> str:
    sent = tmp_path / "sent"
    sent.mkdir()
    for name, text in lines.items():
        (sent / name).write_text(text)
    return str(tmp_path)


def test_what_a_crash_may_have_delivered_is_counted_and_marked(world, tmp_path):
    """Announced without a verdict: tried again, said in its history, and the journal is gone."""
    (id,) = world.accept()
    directory = journals(tmp_path, job1=f"{id} 1\nQ99 1\n")
    world = again(world, directory)
    assert world.controller.attempts.suspects == 1
    assert world.stored(id).suspect == 1 and world.history(id) == ["interrupted"]
    assert not os.listdir(tmp_path / "sent")
    assert ids_of(world.job().assigned) == [id]


def test_an_announcement_whose_verdict_is_known_is_none(world, tmp_path):
    """The attempt is counted already: nothing is suspected."""
    (id,) = world.accept()
    world.job().report(id, "deferred", "450 no")
    world.turn()
    world = again(world, journals(tmp_path, job1=f"{id} 1\n"))
    assert world.controller.attempts.suspects == 0


def test_of_several_announcements_the_last_counts(world, tmp_path):
    """One job had it twice; the second attempt was interrupted."""
    (id,) = world.accept()
    world.job().report(id, "deferred", "450 no")
    world.turn()
    lines = "".join(f"{id} {attempt}\n" for attempt in (1, 2))
    world = again(world, journals(tmp_path, job1=lines))
    assert world.controller.attempts.suspects == 1


def test_stopping_records_everything(world):
    """In order: no new work, jobs end, results reach the disk, the queue is let go."""
    one, two = world.accept() + world.accept()
    job = world.job()
    job.report(one, "relayed")
    world.close()
    assert job.stopped and world.supervisor.all_stopped
    disk = world.store.memory.disk
    assert not disk.busy and [stored.entry.id for stored in disk.entries.values()] == [two]
    assert job.journal.removed
    world.turn(100)


def test_stopping_waits_for_the_store(world):
    """A verdict whose original is still being read is recorded before the queue is let go."""
    (id,) = world.accept(content=CONTENT + b"x" * 100_000)
    job = world.job()
    world.store.slow = frozenset({"content", "settle"})
    job.report(id, "failed", "550 no")
    stopping = ensureDeferred(world.controller.stop())
    for _ in ("content", "settle"):
        assert not stopping.called and world.store.memory.disk.busy
        assert world.store.commit()
    assert stopping.called and not world.store.memory.disk.busy
    assert [stored.envelope.sender for stored in world.queued()] == [""]


def test_stopping_tries_once_more_what_could_not_be_recorded(world):
    """The disk works again by then."""
    (id,) = world.accept()
    job = world.job()
    world.store.broken["settle"] = DISK_FULL
    job.report(id, "relayed")
    job.end()
    world.store.broken.clear()
    world.close()
    assert not world.queued() and job.journal.removed


def test_stopping_with_a_dead_disk_ends(world):
    """What cannot be recorded is tried again by the next life, and counted: its journal stays."""
    (id,) = world.accept()
    job = world.job()
    world.store.broken["settle"] = DISK_FULL
    job.report(id, "relayed")
    world.close()
    assert not job.journal.removed
    assert world.store.memory.disk.entries


# The window on the queue.


def test_a_queue_that_cannot_be_read_is_read_later(world):
    """One failure does not end reading."""
    (id,) = world.accept()
    world.store.memory.close()
    world = World(disk=world.store.memory.disk, clock=world.clock, slow=frozenset({"window", "backlog"}))
    world.store.broken["window"] = DISK_FULL
    world.store.slow = frozenset()
    world.store.commit()
    world.turn(5)
    assert not world.supervisor.asked
    world.store.broken.clear()
    world.turn(20)
    assert ids_of(world.job().assigned) == [id]


def test_one_decision_that_fails_is_not_the_last(world, monkeypatch):
    """A bug in the schedule: it is asked again in a minute."""
    (id,) = world.accept()
    monkeypatch.setattr(world.scheduler, "plan", lambda now: 1 / 0)
    world.controller.dispatch.kick()
    world.turn()
    monkeypatch.undo()
    world.turn(61)
    assert ids_of(world.job().assigned) == [id]


def hot(number: int, octets: int, at: float = 0.0) -> HotMessage:
    entry = QueueEntry(f"Q{number}", "out", "h", Priority.NORMAL, octets, at, at)
    return HotMessage(StoredEntry(entry, 0, Lasting.QUEUED, ANN, Source("in")), b"x" * octets)


def test_hot_messages_have_a_limit():
    """The first are kept, they go out first; small ones count with what they take beside their content."""
    kept = HotMessages(limit=100_000)
    for number in range(3):
        kept.put(hot(number, 45_000))
    assert kept.get("Q0") is not None and kept.get("Q2") is None
    kept = HotMessages(limit=100_000)
    for number in range(1000):
        kept.put(hot(number, 10))
    assert kept.get("Q0") is not None and kept.get("Q100") is None
    kept.drop("Q0")
    kept.drop("Q0")
    assert kept.get("Q0") is None
    kept.put(hot(2000, 10))
    assert kept.get("Q2000") is not None


def test_what_waits_for_long_makes_place_for_fresh_mail():
    """Mail of a stopped channel does not keep all other mail from being at hand."""
    kept = HotMessages(limit=100_000)
    kept.put(hot(0, 45_000))
    kept.put(hot(1, 45_000, at=20.0))
    kept.put(hot(2, 45_000, at=40.0))
    assert [kept.get(f"Q{number}") is not None for number in range(3)] == [False, True, True]


def test_a_tally_of_jobs():
    """Zeros for one that has done nothing; forgotten with the job."""
    tally = Tally()
    tally.attempted("j", hot(1, 10).stored, [])
    assert (tally.of("j").processed, tally.of("j").failed) == (1, 1)
    tally.forget("j")
    assert tally.of("j").processed == 0


# What jobs say.


def test_frames_that_need_no_answer(world):
    """Heartbeats, events, announcements, credit for a message's content."""
    (id,) = world.accept()
    job = world.job(credit=1)
    other = world.accept()
    for frame in (Alive(progress=1), Event(event="opened"), Sent(id=id), Ask(n=3, id=id)):
        world.controller.handler.job_frame(job, frame, b"")
    world.turn()
    assert ids_of(job.assigned) == [id] and world.state(other[0]) == "ready"


def test_lines_of_a_job_are_offered_to_watchers(world):
    """For ``run`` and whoever else."""
    heard = []
    world.controller.handler.log_watchers.append(lambda job, line: heard.append(line))
    world.controller.handler.job_logged(world.slave(), "hello")
    assert heard == ["hello"]


def test_a_program_that_dies_before_its_first_work_leaves_a_trace():
    """Somebody's mail learns why nothing moves."""
    world = World()
    (id,) = world.accept("x@gate.example")
    (spec,) = world.supervisor.asked
    world.supervisor.asked.clear()
    job = world.supervisor.spawn(spec)
    job.end(127)
    world.turn()
    assert "127" in world.stored(id).last_reply and world.stored(id).entry.attempts == 0
    world.balance()


@pytest.mark.parametrize("end", [{"exit_status": 0}, {"signal": 15, "stopped": True}, {"exit_status": None}])
def test_ends_in_peace_blame_nobody(end):
    """Exit 0, stopped by us, left by hand: no message hears of it."""
    world = World()
    (id,) = world.accept("x@gate.example")
    (spec,) = world.supervisor.asked
    job = world.supervisor.spawn(spec)
    job.end(**end)
    world.turn()
    assert not world.stored(id).last_reply


def test_nobody_answers():
    """A destination that cannot be connected to: backed off, remembered, told to one message."""
    world = World()
    ids = world.accept("x@gate.example") + world.accept("y@gate.example")
    (spec,) = world.supervisor.asked
    world.supervisor.fail(spec, CannotStart("connection refused", temporary=True, status="4.4.1"))
    world.turn()
    assert [world.stored(id).last_reply for id in ids] == ["451 4.4.1 connection refused", ""]
    assert [b[:2] for b in world.do(world.store.host_backoffs())] == [("gate", "")]
    assert world.state(ids[1]) == "delayed"


def test_there_is_no_such_host():
    """Every message for it comes back to its sender."""
    world = World()
    ids = [world.accept("x@gate.example")[0] for _ in range(120)]
    (spec,) = world.supervisor.asked
    world.supervisor.fail(spec, CannotStart("no such host", temporary=False, status="5.1.2"))
    world.turn()
    assert not any(world.stored(id) for id in ids)
    assert [stored.envelope.sender for stored in world.queued()] == [""] * 120
    world.balance()


def test_there_is_no_such_program(world):
    """Our fault: no message suffers, it is tried again."""
    (id,) = world.accept()
    (spec,) = world.supervisor.asked
    world.supervisor.asked.clear()
    world.supervisor.fail(spec, CannotStart("program master was not found", temporary=False))
    world.turn()
    assert not world.stored(id).last_reply and not world.stored(id).entry.attempts
    for _ in range(100):
        world.turn(60)
    assert ids_of(world.job().assigned) == [id]


def test_what_cannot_be_read_is_told_later(world):
    """The store fails while mail should learn of its destination's failure: nothing is forgotten."""
    world = World()
    (id,) = world.accept("x@gate.example")
    (spec,) = world.supervisor.asked
    world.store.broken["fetch"] = DISK_FULL
    world.supervisor.fail(spec, CannotStart("no such host", temporary=False, status="5.1.2"))
    world.turn(10)
    assert world.stored(id) is not None and world.state(id) == "active"
    world.store.broken.clear()
    world.turn(100)
    assert world.stored(id) is None
    world.balance()


def test_a_bug_while_returning_holds_the_message(world, monkeypatch):
    """It is not tried for ever, and not lost."""
    (id,) = world.accept("x@gate.example")
    (spec,) = world.supervisor.asked
    monkeypatch.setattr(world.controller.verdicts, "tried", lambda *_, **__: 1 / 0)
    world.supervisor.fail(spec, CannotStart("no such host", temporary=False, status="5.1.2"))
    world.turn()
    assert world.stored(id).state is Lasting.HELD and world.state(id) is None


def test_a_journal_that_cannot_be_removed_is_no_trouble(world):
    """It stays for the next life to look at."""
    (id,) = world.accept()
    job = world.job()

    def refuse():
        raise PermissionError("no")

    job.journal.remove = refuse
    job.report(id, "relayed")
    job.end()
    world.turn()
    assert not world.queued()


def test_a_watcher_that_fails_does_not_keep_a_verdict(world):
    """Counting is not delivering."""
    (id,) = world.accept()
    world.controller.attempts.watchers.append(lambda *_: 1 / 0)
    world.job().report(id, "relayed")
    world.turn()
    assert not world.queued()


# Servers.


def test_server_jobs_share_the_sockets_and_are_replaced():
    """``min_procs`` of them; one that ends is replaced; stopping closes the port."""
    world = World(configuration=SERVICES)
    asked = world.supervisor.asked
    assert [(spec.role, len(spec.listen)) for spec in asked] == [("slave", 1)] * 2
    first = world.supervisor.spawn(asked[0]).hello(0)
    world.supervisor.spawn(asked[1]).hello(0)
    port = socket.socket(fileno=os.dup(first.spec.listen[0]))
    with port:
        first.worked = True
        asked.clear()
        first.end(signal=9)
        assert len(asked) == 1 and asked[0].listen == first.spec.listen
        with capturedLogs() as captured:
            world.supervisor.fail(asked.pop(), CannotStart("no program", temporary=False))
        assert "no program" in [event.get("why") for event in captured]
        assert not asked
        world.turn(FIRST_PAUSE)
        assert len(asked) == 1
        world.close()
    with pytest.raises(OSError):
        os.fstat(first.spec.listen[0])


def test_a_service_of_a_generic_channel():
    """A program for each connection; the port is the reactor's."""
    adopted = []

    class Port:
        stopped = False

        def stopListening(self):
            self.stopped = True

    clock = Clock()
    clock.advance(1_700_000_000)
    clock.adoptStreamPort = lambda fd, family, factory: adopted.append((Port(), factory)) or adopted[-1][0]
    world = World(configuration=SERVICES.replace('channel = "in"', 'channel = "pipe"'), clock=clock)
    ((port, factory),) = adopted
    spec = factory._make_spec()
    assert (spec.role, spec.channel.name, spec.service.name) == ("slave", "pipe", "SMTP")
    world.supervisor.fail(spec, CannotStart("no", temporary=True))
    world.close()
    assert port.stopped


def test_a_port_that_cannot_be_had():
    """The error names the endpoint, and what was opened can be closed again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        text = SERVICES.replace("tcp:0:", f"tcp:{taken.getsockname()[1]}:")
        with pytest.raises(OSError, match="cannot listen on tcp"):
            World(configuration=text)


def test_the_other_side_of_a_back_to_back_channel():
    """The slave of the channel named; one that cannot be is a start that failed, in words."""
    world = World(configuration=SERVICES)
    spec = world.controller.specs.peer("in")
    assert (spec.role, spec.channel.name) == ("slave", "in")
    with pytest.raises(CannotStart, match="not configured"):
        world.controller.specs.peer("nonsense")
    with pytest.raises(CannotStart, match="no slave program"):
        world.controller.specs.peer("out")
    world.close()


class Servers:
    """:class:`ServerJobs` with a start that only counts."""

    def __init__(self, count: int = 1) -> None:
        self.clock = Clock()
        self.started: list[str] = []
        service = ServiceSettings(name="SMTP", listen=("tcp:25",), channel="in", min_procs=count)
        self.retired: list[str] = []
        self.service = service
        self.jobs = ServerJobs(self.clock, service, (7,), self._start, self.retired.append)
        self.jobs.fill()

    def _start(self, jobs, service, listen) -> str:
        assert listen == (7,)
        self.started.append(f"j{len(self.started)}")
        return self.started[-1]


def test_servers_that_die_at_once_are_replaced_ever_more_slowly():
    """Up to a minute; one that worked puts an end to that."""
    servers = Servers()
    pause = FIRST_PAUSE
    for _ in range(10):
        count = len(servers.started)
        servers.jobs.ended(servers.started[-1], worked=False)
        servers.clock.advance(pause * 0.99)
        assert len(servers.started) == count
        servers.clock.advance(pause * 0.02)
        assert len(servers.started) == count + 1
        pause = min(pause * 2, LONGEST_PAUSE)
    servers.jobs.ended(servers.started[-1], worked=True)
    count = len(servers.started)
    servers.jobs.ended(servers.started[-1], worked=False)
    servers.clock.advance(FIRST_PAUSE)
    assert len(servers.started) == count + 1


def test_servers_that_die_together_are_throttled_once():
    """Two at a time, one pause."""
    servers = Servers(2)
    for job in servers.started[:]:
        servers.jobs.ended(job, worked=False)
    servers.jobs.ended("another", worked=False)
    servers.clock.advance(FIRST_PAUSE)
    assert len(servers.started) == 4
    servers.jobs.ended("j2", worked=False)
    servers.jobs.ended("j3", worked=True)
    assert len(servers.started) == 6
    servers.clock.advance(LONGEST_PAUSE)
    assert len(servers.started) == 6


def test_no_servers_after_the_stop():
    """Neither at once nor later."""
    servers = Servers(2)
    servers.jobs.ended("j0", worked=False)
    servers.jobs.stop()
    servers.jobs.ended("j1", worked=True)
    servers.jobs.fill()
    servers.clock.advance(LONGEST_PAUSE)
    assert len(servers.started) == 2


def test_former_servers_leave_as_new_ones_come():
    """In between both accept connections; one that was replaced before it had anybody goes at once."""
    servers = Servers(2)
    servers.jobs.greeted("j0")
    servers.jobs.replace()
    assert servers.started == ["j0", "j1", "j2", "j3"] and servers.retired == ["j1"]
    servers.jobs.greeted("j1")
    servers.jobs.greeted("j2")
    assert servers.retired == ["j1", "j1", "j0"], "told again, for it may not have been there to be told"
    servers.jobs.greeted("j3")
    servers.jobs.ended("j0", worked=True)
    servers.jobs.ended("j1", worked=True)
    assert len(servers.started) == 4


def test_another_number_of_servers():
    """More are started, those too many leave; nobody else is touched."""
    servers = Servers(2)
    servers.jobs.resize(msgspec.structs.replace(servers.service, min_procs=3))
    assert servers.started == ["j0", "j1", "j2"] and not servers.retired
    servers.jobs.resize(msgspec.structs.replace(servers.service, min_procs=1))
    assert servers.retired == ["j1", "j2"]
    servers.jobs.close()
    assert servers.retired[2:] == ["j0"]


def test_a_server_that_greets_and_dies_is_no_success():
    """It is throttled; one that had lived for a while is replaced at once."""
    world = World(configuration=SERVICES)
    asked = world.supervisor.asked
    one, two = (world.supervisor.spawn(spec).hello(0) for spec in asked[:])
    asked.clear()
    one.end(1)
    assert not asked
    world.turn(FIRST_PAUSE)
    assert len(asked) == 1
    asked.clear()
    world.turn(100)
    two.end(1)
    assert len(asked) == 1
    world.close()


def test_a_violation_found_late_is_one(world):
    """What only the controller can judge ends the job as well."""
    with pytest.raises(ChannelViolation):
        world.controller.handler.job_frame(world.slave(), Submit(id="x"), b"")
