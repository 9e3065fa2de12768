"""What a deadline that its sender has set means for a message (RFC 2852)."""

from jobctl.mail.entry import Lasting, QueueEntry, StoredEntry
from jobctl.mail.trace import rfc5322_date
from jobctl.schedule.expiry import Life


def ends_by_deadline(entry: QueueEntry, life: Life) -> bool:
    """Whether it is returned because of its deadline, and not of its age."""
    return entry.returns and 0 < entry.deadline < entry.born + life.ages[-1]


def deadline_note(stored: StoredEntry, now: float) -> str:
    """What there is to know of it; only for what has one."""
    by, entry = stored.envelope.by, stored.entry
    assert by is not None
    asked = f"its sender asked for delivery by {rfc5322_date(by.deadline)} (BY={by.text})"
    if by.mode == "R":
        then = "it is returned then"
        if stored.state is Lasting.HELD:
            then = "the time goes on while it is held, and it is returned when it is released later"
    elif entry.deadline > now:
        then = "its sender is told when that has passed"
    else:
        then = "that has passed, and it is tried all the same"
    return f"{asked}: {then}"
