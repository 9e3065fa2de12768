"""What each operation means for the tables: operations in, one batch of changes out."""

import sqlite3
from collections.abc import Callable
from typing import Any
from zlib import crc32

import msgspec

from jobctl.errors import StoreError
from jobctl.mail.entry import Lasting, Loss, Origin, Submission, Undo
from jobctl.store.changes import COUNTER, Changes
from jobctl.store.content import ContentFiles, StagedContent
from jobctl.store.finishing import Finishing
from jobctl.store.ids import id_number, id_text
from jobctl.store.mending import give_up, restore
from jobctl.store.operations import (
    Enqueue,
    Mend,
    Move,
    Operation,
    Remember,
    Reprioritize,
    SetAside,
    SetBackoff,
    SetStopped,
    Settle,
    Swept,
    WriteAct,
)
from jobctl.store.reading import Damaged, load_rows
from jobctl.store.records import GRACE, HELD, INLINE, STATE_NUMBER, Head, Row, encode, microseconds, name
from jobctl.store.settling import leaving, settled

# The high-water mark of ids is written once for so many; a restart skips what is left of them.
_IDS_AT_ONCE = 1000
# Rows the writer remembers, so that what was enqueued a moment ago is settled without reading it.
_REMEMBERED = 10_000
_QUEUED, _HELD, _OCTETS, _MOVED, _ACCEPTED = (
    COUNTER[name] for name in ("queued", "held", "octets", "moved", "accepted")
)
_LOSS = {loss: COUNTER[loss.value] for loss in Loss}
_ORIGIN = {origin: COUNTER[origin.value] for origin in Origin}


class _Message(msgspec.Struct):
    """A submission with all done to it that can fail, ready to be added to a batch."""

    rows: list[tuple[Row, bytes]]
    head: bytes
    content: bytes
    content_crc: int
    file: str | None
    size: int
    origin: int


class Planner:
    """
    Turns operations into :class:`Changes`, in the writer's thread.

    Nobody else changes rows, so what it remembers of them is true until a commit fails;
    then :meth:`forget` drops it all.  An operation that raises has added nothing to the batch.

    :param connection: For reading rows that are not remembered.
    """

    def __init__(self, connection: sqlite3.Connection, files: ContentFiles) -> None:
        self._connection = connection
        self._files = files
        self._rows: dict[int, Row] = {}
        # Ids below _next were used, or will never be; the file says so of those below _durable.
        self._next = self._durable = connection.execute("SELECT next FROM ids").fetchone()[0]
        self._finishing = Finishing(connection)
        self.changes = Changes()

    def begin(self, batch: list[Operation], now: float, retention: float) -> list[Damaged]:
        """
        Start a new batch, with the rows that it is about at hand.

        :param now: Epoch seconds.
        :param retention: Seconds for which finished recipients are remembered; 0: they are not.
        :return: Entries found damaged.
        :raises sqlite3.Error: They cannot be read.
        """
        self.changes = Changes()
        if retention and not self._finishing.retention:
            # Those that came while nothing was to be remembered lack what is needed for it.
            self._rows.clear()
        self._finishing.begin(now, retention)
        self.changes.outdated = self._finishing.outdated
        wanted = set()
        for operation in batch:
            operation.number = number = _subject(operation)
            if number and number not in self._rows:
                wanted.add(number)
        if not wanted:
            return []
        rows, damaged = load_rows(self._connection, wanted)
        for row in rows:
            self._rows[row.id] = row
        return damaged

    def plan(self, operation: Operation) -> Any:
        """
        Add one operation to the batch.

        :return: What its Deferred fires with once the batch is committed.
        :raises StoreError: It cannot be stored.
        :raises ValueError: Something in it cannot be stored.
        """
        return _PLANS[type(operation)](self, operation)

    def committed(self) -> None:
        """The batch is on the disk."""
        if self.changes.next_id is not None:
            self._durable = self.changes.next_id
        excess = len(self._rows) - _REMEMBERED
        if excess > 0:
            for number in list(self._rows)[: excess + _REMEMBERED // 10]:
                del self._rows[number]

    def forget(self) -> None:
        """The batch was not committed, or rows were changed by others: read them anew."""
        self._rows.clear()

    def enqueue(self, operation: Enqueue) -> list[str]:
        return self._add(self._message(operation, operation.submission, 0))

    def settle(self, operation: Settle) -> list[list[str]]:
        settlement = operation.settlement
        old = self._rows.get(operation.number)
        if old is None:
            if settlement.ended is not None:
                self.changes.cannot_undo(settlement.ended, operation.number)
            return []
        lost, left = leaving(old.recipients, settlement.losses)
        messages = [
            self._message(operation, notification, place)
            for place, notification in enumerate(settlement.notifications)
        ]
        if left:
            new = settled(old, settlement, left, operation.at)
            record = new.record()
            history = [encode(attempt) for attempt in settlement.history]
        undo = None if settlement.undo is None else (encode(settlement.undo).decode(), settlement.undo)
        finished = self._finishing.records(old, settlement, lost, left)
        # From here on nothing can fail.
        ids = [self._add(message) for message in messages]
        if settlement.ended is not None:
            self.changes.cannot_undo(settlement.ended, old.id)
        if undo is not None:
            self._undo(old.id, messages, *undo)
        counters = self.changes.counters(old.channel)
        for _, loss in lost:
            counters[_LOSS[loss]] += 1
        self.changes.finished += finished
        if left:
            if settlement.recipients is not None or new.channel != old.channel:
                counters[_MOVED] += len(left)
                self.changes.counters(new.channel)[_ACCEPTED] += len(new.recipients)
            self._change(old, new, record)
            if history:
                self.changes.history(new.id, history)
        else:
            self._leave(old)
        return ids

    def move(self, operation: Move) -> bool:
        old = self._rows.get(operation.number)
        if old is None:
            return False
        new = msgspec.structs.replace(old, channel=operation.channel, host=operation.host)
        record = new.record()
        if new.channel != old.channel:
            self.changes.counters(old.channel)[_MOVED] += len(old.recipients)
            self.changes.counters(new.channel)[_ACCEPTED] += len(new.recipients)
        self._change(old, new, record)
        return True

    def reprioritize(self, operation: Reprioritize) -> bool:
        old = self._rows.get(operation.number)
        if old is None:
            return False
        new = msgspec.structs.replace(old, priority=operation.priority)
        self._change(old, new, new.record())
        return True

    def _undo(self, number: int, messages: "list[_Message]", record: str, undo: Undo) -> None:
        """What was split off goes back too, as it is."""
        until = microseconds(undo.until)
        self.changes.undo(undo.operation, number, until, record)
        split = encode(msgspec.structs.replace(undo, recipients=None)).decode()
        for message in messages:
            if message.origin == _ACCEPTED:
                for row, _ in message.rows:
                    self.changes.undo(undo.operation, row.id, until, split)

    def write_act(self, operation: WriteAct) -> None:
        act = operation.act
        self.changes.act(
            act.number, microseconds(act.when), encode(act).decode(), microseconds(operation.oldest)
        )

    def set_stopped(self, operation: SetStopped) -> None:
        record = encode((name(operation.channel), name(operation.author), microseconds(operation.since)))
        self.changes.stop(operation.channel, record if operation.stopped else None)

    def set_backoff(self, operation: SetBackoff) -> None:
        channel, host = name(operation.channel), name(operation.host)
        # What a remote said may contain anything: as JSON it is kept unharmed.
        reply = encode(operation.reply).decode()
        record = encode((channel, host, operation.failures, microseconds(operation.until), reply))
        self.changes.backoff(channel, host, record if operation.failures else None)

    def remember(self, operation: Remember) -> None:
        self.changes.remember(name(operation.topic), name(operation.key), operation.value)

    def swept(self, operation: Swept) -> None:
        self.changes.swept += operation.files

    def mend(self, operation: Mend) -> bool:
        """Seldom: in a transaction of its own, before the batch."""
        if operation.back:
            return restore(self._connection, operation.entry)
        self.changes.large_gone = True
        return give_up(self._connection, operation.entry)

    def set_aside(self, operation: SetAside) -> None:
        """The writer has done that on its own, before the batch."""

    def _message(self, operation: Operation, submission: Submission, place: int) -> _Message:
        """Encode a submission, its content made durable when it is large; ids are taken, nothing is added."""
        shared = Head(
            submission.envelope,
            submission.source,
            submission.envelope_id,
            submission.message_id,
            submission.subject,
            submission.sensitivity,
        )
        head = encode(shared)
        facts = shared.facts() if self._finishing.retention else b""
        content = submission.content
        file, content_crc, size = self._keep(operation, content, place)
        enqueued = microseconds(submission.arrived)
        whole = submission.envelope.recipients
        number = self._next
        rows: list[tuple[Row, bytes]] = []
        for new in submission.entries:
            if not new.recipients:
                raise StoreError("an entry without recipients")
            row = Row(
                id=number + len(rows),
                message=number,
                channel=new.channel,
                host=new.host,
                state=STATE_NUMBER[new.state],
                priority=int(new.priority),
                size=size,
                enqueued=enqueued,
                due=microseconds(new.due),
                attempts=0,
                recipients=new.recipients,
                whole=new.recipients is whole or new.recipients == whole,
                reason=new.reason,
                paused=new.paused,
                held_since=submission.arrived if new.state is Lasting.HELD else 0.0,
                facts=facts,
                deadline=new.deadline,
                returns=new.returns,
            )
            rows.append((row, row.record()))
        if not rows:
            raise StoreError("a submission without entries")
        self._next += len(rows)
        return _Message(
            rows=rows,
            head=head,
            content=b"" if file else content,  # type: ignore[arg-type]
            content_crc=content_crc,
            file=file,
            size=size,
            origin=_ORIGIN[submission.origin],
        )

    def _keep(self, operation: Operation, content: Any, place: int) -> tuple[str | None, int, int]:
        """File (``None``: inline), checksum and size of content."""
        if type(content) is bytes and len(content) <= INLINE:
            return None, crc32(content), len(content)
        if place not in operation.kept:
            operation.kept[place] = self._files.keep(content)
        size = content.size if isinstance(content, StagedContent) else len(content)
        return *operation.kept[place], size

    def _add(self, message: _Message) -> list[str]:
        changes = self.changes
        ids = []
        for row, record in message.rows:
            self._rows[row.id] = row
            changes.entry(row.id, record)
            if row.deadline:
                changes.deadline(row.id, microseconds(row.deadline))
            changes.counters(row.channel)[message.origin] += len(row.recipients)
            self._count(row, 1)
            ids.append(id_text(row.id))
        changes.message(
            message.rows[0][0].id,
            len(ids),
            message.size,
            message.head,
            (crc32(message.head), message.content_crc),
            message.content,
            message.file,
        )
        if self._next > self._durable:
            changes.next_id = self._next + _IDS_AT_ONCE
        return ids

    def _leave(self, row: Row) -> None:
        del self._rows[row.id]
        self.changes.leave(row.id, row.message, silent=not self._finishing.retention)
        self._count(row, -1)
        if row.deadline:
            self.changes.deadline(row.id, None)
        if row.size > INLINE:
            self.changes.large_gone = True

    def _change(self, old: Row, new: Row, record: bytes) -> None:
        self._rows[new.id] = new
        self.changes.entry(new.id, record)
        if old.deadline != new.deadline:
            self.changes.deadline(new.id, microseconds(new.deadline) if new.deadline else None)
        if old.state != new.state or old.channel != new.channel:
            self._count(old, -1)
            self._count(new, 1)

    def _count(self, row: Row, by: int) -> None:
        if row.state == GRACE:
            return
        counters = self.changes.counters(row.channel)
        counters[_HELD if row.state == HELD else _QUEUED] += by
        counters[_OCTETS] += by * row.size


def _subject(operation: Operation) -> int:
    """The number of the entry that an operation changes, 0 for none."""
    if type(operation) is Settle:
        return id_number(operation.settlement.id)
    if isinstance(operation, Move | Reprioritize):
        return id_number(operation.id)
    return 0


_PLANS: dict[type[Operation], Callable[[Planner, Any], Any]] = {
    Enqueue: Planner.enqueue,
    Settle: Planner.settle,
    Move: Planner.move,
    Reprioritize: Planner.reprioritize,
    SetStopped: Planner.set_stopped,
    SetBackoff: Planner.set_backoff,
    Remember: Planner.remember,
    WriteAct: Planner.write_act,
    Swept: Planner.swept,
    SetAside: Planner.set_aside,
    Mend: Planner.mend,
}
