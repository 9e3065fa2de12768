"""One message on its way out: its commands, and the verdicts gathered so far."""

from jobctl.mail.address import parse_path
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.envelope import Envelope, Recipient
from jobctl.mail.reply import Reply
from jobctl.smtp.client_shaping import Shape
from jobctl.smtp.client_states import Step
from jobctl.smtp.client_timing import Timing
from jobctl.smtp.client_verdicts import refused, taken, unanswered


class Transaction:
    """
    :ivar first: Of its session.
    :ivar to_send: Commands not yet sent, each with what its reply will be and the recipient's number.
    :ivar accepted: Numbers of the recipients that the peer accepted.
    :ivar chunked: The content goes out with BDAT, right behind the recipients; ``large``: in several chunks, once a
        recipient is accepted; ``cut``: one was refused, and nothing is sent behind it.
    :ivar anyway: UTF-8 goes out whatever the peer offers (``utf8header``).
    :ivar authenticated: The peer has believed who we are, so that it may believe whom we vouch for.
    :ivar timing: What its deadline means for it, ``None``: it has none.
    :ivar answered: The peer has said something about it.
    :ivar mail_refused: MAIL was refused: whatever else is said to it means nothing.
    :ivar shape: What is done to its content, ``None`` for nothing; ``shaped``: what has come of all of it, so
        that ``octets`` is the size of that. Else the size that goes out is not known.
    :ivar body: What the peer is told of it, if it wants to know (RFC 6152 section 3).
    :ivar ended: The final dot is out.
    """

    __slots__ = (
        *("accepted", "answered", "anyway", "authenticated", "body", "chunked", "cut", "ended", "envelope"),
        *(
            "first",
            "id",
            "large",
            "mail_refused",
            "octets",
            "shape",
            "shaped",
            "timing",
            "to_send",
            "verdicts",
        ),
    )

    def __init__(self, id: str, envelope: Envelope, octets: int, first: bool) -> None:
        self.id = id
        self.envelope = envelope
        self.octets = octets
        self.first = first
        self.to_send: list[tuple[bytes, Step, int]] = []
        self.accepted: list[int] = []
        self.answered = False
        self.chunked = False
        self.large = False
        self.cut = False
        self.anyway = False
        self.authenticated = False
        self.timing: Timing | None = None
        self.mail_refused = False
        self.ended = False
        self.body = envelope.body
        self.shape: Shape | None = None
        self.shaped: bytes | None = None
        self.verdicts: list[Disposition | None] = [None] * len(envelope.recipients)

    def prepare(self, extensions: dict[str, str], chunked: bool = False) -> None:
        """
        Make the commands. Recipients that cannot be sent to this peer at all get their verdict here;
        with nobody left there are no commands.

        :param extensions: What the peer offers.
        :param chunked: The content follows with BDAT; else DATA is said.
        """
        self.chunked = chunked
        envelope = self.envelope
        utf8 = "SMTPUTF8" in extensions
        why = self._unsendable(extensions)
        if why is not None:
            self.fail_all(*why)
            return
        dsn = "DSN" in extensions
        self.to_send.append((self._mail(extensions, dsn), Step.MAIL, -1))
        for number, recipient in enumerate(envelope.recipients):
            status = _address_fault(recipient.address, utf8)
            if status:
                self.verdicts[number] = _failed(recipient, status, _unsendable_words(status))
            else:
                notify = recipient.notify if self.timing is None else self.timing.notify(recipient)
                self.to_send.append((_rcpt(recipient, dsn, notify), Step.RCPT, number))
        if len(self.to_send) == 1:
            self.to_send.clear()
        elif not chunked:
            self.to_send.append((b"DATA\r\n", Step.DATA, -1))

    def shape_all(self, content: bytes) -> None:
        """
        All of the content is at hand, so that its size can be told beforehand.

        :raises Unsendable: It cannot be sent to this peer.
        """
        assert self.shape is not None
        self.shaped = self.shape.feed(content) + self.shape.finish()
        self.octets = len(self.shaped)

    def fail_all(self, status: str, why: str) -> None:
        """Everybody who has no verdict gets a permanent one, for a reason of our own."""
        for number in self.waiting():
            self.verdicts[number] = _failed(self.envelope.recipients[number], status, why)

    def refuse(self, numbers: list[int], step: Step, reply: Reply, permanent_552: tuple[str, ...]) -> None:
        """A 4xx or 5xx reply concerns these recipients."""
        recipients = self.envelope.recipients
        for number in numbers:
            self.verdicts[number] = refused(recipients[number].address, step, reply, permanent_552)

    def take(self, numbers: list[int], reply: Reply, relayed: bool) -> None:
        """The peer has taken the message for these recipients."""
        recipients = self.envelope.recipients
        timed = self.timing is not None and self.timing.offered
        for number in numbers:
            self.verdicts[number] = taken(recipients[number].address, reply, relayed, timed)

    def waiting(self) -> list[int]:
        """Numbers of the recipients without a verdict."""
        return [number for number, verdict in enumerate(self.verdicts) if verdict is None]

    def defer_rest(self, status: str, why: str) -> None:
        """Whoever has no verdict is deferred."""
        for number in self.waiting():
            self.verdicts[number] = unanswered(self.envelope.recipients[number].address, status, why)

    def _unsendable(self, extensions: dict[str, str]) -> tuple[str, str] | None:
        limit = announced_size(extensions)
        if 0 < limit < self.octets:
            return "5.3.4", f"message of {self.octets} octets, the next hop takes {limit}"
        if self.timing is not None and self.timing.refusal is not None:
            return self.timing.refusal
        utf8 = "SMTPUTF8" in extensions
        if self.envelope.smtputf8 and not utf8 and not self.anyway:
            return "5.6.7", "the message needs SMTPUTF8, which the next hop does not offer"
        if self.envelope.sender:
            status = _address_fault(self.envelope.sender, utf8)
            if status:
                return status, f"sender: {_unsendable_words(status)}"
        return None

    def _mail(self, extensions: dict[str, str], dsn: bool) -> bytes:
        envelope = self.envelope
        line = f"MAIL FROM:<{envelope.sender}>"
        if "SIZE" in extensions and self.octets and (self.shape is None or self.shaped is not None):
            line += f" SIZE={self.octets}"
        if self.body is not None and "8BITMIME" in extensions:
            line += f" BODY={self.body}"
        if dsn:
            line += _parameter("RET", envelope.ret) + _parameter("ENVID", envelope.envid)
        if envelope.smtputf8 and "SMTPUTF8" in extensions:
            line += " SMTPUTF8"
        if envelope.mt_priority is not None and "MT-PRIORITY" in extensions:
            line += f" MT-PRIORITY={envelope.mt_priority}"
        if self.timing is not None:
            line += self.timing.parameter()
        if "AUTH" in extensions and self.authenticated:
            line += _parameter("AUTH", envelope.auth)
        return line.encode() + b"\r\n"


def announced_size(extensions: dict[str, str]) -> int:
    """Octets the peer takes at most, 0 when it does not say (RFC 1870 section 4)."""
    said = extensions.get("SIZE", "")[:20]
    return int(said) if said.isascii() and said.isdigit() else 0


def _rcpt(recipient: Recipient, dsn: bool, notify: str | None) -> bytes:
    line = f"RCPT TO:<{recipient.address}>"
    if dsn:
        line += _parameter("NOTIFY", notify) + _parameter("ORCPT", recipient.orcpt)
    return line.encode() + b"\r\n"


def _parameter(name: str, value: str | None) -> str:
    """Nothing, when the value could begin another parameter or line."""
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        return ""
    return f" {name}={value}"


def _address_fault(address: str, utf8: bool) -> str:
    """The status with which an address fails that cannot stand in a command; ``""`` when it can."""
    if not address.isascii() and not utf8:
        return "5.6.7"
    try:
        parse_path(f"<{address}>", False)
    except ValueError:
        return "5.1.3"
    return ""


def _unsendable_words(status: str) -> str:
    if status == "5.6.7":
        return "the address needs SMTPUTF8, which the next hop does not offer"
    return "the address cannot be sent by SMTP"


def _failed(recipient: Recipient, status: str, why: str) -> Disposition:
    return Disposition(recipient.address, Verdict.FAILED, status, why)
