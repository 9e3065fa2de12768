"""The server's side of SMTP and LMTP as a dialogue: octets in, questions and replies out (RFC 5321, 2033)."""

from collections.abc import Callable
from typing import TypeAlias

from jobctl.mail.envelope import Envelope
from jobctl.mail.reply import Reply
from jobctl.smtp import replies
from jobctl.smtp.greeting import application_info, banner, ehlo_reply, hello_verbs, helo_reply, legal_helo
from jobctl.smtp.lines import BadLine, CommandLines
from jobctl.smtp.parameters import BadArgument, mail_argument, rcpt_argument
from jobctl.smtp.questions import (
    BadCommand,
    Dropped,
    Expand,
    Finished,
    Hello,
    Piece,
    Question,
    RecipientGiven,
    Refusal,
    RunQueue,
    Sender,
    Verify,
)
from jobctl.smtp.server_config import ServerConfig
from jobctl.smtp.server_limits import SessionLimits
from jobctl.smtp.server_notes import Notes
from jobctl.smtp.server_queries import UNSERVED, expand, run_queue, unserved, vague_verification, verify
from jobctl.smtp.server_states import NEXT, State, out_of_order
from jobctl.smtp.server_transaction import Transaction

_SENDER_OK = replies.encode(replies.SENDER_OK)
_OK = replies.encode(replies.OK)
_YES = Reply(250)
_GO_AHEAD = replies.encode(replies.GO_AHEAD)


class ServerDialogue:
    """
    One session with a client. No transport, no clock: whoever owns it moves octets and answers questions.

    Commands are taken one at a time: while a question is open, those that were pipelined wait.

    :param application: What the session is called before the client has greeted us.
    :param client: Address of the client for the reply to HELO, ``""`` when not known.
    :ivar closing: Write the output, then close.
    :ivar close_reason: Why we end the session, for the log; ``""`` while it lives and after QUIT.
    :ivar application: ``SMTP/<name the client gave>``.
    :ivar helo: The name the client gave, ``""`` so far; ``esmtp``: it said EHLO or LHLO.
    """

    def __init__(self, config: ServerConfig, application: str = "SMTP", client: str = "") -> None:
        channel = config.channel
        options = channel.options
        self.config = config
        self.closing = False
        self.close_reason = ""
        self.application = "LMTP" if config.lmtp and application == "SMTP" else application
        self.helo = ""
        self.esmtp = False
        self._client = client
        self._line_ends = "crlf" if channel.smtp == "nosmtp" else channel.smtp
        self._lines = CommandLines(self._line_ends)
        self._limits = SessionLimits(channel)
        self._size_limit = config.size_limit
        self._session_left = options.allow_session_blocks * 1024 or None
        self._command_time = options.seconds("command_receive_time")
        self._data_time = options.seconds("data_receive_time")
        self._state = State.BEGIN
        self._after = State.BEGIN  # the state once the current command has succeeded
        self._connected = False
        self._stop: tuple[Reply, str] | None = None
        self._question: Question | None = None  # the open one
        self._then: Callable[[Reply], object] = self._finished  # who takes the answer to it
        self._notes = Notes(options)
        self._output: list[bytes] = []
        self._transaction = Transaction()

    def connected(self) -> None:
        """Queue the banner. What was received before is dropped (BANNER_PURGE_DELAY)."""
        self._connected = True
        self._say(banner(self.config))

    def receive(self, data: bytes) -> None:
        """Take octets from the client; then call :meth:`next_question` until it gives ``None``."""
        if not self._connected or self.closing:
            return
        self._lines.add(data)
        if self._session_left is not None:
            self._count(len(data))

    def next_question(self) -> Question | None:
        """The next thing to decide or to know; ``None`` while one is open or nothing is complete."""
        while not (self._notes or self._question is not None or self.closing):
            if self._state is State.CONTENT:
                question = self._take_content()
                if question is None and self._state is State.CONTENT:
                    return None
            else:
                try:
                    line = self._lines.next()
                except BadLine as bad:
                    self._bad("", bad.reply)
                    continue
                if line is None:
                    if self._lines.hopeless:
                        self._end(replies.TOO_MANY_BAD, "endless command line")
                    return None
                question = self._command(line)
            if question is not None:
                return question
        return self._notes.take()

    def answer(self, reply: Reply) -> None:
        """Answer the open question. A 2xx reply without text gets the usual one."""
        if self._question is None:
            raise ValueError("no question is open")
        self._question = None
        if self.closing:
            return
        self._then(reply)
        if reply.code == 421:
            self._close(reply.text)
        elif self._stop is not None:
            self._stop_between()

    def answers(self, each: list[Reply]) -> None:
        """Answer :class:`Finished` under LMTP: a reply for each recipient of the envelope, in its order."""
        if len(each) != len(self._transaction.recipients):
            raise ValueError("one reply for each recipient")
        self._transaction.each = each
        self.answer(each[0])

    def take_output(self) -> bytes:
        """Take what is to be written."""
        output = self._output
        if len(output) == 1:
            return output.pop()
        self._output = []
        return b"".join(output)

    @property
    def envelope(self) -> Envelope | None:
        """The envelope of the message whose content is coming in."""
        return self._transaction.envelope

    @property
    def waiting(self) -> bool:
        """A question is open: the owner may pause reading when much is :attr:`buffered`."""
        return self._question is not None

    @property
    def buffered(self) -> int:
        """Octets received and not yet looked at."""
        return self._lines.buffered

    @property
    def protocol(self) -> str:
        """``SMTP``, ``ESMTP`` or ``LMTP``, for the Received field."""
        return "LMTP" if self.config.lmtp else "ESMTP" if self.esmtp else "SMTP"

    def timeout(self) -> float:
        """Seconds that the current wait for the client may last."""
        return self._data_time if self._state is State.CONTENT else self._command_time

    def timed_out(self) -> None:
        """The client was silent for :meth:`timeout` seconds, or the session is too old."""
        in_content = self._state is State.CONTENT
        self._end(replies.DATA_TIMEOUT if in_content else replies.COMMAND_TIMEOUT, "timeout")

    def shut_down(self) -> None:
        """We are stopping: 421 as soon as no command is half done; content under way is taken to its end."""
        self._stop = (replies.STOPPING, "service stops")
        if self._question is None:
            self._stop_between()

    def lost(self, why: str) -> None:
        """The connection is gone: a :class:`Dropped` may follow, nothing else."""
        self._close(why)

    def _command(self, line: bytes) -> Question | None:
        if not line.isascii():
            return self._not_ascii(line)
        text = line.decode("ascii")
        if not text.isprintable():
            return self._bad("", replies.BAD_CHARACTER)
        verb, _, argument = text.partition(" ")
        verb = verb.upper()
        act = _COMMANDS.get(verb)
        if act is None:
            return self._unknown(text)
        after = NEXT.get((self._state, verb))
        if after is None:
            return self._bad(text, out_of_order(self._state, verb))
        self._after = after
        return act(self, argument)

    def _not_ascii(self, line: bytes) -> Question | None:
        verb = line[:4].upper()
        if verb not in (b"MAIL", b"RCPT"):
            return self._bad("", replies.BAD_CHARACTER)
        if verb == b"RCPT":
            self._limits.rejected()
        return self._refuse("", replies.NOT_ASCII)

    def _unknown(self, text: str) -> Question | None:
        verb = text.partition(" ")[0][:32]
        return self._bad(text, Reply(500, f'5.5.1 Unknown command "{verb}" specified'))

    def _hello(self, verb: str, argument: str) -> Question | None:
        if verb not in hello_verbs(self.config):
            return self._unknown(verb)
        name = argument.strip()
        if not legal_helo(name):
            return self._bad(argument, replies.NEED_NAME)
        refused = self._limits.helo(name)
        if refused is not None:
            return self._bad(argument, refused)
        self._greeting = Hello(name, esmtp=verb != "HELO")
        if "hello" in self.config.asks:
            return self._ask(self._greeting, self._greeted)
        return self._greeted(replies.OK)

    def _greeted(self, reply: Reply) -> Question | None:
        if reply.code >= 300:
            return self._refuse("", reply)
        self._transaction = Transaction()
        self._state = self._after
        self.helo, self.esmtp = self._greeting.name, self._greeting.esmtp
        self.application = application_info(self.application, self.helo)
        return self._say(ehlo_reply(self.config) if self.esmtp else helo_reply(self.config, self._client))

    def _mail(self, argument: str) -> Question | None:
        limits = self._limits
        refused = limits.disconnect()
        if refused is not None:
            return self._end(refused, refused.text)
        refused = limits.mail()
        if refused is not None:
            return self._refuse("", refused)
        transaction = self._transaction = Transaction()
        try:
            transaction.sender, transaction.given = mail_argument(argument)
        except BadArgument as bad:
            return self._bad(f"MAIL {argument}", bad.reply)
        size = transaction.given.size
        if self._size_limit and size > self._size_limit:
            return self._refuse("", replies.TOO_BIG)
        if "sender" in self.config.asks:
            return self._ask(Sender(transaction.sender, size), self._sender_answered)
        return self._take_sender(_SENDER_OK)

    def _sender_answered(self, reply: Reply) -> None:
        if reply.code >= 300:
            self._refuse("", reply)
        else:
            self._take_sender(replies.encode(reply) if reply.text else _SENDER_OK)

    def _take_sender(self, said: bytes) -> Question | None:
        self._limits.begin()
        self._state = self._after
        self._output.append(said)
        return None

    def _rcpt(self, argument: str) -> Question | None:
        refused = self._limits.recipient()
        if refused is not None:
            return self._refuse(argument[3:].strip(), refused)
        try:
            self._recipient = recipient = rcpt_argument(argument)
        except BadArgument as bad:
            self._limits.rejected()
            return self._bad(f"RCPT {argument}", bad.reply)
        if "recipient" in self.config.asks:
            return self._ask(RecipientGiven(recipient, self._transaction.sender), self._recipient_answered)
        return self._take_recipient(_YES)

    def _recipient_answered(self, reply: Reply) -> None:
        if reply.code >= 300:
            self._limits.rejected()
            self._refuse(self._recipient.address, reply)
        else:
            self._take_recipient(reply)

    def _take_recipient(self, reply: Reply) -> Question | None:
        recipient = self._recipient
        self._limits.accepted()
        self._transaction.recipients.append(recipient)
        self._state = self._after
        if reply.text:
            return self._say(reply)
        options = " and options" if recipient.notify or recipient.orcpt else ""
        self._output.append(f"250 2.1.5 {recipient.address}{options} OK.\r\n".encode())
        return None

    def _data(self, argument: str) -> Question | None:
        if argument:
            return self._bad(f"DATA {argument}", replies.NO_ARGUMENT)
        refused = self._limits.data()
        if refused is not None:
            self._state = State.READY
            return self._refuse("", refused)
        self._transaction.start_content(self.config, self._line_ends, self._size_limit)
        self._state = self._after
        self._output.append(_GO_AHEAD)
        return None

    def _take_content(self) -> Question | None:
        """Look at what content there is; ``None`` and still in content: more must come."""
        content, envelope = self._transaction.content, self._transaction.envelope
        assert content is not None and envelope is not None
        if not content.ended and self._lines.buffered:
            content.feed(self._lines.rest())
        if content.refusal is not None and content.given:
            content.given = False
            return Dropped(str(content.refusal))
        piece = content.piece()
        if piece is not None:
            return Piece(piece)
        if not content.ended:
            return None
        if content.rest:
            self._lines.add(content.rest)
        if content.refusal is None:
            return self._ask(Finished(envelope, content.remaining(), content.octets), self._finished)
        self._finished(content.refusal)
        return self._stop_between()

    def _finished(self, reply: Reply) -> None:
        """The message is taken or refused."""
        transaction = self._transaction
        for recipient, said in transaction.replies(reply, self.config.lmtp):
            self._output.append(replies.encode(said) if said.text else _OK)
            if said.code >= 300:
                self._notes.refused(Refusal(transaction.sender, recipient, said))
        self._transaction = Transaction()
        self._state = NEXT[self._state, "."]

    def _rset(self, argument: str) -> Question | None:
        refused = self._limits.disconnect()
        if refused is not None:
            return self._end(refused, refused.text)
        self._transaction = Transaction()
        self._state = self._after
        self._output.append(_OK)
        return None

    def _noop(self, argument: str) -> Question | None:
        self._output.append(_OK)
        return None

    def _help(self, argument: str) -> Question | None:
        return self._say(replies.HELP)

    def _quit(self, argument: str) -> Question | None:
        self._say(replies.BYE)
        return self._close("")

    def _query(self, verb: str, argument: str) -> Question | None:
        text = argument.strip()
        if not text:
            return self._bad(verb, replies.NEED_ARGUMENT)
        question = _QUERIES[verb](text, self.config, self._limits)
        if isinstance(question, Reply):
            return self._say(question)
        if isinstance(question, Verify):
            return self._ask(question, lambda reply: self._verified(question, reply))
        return self._ask(question, self._say)

    def _verified(self, question: Verify, reply: Reply) -> None:
        if not reply.text:
            reply = vague_verification(question.text, self.config)
        if reply.code >= 400:
            self._limits.rejected()
        self._say(reply)

    def _unserved(self, verb: str, argument: str) -> Question | None:
        return self._bad(f"{verb} {argument}", unserved(verb, self.config.channel))

    def _ask(self, question: Question, then: Callable[[Reply], object]) -> Question:
        self._question = question
        self._then = then
        return question

    def _say(self, reply: Reply) -> Question | None:
        self._output.append(replies.encode(reply))
        return None

    def _refuse(self, recipient: str, reply: Reply) -> Question | None:
        self._notes.refused(Refusal(self._transaction.sender, recipient, reply))
        return self._say(reply)

    def _bad(self, line: str, reply: Reply) -> Question | None:
        self._notes.bad(BadCommand(line, reply))
        if self._limits.bad_command():
            return self._end(replies.TOO_MANY_BAD, "too many bad commands")
        return self._say(reply)

    def _count(self, octets: int) -> None:
        assert self._session_left is not None
        self._session_left -= octets
        if self._session_left >= 0:
            return
        kilo = self.config.channel.options.allow_session_blocks
        reason = f"Maximum session data limit of {kilo}K octets has been exceeded"
        self._stop = (Reply(421, f"4.7.0 {reason}"), reason)
        if self._question is None:
            self._end(*self._stop)

    def _stop_between(self) -> Question | None:
        """Act on a decision to stop, unless content is coming in."""
        if self._stop is not None and self._state is not State.CONTENT:
            return self._end(*self._stop)
        return None

    def _end(self, reply: Reply, reason: str) -> Question | None:
        """Say a last word and close."""
        if not self.closing:
            self._say(reply)
        return self._close(reason)

    def _close(self, reason: str) -> Question | None:
        if self.closing:
            return None
        content = self._transaction.content
        if content is not None and content.given:
            self._notes.dropped(Dropped(reason))
        self._state = State.CLOSED
        self.closing = True
        self.close_reason = reason
        return None


_Act: TypeAlias = Callable[[ServerDialogue, str], Question | None]


def _with(verb: str, act: Callable[[ServerDialogue, str, str], Question | None]) -> _Act:
    return lambda dialogue, argument: act(dialogue, verb, argument)


_QUERIES: dict[str, Callable[[str, ServerConfig, SessionLimits], Verify | Expand | RunQueue | Reply]] = {
    "VRFY": verify,
    "EXPN": expand,
    "ETRN": run_queue,
}

_COMMANDS: dict[str, _Act] = {
    "MAIL": ServerDialogue._mail,
    "RCPT": ServerDialogue._rcpt,
    "DATA": ServerDialogue._data,
    "RSET": ServerDialogue._rset,
    "NOOP": ServerDialogue._noop,
    "HELP": ServerDialogue._help,
    "QUIT": ServerDialogue._quit,
    **{verb: _with(verb, ServerDialogue._hello) for verb in ("HELO", "EHLO", "LHLO")},
    **{verb: _with(verb, ServerDialogue._query) for verb in _QUERIES},
    **{verb: _with(verb, ServerDialogue._unserved) for verb in UNSERVED},
}

__all__ = [
    "BadCommand",
    "Dropped",
    "Expand",
    "Finished",
    "Hello",
    "Piece",
    "Question",
    "RecipientGiven",
    "Refusal",
    "RunQueue",
    "Sender",
    "ServerConfig",
    "ServerDialogue",
    "Verify",
]
