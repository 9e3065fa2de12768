"""How the client introduces itself: from the banner to the reply after which mail may be sent."""

from collections.abc import Callable

from jobctl.errors import ProtocolViolation
from jobctl.mail.reply import Reply
from jobctl.smtp.client_config import ClientConfig
from jobctl.smtp.client_states import Step
from jobctl.smtp.events import SessionFailed

# Replies that refuse HELO because of how it was said, not because of who says it.
_SYNTAX = frozenset({500, 501, 502, 503, 504})


class Opening:
    """
    :ivar step: What is waited for.
    :ivar banner: What the peer said after 220 in one line, ``""`` so far.
    :ivar extensions: What it offers: keyword in upper case to parameters as written; empty after HELO.
    :ivar done: Mail may be sent.
    :ivar failure: It may not, and why.
    """

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self._said_ehlo = False
        self.step = Step.BANNER
        self.banner = ""
        self.extensions: dict[str, str] = {}
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
        return SessionFailed(why, status, permanent=False, retry_with_helo=again)

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
            self.failure = SessionFailed(str(reply), reply.enhanced or "5.5.1")
            return b"QUIT\r\n"
        self.step = Step.HELO
        return self._line("HELO")

    def _extended(self, reply: Reply) -> bytes:
        for line in reply.text.split("\n")[1:]:
            keyword, _, parameters = line.strip().partition(" ")
            if keyword:
                self.extensions[keyword.upper()] = parameters.strip()
        return self._ready(reply)

    def _ready(self, reply: Reply) -> bytes:
        self.done = True
        return b""

    def _refused(self, reply: Reply) -> bytes:
        permanent = reply.code >= 500 and reply.code not in _SYNTAX
        default = "5.3.2" if permanent else "4.3.2"
        self.failure = SessionFailed(str(reply), reply.enhanced or default, permanent)
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
    (Step.HELO, 2): Opening._ready,
    (Step.HELO, 4): Opening._refused,
    (Step.HELO, 5): Opening._refused,
}
