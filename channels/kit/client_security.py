"""TLS and AUTH of a program that sends: its policy, its trust, and who it is at the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from channels.kit.startup import EX_CONFIG, CannotStart
from jobctl.config.settings import ChannelSettings
from jobctl.sasl.client import Credentials

if TYPE_CHECKING:
    from jobctl.net.tls_client import ClientTls, ClientTlsSession

# A password is one line; whatever else was named by mistake is not to be sent anywhere.
_LONGEST_SECRET = 16 * 1024


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
        self.credentials = read_credentials(channel)
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


def read_credentials(channel: ChannelSettings) -> Credentials | None:
    """
    Who we are at the next hop, by ``auth_username`` and ``auth_password_file``.

    :raises CannotStart: The file cannot be read, or is empty.
    """
    if channel.auth_username is None or channel.auth_password_file is None or channel.sasl_client == "none":
        return None
    path = channel.auth_password_file
    try:
        with open(path, encoding="utf-8") as file:
            secret = file.read(_LONGEST_SECRET).split("\n")[0].strip("\r")
    except (OSError, UnicodeDecodeError) as why:
        raise CannotStart(
            f"auth_password_file {path}: {getattr(why, 'strerror', None) or why}", EX_CONFIG
        ) from None
    if not secret:
        raise CannotStart(f"auth_password_file {path}: its first line is empty", EX_CONFIG)
    mechanism = channel.auth_mechanism
    return Credentials(channel.auth_username, secret, mechanism if mechanism == "auto" else mechanism.upper())
