"""Queue entries and the changes made to them: the values that controller and store exchange."""

from enum import StrEnum

import msgspec

from jobctl.mail.disposition import Disposition
from jobctl.mail.envelope import Envelope, Priority, Recipient, Source


class Lasting(StrEnum):
    """
    The state of an entry as the store keeps it.

    Ready, active and delayed are not stored: a queued entry is active while a
    job holds it, else ready or delayed by its due time.
    """

    QUEUED = "queued"
    HELD = "held"


class Origin(StrEnum):
    """Which side of the ledger a new message counts on (design: accepted + generated = ...)."""

    ACCEPTED = "accepted"
    GENERATED = "generated"


class Loss(StrEnum):
    """How a recipient left the queue: the other side of the ledger."""

    DELIVERED = "delivered"
    RELAYED = "relayed"
    FAILED = "failed"
    EXPIRED = "expired"
    DELETED = "deleted"
    MOVED = "moved"


class NewEntry(msgspec.Struct, frozen=True):
    """One queue entry to be made: the recipients that share a channel and destination host."""

    channel: str
    host: str
    recipients: tuple[Recipient, ...]
    priority: Priority
    due: float
    state: Lasting = Lasting.QUEUED
    reason: str = ""


class QueueEntry(msgspec.Struct):
    """
    What the schedule must know of an entry; small, because up to
    ``max_cache_messages`` of them are in memory.

    :ivar id: Unique for ever, ``[0-9A-Za-z]+``, begins with a letter.
    :ivar host: Destination host, lower case; ``""`` behind a gateway (host is irrelevant).
    :ivar size: Octets of content.
    :ivar enqueued: Epoch seconds, as is ``due``.
    :ivar attempts: Counted delivery attempts so far.
    """

    id: str
    channel: str
    host: str
    priority: Priority
    size: int
    enqueued: float
    due: float
    attempts: int = 0


class StoredEntry(msgspec.Struct):
    """
    An entry with all that a channel program or an operator needs, but the content.

    :ivar message: The store's number of the message whose content it shares.
    :ivar envelope: Of the whole message but with only this entry's open recipients.
    :ivar envelope_id: Our own id of the arrival, as in its Received field.
    :ivar suspect: Attempts in which the final dot may have gone out and no verdict came.
    :ivar deaths: Programs that died holding it (held at three).
    """

    entry: QueueEntry
    message: int
    state: Lasting
    envelope: Envelope
    source: Source
    envelope_id: str = ""
    last_reply: str = ""
    reason: str = ""
    suspect: int = 0
    deaths: int = 0


class Attempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    One line of an entry's history, as ``qm history`` shows it.

    :ivar when: Epoch seconds.
    :ivar what: A verdict, or what else happened to the entry.
    :ivar text: The next hop's words, or why.
    :ivar host: Who spoke, ``""`` when nobody did.
    """

    when: float
    what: str
    text: str
    recipient: str = ""
    job: str = ""
    host: str = ""


class Submission(msgspec.Struct, frozen=True):
    """
    A message to take responsibility for.

    :ivar content: The whole content, or what :meth:`IMessageStore.stage` gave once it is complete.
    :ivar entries: At least one.
    :ivar envelope: With all recipients of the message.
    """

    envelope: Envelope
    source: Source
    content: "bytes | object"
    size: int
    entries: tuple[NewEntry, ...]
    envelope_id: str = ""
    origin: Origin = Origin.ACCEPTED
    arrived: float = 0.0


class Settlement(msgspec.Struct, frozen=True):
    """
    What one attempt, or one operator's act, did to an entry; applied whole or not at all.

    :ivar losses: Recipients that leave the queue, by how; all others stay.
    :ivar due: New due time of those that stay; ``None`` leaves it.
    :ivar attempts: Counted attempts of those that stay; ``None`` leaves it.
    :ivar history: Lines to remember while the entry lives.
    :ivar notifications: Messages queued in the same commit, before the recipients are gone.
    :ivar state: ``HELD`` sets it aside with ``reason``; ``None`` leaves it.
    """

    id: str
    losses: tuple[tuple[str, Loss], ...] = ()
    due: float | None = None
    attempts: int | None = None
    last_reply: str | None = None
    history: tuple[Attempt, ...] = ()
    notifications: tuple[Submission, ...] = ()
    state: Lasting | None = None
    reason: str | None = None
    suspect: int | None = None
    deaths: int | None = None


__all__ = [
    "Attempt",
    "Disposition",
    "Lasting",
    "Loss",
    "NewEntry",
    "Origin",
    "QueueEntry",
    "Settlement",
    "StoredEntry",
    "Submission",
]
