"""What the server knows of one message coming in."""

from jobctl.mail.envelope import Envelope, Recipient
from jobctl.mail.reply import Reply
from jobctl.smtp.parameters import NO_PARAMETERS
from jobctl.smtp.server_config import ServerConfig
from jobctl.smtp.server_content import ContentIntake


class Transaction:
    """
    From MAIL to the reply to the end of content; a new one for each, so that nothing is left of the last.

    :ivar envelope: Complete since DATA, ``None`` before; as is ``content``.
    :ivar each: Under LMTP: the replies to the message, one for each recipient.
    """

    __slots__ = ("content", "each", "envelope", "given", "recipients", "sender")

    def __init__(self) -> None:
        self.sender = ""
        self.given = NO_PARAMETERS
        self.recipients: list[Recipient] = []
        self.envelope: Envelope | None = None
        self.content: ContentIntake | None = None
        self.each: list[Reply] | None = None

    def start_content(self, config: ServerConfig, line_ends: str, limit: int) -> None:
        """DATA was said."""
        given = self.given
        self.envelope = Envelope(self.sender, tuple(self.recipients), given.ret, given.envid, given.body)
        only_ascii = config.channel.eight == "eightstrict" and given.body != "8BITMIME"
        self.content = ContentIntake(line_ends, limit, config.long_line_rule, only_ascii)

    def replies(self, reply: Reply, lmtp: bool) -> list[tuple[str, Reply]]:
        """The replies to the content, and whom each concerns: ``""`` for all (RFC 2033 section 4.2)."""
        if not lmtp:
            return [("", reply)]
        each = self.each or [reply] * len(self.recipients)
        return [(recipient.address, said) for recipient, said in zip(self.recipients, each, strict=True)]
