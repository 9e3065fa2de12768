"""What can be asked over the control socket about changes of messages: to make, watch and undo them, and on record."""

from typing import Annotated, ClassVar

import msgspec

from jobctl.control.request import CHANGE, Request


class _Meant(Request, frozen=True):
    """
    Messages by ``channel`` and ``all``, or by a selector.

    :ivar channel: Every message of it; may have wildcards.  With ``where``: only those of it.
    :ivar where: Those that this selector means (docs/selectors.md).
    :ivar snapshot: Id of the newest message that may be touched, ``None``: of those there are now.
    :ivar at: Epoch seconds as of which ages count, ``None``: now.
    """

    channel: str | None = None
    all: bool = False
    where: str | None = None
    snapshot: str | None = None
    at: float | None = None
    ids: tuple[str, ...] = ()


class QmPreview(_Meant, tag="qm.preview", frozen=True):
    """
    How many messages are meant, and some of them, for a look before they are changed.

    :ivar held: Only held ones, only others, or both.
    :ivar sample: How many of them to show, at most 100.
    """

    held: bool | None = None
    sample: Annotated[int, msgspec.Meta(ge=0, le=100)] = 5


class _Chosen(_Meant, frozen=True):
    """
    A change of messages: by id at once, otherwise in the background, where it goes on when the caller goes.

    :ivar ids: Queue entries' ids; with ``channel`` they must be of it.
    :ivar background: Answer at once with the operation's number.
    :ivar expected: Messages that a preview has counted, for showing progress.
    :ivar undo: ``False``: at once and for ever, where it could be undone for a while.
    """

    right: ClassVar[str] = CHANGE
    background: bool = False
    expected: int = 0
    undo: bool = True


class QmHold(_Chosen, tag="qm.hold", frozen=True):
    """Set messages aside until released."""

    reason: str = ""


class QmRelease(_Chosen, tag="qm.release", frozen=True):
    """Undo a hold; they are tried now, those given by id ahead of all others."""


class QmReturn(_Chosen, tag="qm.return", frozen=True):
    """Give messages back to their senders as undeliverable, when the time to undo it is over."""

    reason: str = ""


class QmDelete(_Chosen, tag="qm.delete", frozen=True):
    """Remove messages, for ever when the time to undo it is over; nobody is told."""


class QmRetry(_Chosen, tag="qm.retry", frozen=True):
    """Try delayed messages now, those given by id ahead of all others."""


class QmPriority(_Chosen, tag="qm.priority", frozen=True, kw_only=True):
    """Give messages another priority: ``urgent``, ``normal``, ``nonurgent`` ..."""

    priority: str


class QmMove(_Chosen, tag="qm.move", frozen=True, kw_only=True):
    """Put messages into the queue of the channel ``to``."""

    to: str


class QmReroute(_Chosen, tag="qm.reroute", frozen=True):
    """Ask the rewrite rules again where messages belong, and put them there."""


class QmRedirect(_Chosen, tag="qm.redirect", frozen=True):
    """Deliver messages to the recipient ``to`` instead of theirs, or by way of ``host``."""

    to: str | None = None
    host: str | None = None


class Undo(Request, tag="undo", frozen=True):
    """
    Take back a deletion, return, move, reroute or redirect, while that is possible.

    :ivar operation: Its number, which the answer to it had.
    """

    right: ClassVar[str] = CHANGE
    operation: int
    background: bool = False


class HoldAdd(Request, tag="hold.add", frozen=True):
    """
    Hold mail that is still to come.

    :ivar where: What is meant, a selector.
    :ivar expires: Seconds for which the rule holds mail, ``None``: until it is removed.
    :ivar release: When the rule ends, what it has held goes again.
    """

    right: ClassVar[str] = CHANGE
    where: str
    reason: str = ""
    expires: Annotated[float, msgspec.Meta(gt=0)] | None = None
    release: bool = False


class HoldList(Request, tag="hold.list", frozen=True):
    """The rules by which mail is held that is still to come."""


class HoldRemove(Request, tag="hold.remove", frozen=True):
    """
    Hold no more mail by a rule.

    :ivar rule: Its number.
    :ivar release: What it has held goes again, also where the rule does not say so.
    """

    right: ClassVar[str] = CHANGE
    rule: int
    release: bool = False


class QmOperations(Request, tag="qm.operations", frozen=True):
    """Changes of many messages: those under way, and the latest that are over."""


class QmWatch(Request, tag="qm.watch", frozen=True):
    """Be told how far an operation is until it is over."""

    operation: int


class QmCancel(Request, tag="qm.cancel", frozen=True):
    """End an operation after what it is at; what is done stays done (and can be undone)."""

    right: ClassVar[str] = CHANGE
    operation: int


class QmAudit(Request, tag="qm.audit", frozen=True):
    """
    Who did what, the newest first.

    :ivar before: Only acts with a smaller number.
    :ivar who: Only of this user; ``what``: only such acts.
    :ivar limit: Most acts to list; 0 = no limit.
    """

    before: int | None = None
    who: str | None = None
    what: str | None = None
    limit: int = 0


class QmSalvage(Request, tag="qm.salvage", frozen=True):
    """
    Put entries back that were set aside.

    :ivar sender: Of those that cannot be read; ``recipients`` too.
    :ivar as_read: Believe what can be read of the envelope where none is given.
    """

    right: ClassVar[str] = CHANGE
    ids: tuple[str, ...] = ()
    sender: str | None = None
    recipients: tuple[str, ...] = ()
    as_read: bool = False


class QmAbandon(Request, tag="qm.abandon", frozen=True):
    """Remove entries for ever that were set aside."""

    right: ClassVar[str] = CHANGE
    ids: tuple[str, ...] = ()


ChangeRequest = (
    QmPreview
    | QmHold
    | QmRelease
    | QmReturn
    | QmDelete
    | QmRetry
    | QmPriority
    | QmMove
    | QmReroute
    | QmRedirect
    | Undo
    | HoldAdd
    | HoldList
    | HoldRemove
    | QmOperations
    | QmWatch
    | QmCancel
    | QmAudit
    | QmSalvage
    | QmAbandon
)
