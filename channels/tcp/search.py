"""Finding somebody to talk to: the next hops of a destination, tried in turn."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import ensureDeferred

from channels.kit.log_stream import say
from channels.tcp.exchangers import least_used_first, unfit_last
from channels.tcp.race import Race
from jobctl.jobprotocol.frames import Event
from jobctl.net.ip_access import HostForbidden
from jobctl.net.resolver import DnsTrouble, NextHop, NoSuchHost

if TYPE_CHECKING:
    from channels.tcp.connection import Connection
    from channels.tcp.destination import Destination


class Failed(Protocol):
    """No next hop will do; ``permanent``: nor will there ever be one."""

    def __call__(self, reply: str, status: str, permanent: bool = False) -> None: ...


class Search:
    """
    Nothing is called back after :meth:`give_up`.

    :param asking: For whom it is: its own use of a next hop does not count.
    :param connected: Called with each socket, then told by :meth:`next` or :meth:`again` if that would not do.
    :ivar hop: Whom it has connected to, or tries to.
    :ivar names: Of all next hops; ``unfit``: of those that come last, as the message needs others.
    :ivar site: The hosts that share the connections (``group_by_mx``), ``""``: nothing to tell.
    """

    def __init__(
        self,
        destination: Destination,
        asking: Connection,
        connected: Callable[[socket.socket, bool, bool], None],
        failed: Failed,
    ) -> None:
        self._destination = destination
        self._pool = destination.pool
        self._asking = asking
        self._connected = connected
        self._failed = failed
        self.hop: NextHop | None = None
        self.site = ""
        self.names: frozenset[str] = frozenset()
        self.unfit: frozenset[str] = frozenset()
        self._hops: deque[NextHop] = deque()
        # Of the host under way: addresses that IP_ACCESS allows, and what follows when none will do.
        self._allowed: list[NextHop] = []
        self._forbidden: HostForbidden | None = None
        self._race: Race | None = None
        self._only_unconnected = True
        self._may_last_resort = self._pool.channel.lastresort is not None
        self._over = False

    @property
    def running(self) -> bool:
        """A connection is being made."""
        return self._race is not None

    def begin(self) -> None:
        """Ask for the next hops, then connect to the first that answers."""
        ensureDeferred(self._seek(self._destination.name))

    async def _seek(self, name: str) -> None:
        channel = self._pool.channel
        try:
            hops = await self._pool.resolver.next_hops(name, channel)
        except NoSuchHost as why:
            if name == self._destination.recipients_host:
                self._fail(why.text, why.status, permanent=True)
            else:  # the operator named this host: no sender has to pay for a typing error there
                self._fail(why.text, "4.4.4")
        except DnsTrouble as why:
            self._fail(why.text, why.status)
        except Exception as why:  # a bug of ours is nobody's bounce, and must not leave the slot taken
            self._fail(f"internal error: {why!r}", "4.3.0")
            raise
        else:
            self.names = frozenset(hop.name for hop in hops)
            self.unfit = self._destination.unfit
            hops = least_used_first(hops, self._destination.hops_in_use(self._asking), channel)
            self._hops = deque(unfit_last(hops, self.unfit))
            if channel.group_by_mx:
                self.site = ",".join(sorted({hop.name.lower() for hop in hops}))
            if not self._over:
                self.next("no next hop", "4.4.1")

    def _fail(self, reply: str, status: str, permanent: bool = False) -> None:
        if not self._over:
            self._failed(reply, status, permanent)

    def next(self, reply: str, status: str) -> None:
        """Try the next address; ``reply`` and ``status`` say why the last one would not do."""
        while not self._allowed:
            if self._forbidden is not None:
                self._fail(self._forbidden.text, self._forbidden.status, permanent=True)
                return
            if not self._hops:
                self._last_resort(reply, status)
                return
            # All addresses of the host at once: one that is dead costs no time.
            hops = [self._hops.popleft()]
            while self._hops and self._hops[0].name == hops[0].name:
                hops.append(self._hops.popleft())
            self._allowed, self._forbidden = self._pool.ip_access.of(hops, self._destination.attempt)
            if not self._allowed:
                reply, status = f"{hops[0].name}: IP_ACCESS allows none of its addresses", "4.4.4"
        hops, self._allowed = self._allowed, []
        self._connect(hops)

    def _last_resort(self, reply: str, status: str) -> None:
        if self._may_last_resort and self._only_unconnected:
            self._may_last_resort = False
            ensureDeferred(self._seek(self._pool.channel.lastresort or ""))
        else:
            self._fail(reply, status)

    def again(self, helo_only: bool = False, in_clear: bool = False) -> None:
        """Connect to the same address once more, to talk to it in another way."""
        assert self.hop is not None  # else there was nobody who failed
        self._connect([self.hop], helo_only, in_clear)

    def _connect(self, hops: list[NextHop], helo_only: bool = False, in_clear: bool = False) -> None:
        self.hop = hops[0]

        def connected(skt: socket.socket, answered: NextHop) -> None:
            race, self._race = self._race, None
            if race is not None:
                # Behind them those that are left from before, when it was connected to ``again``.
                self._allowed = [*race.left, *self._allowed]
            self.hop = answered
            self._only_unconnected = False
            self._connected(skt, helo_only, in_clear)

        def failed(why: str) -> None:
            self._race = None
            if not self._over:
                self.next(why, "4.4.1")

        if self._pool.traced:
            say(
                f"{hops[0].name} TRACE connecting to {', '.join(f'[{hop.address}]:{hop.port}' for hop in hops)}"
            )

        def lost(tried: NextHop, why: str) -> None:
            if self._pool.traced:
                say(f"{tried.name} TRACE connection to [{tried.address}]:{tried.port}: {why}")
            where = f"TCP|||{tried.address}|{tried.port}"
            self._pool.link.send(Event(event="failed", transport=where, text=f"{tried.name}: {why}"))

        self._race = Race(self._pool.reactor, hops, self._pool.sources.towards, connected, failed, lost)

    def expire(self) -> None:
        """Called each sweep while :attr:`running`."""
        if self._race is not None:
            self._race.expire()

    def give_up(self) -> None:
        """Nobody wants it any more."""
        self._over = True
        race, self._race = self._race, None
        if race is not None:
            race.give_up()
