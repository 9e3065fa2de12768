"""
What can be asked over the control socket: one value per operation.

A request is one line of JSON with ``op``, ``id`` (the client's own number for
it) and the keys below, followed by ``size`` octets of content where there is
any.  Unknown keys are ignored; an unknown ``op`` is answered with an error.
"""

from typing import ClassVar

from jobctl.control.account_requests import ACCOUNT_LISTS, AccountRequest
from jobctl.control.change_requests import ChangeRequest
from jobctl.control.request import CHANGE, READ, Request
from jobctl.jobprotocol.frames import PIECE
from jobctl.mail.envelope import Recipient
from jobctl.selection.occurrences import Stretch

VERSION = 1
# A request's line: an envelope of ten thousand recipients fits, garbage does not grow for ever.
MAX_LINE = 1024 * 1024


class Ping(Request, tag="ping", frozen=True):
    """Is anybody there?"""


class Version(Request, tag="version", frozen=True):
    """Which release runs, where, since when."""


class Cancel(Request, tag="cancel", frozen=True):
    """
    The answers to an open request are no longer wanted.

    :ivar request: Its ``id``.  It is still ended by a result or an error.
    """

    request: int


class Enqueue(Request, tag="enqueue", frozen=True):
    """
    Take responsibility for a message; the content follows in pieces.

    The first frame carries all keys, each further piece is a frame with the same
    ``op`` and ``id`` and only ``size`` and ``more``.

    :ivar sender: Reverse-path without brackets, ``""`` for the null sender.
    :ivar recipients: Addresses, or objects with ``address``, ``notify`` and ``orcpt`` (in xtext, as in SMTP).
    :ivar channel: Queue it there; ``None``: where the rewrite rules say.
    :ivar notify: NOTIFY of the recipients given as plain addresses: ``NEVER`` or any of
        ``SUCCESS,FAILURE,DELAY``.
    :ivar ret: ``FULL`` or ``HDRS``.
    :ivar envid: Envelope id, plain text.
    :ivar by: By when it is to be delivered: ``3600;R``, as BY= of SMTP has it (RFC 2852).
    :ivar body: ``7BIT`` or ``8BITMIME``; ``None`` when not known.
    :ivar octets: Size of the whole content when known, else 0; a message too large is then refused
        before it is sent.
    :ivar more: Further pieces follow.
    :ivar abort: On a further frame: forget it, there is no more.
    """

    right: ClassVar[str] = CHANGE
    sender: str = ""
    recipients: tuple[str | Recipient, ...] = ()
    channel: str | None = None
    priority: str = ""
    notify: str | None = None
    ret: str | None = None
    envid: str | None = None
    by: str | None = None
    body: str | None = None
    smtputf8: bool = False
    octets: int = 0
    more: bool = False
    abort: bool = False


class Run(Request, tag="run", frozen=True):
    """Try all mail of a channel now, backoff ignored, and show the dialogue; ``poll``: even without mail."""

    right: ClassVar[str] = CHANGE
    channel: str
    poll: bool = False


class Submit(Request, tag="submit", frozen=True):
    """Have a channel's due mail looked at by a job in the background; ``poll``: even without mail."""

    right: ClassVar[str] = CHANGE
    channel: str = "l"
    poll: bool = False


class Attach(Request, tag="attach", frozen=True):
    """This connection becomes the job pipe of a program started by hand, a ``master`` or a ``slave``."""

    right: ClassVar[str] = CHANGE
    channel: str
    role: str = "master"


class Reload(Request, tag="reload", frozen=True):
    """Read the configuration file again and apply it; ``dry_run``: only say what would change."""

    right: ClassVar[str] = CHANGE
    dry_run: bool = False


class Shutdown(Request, tag="shutdown", frozen=True):
    """The Job Controller stops in order."""

    right: ClassVar[str] = CHANGE


class Restart(Request, tag="restart", frozen=True):
    """
    The Job Controller begins anew, or programs are replaced.

    :ivar component: ``""`` or ``job_controller``: all; ``dispatcher``: the server jobs; a service's name:
        its; a channel, with wildcards: all its jobs.
    """

    right: ClassVar[str] = CHANGE
    component: str = ""


class Process(Request, tag="process", frozen=True):
    """The processes of the mail transport."""


class CacheView(Request, tag="cache.view", frozen=True):
    """What the schedule has in memory; ``channel`` may have the wildcards ``*`` and ``?``."""

    channel: str | None = None


class CacheSync(Request, tag="cache.sync", frozen=True):
    """See that memory is as the store says; nothing ever needs to be synchronised, and this proves it."""

    right: ClassVar[str] = CHANGE


class CacheWalk(Request, tag="cache.walk", frozen=True):
    """
    Write the whole state of the schedule to the log.

    :ivar debug: From now on, as ``cache.change`` sets it; ``None``: as it is.
    """

    right: ClassVar[str] = CHANGE
    debug: int | None = None


class CacheChange(Request, tag="cache.change", frozen=True):
    """
    Set values in the running Job Controller, all or none of them.

    :ivar scope: ``global``, ``channel`` or ``template``; ``name``: which.
    :ivar set: Option to value, as in :data:`jobctl.config.overlay.OPTIONS`.
    :ivar persistent: Over restarts, too.
    """

    right: ClassVar[str] = CHANGE
    scope: str
    set: dict[str, str]
    name: str = ""
    persistent: bool = False


class CacheRevert(Request, tag="cache.revert", frozen=True):
    """
    Take back what ``cache.change`` set.

    :ivar options: Which of them; none: all of that scope and name.
    :ivar all: Everything ever set.
    """

    right: ClassVar[str] = CHANGE
    scope: str = ""
    name: str = ""
    options: tuple[str, ...] = ()
    all: bool = False


class CacheChanges(Request, tag="cache.changes", frozen=True):
    """What ``cache.change`` has set and is in force."""


class Top(Request, tag="top", frozen=True):
    """
    What goes on just now; programs that can are asked what they are doing.

    :ivar hosts: Most destinations to tell of; ``messages``: in the hands of jobs.
    """

    hosts: int = 50
    messages: int = 200


class QmSummarize(Request, tag="qm.summarize", frozen=True):
    """One line per channel."""


class QmDirectory(Request, tag="qm.directory", frozen=True):
    """
    List queued messages in order of arrival.

    :ivar channel: May have the wildcards ``*`` and ``?``; ``None``: all.
    :ivar held: ``True``: only held ones, ``False``: only others, ``None``: both.
    :ivar sender: Only those whose sender matches as in :mod:`jobctl.control.selection`.
    :ivar recipient: Only those that have a matching recipient left.
    :ivar match: ``or``: sender or recipient matches; ``and``: both.
    :ivar where: Only those that this selector means (docs/selectors.md).
    :ivar limit: Most messages to list; 0 = no limit.
    """

    channel: str | None = None
    held: bool | None = None
    sender: str | None = None
    recipient: str | None = None
    match: str = "or"
    where: str | None = None
    limit: int = 0


class QmHeld(QmDirectory, tag="qm.held", frozen=True):
    """As ``qm.directory`` of the held messages alone, with why they are held."""


class QmTop(Request, tag="qm.top", frozen=True):
    """
    The most frequent values of parts of the messages; counts in bounded memory.

    :ivar parts: Of ``content``, ``from``, ``subject``, ``to``, ``domain_to`` to what of it counts; none:
        the subject.
    :ivar channel: May have wildcards; ``None``: all.
    :ivar held: As in ``qm.directory``.
    :ivar ignore_zz: Leave out what was never tried.
    :ivar top: Most values of each part; ``min_count``: none that is there less often.
    """

    parts: dict[str, Stretch] = {}
    channel: str | None = None
    held: bool | None = False
    ignore_zz: bool = False
    top: int = 20
    min_count: int = 2


class QmClean(Request, tag="qm.clean", frozen=True):
    """
    Hold or delete the messages whose parts contain texts.

    :ivar texts: Part, as in ``qm.top``, to a text; as ``from``, ``<>`` is the null sender.
    :ivar match: ``and``: all of them must be there; ``or``: one is enough.
    :ivar action: ``hold``, ``delete``, or ``look``: only say which they are.
    :ivar min_length: Shortest text; ``None``: 24.
    :ivar undo: As in ``qm.delete``.
    """

    right: ClassVar[str] = CHANGE
    texts: dict[str, str]
    match: str = "and"
    action: str = "hold"
    channel: str | None = None
    ignore_zz: bool = False
    min_length: int | None = None
    undo: bool = True


class QmMessages(Request, tag="qm.messages", frozen=True):
    """
    Active and delayed messages of a channel by destination host.

    :ivar where: Only those that this selector means; they are counted in the store then.
    """

    channel: str
    where: str | None = None


class QmJobs(Request, tag="qm.jobs", frozen=True):
    """What each job is doing."""

    channel: str | None = None


class QmStart(Request, tag="qm.start", frozen=True):
    """Let a channel work again, at once; ``channel`` may have wildcards."""

    right: ClassVar[str] = CHANGE
    channel: str


class QmStop(Request, tag="qm.stop", frozen=True):
    """No processing of a channel until ``qm.start``, over restarts too; ``channel`` may have wildcards."""

    right: ClassVar[str] = CHANGE
    channel: str


class QmRead(Request, tag="qm.read", frozen=True):
    """
    A message's envelope and header; the whole content with ``content``.

    :ivar message: Its id.
    """

    message: str
    content: bool = False


class QmDamaged(Request, tag="qm.damaged", frozen=True):
    """Entries that were set aside because they cannot be read, and what is left of them."""


class Explain(Request, tag="explain", frozen=True):
    """
    Why a message is where it is, and what will become of it.

    :ivar message: Its id.
    """

    message: str


class QmHistory(Request, tag="qm.history", frozen=True):
    """The delivery attempts of messages: by id, all of a channel, or those that a selector means."""

    ids: tuple[str, ...] = ()
    channel: str | None = None
    all: bool = False
    where: str | None = None


AnyRequest = (
    Ping
    | Version
    | Cancel
    | Enqueue
    | Run
    | Submit
    | Attach
    | Reload
    | Explain
    | Shutdown
    | Restart
    | Process
    | CacheView
    | CacheSync
    | CacheWalk
    | CacheChange
    | CacheRevert
    | CacheChanges
    | AccountRequest
    | ChangeRequest
    | Top
    | QmSummarize
    | QmDirectory
    | QmHeld
    | QmTop
    | QmClean
    | QmMessages
    | QmJobs
    | QmStart
    | QmStop
    | QmRead
    | QmDamaged
    | QmHistory
)

# Operations whose result is a list without bound: it travels as items, the result is their count.
LISTS = frozenset({"cache.view", "qm.directory", "qm.held", "qm.history", "qm.audit"}) | ACCOUNT_LISTS

__all__ = ["CHANGE", "LISTS", "MAX_LINE", "PIECE", "READ", "VERSION", "AnyRequest", "Request"]
