"""What a client session knows: its state, what it waits for, and how its transactions and itself end."""

from collections import deque

from jobctl.mime.unsendable import Unsendable
from jobctl.smtp.client_config import ClientConfig
from jobctl.smtp.client_content import OutgoingContent
from jobctl.smtp.client_opening import Opening
from jobctl.smtp.client_shaping import Shaping
from jobctl.smtp.client_states import Phase, Step
from jobctl.smtp.client_transaction import Transaction
from jobctl.smtp.events import Closed, Done, Event, NeedContent, SessionFailed


class Talk:
    """
    The state of one session; what follows on a reply are functions on it.

    :ivar expected: What the next replies are replies to, with the transaction, the recipient's number, and how much
        was ``written`` when it was said: octets since the session began.
    :ivar open: Transactions: at most two, of which one waits for the reply to its dot.
    :ivar sending: Whose content is being fed, with ``content``.
    :ivar pipelining: Commands need not wait for replies; ``chunking``: nor content, with BDAT.
    :ivar shaping: What is done to content, ``None`` for nothing ever.
    """

    __slots__ = (
        *("begun", "channel", "chunking", "content", "dsn", "events", "expected", "lmtp", "most", "open"),
        *("opening", "options", "output", "phase", "pipelining", "sending", "shaping", "written"),
    )

    def __init__(self, config: ClientConfig) -> None:
        self.channel = config.channel
        self.options = config.channel.options
        self.lmtp = config.lmtp
        self.opening = Opening(config)
        self.phase = Phase.GREETING
        self.expected: deque[tuple[Step, Transaction | None, int, int]] = deque()
        self.open: deque[Transaction] = deque()
        self.sending: Transaction | None = None
        self.content = OutgoingContent(False)
        self.pipelining = False
        self.chunking = False
        self.dsn = False
        self.shaping: Shaping | None = None
        self.begun = 0
        self.most = config.channel.options.attempt_transactions_per_session
        self.events: deque[Event] = deque()
        self.output: list[bytes] = []
        self.written = 0

    def opened(self) -> None:
        """The peer has greeted us, and said what it can do."""
        extensions = self.opening.extensions
        self.phase = Phase.READY
        self.pipelining = "PIPELINING" in extensions
        chunks = "CHUNKING" in extensions and "nochunkingclient" not in self.channel.keywords
        self.chunking = chunks and self.pipelining and not self.lmtp
        self.dsn = "DSN" in extensions
        shaping = Shaping(self.channel, extensions, self.lmtp)
        self.shaping = None if shaping.idle else shaping

    def put(self, octets: bytes) -> None:
        """Something that nobody replies to."""
        self.output.append(octets)
        self.written += len(octets)

    def say(self, line: bytes, step: Step, transaction: Transaction | None = None, number: int = -1) -> None:
        """A command, or the end of something, that is replied to."""
        self.output.append(line)
        self.written += len(line)
        self.expected.append((step, transaction, number, self.written))

    def say_all(self, transaction: Transaction) -> None:
        """With PIPELINING: all its commands."""
        written = self.written
        for line, step, number in transaction.to_send:
            self.output.append(line)
            written += len(line)
            self.expected.append((step, transaction, number, written))
        self.written = written
        transaction.to_send.clear()

    def unheard(self) -> bool:
        """The peer cannot have heard yet what the next reply is expected to."""
        waiting = sum(len(octets) for octets in self.output)
        if self.phase is Phase.GREETING:
            return waiting > 0
        return bool(self.expected) and self.expected[0][3] > self.written - waiting

    def send_next(self, transaction: Transaction) -> None:
        """Without PIPELINING: the next command; RSET in place of DATA when nobody was accepted."""
        if not transaction.to_send:
            return
        line, step, number = transaction.to_send.pop()
        if step is Step.DATA and not transaction.accepted:
            self.settle(transaction)
            self.reset()
        else:
            self.say(line, step, transaction, number)

    def want_content(self, transaction: Transaction) -> None:
        """The content may go out."""
        self.sending = transaction
        self.content = OutgoingContent(
            transaction.chunked, transaction.shape, transaction.shaped, large=transaction.large
        )
        self.events.append(NeedContent(transaction.id))

    def reset(self) -> None:
        """RSET, and nothing behind it: only its reply tells that both sides agree again."""
        if self.phase is Phase.READY:
            self.phase = Phase.RESETTING
            self.say(b"RSET\r\n", Step.RSET)

    def call_for_mail(self) -> None:
        """ETRN (``sendetrn``), once the session is open; alone, for RFC 2920 does not say that it may be sent ahead."""
        node = self.channel.keywords.get("sendetrn")
        if node and "ETRN" in self.opening.extensions:
            self.phase = Phase.RESETTING
            self.say(f"ETRN {node}\r\n".encode("ascii", "replace"), Step.ETRN)

    def settle(self, transaction: Transaction) -> None:
        """The transaction is over; the session goes on or ends as it stands."""
        self.open.popleft()
        verdicts = tuple(verdict for verdict in transaction.verdicts if verdict is not None)
        usable = self.phase is Phase.READY
        self.events.append(Done(transaction.id, verdicts, "recipient", usable))
        self.quit_when_empty()

    def quit_when_empty(self) -> None:
        """Nothing more begins: QUIT goes out after what is open."""
        if self.phase is Phase.ENDING and not self.open:
            self.say(b"QUIT\r\n", Step.QUIT)

    def over(self, status: str, why: str, dropped: bool = False, refused: bool = False) -> None:
        """
        The session has ended by itself: whoever has no verdict is deferred.

        :param dropped: The peer closed the connection.
        :param refused: The peer has said that it goes no further: what it has not answered it has not taken.
        """
        if self.phase is Phase.CLOSED:
            return
        if self.phase is Phase.GREETING:
            self.phase = Phase.CLOSED
            self.events.append(self.opening.ended(status, why, dropped))
            return
        if not self.begun and self.phase in (Phase.READY, Phase.RESETTING):
            # It greeted, and nobody was served: to connect again at once would lead to the same, for ever.
            self.phase = Phase.CLOSED
            self.expected.clear()
            self.events.append(SessionFailed(why, status))
            return
        while self.open:
            transaction = self.open.popleft()
            transaction.defer_rest(status, why)
            # What has been sent to the end may have been taken, though nothing was answered.
            known = transaction.answered or transaction.first or (transaction.ended and not refused)
            scope = "recipient" if known else "local"
            verdicts = tuple(verdict for verdict in transaction.verdicts if verdict is not None)
            self.events.append(Done(transaction.id, verdicts, scope, False))
        self.close()

    def give_up(self, why: Unsendable) -> None:
        """
        The content turns out not to be what this peer can be given. It is not ended: nothing else tells the peer
        to forget what it has got (RFC 5321 section 4.1.1.4).
        """
        transaction = self.sending
        assert transaction is not None
        transaction.answered = True
        transaction.fail_all(why.status, str(why))
        self.over("4.4.2", str(why))

    def close(self) -> None:
        """Every transaction has its verdicts, and nothing more is said."""
        self.phase = Phase.CLOSED
        self.sending = None
        self.expected.clear()
        self.events.append(Closed())
