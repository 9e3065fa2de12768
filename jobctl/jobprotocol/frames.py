"""
The frames of the job protocol, version 1.

A frame is one line of JSON (UTF-8) ending in LF, followed by exactly ``size``
octets when ``size`` is not 0.  Unknown keys are ignored; an unknown ``op`` is a
violation.  Content travels in pieces of at most :data:`PIECE` octets: the first
frame of a message carries all its keys, each further piece is a frame with the
same ``op`` and ``id`` and only ``size`` and ``more``.
"""

import msgspec

from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.envelope import Envelope, Source

VERSION = 1
PIECE = 256 * 1024
# A frame's line: envelopes of a thousand recipients fit, garbage does not grow for ever.
MAX_LINE = 4 * 1024 * 1024
# Characters of one reply in a report.
MAX_REPLY = 16 * 1024
# Of what a program does, told at a time.
MOST_WORK = 500


class _Frame(msgspec.Struct, tag_field="op", omit_defaults=True, kw_only=True):
    """:ivar size: Octets of content that follow the line."""

    size: int = 0


class HelloProgram(_Frame, tag="hello"):
    """
    Program to controller, first.

    :ivar name: The program, ``tcp_smtp_client``; ``release`` its version.
    :ivar connections: Destinations it serves at a time (``max_client_threads``); 1 for a
        program on one pipe.
    :ivar tells: It says what it is doing when it gets :class:`Look`.
    :ivar window: Pieces of one message it takes before it asks for more of that message;
        0 = all pieces come in order without asking (simple programs).
    """

    version: int
    name: str
    release: str = ""
    connections: int = 1
    window: int = 0
    tells: bool = False


class HelloController(_Frame, tag="hello"):
    """
    Controller to program, first.

    :ivar role: ``master`` or ``slave``.
    :ivar settings: The channel's :class:`jobctl.config.settings.ChannelSettings` as JSON.
    :ivar host: The one destination of this run, when the program's stdio is joined to it.
    :ivar listen: Descriptors of listening sockets, for a server program.
    :ivar service: The :class:`jobctl.config.settings.ServiceSettings` of a server program.
    :ivar mta: The :class:`jobctl.config.settings.MtaSettings`, for programs that bring mail in; others
        get ``loop`` of it, with the keyword ``loopcheck``.
    :ivar in_clear: For a program whose stdio is the connection, where TLS policy ``may`` meets a handshake that
        fails: ``offered``: :attr:`Report.in_clear` has another connection made; ``now``: this is that one.
        ``""``: there can be no other.
    :ivar channels: Settings of the other channels that their clients can come to, as ``settings``; a key that is
        missing has its default.
    """

    version: int
    job: str
    channel: str
    role: str
    settings: dict[str, object]
    host: str | None = None
    listen: tuple[int, ...] = ()
    service: dict[str, object] | None = None
    mta: dict[str, object] | None = None
    in_clear: str = ""
    channels: tuple[dict[str, object], ...] = ()


class Ask(_Frame, tag="ask"):
    """
    Credit.  Without ``id``: ``n`` more messages may come.  With ``id``: ``n`` more
    pieces of that message's content (only for programs with a ``window``).
    """

    n: int
    id: str = ""


class Message(_Frame, tag="message"):
    """
    Controller to program: an assignment.

    :ivar id: Queue entry.
    :ivar attempt: 1 for the first.
    :ivar host: Destination host of its recipients (``""`` behind a gateway).
    :ivar gateway: Whom to talk to instead: a name or ``[address]``.
    :ivar octets: Size of the whole content.
    :ivar priority: ``urgent``, ``normal``, ``nonurgent``, ``second_class``, ``third_class``.
    :ivar envelope_id: Our id of its arrival.
    :ivar arrived: Epoch seconds.
    :ivar share: Whose turn it takes: messages of the same host should take turns by this.
    """

    id: str
    attempt: int = 1
    host: str = ""
    gateway: str | None = None
    envelope: Envelope | None = None
    octets: int = 0
    priority: str = "normal"
    envelope_id: str = ""
    arrived: float = 0.0
    share: str = ""
    more: bool = False


class Report(_Frame, tag="report"):
    """
    Program to controller: verdicts.

    :ivar verdict: For every recipient of the message that ``results`` does not name, with
        ``status``, ``reply``, ``remote``, ``transport`` and ``timed`` of :class:`Disposition`; ``None``: none.
    :ivar scope: ``recipient``: the message was tried (an attempt is counted if a recipient is
        deferred).  ``host``: the destination failed before MAIL; no attempt is counted and the
        host is backed off.  ``local``: our own trouble (stopping, no memory); neither.
    :ivar retry: Seconds after which to try again, a hint.
    :ivar connection: Whether the connection can be used again.
    :ivar site: Where the mail of this host goes, in any words: hosts with the same are one destination
        (``group_by_mx``).  Once in a while is enough.
    :ivar in_clear: With scope ``local``: TLS did not come about and need not, so the next connection to this
        host is to be in the clear.  Only where hello has offered that.
    """

    id: str
    verdict: Verdict | None = None
    status: str = ""
    reply: str = ""
    remote: str = ""
    transport: str = ""
    timed: bool = False
    results: tuple[Disposition, ...] = ()
    scope: str = "recipient"
    retry: float | None = None
    connection: bool = True
    site: str = ""
    in_clear: bool = False


class Sent(_Frame, tag="sent"):
    """Program to controller: the final dot of this message is about to go."""

    id: str


class Submit(_Frame, tag="submit"):
    """
    Program to controller: a message coming in.

    :ivar id: The program's own reference, unique among its open submissions.
    :ivar octets: Size of the whole content when known, else 0.
    :ivar envelope_id: Id the program gave the arrival (in its Received field).
    :ivar digest: On the last frame: what client, envelope and content as they came in are known by, if the program
        will say whether the client was told (:class:`Told`); ``seconds``: how long the transfer took.
    :ivar abort: On a further frame: forget this submission, there is no more.
    """

    id: str
    envelope: Envelope | None = None
    source: Source | None = None
    octets: int = 0
    priority: str = ""
    envelope_id: str = ""
    more: bool = False
    abort: bool = False
    digest: str = ""
    seconds: float = 0.0


class Accepted(_Frame, tag="accepted"):
    """Controller to program: the submission is durable; ``ids`` are its queue entries."""

    id: str
    ids: tuple[str, ...] = ()


class Told(_Frame, tag="told"):
    """
    Program to controller, after :class:`Accepted` of a submission with a digest: its client was told.

    :ivar gone: It was not: it had gone before.
    """

    id: str
    gone: bool = False


class Refused(_Frame, tag="refused"):
    """
    Controller to program: it is not; the reply to give.

    4xx when the store cannot, 5xx for what will never do.
    """

    id: str
    code: int
    status: str
    text: str


class Route(_Frame, tag="route"):
    """
    Program to controller: may this recipient come in from this client?

    :ivar command: ``RCPT``; or another that asks about an address: ``VRFY`` and ``EXPN`` whether ``recipient``
        is known, ``MAIL`` whether the domain of ``sender`` is in the DNS, ``XADR``, ``XSTA``, ``XGEN`` and ``XCIR``
        what the private commands tell.
    :ivar orcpt: Its ORCPT parameter as given, ``""``: none.
    """

    id: str
    recipient: str
    sender: str = ""
    source: Source | None = None
    command: str = "RCPT"
    orcpt: str = ""


class Etrn(_Frame, tag="etrn"):
    """
    Program to controller: a client asks for what is queued (ETRN, RFC 1985).

    :ivar node: ETRN's argument: ``host``, ``@host`` or ``#channel``.
    """

    id: str
    node: str
    source: Source | None = None


class Locate(_Frame, tag="locate"):
    """
    Program to controller: who is a client?

    :ivar host: Its address as a domain literal, or its name.
    :ivar named: The name is wanted that its address has by reverse look-up; the answer waits for that, some seconds
        at most where the name service says nothing.
    """

    id: str
    host: str
    named: bool = False


class Located(_Frame, tag="located"):
    """
    Controller to program: the answer.

    :ivar channel: By which the client comes in: one of ``hello.channels``, or the job's own for no other.
    :ivar name: As asked for, ``""``: it has none, or nobody can tell. One that does not lead back to the address
        has a ``*`` behind it, or is none, as the job's channel says (``forwardcheck...``).
    """

    id: str
    channel: str
    name: str = ""


class VerdictFrame(_Frame, tag="verdict"):
    """
    Controller to program: the answer to ``route`` or ``etrn``.

    :ivar code: 250 is yes, and to RCPT ``channel`` and ``host`` say where it would go; else the reply to give.
    """

    id: str
    code: int
    status: str
    text: str
    channel: str = ""
    host: str = ""


class Event(_Frame, tag="event"):
    """
    Program to controller, for log and counters.

    :ivar event: A connection was ``opened``, ``closed``, ``cut`` (closed by us at a limit), ``rejected`` (before any
        mail), ``denied`` (the same, with a record of its own as PORT_ACCESS wants it), or ``failed`` to come
        about; on one there was a ``bad_command``, mail was ``refused``, or ``aborted`` before a first ``submit``,
        ``etrn`` or ``auth`` was tried.
    :ivar application: As :attr:`Source.application`; of a client the server's banner.
    :ivar text: What was said: why, or the reply that was given.
    :ivar modifiers: As :attr:`Source.modifiers`.
    :ivar sender: Of mail that was refused or aborted.
    :ivar recipient: Of it; or the bad command, ETRN's argument.
    :ivar user: Who was, or wanted to be, authenticated.
    :ivar site: What PORT_ACCESS has the log say of a connection that was closed.
    :ivar channel: Source channel of the connection, ``""``: that of the job.
    """

    event: str
    transport: str = ""
    application: str = ""
    text: str = ""
    modifiers: str = ""
    sender: str = ""
    recipient: str = ""
    user: str = ""
    site: str = ""
    channel: str = ""


class Work(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    What a program does with one message, or on one connection.

    :ivar id: The message, ``""`` for none.
    :ivar phase: In one word what it waits for: ``connect``, ``banner``, ``ehlo``, ``mail``, ``rcpt``, ``data``,
        ``content``, ``dot``, ``idle``; of a program that speaks no SMTP any other.
    :ivar remote: Whom it talks to.
    :ivar octets: Of the content that have gone, or come in, so far.
    :ivar seconds: Since it, or the connection, began.
    """

    id: str = ""
    phase: str = ""
    remote: str = ""
    octets: int = 0
    seconds: float = 0.0


class Alive(_Frame, tag="alive"):
    """
    Program to controller: heartbeat; ``progress`` grows whenever it gets anything done.

    :ivar work: The answer to :class:`Look`: at most :data:`MOST_WORK` of what it is doing.
    """

    progress: int = 0
    connections: int = 0
    work: tuple[Work, ...] = ()


class Look(_Frame, tag="look"):
    """Controller to program, only if it ``tells``: somebody watches; answer with :class:`Alive`."""


class Stop(_Frame, tag="stop"):
    """
    Controller to program: finish what you hold, take no more, exit 0.

    :ivar sessions: A program that serves several sessions lets each go on to its own end, instead of
        ending it after the transaction under way.
    """

    sessions: bool = False


FROM_PROGRAM = HelloProgram | Ask | Report | Sent | Submit | Told | Route | Etrn | Locate | Event | Alive
FROM_CONTROLLER = HelloController | Message | Ask | Accepted | Refused | VerdictFrame | Located | Stop | Look
