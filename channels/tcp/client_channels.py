"""Which channel the clients of a server job come in by, found by their addresses and names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from channels.kit.source_channels import literal
from jobctl.jobprotocol.frames import Locate, Located
from jobctl.net.dns_cache import DnsCache

if TYPE_CHECKING:
    from channels.tcp.process import Process
    from jobctl.net.client_names import ClientNames

# As long as a client's name is believed; when the rules change there are new programs.
_LIFETIME = 600.0


class ClientChannels:
    """
    Asks the controller once for each client, by its address, then by its name.

    :param names: Of clients; ``None``: they do not count.
    """

    def __init__(self, process: Process, own: str, names: ClientNames | None) -> None:
        self._process = process
        self._own = own
        self._names = names
        self._known: DnsCache[str] = DnsCache(4096)
        # By client: who waits to hear of it.
        self._waiting: dict[str, list[Callable[[str], None]]] = {}
        # By what was asked: the client, and whether it was by its name.
        self._asked: dict[str, tuple[str, bool]] = {}
        self._count = 0

    def find(self, client: str, now: float, found: Callable[[str], None]) -> str | None:
        """
        The name of the channel, if it is known; else ``None``, and ``found`` gets it later.

        :param client: An address.
        """
        known = self._known.get(client, now)
        if known is not None:
            return known
        waiting = self._waiting.setdefault(client, [])
        waiting.append(found)
        if len(waiting) == 1:
            self._ask(client, literal(client), by_name=False)
        return None

    def heard(self, frame: Located, now: float) -> None:
        """The controller has answered."""
        client, by_name = self._asked.pop(frame.id, ("", True))
        if frame.channel == self._own and not by_name and self._names is not None:
            self._names.when_known(client, lambda name: self._named(client, name))
            return
        self._known.put(client, frame.channel, now, _LIFETIME)
        self._tell(client, frame.channel)

    def _named(self, client: str, name: str | None) -> None:
        if name:
            self._ask(client, name, by_name=True)
        else:
            # A name that cannot be found just now may be there for the next connection.
            self._tell(client, self._own)

    def _ask(self, client: str, host: str, by_name: bool) -> None:
        self._count += 1
        id = f"c{self._count}"
        self._asked[id] = (client, by_name)
        self._process.link.send(Locate(id=id, host=host))

    def _tell(self, client: str, channel: str) -> None:
        for found in self._waiting.pop(client, []):
            found(channel)
