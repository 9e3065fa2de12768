"""The server's certificate and what of TLS it accepts."""

import os
import time
from collections.abc import Callable

from OpenSSL import SSL

from jobctl.net.tls_session import TlsSession, note_error

# Mozilla's "intermediate" profile, but for the finite-field groups: what is older cannot be had here.
# TLS 1.3 has its own list, which needs no pruning.
CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!eNULL:!SHA1:@STRENGTH"
_OPTIONS = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
# How often at most it is looked whether the certificate was renewed (seconds): three calls of stat(2).
_LOOK = 1.0


class CertificateTrouble(ValueError):
    """Certificate or key cannot be used; the text says which file, and why."""


def server_context(certificate: str, private_key: str, client_ca: str | None = None) -> SSL.Context:
    """
    :param certificate: PEM file: the server's own, then the intermediate ones.
    :param client_ca: PEM file; a client may then show a certificate that one of these has signed.
    :raises CertificateTrouble: They cannot be read, or do not belong together.
    """
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(_OPTIONS)
    context.set_cipher_list(CIPHERS)
    context.set_session_id(b"jobctl")
    try:
        context.use_certificate_chain_file(certificate)
    except SSL.Error as why:
        raise CertificateTrouble(f"tls_certificate {certificate}: {_why(certificate, why)}") from None
    try:
        context.use_privatekey_file(private_key)
        context.check_privatekey()
    except SSL.Error as why:
        raise CertificateTrouble(f"tls_private_key {private_key}: {_why(private_key, why)}") from None
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
            context.load_client_ca(client_ca.encode())
        except SSL.Error as why:
            raise CertificateTrouble(f"tls_client_ca {client_ca}: {_why(client_ca, why)}") from None
        # A certificate that proves nothing is as good as none; whoever shows none may still come in.
        # Each session is verified anew: one that was resumed would not be.
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_options(SSL.OP_NO_TICKET)
        context.set_verify(SSL.VERIFY_PEER, note_error)
    return context


class ServerTls:
    """
    TLS for the sessions of a service; a renewed certificate serves the next session.

    :param told: Gets a line when a renewed certificate cannot be used; the old one goes on serving.
    :raises CertificateTrouble: The first one cannot be used.
    """

    def __init__(
        self,
        certificate: str,
        private_key: str,
        client_ca: str | None,
        told: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = (certificate, private_key, client_ca)
        self._told = told
        self._clock = clock
        self._context = server_context(*self._files)
        self._marks = self._read_marks()
        self._next_look = clock() + _LOOK

    def session(self) -> TlsSession:
        """For one connection."""
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + _LOOK
            self._renew()
        return TlsSession(self._context)

    def _renew(self) -> None:
        marks = self._read_marks()
        if marks == self._marks:
            return
        self._marks = marks
        try:
            self._context = server_context(*self._files)
        except CertificateTrouble as why:
            self._told(f"{why}; the certificate read before goes on serving")

    def _read_marks(self) -> list[tuple[int, int] | None]:
        found: list[tuple[int, int] | None] = []
        for path in self._files:
            try:
                status = os.stat(path) if path is not None else None
            except OSError:
                status = None
            found.append((status.st_mtime_ns, status.st_ino) if status is not None else None)
        return found


def client_name(session: TlsSession) -> str | None:
    """The address or name of a client that has proved it by a certificate of ``tls_client_ca``."""
    # Late: only where clients are asked for certificates.
    from cryptography import x509

    certificate = session.connection.get_peer_certificate(as_cryptography=True)
    # Errors are what the chain's verification found: a session goes on with them, and proves nothing.
    if certificate is None or session.errors:
        return None
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if addresses := names.get_values_for_type(x509.RFC822Name):
            return addresses[0]
    except x509.ExtensionNotFound:
        pass
    common = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(common[0].value) if common else None


def _why(path: str, why: SSL.Error) -> str:
    if not os.path.exists(path):
        return "there is no such file"
    if not os.access(path, os.R_OK):
        return "it may not be read by this user"
    reasons = [str(entry[-1]) for entry in why.args[0]] if why.args and isinstance(why.args[0], list) else []
    return reasons[-1] if reasons else "not in PEM form"
