"""Which addresses of a next hop the table IP_ACCESS lets us connect to."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import msgspec

from jobctl.config.settings import ChannelSettings
from jobctl.mail.transportinfo import is_address
from jobctl.mapping.access import Forbidden, ip_access
from jobctl.mapping.tables import compiled
from jobctl.net.resolver import NextHop


class HostForbidden(Exception):
    """
    Mail for the host is to be returned (``$N``).

    :ivar text: What its sender is told, without the table's text.
    """

    status = "5.1.2"

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.text = f"Invalid host: {host}"


class IpAccess:
    """
    What the table says of the next hops of one channel; without the table all are as they are.

    :param say: Gets a line for the log, about each address that is skipped, replaced or forbidden.
    """

    def __init__(self, channel: ChannelSettings, say: Callable[[str], None]) -> None:
        self._channel = channel.name
        self._tables = compiled(channel.ip_access) if channel.ip_access else None
        self._counts = channel.use_ip_access & 1
        self._say = say

    def of(self, hops: list[NextHop], attempt: int = -1) -> tuple[list[NextHop], HostForbidden | None]:
        """
        :param hops: All addresses of one host.
        :param attempt: As :func:`jobctl.mapping.access.ip_access`, asked with where ``use_ip_access`` says so.
        :return: Those to connect to; and what follows when none of them will do, ``None``: the next host.
        """
        if self._tables is None:
            return hops, None
        found: list[NextHop] = []
        for number, hop in enumerate(hops, 1):
            where = f"{hop.name} [{hop.address}]"
            try:
                address = ip_access(
                    self._tables,
                    self._channel,
                    number,
                    len(hops),
                    hop.address,
                    hop.name,
                    attempt if self._counts else None,
                )
            except Forbidden as why:
                self._say(f"{where}: IP_ACCESS forbids the host: {why}")
                return found, HostForbidden(hop.name)
            if address is None:
                self._say(f"{where}: IP_ACCESS has it skipped")
            elif not is_address(address):
                self._say(f"{where}: IP_ACCESS names {address!r} instead, which is no address: skipped")
            else:
                if address != hop.address:
                    self._say(f"{where}: IP_ACCESS names {address} instead")
                    hop = msgspec.structs.replace(hop, address=address)
                found.append(hop)
        return found, None

    def in_turn(self, hops: Sequence[NextHop], attempt: int = -1) -> Iterator[NextHop]:
        """
        Those to connect to, asked about host by host.

        :raises HostForbidden: When its turn comes.
        """
        for _, host in groupby(hops, lambda hop: hop.name):
            allowed, forbidden = self.of(list(host), attempt)
            yield from allowed
            if forbidden is not None:
                raise forbidden
