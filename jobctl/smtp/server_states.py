"""Which command may come when, in one table."""

from enum import IntEnum

from jobctl.mail.reply import Reply
from jobctl.smtp.replies import NEED_HELLO, NEED_MAIL, NESTED_MAIL, NO_RECIPIENTS, OUT_OF_ORDER
from jobctl.smtp.server_queries import UNSERVED


class State(IntEnum):
    """
    Where the session stands.

    MAIL: a sender and no recipient yet. RCPT: at least one recipient accepted. CONTENT: 354 was said.
    """

    BEGIN = 0
    READY = 1
    MAIL = 2
    RCPT = 3
    CONTENT = 4
    CLOSED = 5


_BETWEEN = (State.BEGIN, State.READY, State.MAIL, State.RCPT)
_ANY_TIME = ("NOOP", "HELP", "VRFY", "EXPN", "ETRN", *UNSERVED)

# (state, command) -> state once the command has succeeded; a command that fails changes nothing.
# A pair that is not here is out of order. "." stands for the end of content.
NEXT: dict[tuple[State, str], State] = {
    **{(state, verb): State.READY for state in _BETWEEN for verb in ("HELO", "EHLO", "LHLO")},
    **{(state, verb): state for state in _BETWEEN for verb in _ANY_TIME},
    **{(state, "QUIT"): State.CLOSED for state in _BETWEEN},
    (State.BEGIN, "RSET"): State.BEGIN,
    (State.READY, "RSET"): State.READY,
    (State.MAIL, "RSET"): State.READY,
    (State.RCPT, "RSET"): State.READY,
    (State.READY, "MAIL"): State.MAIL,
    (State.MAIL, "RCPT"): State.RCPT,
    (State.RCPT, "RCPT"): State.RCPT,
    (State.RCPT, "DATA"): State.CONTENT,
    (State.CONTENT, "."): State.READY,
}

_WHY: dict[tuple[State, str], Reply] = {
    (State.BEGIN, "MAIL"): NEED_HELLO,
    (State.BEGIN, "RCPT"): NEED_HELLO,
    (State.BEGIN, "DATA"): NEED_HELLO,
    (State.MAIL, "MAIL"): NESTED_MAIL,
    (State.RCPT, "MAIL"): NESTED_MAIL,
    (State.READY, "RCPT"): NEED_MAIL,
    (State.READY, "DATA"): NEED_MAIL,
    (State.MAIL, "DATA"): NO_RECIPIENTS,
}


def out_of_order(state: State, verb: str) -> Reply:
    """What to say to a command that may not come now."""
    return _WHY.get((state, verb), OUT_OF_ORDER)
