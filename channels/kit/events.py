"""What a server program tells of its sessions, for log and counters."""

from jobctl.jobprotocol.frames import Event
from jobctl.mapping.access import Permission
from jobctl.smtp.questions import BadCommand, Refusal
from jobctl.smtp.server import ServerDialogue

# Recipients of one message that breaks off that are told of.
MOST_ABORTED = 100
# Replies to AUTH that are about who asked, not about how (RFC 4954 section 6).
_NOT_AUTHENTICATED = (454, 534, 535, 538)


def told(dialogue: ServerDialogue, transport: str, event: str, **more: str) -> Event:
    """
    :param more: Further keys of the event.
    """
    return Event(
        event=event,
        transport=transport,
        application=dialogue.application,
        modifiers=dialogue.modifiers,
        channel=dialogue.config.channel.name,
        **more,  # type: ignore[arg-type]
    )


def refused_port(permission: Permission, transport: str) -> Event:
    """PORT_ACCESS does not want a connection."""
    event = "denied" if permission.recorded else "rejected"
    return Event(event=event, transport=transport, text=f"PORT_ACCESS: {permission.refusal}")


def noted(dialogue: ServerDialogue, transport: str, what: BadCommand | Refusal) -> Event:
    """A command that was none, one to authenticate that was in vain, or mail that was refused."""
    reply = str(what.reply)
    if isinstance(what, Refusal):
        return told(dialogue, transport, "refused", sender=what.sender, recipient=what.recipient, text=reply)
    if what.line.startswith("AUTH") and what.reply.code in _NOT_AUTHENTICATED:
        return told(dialogue, transport, "auth", text=reply, user=dialogue.failed_user)
    return told(dialogue, transport, "bad_command", recipient=what.line, text=reply)


def aborted(dialogue: ServerDialogue, transport: str, why: str) -> list[Event]:
    """Of a message that breaks off before the controller has heard of it: one for each recipient."""
    envelope = dialogue.envelope
    if envelope is None or not dialogue.receiving:
        return []
    return [
        told(dialogue, transport, "aborted", sender=envelope.sender, recipient=one.address, text=why)
        for one in envelope.recipients[:MOST_ABORTED]
    ]
