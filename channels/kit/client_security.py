"""TLS and AUTH of a program that sends: its policy, its trust, and who it is at the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from channels.kit.startup import EX_CONFIG, CannotStart
from jobctl.config.settings import ChannelSettings
from jobctl.net.credentials import read_credentials

if TYPE_CHECKING:
    from jobctl.net.tls_client import ClientTls, ClientTlsSession


class ClientSecurity:
    """
    :raises CannotStart: Trust anchors or password cannot be read.
    :ivar policy: ``none``, ``may``, ``must`` or ``verify``.
    :ivar credentials: Who we are at the next hop, ``None``: nobody.
    """

    def __init__(self, channel: ChannelSettings) -> None:
        self._channel = channel
        self.policy = channel.tls_client
        if channel.implicit_tls and self.policy in ("none", "may"):
            # There is no clear text to fall back to.
            self.policy = "must"
        try:
            self.credentials = read_credentials(channel)
        except ValueError as why:
            raise CannotStart(str(why), EX_CONFIG) from None
        self.must_auth = channel.sasl_client == "must"
        self._tls: ClientTls | None = None
        if self.policy != "none":
            # Late: it costs 60 ms, which programs without TLS need not pay.
            from jobctl.net.tls_client import ClientTls

            try:
                self._tls = ClientTls(channel.tls_ca_file)
            except ValueError as why:
                raise CannotStart(str(why), EX_CONFIG) from None

    def session(
        self, destination: str, name: str, address: str, port: int, source: str = ""
    ) -> ClientTlsSession:
        """
        For one connection; a former session with the very same peer is resumed where possible.

        :param source: Our own address.
        :param destination: What was asked for; ``name``: the host connected to, whose certificate counts.
        """
        channel = self._channel
        assert self._tls is not None  # else TLS is not wanted
        name = channel.tls_server_name or name
        user = self.credentials.user if self.credentials is not None else ""
        key = (destination, name, address, port, self.policy, user, source)
        return self._tls.session(name, key)

    def keep(self, session: ClientTlsSession) -> None:
        """Its connection is over."""
        if self._tls is not None:
            self._tls.keep(session)
