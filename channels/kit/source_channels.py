"""The channels that clients of a server program come in by: the one it serves, and those they can be switched to."""

from __future__ import annotations

from typing import Any

import msgspec

from channels.kit.startup import EX_CONFIG, CannotStart
from jobctl.config.settings import ChannelSettings
from jobctl.jobprotocol.frames import HelloController


class SourceChannels:
    """
    :param own: The channel that the program serves.
    :raises CannotStart: The controller describes another one in a way that this release does not know.
    :ivar by_name: Each with the TCP options of ``own``: a switch changes channel options, not these.
    """

    def __init__(self, own: ChannelSettings, hello: HelloController) -> None:
        self.own = own
        self.by_name = {own.name: own}
        for raw in hello.channels:
            other = _read(raw)
            # What a session began with stays: its options, and whether it speaks LMTP.
            self.by_name[other.name] = msgspec.structs.replace(other, options=own.options, lmtp=own.lmtp)

    @property
    def chosen_by_clients(self) -> bool:
        """Whether the address or name of a client can choose its channel (``switchchannel``, CHECK_SOURCE)."""
        return self.own.switchchannel == "switchchannel" and bool(self.own.options.check_source)

    @property
    def chosen_by_name(self) -> bool:
        """Whether also its name can."""
        return (
            self.chosen_by_clients and not {"identnonelimited", "identnonenumeric"} & self.own.keywords.keys()
        )

    def secured(self, now: ChannelSettings) -> ChannelSettings:
        """After STARTTLS (``tlsswitchchannel``)."""
        return self.by_name.get(now.tlsswitchchannel or "", now)

    def authenticated(self, now: ChannelSettings) -> ChannelSettings:
        """After AUTH (``saslswitchchannel``)."""
        return self.by_name.get(now.saslswitchchannel or "", now)

    @property
    def offers(self) -> ChannelSettings:
        """The channel with every offer of TLS and AUTH that one of them makes: what has to be at hand."""
        every = self.by_name.values()
        keywords: dict[str, object] = dict(self.own.keywords)
        if self.own.tls_server == "none" and any(one.tls_server != "none" for one in every):
            keywords["maytlsserver"] = True
        if self.own.sasl_server == "none" and any(one.sasl_server != "none" for one in every):
            keywords["maysaslserver"] = True
        return msgspec.structs.replace(self.own, keywords=keywords)


def names_client(channel: ChannelSettings) -> bool:
    """Whether the client's name is looked up, for Received fields of this channel."""
    return bool(channel.options.check_source) and "identnonenumeric" not in channel.keywords


def shows_address(channel: ChannelSettings) -> bool:
    """Whether the client's address stands in Received fields of this channel."""
    return "identnonesymbolic" not in channel.keywords


def literal(address: str) -> str:
    """An address as rewrite rules see it (RFC 5321 section 4.1.3); an IPv4 one that came over IPv6 as IPv4."""
    if address.lower().startswith("::ffff:") and "." in address:
        address = address[7:]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _read(raw: dict[str, Any]) -> ChannelSettings:
    try:
        return msgspec.convert(raw, ChannelSettings)
    except msgspec.ValidationError as why:
        raise CannotStart(
            f"{raw.get('name')}: the Job Controller is of another release: {why}", EX_CONFIG
        ) from None
