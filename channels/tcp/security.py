"""TLS and AUTH of a server job: what it offers, and who its clients are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from channels.kit.log_stream import say
from jobctl.config.settings import ChannelSettings, ServiceSettings
from jobctl.mail.reply import Reply
from jobctl.smtp.questions import KeysWanted, PasswordGiven, TokenGiven

if TYPE_CHECKING:
    from channels.tcp.authentication import Authentication
    from channels.tcp.session import Session
    from jobctl.net.tls_server import ServerTls
    from jobctl.net.tls_session import TlsSession


class Security:
    """
    Loads certificates and users only where they are needed, and the modules for them too.

    :raises ValueError: A certificate or key cannot be used, or what checks users is not there.
    :raises OSError: The password file cannot be read.
    :ivar implicit: Connections begin with TLS.
    """

    def __init__(self, reactor: Any, channel: ChannelSettings, service: ServiceSettings) -> None:
        self._reactor = reactor
        self._tls: ServerTls | None = None
        self._authentication: Authentication | None = None
        self._asks_certificates = service.tls_client_ca is not None
        self.implicit = service.implicit_tls
        wanted = channel.tls_server
        if service.tls_certificate is not None and (self.implicit or wanted != "none"):
            from jobctl.net.tls_server import ServerTls

            key = service.tls_private_key or service.tls_certificate
            self._tls = ServerTls(service.tls_certificate, key, service.tls_client_ca, say)
        if channel.sasl_server != "none" and service.knows_users:
            from channels.tcp.authentication import Authentication

            self._authentication = Authentication(reactor, service, say)
        self.starttls = wanted if self._tls is not None and not self.implicit else "none"

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """SASL mechanisms to offer, best first."""
        return self._authentication.mechanisms if self._authentication is not None else ()

    def session(self) -> TlsSession:
        """For a connection that begins with TLS."""
        assert self._tls is not None  # else there is neither implicit TLS nor STARTTLS
        return self._tls.session()

    def user_of(self, tls: TlsSession) -> str | None:
        """Whom a client's certificate proves it to be, where certificates count."""
        if not self._asks_certificates:
            return None
        from jobctl.net.tls_server import client_name

        return client_name(tls)

    def check(self, session: Session, claim: PasswordGiven | TokenGiven) -> None:
        """Whether a client is who it says to be; a wrong answer takes its time."""
        authentication = self._must_know()

        def decided(reply: Reply, user: str) -> None:
            if reply.code != 535:
                session.answer_claim(reply, user)
                return
            wait = authentication.patience.failed(session.client, session.server.now)
            self._reactor.callLater(wait, session.answer, reply)

        authentication.check(claim, decided)

    def find_keys(self, session: Session, question: KeysWanted) -> None:
        """What SCRAM needs; whoever has guessed wrong before waits for it."""
        authentication = self._must_know()
        keys = authentication.keys(question.user)
        wait = authentication.patience.wait(session.client, session.server.now)
        if wait:
            self._reactor.callLater(wait, session.answer_keys, keys)
        else:
            session.answer_keys(keys)

    def failed(self, session: Session) -> None:
        """An exchange ended in 535 without our having been asked."""
        self._must_know().patience.failed(session.client, session.server.now)

    def succeeded(self, session: Session) -> None:
        """A client has proved who it is."""
        self._must_know().patience.succeeded(session.client)

    def _must_know(self) -> Authentication:
        assert self._authentication is not None  # else AUTH is not offered
        return self._authentication
