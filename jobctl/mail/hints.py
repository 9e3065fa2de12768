"""What a message's own header asks of, and tells to, the queue."""

from email.utils import mktime_tz, parsedate_tz

import msgspec

from jobctl.mail.envelope import Priority
from jobctl.mail.trace import received_count

# RFC 2156 section 5.3.6; there is nothing like our second and third class.
_PRIORITY = {b"urgent": Priority.URGENT, b"normal": Priority.NORMAL, b"non-urgent": Priority.NONURGENT}


class Hints(msgspec.Struct, frozen=True):
    """
    :ivar received: Received fields.
    :ivar priority: What ``Priority:`` says (RFC 2156), if it says anything.
    :ivar not_before: The date of ``Deferred-Delivery:`` in epoch seconds (RFC 2156).
    :ivar hold_until: Epoch seconds before which its sender does not want it released (RFC 4865); not of the header.
    :ivar delivered_to: Mailboxes that it has been delivered to before, in lower case.
    """

    received: int = 0
    priority: Priority | None = None
    not_before: float | None = None
    hold_until: float | None = None
    delivered_to: frozenset[str] = frozenset()


NO_HINTS = Hints()


def hints_of(beginning: bytes) -> Hints:
    """
    Read them.

    :param beginning: Of the content; what follows the first empty line is not looked at.
    """
    end = beginning.find(b"\r\n\r\n")
    header = beginning if end < 0 else beginning[: end + 2]
    received = received_count(header)
    low = b"\n" + header.lower()
    # Nearly all mail has none of these: three looks for a text, and nothing is taken apart.
    if b"\npriority:" in low or b"\ndeferred-delivery:" in low or b"\ndelivered-to:" in low:
        priorities, dates, boxes = (
            _values(header, low, name) for name in (b"priority", b"deferred-delivery", b"delivered-to")
        )
        return Hints(
            received,
            _PRIORITY.get(priorities[0].lower()) if priorities else None,
            _time(dates[0]) if dates else None,
            delivered_to=frozenset(box.lower().decode("utf-8", "replace") for box in boxes),
        )
    return NO_HINTS if not received else Hints(received)


def _values(header: bytes, low: bytes, name: bytes) -> list[bytes]:
    """The bodies of fields of this name, unfolded."""
    found = []
    start = low.find(b"\n" + name + b":")
    while start >= 0:
        # ``low`` has one octet more in front.
        body = start + len(name) + 1
        end = header.find(b"\r\n", body)
        while end >= 0 and header[end + 2 : end + 3] in (b" ", b"\t"):
            end = header.find(b"\r\n", end + 2)
        value = header[body:] if end < 0 else header[body:end]
        found.append(b" ".join(value.split()))
        start = low.find(b"\n" + name + b":", body)
    return found


def _time(date: bytes) -> float | None:
    try:
        parsed = parsedate_tz(date.decode("ascii"))
        return None if parsed is None else float(mktime_tz(parsed))
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
