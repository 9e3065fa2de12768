"""Which finished recipients somebody looks for."""

import fnmatch

import msgspec

from jobctl.mail.entry import Finished


class Search(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    All that is given must be so.

    :ivar recipient: Part of the address, or the whole with wildcards ``*`` and ``?``, whatever the case.
    :ivar sender: The same; ``<>`` is the null sender.
    :ivar since: Epoch seconds: the message came in then or later.
    :ivar until: It came in before; 0: up to now.
    :ivar message_id: Part of its Message-ID.
    :ivar subject: Part of its subject.
    :ivar ids: Queue entries; none: all.
    :ivar channel: Name, may have wildcards.
    :ivar what: How it left: ``delivered`` and so on.
    """

    recipient: str = ""
    sender: str = ""
    since: float = 0.0
    until: float = 0.0
    message_id: str = ""
    subject: str = ""
    ids: tuple[str, ...] = ()
    channel: str = ""
    what: str = ""

    def matches(self, one: Finished) -> bool:
        """Whether a finished recipient is one of those looked for."""
        return self.what in ("", one.what) and self.wants(
            one.id, one.channel, one.sender, one.recipient, one.enqueued, one.message_id, one.subject
        )

    def wants(
        self,
        id: str,
        channel: str,
        sender: str,
        recipient: str,
        enqueued: float,
        message_id: str,
        subject: str,
    ) -> bool:
        """The same of what is known of any recipient; how it left does not matter."""
        return (
            _address(self.recipient, recipient)
            and _address(self.sender, sender)
            and enqueued >= self.since
            and (not self.until or enqueued < self.until)
            and self.message_id.lower() in message_id.lower()
            and self.subject.lower() in subject.lower()
            and (not self.ids or id in self.ids)
            and (not self.channel or fnmatch.fnmatchcase(channel, literal(self.channel)))
        )


def certain_part(pattern: str) -> str:
    """The longest text that an address must have to match a pattern, for a rough look before the exact one."""
    if pattern == "<>":
        return ""
    return max(pattern.replace("?", "*").split("*"), key=len)


def literal(pattern: str) -> str:
    """For fnmatch: ``[`` is an ordinary character here, address literals have it."""
    return pattern.replace("[", "[[]")


def _address(pattern: str, address: str) -> bool:
    if not pattern:
        return True
    pattern, address = pattern.lower(), address.lower()
    if pattern == "<>":
        return not address
    if "*" in pattern or "?" in pattern:
        return fnmatch.fnmatchcase(address, literal(pattern))
    return pattern in address
