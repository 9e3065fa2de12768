"""What clients are called, by their addresses."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import ensureDeferred

from jobctl.config.settings import ChannelSettings
from jobctl.net.dns_cache import DnsCache
from jobctl.net.resolver import Resolver

# How long a client's name, or that it has none, is believed.
_NAME_LIFETIME = 600.0


class ClientNames:
    """
    Names of clients by reverse look-up, in the background: whoever asks gets what is known by now.

    A name that is not known when a message has come in is simply not in its Received field. One that does not
    lead back to the address gets a ``*`` (``forwardchecktag``) or is none (``forwardcheckdelete``).
    """

    def __init__(self, reactor: Any, resolver: Resolver, channel: ChannelSettings) -> None:
        self._tags = "forwardchecktag" in channel.keywords
        self._drops = "forwardcheckdelete" in channel.keywords
        self._reactor = reactor
        self._resolver = resolver
        self._names: DnsCache[str] = DnsCache(4096)
        # By address: who waits for the name.
        self._asked: dict[str, list[Callable[[str | None], None]]] = {}

    def look_up(self, address: str) -> None:
        """Begin to find out, unless it is known or being asked already; at most 100 at a time."""
        if len(self._asked) < 100 and address not in self._asked and self._get(address) is None:
            self._asked[address] = []
            ensureDeferred(self._ask(address))

    def when_known(self, address: str, found: Callable[[str | None], None]) -> None:
        """``found`` gets the name, or ``None``, when that is known; at once where it cannot be found out now."""
        self.look_up(address)
        if address in self._asked:
            self._asked[address].append(found)
        else:
            found(self.name(address))

    def name(self, address: str) -> str | None:
        """The name if it is known."""
        return self._get(address) or None

    def _get(self, address: str) -> str | None:
        return self._names.get(address, self._reactor.seconds())

    async def _ask(self, address: str) -> None:
        name: str | None = None
        try:
            name = await self._resolver.reverse(address)
            if name and (self._tags or self._drops) and not await self._resolver.verified(name, address):
                name = f"{name}*" if self._tags else None
        finally:
            waiting = self._asked.pop(address, [])
            self._names.put(address, name or "", self._reactor.seconds(), _NAME_LIFETIME)
            for found in waiting:
                found(self.name(address))
