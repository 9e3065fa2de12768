"""What a server dialogue must know of its surroundings."""

import msgspec

from jobctl.config.settings import ChannelSettings

_BLOCK = 1024


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """
    Shared by all sessions of a service.

    :ivar host: The name we greet with, unless the option BANNER_HOST gives another.
    :ivar max_size: Largest content in octets, 0 for none; the channel's ``sourceblocklimit`` also counts.
    :ivar asks: Which of ``hello``, ``sender``, ``recipient`` are asked; the others are answered
        yes by the dialogue.
    :ivar loop: Our own XLOOP token, ``""``: none is offered.
    :ivar tls: ``none``, ``may`` (STARTTLS is offered) or ``must`` (no mail without TLS).
    :ivar auth: SASL mechanisms offered, best first; ``must_auth``: no mail without one of them.
    :ivar xclient: The client may say for whom it speaks.
    :ivar use_permanent_error: Bits: 16, ``recipientlimit`` is told as permanent.
    :ivar plaintext_auth: Also those that show the password, where there is no TLS.
    """

    host: str
    channel: ChannelSettings
    lmtp: bool = False
    max_size: int = 0
    asks: frozenset[str] = frozenset({"recipient"})
    loop: str = ""
    tls: str = "none"
    auth: tuple[str, ...] = ()
    must_auth: bool = False
    plaintext_auth: bool = False
    xclient: bool = False
    use_permanent_error: int = 0

    @property
    def name(self) -> str:
        """The name in banner and greeting."""
        return self.channel.options.banner_host or self.host

    @property
    def smtputf8(self) -> bool:
        """Whether addresses and headers in UTF-8 are taken (``utf8negotiate``, ``utf8header``)."""
        return bool({"utf8negotiate", "utf8header", "utf8strict"} & self.channel.keywords.keys())

    @property
    def futurerelease(self) -> int:
        """Most seconds that a client may ask us to keep a message (``futurerelease``), 0: none."""
        return int(self.channel.futurerelease)

    @property
    def deliverby(self) -> int | None:
        """Fewest seconds for BY= with R (``deliverby``), ``None``: DELIVERBY is not offered."""
        shortest = self.channel.deliverby
        return None if shortest is None else int(shortest)

    @property
    def size_limit(self) -> int:
        """Octets of content we take at most, 0 for no limit."""
        limits = [self.max_size, (self.channel.sourceblocklimit or 0) * _BLOCK]
        return min((limit for limit in limits if limit > 0), default=0)
