"""The verdict on one recipient, as a channel program gives it."""

from enum import StrEnum

import msgspec


class Verdict(StrEnum):
    """
    What became of a recipient in one attempt.

    ``relayed`` is delivered to a system that does DSN itself; ``delivered`` is
    final delivery, or a next hop without DSN (RFC 3464 section 2.3.3).
    """

    DELIVERED = "delivered"
    RELAYED = "relayed"
    DEFERRED = "deferred"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Nothing more will be tried for this recipient."""
        return self is not Verdict.DEFERRED


class Disposition(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    :ivar recipient: The address as the envelope has it.
    :ivar status: RFC 3463 status, ``5.1.1``; its class agrees with the verdict.
    :ivar reply: The next hop's words, unedited, with code: ``550 5.1.1 no such user``; or our own reason.
    :ivar remote: Name or address of the host that spoke, ``""`` when none did.
    :ivar transport: The connection, ``TCP|local|port|remote|port``, when known.
    :ivar timed: The next hop was told of the message's deadline and minds it (RFC 2852).
    """

    recipient: str
    verdict: Verdict
    status: str = ""
    reply: str = ""
    remote: str = ""
    transport: str = ""
    timed: bool = False
