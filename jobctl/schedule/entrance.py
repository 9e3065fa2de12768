"""With what priority, from when on, and whether at all for now, new mail is tried."""

from jobctl.config.settings import REPROCESS, ChannelSettings
from jobctl.mail.entry import Lasting, NewEntry
from jobctl.mail.envelope import DeliverBy, Priority, Recipient
from jobctl.mail.hints import Hints
from jobctl.schedule.backoff import demoted, first_attempt

# Seconds: a Deferred-Delivery date further away is a mistake, or malice, and is not honoured.
LONGEST_DEFERMENT = 366 * 86400.0


def new_entry(
    channel: ChannelSettings,
    host: str,
    recipients: tuple[Recipient, ...],
    priority: Priority,
    size: int,
    now: float,
    hints: Hints,
    cause: str,
    by: DeliverBy | None = None,
) -> NewEntry:
    """
    One entry of a message that comes in.

    Its age does not count before the date of its Deferred-Delivery field: who asks for a later
    delivery is not to be told that it is late.

    :param size: Octets.
    :param now: Epoch seconds.
    :param cause: Why the whole message is to be held, ``""``: it is not.
    :param by: Its deadline, if it has one: that comes whatever is waited for.
    """
    priority = demoted(channel, priority, size)
    due = first_attempt(channel, priority, now)
    paused = 0.0
    date = hints.not_before
    if channel.deferred and date is not None and now < date <= now + LONGEST_DEFERMENT:
        due, paused = max(due, date), date - now
    if hints.hold_until is not None and hints.hold_until > now:
        due, paused = max(due, hints.hold_until), max(paused, hints.hold_until - now)
    if not cause and hints.delivered_to and delivers_finally(channel):
        cause = _been_there(recipients, hints)
    return NewEntry(
        channel=channel.name,
        host=host,
        recipients=recipients,
        priority=priority,
        due=due,
        state=Lasting.HELD if cause else Lasting.QUEUED,
        reason=cause,
        paused=paused,
        deadline=0.0 if by is None else by.awaited,
        returns=by is not None and by.mode == "R",
    )


def delivers_finally(channel: ChannelSettings) -> bool:
    """Whether what the channel takes has arrived: mailboxes and programs, but not the next hop's SMTP server."""
    if channel.name == REPROCESS:
        return False
    return channel.maildir is not None or channel.lmtp or channel.smtp == "nosmtp"


def _been_there(recipients: tuple[Recipient, ...], hints: Hints) -> str:
    """As qmail's and Postfix's local delivery have it: no mailbox is delivered to twice by one message."""
    for recipient in recipients:
        if recipient.address.lower() in hints.delivered_to:
            return f"mail loop: it has been delivered to {recipient.address} before (Delivered-To)"
    return ""
