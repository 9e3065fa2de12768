"""From a host to the addresses that take its mail, in the order to try them (RFC 5321 section 5.1)."""

import ipaddress
import random
import socket
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.threads import deferToThreadPool
from twisted.names import dns

from jobctl.config.settings import ChannelSettings
from jobctl.net.dns_errors import DnsTrouble, NoSuchHost
from jobctl.net.dns_hosts import HostsFile, parse_server, system_servers
from jobctl.net.dns_lookup import TIMEOUTS, DnsLookup, wire_name
from jobctl.net.own_addresses import is_own, is_private

# Addresses tried for one host in all, whatever its records say (Postfix: smtp_mx_address_limit).
MAX_HOPS = 100
# Mail exchangers whose addresses are asked for at a time.
_AT_A_TIME = 8


class NextHop(msgspec.Struct, frozen=True):
    """
    One address to connect to; it is connected to as it stands, never looked up again.

    :ivar name: The host's name, or ``[address]`` for a literal.
    :ivar preference: Of the mail exchanger; hosts of one preference are as good as each other.
    """

    name: str
    address: str
    port: int
    preference: int = 0


class Resolver:
    """
    Find next hops by the ``mx`` keywords of a channel.

    :param nameservers: ``ip``, ``ip:port`` or ``[v6]:port``; none: those of resolv.conf.
    :param own: Whether an address is this machine's.
    :raises ValueError: One of them is no address.
    """

    def __init__(
        self,
        reactor: Any,
        nameservers: tuple[str, ...] = (),
        timeouts: Sequence[float] = TIMEOUTS,
        hosts: HostsFile | None = None,
        own: Callable[[str], bool] = is_own,
    ) -> None:
        self._reactor = reactor
        self._lookup = DnsLookup(
            reactor, [parse_server(text) for text in nameservers] or system_servers(), timeouts
        )
        self._own = own
        self._hosts = hosts if hosts is not None else HostsFile()

    async def next_hops(self, host: str, channel: ChannelSettings) -> list[NextHop]:
        """
        Where to connect for ``host``, best first; never empty, at most :data:`MAX_HOPS`.

        :param host: A domain name or ``[address]``; a gateway was substituted by the caller.
        :raises NoSuchHost: It does not exist, takes no mail (null MX), or leads back to us.
        :raises DnsTrouble: Nothing can be said now.
        """
        if host.startswith("["):
            return [NextHop(host, _literal(host), channel.port)]
        name = wire_name(host)
        if channel.mx == "nodns":
            return _hops([(name, await self._system_addresses(name))], channel)
        wants_mx = channel.mx in ("nonrandommx", "randommx") or (
            channel.mx == "defaultmx" and channel.port == 25
        )
        exchangers = await self._exchangers(name, channel) if wants_mx else []
        if not exchangers:
            found = await self._addresses(name)
            if direct(name, channel) and any(self._own(address) for address in found):
                raise NoSuchHost("5.4.6", f"mail for {name} loops back to this host")
            return _public(name, _hops([(name, found)], channel), channel)
        return await self._exchanger_hops(name, exchangers, channel)

    async def mail_addresses(self, host: str) -> list[str] | None:
        """
        The addresses of a domain that takes its mail itself; ``None``: it has mail exchangers.

        :raises NoSuchHost: It has neither, or takes no mail (null MX).
        :raises DnsTrouble: Nothing can be said now.
        """
        name = wire_name(host)
        if known := self._hosts.addresses(name):
            return known
        records = await self._lookup.records(name, dns.MX)
        if not records:
            return await self._addresses(name)
        if all(not str(record.name).rstrip(".") for record in records):
            raise NoSuchHost("5.1.10", f"{name} accepts no mail (null MX)")
        return None

    async def verified(self, name: str, address: str) -> bool:
        """Whether a name leads to an address; ``False`` also when nobody can tell."""
        try:
            found = await self._addresses(wire_name(name))
        except (NoSuchHost, DnsTrouble):
            return False
        return _usable(address) in found

    async def reverse(self, address: str) -> str | None:
        """The name of an address (PTR, or the hosts file); ``None`` when none can be told."""
        if (known := self._hosts.name(address)) is not None:
            return known
        try:
            records = await self._lookup.records(ipaddress.ip_address(address).reverse_pointer, dns.PTR)
        except (NoSuchHost, DnsTrouble, ValueError):
            return None
        return str(records[0].name).rstrip(".") if records else None

    def close(self) -> None:
        """Give up what is kept open between questions."""
        self._lookup.close()

    async def _exchangers(self, name: str, channel: ChannelSettings) -> list[tuple[int, str]]:
        """Preferences and names of the mail exchangers in the order to try; empty when the host has no MX record."""
        try:
            records = await self._lookup.records(name, dns.MX)
        except (NoSuchHost, DnsTrouble):
            # A host that only the hosts file knows can still be reached.
            if self._hosts.addresses(name):
                return []
            raise
        if not records:
            return []
        found = [(record.preference, str(record.name).rstrip(".").lower()) for record in records]
        if all(not target for _, target in found):
            raise NoSuchHost("5.1.10", f"{name} accepts no mail (null MX)")  # RFC 7505 section 3
        if channel.mx != "nonrandommx":
            random.shuffle(found)
        found = sorted((pair for pair in found if pair[1]), key=lambda pair: pair[0])
        return _better_than_us(name, found, channel)[: max(1, min(channel.options.max_mx_records, 32))]

    async def _exchanger_hops(
        self, name: str, exchangers: list[tuple[int, str]], channel: ChannelSettings
    ) -> list[NextHop]:
        hops: list[NextHop] = []
        looking = direct(name, channel)
        trouble: DnsTrouble | None = None
        for at in range(0, len(exchangers), _AT_A_TIME):
            group = exchangers[at : at + _AT_A_TIME]
            asked = [ensureDeferred(self._addresses_or_why(target)) for _, target in group]
            answers = await gatherResults(asked)
            ours = [
                preference
                for (preference, _), found in zip(group, answers, strict=True)
                if looking and isinstance(found, list) and any(self._own(address) for address in found)
            ]
            for (preference, target), found in zip(group, answers, strict=True):
                if ours and preference >= min(ours):
                    # Ourselves, and whoever is not preferred to us (RFC 5321 section 5.1).
                    continue
                if isinstance(found, list):
                    hops += _hops([(target, found)], channel, preference)
                elif isinstance(found, DnsTrouble):
                    trouble = found
            if ours and not hops and trouble is None:
                raise NoSuchHost("5.4.6", f"mail for {name} loops back to this host")
            if ours or len(hops) >= MAX_HOPS:
                break
        if hops:
            return _public(name, hops[:MAX_HOPS], channel)
        # The domain exists and names exchangers: that none has an address may well be mended.
        raise trouble or DnsTrouble(f"no mail exchanger of {name} has an address", "4.4.4")

    async def _addresses_or_why(self, name: str) -> list[str] | NoSuchHost | DnsTrouble:
        try:
            return await self._addresses(name)
        except (NoSuchHost, DnsTrouble) as why:
            return why

    async def _addresses(self, name: str) -> list[str]:
        """
        Addresses by the hosts file, then A and AAAA records, in turn and IPv4 first.

        In turn, so that where one family leads nowhere the other is tried next (RFC 8305 section 4).
        """
        if known := self._hosts.addresses(name):
            return known
        v4 = ensureDeferred(self._records_or_why(name, dns.A))
        v6 = ensureDeferred(self._records_or_why(name, dns.AAAA))
        families: list[list[str]] = []
        whys: list[NoSuchHost | DnsTrouble] = []
        for answer in await gatherResults([v4, v6]):
            if isinstance(answer, tuple):
                families.append(
                    [
                        text
                        for record in answer
                        if (text := _usable(socket.inet_ntop(_family(record), record.address)))
                    ]
                )
            else:
                whys.append(answer)
        found = [text for row in zip_longest(*families) for text in row if text is not None]
        if found:
            return list(dict.fromkeys(found))
        for why in sorted(whys, key=lambda why: isinstance(why, NoSuchHost)):
            raise why
        raise NoSuchHost("5.4.4", f"{name} has no address")

    async def _records_or_why(self, name: str, type: int) -> tuple[Any, ...] | NoSuchHost | DnsTrouble:
        try:
            return await self._lookup.records(name, type)
        except (NoSuchHost, DnsTrouble) as why:
            return why

    async def _system_addresses(self, name: str) -> list[str]:
        """Addresses as the C library finds them (``nodns``); it may block, hence the thread."""
        if known := self._hosts.addresses(name):
            return known
        asked: Deferred[Any] = deferToThreadPool(
            self._reactor,
            self._reactor.getThreadPool(),
            socket.getaddrinfo,
            name,
            None,
            0,
            socket.SOCK_STREAM,
        )
        try:
            answers = await asked
        except socket.gaierror as why:
            if why.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
                raise NoSuchHost("5.1.2", f"host {name} does not exist") from None
            raise DnsTrouble(f"name service error for {name}: {why.strerror}") from None
        found = dict.fromkeys(text for answer in answers if (text := _usable(answer[4][0])))
        if not found:
            raise NoSuchHost("5.4.4", f"{name} has no address")
        return list(found)


def direct(name: str, channel: ChannelSettings) -> bool:
    """Whether a name is a recipient's host on the Internet's port, not one that the operator has named."""
    named = {host.lower() for host in (channel.gateway, channel.lastresort) if host}
    return channel.port == 25 and name not in named


def _public(name: str, hops: list[NextHop], channel: ChannelSettings) -> list[NextHop]:
    """
    Without private addresses, where names must not lead to any: whoever has a domain could reach our own hosts.

    :raises DnsTrouble: There are no others; it may well be mended.
    """
    allowed = channel.private if channel.private is not None else not direct(name, channel)
    if allowed:
        return hops
    public = [hop for hop in hops if not is_private(hop.address)]
    if not public:
        raise DnsTrouble(f"{name} leads to private addresses only (privateaddresses allows them)", "4.4.4")
    return public


def _better_than_us(
    name: str, found: list[tuple[int, str]], channel: ChannelSettings
) -> list[tuple[int, str]]:
    """
    Leave out ourselves and whatever is not preferred to us (RFC 5321 section 5.1).

    On another port the record does not speak of us.
    """
    own = [preference for preference, target in found if target == channel.local_host.lower()]
    if not own or channel.port != 25:
        return found
    better = [(preference, target) for preference, target in found if preference < min(own)]
    if not better:
        raise NoSuchHost("5.4.6", f"mail for {name} loops back to this host")
    return better


def _hops(found: list[tuple[str, list[str]]], channel: ChannelSettings, preference: int = 0) -> list[NextHop]:
    most = channel.options.max_a_records or MAX_HOPS
    return [
        NextHop(name, address, channel.port, preference)
        for name, addresses in found
        for address in addresses[:most]
    ][:MAX_HOPS]


def _family(record: Any) -> socket.AddressFamily:
    return socket.AF_INET if record.TYPE == dns.A else socket.AF_INET6


def _usable(text: str) -> str | None:
    """
    An address that can be connected to, or ``None``.

    The unspecified address would reach ourselves and a multicast one everybody; an
    IPv4 address in IPv6 dress is undressed, so that rules about addresses see it.
    """
    address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(text.split("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_unspecified or address.is_multicast:
        return None
    return str(address)


def _literal(host: str) -> str:
    """The address in ``[1.2.3.4]`` or ``[IPv6:...]`` (RFC 5321 section 4.1.3); ``[v6]`` too."""
    text = host[1:].removesuffix("]")
    if text[:5].lower() == "ipv6:":
        text = text[5:]
    try:
        usable = _usable(text)
    except ValueError:
        usable = None
    if usable is None:
        raise NoSuchHost("5.1.2", f"{host} is not an address that can be connected to")
    return usable


__all__ = ["MAX_HOPS", "DnsTrouble", "NextHop", "NoSuchHost", "Resolver"]
