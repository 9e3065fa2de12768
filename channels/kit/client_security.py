"""TLS and AUTH of a program that sends: its policies, its trust, and who it is at the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from channels.kit.log_stream import say
from channels.kit.startup import EX_CONFIG, CannotStart
from jobctl.config.settings import ChannelSettings
from jobctl.config.towards import Towards, towards
from jobctl.net.credentials import read_credentials

if TYPE_CHECKING:
    from channels.kit.debug import Transcript
    from jobctl.net.tls_client import ClientTls, ClientTlsSession
    from jobctl.smtp.client import ClientDialogue


class ClientSecurity:
    """
    Of all connections of a channel's program.

    :raises CannotStart: The channel's trust anchors or password cannot be read.
    :ivar credentials: Who we are at the next hop, ``None``: nobody.
    """

    def __init__(self, channel: ChannelSettings) -> None:
        self._channel = channel
        # By file of trust anchors, each with what is wrong with it.
        self._tls: dict[str | None, tuple[ClientTls, str]] = {}
        try:
            self.credentials = read_credentials(channel)
        except ValueError as why:
            raise CannotStart(str(why), EX_CONFIG) from None
        self.must_auth = channel.sasl_client == "must"
        if towards(channel, channel.gateway or "").policy != "none":
            wrong = self.trust(channel.tls_ca_file)[1]
            if wrong:
                raise CannotStart(wrong, EX_CONFIG)

    def towards(self, destination: str) -> DestinationSecurity:
        """:param destination: The gateway, or the host of the recipients: never a mail exchanger's name."""
        return DestinationSecurity(self, destination, towards(self._channel, destination))

    def trust(self, ca_file: str | None) -> tuple[ClientTls, str]:
        """
        :return: Whom to trust, and what is wrong: one destination's file must not stop the mail of the others.
        """
        known = self._tls.get(ca_file)
        if known is None:
            # Late: it costs 60 ms, which programs without TLS need not pay.
            from jobctl.net.tls_client import ClientTls

            try:
                known = ClientTls(ca_file), ""
            except ValueError as why:
                say(str(why))
                known = ClientTls(), str(why)
            self._tls[ca_file] = known
        return known


class DestinationSecurity:
    """
    Of the connections to one destination.

    :ivar policy: ``none``, ``may``, ``must`` or ``verify``.
    """

    def __init__(self, channels: ClientSecurity, destination: str, found: Towards) -> None:
        self._channels = channels
        self._destination = destination
        self._found = found
        self.policy = found.policy

    def session(self, name: str, address: str, port: int, source: str = "") -> ClientTlsSession:
        """
        For one connection; a former session with the very same peer is resumed where possible.

        :param source: Our own address.
        :param name: The host connected to, whose certificate counts.
        """
        credentials = self._channels.credentials
        name = self._found.server_name or name
        user = credentials.user if credentials is not None else ""
        key = (self._destination, name, address, port, self.policy, user, source)
        return self._channels.trust(self._found.ca_file)[0].session(name, key)

    def problem(self, session: ClientTlsSession) -> str:
        """Why mail must not go to the peer, ``""`` when it may; the handshake is over."""
        if self.policy != "verify":
            return ""
        return self._channels.trust(self._found.ca_file)[1] or session.problem

    def judge(
        self, session: ClientTlsSession, dialogue: ClientDialogue, peer: str, transcript: Transcript | None
    ) -> None:
        """
        The handshake is over: tell the dialogue whether the peer is good enough for the policy.

        :param peer: What the peer is called if it is not.
        """
        if transcript is not None:
            transcript.note(f"TLS: {session.info}, {session.problem or 'certificate verified'}")
        if problem := self.problem(session):
            dialogue.tls_failed(f"{peer}: {problem}")
        else:
            dialogue.secured(session.binding)

    def keep(self, session: ClientTlsSession) -> None:
        """Its connection is over."""
        self._channels.trust(self._found.ca_file)[0].keep(session)
