"""Addresses without a domain, and which one they get (``remotehost``, ``authhost``, ``defaulthost``)."""

from jobctl.config.settings import ChannelSettings
from jobctl.mail.address import parse_path, split_address


def completed_sender(address: str, channel: ChannelSettings, helo: str, user: str | None) -> str:
    """
    :param address: Of MAIL, ``""``: nobody.
    :param helo: What the client calls itself; ``user``: whom it has proved to be.
    """
    if not address or split_address(address)[1]:
        return address
    candidates = []
    if channel.remotehost == "remotehost":
        candidates.append(helo)
    elif channel.remotehost == "authhost" and user is not None:
        candidates.append(split_address(user)[1])
    for domain in (*candidates, *channel.defaulthost[:1]):
        if (found := _joined(address, domain)) is not None:
            return found
    return f"{address}@{channel.local_host}"


def completed_recipient(address: str, channel: ChannelSettings) -> str:
    """
    :param address: Of RCPT; one that is left without a domain is at this host.
    """
    if not channel.defaulthost or split_address(address)[1] or address.lower() == "postmaster":
        # RFC 5321 section 4.5.1: the postmaster without a domain is ours.
        return address
    if len(channel.defaulthost) == 2:
        return f"{address}@{channel.defaulthost[1]}"
    return f"{address}@{channel.defaulthost[0]}" if channel.submit else address


def _joined(local: str, domain: str) -> str | None:
    """``None`` for a domain that is none."""
    try:
        return parse_path(f"<{local}@{domain}>", null_ok=False) if domain else None
    except ValueError:
        return None
