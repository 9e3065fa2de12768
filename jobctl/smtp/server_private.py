"""The original's private commands: how an address is routed, what channels have done, how the server is set up."""

from jobctl.config.settings import ChannelSettings
from jobctl.mail.reply import Reply
from jobctl.smtp.questions import Private, Question
from jobctl.smtp.replies import NEED_ARGUMENT
from jobctl.smtp.server_mail import unproved
from jobctl.smtp.server_queries import recipient_meant
from jobctl.smtp.server_talk import Talk

# What an option of the channel disables, all of it by default.
_DISABLE = {
    "XADR": "disable_address",
    "XSTA": "disable_status",
    "XCIR": "disable_circuit",
    "XGEN": "disable_general",
}
PRIVATE = tuple(_DISABLE)


def private(talk: Talk, verb: str, argument: str) -> Question | None:
    """A private command: a question where the option, or ``$V`` of PORT_ACCESS, allows it to this client."""
    if not serves(talk.config.channel, verb, talk.private):
        talk.bad(f"{verb} {argument}".strip(), Reply(550, f"5.7.0 {verb} command has been disabled."))
        return None
    text = argument.strip()
    if verb == "XADR" and not text:
        talk.bad(verb, NEED_ARGUMENT)
        return None
    refused = unproved(talk) or talk.limits.verification()
    if refused is not None:
        talk.say(refused)
        return None
    address = recipient_meant(text, talk.config) if verb == "XADR" else ""
    if isinstance(address, Reply):
        talk.limits.rejected()
        talk.say(address)
        return None
    return talk.ask(Private(verb, address), talk.say)


def serves(channel: ChannelSettings, verb: str, permitted: bool) -> bool:
    """Whether a private command is answered; ``permitted``: PORT_ACCESS says so of the client."""
    return permitted or getattr(channel.options, _DISABLE[verb]) == 0
