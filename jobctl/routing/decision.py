"""What the rules decided for a domain."""

import msgspec

from jobctl.config.settings import ChannelSettings, Rule
from jobctl.errors import JobctlError


class NoRoute(JobctlError):
    """
    An address that the rules lead nowhere: permanent, until the configuration changes.

    :ivar status: RFC 3463 status, ``5.1.2`` unless the address is malformed or the rules loop.
    :ivar text: What to tell the sender.
    """

    def __init__(self, text: str, status: str = "5.1.2") -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where addresses of a domain go, coming from one source channel.

    :ivar group_host: What queue entries are grouped by, see :class:`jobctl.routing.router.Route`.
    :ivar unchanged: The address goes on as it was written.
    :ivar domain: Else its new domain, and ``local`` its new local part, ``None`` for the old one.
    :ivar by_domain: The same holds for every local part.
    :ivar ours: Anybody may send there.
    """

    channel: str
    group_host: str
    next_hop: str
    rule: Rule
    steps: tuple[str, ...]
    unchanged: bool
    domain: str
    local: str | None
    by_domain: bool
    ours: bool

    def address(self, written: str, local: str) -> str:
        """The recipient as it goes on: ``written`` taken apart gave ``local``."""
        if self.unchanged:
            return written
        return f"{local if self.local is None else self.local}@{self.domain}"


def host_of(channel: ChannelSettings, domain: str) -> str:
    """What a channel's entries are grouped by, for recipients at ``domain``."""
    if channel.gateway is not None or channel.copies == "multiple" or channel.anon_host:
        return ""
    return domain


def next_hop_of(channel: ChannelSettings, domain: str) -> str:
    """Whom the channel's program will talk to."""
    if channel.gateway is not None:
        return channel.gateway
    return domain if channel.smtp != "nosmtp" else ""
