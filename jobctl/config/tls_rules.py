"""TLS towards a destination: which rule speaks for it, and what it says."""

from collections.abc import Iterator, Mapping

import msgspec

from jobctl.mail.address import normal_domain


class TlsRule(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    One line of ``[tls_policy]``; what it does not say (``None``) is as the channel has it.

    :ivar pattern: As written, to find its line by.
    :ivar policy: ``none``, ``may``, ``must`` or ``verify``.
    :ivar server_name: The name to prove.
    :ivar ca_file: Absolute path of the trust anchors.
    """

    pattern: str
    policy: str
    server_name: str | None = None
    ca_file: str | None = None

    @property
    def bare(self) -> bool:
        """It says nothing but the policy."""
        return self.server_name is None and self.ca_file is None


def rule_for(rules: Mapping[str, TlsRule], destination: str) -> TlsRule | None:
    """
    The most specific rule for a destination.

    :param rules: By pattern in normal form: ``bank.example`` is that host, ``.bank.example`` all below it.
    :param destination: The host of the recipients, or the gateway; never the name of a mail exchanger, which
        others may share.
    """
    return next((rules[pattern] for pattern in _patterns(destination) if pattern in rules), None)


def normal_pattern(pattern: str) -> str:
    """The form in which a pattern is looked up."""
    if pattern.startswith("["):
        return pattern.lower()
    return "." + normal_domain(pattern[1:]) if pattern.startswith(".") else normal_domain(pattern)


def _patterns(destination: str) -> Iterator[str]:
    host = normal_pattern(destination)
    yield host
    while not host.startswith("[") and "." in host:
        host = host.partition(".")[2]
        yield f".{host}"
