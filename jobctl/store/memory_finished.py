"""What became of recipients: this part of the store in memory."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from jobctl.accounts.history import Search
from jobctl.mail.entry import Finished, Loss, Settlement, StoredEntry
from jobctl.store.ids import id_number
from jobctl.store.records import ATTEMPTED, MOST_REPLY, microseconds, seconds


class MemoryFinished:
    """A part of :class:`jobctl.store.memory.MemoryStore`, which has the disk."""

    disk: Any
    _do: Callable[..., "Deferred[Any]"]
    _clock: Callable[[], float]
    _retention: float

    def keep_finished(self, seconds: float) -> None:
        self._retention = seconds

    def finished(self, search: Search, after: int, limit: int) -> "Deferred[tuple[list[Finished], int]]":
        def look() -> tuple[list[Finished], int]:
            kept = self.disk.finished
            found = [number for number in sorted(kept) if number > after and search.matches(kept[number])]
            some = [kept[number] for number in found[:limit]]
            return some, found[limit - 1] if len(some) == limit else 0

        return self._do(look, faults=False)

    def _finish(self, stored: StoredEntry, settlement: Settlement, gone: list[tuple[str, Loss]]) -> None:
        now = self._clock()
        disk, entry = self.disk, stored.entry
        for address, loss in gone if self._retention else ():
            said = next((d for d in settlement.said if d.recipient == address), None)
            reply = (said.reply if said else settlement.reason) or stored.last_reply
            disk.last_finished = max(disk.last_finished + 1, microseconds(now))
            disk.finished[disk.last_finished] = Finished(
                when=seconds(disk.last_finished),
                id=entry.id,
                enqueued=entry.enqueued,
                channel=entry.channel,
                what=loss,
                recipient=address,
                sender=stored.envelope.sender,
                source=stored.source.channel,
                envelope_id=stored.envelope_id,
                message_id=stored.message_id,
                subject=stored.subject,
                host=entry.host,
                size=entry.size,
                attempts=entry.attempts + (loss in ATTEMPTED),
                reply=reply[:MOST_REPLY],
                remote=said.remote if said else "",
            )
        for number in [n for n in disk.finished if seconds(n) < now - self._retention]:
            old = id_number(disk.finished.pop(number).id)
            if old not in disk.entries:
                disk.lines.pop(old, None)
