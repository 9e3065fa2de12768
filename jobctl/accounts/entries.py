"""What happens to mail and connections -> records of the transaction log."""

from collections.abc import Iterator, Sequence

from jobctl.accounts.records import (
    ABORTED,
    AUTHENTICATION,
    BAD_COMMAND,
    CLOSED,
    DEFERRED,
    DELIVERED,
    DENIED,
    ENQUEUED,
    ETRN,
    FAILED,
    OPENED,
    PARTIAL,
    REFUSED,
    REJECTED,
    RETURNED,
    UNTOLD,
    WARNED,
    ConnectionRecord,
    MailRecord,
)
from jobctl.jobprotocol.frames import Event
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.entry import Loss, NewEntry, Settlement, StoredEntry, Submission
from jobctl.mail.envelope import Envelope, Recipient, Source
from jobctl.mail.xtext import decode_xtext
from jobctl.notification.notice import Kind, wants

# What programs tell of connections, by the log's letters.
_CONNECTION_ACTIONS = {
    "opened": OPENED,
    "closed": CLOSED,
    "cut": REJECTED,
    "rejected": REJECTED,
    "denied": DENIED,
    "failed": FAILED,
    "etrn": ETRN,
    "auth": AUTHENTICATION,
}
_MAIL_ACTIONS = {"bad_command": BAD_COMMAND, "refused": REFUSED, "aborted": ABORTED}

_REACHED = (Loss.DELIVERED, Loss.RELAYED)


def original(recipient: Recipient) -> str:
    """``rfc822;address``: what the message's sender called a recipient (RFC 3461 section 4.2)."""
    return decode_xtext(recipient.orcpt) if recipient.orcpt else f"rfc822;{recipient.address}"


def file_name(entry_id: str, attempts: int) -> str:
    """The queue entry, and how often it has been tried: ``Q1A.02``."""
    return f"{entry_id}.{attempts:02}"


def client(source: Source) -> str:
    """Who brought a message: ``client.example([192.0.2.1])``, as far as it is known."""
    fields = source.transport.split("|")
    address = f"[{fields[3]}]" if len(fields) == 5 and fields[3] else ""
    name = source.application.split("/")[1] if "/" in source.application else ""
    return f"{name}({address})" if name and address else name or address


def enqueued(entry_id: str, new: NewEntry, submission: Submission, now: float) -> Iterator[MailRecord]:
    """One entry of a message that has come in."""
    source, envelope = submission.source, submission.envelope
    for recipient in new.recipients:
        yield MailRecord(
            when=now,
            action=ENQUEUED,
            modifiers=source.modifiers,
            source=source.channel,
            destination=new.channel,
            size=submission.size,
            sender=envelope.sender,
            original=original(recipient),
            recipient=recipient.address,
            job=submission.job,
            notify=recipient.notify or "",
            file=file_name(entry_id, 0),
            envelope_id=_envid(envelope),
            message_id=submission.message_id,
            user=source.user or "",
            system=client(source),
            sensitivity=submission.sensitivity,
            priority=new.priority.word,
            reason=new.reason,
            transport=source.transport,
            application=source.application,
        )


def settled(stored: StoredEntry, settlement: Settlement, now: float) -> Iterator[MailRecord]:
    """
    What a settlement did to each recipient that was open.

    Who stays is told of where there was an attempt, or a warning went out.
    """
    said = {one.recipient: one for one in settlement.said}
    losses = dict(settlement.losses)
    partial = any(loss in _REACHED for loss in losses.values())
    warned = (settlement.warned or settlement.deadline) is not None and bool(settlement.notifications)
    moved = settlement.recipients is not None or (
        settlement.place is not None and settlement.place[0] != stored.entry.channel
    )
    for recipient in stored.envelope.recipients:
        one = said.get(recipient.address)
        loss = losses.get(recipient.address)
        if loss is None and moved:
            loss = Loss.MOVED
        action = _left(stored.envelope, recipient, loss) if loss is not None else ""
        if loss is None:
            if settlement.job or (one is not None and one.verdict is Verdict.DEFERRED):
                action = PARTIAL if partial else DEFERRED
            elif warned and wants(stored.envelope, recipient, Kind.DELAYED):
                action = WARNED
        if action:
            yield _of(stored, recipient, one, action, settlement, now)


def _left(envelope: Envelope, recipient: Recipient, loss: Loss) -> str:
    if loss in _REACHED or loss is Loss.MOVED:
        return DELIVERED
    told = loss is not Loss.DELETED and wants(envelope, recipient, Kind.FAILED)
    return RETURNED if told else UNTOLD


def _of(
    stored: StoredEntry,
    recipient: Recipient,
    said: Disposition | None,
    action: str,
    settlement: Settlement,
    now: float,
) -> MailRecord:
    entry = stored.entry
    words = said.reply or said.status if said is not None else settlement.last_reply or ""
    return MailRecord(
        when=now,
        action=action,
        source=entry.channel,
        size=entry.size,
        sender=stored.envelope.sender,
        original=original(recipient),
        recipient=recipient.address,
        job=settlement.job,
        notify=recipient.notify or "",
        file=file_name(entry.id, entry.attempts),
        envelope_id=_envid(stored.envelope),
        message_id=stored.message_id,
        user=stored.source.user or "",
        system=said.remote if said is not None else "",
        sensitivity=stored.sensitivity,
        priority=entry.priority.word,
        reason=settlement.reason or _moved(settlement),
        diagnostic=words,
        remote=said.remote if said is not None else "",
        transport=said.transport if said is not None else "",
        queued=now - entry.enqueued,
    )


def aborted(envelope: Envelope, source: Source, job: str, received: int, now: float) -> Iterator[MailRecord]:
    """A message that was never received whole, and of which nobody is owed anything."""
    for recipient in envelope.recipients:
        yield MailRecord(
            when=now,
            action=ABORTED,
            modifiers=source.modifiers,
            source=source.channel,
            size=received,
            sender=envelope.sender,
            original=original(recipient),
            recipient=recipient.address,
            job=job,
            envelope_id=_envid(envelope),
            user=source.user or "",
            system=client(source),
            transport=source.transport,
            application=source.application,
        )


def moved(
    stored: StoredEntry, channel: str, recipients: Sequence[Recipient], now: float
) -> Iterator[MailRecord]:
    """The other side of a move: those that an entry has in its new channel."""
    entry = stored.entry
    for recipient in recipients:
        yield MailRecord(
            when=now,
            action=ENQUEUED,
            source=entry.channel,
            destination=channel,
            size=entry.size,
            sender=stored.envelope.sender,
            original=original(recipient),
            recipient=recipient.address,
            file=file_name(entry.id, entry.attempts),
            envelope_id=_envid(stored.envelope),
            message_id=stored.message_id,
            user=stored.source.user or "",
            sensitivity=stored.sensitivity,
            priority=entry.priority.word,
        )


def told(
    channel: str, inbound: bool, job: str, event: Event, now: float, site: bool = False
) -> MailRecord | ConnectionRecord | None:
    """
    What a program told of a connection; ``None`` for what the log has no letter for.

    :param site: With what the site has to say of it.
    """
    if event.event in _MAIL_ACTIONS:
        action = _MAIL_ACTIONS[event.event]
        return MailRecord(
            when=now,
            action=action,
            modifiers=event.modifiers,
            source=channel,
            sender=event.sender,
            original=f"rfc822;{event.recipient}" if action != BAD_COMMAND and event.recipient else "",
            recipient=event.recipient,
            job=job,
            user=event.user,
            system=client(Source(channel, event.transport, event.application)),
            diagnostic=event.text,
            transport=event.transport,
            application=event.application,
        )
    if event.event not in _CONNECTION_ACTIONS:
        return None
    return ConnectionRecord(
        when=now,
        action=_CONNECTION_ACTIONS[event.event],
        channel=channel,
        inbound=inbound,
        modifiers=event.modifiers,
        job=job,
        transport=event.transport,
        application=event.application,
        user=event.user,
        diagnostic=": ".join(filter(None, (event.recipient, event.text, event.site if site else ""))),
    )


def _envid(envelope: Envelope) -> str:
    return decode_xtext(envelope.envid) if envelope.envid else ""


def _moved(settlement: Settlement) -> str:
    if settlement.recipients is not None:
        return "redirected to " + ", ".join(one.address for one in settlement.recipients)
    return f"moved to {settlement.place[0]}" if settlement.place is not None else ""
