"""Networks of clients, as a service names them."""

import ipaddress

from jobctl.net.dns_cache import DnsCache


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
        if not address:
            return False  # a client of a UNIX socket
        client: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.split("%")[0])
        if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped is not None:
            client = client.ipv4_mapped
        return any(client.version == network.version and client in network for network in self._networks)
