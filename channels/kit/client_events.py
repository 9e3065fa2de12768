"""What a client program tells of its sessions, for log and counters."""

from jobctl.jobprotocol.frames import Event
from jobctl.smtp.client import ClientDialogue
from jobctl.smtp.events import QueueCalled


def opened(dialogue: ClientDialogue, transport: str) -> Event:
    """The peer has greeted us, and knows who we are where it has to."""
    return Event(
        event="opened",
        transport=transport,
        application=dialogue.banner,
        modifiers=dialogue.modifiers,
        user=dialogue.user,
    )


def queue_called(dialogue: ClientDialogue, transport: str, event: QueueCalled) -> Event:
    """The peer was asked for the mail that it has for us, and has answered."""
    return Event(
        event="etrn",
        transport=transport,
        application=dialogue.banner,
        modifiers=dialogue.modifiers,
        recipient=event.node,
        text=str(event.reply),
    )
