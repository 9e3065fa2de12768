"""What is left of a queue entry that was set aside because it cannot be read as it was written."""

from typing import Any

import msgspec

from jobctl.mail.envelope import Recipient


class Remains(msgspec.Struct, frozen=True, kw_only=True):
    """
    What can still be read; it may be wrong, because its checksum is.

    :ivar id: The entry's.
    :ivar since: When it was set aside, epoch seconds; ``why`` says what was found.
    :ivar message: The store's number of its message, whose content it shares.
    :ivar sender: ``None``: it cannot be read; ``recipients`` too.
    :ivar size: Octets of content.
    :ivar content: ``whole``, ``damaged`` or ``gone``; of content in a file only that it is there and as long
        as it should be.
    """

    id: str
    since: float
    why: str
    message: int
    channel: str
    host: str
    sender: str | None
    recipients: tuple[Recipient, ...] | None
    size: int
    content: str

    def row(self) -> dict[str, Any]:
        """As ``qm damaged --json`` has it."""
        return {
            "id": self.id,
            "since": self.since,
            "why": self.why,
            "channel": self.channel,
            "host": self.host,
            "sender": self.sender,
            "recipients": None if self.recipients is None else [who.address for who in self.recipients],
            "size": self.size,
            "content": self.content,
        }
