"""Which command may come when, in one table."""

from enum import IntEnum

from jobctl.mail.reply import Reply
from jobctl.smtp.replies import MIXED, NEED_HELLO, NEED_MAIL, NESTED_MAIL, NO_RECIPIENTS, OUT_OF_ORDER


class State(IntEnum):
    """
    Where the session stands.

    MAIL: a sender and no recipient yet. RCPT: at least one recipient accepted. CONTENT: 354 was said.
    CHUNK: the octets of a BDAT come in; CHUNKS: between one BDAT and the next. AUTH: a SASL exchange is
    under way. TLS: the handshake is.
    """

    BEGIN = 0
    READY = 1
    MAIL = 2
    RCPT = 3
    CONTENT = 4
    CHUNK = 5
    CHUNKS = 6
    AUTH = 7
    TLS = 8
    CLOSED = 9


_BETWEEN = (State.BEGIN, State.READY, State.MAIL, State.RCPT)
_ANY_TIME = ("NOOP", "HELP", "VRFY", "EXPN", "ETRN", "TURN", "XADR", "XSTA", "XCIR", "XGEN")
# RFC 821 sections 3.4 and 4.1.1: a message for a terminal, or for a terminal and the mailbox. Mail here, all of it.
MAIL_VERBS = ("MAIL", "SEND", "SAML", "SOML")
# A chunk has a size and is taken whatever the state.
_CHUNKED = (*_BETWEEN, State.CHUNKS)

# (state, command) -> state once the command has succeeded; a command that fails changes nothing.
# A pair that is not here is out of order. "." stands for the end of content.
NEXT: dict[tuple[State, str], State] = {
    **{(state, verb): State.READY for state in _BETWEEN for verb in ("HELO", "EHLO", "LHLO")},
    **{(state, verb): state for state in _BETWEEN for verb in _ANY_TIME},
    **{(state, "QUIT"): State.CLOSED for state in _CHUNKED},
    **{(state, "BDAT"): State.CHUNK for state in _CHUNKED},
    (State.CHUNKS, "NOOP"): State.CHUNKS,
    (State.CHUNKS, "RSET"): State.READY,
    (State.BEGIN, "STARTTLS"): State.TLS,
    (State.READY, "STARTTLS"): State.TLS,
    (State.READY, "AUTH"): State.READY,
    (State.BEGIN, "XCLIENT"): State.BEGIN,
    (State.READY, "XCLIENT"): State.BEGIN,
    (State.BEGIN, "RSET"): State.BEGIN,
    (State.READY, "RSET"): State.READY,
    (State.MAIL, "RSET"): State.READY,
    (State.RCPT, "RSET"): State.READY,
    **{(State.READY, verb): State.MAIL for verb in MAIL_VERBS},
    (State.MAIL, "RCPT"): State.RCPT,
    (State.RCPT, "RCPT"): State.RCPT,
    (State.RCPT, "DATA"): State.CONTENT,
    (State.CONTENT, "."): State.READY,
    (State.CHUNK, "."): State.READY,
}

_WHY: dict[tuple[State, str], Reply] = {
    **{(State.BEGIN, verb): NEED_HELLO for verb in MAIL_VERBS},
    (State.BEGIN, "RCPT"): NEED_HELLO,
    (State.BEGIN, "DATA"): NEED_HELLO,
    (State.BEGIN, "BDAT"): NEED_HELLO,
    (State.BEGIN, "AUTH"): NEED_HELLO,
    **{(state, verb): NESTED_MAIL for state in (State.MAIL, State.RCPT) for verb in MAIL_VERBS},
    (State.READY, "RCPT"): NEED_MAIL,
    (State.READY, "DATA"): NEED_MAIL,
    (State.READY, "BDAT"): NEED_MAIL,
    (State.MAIL, "DATA"): NO_RECIPIENTS,
    (State.MAIL, "BDAT"): NO_RECIPIENTS,
    (State.CHUNKS, "DATA"): MIXED,
}


def out_of_order(state: State, verb: str) -> Reply:
    """What to say to a command that may not come now."""
    return _WHY.get((state, verb), OUT_OF_ORDER)
