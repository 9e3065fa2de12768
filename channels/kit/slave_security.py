"""TLS and AUTH of a slave on a pipe: what it offers, and who its client is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from channels.kit.log_stream import say
from channels.kit.loop import Loop
from channels.kit.startup import EX_CONFIG, CannotStart
from jobctl.config.settings import ChannelSettings, ServiceSettings
from jobctl.mail.reply import Reply
from jobctl.sasl.secrets import ScramKeys, matches, prepared, scram_line
from jobctl.smtp.questions import PasswordGiven, TokenGiven
from jobctl.smtp.replies import AUTH_FAILED

if TYPE_CHECKING:
    from channels.kit.slave_verifier import Verifier
    from jobctl.net.tls_server import ServerTls
    from jobctl.net.tls_session import TlsSession


class SlaveSecurity:
    """
    :param service: What the configuration says of the way in, ``None``: nothing, so nothing is offered.
    :raises CannotStart: A certificate or the password file cannot be used, or what checks users is not there.
    :ivar patience: Seconds that :meth:`check` may take.
    """

    def __init__(self, channel: ChannelSettings, service: ServiceSettings | None, loop: Loop) -> None:
        self._tls: ServerTls | None = None
        self._users: dict[str, str] = {}
        self._verifier: Verifier | None = None
        self.patience = 0.0
        self.implicit = False
        self.starttls = "none"
        self.mechanisms: tuple[str, ...] = ()
        self.plaintext_auth = False
        self._asks_certificates = False
        if service is None:
            return
        self.implicit = service.implicit_tls
        self.plaintext_auth = service.plaintext_auth
        self._asks_certificates = service.tls_client_ca is not None
        if service.tls_certificate is not None and (self.implicit or channel.tls_server != "none"):
            self._tls = _load_tls(service)
            self.starttls = "none" if self.implicit else channel.tls_server
        if channel.sasl_server != "none" and service.knows_users:
            self._load_sources(service, loop)

    def _load_sources(self, service: ServiceSettings, loop: Loop) -> None:
        from jobctl.net.verifier_settings import check_sources, mechanisms

        try:
            check_sources(service)
        except ValueError as why:
            raise CannotStart(str(why), EX_CONFIG) from None
        self.mechanisms = mechanisms(service)
        if service.password_file is not None:
            self._users = _load_users(service.password_file)
        if {service.pam_service, service.auth_url, service.introspection_url} != {None}:
            # Late: it brings threads and HTTP, which a password file does not need.
            from channels.kit.slave_verifier import Verifier

            self._verifier = Verifier(loop, service)
            self.patience = service.auth_timeout

    def session(self) -> TlsSession:
        """For the one connection there is."""
        assert self._tls is not None  # else TLS is not offered
        return self._tls.session()

    def user_of(self, tls: TlsSession) -> str | None:
        """Whom the client's certificate proves it to be, where certificates count."""
        if not self._asks_certificates:
            return None
        from jobctl.net.tls_server import client_name

        return client_name(tls)

    def check(self, claim: PasswordGiven | TokenGiven, decided: Callable[[Reply, str], None]) -> None:
        """
        Whether the client is who it says to be.

        :param decided: Called with 235 and who it is, 535, or 454 where nobody can tell; at once where a
            password file knows: one session waits for the hash, nobody else does.
        """
        if self._verifier is not None and self._verifier.serves(claim):
            self._verifier.ask(claim, decided)
            return
        if isinstance(claim, TokenGiven):
            decided(AUTH_FAILED, "")
            return
        kept = self._users.get(prepared(claim.user))
        # One who is not there takes as long.
        if matches(kept or scram_line(self.keys(claim.user)), claim.password) and kept is not None:
            decided(Reply(235), claim.user)
        else:
            decided(AUTH_FAILED, "")

    @property
    def checking(self) -> bool:
        """Somebody is asked about a claim."""
        return self._verifier is not None and self._verifier.asking

    def give_up(self, why: str) -> None:
        """Whoever is asked about a claim is not waited for any longer: nobody can tell."""
        if self._verifier is not None:
            self._verifier.give_up(why)

    def keys(self, user: str) -> ScramKeys:
        """What SCRAM needs of a user, also of one that there is not."""
        # Late: where PLAIN comes in, hashes are all that is needed.
        from jobctl.sasl.password_file import scram_keys_of

        return scram_keys_of(self._users, user)


def _load_tls(service: ServiceSettings) -> ServerTls:
    # Late: it costs 60 ms, which programs without TLS need not pay.
    from jobctl.net.tls_server import CertificateTrouble, ServerTls

    assert service.tls_certificate is not None
    key = service.tls_private_key or service.tls_certificate
    try:
        return ServerTls(service.tls_certificate, key, service.tls_client_ca, say)
    except CertificateTrouble as why:
        raise CannotStart(str(why), EX_CONFIG) from None


def _load_users(path: str) -> dict[str, str]:
    from jobctl.sasl.password_file import read_password_file

    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            users, wrong = read_password_file(file.read())
    except OSError as why:
        raise CannotStart(f"password_file {path}: {why.strerror}", EX_CONFIG) from None
    for number, what in wrong:
        say(f"{path}:{number}: {what}")
    return users
