"""The client's side of SMTP and LMTP as a dialogue: messages in, verdicts out (RFC 5321, RFC 2033)."""

from collections import deque
from collections.abc import Callable

from jobctl.errors import ProtocolViolation
from jobctl.mail.envelope import Envelope
from jobctl.mail.modifiers import modifiers
from jobctl.mail.reply import Reply
from jobctl.smtp.client_config import ClientConfig
from jobctl.smtp.client_opening import Opening
from jobctl.smtp.client_states import Phase, Step, reply_seconds
from jobctl.smtp.client_transaction import Transaction
from jobctl.smtp.client_verdicts import temporary
from jobctl.smtp.content import DotStuffer
from jobctl.smtp.events import Closed, Done, Event, NeedContent, Ready, SessionFailed, StartTls
from jobctl.smtp.reply_reader import ReplyReader

# Named apart, so that a type checker does not take the phase to be what it was before a call.
_CLOSED: Phase = Phase.CLOSED

# Octets of content that go out with BDAT before anything was answered; larger content waits for 354.
MOST_AT_ONCE = 256 * 1024


class ClientDialogue:
    """
    One session with a server. No transport, no clock: whoever owns it moves octets and takes events.

    With PIPELINING a transaction goes out in one piece, right behind the final dot of the one before.
    8-bit content is sent as it is also where 8BITMIME is not offered, except through a ``sevenbit``
    channel: nearly all servers are 8-bit clean, and changing content would break signatures.
    """

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self._opening = Opening(config)
        self._channel = config.channel
        self._options = config.channel.options
        self._reader = ReplyReader()
        self._phase = Phase.GREETING
        self._expected: deque[tuple[Step, Transaction | None, int]] = deque()
        self._open: deque[Transaction] = deque()  # at most two: one waits for the reply to its dot
        self._sending: Transaction | None = None  # whose content is being fed
        self._stuffer = DotStuffer()
        self._pipelining = False
        self._chunking = False
        self._chunk: list[bytes] | None = None  # content that goes out with BDAT
        self._begun = 0
        self._most = config.channel.options.attempt_transactions_per_session
        self._events: deque[Event] = deque()
        self._output: list[bytes] = []

    @property
    def banner(self) -> str:
        """What the peer said after 220, ``""`` so far."""
        return self._opening.banner

    @property
    def extensions(self) -> dict[str, str]:
        """What the peer offers: keyword in upper case to parameters; empty after HELO."""
        return self._opening.extensions

    @property
    def can_begin(self) -> bool:
        """A transaction may begin now."""
        if self._phase is not Phase.READY:
            return False
        return not self._open or (self._pipelining and len(self._open) == 1 and self._open[0].ended)

    @property
    def idle(self) -> bool:
        """Greeted, and nothing is open."""
        return self._phase is Phase.READY and not self._open

    @property
    def user(self) -> str:
        """Whom the peer takes us for, ``""`` for nobody."""
        return self._opening.user

    @property
    def modifiers(self) -> str:
        """Letters for the log (:func:`jobctl.mail.modifiers.modifiers`), once greeted; C is never among them."""
        opening = self._opening
        return modifiers(
            esmtp=bool(opening.extensions),
            lmtp=self.config.lmtp,
            tls=opening.secure,
            user=bool(opening.user),
        )

    def secured(self, binding: tuple[str, bytes] | None = None) -> None:
        """
        The session is encrypted from here on: after :class:`StartTls`, or before the banner.

        :param binding: Kind and data of the channel, for SCRAM (RFC 9266).
        """
        if self._phase is Phase.GREETING:
            said = self._opening.secured(binding)
            if said:
                self._output.append(said)

    def tls_failed(self, why: str) -> None:
        """The handshake did not come about, or the peer is not who ``verify`` wants."""
        if self._phase is Phase.GREETING:
            self._phase = _CLOSED
            self._events.append(self._opening.tls_failed(why))

    def receive(self, data: bytes) -> None:
        """Take octets from the peer; then take events and output."""
        if self._phase is Phase.CLOSED:
            return
        self._reader.add(data)
        try:
            while (reply := self._reader.next()) is not None:
                self._replied(reply)
                if self._phase is _CLOSED:
                    return
        except ProtocolViolation as why:
            self._over("4.5.0", f"protocol violation by the next hop: {why}")

    def lost(self, why: str) -> None:
        """The connection is gone."""
        self._over("4.4.2", why, dropped=True)

    def timed_out(self) -> None:
        """The peer did not answer for :meth:`timeout` seconds."""
        if self._phase is Phase.GREETING:
            waiting = self._opening.step.words
        else:
            waiting = self._expected[0][0].words if self._expected else "the connection"
        self._over("4.4.2", f"timeout waiting for {waiting}")

    def take_output(self) -> bytes:
        """Take what is to be written."""
        output = self._output
        if len(output) == 1:
            return output.pop()
        self._output = []
        return b"".join(output)

    def next_event(self) -> Event | None:
        """What has happened, in order; ``None`` when all is told."""
        return self._events.popleft() if self._events else None

    def doing(self, id: str = "") -> str:
        """What is waited for, in one word, for who watches: with a transaction, or on the whole."""
        if self._phase is Phase.GREETING:
            return self._opening.step.name.lower()
        if id and self._sending is not None and self._sending.id == id:
            return "content"
        meant = (one for one in self._expected if not id or (one[1] is not None and one[1].id == id))
        step = next(meant, None)
        return step[0].name.lower() if step is not None else "waiting" if id else "idle"

    def timeout(self) -> float | None:
        """Seconds the current wait for a reply may last; ``None`` when no reply is due."""
        if self._phase is Phase.GREETING:
            return reply_seconds(self._opening.step, self._options, 0, 0)
        if not self._expected:
            return None
        step, transaction, _ = self._expected[0]
        if transaction is None:
            return reply_seconds(step, self._options, 0, 0)
        return reply_seconds(step, self._options, len(transaction.accepted), transaction.octets)

    def begin(self, id: str, envelope: Envelope, octets: int) -> None:
        """
        Begin a transaction; allowed while :attr:`can_begin`.

        :param octets: Size of the content.
        """
        if not self.can_begin:
            raise ValueError("no transaction can begin now")
        transaction = Transaction(id, envelope, octets, first=self._begun == 0)
        transaction.anyway = "utf8header" in self._channel.keywords
        transaction.authenticated = bool(self._opening.user)
        chunked = self._chunking and octets <= MOST_AT_ONCE
        transaction.prepare(self.extensions, self._channel.eight == "sevenbit", chunked)
        if not transaction.to_send:
            self._events.append(Done(id, tuple(v for v in transaction.verdicts if v is not None)))
            return
        self._begun += 1
        if self._most is not None and self._begun >= self._most:
            self._phase = Phase.ENDING
        if self._open and self._open[0].chunked:
            # Should its content be refused, nobody knows in what state the peer is (RFC 3030 section 2).
            self._say(b"RSET\r\n", Step.RSET)
        self._open.append(transaction)
        if self._pipelining:
            for line, step, number in transaction.to_send:
                self._output.append(line)
                self._expected.append((step, transaction, number))
            transaction.to_send.clear()
            if chunked:
                # All of it in one write: the message costs one round trip, shared with the next.
                self._sending = transaction
                self._stuffer = DotStuffer(dots=False)
                self._chunk = []
                self._events.append(NeedContent(id))
        else:
            transaction.to_send.reverse()
            self._send_next(transaction)

    def feed(self, data: bytes) -> None:
        """Send content after :class:`NeedContent`; ignored when the transaction is over already."""
        if self._sending is None:
            return
        stuffed = self._stuffer.feed(data)
        if self._chunk is not None:
            self._chunk.append(stuffed)
        else:
            self._output.append(stuffed)

    def finish(self) -> None:
        """The content is complete."""
        transaction = self._sending
        if transaction is None:
            return
        self._sending = None
        rest = self._stuffer.finish()
        if self._chunk is not None:
            content = b"".join((*self._chunk, rest))
            self._chunk = None
            self._output.append(b"BDAT %d LAST\r\n%b" % (len(content), content))
        else:
            self._output.append(rest)
        transaction.ended = True
        if self.config.lmtp:
            self._expected.extend((Step.DOT, transaction, number) for number in transaction.accepted)
        else:
            self._expected.append((Step.DOT, transaction, -1))

    def quit(self) -> None:
        """End the session after what is open."""
        if self._phase is Phase.GREETING:
            self._output.append(b"QUIT\r\n")
            self._close()
        elif self._phase is not Phase.CLOSED and self._phase is not Phase.ENDING:
            self._phase = Phase.ENDING
            self._quit_when_empty()

    def _replied(self, reply: Reply) -> None:
        if reply.code == 421:
            self._over(temporary(reply.enhanced or "4.4.2"), str(reply), refused=True)
            return
        if self._phase is Phase.GREETING:
            self._open_session(reply)
            return
        if not self._expected:
            self._unasked(reply)
            return
        step, transaction, number = self._expected.popleft()
        act = _ON_REPLY.get((step, reply.code // 100))
        if act is None:
            raise ProtocolViolation(f"{reply.code} is no reply to {step.name}")
        act(self, reply, transaction, number)

    def _unasked(self, reply: Reply) -> None:
        """A refusal while content goes out is about that content; nothing else may come by itself."""
        transaction = self._sending
        if transaction is None or reply.code < 400:
            raise ProtocolViolation(f"{reply.code} came unasked")
        transaction.refuse(transaction.accepted, Step.DOT, reply, self._options.permanent_552)
        self._over("4.4.2", str(reply))

    def _open_session(self, reply: Reply) -> None:
        opening = self._opening
        said = opening.replied(reply)
        if said:
            self._output.append(said)
        if opening.failure is not None:
            self._phase = _CLOSED
            self._events.append(opening.failure)
        elif opening.step is Step.TLS:
            if not self._reader.empty:
                # Whoever put that in wants it to be taken for something said under TLS (CVE-2011-0411).
                raise ProtocolViolation("more than one reply to STARTTLS")
            self._events.append(StartTls())
        elif opening.done:
            self._phase = Phase.READY
            self._pipelining = "PIPELINING" in opening.extensions
            chunks = "CHUNKING" in opening.extensions and "nochunkingclient" not in self._channel.keywords
            self._chunking = chunks and self._pipelining and not self.config.lmtp
            self._events.append(Ready())

    def _sender_accepted(self, reply: Reply, transaction: Transaction, _n: int) -> None:
        transaction.answered = True
        self._send_next(transaction)

    def _sender_refused(self, reply: Reply, transaction: Transaction, _n: int) -> None:
        if reply.code == 503 and not transaction.first:
            # The two sides have lost step; that is nothing a message could be blamed for.
            self._over("4.5.1", str(reply), refused=True)
            return
        transaction.answered = True
        transaction.mail_refused = True
        transaction.refuse(transaction.waiting(), Step.MAIL, reply, self._options.permanent_552)
        if transaction.to_send:
            self._settle(transaction)

    def _recipient_accepted(self, reply: Reply, transaction: Transaction, number: int) -> None:
        if not transaction.mail_refused:
            transaction.accepted.append(number)
            self._send_next(transaction)

    def _recipient_refused(self, reply: Reply, transaction: Transaction, number: int) -> None:
        if not transaction.mail_refused:
            transaction.refuse([number], Step.RCPT, reply, self._options.permanent_552)
            self._send_next(transaction)

    def _send_next(self, transaction: Transaction) -> None:
        """Without PIPELINING: the next command; RSET in place of DATA when nobody was accepted."""
        if not transaction.to_send:
            return
        line, step, number = transaction.to_send.pop()
        if step is Step.DATA and not transaction.accepted:
            self._settle(transaction)
            self._reset()
        else:
            self._output.append(line)
            self._expected.append((step, transaction, number))

    def _go_ahead(self, reply: Reply, transaction: Transaction, _n: int) -> None:
        if transaction.accepted:
            self._sending = transaction
            self._stuffer = DotStuffer()
            self._events.append(NeedContent(transaction.id))
        elif self.config.lmtp:
            # How many replies a lone dot would get is not defined where nobody was accepted.
            raise ProtocolViolation("354 though no recipient was accepted")
        else:
            self._output.append(b".\r\n")
            self._expected.append((Step.LONE_DOT, transaction, -1))

    def _data_refused(self, reply: Reply, transaction: Transaction, _n: int) -> None:
        transaction.refuse(transaction.accepted, Step.DATA, reply, self._options.permanent_552)
        self._settle(transaction)
        if not transaction.mail_refused:
            self._reset()

    def _taken(self, reply: Reply, transaction: Transaction, number: int) -> None:
        numbers = transaction.accepted if number < 0 else [number]
        transaction.take(numbers, reply, "DSN" in self.extensions)
        self._settle_last(transaction, number)

    def _content_refused(self, reply: Reply, transaction: Transaction, number: int) -> None:
        numbers = transaction.accepted if number < 0 else [number]
        transaction.refuse(numbers, Step.DOT, reply, self._options.permanent_552)
        self._settle_last(transaction, number)
        if transaction.chunked and not self._open:
            self._reset()

    def _settle_last(self, transaction: Transaction, number: int) -> None:
        if number < 0 or number == transaction.accepted[-1]:
            self._settle(transaction)

    def _nobody_served(self, reply: Reply, transaction: Transaction, _n: int) -> None:
        """The lone dot: whatever the peer says, no recipient of ours was in it."""
        self._settle(transaction)

    def _was_reset(self, reply: Reply, _t: Transaction | None, _n: int) -> None:
        if self._phase is Phase.RESETTING:
            self._phase = Phase.READY

    def _not_reset(self, reply: Reply, _t: Transaction | None, _n: int) -> None:
        if self._phase is Phase.RESETTING:
            self._phase = Phase.ENDING
            self._quit_when_empty()

    def _farewell(self, reply: Reply, _t: Transaction | None, _n: int) -> None:
        self._close()

    def _say(self, line: bytes, step: Step) -> None:
        self._output.append(line)
        self._expected.append((step, None, -1))

    def _reset(self) -> None:
        """RSET, and nothing behind it: only its reply tells that both sides agree again."""
        if self._phase is Phase.READY:
            self._phase = Phase.RESETTING
            self._say(b"RSET\r\n", Step.RSET)

    def _settle(self, transaction: Transaction) -> None:
        """The transaction is over; the session goes on or ends as it stands."""
        self._open.popleft()
        verdicts = tuple(verdict for verdict in transaction.verdicts if verdict is not None)
        usable = self._phase is Phase.READY
        self._events.append(Done(transaction.id, verdicts, "recipient", usable))
        self._quit_when_empty()

    def _quit_when_empty(self) -> None:
        if self._phase is Phase.ENDING and not self._open:
            self._say(b"QUIT\r\n", Step.QUIT)

    def _over(self, status: str, why: str, dropped: bool = False, refused: bool = False) -> None:
        """
        The session has ended by itself: whoever has no verdict is deferred.

        :param refused: The peer has said that it goes no further: what it has not answered it has not taken.
        """
        if self._phase is _CLOSED:
            return
        if self._phase is Phase.GREETING:
            self._phase = _CLOSED
            self._events.append(self._opening.ended(status, why, dropped))
            return
        while self._open:
            transaction = self._open.popleft()
            transaction.defer_rest(status, why)
            # What has been sent to the end may have been taken, though nothing was answered.
            known = transaction.answered or transaction.first or (transaction.ended and not refused)
            scope = "recipient" if known else "local"
            verdicts = tuple(verdict for verdict in transaction.verdicts if verdict is not None)
            self._events.append(Done(transaction.id, verdicts, scope, False))
        self._close()

    def _close(self) -> None:
        self._phase = Phase.CLOSED
        self._sending = None
        self._expected.clear()
        self._events.append(Closed())


# (what was asked, first digit of the reply) -> what follows. Only the digit decides, so that a code
# invented tomorrow still works (RFC 5321 section 4.2.1); 421 alone stands above the table. A pair that is not
# here is a violation.
_ON_REPLY: dict[tuple[Step, int], Callable[..., None]] = {
    (Step.MAIL, 2): ClientDialogue._sender_accepted,
    (Step.MAIL, 4): ClientDialogue._sender_refused,
    (Step.MAIL, 5): ClientDialogue._sender_refused,
    (Step.RCPT, 2): ClientDialogue._recipient_accepted,
    (Step.RCPT, 4): ClientDialogue._recipient_refused,
    (Step.RCPT, 5): ClientDialogue._recipient_refused,
    (Step.DATA, 3): ClientDialogue._go_ahead,
    (Step.DATA, 4): ClientDialogue._data_refused,
    (Step.DATA, 5): ClientDialogue._data_refused,
    (Step.DOT, 2): ClientDialogue._taken,
    (Step.DOT, 4): ClientDialogue._content_refused,
    (Step.DOT, 5): ClientDialogue._content_refused,
    (Step.LONE_DOT, 2): ClientDialogue._nobody_served,
    (Step.LONE_DOT, 4): ClientDialogue._nobody_served,
    (Step.LONE_DOT, 5): ClientDialogue._nobody_served,
    (Step.RSET, 2): ClientDialogue._was_reset,
    (Step.RSET, 4): ClientDialogue._not_reset,
    (Step.RSET, 5): ClientDialogue._not_reset,
    (Step.QUIT, 2): ClientDialogue._farewell,
    (Step.QUIT, 4): ClientDialogue._farewell,
    (Step.QUIT, 5): ClientDialogue._farewell,
}

__all__ = [
    "ClientConfig",
    "ClientDialogue",
    "Closed",
    "Done",
    "Event",
    "NeedContent",
    "Ready",
    "SessionFailed",
]
