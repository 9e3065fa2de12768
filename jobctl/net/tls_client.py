"""TLS towards a next hop: policies, whom to trust, and whether the peer is who it should be."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec
from OpenSSL import SSL

from jobctl.net.tls_session import TlsSession, note_error

if TYPE_CHECKING:
    from cryptography import x509

# Sessions kept for resumption, and how many of them at most.
_MOST_KEPT = 1000

Key = tuple[object, ...]


class Kept(msgspec.Struct, frozen=True):
    """A session that can be resumed, with what was found out about the peer when it began."""

    session: object
    problem: str


class ClientTls:
    """
    TLS for the connections of one channel program.

    Certificates are looked at under every policy, so that the log can tell; only ``verify`` acts on them.

    :param ca_file: PEM file with trust anchors, ``None``: those of the system.
    :raises ValueError: It cannot be used.
    """

    def __init__(self, ca_file: str | None = None) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
        context.set_session_cache_mode(SSL.SESS_CACHE_CLIENT)
        try:
            if ca_file is None:
                context.set_default_verify_paths()
            else:
                context.load_verify_locations(ca_file)
        except SSL.Error:
            raise ValueError(f"tls_ca_file {ca_file}: not a readable PEM file with certificates") from None
        context.set_verify(SSL.VERIFY_PEER, note_error)
        self._context = context
        self._kept: OrderedDict[Key, Kept] = OrderedDict()

    def session(self, name: str, key: Key) -> ClientTlsSession:
        """
        For one connection.

        :param name: Of the next hop, as it is to be verified and told by SNI.
        :param key: All that makes a peer the same: host, address, port, policy, credential, source.
        """
        session = ClientTlsSession(self._context, name, self._kept.pop(key, None))
        session.key = key
        return session

    def keep(self, session: ClientTlsSession) -> None:
        """The connection is over: what can be resumed serves the next to the same peer."""
        found = session.connection.get_session() if session.established else None
        if found is not None:
            self._kept[session.key] = Kept(found, session.problem)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)


class ClientTlsSession(TlsSession):
    """:ivar resumed: A former session was offered to the peer."""

    key: Key = ()

    def __init__(self, context: SSL.Context, name: str, kept: Kept | None) -> None:
        literal = name.strip("[]")
        self._name = literal
        self._is_address = _is_address(literal)
        self._problem: str | None = None
        self._kept = kept
        super().__init__(context, None if self._is_address else literal, client=True)
        if kept is not None:
            self.connection.set_session(kept.session)  # type: ignore[arg-type]

    @property
    def problem(self) -> str:
        """Why the peer is not proved to be who it should be, ``""`` when it is; once established."""
        if self._problem is None:
            self._problem = self._find_problem()
        return self._problem

    def _find_problem(self) -> str:
        certificate = self.connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            return "it showed no certificate"
        if self._kept is not None and self._kept.problem and not self.errors:
            # Resumed: the chain was not looked at again.
            return self._kept.problem
        if self.errors:
            return self.errors[0]
        return name_problem(certificate, self._name, self._is_address)


def name_problem(certificate: x509.Certificate, name: str, is_address: bool) -> str:
    """Whether a certificate is for this name (RFC 9525); ``""``: it is."""
    # Late: it costs 100 ms, and many connections need none of it.
    from service_identity import CertificateError, VerificationError
    from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

    try:
        if is_address:
            verify_certificate_ip_address(certificate, name)
        else:
            verify_certificate_hostname(certificate, name)
    except VerificationError:
        return f"its certificate is not for {name}"
    except (CertificateError, ValueError) as why:
        return f"its certificate cannot be used: {why}"
    return ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
