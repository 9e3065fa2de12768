"""What operators did, and what of it can be undone: this part of the store in memory."""

from collections.abc import Callable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from jobctl.mail.acts import Act
from jobctl.mail.entry import Lasting, Origin, Settlement, StoredEntry, Undo
from jobctl.store.ids import id_number, id_text
from jobctl.store.records import stored_time


class MemoryRecords:
    """A part of :class:`jobctl.store.memory.MemoryStore`, which has the disk."""

    disk: Any
    # A disk in memory is never full.
    short_of_room = False
    _do: Callable[..., "Deferred[Any]"]

    def newest(self) -> "Deferred[str | None]":
        numbers = self.disk.entries
        return self._do(lambda: id_text(max(numbers)) if numbers else None, faults=False)

    def write_act(self, act: Act, oldest: float = 0.0) -> "Deferred[None]":
        def change() -> None:
            self.disk.acts[act.number] = act
            for number in [n for n, old in self.disk.acts.items() if old.when < oldest and n < act.number]:
                del self.disk.acts[number]

        return self._do(change)

    def acts(self, before: int | None = None, limit: int = 100) -> "Deferred[list[Act]]":
        found = [act for number, act in sorted(self.disk.acts.items()) if before is None or number < before]
        return self._do(lambda: found[::-1][:limit], faults=False)

    def undoable(
        self, operation: int, after: str | None = None, limit: int = 100
    ) -> "Deferred[list[tuple[StoredEntry, Undo]]]":
        beyond = 0 if after is None else id_number(after)
        numbers = sorted(
            n for of, n in self.disk.undo if of == operation and n > beyond and n in self.disk.entries
        )[:limit]
        found = [
            (stored, self.disk.undo[operation, number])
            for number in numbers
            if (stored := self._hidden(number)) is not None
        ]
        return self._do(lambda: found, faults=False)

    def lapsed(self, now: float, limit: int = 100) -> "Deferred[list[tuple[str, StoredEntry | None, Undo]]]":
        found = sorted(
            (stored_time(undo.until), of, number, undo)
            for (of, number), undo in self.disk.undo.items()
            if stored_time(undo.until) <= stored_time(now)
        )
        return self._do(
            lambda: [(id_text(number), self._hidden(number), undo) for _, _, number, undo in found[:limit]],
            faults=False,
        )

    def in_grace(self, id: str) -> "Deferred[Undo | None]":
        stored = self._hidden(id_number(id))
        found = [undo for (_, number), undo in sorted(self.disk.undo.items()) if number == id_number(id)]
        there = stored is not None and stored.state is Lasting.GRACE and found
        return self._do(lambda: found[-1] if there else None, faults=False)

    def next_lapse(self) -> "Deferred[float | None]":
        times = [stored_time(undo.until) for undo in self.disk.undo.values()]
        return self._do(lambda: min(times, default=None), faults=False)

    def _hidden(self, number: int) -> StoredEntry | None:
        """An entry, in grace or not, as if it had been read."""
        stored = self.disk.entries.get(number)
        if stored is None:
            return None
        entry = msgspec.structs.replace(stored.entry, recipients=len(stored.envelope.recipients))
        return msgspec.structs.replace(stored, entry=entry)

    def _note_undo(self, settlement: Settlement, ids: list[list[str]]) -> None:
        """What was split off goes back too, as it is."""
        undo = settlement.undo
        if undo is None:
            return
        self.disk.undo[undo.operation, id_number(settlement.id)] = undo
        split = msgspec.structs.replace(undo, recipients=None)
        for some, notification in zip(ids, settlement.notifications, strict=True):
            if notification.origin is Origin.ACCEPTED:
                for text in some:
                    self.disk.undo[undo.operation, id_number(text)] = split
