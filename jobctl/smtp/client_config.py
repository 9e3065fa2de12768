"""What a client dialogue must know of its surroundings."""

import msgspec

from jobctl.config.settings import ChannelSettings
from jobctl.sasl.client import Credentials


class ClientConfig(msgspec.Struct, frozen=True, kw_only=True):
    """
    :ivar helo: What we call ourselves, unless the option BANNER_HOST gives another name.
    :ivar helo_only: Say HELO whatever the banner promises: the peer dropped a connection on EHLO.
    :ivar loop: Our own XLOOP token: a peer that offers the same is ourselves (``loopcheck``).
    :ivar tls: ``none``, ``may``, ``must`` or ``verify``: whether STARTTLS is said, and whether mail goes
        without it.
    :ivar credentials: Who we are at the next hop; ``must_auth``: no mail unless it believes us.
    """

    helo: str
    channel: ChannelSettings
    lmtp: bool = False
    helo_only: bool = False
    loop: str = ""
    tls: str = "none"
    credentials: Credentials | None = None
    must_auth: bool = False

    @property
    def name(self) -> str:
        """The name in EHLO, HELO and LHLO."""
        return self.channel.options.banner_host or self.helo
