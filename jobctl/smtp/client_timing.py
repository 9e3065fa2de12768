"""What a deadline means for a transaction with this peer (RFC 2852 section 4.1.4)."""

import math

from jobctl.mail.envelope import DeliverBy, Recipient

_STATUS = "5.4.7"
_MOST_DIGITS = 9


class Timing:
    """
    The deadline of one message, and what the peer knows of deadlines.

    :param left: Seconds to it; ``None``: nobody has looked, it is as long as it was at first.
    :param lmtp: The peer delivers: there is no further hop that would have to mind it.
    :ivar offered: The peer offers DELIVERBY.
    :ivar refusal: Status and words with which all recipients fail, ``None``: it may be sent.
    """

    def __init__(self, by: DeliverBy, left: float | None, extensions: dict[str, str], lmtp: bool) -> None:
        self._by = by
        # Rounded down: nobody is given more time than there is.
        self._left = by.seconds if left is None else math.floor(left)
        self._dsn = "DSN" in extensions
        self.offered = "DELIVERBY" in extensions
        self.refusal = self._refusal(extensions, lmtp) if by.mode == "R" else None

    def parameter(self) -> str:
        """What is said of it at MAIL."""
        return f" BY={self._by.value(self._left)}" if self.offered else ""

    def notify(self, recipient: Recipient) -> str | None:
        """
        The value of NOTIFY.

        A peer that knows of no deadline is at least asked to tell of a delay (section 4.1.4.2).
        """
        given = recipient.notify
        if self.offered or self._by.mode == "R":
            return given
        if given is None:
            return "FAILURE,DELAY"
        words = given.upper().split(",")
        return given if "NEVER" in words or "DELAY" in words else f"{given},DELAY"

    def _refusal(self, extensions: dict[str, str], lmtp: bool) -> tuple[str, str] | None:
        least = shortest(extensions)
        if self._left <= 0:
            return _STATUS, f"the time for its delivery has passed (BY={self._by.text})"
        if not self.offered and not lmtp:
            return _STATUS, (
                f"it is to be returned if it is late (BY={self._by.text}); the next hop does not offer DELIVERBY"
            )
        if self._left < least:
            return _STATUS, (
                f"{self._left} seconds are left for its delivery (BY={self._by.text}); "
                f"the next hop wants {least} at least"
            )
        return None


def shortest(extensions: dict[str, str]) -> int:
    """Seconds that the peer wants at least to have before it returns anything, 0 when it does not say."""
    said = extensions.get("DELIVERBY", "").split(",")[0].strip()
    return int(said) if said.isascii() and said.isdigit() and len(said) <= _MOST_DIGITS else 0
