"""A message store in memory, for tests: the same promises as the real one, kept by the same contract."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from jobctl.accounts.balance import missing
from jobctl.errors import StoreBusy, StoreError
from jobctl.interfaces import IMessageStore
from jobctl.mail.acts import Act
from jobctl.mail.entry import (
    Attempt,
    Finished,
    Lasting,
    QueueEntry,
    Settlement,
    StoredEntry,
    Submission,
    Undo,
)
from jobctl.mail.envelope import Priority
from jobctl.mail.share import NONE, share_of
from jobctl.store.content import InlineContent
from jobctl.store.ids import id_number
from jobctl.store.memory_acts import MemoryRecords
from jobctl.store.memory_changes import MemoryChanges, Staged
from jobctl.store.memory_finished import MemoryFinished
from jobctl.store.records import INLINE, name, stored_time
from jobctl.store.scanning import Look, Scanned

_KEPT_HISTORY = 100


class MemoryDisk:
    """What outlives a :class:`MemoryStore`; hand the same one to the next to open it again."""

    def __init__(self) -> None:
        self.busy = False
        self.next = 1
        self.entries: dict[int, StoredEntry] = {}
        self.contents: dict[int, bytes] = {}
        self.lines: dict[int, list[Attempt]] = {}
        self.accounts: dict[str, dict[str, int]] = {}
        self.free = 1 << 40
        self.damaged: list[tuple[str, float, str]] = []
        self.stopped: dict[str, tuple[str, float]] = {}
        self.backoffs: dict[tuple[str, str], tuple[int, float, str]] = {}
        self.finished: dict[int, Finished] = {}
        self.last_finished = 0
        self.remembered: dict[tuple[str, str], str] = {}
        self.acts: dict[int, Act] = {}
        # By operation and entry.
        self.undo: dict[tuple[int, int], Undo] = {}


@implementer(IMessageStore)
class MemoryStore(MemoryChanges, MemoryRecords, MemoryFinished):
    """
    All in dictionaries; every Deferred has fired when it is returned.

    :param clock: Epoch seconds.
    :param retention: As :meth:`keep_finished` has it.
    :param fault: Called before each change; what it raises is how the change fails.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        disk: MemoryDisk | None = None,
        fault: Callable[[], None] = lambda: None,
        retention: float = 0.0,
    ) -> None:
        self.disk = disk or MemoryDisk()
        self._retention = retention
        self._clock = clock
        self._fault = fault
        self._free_space = 0
        self._share_by = NONE
        self._open = False

    def open(self) -> None:
        if self.disk.busy:
            raise StoreBusy("the queue is in use by another store")
        self.disk.busy = self._open = True

    def share_by(self, kind: str) -> None:
        self._share_by = kind

    def keep_free(self, octets: int) -> None:
        self._free_space = octets

    def close(self) -> "Deferred[None]":
        if self._open:
            self.disk.busy = self._open = False
        return succeed(None)

    def stage(self) -> Staged:
        return Staged()

    def enqueue(self, submission: Submission) -> "Deferred[list[str]]":
        return self._do(self._check_and_add, submission)

    def settle(self, settlement: Settlement) -> "Deferred[list[list[str]]]":
        return self._do(self._settle, settlement)

    def move(self, id: str, channel: str, host: str) -> "Deferred[bool]":
        return self._do(self._move, id, channel, host)

    def set_priority(self, id: str, priority: Priority) -> "Deferred[bool]":
        return self._do(self._set_priority, id, priority)

    def fetch(self, ids: Iterable[str]) -> "Deferred[list[StoredEntry]]":
        wanted = {id_number(text) for text in ids}
        return self._do(
            lambda: [self._copy(e) for n, e in self.disk.entries.items() if n in wanted and _listed(e)],
            faults=False,
        )

    def fetch_whole(self, ids: Iterable[str]) -> "Deferred[list[tuple[StoredEntry, bytes | None]]]":
        wanted = {id_number(text) for text in ids}

        def look() -> list[tuple[StoredEntry, bytes | None]]:
            found: list[tuple[StoredEntry, bytes | None]] = []
            for number, entry in self.disk.entries.items():
                if number in wanted and _listed(entry):
                    content = self.disk.contents.get(entry.message)
                    small = content is not None and len(content) <= INLINE
                    found.append((self._copy(entry), content if small else None))
            return found

        return self._do(look, faults=False)

    def content(self, message: int) -> "Deferred[InlineContent]":
        if message not in self.disk.contents:
            return fail(StoreError("the message is gone"))
        return succeed(InlineContent(self.disk.contents[message]))

    def window(
        self, after: tuple[float, str] | None, limit: int, skip: Iterable[tuple[str, str]]
    ) -> "Deferred[list[QueueEntry]]":
        pairs = set(skip)
        return self._queue(after, limit, lambda entry: (entry.channel, entry.host) not in pairs)

    def backlog(
        self, channel: str, host: str | None, after: tuple[float, str] | None, limit: int
    ) -> "Deferred[list[QueueEntry]]":
        return self._queue(
            after, limit, lambda entry: entry.channel == channel and host in (None, entry.host)
        )

    def directory(
        self,
        channel: str | None = None,
        held: bool | None = None,
        limit: int | None = None,
        after: str | None = None,
        hosts: Collection[str] | None = None,
    ) -> "Deferred[list[StoredEntry]]":
        found = [
            self._copy(stored)
            for number, stored in sorted(self.disk.entries.items())
            if _listed(stored)
            and (after is None or number > id_number(after))
            and channel in (None, stored.entry.channel)
            and (hosts is None or stored.entry.host in hosts)
            and (held is None or held == (stored.state is Lasting.HELD))
        ]
        return self._do(lambda: found[:limit], faults=False)

    def late(self, before: float, limit: int) -> "Deferred[list[StoredEntry]]":
        found = [
            self._copy(stored)
            for stored in self.disk.entries.values()
            if stored.state is Lasting.QUEUED and 0 < stored.entry.deadline <= before
        ]
        found.sort(key=lambda stored: stored.entry.deadline)
        return self._do(lambda: found[:limit], faults=False)

    def scan(
        self, look: Look, channel: str | None, held: bool | None, limit: int, after: str | None
    ) -> "Deferred[Scanned]":
        def looked(entries: list[StoredEntry]) -> Scanned:
            made = [look(one, partial(self._beginning, one.message)) for one in entries]
            last = entries[-1].entry.id if entries else None
            return Scanned([one for one in made if one], last, len(entries))

        return self.directory(channel, held, limit, after).addCallback(looked)

    def _beginning(self, message: int, octets: int) -> bytes:
        return self.disk.contents[message][:octets]

    def summarize(self) -> "Deferred[dict[str, tuple[int, int, int, int, float | None]]]":
        return self._do(self._summary, faults=False)

    def overdue(self, hosts: Iterable[tuple[str, str]]) -> "Deferred[list[int]]":
        now = stored_time(self._clock())
        due = Counter(
            (stored.entry.channel, stored.entry.host)
            for stored in self.disk.entries.values()
            if stored.state is Lasting.QUEUED and stored.entry.due <= now
        )
        return self._do(lambda: [due[pair] for pair in hosts], faults=False)

    def channels(self) -> "Deferred[list[str]]":
        return self._do(
            lambda: sorted({stored.entry.channel for stored in self.disk.entries.values()}), faults=False
        )

    def count_arrived(self, channel: str, priority: Priority, after: float, until: float) -> "Deferred[int]":
        return self._do(
            lambda: sum(
                stored.state is Lasting.QUEUED
                and stored.entry.channel == channel
                and stored.entry.priority == priority
                and after < stored.entry.enqueued <= until
                for stored in self.disk.entries.values()
            ),
            faults=False,
        )

    def history(self, id: str) -> "Deferred[list[Attempt]]":
        return self._do(lambda: list(self.disk.lines.get(id_number(id), [])), faults=False)

    def ledger(self, counted: bool = True) -> "Deferred[dict[str, dict[str, int]]]":
        return self._do(self._balance, counted, faults=False)

    def set_stopped(self, channel: str, stopped: bool, author: str) -> "Deferred[None]":
        def change() -> None:
            name(channel)
            name(author)
            self.disk.stopped.pop(channel, None)
            if stopped:
                self.disk.stopped[channel] = (author, stored_time(self._clock()))

        return self._do(change)

    def stopped(self) -> "Deferred[dict[str, tuple[str, float]]]":
        return self._do(lambda: dict(self.disk.stopped), faults=False)

    def set_host_backoff(
        self, channel: str, host: str, failures: int, until: float, reply: str
    ) -> "Deferred[None]":
        def change() -> None:
            name(channel)
            name(host)
            self.disk.backoffs.pop((channel, host), None)
            if failures:
                self.disk.backoffs[channel, host] = (failures, stored_time(until), reply)

        return self._do(change)

    def remember(self, topic: str, key: str, value: str | None) -> "Deferred[None]":
        def change() -> None:
            self.disk.remembered.pop((name(topic), name(key)), None)
            if value is not None:
                self.disk.remembered[topic, key] = value

        return self._do(change)

    def remembered(self, topic: str) -> "Deferred[dict[str, str]]":
        found = {key: value for (of, key), value in sorted(self.disk.remembered.items()) if of == topic}
        return self._do(lambda: found, faults=False)

    def damaged(self) -> "Deferred[list[tuple[str, float, str]]]":
        return self._do(lambda: list(self.disk.damaged), faults=False)

    def remains(self, id: str) -> "Deferred[None]":
        """Nothing is damaged here."""
        return self._do(lambda: None, faults=False)

    def restore(self, id: str) -> "Deferred[bool]":
        return self._do(lambda: False)

    def give_up(self, id: str) -> "Deferred[bool]":
        return self._do(lambda: False)

    def inspect(self, id: str) -> "Deferred[Any]":
        def look() -> Any:
            stored = self.disk.entries.get(id_number(id))
            if stored is None:
                return None
            entry = stored.entry
            return (
                self._copy(stored),
                list(self.disk.lines.get(id_number(id), [])),
                self.disk.stopped.get(entry.channel),
                self.disk.backoffs.get((entry.channel, entry.host)),
            )

        return self._do(look, faults=False)

    def host_backoffs(self) -> "Deferred[list[tuple[str, str, int, float, str]]]":
        return self._do(
            lambda: sorted(((*pair, *rest) for pair, rest in self.disk.backoffs.items()), key=lambda b: b[3]),
            faults=False,
        )

    def _do(self, change: Callable[..., Any], *arguments: Any, faults: bool = True) -> "Deferred[Any]":
        try:
            if not self._open:
                raise StoreError("the store is not open")
            if faults:
                self._fault()
            return succeed(change(*arguments))
        except StoreError as why:
            return fail(why)

    def _copy(self, stored: StoredEntry) -> StoredEntry:
        """The caller's own, as if it had been read."""
        share = share_of(self._share_by, stored.envelope, stored.source)
        return msgspec.structs.replace(
            stored,
            entry=msgspec.structs.replace(
                stored.entry, share=share, recipients=len(stored.envelope.recipients)
            ),
        )

    def _queue(
        self, after: tuple[float, str] | None, limit: int, wanted: Callable[[QueueEntry], bool]
    ) -> "Deferred[list[QueueEntry]]":
        beyond = (float("-inf"), 0) if after is None else (stored_time(after[0]), id_number(after[1]))
        found = sorted(
            (stored.entry.due, number)
            for number, stored in self.disk.entries.items()
            if stored.state is Lasting.QUEUED and (stored.entry.due, number) > beyond and wanted(stored.entry)
        )
        entries = [self._copy(self.disk.entries[number]).entry for _, number in found[:limit]]
        return self._do(lambda: entries, faults=False)

    def _summary(self) -> dict[str, tuple[int, int, int, int, float | None]]:
        now = stored_time(self._clock())
        summary: dict[str, tuple[int, int, int, int, float | None]] = {}
        for _, stored in sorted(self.disk.entries.items()):
            if not _listed(stored):
                continue
            entry = stored.entry
            held = stored.state is Lasting.HELD
            queued, future, holding, octets, oldest = summary.get(entry.channel, (0, 0, 0, 0, entry.enqueued))
            summary[entry.channel] = (
                queued + (not held),
                future + (not held and entry.due > now),
                holding + held,
                octets + entry.size,
                oldest,
            )
        return summary

    def _balance(self, counted: bool) -> dict[str, dict[str, int]]:
        ledger = {
            channel: {str(name): count for name, count in account.items()} | {"queued": 0}
            for channel, account in self.disk.accounts.items()
        }
        if not counted:
            for account in ledger.values():
                account["queued"] = missing(account)
            return ledger
        for stored in self.disk.entries.values():
            ledger[stored.entry.channel]["queued"] += len(stored.envelope.recipients)
        return ledger


def _listed(stored: StoredEntry) -> bool:
    """Whether it is anywhere to be seen."""
    return stored.state is not Lasting.GRACE
