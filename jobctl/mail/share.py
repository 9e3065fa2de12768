"""Whose turn a message takes: the key by which senders share a channel fairly."""

from jobctl.mail.envelope import Envelope, Source

# What can be told apart, and where it lies in a stored message (envelope and source as JSON).
PATHS = {
    "sender_domain": "$.envelope.sender",
    "user": "$.source.user",
    "source_channel": "$.source.channel",
}
NONE = "none"
KINDS = (*PATHS, NONE)
# The null sender, nobody's name: notifications share among themselves.
NOBODY = "<>"


def share_of(kind: str, envelope: Envelope, source: Source) -> str:
    """
    The share that a message belongs to.

    :param kind: One of :data:`KINDS`.
    :return: ``""`` for ``none``, else never empty.
    """
    if kind == "sender_domain":
        return named(kind, envelope.sender)
    if kind == "user":
        return named(kind, source.user)
    return named(kind, source.channel)


def named(kind: str, value: str | None) -> str:
    """The same, from what lies at its path."""
    if kind == NONE:
        return ""
    if not value:
        return NOBODY
    return value.rpartition("@")[2].lower() or NOBODY if kind == "sender_domain" else value
