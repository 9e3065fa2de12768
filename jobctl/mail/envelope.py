"""The envelope: what travels beside the content and decides where it goes (RFC 5321 section 2.3.1)."""

from enum import IntEnum

import msgspec


class Priority(IntEnum):
    """Lower goes first.  Second and third class are reached by size demotion only."""

    URGENT = 0
    NORMAL = 1
    NONURGENT = 2
    SECOND_CLASS = 3
    THIRD_CLASS = 4

    @classmethod
    def named(cls, name: str) -> "Priority":
        """:raises KeyError: No such priority (``urgent``, ``normal``, ``nonurgent`` ...)."""
        return cls[name.upper().replace("-", "_").replace("NON_URGENT", "NONURGENT")]

    @property
    def word(self) -> str:
        """The name used on the wire, in lists and in the configuration."""
        return self.name.lower()


class Recipient(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    One forward-path.

    :ivar address: ``local@domain`` as given, without angle brackets.
    :ivar notify: The value of NOTIFY as given (``SUCCESS,DELAY``), ``None`` when not given (RFC 3461 4.1).
    :ivar orcpt: The value of ORCPT as given, still in xtext (``rfc822;bob@b.example``).
    :ivar intermediate: The address as it came in, where our rules have made another of it.
    """

    address: str
    notify: str | None = None
    orcpt: str | None = None
    intermediate: str | None = None


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    Sender, recipients and the ESMTP parameters that must not be lost.

    :ivar sender: Reverse-path without brackets; ``""`` is the null sender ``<>``.
    :ivar ret: ``FULL`` or ``HDRS`` (RFC 3461 4.3), ``envid`` still in xtext (4.4).
    :ivar body: ``7BIT`` or ``8BITMIME`` when declared (RFC 6152).
    :ivar smtputf8: SMTPUTF8 was given (RFC 6531).
    :ivar auth: The AUTH= parameter of MAIL, xtext (RFC 4954 5).
    :ivar mt_priority: -9 to 9 (RFC 6710), ``None`` when not given.
    :ivar hold_for: Seconds from arrival before which it is not to be released; ``hold_until``: the same as
        a date and time, ``2026-11-25T18:00:00Z`` (RFC 4865).
    """

    sender: str
    recipients: tuple[Recipient, ...]
    ret: str | None = None
    envid: str | None = None
    body: str | None = None
    smtputf8: bool = False
    auth: str | None = None
    mt_priority: int | None = None
    hold_for: int | None = None
    hold_until: str | None = None


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    How a message came to us; feeds the log, access checks and DSNs.

    :ivar channel: Source channel.
    :ivar transport: ``TCP|local-ip|local-port|remote-ip|remote-port`` with us first, or ``""``.
    :ivar application: ``SMTP/<helo name>``, or ``""`` when it was not SMTP.
    :ivar user: Authenticated user, if any.
    :ivar modifiers: Letters of ``ACELS``, sorted, for the log: authenticated, BDAT, ESMTP, LMTP, TLS.
    """

    channel: str
    transport: str = ""
    application: str = ""
    user: str | None = None
    modifiers: str = ""
