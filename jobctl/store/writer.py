"""The one that changes the database: batches of operations, and what happens when one cannot be committed."""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from twisted.logger import Logger
from twisted.python.failure import Failure

from jobctl.errors import StoreError, StoreFull
from jobctl.store import reading
from jobctl.store.changes import forget_finished
from jobctl.store.content import ContentFiles
from jobctl.store.damage import set_aside
from jobctl.store.health import Health
from jobctl.store.lock import QueueLock
from jobctl.store.operations import Enqueue, Operation, SetAside
from jobctl.store.planner import Planner
from jobctl.store.records import INLINE
from jobctl.store.space import Space
from jobctl.store.worker import Outcome

log = Logger()

# Most operations and octets of content in one commit: more would only make the first wait.
_MOST = 500
_OCTETS = 4 * 1024 * 1024
# The log is copied into the database when it has grown by so much, or when nothing is to be done.
_CHECKPOINT = 16 * 1024 * 1024
# Octets of free pages that the database keeps when nothing is to be done, and when the disk is short of room;
# pages that are moved at a time to free more.
_KEPT_FREE = 64 * 1024 * 1024
_KEPT_WHEN_SHORT = 4 * 1024 * 1024
_MOVED = 1024
# Finished recipients forgotten at a time when nothing is to be done.
_FORGOTTEN = 2000


class Writer:
    """
    Commits operations in their order, many at a time; all of it runs in the writer's thread.

    One member of a batch never spoils it for the others: what cannot be encoded fails
    alone, and when the whole statement fails the members are tried one by one.

    :param sweep: Given names of content files that no row names any more.
    :ivar retention: Seconds for which finished recipients are remembered; may be set from any thread.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        files: ContentFiles,
        space: Space,
        health: Health,
        lock: QueueLock,
        clock: Callable[[], float],
        sweep: Callable[[list[str]], None],
        retention: float = 0.0,
    ) -> None:
        self._connection = connection
        self._planner = Planner(connection, files)
        self._files = files
        self._space = space
        self._health = health
        self._lock = lock
        self._clock = clock
        self._sweep = sweep
        self.retention = retention
        self._logged = 0
        # Handed over and not gone yet; what cannot be removed is left for the next start.
        self._sweeping: set[str] = set()

    def perform(self, operations: list[Operation]) -> Iterator[list[Outcome]]:
        """Commit all of it, in as many commits as it takes; yields after each."""
        for batch in _batches(operations):
            yield self._finish(self._commit(batch))
            if self._logged > _CHECKPOINT:
                self.checkpoint()

    def checkpoint(self) -> None:
        """Copy the log into the database; also done when there is nothing else to do."""
        if not self._logged or self._health.broken:
            return
        logged, self._logged = self._logged, 0
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as why:
            # The log still has it all, and the next checkpoint writes all of it again: no sync is
            # repeated on pages that were lost.  But the disk is not to be trusted with more.
            self._logged = min(logged, _CHECKPOINT // 2)
            log.error("store: the checkpoint failed: {why}", why=str(why))
            if getattr(why, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_FSYNC:
                self._health.refuse(f"a sync of the database failed ({why})")

    def idle(self) -> bool:
        """Copy the log, and give room back to the disk; ``True`` while there is more to do."""
        self.checkpoint()
        return self._forget_finished() or self._shrink(_KEPT_FREE)

    def _forget_finished(self) -> bool:
        """Some finished recipients whose time is over; ``True``: there may be more."""
        if self._health.broken:
            return False
        try:
            gone = forget_finished(self._connection, self._clock() - self.retention, _FORGOTTEN)
        except sqlite3.Error as why:
            log.error("store: old records of finished messages cannot be removed: {why}", why=str(why))
            return False
        self._logged += gone * 512
        return gone == _FORGOTTEN

    def _shrink(self, keep: int) -> bool:
        """Move some pages from the end of the database into free ones; the next checkpoint cuts it."""
        if self._health.broken:
            return False
        try:
            free = reading.reusable(self._connection)
            if free <= keep:
                return False
            # A script, because it is stepped for each page, and a script gives the interpreter away once.
            self._connection.executescript(f"PRAGMA incremental_vacuum({_MOVED})")
            self._logged += _MOVED * 4096
            return reading.reusable(self._connection) < free
        except sqlite3.Error as why:
            log.error("store: the database could not be made smaller: {why}", why=str(why))
            return False

    def close(self) -> None:
        """The last commit is done."""
        if not self._health.broken:
            try:
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.Error as why:
                log.error("store: the checkpoint at the end failed: {why}", why=str(why))
        self._connection.close()

    def _finish(self, results: list[tuple[Operation, Any]]) -> list[Outcome]:
        outcomes = []
        for operation, value in results:
            if operation.kept and isinstance(value, Failure):
                for name, _ in operation.kept.values():
                    self._files.forget(name)
            outcomes.append((operation.done, value))
        return outcomes

    def _commit(self, batch: list[Operation]) -> list[tuple[Operation, Any]]:
        """Each operation with its result or Failure, in order, decided for good."""
        if self._health.broken:
            return _failed(batch, StoreError(self._health.broken))
        refused: list[tuple[Operation, Any]] = []
        why = self._refusal()
        if why is not None:
            refused = _failed([operation for operation in batch if type(operation) is Enqueue], why)
            batch = [operation for operation in batch if type(operation) is not Enqueue]
        if self._health.broken:
            return refused + _failed(batch, StoreError(self._health.broken))
        if not batch:
            return refused
        try:
            return refused + self._attempt(batch, self.retention)
        except StoreFull as full:
            return refused + self._when_full(batch, full)
        except StoreError as error:
            return refused + _failed(batch, error)
        except sqlite3.Error as error:
            if len(batch) == 1:
                return refused + _failed(batch, StoreError(f"it cannot be stored: {error}"))
            log.error("store: a commit failed; its members are tried one by one: {why}", why=str(error))
            return refused + [result for operation in batch for result in self._commit([operation])]

    def _refusal(self) -> StoreError | None:
        """Why nothing is accepted now."""
        if self._health.refusing:
            return StoreError(self._health.refusing)
        why = self._space.refusal()
        if self._space.looked_now:
            if not self._lock.held():
                self._health.fail("the queue directory was replaced by another")
            elif why and self._shrink(_KEPT_WHEN_SHORT):
                self.checkpoint()
        return StoreFull(why) if why else None

    def _when_full(self, batch: list[Operation], full: StoreFull) -> list[tuple[Operation, Any]]:
        """Nothing new is taken; what is there may leave, with the reserve's room."""
        results = _failed([operation for operation in batch if type(operation) is Enqueue], full)
        others = [operation for operation in batch if type(operation) is not Enqueue]
        given_up = self._space.give_up_reserve()
        # Once copied into the database, which may grow into the reserve, the log begins anew.
        self.checkpoint()
        if others and (results or given_up or self.retention):
            try:
                # What became of them is remembered where there is room: their leaving is what matters.
                return results + self._attempt(others, 0.0)
            except (StoreError, sqlite3.Error) as why:
                log.error("store: not even results can be recorded: {why}", why=str(why))
                return results + _failed(others, full)
        return results + _failed(others, full)

    def _attempt(self, batch: list[Operation], retention: float) -> list[tuple[Operation, Any]]:
        """
        One commit.

        :param retention: As :attr:`retention`.

        :raises StoreError: Nothing was committed, nor will it be.
        :raises sqlite3.Error: Nothing was committed; one of them is to blame.
        """
        planner = self._planner
        results: list[tuple[Operation, Any]] = []
        try:
            damaged = planner.begin(batch, self._clock(), retention)
            bad = [operation for operation in batch if type(operation) is SetAside]
            if bad or damaged:
                damaged = damaged + [pair for operation in bad for pair in operation.damaged]
                set_aside(self._connection, damaged, self._clock())
                planner.forget()
                damaged = planner.begin(batch, self._clock(), retention)
            for operation in batch:
                try:
                    results.append((operation, planner.plan(operation)))
                except (StoreError, ValueError, TypeError, OverflowError, KeyError) as why:
                    results += _failed([operation], _as_store_error(why))
            planner.changes.apply(self._connection)
        except sqlite3.Error as why:
            planner.forget()
            error = self._health.from_sqlite(why)
            if error is not None:
                raise error from why
            raise
        except Exception:
            planner.forget()
            raise
        planner.committed()
        self._logged += planner.changes.octets
        for name in planner.changes.files:
            self._files.committed(name)
        self._sweeping.difference_update(planner.changes.swept)
        if planner.changes.large_gone or planner.changes.swept:
            self._collect()
        return results

    def _collect(self) -> None:
        """Hand over content files that are to be removed."""
        try:
            names = reading.garbage(self._connection, self._sweeping)
        except sqlite3.Error as why:
            log.error("store: the list of old content files cannot be read: {why}", why=str(why))
            return
        if names:
            self._sweeping.update(names)
            self._sweep(names)


def _batches(operations: list[Operation]) -> Iterator[list[Operation]]:
    batch: list[Operation] = []
    octets = 0
    for operation in operations:
        batch.append(operation)
        if type(operation) is Enqueue:
            octets += min(operation.submission.size, INLINE)
        if len(batch) >= _MOST or octets >= _OCTETS:
            yield batch
            batch, octets = [], 0
    if batch:
        yield batch


def _failed(operations: list[Operation], error: StoreError) -> list[tuple[Operation, Any]]:
    return [(operation, Failure(error)) for operation in operations]


def _as_store_error(why: Exception) -> StoreError:
    return why if isinstance(why, StoreError) else StoreError(f"it cannot be stored: {why}")
