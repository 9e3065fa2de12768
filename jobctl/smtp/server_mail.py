"""MAIL, RCPT, DATA, BDAT and RSET on the server's side (RFC 5321 section 4.1.1, RFC 3030)."""

import msgspec

from jobctl.mail.envelope import Recipient
from jobctl.mail.moment import parse_moment
from jobctl.mail.reply import Reply
from jobctl.smtp import replies
from jobctl.smtp.completion import completed_recipient, completed_sender
from jobctl.smtp.extensions import parameters_for
from jobctl.smtp.parameters import BadArgument, MailParameters, mail_argument, rcpt_argument
from jobctl.smtp.questions import Dropped, Finished, Piece, Question, RecipientGiven, Refusal, Sender
from jobctl.smtp.server_content import ContentIntake
from jobctl.smtp.server_lines import ascii_refusal
from jobctl.smtp.server_states import NEXT, State, out_of_order
from jobctl.smtp.server_talk import Talk, line_ends
from jobctl.smtp.server_transaction import Chunk, Transaction

_SENDER_OK = replies.encode(replies.SENDER_OK)
_OK = replies.encode(replies.OK)
_YES = Reply(250)
_GO_AHEAD = replies.encode(replies.GO_AHEAD)
# RFC 3030 section 2: chunk-size is 1 to 20 digits.
_MAX_CHUNK_DIGITS = 20


def mail(talk: Talk, verb: str, argument: str) -> Question | None:
    """:param verb: ``MAIL``, or ``SEND``, ``SAML`` or ``SOML``, which differ for access tables alone."""
    limits = talk.limits
    config = talk.config
    if (refused := limits.disconnect()) is not None:
        talk.cut_off(refused, refused.text)
        return None
    if (refused := unproved(talk) or limits.mail()) is not None:
        talk.refuse("", refused)
        return None
    transaction = talk.transaction = Transaction(verb)
    try:
        transaction.sender, transaction.given = mail_argument(
            argument, lambda: parameters_for(config, talk.standing)
        )
    except BadArgument as bad:
        talk.bad(f"{verb} {argument}", bad.reply)
        return None
    if "@" not in transaction.sender:
        transaction.sender = completed_sender(transaction.sender, config.channel, talk.helo, talk.user)
    given = transaction.given
    size = given.size
    if not argument.isascii() and not given.smtputf8:
        talk.refuse("", ascii_refusal(talk))
        return None
    if _kept_for(talk, given) > config.futurerelease:
        talk.refuse("", replies.HELD_TOO_LONG)
        return None
    if given.by is not None and given.by.mode == "R" and given.by.seconds < (config.deliverby or 0):
        talk.refuse("", replies.TOO_SOON)
        return None
    if config.size_limit and size > config.size_limit:
        talk.refuse("", replies.TOO_BIG)
    elif "sender" in config.asks:
        return talk.ask(Sender(transaction.sender, size), lambda reply: _sender_answered(talk, reply))
    else:
        _take_sender(talk, _SENDER_OK)
    return None


def _kept_for(talk: Talk, given: MailParameters) -> float:
    """Seconds for which the sender wants the message to be kept (RFC 4865)."""
    if given.hold_until is not None:
        return parse_moment(given.hold_until) - talk.clock()
    return given.hold_for or 0


def unproved(talk: Talk) -> Reply | None:
    """Why a client may not send mail yet, nor ask about it: no TLS, or nobody has said who it is."""
    if not talk.tls and talk.config.tls == "must":
        return replies.NEED_TLS
    if talk.user is None and talk.config.must_auth:
        return replies.NEED_AUTH
    return None


def _sender_answered(talk: Talk, reply: Reply) -> None:
    if reply.code >= 300:
        talk.refuse("", reply)
    else:
        _take_sender(talk, replies.encode(reply) if reply.text else _SENDER_OK)


def _take_sender(talk: Talk, said: bytes) -> None:
    talk.limits.begin()
    talk.state = talk.after
    talk.output.append(said)


def rcpt(talk: Talk, argument: str) -> Question | None:
    if (refused := talk.limits.recipient()) is not None:
        talk.refuse(_named(talk, argument), refused)
        return None
    try:
        recipient = rcpt_argument(argument)
        if not argument.isascii() and not talk.transaction.given.smtputf8:
            raise BadArgument(ascii_refusal(talk))
    except BadArgument as bad:
        talk.limits.rejected()
        talk.bad(f"RCPT {argument}", bad.reply)
        return None
    if "@" not in recipient.address:
        address = completed_recipient(recipient.address, talk.config.channel)
        recipient = msgspec.structs.replace(recipient, address=address)
    if "recipient" in talk.config.asks:
        return talk.ask(
            RecipientGiven(recipient, talk.transaction.sender),
            lambda reply: _recipient_answered(talk, recipient, reply),
        )
    _recipient_answered(talk, recipient, _YES)
    return None


def _named(talk: Talk, argument: str) -> str:
    """A recipient that nobody looks at, for the log; as it was given where it is none."""
    try:
        address = rcpt_argument(argument).address
    except BadArgument:
        return argument[3:].strip()
    return address if "@" in address else completed_recipient(address, talk.config.channel)


def _recipient_answered(talk: Talk, recipient: Recipient, reply: Reply) -> None:
    if reply.code >= 300:
        talk.limits.rejected()
        talk.refuse(recipient.address, reply)
        return
    talk.limits.accepted()
    talk.transaction.recipients.append(recipient)
    talk.state = talk.after
    usual = f"2.1.5 {recipient.address}"
    if reply.text and reply != Reply(250, f"{usual} OK."):
        talk.say(reply)
        return
    # Whoever decided was not told of the parameters of DSN (RFC 3461).
    options = " and options" if recipient.notify or recipient.orcpt else ""
    talk.output.append(f"250 {usual}{options} OK.\r\n".encode())


def data(talk: Talk, argument: str) -> Question | None:
    if argument:
        talk.bad(f"DATA {argument}", replies.NO_ARGUMENT)
        return None
    if (refused := talk.limits.data()) is not None:
        talk.state = State.READY
        talk.refuse("", refused)
        return None
    talk.transaction.start_data(talk.config, line_ends(talk.config), talk.long_lines)
    talk.state = talk.after
    talk.output.append(_GO_AHEAD)
    return None


def bdat(talk: Talk, argument: str) -> Question | None:
    """A chunk follows the command whatever is said to it, so it is taken first and answered then."""
    size, _, word = argument.strip().partition(" ")
    word = word.strip().upper()
    if not (size.isascii() and size.isdigit() and len(size) <= _MAX_CHUNK_DIGITS) or word not in ("", "LAST"):
        # How much follows cannot be known: nothing that comes now can be told from commands.
        talk.end(replies.BDAT_SYNTAX, "BDAT without a size")
        return None
    transaction = talk.transaction
    chunk = transaction.chunk = Chunk(int(size), bool(word), talk.state)
    if talk.state not in (State.RCPT, State.CHUNKS):
        chunk.void = out_of_order(talk.state, "BDAT")
    elif transaction.content is None:
        if (refused := talk.limits.data()) is not None:
            chunk.void, chunk.before = refused, State.READY
        else:
            transaction.start_chunks(talk.config, line_ends(talk.config), talk.long_lines)
    talk.state = State.CHUNK
    return None


def take_content(talk: Talk) -> Question | None:
    """Look at what content there is; ``None`` and still in content: more must come."""
    transaction = talk.transaction
    chunk, content = transaction.chunk, transaction.content
    if chunk is not None:
        octets = talk.lines.take(chunk.left)
        chunk.left -= len(octets)
        if chunk.void is not None:
            if not chunk.left:
                _chunk_void(talk, chunk, chunk.void)
            return None
        assert content is not None
        content.feed(octets)
    else:
        assert content is not None
        if not content.ended and talk.lines.buffered:
            content.feed(talk.lines.rest())
    if (question := _given_out(content)) is not None:
        return question
    if chunk is not None:
        if chunk.left:
            return None
        if not chunk.last:
            _chunk_taken(talk, chunk, content.refusal)
            return None
        if content.refusal is not None:
            # Under LMTP this is a reply for each recipient, as after the final dot.
            finished(talk, content.refusal)
            talk.stop_between()
            return None
        if not content.ended:
            content.finish()
            return take_content(talk)
    elif not content.ended:
        return None
    return _ended(talk, content)


def _given_out(content: ContentIntake) -> Question | None:
    """A piece of content too large to be kept, or the news that what was given out is void."""
    if content.refusal is not None and content.given:
        content.given = False
        return Dropped(str(content.refusal))
    piece = content.piece()
    return Piece(piece) if piece is not None else None


def _ended(talk: Talk, content: ContentIntake) -> Question | None:
    envelope = talk.transaction.envelope
    assert envelope is not None
    if content.rest:
        talk.lines.add(content.rest)
    if content.refusal is None:
        return talk.ask(
            Finished(envelope, content.remaining(), content.octets), lambda reply: finished(talk, reply)
        )
    finished(talk, content.refusal)
    talk.stop_between()
    return None


def _chunk_void(talk: Talk, chunk: Chunk, reply: Reply) -> None:
    """A chunk that could belong to no message has been swallowed."""
    talk.transaction.chunk = None
    talk.state = chunk.before
    talk.refuse("", reply)
    talk.stop_between()


def _chunk_taken(talk: Talk, chunk: Chunk, refusal: Reply | None) -> None:
    """More chunks follow, or the message is refused and those that follow are void (RFC 3030 section 2)."""
    if refusal is None:
        talk.transaction.chunk = None
        talk.state = State.CHUNKS
        talk.say(Reply(250, f"2.0.0 {chunk.size} octets received."))
    else:
        sender = talk.transaction.sender
        talk.transaction = Transaction()
        talk.state = State.READY
        talk.notes.refused(Refusal(sender, "", refusal))
        talk.say(refusal)
    talk.stop_between()


def finished(talk: Talk, reply: Reply) -> None:
    """The message is taken or refused."""
    transaction = talk.transaction
    for recipient, said in transaction.replies(reply, talk.config.lmtp):
        talk.output.append(replies.encode(said) if said.text else _OK)
        if said.code >= 300:
            talk.notes.refused(Refusal(transaction.sender, recipient, said))
    talk.transaction = Transaction()
    talk.state = NEXT[talk.state, "."]


def rset(talk: Talk, argument: str) -> Question | None:
    if (refused := talk.limits.disconnect()) is not None:
        talk.cut_off(refused, refused.text)
        return None
    content = talk.transaction.content
    if content is not None and content.given:
        talk.notes.dropped(Dropped("RSET"))
    talk.transaction = Transaction()
    talk.state = talk.after
    talk.output.append(_OK)
    return None
