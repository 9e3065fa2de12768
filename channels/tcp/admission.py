"""Who may connect to a server job, from where, and what the access tables say of them."""

from channels.kit.networks import Networks
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

_YES = Reply(250)


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
