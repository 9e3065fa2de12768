"""The server's side of SMTP and LMTP as a dialogue: octets in, questions and octets out (RFC 5321, RFC 2033)."""

from collections import deque
from collections.abc import Callable

from jobctl.mail.address import parse_path
from jobctl.mail.envelope import Envelope, Recipient
from jobctl.mail.reply import Reply
from jobctl.smtp import replies
from jobctl.smtp.greeting import application_info, banner, ehlo_reply, helo_reply, legal_helo
from jobctl.smtp.lines import BadLine, CommandLines
from jobctl.smtp.parameters import (
    BadParameter,
    MailParameters,
    mail_parameters,
    rcpt_parameters,
    split_path,
)
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
from jobctl.smtp.server_content import ContentIntake
from jobctl.smtp.server_limits import SessionLimits
from jobctl.smtp.server_queries import (
    etrn_refusal,
    expansion_refusal,
    unserved,
    vague_verification,
    verification_hidden,
)
from jobctl.smtp.server_states import NEXT, State, out_of_order

_NO_PARAMETERS = MailParameters()
_SENDER_OK = replies.encode(replies.SENDER_OK)
_OK = replies.encode(replies.OK)
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
    :ivar envelope: The envelope of the message whose content is coming in, else ``None``.
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
        self.envelope: Envelope | None = None
        self._client = client
        self._line_ends = "crlf" if channel.smtp == "nosmtp" else channel.smtp
        self._lines = CommandLines(self._line_ends)
        self._limits = SessionLimits(channel)
        self._size_limit = config.size_limit
        self._session_left = options.allow_session_blocks * 1024 or None
        self._notes_left = {BadCommand: options.max_b_entries, Refusal: options.max_j_entries}
        self._command_time = options.seconds("command_receive_time")
        self._data_time = options.seconds("data_receive_time")
        self._state = State.BEGIN
        self._after = State.BEGIN  # the state once the current command has succeeded
        self._connected = False
        self._stop: tuple[Reply, str] | None = None
        self._waiting = False
        self._then: Callable[[Reply], None] = self._finished  # who takes the answer
        self._notes: deque[Question] = deque()
        self._output: list[bytes] = []
        self._forget()

    def connected(self) -> None:
        """Queue the banner. What was received before is dropped (BANNER_PURGE_DELAY)."""
        self._connected = True
        self._say(banner(self.config))

    def receive(self, data: bytes) -> None:
        """Take octets from the client; then call :meth:`next_question` until it gives ``None``."""
        if not self._connected or self._state is State.CLOSED:
            return
        self._lines.add(data)
        if self._session_left is not None:
            self._count(len(data))

    def next_question(self) -> Question | None:
        """The next thing to decide or to know; ``None`` while one is open or nothing is complete."""
        while not (self._notes or self._waiting or self._state is State.CLOSED):
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
        return self._notes.popleft() if self._notes else None

    def answer(self, reply: Reply) -> None:
        """Answer the open question. A 2xx reply without text gets the usual one."""
        if not self._waiting:
            raise ValueError("no question is open")
        self._waiting = False
        if self._state is State.CLOSED:
            return
        self._then(reply)
        if self._stop is not None and self._state is not State.CONTENT:
            self._end(*self._stop)

    def answers(self, each: list[Reply]) -> None:
        """Answer :class:`Finished` under LMTP: a reply for each recipient of the envelope, in its order."""
        if self.envelope is None or len(each) != len(self.envelope.recipients):
            raise ValueError("one reply for each recipient")
        self._each = each
        self.answer(each[0])

    def take_output(self) -> bytes:
        """Take what is to be written."""
        output = self._output
        if len(output) == 1:
            return output.pop()
        self._output = []
        return b"".join(output)

    @property
    def waiting(self) -> bool:
        """A question is open: the owner may pause reading when much is :attr:`buffered`."""
        return self._waiting

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
        if not self._waiting and self._state is not State.CONTENT:
            self._end(*self._stop)

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

    def _not_ascii(self, line: bytes) -> None:
        if line[:4].upper() not in (b"MAIL", b"RCPT"):
            return self._bad("", replies.BAD_CHARACTER)
        if line[:4].upper() == b"RCPT":
            self._limits.rejected()
        return self._refuse("", replies.NOT_ASCII)

    def _unknown(self, text: str) -> None:
        verb = text.partition(" ")[0][:32]
        return self._bad(text, Reply(500, f'5.5.1 Unknown command "{verb}" specified'))

    def _helo(self, argument: str) -> Question | None:
        if self.config.lmtp:
            return self._unknown("HELO")
        return self._hello(argument, esmtp=False)

    def _ehlo(self, argument: str) -> Question | None:
        if self.config.lmtp or self.config.channel.refuseehlo:
            return self._unknown("EHLO")
        return self._hello(argument, esmtp=True)

    def _lhlo(self, argument: str) -> Question | None:
        if not self.config.lmtp:
            return self._unknown("LHLO")
        return self._hello(argument, esmtp=True)

    def _hello(self, argument: str, esmtp: bool) -> Question | None:
        name = argument.strip()
        if not legal_helo(name):
            return self._bad(argument, replies.NEED_NAME)
        refused = self._limits.helo(name)
        if refused is not None:
            return self._bad(argument, refused)
        self._greeting = Hello(name, esmtp)
        if "hello" in self.config.asks:
            return self._ask(self._greeting, self._greeted)
        self._greeted(replies.OK)
        return None

    def _greeted(self, reply: Reply) -> None:
        if reply.code >= 300:
            self._refuse("", reply)
            return
        self._forget()
        self._state = self._after
        self.helo, self.esmtp = self._greeting.name, self._greeting.esmtp
        self.application = application_info(self.application, self.helo)
        self._say(ehlo_reply(self.config) if self.esmtp else helo_reply(self.config, self._client))

    def _mail(self, argument: str) -> Question | None:
        limits = self._limits
        refused = limits.disconnect()
        if refused is not None:
            return self._end(refused, refused.text)
        refused = limits.mail()
        if refused is not None:
            return self._refuse("", refused)
        if argument[:5].upper() != "FROM:":
            return self._bad(argument, replies.MAIL_SYNTAX)
        try:
            path, parameters = split_path(argument[5:])
            sender = parse_path(path, True)
            given = mail_parameters(parameters) if parameters else _NO_PARAMETERS
        except BadParameter as bad:
            return self._bad(argument, bad.reply)
        except ValueError as why:
            return self._bad(argument, Reply(501, f"5.1.7 Bad sender address: {why}."))
        self._sender, self._given = sender, given
        if self._size_limit and given.size > self._size_limit:
            return self._refuse("", replies.TOO_BIG)
        if "sender" in self.config.asks:
            return self._ask(Sender(sender, given.size), self._sender_answered)
        return self._take_sender(_SENDER_OK)

    def _sender_answered(self, reply: Reply) -> None:
        if reply.code >= 300:
            self._refuse("", reply)
        else:
            self._take_sender(replies.encode(reply) if reply.text else _SENDER_OK)

    def _take_sender(self, said: bytes) -> None:
        self._limits.begin()
        self._state = self._after
        self._output.append(said)

    def _rcpt(self, argument: str) -> Question | None:
        refused = self._limits.recipient()
        if refused is not None:
            return self._refuse(argument[3:].strip(), refused)
        if argument[:3].upper() != "TO:":
            return self._bad_recipient(argument, replies.RCPT_SYNTAX)
        try:
            path, parameters = split_path(argument[3:])
            address = parse_path(path, False)
            if parameters:
                given = rcpt_parameters(parameters)
                recipient = Recipient(address, given.notify, given.orcpt)
            else:
                recipient = Recipient(address)
        except BadParameter as bad:
            return self._bad_recipient(argument, bad.reply)
        except ValueError as why:
            return self._bad_recipient(argument, Reply(501, f"5.1.3 Bad recipient address: {why}."))
        self._recipient = recipient
        if "recipient" in self.config.asks:
            return self._ask(RecipientGiven(recipient, self._sender), self._recipient_answered)
        self._take_recipient("")
        return None

    def _bad_recipient(self, argument: str, reply: Reply) -> None:
        self._limits.rejected()
        return self._bad(argument, reply)

    def _recipient_answered(self, reply: Reply) -> None:
        if reply.code >= 300:
            self._limits.rejected()
            self._refuse(self._recipient.address, reply)
        else:
            self._take_recipient(reply.text)

    def _take_recipient(self, text: str) -> None:
        recipient = self._recipient
        self._limits.accepted()
        self._recipients.append(recipient)
        self._state = State.RCPT
        if text:
            self._say(Reply(250, text))
            return
        options = " and options" if recipient.notify or recipient.orcpt else ""
        self._output.append(f"250 2.1.5 {recipient.address}{options} OK.\r\n".encode())

    def _data(self, argument: str) -> Question | None:
        if argument:
            return self._bad(argument, replies.NO_ARGUMENT)
        refused = self._limits.data()
        if refused is not None:
            self._forget()
            self._state = State.READY
            return self._refuse("", refused)
        given, config = self._given, self.config
        self.envelope = Envelope(self._sender, tuple(self._recipients), given.ret, given.envid, given.body)
        self._content = ContentIntake(
            self._line_ends,
            self._size_limit,
            config.long_line_rule,
            config.channel.eight == "eightstrict" and given.body != "8BITMIME",
        )
        self._state = self._after
        self._output.append(_GO_AHEAD)
        return None

    def _take_content(self) -> Question | None:
        """Look at what content there is; the state changes when it is finished and was refused by ourselves."""
        content, envelope = self._content, self.envelope
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
        if content.refusal is not None:
            self._finished(content.refusal)
            if self._stop is not None:
                self._end(*self._stop)
            return None
        return self._ask(Finished(envelope, content.remaining(), content.octets), self._finished)

    def _finished(self, reply: Reply) -> None:
        """The message is taken or refused."""
        if reply.code >= 300:
            self._note(Refusal(self._sender, "", reply))
        if not self.config.lmtp:
            self._output.append(replies.encode(reply) if reply.text else _OK)
        else:
            for said in self._each or [reply] * len(self._recipients):
                self._say(replies.with_text(said, replies.OK.text))
        self._forget()
        self._state = State.READY

    def _rset(self, argument: str) -> Question | None:
        refused = self._limits.disconnect()
        if refused is not None:
            return self._end(refused, refused.text)
        self._forget()
        self._state = self._after
        self._output.append(_OK)
        return None

    def _noop(self, argument: str) -> Question | None:
        self._output.append(_OK)
        return None

    def _help(self, argument: str) -> Question | None:
        self._say(replies.HELP)
        return None

    def _quit(self, argument: str) -> Question | None:
        self._say(replies.BYE)
        self._close("")
        return None

    def _vrfy(self, argument: str) -> Question | None:
        text = argument.strip()
        if not text:
            return self._bad("VRFY", replies.NEED_ARGUMENT)
        refused = self._limits.verification()
        if refused is not None:
            self._say(refused)
            return None
        self._asked_about = text
        if not verification_hidden(self.config.channel):
            return self._ask(Verify(text), self._verified)
        self._verified(Reply(252))
        return None

    def _verified(self, reply: Reply) -> None:
        if not reply.text:
            reply = vague_verification(self._asked_about, self.config)
        if reply.code >= 400:
            self._limits.rejected()
        self._say(reply)

    def _expn(self, argument: str) -> Question | None:
        text = argument.strip()
        if not text:
            return self._bad("EXPN", replies.NEED_ARGUMENT)
        refused = expansion_refusal(self.config.channel)
        if refused is not None:
            self._say(refused)
            return None
        return self._ask(Expand(text), self._say)

    def _etrn(self, argument: str) -> Question | None:
        text = argument.strip()
        if not text:
            return self._bad("ETRN", replies.NEED_ARGUMENT)
        refused = etrn_refusal(text, self.config) or self._limits.etrn()
        if refused is not None:
            self._say(refused)
            return None
        return self._ask(RunQueue(text), self._say)

    def _ask(self, question: Question, then: Callable[[Reply], None]) -> Question:
        self._waiting = True
        self._then = then
        return question

    def _say(self, reply: Reply) -> None:
        self._output.append(replies.encode(reply))

    def _refuse(self, recipient: str, reply: Reply) -> None:
        self._note(Refusal(self._sender, recipient, reply))
        self._say(reply)

    def _bad(self, line: str, reply: Reply) -> None:
        self._note(BadCommand(line, reply))
        if self._limits.bad_command():
            self._end(replies.TOO_MANY_BAD, "too many bad commands")
        else:
            self._say(reply)

    def _note(self, note: BadCommand | Refusal) -> None:
        left = self._notes_left[type(note)]
        if left > 0:
            self._notes_left[type(note)] = left - 1
            self._notes.append(note)

    def _count(self, octets: int) -> None:
        assert self._session_left is not None
        self._session_left -= octets
        if self._session_left >= 0:
            return
        kilo = self.config.channel.options.allow_session_blocks
        reason = f"Maximum session data limit of {kilo}K octets has been exceeded"
        self._stop = (Reply(421, f"4.7.0 {reason}"), reason)
        if not self._waiting:
            self._end(*self._stop)

    def _end(self, reply: Reply, reason: str) -> None:
        """Say a last word and close."""
        if self._state is not State.CLOSED:
            self._say(reply)
            self._close(reason)

    def _close(self, reason: str) -> None:
        if self._state is State.CLOSED:
            return
        if self._content is not None and self._content.given:
            self._notes.append(Dropped(reason))
        self._state = State.CLOSED
        self.closing = True
        self.close_reason = reason
        self._forget()

    def _forget(self) -> None:
        """Nothing of a transaction outlives it."""
        self.envelope = None
        self._sender = ""
        self._given = _NO_PARAMETERS
        self._recipients: list[Recipient] = []
        self._content: ContentIntake | None = None
        self._each: list[Reply] | None = None


def _unserved(verb: str) -> Callable[[ServerDialogue, str], None]:
    def act(dialogue: ServerDialogue, argument: str) -> None:
        dialogue._bad(verb, unserved(verb, dialogue.config.channel))

    return act


_COMMANDS: dict[str, Callable[[ServerDialogue, str], Question | None]] = {
    "HELO": ServerDialogue._helo,
    "EHLO": ServerDialogue._ehlo,
    "LHLO": ServerDialogue._lhlo,
    "MAIL": ServerDialogue._mail,
    "RCPT": ServerDialogue._rcpt,
    "DATA": ServerDialogue._data,
    "RSET": ServerDialogue._rset,
    "NOOP": ServerDialogue._noop,
    "HELP": ServerDialogue._help,
    "QUIT": ServerDialogue._quit,
    "VRFY": ServerDialogue._vrfy,
    "EXPN": ServerDialogue._expn,
    "ETRN": ServerDialogue._etrn,
    **{verb: _unserved(verb) for verb in ("SEND", "SAML", "SOML", "TURN", "XGEN", "XCIR", "XADR", "XSTA")},
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
