"""What the dialogue of a slave on a pipe goes by, for each channel that its client may come in by."""

from typing import Any

from channels.kit.queries import asked
from channels.kit.slave_security import SlaveSecurity
from jobctl.config.settings import ChannelSettings, ServiceSettings
from jobctl.mapping.access import ALLOWED, FROM_ACCESS, Permission, port_access
from jobctl.mapping.tables import compiled
from jobctl.smtp.server_config import ServerConfig


class SlaveRules:
    """
    :param service: What the configuration says of the way in, ``None``: nothing.
    :param mta: Of the controller's hello.
    :ivar tables: The mapping tables.
    """

    def __init__(
        self,
        service: ServiceSettings | None,
        mta: dict[str, Any],
        security: SlaveSecurity,
    ) -> None:
        self._service = service
        self._mta = mta
        self._security = security
        mappings = mta.get("mappings")
        self.tables = compiled(mappings if isinstance(mappings, dict) else {})
        self._asks = frozenset({"recipient", "sender"} if FROM_ACCESS in self.tables else {"recipient"})

    def permission(self, transport: str) -> Permission:
        """What PORT_ACCESS says of a connection; without transport information it is not asked."""
        return port_access(self.tables, transport) if transport else ALLOWED

    def of(self, channel: ChannelSettings, client: str) -> ServerConfig:
        """
        The rules of one channel.

        :param client: Address of whom they are for, ``""``: there is none.
        """
        security = self._security
        limit = self._mta.get("block_limit", 0)
        permanent = self._mta.get("use_permanent_error", 0)
        insists = channel.sasl_server == "must" or (channel.submit and not self._may_relay(client))
        return ServerConfig(
            host=channel.local_host,
            channel=channel,
            lmtp=channel.lmtp,
            max_size=limit if isinstance(limit, int) else 0,
            loop=str(self._mta.get("loop", "")),
            asks=asked(channel, self._asks),
            tls=channel.tls_server if security.starttls != "none" else "none",
            auth=security.mechanisms if channel.sasl_server != "none" else (),
            must_auth=insists and self._service is not None,
            plaintext_auth=security.plaintext_auth,
            xclient=self._service is not None and _within(client, self._service.xclient_from),
            use_permanent_error=permanent if isinstance(permanent, int) else 0,
        )

    def _may_relay(self, client: str) -> bool:
        """Whether it need not say who it is to submit mail."""
        return self._service is None or _within(client, self._service.relay_from)


def _within(client: str, networks: tuple[str, ...]) -> bool:
    if not client or not networks:
        return False
    # Late: most services name no networks that are asked about here.
    from jobctl.net.networks import Networks

    return client in Networks(networks)
