"""What the dialogue of a slave on a pipe goes by, for each channel that its client may come in by."""

from typing import Any

from channels.kit.queries import asked
from channels.kit.slave_security import SlaveSecurity
from jobctl.config.settings import ChannelSettings, ServiceSettings
from jobctl.smtp.server_config import ServerConfig


class SlaveRules:
    """
    :param service: What the configuration says of the way in, ``None``: nothing.
    :param mta: Of the controller's hello.
    :param client: Address, ``""``: there is none.
    """

    def __init__(
        self,
        service: ServiceSettings | None,
        mta: dict[str, Any],
        security: SlaveSecurity,
        asks: frozenset[str],
        client: str,
    ) -> None:
        self._service = service
        self._mta = mta
        self._security = security
        self._asks = asks
        self._client = client

    def of(self, channel: ChannelSettings) -> ServerConfig:
        """The rules of one channel."""
        security = self._security
        limit = self._mta.get("block_limit", 0)
        insists = channel.sasl_server == "must" or (channel.submit and not self._may_relay())
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
        )

    def _may_relay(self) -> bool:
        """Whether the client need not say who it is to submit mail."""
        if self._service is None or not self._client:
            return True
        # Late: only channels for submissions need it.
        from jobctl.net.networks import Networks

        return self._client in Networks(self._service.relay_from)
