"""What changes entries: this part of the store in memory."""

from collections.abc import Callable
from typing import Any

import msgspec
from zope.interface import implementer

from jobctl.errors import StoreError, StoreFull
from jobctl.interfaces import IStagedContent
from jobctl.mail.entry import Lasting, Loss, Origin, QueueEntry, Settlement, StoredEntry, Submission, paused
from jobctl.mail.envelope import Priority, Recipient
from jobctl.store.ids import id_number, id_text
from jobctl.store.records import name, stored_time, with_recipients

_KEPT_HISTORY = 100


@implementer(IStagedContent)
class Staged:
    def __init__(self) -> None:
        self.size = self.lines = 0
        self.usable = True
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self.usable:
            raise StoreError("the content was discarded or enqueued before")
        self.size += len(data)
        self.lines += data.count(b"\n")
        self._pieces.append(data)

    def take(self) -> bytes:
        self.usable = False
        return b"".join(self._pieces)

    def discard(self) -> None:
        self.usable = False


class MemoryChanges:
    """A part of :class:`jobctl.store.memory.MemoryStore`, which has the disk."""

    disk: Any
    _clock: Callable[[], float]
    _free_space: int
    _retention: float
    _note_undo: Callable[[Settlement, list[list[str]]], None]
    _finish: Callable[..., None]

    def _check_and_add(self, submission: Submission) -> list[str]:
        if self.disk.free < self._free_space:
            raise StoreFull("the queue's disk is full")
        content = submission.content
        if type(content) is not bytes:
            if not isinstance(content, Staged) or not content.usable:
                raise StoreError("the content was discarded or enqueued before")
            content = content.take()
        if not submission.entries:
            raise StoreError("a submission without entries")
        return self._add(msgspec.structs.replace(submission, content=content))

    def _add(self, submission: Submission) -> list[str]:
        disk = self.disk
        for new in submission.entries:
            name(new.channel)
            name(new.host)
            if not new.recipients:
                raise StoreError("an entry without recipients")
        message = disk.next
        content = submission.content
        if isinstance(content, Staged):
            content = content.take()
        assert type(content) is bytes
        disk.contents[message] = content
        ids = []
        for new in submission.entries:
            number = disk.next
            disk.next += 1
            ids.append(id_text(number))
            disk.entries[number] = StoredEntry(
                entry=QueueEntry(
                    id=ids[-1],
                    channel=new.channel,
                    host=new.host,
                    priority=new.priority,
                    size=len(content),
                    enqueued=stored_time(submission.arrived),
                    due=stored_time(new.due),
                    paused=new.paused,
                    deadline=new.deadline,
                    returns=new.returns,
                ),
                message=message,
                state=new.state,
                envelope=with_recipients(submission.envelope, new.recipients),
                source=submission.source,
                envelope_id=submission.envelope_id,
                message_id=submission.message_id,
                subject=submission.subject,
                sensitivity=submission.sensitivity,
                reason=new.reason,
                held_since=submission.arrived if new.state is Lasting.HELD else 0.0,
            )
            self._count(new.channel, submission.origin, len(new.recipients))
        return ids

    def _settle(self, settlement: Settlement) -> list[list[str]]:
        number = id_number(settlement.id)
        if settlement.ended is not None:
            self.disk.undo.pop((settlement.ended, number), None)
        stored = self.disk.entries.get(number)
        if stored is None:
            return []
        for text in settlement.place or ():
            name(text)
        if settlement.recipients == ():
            raise StoreError("nobody stands in for the recipients")
        ids = [self._add(notification) for notification in settlement.notifications]
        self._note_undo(settlement, ids)
        left = list(stored.envelope.recipients)
        gone_now: list[tuple[str, Loss]] = []
        for address, loss in settlement.losses:
            gone = next((recipient for recipient in left if recipient.address == address), None)
            if gone is not None:
                left.remove(gone)
                gone_now.append((gone.address, loss))
                self._count(stored.entry.channel, loss, 1)
        if settlement.recipients is not None:
            gone_now += [(one.address, Loss.MOVED) for one in left if one not in settlement.recipients]
        self._finish(stored, settlement, gone_now)
        if not left:
            self._drop(number, stored.message)
            return ids
        self._change(stored, settlement, tuple(left))
        lines = self.disk.lines.setdefault(number, [])
        lines.extend(settlement.history)
        del lines[:-_KEPT_HISTORY]
        return ids

    def _change(self, stored: StoredEntry, settlement: Settlement, left: tuple[Recipient, ...]) -> None:
        channel, host = settlement.place or (stored.entry.channel, stored.entry.host)
        if settlement.recipients is not None or channel != stored.entry.channel:
            self._count(stored.entry.channel, Loss.MOVED, len(left))
            left = left if settlement.recipients is None else settlement.recipients
            self._count(channel, Origin.ACCEPTED, len(left))
        stored.entry.channel, stored.entry.host = channel, host
        stored.envelope = with_recipients(stored.envelope, left)
        if settlement.priority is not None:
            stored.entry.priority = settlement.priority
        if settlement.state is not None and (
            stored.state is not Lasting.GRACE or settlement.ended is not None
        ):
            stored.state = settlement.state
            stored.entry.paused, stored.held_since = paused(
                stored.entry.paused, stored.held_since, settlement.state, self._clock()
            )
        if settlement.due is not None:
            stored.entry.due = stored_time(settlement.due)
        if settlement.attempts is not None:
            stored.entry.attempts = settlement.attempts
        if settlement.warned is not None:
            stored.entry.warned = settlement.warned
        if settlement.deadline is not None:
            stored.entry.deadline = settlement.deadline
        for field in ("last_reply", "reason", "suspect", "deaths"):
            value = getattr(settlement, field)
            if value is not None:
                setattr(stored, field, value)

    def _drop(self, number: int, message: int) -> None:
        del self.disk.entries[number]
        if not self._retention:
            self.disk.lines.pop(number, None)
        if not any(other.message == message for other in self.disk.entries.values()):
            del self.disk.contents[message]

    def _move(self, id: str, channel: str, host: str) -> bool:
        stored = self.disk.entries.get(id_number(id))
        if stored is None:
            return False
        name(channel)
        name(host)
        if channel != stored.entry.channel:
            count = len(stored.envelope.recipients)
            self._count(stored.entry.channel, Loss.MOVED, count)
            self._count(channel, Origin.ACCEPTED, count)
        stored.entry.channel = channel
        stored.entry.host = host
        return True

    def _set_priority(self, id: str, priority: Priority) -> bool:
        stored = self.disk.entries.get(id_number(id))
        if stored is None:
            return False
        stored.entry.priority = priority
        return True

    def _count(self, channel: str, what: str, by: int) -> None:
        account = self.disk.accounts.setdefault(channel, dict.fromkeys([*Origin, *Loss], 0))
        account[what] += by
