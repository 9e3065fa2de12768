"""The listening sockets of all services, and how they change while they are in use."""

import contextlib
import errno
import os
import socket
from collections.abc import Iterable

from jobctl.config.settings import ServiceSettings
from jobctl.net.listeners import open_listener, parse_endpoint

# Where a socket listens; two endpoint strings that are the same socket have the same place.
Place = tuple[str, ...]
Sockets = dict[Place, socket.socket]


class CannotListen(OSError):
    """A socket of a service cannot be had; the text names the endpoint."""

    def __init__(self, why: OSError, service: str) -> None:
        super().__init__(why.errno, why.strerror or str(why))
        self.service = service


class ListeningSockets:
    """
    Sockets by where they listen; one that stays is never closed in between.

    :param sockets: Those open now.
    """

    def __init__(self) -> None:
        self.sockets: Sockets = {}

    def of(self, service: ServiceSettings) -> list[socket.socket]:
        """The sockets of a service, in the order of ``listen``."""
        return [self.sockets[place(service.name, endpoint)] for endpoint in service.listen]

    def open(self, services: Iterable[ServiceSettings]) -> Sockets:
        """
        Open what is not open yet, all of it or nothing; :meth:`keep` makes it count.

        What is not wanted any more stays open until then, also where the new one has its port.

        :raises CannotListen: One cannot be had; nothing has changed.
        """
        services = list(services)
        wanted = {place(service.name, endpoint) for service in services for endpoint in service.listen}
        leaving = {where: one for where, one in self.sockets.items() if where not in wanted}
        opened: Sockets = {}
        try:
            for service in services:
                for endpoint in service.listen:
                    where = place(service.name, endpoint)
                    if where not in self.sockets and where not in opened:
                        opened[where] = _open(endpoint, service.backlog, where, leaving)
        except OSError as why:
            close_all(opened)
            raise CannotListen(why, service.name) from None
        return opened

    def keep(self, services: Iterable[ServiceSettings], opened: Sockets) -> None:
        """Have these from now on; others are closed, for us: a program that shares one goes on with it."""
        wanted = {
            place(service.name, endpoint): (endpoint, service.backlog)
            for service in services
            for endpoint in service.listen
        }
        gone = {where: one for where, one in self.sockets.items() if where not in wanted}
        for where, (endpoint, backlog) in wanted.items():
            if where in self.sockets:
                _renew(self.sockets[where], endpoint, backlog)
        self.sockets = {where: one for where, one in self.sockets.items() if where in wanted} | opened
        close_all(gone)

    def close(self) -> None:
        """Let go of all of them."""
        for one in self.sockets.values():
            one.close()
        self.sockets = {}


def _open(endpoint: str, backlog: int, where: Place, leaving: Sockets) -> socket.socket:
    """:param leaving: Those with whom a port may be shared: as on a move from one address to all of them."""
    try:
        return open_listener(endpoint, backlog)
    except OSError as why:
        same = [one for other, one in leaving.items() if _port(other) == _port(where)]
        if why.errno != errno.EADDRINUSE or _port(where) is None or not same:
            raise
    # To close the old one first would not do: the programs that accept on it have it open as well.
    try:
        for one in same:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened = open_listener(endpoint, backlog, shared=True)
        # A second daemon, started by mistake, is not to have a part of the port.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
    finally:
        for one in same:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
    return opened


def _port(where: Place) -> str | None:
    return where[2] if where[0] in ("tcp", "tcp6") else None


def place(service: str, endpoint: str) -> Place:
    """Where an endpoint of a service listens."""
    kind, options = parse_endpoint(endpoint)
    if kind in ("tcp", "tcp6"):
        interface, port = options.get("interface", ""), options.get("port", "")
        family = "tcp6" if kind == "tcp6" or ":" in interface else "tcp"
        # Two services that ask for any port mean two.
        return (family, interface, port, service) if port == "0" else (family, interface, port)
    if kind == "unix":
        return (kind, options.get("address", ""))
    return (kind, endpoint)


def close_all(sockets: Sockets) -> None:
    """Close sockets; a name in the file system goes with its socket."""
    for where, one in sockets.items():
        one.close()
        if where[0] == "unix":
            with contextlib.suppress(OSError):
                os.unlink(where[1])


def _renew(one: socket.socket, endpoint: str, backlog: int) -> None:
    """What can change about a socket that listens: its backlog, and its name's mode."""
    kind, options = parse_endpoint(endpoint)
    with contextlib.suppress(OSError):
        one.listen(int(options.get("backlog", backlog)))
        if kind == "unix" and "mode" in options:
            os.chmod(options["address"], int(options["mode"], 8))
