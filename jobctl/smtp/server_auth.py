"""AUTH on the server's side (RFC 4954)."""

import base64
import binascii
from collections.abc import Callable

from jobctl.mail.reply import Reply
from jobctl.sasl.secrets import ScramKeys
from jobctl.sasl.server import (
    Challenge,
    Exchange,
    KeysClaim,
    Malformed,
    Outcome,
    PasswordClaim,
    TokenClaim,
    begin,
    refusal,
)
from jobctl.smtp import replies
from jobctl.smtp.extensions import mechanisms, plaintext
from jobctl.smtp.questions import Authenticated, BadCommand, KeysWanted, PasswordGiven, Question, TokenGiven
from jobctl.smtp.server_states import State
from jobctl.smtp.server_talk import Talk


class Authentication:
    """
    The exchange under way.

    :ivar user: Who the client says to be, once it does; then who it was found to be.
    :ivar refused: It is decided, and the client was told why: its next line is followed by 535.
    """

    __slots__ = ("exchange", "mechanism", "refused", "user")

    def __init__(self, mechanism: str, exchange: Exchange) -> None:
        self.mechanism = mechanism
        self.exchange = exchange
        self.user = ""
        self.refused = False


def auth(talk: Talk, argument: str) -> Question | None:
    words = argument.split()
    refused = _refused(talk, words)
    if refused is not None:
        talk.refused_auth = True
        talk.bad(f"AUTH {' '.join(words[:1])}", refused)
        return None
    mechanism = words[0].upper()
    talk.exchange = Authentication(mechanism, begin(mechanism, talk.binding))
    talk.state = State.AUTH
    talk.lines.long = True
    return _step(talk, words[1].encode() if len(words) > 1 else None)


def _refused(talk: Talk, words: list[str]) -> Reply | None:
    config = talk.config
    if not config.auth or not talk.esmtp:
        return replies.NO_AUTH_HERE
    if talk.user is not None:
        return replies.AUTH_TWICE
    if not 1 <= len(words) <= 2:
        return replies.AUTH_SYNTAX
    mechanism = words[0].upper()
    if mechanism in mechanisms(config, talk.standing):
        return None
    known = mechanism in config.auth and plaintext(mechanism)
    return replies.AUTH_NEEDS_TLS if known else replies.AUTH_MECHANISM


def respond(talk: Talk, line: bytes) -> Question | None:
    """A line of the client within the exchange."""
    if _exchange(talk).refused:
        _over(talk, replies.TOKEN_FAILED)
        return None
    if line.strip() == b"*":
        _over(talk, replies.AUTH_CANCELLED)
        return None
    return _step(talk, line.strip())


def break_off(talk: Talk, reply: Reply) -> None:
    """A line of the client is none, too long for instance: the exchange has failed (RFC 4954 section 4)."""
    _over(talk, replies.TOKEN_FAILED if _exchange(talk).refused else reply)


def _step(talk: Talk, encoded: bytes | None) -> Question | None:
    try:
        # "=" is an initial response that is empty (RFC 4954 section 4).
        data = (
            None if encoded is None else base64.b64decode(b"" if encoded == b"=" else encoded, validate=True)
        )
        outcome = _exchange(talk).exchange.respond(data)
    except (binascii.Error, ValueError, Malformed):
        _over(talk, replies.AUTH_SYNTAX)
        return None
    return _follow(talk, outcome)


def _follow(talk: Talk, outcome: Outcome) -> Question | None:
    now = _exchange(talk)
    if isinstance(outcome, Challenge):
        talk.say(Reply(334, base64.b64encode(outcome.data).decode()))
        return None
    if isinstance(outcome, KeysClaim):
        now.user = outcome.user
        return talk.ask(KeysWanted(outcome.user), _no_keys(talk))
    if isinstance(outcome, PasswordClaim):
        now.user = outcome.user
        question: Question = PasswordGiven(now.mechanism, outcome.user, outcome.password)
        return talk.ask(question, lambda reply: _decided(talk, reply))
    if isinstance(outcome, TokenClaim):
        now.user = outcome.user
        return talk.ask(
            TokenGiven(now.mechanism, outcome.user, outcome.token), lambda reply: _token_decided(talk, reply)
        )
    _decided(talk, Reply(235) if outcome.user is not None else replies.AUTH_FAILED)
    return None


def _no_keys(talk: Talk) -> Callable[[Reply], object]:
    """Whoever cannot tell the keys says why."""
    return lambda reply: _decided(talk, reply if reply.code >= 400 else replies.AUTH_LATER)


def keys_known(talk: Talk, keys: ScramKeys | None) -> None:
    """The answer to :class:`KeysWanted`."""
    _follow(talk, _exchange(talk).exchange.keys(keys))


def identify(talk: Talk, user: str) -> None:
    """Whoever checks a claim has found the client to be ``user``."""
    _exchange(talk).user = user


def _token_decided(talk: Talk, reply: Reply) -> None:
    now = _exchange(talk)
    why = refusal(now.mechanism)
    if reply.code < 500 or why is None:
        _decided(talk, reply)
        return
    # Told now: the client may go away without asking for the 535.
    now.refused = True
    talk.failed_user = now.user
    talk.notes.bad(BadCommand(f"AUTH {now.mechanism}", replies.TOKEN_FAILED))
    talk.say(Reply(334, base64.b64encode(why).decode()))


def _decided(talk: Talk, reply: Reply) -> None:
    now = _exchange(talk)
    if reply.code >= 300 or not now.user:
        # Whoever gives no name is nobody.
        _over(talk, reply if reply.code >= 300 else replies.AUTH_FAILED)
        return
    talk.user = now.user
    talk.notes.authenticated(Authenticated(now.user, now.mechanism))
    _end(talk)
    talk.say(reply if reply.text else Reply(235, f"2.7.0 {now.mechanism} authentication successful."))


def _over(talk: Talk, reply: Reply) -> None:
    now = _exchange(talk)
    _end(talk)
    talk.failed_user = now.user
    talk.refused_auth = True
    talk.bad(f"AUTH {now.mechanism}", reply, told=now.refused)
    if reply.code == 535 and talk.limits.bad_auth() and not talk.closing:
        talk.cut_off(replies.AUTH_TOO_OFTEN, "too many failed authentications")


def _end(talk: Talk) -> None:
    talk.exchange = None
    talk.state = State.READY
    talk.lines.long = False


def _exchange(talk: Talk) -> Authentication:
    assert isinstance(talk.exchange, Authentication)
    return talk.exchange
