"""Whether an address is one of this machine's, and whether it is one of the public Internet's."""

import ipaddress
import socket

# RFC 1918, 6598, 1122, 3927, 4193, 4291: where a name of somebody else's must not lead us.
_PRIVATE = [
    ipaddress.ip_network(text)
    for text in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
]
# RFC 6052: the IPv4 address in the last 32 bits is the one that is meant.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def is_own(address: str) -> bool:
    """Whether a connection to it would end on this machine: whatever can be bound can be reached by us alone."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def is_private(address: str) -> bool:
    """Whether it is an address of a network of somebody's own, this machine's loopback among them."""
    found: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        elif found in _NAT64:
            found = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return any(found.version == network.version and found in network for network in _PRIVATE)
