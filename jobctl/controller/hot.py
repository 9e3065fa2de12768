"""Messages kept at hand between their arrival and their first attempt, so that fresh mail is not read back."""

import msgspec

from jobctl.mail.entry import StoredEntry

# Seconds after which fresh mail is not fresh any more.
LONG = 30.0
# What an entry and one of its recipients take beside the content, in octets.
_ENTRY, _RECIPIENT = 1500, 250


class HotMessage(msgspec.Struct):
    """A stored entry with its whole content (at most 64 KiB; larger mail is always read back)."""

    stored: StoredEntry
    content: bytes

    @property
    def weight(self) -> int:
        """Octets of memory, roughly."""
        return len(self.content) + _ENTRY + _RECIPIENT * len(self.stored.envelope.recipients)


class HotMessages:
    """
    A bounded memory of entries by id.

    When it is full, what comes next is left out, since the oldest are the first
    to be handed out; but what has been here for long waits for something else
    and makes place.

    :param limit: Octets kept.
    """

    def __init__(self, limit: int = 64 * 1024 * 1024) -> None:
        self._limit = limit
        self._octets = 0
        self._kept: dict[str, HotMessage] = {}

    def put(self, hot: HotMessage) -> None:
        """Keep an entry if there is room for it."""
        entry = hot.stored.entry
        self._octets += hot.weight
        self._kept[entry.id] = hot
        while self._octets > self._limit:
            oldest = next(iter(self._kept.values())).stored.entry
            self.drop(oldest.id if entry.enqueued - oldest.enqueued > LONG else entry.id)

    def get(self, entry_id: str) -> HotMessage | None:
        """The entry, if it is still here."""
        return self._kept.get(entry_id)

    def drop(self, entry_id: str) -> None:
        """Let go of an entry: it changed, is gone, or need not be here."""
        hot = self._kept.pop(entry_id, None)
        if hot is not None:
            self._octets -= hot.weight
