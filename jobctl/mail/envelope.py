"""The envelope: what travels beside the content and decides where it goes (RFC 5321 section 2.3.1)."""

import re
from enum import IntEnum
from typing import Annotated, Literal

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


# RFC 2852 section 4: nine digits, with a sign.
MOST_BY = 999_999_999
_BY = re.compile(r"([+-]?[0-9]{1,9});([NR])(T?)", re.IGNORECASE | re.ASCII)


class DeliverBy(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    By when the sender wants it to be delivered (RFC 2852).

    :ivar seconds: From its arrival, as BY= has it; 0 and less (mode ``N`` only): it is late already.
    :ivar mode: ``R``: later it is returned; ``N``: then its sender is told, and it is delivered all the same.
    :ivar trace: Its sender wants to know of each relay.
    :ivar deadline: Epoch seconds, 0: the Job Controller says when it takes the message.
    """

    seconds: Annotated[int, msgspec.Meta(ge=-MOST_BY, le=MOST_BY)]
    mode: Literal["N", "R"]
    trace: bool = False
    deadline: float = 0.0

    @property
    def text(self) -> str:
        """The parameter of MAIL, as it was given."""
        return self.value(self.seconds)

    def value(self, seconds: int) -> str:
        """The value of BY= with so many seconds left."""
        return f"{min(max(seconds, -MOST_BY), MOST_BY)};{self.mode}{'T' if self.trace else ''}"

    @classmethod
    def parsed(cls, text: str) -> "DeliverBy":
        """
        The value of BY= (RFC 2852 section 4).

        :raises ValueError: It is none; the words say why.
        """
        found = _BY.fullmatch(text)
        if found is None:
            raise ValueError("BY takes seconds of at most 9 digits, a semicolon, and N, R, NT or RT")
        by = cls(int(found[1]), "R" if found[2] in "rR" else "N", bool(found[3]))
        if by.mode == "R" and by.seconds <= 0:
            raise ValueError("BY with R takes more than 0 seconds")
        return by

    @property
    def awaited(self) -> float:
        """Epoch seconds of a deadline of which nobody has been told yet, 0: there is none."""
        return self.deadline if self.seconds > 0 else 0.0


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    Sender, recipients and the ESMTP parameters that must not be lost.

    :ivar sender: Reverse-path without brackets; ``""`` is the null sender ``<>``.
    :ivar ret: ``FULL`` or ``HDRS`` (RFC 3461 4.3), ``envid`` still in xtext (4.4).
    :ivar body: ``7BIT`` or ``8BITMIME`` when declared (RFC 6152); the latter also of what was found to be so.
    :ivar smtputf8: SMTPUTF8 was given (RFC 6531).
    :ivar auth: The AUTH= parameter of MAIL, xtext (RFC 4954 5).
    :ivar mt_priority: -9 to 9 (RFC 6710), ``None`` when not given.
    :ivar hold_for: Seconds from arrival before which it is not to be released; ``hold_until``: the same as
        a date and time, ``2026-11-25T18:00:00Z`` (RFC 4865).
    :ivar by: By when it is to be delivered (RFC 2852), ``None`` when that was not given.
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
    by: DeliverBy | None = None

    def with_eight_bits(self) -> "Envelope":
        """Of content with octets above 127, whatever was declared: the next hop is told, or they are encoded."""
        return self if self.body == "8BITMIME" else msgspec.structs.replace(self, body="8BITMIME")


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    How a message came to us; feeds the log, access checks and DSNs.

    :ivar channel: Source channel.
    :ivar transport: ``TCP|local-ip|local-port|remote-ip|remote-port`` with us first, or ``""``.
    :ivar application: ``SMTP/<helo name>``, or ``""`` when it was not SMTP.
    :ivar user: Authenticated user, if any.
    :ivar submit_type: The command that gave the sender, for access tables: ``MAIL``, ``SEND``, ``SAML``, ``SOML``.
    :ivar modifiers: Letters of ``ACELS``, sorted, for the log: authenticated, BDAT, ESMTP, LMTP, TLS.
    """

    channel: str
    transport: str = ""
    application: str = ""
    user: str | None = None
    modifiers: str = ""
    submit_type: str = "MAIL"
