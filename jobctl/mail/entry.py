"""Queue entries and the changes made to them: the values that controller and store exchange."""

from enum import StrEnum

import msgspec

from jobctl.mail.disposition import Disposition
from jobctl.mail.envelope import Envelope, Priority, Recipient, Source


class Lasting(StrEnum):
    """
    The state of an entry as the store keeps it.

    Ready, active and delayed are not stored: a queued entry is active while a
    job holds it, else ready or delayed by its due time.  In grace is what an
    operator has deleted or returned and may still take back: it is in no list
    and no queue, and its recipients stay counted as queued until it is over.
    """

    QUEUED = "queued"
    HELD = "held"
    GRACE = "grace"


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
    """
    One queue entry to be made: the recipients that share a channel and destination host.

    :ivar paused: As :class:`QueueEntry` has it, and so do ``deadline`` and ``returns``.
    """

    channel: str
    host: str
    recipients: tuple[Recipient, ...]
    priority: Priority
    due: float
    state: Lasting = Lasting.QUEUED
    reason: str = ""
    paused: float = 0.0
    deadline: float = 0.0
    returns: bool = False


class QueueEntry(msgspec.Struct, gc=False):
    """
    What the schedule must know of an entry; small, and nothing to the garbage collector, because
    up to ``max_cache_messages`` of them are in memory.

    :ivar id: Unique for ever, ``[0-9A-Za-z]+``, begins with a letter.
    :ivar host: Destination host, lower case; ``""`` behind a gateway (host is irrelevant).
    :ivar size: Octets of content.
    :ivar enqueued: Epoch seconds, as is ``due``.
    :ivar attempts: Counted delivery attempts so far.
    :ivar warned: Age in seconds (one of ``notices``) up to which its sender was told of the delay, 0: not yet.
    :ivar paused: Seconds that do not count as age: it was held, or was not to be sent yet.
    :ivar deadline: Epoch seconds by which its sender wants it to be delivered, 0: it does not matter (any more).
        ``returns``: then it is returned; else its sender is told, once.
    :ivar rule: Number of the retry rule that applies to it, 0: none does, -1: not known.  Not stored: it
        follows from the rest.
    :ivar recipients: Open ones, when it was read; only ``addrsperjob`` asks.
    :ivar share: Whom its turns are counted to (:mod:`jobctl.mail.share`); ``""``: nobody, all are one.
    """

    id: str
    channel: str
    host: str
    priority: Priority
    size: int
    enqueued: float
    due: float
    attempts: int = 0
    warned: float = 0.0
    paused: float = 0.0
    rule: int = -1
    share: str = ""
    deadline: float = 0.0
    returns: bool = False
    recipients: int = 1

    @property
    def born(self) -> float:
        """Epoch seconds from which its age counts."""
        return self.enqueued + self.paused


class StoredEntry(msgspec.Struct):
    """
    An entry with all that a channel program or an operator needs, but the content.

    :ivar message: The store's number of the message whose content it shares.
    :ivar envelope: Of the whole message but with only this entry's open recipients.
    :ivar envelope_id: Our own id of the arrival, as in its Received field.
    :ivar suspect: Attempts in which the final dot may have gone out and no verdict came.
    :ivar deaths: Programs that died of it: it was the only one they held (held at three).
    :ivar held_since: Epoch seconds since which it is held, 0: it is not.
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
    held_since: float = 0.0
    message_id: str = ""
    subject: str = ""
    sensitivity: str = ""


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


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of one recipient, kept for a while after it has left the queue.

    :ivar when: Epoch seconds, as is ``enqueued``.
    :ivar id: The queue entry it was in.
    :ivar source: Channel that the message came in by.
    :ivar attempts: Attempts it took, the last one counted.
    :ivar reply: The last words about it: the next hop's, or why we gave it up.
    :ivar remote: Host that spoke them.
    """

    when: float
    id: str
    enqueued: float
    channel: str
    what: Loss
    recipient: str
    sender: str
    source: str
    envelope_id: str
    message_id: str
    subject: str
    host: str
    size: int
    attempts: int
    reply: str
    remote: str


class Submission(msgspec.Struct, frozen=True):
    """
    A message to take responsibility for.

    :ivar message_id: As its header has it, for log and history; ``subject`` and ``sensitivity`` too.
    :ivar job: The job that brought it, for the log.

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
    message_id: str = ""
    subject: str = ""
    sensitivity: str = ""
    job: str = ""


class Undo(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    How to take back what an operator did to one entry, and until when that is possible.

    :ivar operation: Number of the :class:`jobctl.mail.acts.Act`.
    :ivar until: Epoch seconds.
    :ivar what: Of the act: ``delete``, ``return``, ``move``, ``reroute`` or ``redirect``.
    :ivar state: The entry's before it.
    :ivar place: Channel and host before it, where they were changed.
    :ivar recipients: The open ones before it, where they were changed; ``stand_ins``: by whom, one for each.
    :ivar reason: Of a return, for the notification that goes out when the time is over; of a deletion, by whom.
    """

    operation: int
    until: float
    what: str
    state: Lasting = Lasting.QUEUED
    place: tuple[str, str] | None = None
    recipients: tuple[Recipient, ...] | None = None
    stand_ins: tuple[str, ...] = ()
    reason: str = ""


class Settlement(msgspec.Struct, frozen=True):
    """
    What one attempt, or one operator's act, did to an entry; applied whole or not at all.

    :ivar losses: Recipients that leave the queue, by how; all others stay.
    :ivar due: New due time of those that stay; ``None`` leaves it.
    :ivar attempts: Counted attempts of those that stay; ``None`` leaves it.
    :ivar history: Lines to remember while the entry lives.
    :ivar notifications: Messages queued in the same commit, before the recipients are gone.
        One that is accepted, not generated, carries recipients that were split off: they are lost as moved.
    :ivar state: ``HELD`` sets it aside with ``reason``, and its age stands still until ``QUEUED`` lets it go
        on; ``None`` leaves it.
    :ivar warned: Its sender was told of the delay up to this age; ``None`` leaves it.
    :ivar deadline: The one of those that stay, 0: its sender has been told that it has passed; ``None`` leaves it.
    :ivar rule: The retry rule that applies from now on; for the schedule, not stored.
    :ivar place: Channel and host that those that stay go to; ``None`` leaves them.
    :ivar recipients: Who stands in for those that stay: they are counted as moved, these as accepted.
    :ivar undo: How to take it back, kept until its time is over; for what is split off, too.
    :ivar ended: Operation that can no longer be undone for this entry.  Only with it an entry leaves ``GRACE``.
    :ivar said: For log and history: what was said of its recipients, those that leave above all.
    :ivar job: The job whose attempt it was.
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
    place: tuple[str, str] | None = None
    recipients: tuple[Recipient, ...] | None = None
    priority: Priority | None = None
    undo: Undo | None = None
    ended: int | None = None
    warned: float | None = None
    deadline: float | None = None
    rule: int | None = None
    said: tuple[Disposition, ...] = ()
    job: str = ""


def paused(so_far: float, held_since: float, state: Lasting, now: float) -> tuple[float, float]:
    """
    Seconds that do not count as age, and since when an entry is held (0: it is not).

    :param state: What it becomes at ``now``.
    """
    if state is not Lasting.QUEUED:
        return so_far, held_since or now
    return so_far + (max(now - held_since, 0.0) if held_since else 0.0), 0.0


__all__ = [
    "Attempt",
    "Disposition",
    "Finished",
    "Lasting",
    "Loss",
    "NewEntry",
    "Origin",
    "QueueEntry",
    "Settlement",
    "StoredEntry",
    "Submission",
    "Undo",
    "paused",
]
