"""What the server knows of one message coming in."""

from jobctl.mail.envelope import Envelope, Recipient
from jobctl.mail.reply import Reply
from jobctl.smtp.content import ChunkLines, DotUnstuffer
from jobctl.smtp.parameters import NO_PARAMETERS
from jobctl.smtp.server_config import ServerConfig
from jobctl.smtp.server_content import ContentIntake
from jobctl.smtp.server_states import State


class Chunk:
    """
    What one BDAT brings (RFC 3030 section 2).

    :ivar size: Octets in all; ``left`` have not come yet.
    :ivar before: The state in which BDAT was said.
    :ivar void: It belongs to no message: the reply to give when it has been swallowed.
    """

    __slots__ = ("before", "last", "left", "size", "void")

    def __init__(self, size: int, last: bool, before: State) -> None:
        self.size = self.left = size
        self.last = last
        self.before = before
        self.void: Reply | None = None


class Transaction:
    """
    From MAIL to the reply to the end of content; a new one for each, so that nothing is left of the last.

    :ivar envelope: Complete since DATA or the first BDAT, ``None`` before; as is ``content``.
    :ivar chunk: The one that is coming in.
    :ivar verb: That began it: ``MAIL``, ``SEND``, ``SAML`` or ``SOML``.
    :ivar each: Under LMTP: the replies to the message, one for each recipient.
    """

    __slots__ = ("chunk", "content", "each", "envelope", "given", "recipients", "sender", "verb")

    def __init__(self, verb: str = "MAIL") -> None:
        self.verb = verb
        self.sender = ""
        self.given = NO_PARAMETERS
        self.recipients: list[Recipient] = []
        self.envelope: Envelope | None = None
        self.content: ContentIntake | None = None
        self.chunk: Chunk | None = None
        self.each: list[Reply] | None = None

    def start_data(self, config: ServerConfig, line_ends: str, long_lines: str) -> None:
        """DATA was said; ``long_lines`` is the rule for them, ``""``: they pass."""
        self._start(config, DotUnstuffer(line_ends), long_lines)

    def start_chunks(self, config: ServerConfig, line_ends: str, long_lines: str) -> None:
        """The first BDAT was said."""
        self._start(config, ChunkLines(line_ends), long_lines)

    def _start(self, config: ServerConfig, codec: DotUnstuffer | ChunkLines, long_lines: str) -> None:
        given = self.given
        self.envelope = Envelope(
            sender=self.sender,
            recipients=tuple(self.recipients),
            ret=given.ret,
            envid=given.envid,
            body=given.body,
            smtputf8=given.smtputf8,
            auth=given.auth,
            mt_priority=given.mt_priority,
            hold_for=given.hold_for,
            hold_until=given.hold_until,
            by=given.by,
        )
        only_ascii = config.channel.eight == "eightstrict" and given.body != "8BITMIME"
        header = None
        strict = "utf8strict" in config.channel.keywords and not given.smtputf8
        if strict or config.channel.headerread:
            from jobctl.mime.header_section import HeaderSection, on_arrival

            header = HeaderSection(on_arrival(config.channel, strict))
        self.content = ContentIntake(codec, config.size_limit, long_lines, only_ascii, header)

    def replies(self, reply: Reply, lmtp: bool) -> list[tuple[str, Reply]]:
        """The replies to the content, and whom each concerns: ``""`` for all (RFC 2033 section 4.2)."""
        if not lmtp:
            return [("", reply)]
        each = self.each or [reply] * len(self.recipients)
        return [(recipient.address, said) for recipient, said in zip(self.recipients, each, strict=True)]
