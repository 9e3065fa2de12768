"""TLS of one connection to a next hop."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from channels.kit.client_security import DestinationSecurity
    from channels.kit.debug import Transcript
    from channels.tcp.stream import Stream
    from jobctl.net.resolver import NextHop
    from jobctl.net.tls_client import ClientTlsSession
    from jobctl.smtp.client import ClientDialogue


class ConnectionTls:
    """
    :param source: Our own address.
    :param transcript: Gets a note of the handshake.
    """

    def __init__(
        self, security: DestinationSecurity, hop: NextHop, source: str, transcript: Transcript | None
    ) -> None:
        self._security = security
        self._hop = hop
        self._source = source
        self._transcript = transcript
        self._session: ClientTlsSession | None = None

    def start(self, stream: Stream) -> None:
        """Encrypt what follows."""
        hop = self._hop
        self._session = self._security.session(hop.name, hop.address, hop.port, self._source)
        stream.start_tls(self._session)

    def secured(self, dialogue: ClientDialogue) -> None:
        """The handshake is over: the dialogue goes on, if this peer is good enough for the policy."""
        assert self._session is not None
        peer = f"{self._hop.name} [{self._hop.address}]"
        self._security.judge(self._session, dialogue, peer, self._transcript)

    def keep(self) -> None:
        """The connection is over: the next one to this peer may resume its session."""
        session, self._session = self._session, None
        if session is not None:
            self._security.keep(session)
