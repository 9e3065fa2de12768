"""An address -> channel, host and next hop."""

from collections.abc import Iterable, Sequence

import msgspec

from jobctl.config.settings import Rule, Settings
from jobctl.config.switching import may_choose
from jobctl.mail.address import normal_domain, split_address
from jobctl.mail.envelope import Recipient
from jobctl.routing.decision import Decision, NoRoute, host_of
from jobctl.routing.grouping import Group, Groups, readdressed
from jobctl.routing.lookup import Lookup

__all__ = ["Group", "NoRoute", "Route", "Router"]

# Decisions remembered: peers choose the domains, so there must be an end to it.
MAX_REMEMBERED = 5_000


class Route(msgspec.Struct, frozen=True):
    """
    Where an address goes.

    :ivar host: What queue entries are grouped by: the destination host in its normal form, ``""``
        where the channel does not tell hosts apart (gateway, ``multiple``, ``anon_host``).
    :ivar address: The recipient as it goes on.
    :ivar rule: What decided; a channel's own host name is shown as a rule of line 0.
    :ivar next_hop: Whom the channel will talk to: its gateway or the host; ``""`` where it talks to nobody.
    :ivar steps: Every rule that was looked at, in words, for ``test rewrite``.
    """

    channel: str
    host: str
    address: str
    rule: Rule
    next_hop: str
    steps: tuple[str, ...]


class Router:
    """Decides for one configuration; another configuration needs another router."""

    def __init__(self, settings: Settings) -> None:
        self._channels = settings.channels
        self._local_host = settings.local_host
        self._lookup = Lookup(settings)
        self._remembered: dict[tuple[str, str], Decision] = {}

    def route(self, address: str, source_channel: str) -> Route:
        """
        :param address: ``local@domain``; a bare local part is at this host.
        :param source_channel: Where it comes from; rules can ask for it.
        :raises NoRoute: The rules lead nowhere.
        """
        local, decision = self._decide(address, source_channel)
        return Route(
            decision.channel,
            decision.group_host,
            decision.address(address, local),
            decision.rule,
            decision.next_hop,
            decision.steps,
        )

    def is_ours(self, address: str, source_channel: str) -> bool:
        """
        Whether anybody may send there through ``source_channel``.

        Ours are the domains for which a rule made for them, or a channel's own host name, chose a channel
        other than the one the mail comes from; what only a catch-all leads on is somebody else's.
        """
        try:
            return self._decide(address, source_channel)[1].ours
        except NoRoute:
            return False

    def source(self, host: str, channel: str) -> str | None:
        """
        The channel that a client stands for, if it may choose it and it is another (``switchchannel``).

        :param host: The client's address as a domain literal, or its name.
        :param channel: The source channel so far.
        """
        try:
            chosen = self._lookup.decide("postmaster", host, channel, backward=True).channel
        except NoRoute:
            return None
        return chosen if chosen != channel and may_choose(self._channels[chosen]) else None

    def group(self, recipients: Sequence[Recipient], source_channel: str) -> list[Group]:
        """
        Sort recipients into queue entries: ``(channel, host, recipients)``.

        A recipient given twice goes out once; one that the rules readdress keeps what the sender
        wrote in its ``orcpt``.

        :raises NoRoute: One of them leads nowhere; nothing is decided for the others.
        """
        if len(recipients) == 1:
            recipient = recipients[0]
            local, decision = self._decide(recipient.address, source_channel)
            if not decision.unchanged:
                recipient = readdressed(recipient, decision.address(recipient.address, local))
            return [(decision.channel, decision.group_host, [recipient])]
        groups = Groups(self._channels)
        for recipient in recipients:
            local, decision = self._decide(recipient.address, source_channel)
            if not decision.unchanged:
                recipient = readdressed(recipient, decision.address(recipient.address, local))
            groups.add(decision.channel, decision.group_host, recipient)
        return groups.all()

    def group_into(self, channel: str, recipients: Iterable[Recipient]) -> list[Group]:
        """
        As :meth:`group` for a channel that was chosen already; addresses are not rewritten.

        :raises NoRoute: There is no such channel.
        """
        settings = self._channels.get(channel)
        if settings is None:
            raise NoRoute(f"Channel {channel} is not configured")
        groups = Groups(self._channels)
        for recipient in recipients:
            domain = split_address(recipient.address)[1]
            if not domain:
                recipient = readdressed(recipient, f"{recipient.address}@{self._local_host}")
            groups.add(channel, host_of(settings, normal_domain(domain or self._local_host)), recipient)
        return groups.all()

    def _decide(self, address: str, source_channel: str) -> tuple[str, Decision]:
        """The local part, and what was decided for it."""
        local, _, domain = address.rpartition("@")
        decision = self._remembered.get((domain, source_channel))
        if decision is not None and local:
            return local, decision
        local, domain = split_address(address)
        if not local:
            raise NoRoute("An address needs a local part", "5.1.3")
        decision = self._lookup.decide(local, domain, source_channel)
        if decision.by_domain and domain:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            self._remembered[(domain, source_channel)] = decision
        return local, decision
