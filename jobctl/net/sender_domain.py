"""Whether mail can be sent back to a sender: ``mailfromdnsverify``."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from jobctl.mail.address import split_address
from jobctl.mail.reply import Reply
from jobctl.net.dns_errors import DnsTrouble, NoSuchHost
from jobctl.net.resolver import Resolver

YES = Reply(250)
LATER = Reply(451, "4.4.3 The domain of the sender cannot be looked up now; try again later.")


async def sender_reply(resolver: Resolver, sender: str, blocked: Iterable[str]) -> Reply:
    """
    What MAIL FROM is answered: a domain needs a mail exchanger or an address.

    The null sender, an address literal and a local part without domain need nothing.

    :param blocked: Networks whose addresses count as absent (``blocked_mail_from_ips``): what some answer for
        names that nobody has registered.
    :return: 250 without a text; 550 only for what the name service says is so; 451 when it gives no answer.
        5.1.8 is of RFC 3463, 5.7.27 of RFC 7505.
    """
    domain = split_address(sender)[1]
    if not domain or domain.startswith("["):
        return YES
    try:
        addresses = await resolver.mail_addresses(domain)
    except NoSuchHost as why:
        status = "5.7.27" if why.status == "5.1.10" else "5.1.8"
        return Reply(550, f"{status} Sender refused: {why.text}")
    except DnsTrouble:
        return LATER
    networks = [ip_network(network) for network in blocked]
    if addresses is not None and all(_within(address, networks) for address in addresses):
        return Reply(550, f"5.1.8 Sender refused: {domain} has neither mail exchanger nor address")
    return YES


def _within(address: str, networks: list[IPv4Network | IPv6Network]) -> bool:
    known = ip_address(address)
    return any(known in network for network in networks)
