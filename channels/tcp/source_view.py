"""What a server job does by a client's source channel."""

from __future__ import annotations

import msgspec

from channels.kit.queries import asked
from channels.kit.source_channels import names_client, shows_address
from channels.tcp.admission import Admission
from channels.tcp.security import Security
from jobctl.config.settings import ChannelSettings, MtaSettings, ServiceSettings
from jobctl.smtp.server_config import ServerConfig


class SourceView(msgspec.Struct, frozen=True, kw_only=True):
    """
    One of the channels that clients come in by, and what sessions need of it.

    :ivar asking: Rules for anybody; ``trusting``: for who may relay, who is not asked about recipients.
    :ivar by: The name of this host in Received fields.
    :ivar names_client: The client's name is looked up; ``shows_address``: its address is told.
    """

    channel: ChannelSettings
    asking: ServerConfig
    trusting: ServerConfig
    by: str
    names_client: bool
    shows_address: bool


def source_view(
    channel: ChannelSettings,
    service: ServiceSettings,
    mta: MtaSettings,
    admission: Admission,
    security: Security,
) -> SourceView:
    """The view of one channel."""
    insists = channel.sasl_server == "must"
    trusting = ServerConfig(
        host=channel.local_host,
        channel=channel,
        lmtp=channel.lmtp,
        max_size=mta.block_limit,
        loop=mta.loop,
        asks=asked(channel, admission.asks_trusted),
        tls=channel.tls_server if security.starttls != "none" else "none",
        auth=security.mechanisms if channel.sasl_server != "none" else (),
        must_auth=insists,
        plaintext_auth=service.plaintext_auth,
        use_permanent_error=mta.use_permanent_error,
    )
    # Submissions are taken from who may relay, and from who has said who it is (RFC 6409 section 4.3).
    asking = msgspec.structs.replace(
        trusting, asks=asked(channel, admission.asks), must_auth=insists or channel.submit
    )
    return SourceView(
        channel=channel,
        asking=asking,
        trusting=trusting,
        by=mta.received_domain or channel.local_host,
        names_client=names_client(channel),
        shows_address=shows_address(channel),
    )
