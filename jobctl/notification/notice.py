"""What a notification tells, before it is written."""

from enum import StrEnum

import msgspec

from jobctl.mail.disposition import Disposition
from jobctl.mail.entry import Attempt
from jobctl.mail.envelope import Envelope, Recipient


class Kind(StrEnum):
    """
    What became of the recipients that a notification is about.

    The first three are failures: refused, too old, given back by an operator.
    ``relayed`` went to a system that will tell nothing more (RFC 3464 section 2.3.3); ``passed`` is a relay
    of which it is told because of a deadline (RFC 2852 section 4).
    """

    FAILED = "failed"
    TIMEDOUT = "timedout"
    BOUNCED = "bounced"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    PASSED = "passed"

    @property
    def failure(self) -> bool:
        """Recipients are given up."""
        return self in _FAILURES

    @property
    def action(self) -> str:
        """The Action field (RFC 3464 section 2.3.3)."""
        if self in _FAILURES:
            return "failed"
        return "relayed" if self is Kind.PASSED else self.value

    @property
    def success(self) -> bool:
        """Recipients were reached, as far as we can tell."""
        return self in _SUCCESSES


_FAILURES = frozenset({Kind.FAILED, Kind.TIMEDOUT, Kind.BOUNCED})
_SUCCESSES = frozenset({Kind.DELIVERED, Kind.RELAYED, Kind.PASSED})
_WORD = {Kind.DELAYED: "DELAY", Kind.DELIVERED: "SUCCESS", Kind.RELAYED: "SUCCESS"}


class Original(msgspec.Struct, frozen=True):
    """
    What is known of the message that a notification is about.

    :ivar content: The whole of it or its beginning, with the header if possible.
    :ivar history: What was tried before, oldest first.
    """

    content: bytes = b""
    history: tuple[Attempt, ...] = ()


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """
    All that a notification tells about one message.

    :ivar to: Whom it is sent to: the sender, or the postmaster who gets a copy.
    :ivar copy: It goes to the postmaster; ``told`` whether the sender gets one, too.
    :ivar envelope: As the message was queued.
    :ivar verdicts: The recipients that it is about, with what became of each.
    :ivar octets: The original's whole size.
    :ivar whole: The original is to be quoted whole, if RET does not forbid it.
    :ivar addresses: Which form of a recipient that was readdressed is shown: ``includefinal``,
        ``useintermediate`` or ``suppressfinal``.
    :ivar arrived: Epoch seconds, as are ``now`` and ``until``, when it will be given up.
    :ivar channel_host: Official host name of the channel, a comment beside our name.
    :ivar postmaster: The address in From, ``personal`` the name beside it, ``""``: that of the texts.
    :ivar envelope_id: Our own id of its arrival, for the reader who asks us about it.
    :ivar unique: Text for Message-ID and boundary, ``[0-9A-Za-z.]+``; never used before.
    """

    kind: Kind
    to: str
    envelope: Envelope
    verdicts: tuple[Disposition, ...]
    original: Original
    octets: int
    arrived: float
    now: float
    local_host: str
    channel_host: str
    postmaster: str
    unique: str
    envelope_id: str = ""
    personal: str = ""
    whole: bool = True
    copy: bool = False
    told: bool = True
    addresses: str = "useintermediate"
    until: float | None = None


def wants(envelope: Envelope, recipient: Recipient, kind: Kind) -> bool:
    """
    Whether the sender is to hear of it (RFC 3461 section 4.1, RFC 5321 section 6.1).

    Failures and delays are told unless NOTIFY says otherwise, success only where it asks for it; what is
    told because of a deadline unless it is NEVER.
    """
    if not envelope.sender:
        return False
    if kind is Kind.PASSED:
        return envelope.by is not None and (recipient.notify is None or recipient.notify.upper() != "NEVER")
    word = _WORD.get(kind, "FAILURE")
    if recipient.notify is None:
        return word != "SUCCESS"
    return word in recipient.notify.upper().split(",")
