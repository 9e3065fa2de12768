"""Who may connect to a server job, from where, and what the access tables say of them."""

from typing import Any

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
from jobctl.net.address_counts import AddressCounts
from jobctl.net.networks import Networks

_YES = Reply(250)


class Admission:
    """
    :ivar relay: Who may send to domains that are not ours; ``front_ends``: who begins with a PROXY header;
        ``impersonators``: who may say XCLIENT.
    :ivar counts: Connections of each client.
    """

    def __init__(self, service: ServiceSettings, mta: MtaSettings) -> None:
        self.relay = Networks(service.relay_from)
        self.front_ends = Networks(service.proxy_from)
        self.impersonators = Networks(service.xclient_from)
        self.counts = AddressCounts(service.max_conns_per_address)
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

    def port(self, transport: str) -> Permission:
        """What PORT_ACCESS says of a connection; one by a UNIX socket is nothing to it."""
        asked = transport and PORT_ACCESS in self._tables
        return port_access(self._tables, transport) if asked else ALLOWED

    def sender(self, source: Source, sender: str) -> Reply:
        """What FROM_ACCESS says of a sender."""
        return from_access(self._tables, source, sender).refusal or _YES


def transport_of(own: Any, peer: Any) -> str:
    """
    A connection as PORT_ACCESS, log and trace have it: ``TCP|us|port|client|port``, ``""`` for one by a UNIX socket.

    :param own: Address and port, ``None`` where they are not known; ``peer`` likewise of the client.
    """
    if not isinstance(peer, tuple):
        return ""
    ours = f"{own[0].split('%')[0]}|{own[1]}" if own else "|"
    return f"TCP|{ours}|{peer[0].split('%')[0]}|{peer[1]}"


def client_of(peer: Any) -> str:
    """The client's address, ``""`` where it has none because it came by a UNIX socket."""
    return str(peer[0]).split("%")[0] if isinstance(peer, tuple) else ""
