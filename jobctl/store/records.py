"""How entries and messages are written in rows: values to JSON text with a checksum, and back."""

from zlib import crc32

import msgspec

from jobctl.errors import StoreError
from jobctl.mail.entry import Finished, Lasting, Loss, QueueEntry, StoredEntry
from jobctl.mail.envelope import Envelope, Priority, Recipient, Source
from jobctl.mail.share import named

# Content up to this size lies in the database, larger content in a file.
INLINE = 64 * 1024

QUEUED, HELD, DAMAGED, GRACE = 0, 1, 2, 3
STATE_NUMBER = {Lasting.QUEUED: QUEUED, Lasting.HELD: HELD, Lasting.GRACE: GRACE}
STATE = {number: state for state, number in STATE_NUMBER.items()}

encode = msgspec.json.Encoder().encode

# Characters of a reply that are kept with a finished recipient.
MOST_REPLY = 500
# How recipients leave, as numbers: the order never changes.
_LOSSES = (Loss.DELIVERED, Loss.RELAYED, Loss.FAILED, Loss.EXPIRED, Loss.DELETED, Loss.MOVED)
_LOSS_NUMBER = {loss: number for number, loss in enumerate(_LOSSES)}
ATTEMPTED = frozenset({Loss.DELIVERED, Loss.RELAYED, Loss.FAILED})


class Damage(StoreError):
    """A row does not say what was written; ``why`` for the log."""


class Head(msgspec.Struct, frozen=True, omit_defaults=True):
    """What all entries of a message share, beside its content."""

    envelope: Envelope
    source: Source
    envelope_id: str = ""
    message_id: str = ""
    subject: str = ""
    sensitivity: str = ""

    def facts(self) -> bytes:
        """What is kept of it with its finished recipients."""
        return encode(
            (self.envelope.sender, self.source.channel, self.envelope_id, self.message_id, self.subject)
        )


class FinishedDetail(msgspec.Struct, frozen=True, array_like=True):
    """
    What no query of finished messages asks for in its own column.

    :ivar facts: :meth:`Head.facts`.
    """

    facts: tuple[str, str, str, str, str]
    host: str
    size: int
    attempts: int
    reply: str
    remote: str


class Detail(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    What only one entry has and no query asks for.

    :ivar recipients: Those still open; ``None``: all of the message's.
    :ivar held_since: Epoch seconds, 0: it is not held.
    """

    recipients: tuple[Recipient, ...] | None = None
    last_reply: str = ""
    reason: str = ""
    suspect: int = 0
    deaths: int = 0
    warned: float = 0.0
    paused: float = 0.0
    held_since: float = 0.0
    deadline: float = 0.0
    returns: bool = False


_NO_DETAIL = Detail()
_read_head = msgspec.json.Decoder(Head).decode
_read_detail = msgspec.json.Decoder(Detail).decode


def microseconds(seconds: float) -> int:
    """Times are stored as whole microseconds: SQLite's text form of a float would lose some digits."""
    return round(seconds * 1_000_000)


def seconds(microseconds: int) -> float:
    """The inverse of :func:`microseconds`, exact until the year 2112."""
    return microseconds / 1_000_000


def stored_time(value: float) -> float:
    """A time as it is after storing and reading."""
    return seconds(microseconds(value))


def name(text: str) -> str:
    """
    A channel, host or author as a column of its own; SQLite's JSON would cut it at a NUL.

    :raises StoreError: It has one.
    """
    if "\0" in text:
        raise StoreError(f"no name may contain NUL: {text!r}")
    return text


class Row(msgspec.Struct, gc=False):
    """
    One entry as the writer knows it.

    :ivar recipients: The open ones; ``whole``: all of the message's.
    :ivar facts: :meth:`Head.facts`, for when its recipients leave.
    """

    id: int
    message: int
    channel: str
    host: str
    state: int
    priority: int
    size: int
    enqueued: int
    due: int
    attempts: int
    recipients: tuple[Recipient, ...]
    whole: bool
    last_reply: str = ""
    reason: str = ""
    suspect: int = 0
    deaths: int = 0
    warned: float = 0.0
    paused: float = 0.0
    held_since: float = 0.0
    facts: bytes = b""
    deadline: float = 0.0
    returns: bool = False

    def finished(self, at: int, recipient: str, loss: Loss, reply: str, remote: str) -> bytes:
        """The row that remembers a recipient who leaves, as a JSON array."""
        attempts = self.attempts + 1 if loss in ATTEMPTED else self.attempts
        facts = msgspec.Raw(self.facts)
        detail = (facts, self.host, self.size, attempts, (reply or self.last_reply)[:MOST_REPLY], remote)
        return encode((at, self.id, self.enqueued, self.channel, _LOSS_NUMBER[loss], recipient, detail))

    def record(self) -> bytes:
        """The row's columns as a JSON array, in the order of the table."""
        detail = b""
        given = Detail(
            None if self.whole else self.recipients,
            self.last_reply,
            self.reason,
            self.suspect,
            self.deaths,
            self.warned,
            self.paused,
            self.held_since,
            self.deadline,
            self.returns,
        )
        if given != _NO_DETAIL:
            detail = encode(given)
        return encode(
            (
                self.id,
                self.message,
                name(self.channel),
                name(self.host),
                self.state,
                self.priority,
                self.size,
                len(self.recipients),
                self.enqueued,
                self.due,
                self.attempts,
                crc32(detail),
                detail.decode(),
            )
        )


def head_of(text: str | None, crc: int | None) -> Head:
    """:raises Damage: The message's row is missing or not as written."""
    if text is None:
        raise Damage("the message of the entry is missing")
    data = text.encode()
    if crc32(data) != crc:
        raise Damage("the envelope's checksum is wrong")
    try:
        return _read_head(data)
    except msgspec.MsgspecError as why:
        raise Damage(f"the envelope cannot be read: {why}") from why


def detail_of(text: str, crc: int) -> Detail:
    """:raises Damage: It is not as written."""
    data = text.encode()
    if crc32(data) != crc:
        raise Damage("the entry's checksum is wrong")
    if not data:
        return _NO_DETAIL
    try:
        return _read_detail(data)
    except msgspec.MsgspecError as why:
        raise Damage(f"the entry cannot be read: {why}") from why


# Columns of queries that give whole entries, and their shape.
ENTRY_COLUMNS = (
    "e.id, e.message, e.channel, e.host, e.state, e.priority, e.size, e.enqueued, e.due, e.attempts, "
    "e.crc, e.detail, m.head_crc, m.head"
)
EntryRecord = tuple[int, int, str, str, int, int, int, int, int, int, int, str, int | None, str | None]
# Columns of queries for the schedule.
QUEUE_COLUMNS = (
    "e.id, e.channel, e.host, e.priority, e.size, e.enqueued, e.due, e.attempts, e.crc, e.detail, "
    "e.recipients"
)
# The last is where the share is made of (jobctl.mail.share), if it is wanted.
QueueRecord = tuple[int, str, str, int, int, int, int, int, int, str, int, str | None]

_PRIORITY = {priority.value: priority for priority in Priority}


def priority_of(number: int) -> Priority:
    """:raises Damage: There is no such priority."""
    try:
        return _PRIORITY[number]
    except KeyError:
        raise Damage(f"there is no priority {number}") from None


def row_of(record: EntryRecord) -> Row:
    """:raises Damage: Something in it is not as written."""
    (
        number,
        message,
        channel,
        host,
        state,
        priority,
        size,
        enqueued,
        due,
        attempts,
        crc,
        text,
        head_crc,
        head,
    ) = record
    detail = detail_of(text, crc)
    recipients = detail.recipients
    shared = head_of(head, head_crc)
    return Row(
        id=number,
        message=message,
        channel=channel,
        host=host,
        state=state,
        priority=priority_of(priority).value,
        size=size,
        enqueued=enqueued,
        due=due,
        attempts=attempts,
        recipients=shared.envelope.recipients if recipients is None else recipients,
        whole=recipients is None,
        last_reply=detail.last_reply,
        reason=detail.reason,
        suspect=detail.suspect,
        deaths=detail.deaths,
        warned=detail.warned,
        paused=detail.paused,
        held_since=detail.held_since,
        facts=shared.facts(),
        deadline=detail.deadline,
        returns=detail.returns,
    )


def queue_entry(text_id: str, record: QueueRecord, share_by: str) -> QueueEntry:
    """:raises Damage: Something in it is not as written."""
    return _queue_entry(text_id, record, detail_of(record[9], record[8]), named(share_by, record[11]))


def _queue_entry(text_id: str, record: QueueRecord, detail: Detail, share: str = "") -> QueueEntry:
    _, channel, host, priority, size, enqueued, due, attempts, _, _, recipients, _ = record
    return QueueEntry(
        id=text_id,
        channel=channel,
        host=host,
        priority=priority_of(priority),
        size=size,
        enqueued=seconds(enqueued),
        due=seconds(due),
        attempts=attempts,
        warned=detail.warned,
        paused=detail.paused,
        share=share,
        deadline=detail.deadline,
        returns=detail.returns,
        recipients=recipients,
    )


def stored_entry(text_id: str, record: EntryRecord) -> StoredEntry:
    """:raises Damage: Something in it is not as written."""
    (
        number,
        message,
        channel,
        host,
        state,
        priority,
        size,
        enqueued,
        due,
        attempts,
        crc,
        text,
        head_crc,
        head,
    ) = record
    detail = detail_of(text, crc)
    shared = head_of(head, head_crc)
    envelope = shared.envelope
    if detail.recipients is not None:
        envelope = with_recipients(envelope, detail.recipients)
    count = len(envelope.recipients)
    return StoredEntry(
        entry=_queue_entry(
            text_id,
            (number, channel, host, priority, size, enqueued, due, attempts, crc, text, count, None),
            detail,
        ),
        message=message,
        state=STATE[state],
        envelope=envelope,
        source=shared.source,
        envelope_id=shared.envelope_id,
        last_reply=detail.last_reply,
        reason=detail.reason,
        suspect=detail.suspect,
        deaths=detail.deaths,
        held_since=detail.held_since,
        message_id=shared.message_id,
        subject=shared.subject,
        sensitivity=shared.sensitivity,
    )


FINISHED_COLUMNS = "at, entry, enqueued, channel, what, recipient, detail"
FinishedRecord = tuple[int, int, int, str, int, str, str]
_read_finished = msgspec.json.Decoder(FinishedDetail).decode


def finished_of(text_id: str, record: FinishedRecord) -> Finished:
    """:raises Damage: Something in it is not as written."""
    at, _, enqueued, channel, what, recipient, text = record
    try:
        detail = _read_finished(text)
        loss = _LOSSES[what]
    except (msgspec.MsgspecError, IndexError) as why:
        raise Damage(f"the record of a finished message cannot be read: {why}") from why
    sender, source, envelope_id, message_id, subject = detail.facts
    return Finished(
        when=seconds(at),
        id=text_id,
        enqueued=seconds(enqueued),
        channel=channel,
        what=loss,
        recipient=recipient,
        sender=sender,
        source=source,
        envelope_id=envelope_id,
        message_id=message_id,
        subject=subject,
        host=detail.host,
        size=detail.size,
        attempts=detail.attempts,
        reply=detail.reply,
        remote=detail.remote,
    )


def with_recipients(envelope: Envelope, recipients: tuple[Recipient, ...]) -> Envelope:
    """The same envelope for only these recipients."""
    return msgspec.structs.replace(envelope, recipients=recipients)
