"""How the client introduces itself: from the banner to the reply after which mail may be sent."""

import base64
import binascii
from collections.abc import Callable

from jobctl.errors import ProtocolViolation
from jobctl.mail.reply import Reply
from jobctl.sasl.client import Binding, Exchange, Failed, choose
from jobctl.sasl.hiding import hidden
from jobctl.smtp.client_config import ClientConfig
from jobctl.smtp.client_states import Step
from jobctl.smtp.client_verdicts import temporary
from jobctl.smtp.events import SessionFailed

# Replies that refuse HELO because of how it was said, not because of who says it.
_SYNTAX = frozenset({500, 501, 502, 503, 504})


class Opening:
    """
    :ivar step: What is waited for.
    :ivar banner: What the peer said after 220 in one line, ``""`` so far.
    :ivar extensions: What it offers: keyword in upper case to parameters as written; empty after HELO.
    :ivar secure: The session is encrypted.
    :ivar user: Whom the peer takes us for, ``""`` for nobody.
    :ivar done: Mail may be sent.
    :ivar failure: It may not, and why.
    """

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._said_ehlo = False
        self.step = Step.BANNER
        self.banner = ""
        self.extensions: dict[str, str] = {}
        self.secure = False
        self.user = ""
        self._binding: Binding | None = None
        self._exchange: Exchange | None = None
        # Responses that were sent: some servers say them back in their replies, which are logged.
        self._responses: list[str] = []
        self.done = False
        self.failure: SessionFailed | None = None

    def replied(self, reply: Reply) -> bytes:
        """
        :return: What to send.
        :raises ProtocolViolation: That is no reply to what was said.
        """
        act = _ON_REPLY.get((self.step, reply.code // 100))
        if act is None:
            raise ProtocolViolation(f"{reply.code} is no reply to {self.step.name}")
        return act(self, reply)

    def ended(self, status: str, why: str, dropped: bool) -> SessionFailed:
        """
        The session ended before mail could be sent; trying again may help.

        :param dropped: The peer closed the connection.
        """
        waiting = self.step in (Step.EHLO, Step.HELO)
        again = dropped and waiting and self._said_ehlo and not self._config.lmtp
        return SessionFailed(self._without_secrets(why), status, permanent=False, retry_with_helo=again)

    def _greeted(self, reply: Reply) -> bytes:
        self.banner = reply.text.replace("\n", " ")
        initial = self._config.channel.options.initial_command
        if not initial:
            return self._hello(reply)
        self.step = Step.INITIAL
        return initial.encode("ascii", "replace") + b"\r\n"

    def _hello(self, reply: Reply) -> bytes:
        self.step = hello_step(self._config, self.banner)
        self._said_ehlo = self.step is Step.EHLO
        verb = "LHLO" if self._config.lmtp else self.step.name
        return self._line(verb)

    def _try_helo(self, reply: Reply) -> bytes:
        if self._config.lmtp:
            self.failure = SessionFailed(str(reply), temporary(reply.enhanced or "4.5.1"))
            return b"QUIT\r\n"
        self.step = Step.HELO
        return self._line("HELO")

    def _extended(self, reply: Reply) -> bytes:
        self.extensions = {}
        for line in reply.text.split("\n")[1:]:
            keyword, _, parameters = line.strip().partition(" ")
            if keyword:
                self.extensions[keyword.upper()] = parameters.strip()
        loop = self._config.loop
        if loop and "loopcheck" in self._config.channel.keywords and self.extensions.get("XLOOP") == loop:
            why = f"SMTP client-server loop detected: {self.banner} is this host"
            self.failure = SessionFailed(why, "5.4.6", permanent=True)
            return b"QUIT\r\n"
        return self._protect(reply)

    def _protect(self, reply: Reply) -> bytes:
        """TLS, where it is to be; then AUTH."""
        policy = self._config.tls
        if policy == "none" or self.secure:
            return self._authenticate()
        if "STARTTLS" in self.extensions:
            self.step = Step.STARTTLS
            return b"STARTTLS\r\n"
        if policy == "may":
            return self._authenticate()
        return self._give_up(
            "4.7.4", f"{self.banner or 'the next hop'} offers no STARTTLS, which tls_policy wants"
        )

    def _begin_tls(self, reply: Reply) -> bytes:
        self.step = Step.TLS
        return b""

    def _no_tls(self, reply: Reply) -> bytes:
        if self._config.tls == "may":
            return self._authenticate()
        return self._give_up("4.7.4", f"STARTTLS refused: {reply}")

    def secured(self, binding: Binding | None) -> bytes:
        """The handshake is over; at the start of a session with implicit TLS nothing is said yet."""
        self.secure = True
        self._binding = binding
        if self.step is Step.BANNER:
            return b""
        # What was said in the clear counts for nothing (RFC 3207 section 4.2).
        self.extensions = {}
        self.step = Step.EHLO
        return self._line("LHLO" if self._config.lmtp else "EHLO")

    def tls_failed(self, why: str) -> SessionFailed:
        """The handshake did not come about, or the peer is not who it should be."""
        again = self._config.tls == "may" and self.step is Step.TLS
        return SessionFailed(why, "4.7.5", retry_in_clear=again)

    def _authenticate(self) -> bytes:
        credentials = self._config.credentials
        if credentials is None:
            return self._ready()
        # "AUTH=..." is how servers offered it to clients of old.
        offered = self.extensions.get("AUTH", "").upper().split()
        offered += [word[5:] for word in self.extensions if word.startswith("AUTH=")]
        mechanism = choose(credentials, offered, self.secure, self._binding)
        if mechanism is None:
            return self._unauthenticated(
                f"no AUTH mechanism that can be used here is offered (offered: {' '.join(offered) or 'none'})"
            )
        plus = "SCRAM-SHA-256-PLUS" in offered
        binding = self._binding if mechanism.endswith("-PLUS") or not plus else None
        self._exchange = Exchange(mechanism, credentials, binding)
        self.step = Step.AUTH
        initial = self._exchange.initial()
        if initial is None:
            return f"AUTH {mechanism}\r\n".encode()
        return f"AUTH {mechanism} {self._encoded(initial) or '='}\r\n".encode()

    def _challenged(self, reply: Reply) -> bytes:
        exchange = self._exchange
        assert exchange is not None
        try:
            response = exchange.respond(base64.b64decode(reply.text.strip()))
        except (binascii.Error, ValueError, Failed):
            # The server answers 501 to this, and the session goes on from there.
            self._exchange = None
            return b"*\r\n"
        return f"{self._encoded(response)}\r\n".encode()

    def _encoded(self, response: bytes) -> str:
        self._responses.append(base64.b64encode(response).decode())
        return self._responses[-1]

    def _without_secrets(self, text: str) -> str:
        credentials = self._config.credentials
        if credentials is None or not self._responses:
            return text
        return hidden(text, (credentials.secret, *self._responses))

    def _authenticated(self, reply: Reply) -> bytes:
        credentials, exchange = self._config.credentials, self._exchange
        if credentials is None or exchange is None or not exchange.proved:
            return self._give_up("4.7.8", "the next hop has not proved that it knows the password")
        self.user = credentials.user
        return self._ready()

    def _not_authenticated(self, reply: Reply) -> bytes:
        return self._unauthenticated(f"AUTH failed: {reply}")

    def _unauthenticated(self, why: str) -> bytes:
        """A wrong password is the operator's to mend, never a reason to return mail."""
        return self._give_up("4.7.8", why) if self._config.must_auth else self._ready()

    def _give_up(self, status: str, why: str) -> bytes:
        self.failure = SessionFailed(self._without_secrets(why), status)
        return b"QUIT\r\n"

    def _greeted_by_helo(self, reply: Reply) -> bytes:
        return self._protect(reply)

    def _ready(self) -> bytes:
        self.done = True
        return b""

    def _refused(self, reply: Reply) -> bytes:
        permanent = reply.code >= 500 and reply.code not in _SYNTAX
        status = reply.enhanced or "5.3.2"
        self.failure = SessionFailed(str(reply), status if permanent else temporary(status), permanent)
        return b"QUIT\r\n"

    def _line(self, verb: str) -> bytes:
        return f"{verb} {self._config.name}\r\n".encode("ascii", "replace")


def hello_step(config: ClientConfig, banner: str) -> Step:
    """
    EHLO or HELO: by the keyword ``ehlo``, ``checkehlo`` or ``noehlo``; without one EHLO, unless the
    banner has "fire away", as servers had that hang up on EHLO.
    """
    if config.lmtp:
        return Step.EHLO
    keyword = config.channel.ehlo
    said = banner.lower()
    if config.helo_only or keyword == "noehlo":
        return Step.HELO
    if keyword == "checkehlo":
        return Step.EHLO if "esmtp" in said else Step.HELO
    if keyword is None and "fire away" in said:
        return Step.HELO
    return Step.EHLO


# (what was said, first digit of the reply) -> what follows; a pair that is not here is a violation.
_ON_REPLY: dict[tuple[Step, int], Callable[[Opening, Reply], bytes]] = {
    (Step.BANNER, 2): Opening._greeted,
    (Step.BANNER, 4): Opening._refused,
    (Step.BANNER, 5): Opening._refused,
    (Step.INITIAL, 2): Opening._hello,
    (Step.INITIAL, 4): Opening._hello,
    (Step.INITIAL, 5): Opening._hello,
    (Step.EHLO, 2): Opening._extended,
    (Step.EHLO, 4): Opening._refused,
    (Step.EHLO, 5): Opening._try_helo,
    (Step.HELO, 2): Opening._greeted_by_helo,
    (Step.HELO, 4): Opening._refused,
    (Step.HELO, 5): Opening._refused,
    (Step.STARTTLS, 2): Opening._begin_tls,
    (Step.STARTTLS, 4): Opening._no_tls,
    (Step.STARTTLS, 5): Opening._no_tls,
    (Step.AUTH, 2): Opening._authenticated,
    (Step.AUTH, 3): Opening._challenged,
    (Step.AUTH, 4): Opening._not_authenticated,
    (Step.AUTH, 5): Opening._not_authenticated,
}
