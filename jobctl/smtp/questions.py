"""What a server dialogue asks of, or tells, whoever decides about mail."""

import msgspec

from jobctl.mail.envelope import Envelope, Recipient
from jobctl.mail.reply import Reply


class Hello(msgspec.Struct, frozen=True):
    """
    HELO, EHLO or LHLO was said; asked only when ``asks`` has ``hello``.

    A 2xx answer makes the dialogue give its own greeting, whatever its text.

    :ivar name: What the client calls itself: printable ASCII without blanks.
    """

    name: str
    esmtp: bool


class Sender(msgspec.Struct, frozen=True):
    """
    MAIL FROM was said; asked only when ``asks`` has ``sender``.

    :ivar address: The mailbox, ``""`` for the null sender.
    :ivar octets_declared: The value of SIZE, 0 when not given; already within our limit.
    """

    address: str
    octets_declared: int = 0


class RecipientGiven(msgspec.Struct, frozen=True):
    """RCPT TO was said; asked only when ``asks`` has ``recipient``."""

    recipient: Recipient
    sender: str


class Piece(msgspec.Struct, frozen=True):
    """
    The next 256 KiB of content too large to be handed over whole; takes no answer.

    The envelope is in the dialogue's ``envelope``. Ends in :class:`Finished` or :class:`Dropped`.
    """

    data: bytes


class Finished(msgspec.Struct, frozen=True):
    """
    The content is complete: may we take responsibility?

    :ivar data: What no :class:`Piece` has given, usually everything. Lines end in CRLF.
    :ivar octets: Size of the whole content.
    """

    envelope: Envelope
    data: bytes
    octets: int = 0


class Dropped(msgspec.Struct, frozen=True):
    """The message whose pieces were given out will not be finished; takes no answer."""

    reason: str


class Verify(msgspec.Struct, frozen=True):
    """
    VRFY. An answer ``Reply(252)`` without text gets the vague standard text.

    :ivar address: The mailbox in ``text``; without a domain where the client gave none.
    """

    text: str
    address: str = ""


class Expand(msgspec.Struct, frozen=True):
    """EXPN, where it is not disabled; ``address`` as in :class:`Verify`."""

    text: str
    address: str = ""


class RunQueue(msgspec.Struct, frozen=True):
    """ETRN: ``host``, ``@host`` or ``#channel``, where the channel's options allow it."""

    text: str


class Private(msgspec.Struct, frozen=True):
    """
    One of XADR, XSTA, XGEN and XCIR, where it is enabled.

    :ivar address: Of XADR, as in :class:`Verify`; ``""`` for the others.
    """

    verb: str
    address: str = ""


class BadCommand(msgspec.Struct, frozen=True):
    """For the log's B record, at most ``MAX_B_ENTRIES`` a session; takes no answer."""

    line: str
    reply: Reply


class Refusal(msgspec.Struct, frozen=True):
    """
    For the log's J record, at most ``MAX_J_ENTRIES`` a session: MAIL, RCPT, DATA or the message
    was refused; takes no answer.
    """

    sender: str
    recipient: str
    reply: Reply


class StartTls(msgspec.Struct, frozen=True):
    """
    The client was told to begin with TLS; takes no answer.

    Write the output, make the handshake, then call ``secured``; whatever came in before it is lost.
    """


class Proxied(msgspec.Struct, frozen=True):
    """
    XCLIENT: the client speaks for another; answered 220 by whoever believes it, after ``reconfigure``.

    :ivar attributes: ADDR, PORT, LOGIN ... as given, decoded; one that is not known is missing.
    """

    attributes: dict[str, str]


class PasswordGiven(msgspec.Struct, frozen=True):
    """
    Whoever says to be ``user`` gives this password; a 235 answer believes it.

    :ivar mechanism: ``PLAIN`` or ``LOGIN``.
    """

    mechanism: str
    user: str
    password: str


class TokenGiven(msgspec.Struct, frozen=True):
    """The same with an OAuth 2.0 bearer token (``XOAUTH2``, ``OAUTHBEARER``: RFC 7628)."""

    mechanism: str
    user: str
    token: str


class Authenticated(msgspec.Struct, frozen=True):
    """The client has proved to be ``user``; takes no answer. Whoever owns the dialogue may change its rules."""

    user: str
    mechanism: str


class KeysWanted(msgspec.Struct, frozen=True):
    """SCRAM needs what is kept of a user's password; answered with ``answer_keys``."""

    user: str


Question = (
    StartTls
    | Authenticated
    | PasswordGiven
    | Proxied
    | TokenGiven
    | KeysWanted
    | Hello
    | Sender
    | RecipientGiven
    | Piece
    | Private
    | Finished
    | Dropped
    | Verify
    | Expand
    | RunQueue
    | BadCommand
    | Refusal
)

__all__ = [
    "Authenticated",
    "BadCommand",
    "Dropped",
    "Expand",
    "Finished",
    "Hello",
    "KeysWanted",
    "PasswordGiven",
    "Piece",
    "Private",
    "Proxied",
    "Question",
    "RecipientGiven",
    "Refusal",
    "RunQueue",
    "Sender",
    "StartTls",
    "TokenGiven",
    "Verify",
]
