"""What goes to one client, bounded: a client that does not read loses its connection, alone."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

# Unsent octets beyond the transport's own buffer; who reads nothing is dropped at this.
LIMIT = 8 * 1024 * 1024
# Seconds without any progress while octets wait.
PATIENCE = 60.0


@implementer(IPushProducer)
class Output:
    """
    Writes to a transport and notices when it is not taken.

    :param seconds: The monotonic enough clock of the reactor.
    """

    def __init__(self, transport: Any, seconds: Any) -> None:
        self._transport = transport
        self._seconds = seconds
        self._choked_since: float | None = None
        self._waiting: list[bytes] = []
        self._octets = 0
        self._drained: list[Deferred[None]] = []
        self._closed = False
        transport.registerProducer(self, True)

    def write(self, data: bytes) -> Deferred[None] | None:
        """
        Send octets.

        :return: ``None`` when they are on their way, else a Deferred that fires when the client
            has caught up (or is gone).
        """
        if self._closed:
            return None
        if self._choked_since is None:
            self._transport.write(data)
            # write() may have called pauseProducing at once.
            if self._choked_since is None:
                return None
        else:
            self._waiting.append(data)
            self._octets += len(data)
            if self._octets > LIMIT:
                self.abort()
                return None
        drained: Deferred[None] = Deferred()
        self._drained.append(drained)
        return drained

    def stalled(self) -> bool:
        """Whether the client has taken nothing for :data:`PATIENCE` seconds though there was something."""
        return self._choked_since is not None and self._seconds() - self._choked_since >= PATIENCE

    def pauseProducing(self) -> None:
        self._choked_since = self._seconds()

    def resumeProducing(self) -> None:
        self._choked_since = None
        if self._waiting:
            waiting, self._waiting, self._octets = self._waiting, [], 0
            self._transport.write(b"".join(waiting))
        if self._choked_since is None:
            self._release()

    def stopProducing(self) -> None:
        self.gone()

    def close(self) -> None:
        """Send what waits, then close."""
        if self._closed:
            return
        self._closed = True
        self._transport.unregisterProducer()
        if self._waiting:
            self._transport.write(b"".join(self._waiting))
            self._waiting.clear()
        # From here on the client has PATIENCE seconds to take the rest.
        self._choked_since = self._seconds()
        self._transport.loseConnection()
        self._release()

    def hand_over(self) -> None:
        """The transport is another's from now on."""
        self._closed = True
        self._choked_since = None
        self._transport.unregisterProducer()

    def abort(self) -> None:
        """Close without sending what waits."""
        self._transport.abortConnection()

    def gone(self) -> None:
        """The connection is no more: nobody waits for it any longer."""
        self._closed = True
        self._choked_since = None
        self._waiting.clear()
        self._octets = 0
        self._release()

    def _release(self) -> None:
        drained, self._drained = self._drained, []
        for waiting in drained:
            waiting.callback(None)
