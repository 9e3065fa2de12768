"""What follows on each reply that the client gets."""

from collections.abc import Callable

from jobctl.errors import ProtocolViolation
from jobctl.mail.reply import Reply
from jobctl.smtp.client_states import Phase, Step
from jobctl.smtp.client_talk import Talk
from jobctl.smtp.client_transaction import Transaction
from jobctl.smtp.client_verdicts import temporary
from jobctl.smtp.events import QueueCalled


def replied(talk: Talk, reply: Reply) -> None:
    """
    Act on a reply of a session that has been opened.

    :raises ProtocolViolation: That is no reply to what was said.
    """
    if not talk.expected:
        _unasked(talk, reply)
        return
    step, transaction, number, _ = talk.expected.popleft()
    act = _ON_REPLY.get((step, reply.code // 100))
    if act is None:
        raise ProtocolViolation(f"{reply.code} is no reply to {step.name}")
    act(talk, reply, transaction, number)


def closing(talk: Talk, reply: Reply) -> None:
    """421, at any time: the peer goes no further."""
    talk.over(temporary(reply.enhanced or "4.4.2"), str(reply), refused=True)


def _unasked(talk: Talk, reply: Reply) -> None:
    """A refusal while content goes out is about that content; nothing else may come by itself."""
    transaction = talk.sending
    if transaction is None or reply.code < 400:
        raise ProtocolViolation(f"{reply.code} came unasked")
    transaction.refuse(transaction.accepted, Step.DOT, reply, talk.options.permanent_552)
    talk.over("4.4.2", str(reply))


def _sender_accepted(talk: Talk, reply: Reply, transaction: Transaction, _n: int) -> None:
    transaction.answered = True
    talk.send_next(transaction)


def _sender_refused(talk: Talk, reply: Reply, transaction: Transaction, _n: int) -> None:
    if reply.code == 503 and not transaction.first:
        # The two sides have lost step; that is nothing a message could be blamed for.
        talk.over("4.5.1", str(reply), refused=True)
        return
    transaction.answered = True
    transaction.mail_refused = True
    transaction.refuse(transaction.waiting(), Step.MAIL, reply, talk.options.permanent_552)
    if transaction.to_send:
        talk.settle(transaction)


def _recipient_accepted(talk: Talk, reply: Reply, transaction: Transaction, number: int) -> None:
    if not transaction.mail_refused:
        transaction.accepted.append(number)
        talk.send_next(transaction)
    if transaction.large:
        _large_content(talk, transaction)


def _recipient_refused(talk: Talk, reply: Reply, transaction: Transaction, number: int) -> None:
    if not transaction.mail_refused:
        transaction.refuse([number], Step.RCPT, reply, talk.options.permanent_552)
        talk.send_next(transaction)
    if transaction.large:
        _large_content(talk, transaction)


def _large_content(talk: Talk, transaction: Transaction) -> None:
    """When the last recipient has been answered: content that is large goes out if anybody wants it."""
    if talk.expected:
        return
    if transaction.accepted:
        talk.want_content(transaction)
    else:
        talk.settle(transaction)
        if not transaction.mail_refused:
            talk.reset()


def _chunk_taken(talk: Talk, reply: Reply, transaction: Transaction, _n: int) -> None:
    _if_cut_off(talk, transaction)


def _chunk_refused(talk: Talk, reply: Reply, transaction: Transaction, _n: int) -> None:
    """Nothing more of it is sent; what is on its way already will be refused, too (RFC 3030 section 4.2)."""
    if not transaction.cut:
        transaction.cut = True
        transaction.refuse(transaction.accepted, Step.DOT, reply, talk.options.permanent_552)
        if talk.sending is transaction:
            talk.sending = None
    _if_cut_off(talk, transaction)


def _if_cut_off(talk: Talk, transaction: Transaction) -> None:
    """After the reply to the last chunk of content that has no end."""
    if transaction.cut and not talk.expected:
        talk.settle(transaction)
        talk.reset()


def _go_ahead(talk: Talk, reply: Reply, transaction: Transaction, _n: int) -> None:
    if transaction.accepted:
        talk.want_content(transaction)
    elif talk.lmtp:
        # How many replies a lone dot would get is not defined where nobody was accepted.
        raise ProtocolViolation("354 though no recipient was accepted")
    else:
        talk.say(b".\r\n", Step.LONE_DOT, transaction)


def _data_refused(talk: Talk, reply: Reply, transaction: Transaction, _n: int) -> None:
    transaction.refuse(transaction.accepted, Step.DATA, reply, talk.options.permanent_552)
    talk.settle(transaction)
    if not transaction.mail_refused:
        talk.reset()


def _taken(talk: Talk, reply: Reply, transaction: Transaction, number: int) -> None:
    if transaction.cut:
        raise ProtocolViolation(f"{reply.code} to the end of content of which a chunk was refused")
    numbers = transaction.accepted if number < 0 else [number]
    transaction.take(numbers, reply, talk.dsn)
    _settle_last(talk, transaction, number)


def _content_refused(talk: Talk, reply: Reply, transaction: Transaction, number: int) -> None:
    numbers = transaction.accepted if number < 0 else [number]
    if not transaction.cut:
        transaction.refuse(numbers, Step.DOT, reply, talk.options.permanent_552)
    _settle_last(talk, transaction, number)
    if transaction.chunked and not talk.open:
        talk.reset()


def _settle_last(talk: Talk, transaction: Transaction, number: int) -> None:
    if number < 0 or number == transaction.accepted[-1]:
        talk.settle(transaction)


def _nobody_served(talk: Talk, reply: Reply, transaction: Transaction, _n: int) -> None:
    """The lone dot: whatever the peer says, no recipient of ours was in it."""
    talk.settle(transaction)


def _was_reset(talk: Talk, reply: Reply, _t: Transaction | None, _n: int) -> None:
    if talk.phase is Phase.RESETTING:
        talk.phase = Phase.READY


def _not_reset(talk: Talk, reply: Reply, _t: Transaction | None, _n: int) -> None:
    if talk.phase is Phase.RESETTING:
        talk.phase = Phase.ENDING
        talk.quit_when_empty()


def _called(talk: Talk, reply: Reply, _t: Transaction | None, _n: int) -> None:
    """ETRN: whatever the peer says, mail goes on; it is only told."""
    talk.events.append(QueueCalled(str(talk.channel.keywords.get("sendetrn", "")), reply))
    if talk.phase is Phase.RESETTING:
        talk.phase = Phase.READY


def _farewell(talk: Talk, reply: Reply, _t: Transaction | None, _n: int) -> None:
    talk.close()


# (what was asked, first digit of the reply) -> what follows. Only the digit decides, so that a code
# invented tomorrow still works (RFC 5321 section 4.2.1); 421 alone stands above the table. A pair that is not
# here is a violation.
_ON_REPLY: dict[tuple[Step, int], Callable[..., None]] = {
    (Step.MAIL, 2): _sender_accepted,
    (Step.MAIL, 4): _sender_refused,
    (Step.MAIL, 5): _sender_refused,
    (Step.RCPT, 2): _recipient_accepted,
    (Step.RCPT, 4): _recipient_refused,
    (Step.RCPT, 5): _recipient_refused,
    (Step.DATA, 3): _go_ahead,
    (Step.DATA, 4): _data_refused,
    (Step.DATA, 5): _data_refused,
    (Step.CHUNK, 2): _chunk_taken,
    (Step.CHUNK, 4): _chunk_refused,
    (Step.CHUNK, 5): _chunk_refused,
    (Step.DOT, 2): _taken,
    (Step.DOT, 4): _content_refused,
    (Step.DOT, 5): _content_refused,
    (Step.LONE_DOT, 2): _nobody_served,
    (Step.LONE_DOT, 4): _nobody_served,
    (Step.LONE_DOT, 5): _nobody_served,
    (Step.RSET, 2): _was_reset,
    (Step.RSET, 4): _not_reset,
    (Step.RSET, 5): _not_reset,
    **{(Step.ETRN, digit): _called for digit in (2, 4, 5)},
    (Step.QUIT, 2): _farewell,
    (Step.QUIT, 4): _farewell,
    (Step.QUIT, 5): _farewell,
}
