"""The message store on SQLite; docs/store.md tells what lies on the disk and how it recovers."""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import msgspec
from twisted.internet.defer import Deferred, fail, gatherResults, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from jobctl.accounts.history import Search
from jobctl.errors import StoreError, StoreFull
from jobctl.interfaces import IMessageStore
from jobctl.mail.entry import Finished, QueueEntry, Settlement, StoredEntry, Submission
from jobctl.mail.envelope import Priority
from jobctl.mail.share import NONE, share_of
from jobctl.store import reading, schema
from jobctl.store.acts import OperatorRecords
from jobctl.store.content import ContentFiles, StagedContent
from jobctl.store.contents import Contents
from jobctl.store.disk import Disk
from jobctl.store.finished import finished
from jobctl.store.health import Health, from_os
from jobctl.store.listing import Listing
from jobctl.store.lock import QueueLock
from jobctl.store.operations import (
    Enqueue,
    Move,
    Operation,
    Reprioritize,
    SetAside,
    Settle,
    Swept,
)
from jobctl.store.readers import Read, reading_with, seen
from jobctl.store.records import INLINE
from jobctl.store.recovery import open_database, recover
from jobctl.store.set_aside import SetAsideRecords
from jobctl.store.space import Space
from jobctl.store.standing import StandingRecords
from jobctl.store.worker import Outcome, Worker
from jobctl.store.writer import Writer

log = Logger()
T = TypeVar("T")

# Seconds that settlements wait for others, and how many are enough for a commit of their own.
_PATIENCE = 0.003
_ENOUGH = 100


@implementer(IMessageStore)
class SQLiteStore(Listing, OperatorRecords, StandingRecords, Contents, SetAsideRecords):
    """
    One queue directory, owned by one process.

    Threads: a writer; one that syncs large content before the writer sees it, so that it
    never delays small mail; and readers for deliveries, for the schedule, for lists and for accounts,
    so that none of these waits for another.

    :param reactor: Its ``callFromThread``, ``callLater`` and ``seconds`` are used.
    :param free_space: Octets that must stay free on the disk for mail to be accepted.
    :param clock: Epoch seconds.
    :param retention: As :meth:`keep_finished` has it.
    """

    def __init__(
        self,
        reactor: Any,
        directory: str,
        free_space: int = 64 * 1024 * 1024,
        clock: Callable[[], float] | None = None,
        disk: Disk | None = None,
        retention: float = 0.0,
    ) -> None:
        self._reactor = reactor
        self._directory = directory
        self._path = os.path.join(directory, "queue.db")
        self._clock = clock or reactor.seconds
        self._free_space = free_space
        self._retention = retention
        self._share_by = NONE
        self._disk = disk or Disk()
        self._lock = QueueLock(os.path.join(directory, "lock"))
        self._gathered: list[Operation] = []
        self._handing_over: Any = None
        self._patient = False
        self._open = False

    def open(self) -> None:
        """
        Take possession, make or migrate the schema, clear what a crash left.

        :raises StoreBusy: Another process has it.
        :raises StoreError: Cannot be read, or is from a newer release.
        """
        try:
            self._disk.make_whole_path(self._directory)
        except OSError as why:
            raise StoreError(f"cannot make the queue directory {self._directory}: {why.strerror}") from why
        self._lock.take()
        try:
            self._start()
        except BaseException:
            self._lock.release()
            raise
        self._open = True

    def _start(self) -> None:
        self._health = Health()
        self._files = ContentFiles(self._directory, self._free_space, self._disk, self._health)
        try:
            self._files.prepare()
            connection = self._open_database()
            self._space = space = Space(self._directory, self._free_space, self._clock, self._disk)
            recover(connection, self._files)
            readers = [schema.connect_reader(self._path, self._disk) for _ in range(4)]
            writer = Writer(
                connection,
                self._files,
                space,
                self._health,
                self._lock,
                self._clock,
                self._sweep,
                self._retention,
            )
        except OSError as why:
            raise from_os(why) from why
        except sqlite3.Error as why:
            raise self._health.from_sqlite(why) or StoreError(f"cannot open {self._path}: {why}") from why
        reactor = self._reactor
        self._committing = writer
        self._writer: Worker[Operation] = Worker("writer", reactor, writer.perform, writer.idle, writer.close)
        self._filer: Worker[Operation] = Worker("filer", reactor, self._keep)
        self._deliveries, self._schedule, self._lists, self._accounts = (
            Worker(name, reactor, reading_with(connection), finish=connection.close)
            for name, connection in zip(("deliveries", "schedule", "lists", "accounts"), readers, strict=True)
        )

    def _open_database(self) -> sqlite3.Connection:
        """On a full disk even opening takes some room: then the reserve is given up for it."""
        try:
            return open_database(self._path, self._disk)
        except StoreFull:
            self._disk.remove(os.path.join(self._directory, "reserve"))
            return open_database(self._path, self._disk)

    def keep_free(self, octets: int) -> None:
        """So much must stay free on the disk for mail to be accepted, from now on."""
        self._free_space = octets
        if self._open:
            # Read in other threads, each time as one number.
            self._space.free_space = self._files.free_space = octets

    def close(self) -> "Deferred[None]":
        """Commit what is waiting and let go."""
        if not self._open:
            return succeed(None)
        self._open = False
        if self._handing_over is not None:
            self._handing_over.cancel()
            self._hand_over()
        # The filer's content goes to the writer; garbage that comes of it is left for the next start.
        stopping: Deferred[Any] = gatherResults(
            [
                worker.stop()
                for worker in (self._filer, self._deliveries, self._schedule, self._lists, self._accounts)
            ]
        )
        stopping.addCallback(lambda _: self._writer.stop())
        stopping.addCallback(lambda _: self._lock.release())
        return stopping

    def stage(self) -> StagedContent:
        """
        Begin content that comes in pieces.

        :raises StoreError: The store is not open.
        """
        if not self._open:
            raise StoreError("the store is not open")
        return StagedContent(self._files)

    def enqueue(self, submission: Submission) -> "Deferred[list[str]]":
        """Take responsibility for a message; the ids of its entries once that is durable."""
        content = submission.content
        if type(content) is not bytes:
            if not isinstance(content, StagedContent) or not content.usable:
                return fail(StoreError("the content was discarded or enqueued before"))
            whole = content.whole()
            if whole is not None:
                content = whole
                submission = msgspec.structs.replace(submission, content=whole)
        if type(content) is bytes and len(content) <= INLINE:
            return self._submit(Enqueue(submission))
        if not self._open:
            return fail(StoreError("the store is not open"))
        operation = Enqueue(submission)
        self._filer.put([operation])
        return operation.done

    def settle(self, settlement: Settlement) -> "Deferred[list[list[str]]]":
        """Apply what an attempt or an operator did to one entry."""
        return self._submit(Settle(settlement, 0.0 if settlement.state is None else self._clock()))

    def move(self, id: str, channel: str, host: str) -> "Deferred[bool]":
        """Put an entry into another channel's queue; ``False``: it is gone."""
        return self._submit(Move(id, channel, host))

    def set_priority(self, id: str, priority: Priority) -> "Deferred[bool]":
        """``False``: it is gone."""
        return self._submit(Reprioritize(id, int(priority)))

    def fetch(self, ids: Iterable[str]) -> "Deferred[list[StoredEntry]]":
        """Those still there, in any order."""
        wanted = list(ids)
        return self._find(self._deliveries, lambda connection: reading.fetch(connection, wanted))

    def fetch_whole(self, ids: Iterable[str]) -> "Deferred[list[tuple[StoredEntry, bytes | None]]]":
        """Those still there, each with its content when that lies in the database and is sound."""
        wanted = list(ids)

        def look(connection: sqlite3.Connection) -> reading.Found[tuple[StoredEntry, bytes | None]]:
            entries, damaged = reading.fetch(connection, wanted)
            contents = reading.inline_contents(connection, {entry.message for entry in entries})
            return [(entry, contents.get(entry.message)) for entry in entries], damaged

        return self._find(self._deliveries, look)

    def window(
        self, after: tuple[float, str] | None, limit: int, skip: Iterable[tuple[str, str]]
    ) -> "Deferred[list[QueueEntry]]":
        """Queued entries in order of due time, beyond ``after``."""
        pairs = list(skip)
        by = self._share_by
        return self._find(
            self._schedule, lambda connection: reading.window(connection, after, limit, pairs, by)
        )

    def backlog(
        self, channel: str, host: str | None, after: tuple[float, str] | None, limit: int
    ) -> "Deferred[list[QueueEntry]]":
        """As :meth:`window`, of one channel and host (``None``: the whole channel)."""
        by = self._share_by
        return self._find(
            self._schedule, lambda connection: reading.backlog(connection, channel, host, after, limit, by)
        )

    def late(self, before: float, limit: int) -> "Deferred[list[StoredEntry]]":
        """Queued entries whose deadline has passed."""
        return self._find(self._schedule, lambda connection: reading.late(connection, before, limit))

    def channels(self) -> "Deferred[list[str]]":
        """Names of the channels that have entries."""
        return self._ask(self._schedule, reading.channels)

    def ledger(self, counted: bool = True) -> "Deferred[dict[str, dict[str, int]]]":
        """Recipients by channel and how they came and went."""
        return self._ask(self._accounts, lambda connection: reading.ledger(connection, counted))

    def share_by(self, kind: str) -> None:
        """How entries that are read from now on have their share."""
        self._share_by = kind

    def keep_finished(self, seconds: float) -> None:
        """For how long finished recipients are remembered from now on; 0: not at all."""
        self._retention = seconds
        if self._open:
            self._committing.retention = seconds

    def finished(self, search: Search, after: int, limit: int) -> "Deferred[tuple[list[Finished], int]]":
        """Finished recipients in the order they left, and where to go on."""
        return self._ask(self._accounts, lambda connection: finished(connection, search, after, limit))

    def inspect(self, id: str) -> "Deferred[reading.Inspected | None]":
        """All that is known of one entry."""
        found: Deferred[list[reading.Inspected]] = self._find(
            self._deliveries, lambda connection: reading.inspect(connection, id)
        )
        return found.addCallback(lambda looks: looks[0] if looks else None)

    def _submit(self, operation: Operation) -> "Deferred[Any]":
        """
        Have the writer do it with all else that comes in this turn of the reactor.

        Waking the writer at the first operation of a turn would make it commit that one alone,
        and the two threads fight for the interpreter while the rest of the turn is done.
        """
        if not self._open:
            return fail(StoreError("the store is not open"))
        self._gathered.append(operation)
        # Nobody waits for the result of a delivery to be on the disk, as a client waits for its 250: alone it
        # waits a little for mail that comes in, to share its sync.
        patient = type(operation) is Settle and len(self._gathered) < _ENOUGH
        if self._handing_over is None:
            self._patient = patient
            self._handing_over = self._reactor.callLater(_PATIENCE if patient else 0, self._hand_over)
        elif self._patient and not patient:
            self._patient = False
            self._handing_over.reset(0)
        return operation.done

    def _hand_over(self) -> None:
        self._handing_over = None
        gathered, self._gathered = self._gathered, []
        self._writer.put(gathered)

    def _ask(self, reader: "Worker[Read]", query: Callable[[sqlite3.Connection], T]) -> "Deferred[T]":
        if not self._open:
            return fail(StoreError("the store is not open"))
        read = Read(query)
        reader.put([read])
        return read.done

    def _find(
        self, reader: "Worker[Read]", query: Callable[[sqlite3.Connection], reading.Found[T]]
    ) -> "Deferred[list[T]]":
        """As :meth:`_ask`, setting aside what the query found damaged."""

        def found(result: reading.Found[T]) -> list[T]:
            entries, damaged = result
            if damaged:
                self._submit(SetAside(damaged)).addErrback(seen)
            for entry in entries:
                if isinstance(entry, StoredEntry):
                    entry.entry.share = share_of(self._share_by, entry.envelope, entry.source)
            return entries

        return self._ask(reader, query).addCallback(found)

    def _keep(self, tasks: list[Operation]) -> Iterator[list[Outcome]]:
        """The filer's work: large content made durable before the writer sees it, old files removed."""
        for task in tasks:
            try:
                if isinstance(task, Swept):
                    task.files = [name for name in task.files if self._files.forget(name)]
                elif isinstance(task, Enqueue):
                    task.kept[0] = self._files.keep(task.submission.content)  # type: ignore[arg-type]
            except StoreError as why:
                yield [(task.done, Failure(why))]
            else:
                self._writer.put([task])

    def _sweep(self, names: list[str]) -> None:
        swept = Swept(names)
        swept.done.addErrback(seen)
        self._filer.put([swept])
