"""Resolvers by the name servers that a channel wants to be asked."""

from typing import Any

from jobctl.config.settings import ChannelSettings
from jobctl.net.resolver import NextHop, Resolver


class Resolvers:
    """What a process with many channels asks; answers are kept apart, since servers may differ in what they say."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._by_servers: dict[tuple[str, ...], Resolver] = {}

    def of(self, channel: ChannelSettings) -> Resolver:
        """The one for this channel (``nameservers``)."""
        resolver = self._by_servers.get(channel.nameservers)
        if resolver is None:
            resolver = self._by_servers[channel.nameservers] = Resolver(self._reactor, channel.nameservers)
        return resolver

    async def next_hops(self, host: str, channel: ChannelSettings) -> list[NextHop]:
        """As :meth:`jobctl.net.resolver.Resolver.next_hops`."""
        return await self.of(channel).next_hops(host, channel)
