"""The server's side of SMTP and LMTP as a dialogue: octets in, questions and replies out (RFC 5321, 2033)."""

from collections.abc import Callable
from typing import TypeAlias

from jobctl.mail.envelope import Envelope
from jobctl.mail.modifiers import modifiers
from jobctl.mail.reply import Reply
from jobctl.sasl.secrets import ScramKeys
from jobctl.smtp import replies
from jobctl.smtp.greeting import banner
from jobctl.smtp.lines import BadLine
from jobctl.smtp.questions import Expand, Question, RunQueue, Verify
from jobctl.smtp.server_auth import auth, break_off, identify, keys_known, respond
from jobctl.smtp.server_config import ServerConfig
from jobctl.smtp.server_hello import hello, starttls, unknown, xclient
from jobctl.smtp.server_help import help_reply
from jobctl.smtp.server_lines import decoded, not_ascii
from jobctl.smtp.server_mail import bdat, data, mail, rcpt, rset, take_content, unproved
from jobctl.smtp.server_private import PRIVATE, private
from jobctl.smtp.server_queries import expand, run_queue, vague_verification, verify
from jobctl.smtp.server_states import MAIL_VERBS, NEXT, State, out_of_order
from jobctl.smtp.server_talk import Talk

_OK = replies.encode(replies.OK)


class ServerDialogue:
    """
    One session with a client. No transport, no clock: whoever owns it moves octets and answers questions.

    Commands are taken one at a time: while a question is open, those that were pipelined wait.

    :param clock: Epoch seconds, for dates that a client may name.
    :param application: What the session is called before the client has greeted us.
    :param client: Address of the client for the reply to HELO, ``""`` when not known.
    """

    def __init__(
        self,
        config: ServerConfig,
        clock: Callable[[], float],
        application: str = "SMTP",
        client: str = "",
    ) -> None:
        self._talk = Talk(config, clock, application, client)
        options = config.channel.options
        self._session_left = options.allow_session_blocks * 1024 or None
        self._command_time = options.seconds("command_receive_time")
        self._data_time = options.seconds("data_receive_time")
        self._connected = False

    def connected(self) -> None:
        """Queue the banner. What was received before is dropped (BANNER_PURGE_DELAY)."""
        self._connected = True
        self._talk.say(banner(self._talk.config))

    def secured(self, tls: str, binding: tuple[str, bytes] | None = None, user: str | None = None) -> None:
        """
        The session is encrypted from here on: after :class:`StartTls`, or before :meth:`connected`.

        :param tls: Protocol and cipher, ``TLSv1.3/TLS_AES_256_GCM_SHA384``.
        :param binding: Kind and data of the channel, for SCRAM (RFC 9266).
        :param user: Whom the client's certificate proves it to be.
        """
        talk = self._talk
        talk.begin(talk.config)
        talk.tls = tls
        talk.binding = binding
        talk.user = user

    def reconfigure(self, config: ServerConfig) -> None:
        """Other rules from here on: the source channel has changed, or the client may do more."""
        self._talk.reconfigure(config)

    def receive(self, data: bytes) -> None:
        """Take octets from the client; then call :meth:`next_question` until it gives ``None``."""
        if not self._connected or self._talk.closing:
            return
        self._talk.lines.add(data)
        if self._session_left is not None:
            self._count(len(data))

    @property
    def doing(self) -> str:
        """Where the session stands, in one word, for who watches."""
        return self._talk.state.name.lower()

    def next_question(self) -> Question | None:
        """The next thing to decide or to know; ``None`` while one is open or nothing is complete."""
        talk = self._talk
        while not (talk.notes or talk.question is not None or talk.closing):
            state = talk.state
            if state is State.CONTENT or state is State.CHUNK:
                question = take_content(talk)
                if question is None and talk.state is state:
                    break
            elif state is State.TLS:
                break
            else:
                try:
                    line = talk.lines.next()
                except BadLine as bad:
                    if state is State.AUTH:
                        break_off(talk, bad.reply)
                    else:
                        talk.bad("", bad.reply)
                    continue
                if line is None:
                    if talk.lines.hopeless:
                        talk.cut_off(replies.TOO_MANY_BAD, "endless command line")
                    break
                question = self._command(talk, line)
            if question is not None:
                return question
        return talk.notes.take() if talk.notes else None

    def answer(self, reply: Reply) -> None:
        """Answer the open question. A 2xx reply without text gets the usual one."""
        talk = self._talk
        if talk.question is None:
            raise ValueError("no question is open")
        talk.question = None
        if talk.closing:
            return
        talk.then(reply)
        if reply.code == 421:
            talk.close(reply.text)
        elif talk.stop is not None and talk.question is None:
            talk.stop_between()

    def answers(self, each: list[Reply]) -> None:
        """Answer :class:`Finished` under LMTP: a reply for each recipient of the envelope, in its order."""
        transaction = self._talk.transaction
        if len(each) != len(transaction.recipients):
            raise ValueError("one reply for each recipient")
        transaction.each = each
        self.answer(each[0])

    def identify(self, user: str) -> None:
        """Before the 235 to a claim: whom its checker found the client to be, where the client did not say."""
        identify(self._talk, user)

    def answer_keys(self, keys: ScramKeys | None) -> None:
        """Answer :class:`KeysWanted`; ``None``: there is no such user."""
        talk = self._talk
        talk.question = None
        if not talk.closing:
            keys_known(talk, keys)
            if talk.stop is not None and talk.question is None:
                talk.stop_between()

    def take_output(self) -> bytes:
        """Take what is to be written."""
        output = self._talk.output
        if len(output) == 1:
            return output.pop()
        self._talk.output = []
        return b"".join(output)

    @property
    def config(self) -> ServerConfig:
        """The rules of now."""
        return self._talk.config

    @property
    def closing(self) -> bool:
        """Write the output, then close."""
        return self._talk.closing

    @property
    def close_reason(self) -> str:
        """Why we end the session, for the log; ``""`` while it lives and after QUIT."""
        return self._talk.close_reason

    @property
    def cut(self) -> bool:
        """A limit of the channel ended the session."""
        return self._talk.cut

    @property
    def application(self) -> str:
        """``SMTP/<name the client gave>``, and the TLS information behind another slash."""
        return self._talk.application

    @property
    def helo(self) -> str:
        """The name the client gave, ``""`` so far."""
        return self._talk.helo

    @property
    def user(self) -> str | None:
        """Whom the client has proved to be."""
        return self._talk.user

    @property
    def failed_user(self) -> str:
        """Whom the last AUTH that failed was about, ``""`` for none."""
        return self._talk.failed_user

    @property
    def envelope(self) -> Envelope | None:
        """The envelope of the message whose content is coming in."""
        return self._talk.transaction.envelope

    @property
    def submit_type(self) -> str:
        """With which command the sender was given, for access tables: ``MAIL``, ``SEND``, ``SAML`` or ``SOML``."""
        return self._talk.transaction.verb

    def permit_private(self, permitted: bool) -> None:
        """The client may say XADR, XSTA, XGEN and XCIR whatever the options say (``$V`` of PORT_ACCESS)."""
        self._talk.private = permitted

    @property
    def waiting(self) -> bool:
        """A question is open: the owner may pause reading when much is :attr:`buffered`."""
        return self._talk.question is not None

    @property
    def buffered(self) -> int:
        """Octets received and not yet looked at."""
        return self._talk.lines.buffered

    @property
    def protocol(self) -> str:
        """``SMTP``, ``ESMTP`` or ``LMTP``, with S for TLS and A for AUTH (RFC 3848)."""
        talk = self._talk
        if not (talk.esmtp or talk.config.lmtp):
            return "SMTP"
        kind = "LMTP" if talk.config.lmtp else "ESMTP"
        return f"{kind}{'S' if talk.tls else ''}{'A' if talk.user is not None else ''}"

    @property
    def modifiers(self) -> str:
        """As :attr:`jobctl.mail.envelope.Source.modifiers`; C while the content of a BDAT is at hand."""
        talk = self._talk
        return modifiers(
            esmtp=talk.esmtp,
            lmtp=talk.config.lmtp,
            tls=bool(talk.tls),
            user=talk.user is not None,
            chunked=talk.transaction.chunk is not None,
        )

    def timeout(self) -> float:
        """Seconds that the current wait for the client may last."""
        return self._data_time if self.receiving else self._command_time

    def timed_out(self) -> None:
        """The client was silent for :meth:`timeout` seconds."""
        self._talk.end(replies.DATA_TIMEOUT if self.receiving else replies.COMMAND_TIMEOUT, "timeout")

    def too_old(self) -> None:
        """SESSION_TIME is over: whatever is under way is given up, but for what we have to answer."""
        self._cut_when_answered(replies.SESSION_OVER, "session time limit")

    def shut_down(self) -> None:
        """We are stopping: 421 as soon as no command is half done; content under way is taken to its end."""
        talk = self._talk
        talk.stop = (replies.STOPPING, "service stops")
        if talk.question is None:
            talk.stop_between()

    def lost(self, why: str) -> None:
        """The connection is gone: a :class:`Dropped` may follow, nothing else."""
        self._talk.close(why)

    @property
    def receiving(self) -> bool:
        """Content is coming in."""
        return self._talk.state in (State.CONTENT, State.CHUNK)

    def _command(self, talk: Talk, line: bytes) -> Question | None:
        if talk.state is State.AUTH:
            return respond(talk, line)
        text = decoded(talk, line)
        if text is None:
            not_ascii(talk, line)
            return None
        if not text.isprintable():
            talk.bad("", replies.BAD_CHARACTER)
            return None
        verb, _, argument = text.partition(" ")
        verb = verb.upper()
        act = _COMMANDS.get(verb)
        if act is None:
            talk.bad(_loggable(talk, text), unknown(verb))
            return None
        if verb in _TO_TERMINALS and talk.config.channel.options.disable_send:
            talk.bad(_loggable(talk, text), replies.SEND_DISABLED)
            return None
        after = NEXT.get((talk.state, verb))
        if after is None:
            if verb == "BDAT":
                after = State.CHUNK
            else:
                talk.bad(_loggable(talk, text), out_of_order(talk.state, verb))
                return None
        talk.after = after
        return act(talk, argument)

    def _count(self, octets: int) -> None:
        assert self._session_left is not None
        self._session_left -= octets
        if self._session_left >= 0:
            return
        talk = self._talk
        kilo = talk.config.channel.options.allow_session_blocks
        reason = f"Maximum session data limit of {kilo}K octets has been exceeded"
        self._cut_when_answered(Reply(421, f"4.7.0 {reason}"), reason)

    def _cut_when_answered(self, reply: Reply, reason: str) -> None:
        talk = self._talk
        talk.stop = (reply, reason)
        talk.cut = True
        if talk.question is None:
            talk.end(reply, reason)


def _loggable(talk: Talk, text: str) -> str:
    """A line that was not done, without the secret that a client may have put there."""
    words = text.split()
    if not words or words[0].upper() == "AUTH":
        return " ".join(words[:2])
    # What no command begins with, behind an AUTH that was refused: a client that went on regardless.
    return text if not talk.refused_auth or words[0].upper() in _COMMANDS else "***"


def _noop(talk: Talk, argument: str) -> None:
    talk.output.append(_OK)


def _help(talk: Talk, argument: str) -> None:
    talk.say(help_reply(talk.config, argument, talk.private))


def _quit(talk: Talk, argument: str) -> None:
    talk.say(replies.BYE)
    talk.close("")


def _query(talk: Talk, verb: str, argument: str) -> Question | None:
    text = argument.strip()
    if not text:
        talk.bad(verb, replies.NEED_ARGUMENT)
        return None
    question = unproved(talk) or _QUERIES[verb](text, talk.config, talk.limits)
    if isinstance(question, Reply):
        if question.code == 553:
            talk.limits.rejected()
        talk.say(question)
        return None
    if isinstance(question, RunQueue):
        return talk.ask(question, talk.say)
    return talk.ask(question, lambda reply: _verified(talk, question, reply))


def _verified(talk: Talk, question: Verify | Expand, reply: Reply) -> None:
    if not reply.text:
        reply = vague_verification(question.text, talk.config)
    if reply.code >= 400:
        talk.limits.rejected()
    talk.say(reply)


_Act: TypeAlias = Callable[[Talk, str], Question | None]


def _with(verb: str, act: Callable[[Talk, str, str], Question | None]) -> _Act:
    return lambda talk, argument: act(talk, verb, argument)


_QUERIES = {"VRFY": verify, "EXPN": expand, "ETRN": run_queue}

# Options disable them, whatever the state.
_TO_TERMINALS = frozenset(MAIL_VERBS) - {"MAIL"}

_COMMANDS: dict[str, _Act] = {
    "RCPT": rcpt,
    "DATA": data,
    "BDAT": bdat,
    "RSET": rset,
    "NOOP": _noop,
    "HELP": _help,
    "QUIT": _quit,
    "TURN": lambda talk, argument: talk.bad(f"TURN {argument}".strip(), replies.NOT_IMPLEMENTED),
    "STARTTLS": starttls,
    "AUTH": auth,
    "XCLIENT": xclient,
    **{verb: _with(verb, hello) for verb in ("HELO", "EHLO", "LHLO")},
    **{verb: _with(verb, _query) for verb in _QUERIES},
    **{verb: _with(verb, mail) for verb in MAIL_VERBS},
    **{verb: _with(verb, private) for verb in PRIVATE},
}
