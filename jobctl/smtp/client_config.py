"""What a client dialogue must know of its surroundings."""

import msgspec

from jobctl.config.settings import ChannelSettings


class ClientConfig(msgspec.Struct, frozen=True, kw_only=True):
    """
    :ivar helo: What we call ourselves, unless the option BANNER_HOST gives another name.
    :ivar helo_only: Say HELO whatever the banner promises: the peer dropped a connection on EHLO.
    """

    helo: str
    channel: ChannelSettings
    lmtp: bool = False
    helo_only: bool = False

    @property
    def name(self) -> str:
        """The name in EHLO, HELO and LHLO."""
        return self.channel.options.banner_host or self.helo
