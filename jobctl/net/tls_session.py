"""One end of a TLS connection over octets: no socket, so that any stream can carry it."""

from OpenSSL import SSL

from jobctl.errors import TlsFailed

# What one TLS record holds at the most (RFC 8446 section 5.1).
_RECORD = 16 * 1024
_READ = 64 * 1024
# RFC 9266: the binding that TLS 1.3 has, and earlier versions too where the master secret is extended.
EXPORTER = "tls-exporter"
_EXPORTER_LABEL = b"EXPORTER-Channel-Binding"


class TlsSession:
    """
    Ciphertext in and out at one side, what it stands for at the other.

    :ivar established: The handshake is over.
    :ivar errors: What is wrong with the peer's certificate, in words; first what weighs most.
    :ivar ended: The peer has said that it sends no more (close_notify).
    """

    def __init__(self, context: SSL.Context, server_name: str | None = None, client: bool = False) -> None:
        """
        :param server_name: For SNI (RFC 6066 section 3); never an address.
        :param client: This end begins.
        """
        self.connection = SSL.Connection(context, None)
        self.errors: list[str] = []
        self.connection.set_app_data(self.errors)
        self.established = False
        self.ended = False
        self._waiting: list[bytes] = []
        if client:
            if server_name is not None:
                self.connection.set_tlsext_host_name(server_name.encode("ascii", "replace"))
            self.connection.set_connect_state()
        else:
            self.connection.set_accept_state()

    def begin(self) -> None:
        """The client's first octets; the server waits for them."""
        self._shake()

    def receive(self, data: bytes) -> bytes:
        """
        Take octets from the peer.

        :return: What they stand for, ``b""`` while the handshake goes on.
        :raises TlsFailed: With why; :meth:`take_output` may still have an alert for the peer.
        """
        view = memoryview(data)
        plain: list[bytes] = []
        while view:
            written = self.connection.bio_write(bytes(view[:_READ]))
            view = view[written:]
            if self.established or self._shake():
                self._read(plain)
        return b"".join(plain)

    def send(self, data: bytes) -> None:
        """Encrypt; before the handshake is over it waits."""
        if not self.established:
            self._waiting.append(data)
            return
        view = memoryview(data)
        while view:
            try:
                sent = self.connection.send(view[:_RECORD])
            except SSL.Error as why:
                raise TlsFailed(_words(why)) from None
            view = view[sent:]

    def take_output(self) -> bytes:
        """Octets for the peer."""
        out: list[bytes] = []
        while True:
            try:
                out.append(self.connection.bio_read(_READ))
            except SSL.WantReadError:
                return b"".join(out)

    def close(self) -> None:
        """Say that no more will be sent (close_notify)."""
        if self.established:
            try:
                self.connection.shutdown()
            except SSL.Error:
                return

    @property
    def info(self) -> str:
        """Protocol and cipher: ``TLSv1.3/TLS_AES_256_GCM_SHA384``."""
        return f"{self.connection.get_protocol_version_name()}/{self.connection.get_cipher_name()}"

    @property
    def binding(self) -> tuple[str, bytes] | None:
        """What SASL can bind itself to (RFC 9266); ``None`` before TLS 1.3, where it may not be unique."""
        if self.connection.get_protocol_version_name() != "TLSv1.3":
            return None
        return EXPORTER, self.connection.export_keying_material(_EXPORTER_LABEL, 32, b"")

    def _shake(self) -> bool:
        try:
            self.connection.do_handshake()
        except SSL.WantReadError:
            return False
        except SSL.Error as why:
            raise TlsFailed(_words(why)) from None
        self.established = True
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self.send(data)
        return True

    def _read(self, plain: list[bytes]) -> None:
        while True:
            try:
                plain.append(self.connection.recv(_READ))
            except SSL.WantReadError:
                return
            except SSL.ZeroReturnError:
                self.ended = True
                return
            except SSL.Error as why:
                raise TlsFailed(_words(why)) from None


def _words(why: SSL.Error) -> str:
    """OpenSSL's reason, such as ``wrong version number``."""
    reasons = why.args[0] if why.args and isinstance(why.args[0], list) else []
    return ", ".join(dict.fromkeys(str(entry[-1]) for entry in reasons)) or "the connection was broken off"


def note_error(connection: SSL.Connection, certificate: object, error: int, depth: int, good: int) -> bool:
    """The handshake goes on; what was found is for the policy to judge."""
    if not good:
        errors = connection.get_app_data()
        if isinstance(errors, list):
            errors.append(_ERRORS.get(error, f"its certificate does not verify (X.509 error {error})"))
    return True


# OpenSSL's x509_vfy.h; its text function cannot be reached from here.
_ERRORS = {
    2: "its certificate was issued by an unknown authority",
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    18: "its certificate is self-signed",
    19: "its certificate chain ends in an unknown self-signed certificate",
    20: "its certificate was issued by an unknown authority",
    21: "its certificate chain is incomplete",
    23: "its certificate was revoked",
    24: "an issuer of its certificate is no authority",
    26: "its certificate is not meant for servers",
}
