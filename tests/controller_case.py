"""The real controller on a set clock, a store in memory that waits or fails when told, and jobs without programs."""

from collections.abc import Callable, Iterable
from itertools import count
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, fail, succeed
from twisted.internet.task import Clock

from jobctl.config.loader import load_text
from jobctl.control.operations import Caller
from jobctl.control.requests import Reload
from jobctl.controller.controller import Controller
from jobctl.controller.reloads import Outcome
from jobctl.errors import StoreError
from jobctl.jobprotocol.frames import Accepted, Ask, HelloProgram, Message, Refused, Report, Sent, Submit
from jobctl.jobs.assignment import Assignment
from jobctl.jobs.environment import CannotStart
from jobctl.jobs.spec import Ended, JobSpec, SupervisorSettings
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.entry import Settlement, StoredEntry
from jobctl.mail.envelope import Envelope, Recipient, Source
from jobctl.store.memory import MemoryDisk, MemoryStore

START = 1_700_000_000.0
# A number for each controller: names of jobs differ between lives.
LIVES = count()
CALLER = Caller(uid=1000, pid=1, name="ann", rights=frozenset({"read", "change"}))
CONFIGURATION = """
[job_controller]
queue_directory = "@DIRECTORY@"
[channel.l]
official_host_name = "mail.example.org"
[channel.in]
official_host_name = "in-daemon"
smtp = true
slave_command = "slave"
[channel.out]
official_host_name = "out-daemon"
smtp = true
master_command = "master"
backoff = ["PT10M"]
notices = [1, 4]
[channel.gate]
official_host_name = "gate-daemon"
smtp = true
master_command = "master"
daemon = "gate.example"
transport = "tcp"
[rewrite]
"gate.example" = "gate"
".example" = "out"
"""
ANN = Envelope("ann@a.example", (Recipient("bob@b.example"),))
CONTENT = b"Subject: s\r\n\r\nhello\r\n"
CHANGES = frozenset({"enqueue", "settle", "set_stopped", "set_host_backoff", "remember"})
READS = frozenset(
    {
        *("fetch", "fetch_whole", "content", "window", "backlog", "directory", "late", "scan"),
        *(
            "summarize",
            "channels",
            "count_arrived",
            "history",
            "stopped",
            "host_backoffs",
            "inspect",
            "remembered",
        ),
    }
)


class Store:
    """
    A :class:`MemoryStore` behind a curtain.

    :ivar slow: Operations whose answers wait for :meth:`commit`; they are done then, in order.
    :ivar broken: Operations that fail, and with what.
    :ivar poison: Tells of settlements that can never be stored.
    :ivar calls: What was asked for.
    """

    def __init__(self, clock: Clock, disk: MemoryDisk | None = None) -> None:
        self.memory = MemoryStore(clock.seconds, disk)
        self.slow: frozenset[str] = frozenset()
        self.broken: dict[str, Exception] = {}
        self.poison: Callable[[Settlement], bool] = lambda settlement: False
        self.calls: list[str] = []
        self.waiting: list[tuple[str, tuple[Any, ...], dict[str, Any], Deferred[Any]]] = []

    def __getattr__(self, name: str) -> Any:
        real = getattr(self.memory, name)
        if name not in CHANGES | READS:
            return real

        def call(*arguments: Any, **more: Any) -> Deferred[Any]:
            self.calls.append(name)
            if name not in self.slow:
                return self._do(name, arguments, more)
            done: Deferred[Any] = Deferred()
            self.waiting.append((name, arguments, more, done))
            return done

        return call

    def stage(self) -> Any:
        if "stage" in self.broken:
            raise self.broken["stage"]
        return self.memory.stage()

    def _do(self, name: str, arguments: Any, more: Any) -> Deferred[Any]:
        why = self.broken.get(name)
        if name == "settle" and self.poison(arguments[0]):
            why = StoreError("it cannot be stored: what it says")
        return getattr(self.memory, name)(*arguments, **more) if why is None else fail(why)

    def commit(self, most: int = 1_000_000) -> int:
        """Do what waits (the first ``most``); gives how many that were."""
        now, self.waiting = self.waiting[:most], self.waiting[most:]
        for name, arguments, more, done in now:
            self._do(name, arguments, more).chainDeferred(done)
        return len(now)


class Journal:
    """Whether a job's journal was removed."""

    def __init__(self) -> None:
        self.removed = False

    def remove(self) -> None:
        self.removed = True


class FakeJob:
    """A job without a program: what it is told is kept, what it says is said by the test."""

    def __init__(self, world: "World", spec: JobSpec) -> None:
        self.id = spec.id
        self.spec = spec
        self.pid = 4711
        self.started = world.clock.seconds()
        self.held: dict[str, Assignment] = {}
        self.journal = Journal() if spec.role == "master" else None
        self.sent: list[Any] = []
        self.assigned: list[Message] = []
        self.contents: dict[str, bytes] = {}
        self.stopped = False
        self.worked = False
        self._world = world
        self._handler = world.controller.handler

    def assign(self, frame: Message, content: Any) -> None:
        if frame.id in self.held:
            raise ValueError(f"job {self.id} holds {frame.id} already")
        if not isinstance(content, bytes):
            pieces = iter(lambda: content.read(65536), b"")
            whole = b"".join(pieces)
            content.close()
            content = whole
        self._world.on_assign(self, frame)
        self.held[frame.id] = Assignment(frame)
        self.assigned.append(frame)
        self.contents[frame.id] = content

    def send(self, frame: Any, content: bytes = b"") -> None:
        self.sent.append(frame)

    def stop(self, patience: float | None = None) -> None:
        self.stopped = True

    def retire(self) -> None:
        self.stopped = True

    @property
    def leaving(self) -> bool:
        return self.stopped

    def announced(self, id: str) -> bool:
        return self.held[id].sent

    # What the test has it do.

    def hello(self, credit: int = 100, connections: int = 10) -> "FakeJob":
        self.says(HelloProgram(version=1, name="program", connections=connections))
        if credit:
            self.says(Ask(n=credit))
        return self

    def says(self, frame: Any, content: bytes = b"") -> None:
        """As :class:`jobctl.jobs.conversation.Conversation` has it."""
        if isinstance(frame, Report):
            self.worked = True
            whole = self.held[frame.id].report(frame)
            if whole is None:
                return
            del self.held[frame.id]
            frame = whole
        elif isinstance(frame, Submit):
            self.worked = True
        elif isinstance(frame, Sent):
            self.held[frame.id].sent = True
        self._handler.job_frame(self, frame, content)
        self._handler.job_batch_done(self)

    def report(self, id: str, verdict: str = "relayed", reply: str = "", **more: Any) -> None:
        self.says(Report(id=id, verdict=Verdict(verdict), reply=reply, **more))

    def results(self, id: str, scope: str = "recipient", **verdicts: str) -> None:
        """Verdicts by local part."""
        addresses = {r.split("@")[0]: r for r in self.held[id].recipients}
        results = tuple(
            Disposition(
                addresses[local], Verdict(verdict), reply="550 5.1.1 no" if verdict == "failed" else ""
            )
            for local, verdict in verdicts.items()
        )
        self.says(Report(id=id, results=results, scope=scope))

    def end(
        self, exit_status: int | None = 0, signal: int | None = None, stopped: bool | None = None
    ) -> None:
        self._world.supervisor.jobs.pop(self.id, None)
        how = Ended(
            exit_status=None if signal else exit_status,
            signal=signal,
            greeted=True,
            worked=self.worked,
            text=f"was killed by signal {signal}" if signal else f"exited with status {exit_status}",
            stopped=self.stopped if stopped is None else stopped,
        )
        self._handler.job_ended(self, how)


class FakeSupervisor:
    """Starts nothing: :ivar asked: what was to be started."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.asked: list[JobSpec] = []
        self.jobs: dict[str, FakeJob] = {}
        self.all_stopped = False

    def reconfigure(self, settings: SupervisorSettings, resolver: Any) -> None:
        self.settings = settings

    def start(self, spec: JobSpec) -> None:
        self.asked.append(spec)

    def attach(self, spec: JobSpec, transport: Any, pid: int | None = None) -> FakeJob:
        return self.spawn(spec)

    def spawn(self, spec: JobSpec) -> FakeJob:
        job = self.jobs[spec.id] = FakeJob(self._world, spec)
        self._world.controller.handler.job_spawned(job)
        return job

    def fail(self, spec: JobSpec, why: CannotStart) -> None:
        self._world.controller.handler.start_failed(spec, why)

    def stop_all(self, timeout: float | None = None) -> Deferred[None]:
        self.all_stopped = True
        for job in list(self.jobs.values()):
            job.stopped = True
            job.end()
        return succeed(None)


class Terminal:
    """An IStream that remembers."""

    def __init__(self) -> None:
        self.cancelled = False
        self.items: list[Any] = []
        self.lines: list[str] = []
        self.progressed: list[Any] = []
        self.octets = b""
        self._waiting: list[Deferred[None]] = []

    def send(self, *items: Any) -> None:
        self.items += items

    def line(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, value: Any) -> None:
        self.progressed.append(value)

    def content(self, data: bytes) -> None:
        self.octets += data

    def when_cancelled(self) -> Deferred[None]:
        self._waiting.append(Deferred())
        return self._waiting[-1]

    def cancel(self) -> None:
        self.cancelled = True
        for waiting in self._waiting:
            waiting.callback(None)


class World:
    """
    One controller at work.

    :param disk: Of a former life.
    :param clock: Of a former life; what that had planned does not happen any more.
    :param slow: As :class:`Store` has it.
    :param random: The controller's; lives of one disk must not have the same numbers.
    :ivar on_assign: Called before a job gets a message.
    """

    def __init__(
        self,
        directory: Any = "/nonexistent",
        configuration: str = CONFIGURATION,
        disk: MemoryDisk | None = None,
        clock: Clock | None = None,
        slow: frozenset[str] = frozenset(),
        random: Random | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.on_assign: Callable[[FakeJob, Message], None] = lambda job, frame: None
        if clock is None:
            self.clock.advance(START)
        # A copy: the clock gives its own list, out of which each call takes itself.
        for call in list(self.clock.getDelayedCalls()):
            call.cancel()
        self.directory = str(directory)
        text = configuration.replace("@DIRECTORY@", self.directory)
        self.settings = load_text(text, "jobctl.toml", exists=lambda path: True)
        self.store = Store(self.clock, disk)
        self.store.slow = slow
        self.controller = Controller(
            self.clock, self.settings, store=self.store, random=random or Random(next(LIVES))
        )
        self.supervisor = FakeSupervisor(self)
        self.controller.supervisor = self.supervisor  # type: ignore[assignment]
        self.scheduler = self.controller.scheduler
        self.controller.listen()
        self.controller.take()
        self.do(self.controller.start())
        self.controller.serve()
        self.turn()

    def do(self, coroutine: Any) -> Any:
        """What a coroutine or Deferred that waits for nothing gives."""
        found: list[Any] = []
        done = coroutine if isinstance(coroutine, Deferred) else ensureDeferred(coroutine)
        done.addBoth(found.append)
        assert found, "it still waits"
        if hasattr(found[0], "raiseException"):
            found[0].raiseException()
        return found[0]

    def turn(self, seconds: float = 0) -> None:
        """Let time pass, and the reactor do all that is due."""
        self.clock.advance(seconds)
        for _ in range(100):
            if not any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()):
                return
            self.clock.advance(0)
        raise AssertionError("the reactor spins")

    def accept(
        self, *recipients: str, content: Any = CONTENT, sender: str = "ann@a.example", **more: Any
    ) -> list[str]:
        """Queue a message."""
        envelope = Envelope(sender, tuple(Recipient(one) for one in recipients or ("bob@b.example",)))
        size = len(content) if isinstance(content, bytes) else content.size
        ids: list[str] = self.do(self.controller.intake.accept(envelope, Source("in"), content, size, **more))
        self.turn()
        return ids

    def job(self, credit: int = 100, connections: int = 10, run: bool = False) -> FakeJob:
        """The master job that the schedule asked for (for a run), working."""
        self.turn()
        masters = [spec for spec in self.supervisor.asked if spec.role == "master"]
        spec = next(spec for spec in masters if run == (spec.run is not None))
        self.supervisor.asked.remove(spec)
        job = self.supervisor.spawn(spec).hello(credit, connections)
        self.turn()
        return job

    def slave(self, channel: str = "in") -> FakeJob:
        """A slave job by hand."""
        spec = JobSpec(
            id=f"{channel}.s{len(self.supervisor.jobs)}",
            channel=self.settings.channels[channel],
            role="slave",
            argv=("slave",),
        )
        return self.supervisor.spawn(spec).hello(0)

    def close(self) -> None:
        """Stop it in order."""
        self.do(self.controller.stop())

    def stored(self, id: str) -> StoredEntry | None:
        """What the disk has of an entry."""
        found = self.do(self.store.memory.fetch([id]))
        return found[0] if found else None

    def queued(self) -> list[StoredEntry]:
        """All that the disk has."""
        return list(self.store.memory.disk.entries.values())

    def history(self, id: str) -> list[str]:
        return [line.what for line in self.do(self.store.memory.history(id))]

    def state(self, id: str) -> str | None:
        return self.scheduler.state(id, self.clock.seconds())

    def answers(self, job: FakeJob) -> list[Accepted | Refused]:
        return [frame for frame in job.sent if isinstance(frame, Accepted | Refused)]

    def reload(self, configuration: str, dry_run: bool = False) -> Outcome:
        """The file is another now, and the operator says so."""
        text = configuration.replace("@DIRECTORY@", self.directory)
        self.controller.reloads.read = lambda: load_text(text, "jobctl.toml", exists=lambda path: True)
        outcome: Outcome = self.do(self.operate("reload", Reload(dry_run=dry_run)))
        self.turn()
        return outcome

    def operate(self, operation: str, request: Any, stream: Any = None) -> Any:
        """What the control socket would call."""
        method: Callable[..., Any] = getattr(self.controller.operations, operation)
        return method(request, CALLER, stream)

    def balance(self) -> None:
        """The ledger's two sides are equal, in every channel."""
        for channel, account in self.do(self.store.memory.ledger()).items():
            came = account["accepted"] + account["generated"]
            assert came == sum(
                count for name, count in account.items() if name not in ("accepted", "generated")
            ), (channel, account)


def ids_of(frames: Iterable[Message]) -> list[str]:
    return [frame.id for frame in frames]


DISK_FULL = StoreError("the disk is gone")
