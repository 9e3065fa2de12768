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

    def matches(self, finished: Finished) -> bool:
        """Whether it is one of those looked for."""
        return (
            _address(self.recipient, finished.recipient)
            and _address(self.sender, finished.sender)
            and finished.enqueued >= self.since
            and (not self.until or finished.enqueued < self.until)
            and self.message_id.lower() in finished.message_id.lower()
            and self.subject.lower() in finished.subject.lower()
            and (not self.ids or finished.id in self.ids)
            and (not self.channel or fnmatch.fnmatchcase(finished.channel, literal(self.channel)))
            and self.what in ("", finished.what)
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
