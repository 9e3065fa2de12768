"""Connect to the next hop before a program is started for it."""

from collections.abc import Callable
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from jobctl.config.settings import ChannelSettings
from jobctl.jobs.environment import CannotStart
from jobctl.jobs.socket_bridge import SocketBridge
from jobctl.net.ip_access import HostForbidden, IpAccess
from jobctl.net.resolver import DnsTrouble, NextHop, NoSuchHost
from jobctl.net.sources import Sources

log = Logger()


async def connect_next_hop(
    reactor: Any,
    resolver: Any,
    host: str,
    channel: ChannelSettings,
    timeout: float,
    linger: float,
    *,
    order: Callable[[str, list[NextHop]], list[NextHop]],
    turn: int = 0,
    attempt: int = -1,
) -> SocketBridge:
    """
    A connection to ``host``, or to ``lastresort`` when all of its addresses fail for now.

    A gateway that does not exist is a mistake of the configuration, so mail for it waits; a host of
    recipients that does not exist fails them.

    :param resolver: :class:`jobctl.net.resolvers.Resolvers`.
    :param host: A name or ``[address]``.
    :param timeout: Seconds for each address.
    :param linger: For :class:`SocketBridge`.
    :param order: Called with each name and its next hops; gives them in the order to try.
    :param turn: Connections of this channel so far: its ``sourceaddresses`` take turns.
    :param attempt: Of the message that goes first, -1: not known.
    :raises CannotStart: Nobody answered (temporary), or its recipients' host does not exist, or is forbidden (not so).
    """
    failures: list[str] = []
    sources = Sources(channel, turn)
    for name in (host, channel.lastresort):
        if name is None:
            continue
        try:
            hops = order(name, await resolver.next_hops(name, channel))
        except NoSuchHost as why:
            if name == host and channel.gateway is None:
                raise CannotStart(f"{host}: {why.text}", temporary=False, status=why.status) from None
            failures.append(f"{name}: {why.text}")
            continue
        except DnsTrouble as why:
            failures.append(f"{name}: {why.text}")
            continue
        tried = len(failures)
        try:
            for hop in IpAccess(channel, _say).in_turn(hops, attempt):
                try:
                    return await _connect(reactor, hop, sources.towards(hop.address), timeout, linger)
                except (ConnectError, OSError) as why:
                    failures.append(f"{hop.name} [{hop.address}]:{hop.port}: {why}")
        except HostForbidden as why:
            raise CannotStart(why.text, temporary=False, status=why.status) from None
        if len(failures) == tried:
            failures.append(f"{name}: IP_ACCESS allows none of its addresses")
    raise CannotStart("cannot connect to " + "; ".join(failures), temporary=True, status="4.4.1")


def _say(line: str) -> None:
    log.info("{line}", line=line)


def _factory(reactor: Any, linger: float) -> Any:
    factory = Factory.forProtocol(lambda: SocketBridge(reactor, linger))
    factory.noisy = False
    return factory


async def _connect(
    reactor: Any, hop: NextHop, source: str | None, timeout: float, linger: float
) -> SocketBridge:
    endpoint = (TCP6ClientEndpoint if ":" in hop.address else TCP4ClientEndpoint)(
        reactor,
        hop.address,
        hop.port,
        timeout=timeout,
        bindAddress=None if source is None else (source, 0),
    )
    connected: Any = await endpoint.connect(_factory(reactor, linger))
    bridge: SocketBridge = connected
    return bridge
