"""What the commands of a server session share: its state, its replies, and the question that is open."""

from collections.abc import Callable

from jobctl.mail.reply import Reply
from jobctl.smtp import replies
from jobctl.smtp.extensions import Standing
from jobctl.smtp.lines import CommandLines
from jobctl.smtp.questions import BadCommand, Dropped, Question, Refusal
from jobctl.smtp.server_config import ServerConfig
from jobctl.smtp.server_limits import SessionLimits
from jobctl.smtp.server_notes import Notes
from jobctl.smtp.server_states import State
from jobctl.smtp.server_transaction import Transaction


class Talk:
    """
    The state of one session; commands are functions on it.

    :param clock: Epoch seconds.
    :ivar application: ``SMTP/<name the client gave>/<TLS information>``.
    :ivar state: Where the session stands; ``after``: once the current command has succeeded.
    :ivar question: The open one; ``then`` takes the answer to it.
    :ivar long_lines: What becomes of them by the first source channel, whatever others follow (AG63 bgaqg).
    :ivar cut: A limit ended the session, or is about to.
    :ivar private: The client may say private commands that are disabled for others.
    :ivar stop: Last words and reason, once it was decided to end the session.
    :ivar tls: Protocol and cipher, ``""`` while the session is in the clear.
    :ivar binding: Kind and data by which SASL can bind itself to that TLS session.
    :ivar user: Whom the client has proved to be, ``None`` so far.
    :ivar exchange: The SASL exchange under way; ``failed_user``: whom the last that failed was about;
        ``refused_auth``: there was one that failed, or none where the client wanted one.
    """

    __slots__ = (
        *(
            "after",
            "application",
            "binding",
            "client",
            "clock",
            "close_reason",
            "closing",
            "config",
            "cut",
            "esmtp",
        ),
        *(
            "exchange",
            "failed_user",
            "helo",
            "limits",
            "lines",
            "long_lines",
            "notes",
            "output",
            "private",
            "question",
            "refused_auth",
            "state",
            "stop",
            "then",
        ),
        *("tls", "transaction", "user"),
    )

    def __init__(
        self, config: ServerConfig, clock: Callable[[], float], application: str, client: str
    ) -> None:
        self.clock = clock
        self.application = "LMTP" if config.lmtp and application == "SMTP" else application
        self.client = client
        self.output: list[bytes] = []
        self.long_lines = config.channel.long_lines
        self.limits = SessionLimits(config.channel, config.use_permanent_error)
        self.notes = Notes(config.channel.options)
        self.private = self.cut = False
        self.closing = False
        self.close_reason = ""
        self.stop: tuple[Reply, str] | None = None
        self.tls = ""
        self.binding: tuple[str, bytes] | None = None
        self.failed_user = ""
        self.refused_auth = False
        self.question: Question | None = None
        self.then: Callable[[Reply], object] = self.say
        self.begin(config)

    def begin(self, config: ServerConfig) -> None:
        """As at the first octet: what a client said before TLS counts for nothing (RFC 3207 section 4.2)."""
        self.config = config
        self.lines = CommandLines(line_ends(config))
        self.state = self.after = State.BEGIN
        self.transaction = Transaction()
        self.helo = ""
        self.esmtp = False
        self.user: str | None = None
        self.exchange: object | None = None

    def reconfigure(self, config: ServerConfig) -> None:
        """Other rules; what has been counted so far still counts."""
        if config.channel is not self.config.channel:
            self.limits.channel = config.channel
            self.lines.allow(line_ends(config))
        self.config = config

    @property
    def standing(self) -> Standing:
        """What the client has reached so far, by which it is offered more or less."""
        return Standing(self.tls, self.binding is not None, self.user is not None, self.clock())

    def ask(self, question: Question, then: Callable[[Reply], object]) -> Question:
        """Open a question; the answer goes to ``then``."""
        self.question = question
        self.then = then
        return question

    def say(self, reply: Reply) -> None:
        """Put a reply into the output."""
        self.output.append(replies.encode(reply))

    def refuse(self, recipient: str, reply: Reply) -> None:
        """MAIL, RCPT, DATA or the message is refused."""
        self.notes.refused(Refusal(self.transaction.sender, recipient, reply))
        self.say(reply)

    def bad(self, line: str, reply: Reply, told: bool = False) -> None:
        """The command makes no sense; one too many ends the session. ``told``: the log knows of it."""
        if not told:
            self.notes.bad(BadCommand(line, reply))
        if self.limits.bad_command():
            self.cut_off(replies.TOO_MANY_BAD, "too many bad commands")
        else:
            self.say(reply)

    def stop_between(self) -> None:
        """Act on a decision to stop, unless content is coming in."""
        if self.stop is not None and self.state not in (State.CONTENT, State.CHUNK):
            self.end(*self.stop)

    def end(self, reply: Reply, reason: str) -> None:
        """Say a last word and close."""
        if not self.closing:
            self.say(reply)
        self.close(reason)

    def cut_off(self, reply: Reply, reason: str) -> None:
        """The client has used up what one may do: the log shows it as a connection that we cut."""
        self.cut = True
        self.end(reply, reason)

    def close(self, reason: str) -> None:
        """Nothing more is said; what was given out of a message is void."""
        if self.closing:
            return
        content = self.transaction.content
        if content is not None and content.given:
            self.notes.dropped(Dropped(reason))
        self.state = State.CLOSED
        self.closing = True
        self.close_reason = reason


def line_ends(config: ServerConfig) -> str:
    """Which line ends a client may use."""
    smtp = config.channel.smtp
    return "crlf" if smtp == "nosmtp" else smtp
