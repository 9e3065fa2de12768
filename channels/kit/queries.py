"""What a server program asks the Job Controller beside mail: VRFY, EXPN, ETRN, the domains of senders."""

from jobctl.config.settings import ChannelSettings
from jobctl.jobprotocol.frames import Etrn, Route
from jobctl.mail.envelope import Source
from jobctl.mail.reply import Reply
from jobctl.smtp.questions import Expand, Private, RunQueue, Sender, Verify

# The controller is gone, or does not answer.
UNANSWERED = Reply(451, "4.3.0 This cannot be answered now; try again later.")


def query(id: str, question: Verify | Expand | RunQueue | Sender | Private, source: Source) -> Route | Etrn:
    """The frame that asks it."""
    if isinstance(question, RunQueue):
        return Etrn(id=id, node=question.text, source=source)
    if isinstance(question, Sender):
        return Route(id=id, recipient="", sender=question.address, source=source, command="MAIL")
    if isinstance(question, Private):
        return Route(id=id, recipient=question.address, source=source, command=question.verb)
    command = "VRFY" if isinstance(question, Verify) else "EXPN"
    return Route(id=id, recipient=question.address, source=source, command=command)


def checks_senders(channel: ChannelSettings) -> bool:
    """Whether the domains of senders must be in the DNS (``mailfromdnsverify``)."""
    return "mailfromdnsverify" in channel.keywords


def asked(channel: ChannelSettings, asks: frozenset[str]) -> frozenset[str]:
    """What a dialogue asks about (``ServerConfig.asks``) by the keywords of its channel, too."""
    return asks | {"sender"} if checks_senders(channel) else asks
