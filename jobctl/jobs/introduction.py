"""A front end says whose connection it passes on, before there is a program for it."""

from collections.abc import Callable
from typing import Any

from jobctl.jobs.socket_bridge import SocketBridge
from jobctl.net.proxy_header import PATIENCE, HeaderReader


class Introduction:
    """
    Reads the PROXY header that a connection begins with; of what follows, no more than came with it.

    :param introduced: Called once the connection knows whose it is; what follows the header waits for a program.
    :param refused: Called with the reason when there is no such header in time; the connection is closed.
    """

    def __init__(
        self,
        connection: SocketBridge,
        clock: Any,
        introduced: Callable[[SocketBridge], None],
        refused: Callable[[SocketBridge, str], None],
    ) -> None:
        self._connection = connection
        self._introduced = introduced
        self._refused = refused
        self._header = HeaderReader(connection.transport_info)
        self._timer = clock.callLater(PATIENCE, self._refuse, "no PROXY header")
        connection.when_lost(self._over)
        connection.hear_first(self._heard)

    def _heard(self, data: bytes) -> None:
        try:
            found = self._header.take(data)
        except ValueError as why:
            self._refuse(str(why))
            return
        if found is None:
            return
        self._over()
        self._connection.told, rest = found
        self._connection.hold(rest)
        self._introduced(self._connection)

    def _refuse(self, why: str) -> None:
        self._over()
        self._refused(self._connection, why)
        self._connection.abort()

    def _over(self) -> None:
        if self._timer.active():
            self._timer.cancel()
