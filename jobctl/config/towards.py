"""What counts for connections to one destination: the rule for it over what the channel says."""

import msgspec

from jobctl.config.settings import ChannelSettings
from jobctl.config.tls_rules import TlsRule, rule_for


class Towards(msgspec.Struct, frozen=True):
    """
    :ivar policy: ``none``, ``may``, ``must`` or ``verify``.
    :ivar server_name: The name to prove, ``None``: that of the host connected to.
    :ivar ca_file: ``None``: the trust anchors of the system.
    :ivar rule: Who says so, ``None``: the channel.
    """

    policy: str
    server_name: str | None
    ca_file: str | None
    rule: TlsRule | None = None


def towards(channel: ChannelSettings, destination: str) -> Towards:
    """
    :param destination: The gateway of the channel, or the host of the recipients.
    """
    rule = rule_for(channel.tls_rules, destination) if channel.tls_rules else None
    policy = channel.tls_client if rule is None else rule.policy
    if channel.implicit_tls and policy in ("none", "may"):
        # There is no clear text to fall back to.
        policy = "must"
    return Towards(
        policy,
        (rule.server_name if rule else None) or channel.tls_server_name,
        (rule.ca_file if rule else None) or channel.tls_ca_file,
        rule,
    )
