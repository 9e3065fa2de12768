"""Which of several mail exchangers comes first."""

from collections import Counter

from jobctl.config.settings import ChannelSettings
from jobctl.net.resolver import NextHop


def least_used_first(hops: list[NextHop], in_use: Counter[str], channel: ChannelSettings) -> list[NextHop]:
    """
    Among exchangers of one preference, those that have fewest of our connections come first.

    By chance alone a slow one would gather the connections: each stays there for longer than elsewhere.

    :param hops: By preference, equal ones in any order; the addresses of a host together.
    :param in_use: Connections to this destination by the name of their next hop.
    """
    if not in_use or channel.mx == "nonrandommx":
        return hops
    return sorted(hops, key=lambda hop: (hop.preference, in_use[hop.name]))


def unfit_last(hops: list[NextHop], unfit: frozenset[str]) -> list[NextHop]:
    """
    Exchangers that lack what a message needs come after all others, whatever their preference.

    :param unfit: Their names.
    """
    return sorted(hops, key=lambda hop: hop.name in unfit) if unfit else hops
