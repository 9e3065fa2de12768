"""Certificates made for tests: good ones, and each way of being wrong."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_NOW = datetime.datetime.now(datetime.UTC)
_DAY = datetime.timedelta(days=1)


class Authority:
    """A certificate authority of our own, and what it has signed, as PEM files in a folder."""

    def __init__(self, folder: Path, name: str = "Test CA") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = (
            _builder(self._name, self._name, self._key, -1, 30)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / f"{name.replace(' ', '-')}.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, *names: str, begins: int = -1, ends: int = 30, client: str = "", self_signed: bool = False
    ) -> Path:
        """
        A PEM file with key and certificate.

        :param names: Host names or addresses.
        :param begins: Days from now, as is ``ends``.
        :param client: The address of a person, for a client's certificate.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, client or names[0])])
        alternative: list[x509.GeneralName] = [_general(name) for name in names]
        if client:
            alternative.append(x509.RFC822Name(client))
        issuer = subject if self_signed else self._name
        certificate = (
            _builder(subject, issuer, key, begins, ends)
            .add_extension(x509.SubjectAlternativeName(alternative), critical=False)
            .sign(key if self_signed else self._key, hashes.SHA256())
        )
        path = self.folder / f"{(client or names[0]).replace('*', 'any')}.{begins}.{ends}.{self_signed}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return path


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, begins: int, ends: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_NOW + begins * _DAY)
        .not_valid_after(_NOW + ends * _DAY)
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
