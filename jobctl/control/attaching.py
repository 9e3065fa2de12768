"""A connection that is about to become a job's pipe."""

from typing import Any


class HeldTransport:
    """
    A transport whose output is kept back until :meth:`release`.

    A job may greet its program as soon as it is told of the connection, but
    the answer to ``attach`` has to come first on the wire.
    """

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._held: list[bytes] = []
        self._producer: tuple[Any, bool] | None = None
        self._open = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        self._held.append(data)

    def writeSequence(self, data: list[bytes]) -> None:
        self._held.extend(data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """The server's own producer has the transport until :meth:`release`."""
        if self._open:
            self._transport.registerProducer(producer, streaming)
        else:
            self._producer = (producer, streaming)

    def release(self) -> None:
        """Let everything through from here on, at no cost per call."""
        self._open = True
        self.write = self._transport.write  # type: ignore[method-assign]
        self.writeSequence = self._transport.writeSequence  # type: ignore[method-assign]
        self._transport.writeSequence(self._held)
        self._held = []
        if self._producer is not None:
            self._transport.registerProducer(*self._producer)
