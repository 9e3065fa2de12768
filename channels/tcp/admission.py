"""Who may connect to a server job, from where, and what the access tables say of them."""

import ipaddress

from jobctl.config.settings import MtaSettings, ServiceSettings
from jobctl.mail.envelope import Source
from jobctl.mail.reply import Reply
from jobctl.mapping.access import (
    ALLOWED,
    FROM_ACCESS,
    PORT_ACCESS,
    Permission,
    from_access,
    port_access,
)
from jobctl.mapping.tables import compiled
from jobctl.net.dns_cache import DnsCache

_YES = Reply(250)


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


class Admission:
    """
    :ivar relay: Who may send to domains that are not ours; ``front_ends``: who begins with a PROXY header;
        ``impersonators``: who may say XCLIENT.
    """

    def __init__(self, service: ServiceSettings, mta: MtaSettings) -> None:
        self.relay = Networks(service.relay_from)
        self.front_ends = Networks(service.proxy_from)
        self.impersonators = Networks(service.xclient_from)
        self._most_of_one = service.max_conns_per_address
        self._connected: dict[str, int] = {}
        self._tables = compiled(mta.mappings)
        self._asks_all = mta.asks_all

    @property
    def asks(self) -> frozenset[str]:
        """What clients are asked about (``ServerConfig.asks``)."""
        return frozenset({"recipient", "sender"} if FROM_ACCESS in self._tables else {"recipient"})

    @property
    def asks_trusted(self) -> frozenset[str]:
        """The same for those who may relay: their recipients count only where one may be forbidden or unknown."""
        return self.asks if self._asks_all else self.asks - {"recipient"}

    def count(self, client: str) -> bool:
        """A client has connected; ``False``: it has more connections than an address may have."""
        count = self._connected[client] = self._connected.get(client, 0) + 1
        return self._most_of_one is None or count <= self._most_of_one

    def forget(self, client: str) -> None:
        """A connection that was counted is over."""
        left = self._connected.get(client, 0) - 1
        if left > 0:
            self._connected[client] = left
        else:
            self._connected.pop(client, None)

    def port(self, transport: str) -> Permission:
        """What PORT_ACCESS says of a connection."""
        return port_access(self._tables, transport) if PORT_ACCESS in self._tables else ALLOWED

    def sender(self, source: Source, sender: str) -> Reply:
        """What FROM_ACCESS says of a sender."""
        return from_access(self._tables, source, sender).refusal or _YES
