"""What is known of a client by its address: may it relay, and what is its name."""

import ipaddress
from typing import Any

from twisted.internet.defer import ensureDeferred

from jobctl.net.dns_cache import DnsCache
from jobctl.net.resolver import Resolver

# How long a client's name, or that it has none, is believed.
_NAME_LIFETIME = 600.0


class Networks:
    """
    Networks of a service's clients: ``relay_from``, ``proxy_from``, ``xclient_from``.

    :param networks: Addresses or networks in CIDR form.
    :raises ValueError: One of them is neither.
    """

    def __init__(self, networks: tuple[str, ...]) -> None:
        self._networks = [ipaddress.ip_network(text, strict=False) for text in networks]
        self._known: DnsCache[bool] = DnsCache(4096)

    def __contains__(self, address: str) -> bool:
        known = self._known.get(address, 0.0)
        if known is None:
            known = self._find(address)
            self._known.put(address, known, 0.0, 1.0)
        return known

    def _find(self, address: str) -> bool:
        client: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.split("%")[0])
        if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped is not None:
            client = client.ipv4_mapped
        return any(client.version == network.version and client in network for network in self._networks)


class ClientNames:
    """
    Names of clients by reverse look-up, in the background: whoever asks gets what is known by now.

    A name that is not known when a message has come in is simply not in its Received field.
    """

    def __init__(self, reactor: Any, resolver: Resolver) -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._names: DnsCache[str] = DnsCache(4096)
        self._asked: set[str] = set()

    def look_up(self, address: str) -> None:
        """Begin to find out, unless it is known or being asked already; at most 100 at a time."""
        if len(self._asked) < 100 and address not in self._asked and self._get(address) is None:
            self._asked.add(address)
            ensureDeferred(self._ask(address))

    def name(self, address: str) -> str | None:
        """The name if it is known."""
        return self._get(address) or None

    def _get(self, address: str) -> str | None:
        return self._names.get(address, self._reactor.seconds())

    async def _ask(self, address: str) -> None:
        name: str | None = None
        try:
            name = await self._resolver.reverse(address)
        finally:
            self._asked.discard(address)
            self._names.put(address, name or "", self._reactor.seconds(), _NAME_LIFETIME)
