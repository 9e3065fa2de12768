"""What a client dialogue tells whoever gives it messages."""

import msgspec

from jobctl.mail.disposition import Disposition
from jobctl.mail.reply import Reply


class Ready(msgspec.Struct, frozen=True):
    """The peer has greeted us: transactions may begin. Once a session."""


class QueueCalled(msgspec.Struct, frozen=True):
    """The peer was asked to send what it has for ``node`` (ETRN), and has answered."""

    node: str
    reply: Reply


class StartTls(msgspec.Struct, frozen=True):
    """The peer is ready: make the handshake, then call ``secured``, or ``tls_failed``."""


class NeedContent(msgspec.Struct, frozen=True):
    """The peer waits for the content of this message: ``feed`` it, then ``finish``."""

    id: str


class Done(msgspec.Struct, frozen=True):
    """
    A transaction is over; exactly one for every ``begin``, in the same order.

    :ivar dispositions: One for every recipient of the envelope, in its order.
    :ivar scope: ``recipient``: it was tried. ``local``: nothing of it was answered and it was not
        the session's first, so it does not count as an attempt.
    :ivar connection: Whether the session can carry another transaction.
    :ivar unsaid: Nothing was said to this peer, because of what it offers; another may offer more.
    """

    id: str
    dispositions: tuple[Disposition, ...]
    scope: str = "recipient"
    connection: bool = True
    unsaid: bool = False


class SessionFailed(msgspec.Struct, frozen=True):
    """
    The session ended before any transaction began, also behind :class:`Ready`; nothing follows. Close the connection.

    :ivar reply: The peer's words, or what happened.
    :ivar status: RFC 3463.
    :ivar permanent: The peer refuses to serve us for good.
    :ivar retry_with_helo: The peer left on hearing EHLO: connect again with ``ClientConfig.helo_only``.
    :ivar retry_in_clear: TLS did not come about and need not: connect again with ``tls`` ``none``.
    """

    reply: str
    status: str
    permanent: bool = False
    retry_with_helo: bool = False
    retry_in_clear: bool = False


class Closed(msgspec.Struct, frozen=True):
    """The session is over and every transaction has had its :class:`Done`. Close the connection."""


Event = Ready | QueueCalled | StartTls | NeedContent | Done | SessionFailed | Closed

__all__ = ["Closed", "Done", "Event", "NeedContent", "QueueCalled", "Ready", "SessionFailed", "StartTls"]
