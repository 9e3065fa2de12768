"""What a selector looks at: a queued message, or one that is about to be."""

import re
from typing import Protocol

import msgspec

from jobctl.mail.entry import Lasting, NewEntry, StoredEntry, Submission
from jobctl.mail.envelope import Priority

# It fits every text, at least with nothing.
_REPLY = re.compile(r"(?:([2-5]\d\d)(?=[ -]|$)[ -]?)?(?:([245]\.\d{1,3}\.\d{1,3})(?= |$) ?)?", re.ASCII)


class Selectable(Protocol):
    """
    What :meth:`jobctl.selection.selector.Selector.matches` needs to know; see :class:`Candidate`.

    Any object that has these will do.
    """

    @property
    def id(self) -> str: ...
    @property
    def channel(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def sender(self) -> str: ...
    @property
    def recipients(self) -> tuple[str, ...]: ...
    @property
    def size(self) -> int: ...
    @property
    def priority(self) -> Priority: ...
    @property
    def attempts(self) -> int: ...
    @property
    def enqueued(self) -> float: ...
    @property
    def due(self) -> float: ...
    @property
    def last_reply(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def transport(self) -> str: ...
    @property
    def user(self) -> str: ...


class Candidate(msgspec.Struct):
    """
    A message to be judged.

    :ivar id: ``""`` before it has one.
    :ivar state: ``ready``, ``active``, ``delayed`` or ``held``.
    :ivar recipients: Addresses of those still open, or of the one that is asked about.
    :ivar size: Octets.
    :ivar enqueued: Epoch seconds, as is ``due``.
    :ivar last_reply: ``451 4.7.1 please come back``, or our own words; ``""`` before the first attempt.
    :ivar reason: Why it is held.
    :ivar source: The channel that it came in by; ``transport`` as in :class:`jobctl.mail.envelope.Source`.
    :ivar user: Who was authenticated, ``""`` for nobody.
    """

    id: str = ""
    channel: str = ""
    host: str = ""
    state: str = "ready"
    sender: str = ""
    recipients: tuple[str, ...] = ()
    size: int = 0
    priority: Priority = Priority.NORMAL
    attempts: int = 0
    enqueued: float = 0.0
    due: float = 0.0
    last_reply: str = ""
    reason: str = ""
    source: str = ""
    transport: str = ""
    user: str = ""


def queued(stored: StoredEntry, now: float, state: str | None = None) -> Candidate:
    """
    An entry of the store.

    :param state: What the schedule says of it; ``None``: what its due time says.
    """
    entry = stored.entry
    if stored.state is Lasting.HELD:
        state = "held"
    return Candidate(
        id=entry.id,
        channel=entry.channel,
        host=entry.host,
        state=state or ("delayed" if entry.due > now else "ready"),
        sender=stored.envelope.sender,
        recipients=tuple(recipient.address for recipient in stored.envelope.recipients),
        size=entry.size,
        priority=entry.priority,
        attempts=entry.attempts,
        enqueued=entry.enqueued,
        due=entry.due,
        last_reply=stored.last_reply,
        reason=stored.reason,
        source=stored.source.channel,
        transport=stored.source.transport,
        user=stored.source.user or "",
    )


def arriving(submission: Submission, new: NewEntry) -> Candidate:
    """A message on its way in, as one of its entries will be."""
    return Candidate(
        channel=new.channel,
        host=new.host,
        state="held" if new.state is Lasting.HELD else "ready",
        sender=submission.envelope.sender,
        recipients=tuple(recipient.address for recipient in new.recipients),
        size=submission.size,
        priority=new.priority,
        enqueued=submission.arrived,
        due=new.due,
        reason=new.reason,
        source=submission.source.channel,
        transport=submission.source.transport,
        user=submission.source.user or "",
    )


def codes(reply: str) -> tuple[str, str]:
    """
    Reply code and enhanced status (RFC 3463) that begin a reply, each ``""`` where there is none.

    ``451 4.7.1 greylisted`` has both, ``4.4.1 no route`` the status alone.
    """
    code, status, _ = _taken_apart(reply)
    return code, status


def words(reply: str) -> str:
    """A reply's text, without its codes."""
    return _taken_apart(reply)[2]


def _taken_apart(reply: str) -> tuple[str, str, str]:
    found = _REPLY.match(reply)
    assert found is not None
    return found[1] or "", found[2] or "", reply[found.end() :]


def remote_address(transport: str) -> str:
    """The address that a message came from: the fourth part of ``TCP|local|port|remote|port``."""
    parts = transport.split("|")
    return parts[3] if len(parts) > 3 else ""
