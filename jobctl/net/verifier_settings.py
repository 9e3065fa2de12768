"""What a service says of its verifiers, looked at once, and the files that it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobctl.config.settings import ServiceSettings

if TYPE_CHECKING:
    import ssl

# A secret is one line; whatever else was named by mistake is not to be sent anywhere.
_LONGEST = 16 * 1024


def read_client(path: str | None) -> str:
    """
    Who we are at the introspection endpoint: the first line of ``introspection_client_file``.

    Read at each question, so a changed secret serves at once.

    :raises ValueError: It cannot be read, or is empty; the text is for the operator.
    """
    if path is None:
        return ""
    try:
        with open(path, encoding="utf-8") as file:
            client = file.read(_LONGEST).split("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as why:
        raise ValueError(
            f"introspection_client_file {path}: {getattr(why, 'strerror', None) or 'not UTF-8'}"
        ) from None
    if not client or not client.isascii() or not client.isprintable():
        raise ValueError(f"introspection_client_file {path}: its first line is not id:secret")
    return client


def trust(path: str | None) -> ssl.SSLContext:
    """
    Whom to believe that it is the verifier, for clients of the standard library.

    :raises ValueError: The file has no certificates; the text is for the operator.
    """
    # Late: most services have no verifier.
    import ssl

    try:
        return ssl.create_default_context(cafile=path)
    except OSError as why:
        reason = why.strerror if not isinstance(why, ssl.SSLError) else "not a PEM file with certificates"
        raise ValueError(f"auth_ca_file {path}: {reason}") from None


def check_sources(service: ServiceSettings) -> None:
    """
    Everything that a service needs to check claims is there.

    :raises ValueError: It is not; the text is for the operator.
    """
    if service.pam_service is not None:
        from jobctl.net.pam import load_library

        load_library()
    if service.auth_ca_file is not None:
        trust(service.auth_ca_file)
    read_client(service.introspection_client_file)


def mechanisms(service: ServiceSettings) -> tuple[str, ...]:
    """SASL mechanisms that can be offered, best first: what can be done with what is known of users."""
    passwords: tuple[str, ...] = ()
    if service.password_file is not None:
        passwords = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN")
    elif service.pam_service is not None or service.auth_url is not None:
        passwords = ("PLAIN", "LOGIN")
    tokens = ("OAUTHBEARER", "XOAUTH2") if service.introspection_url is not None else ()
    return passwords + tokens
