"""What can be asked of the accounts: the ledger, the counters, and what became of finished messages."""

from typing import ClassVar

from jobctl.control.request import CHANGE, Request


class Ledger(Request, tag="ledger", frozen=True):
    """The accounts of every channel, counted now."""


class Counters(Request, tag="counters", frozen=True):
    """What each channel has done since the counters were cleared; ``channel`` may have wildcards."""

    channel: str | None = None


class CountersClear(Request, tag="counters.clear", frozen=True):
    """Begin to count anew; ``channel`` may have wildcards, ``None``: all."""

    right: ClassVar[str] = CHANGE
    channel: str | None = None


class History(Request, tag="history", frozen=True):
    """
    What became of messages, a line for each recipient; all that is given must be so.

    :ivar recipient: As in ``qm.directory``, and so is ``sender``.
    :ivar since: Epoch seconds: it came in then or later; ``until``: before; 0: no matter when.
    :ivar message_id: Part of its Message-ID, ``subject`` of its subject.
    :ivar ids: Queue entries.
    :ivar channel: May have the wildcards ``*`` and ``?``.
    :ivar what: How it left the queue: ``delivered``, ``relayed``, ``failed``, ``expired``, ``deleted``, ``moved``.
    :ivar where: A selector.
    :ivar waiting: Those still in the queue, too; they come last.
    :ivar attempts: With what was tried for each, as ``qm.history``.
    :ivar limit: Most lines; 0 = no limit.
    """

    recipient: str = ""
    sender: str = ""
    since: float = 0.0
    until: float = 0.0
    message_id: str = ""
    subject: str = ""
    ids: tuple[str, ...] = ()
    channel: str = ""
    what: str = ""
    where: str | None = None
    waiting: bool = True
    attempts: bool = False
    limit: int = 0


class QmShares(Request, tag="qm.shares", frozen=True):
    """How the senders share each channel, and how fairly; ``channel`` may have wildcards."""

    channel: str | None = None


AccountRequest = Ledger | Counters | CountersClear | History | QmShares
ACCOUNT_LISTS = frozenset({"history"})
