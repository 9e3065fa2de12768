"""What the transaction log records: a step of one recipient's way, or of a connection."""

import msgspec

ENQUEUED, DELIVERED, RETURNED, DEFERRED, PARTIAL, UNTOLD, WARNED, REFUSED, ABORTED, BAD_COMMAND = "EDRQZKWJVB"
OPENED, CLOSED, REJECTED, DENIED, FAILED, ETRN, AUTHENTICATION = "OCXTYIU"
# Octets in a block: sizes are told in blocks, begun ones counted whole.
BLOCK = 1024


class MailRecord(msgspec.Struct, kw_only=True):
    """
    One recipient came in, left or had to wait.

    :ivar when: Epoch seconds.
    :ivar action: One of the letters above.
    :ivar modifiers: Letters of ``ACELS``: authenticated, BDAT, ESMTP, LMTP, TLS.
    :ivar destination: Channel whose queue it is about; in ``E`` the one it came into.
    :ivar size: Octets.
    :ivar original: ``rfc822;address``, what the sender of the message called the recipient.
    :ivar notify: NOTIFY, or ``""``.
    :ivar file: The queue entry's id and its attempts, ``Q1A.02``.
    :ivar system: Who is at the other end of the connection.
    :ivar remote: Host that spoke last, for ``log_remote_mta``.
    :ivar banner: Its banner, where the channel's LOG_BANNER is set; ``connection`` for LOG_TRANSPORTINFO.
    :ivar queued: Seconds since it came into the queue; ``None``: it does not apply.
    """

    when: float
    action: str
    source: str
    destination: str = ""
    modifiers: str = ""
    size: int = 0
    sender: str = ""
    original: str = ""
    recipient: str = ""
    job: str = ""
    notify: str = ""
    file: str = ""
    envelope_id: str = ""
    message_id: str = ""
    user: str = ""
    system: str = ""
    sensitivity: str = ""
    priority: str = ""
    reason: str = ""
    diagnostic: str = ""
    remote: str = ""
    banner: str = ""
    connection: str = ""
    transport: str = ""
    application: str = ""
    queued: float | None = None


class ConnectionRecord(msgspec.Struct, kw_only=True):
    """
    A connection was opened, closed or refused, or something else than mail happened on it.

    :ivar inbound: A client came to us; else we went to a server.
    :ivar modifiers: As in :class:`MailRecord`.
    """

    when: float
    action: str
    channel: str
    inbound: bool
    modifiers: str = ""
    job: str = ""
    transport: str = ""
    application: str = ""
    user: str = ""
    diagnostic: str = ""


def blocks(octets: int) -> int:
    """Blocks that so many octets take."""
    return -(-octets // BLOCK)
