"""Messages coming in over a control connection."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred

from jobctl.control.crlf import CrlfLines
from jobctl.control.operations import Caller
from jobctl.control.requests import Enqueue
from jobctl.errors import ProtocolViolation

# Messages of one connection whose content is not complete.
MOST_BEGUN = 256


class Incoming:
    """
    One message on its way in, whose content comes in pieces.

    A receiver that raises is over: the rest of its content is read and thrown
    away, because the client may have sent it before it hears of the error.
    """

    def __init__(self, receiver: Any) -> None:
        self._receiver = receiver
        self._lines = CrlfLines()

    def write(self, data: bytes) -> Deferred[None] | None:
        """:raises Exception: As the receiver; the message is then over."""
        if self._receiver is None or not data:
            return None
        data = self._lines.feed(data)
        if not data:
            return None
        try:
            busy: Deferred[None] | None = self._receiver.write(data)
        except Exception:
            self._receiver = None
            raise
        return busy

    def finish(self) -> Deferred[Any] | None:
        """:return: Fires with the ids; ``None`` when the message was refused before."""
        if self._receiver is None:
            return None
        rest = self._lines.finish()
        if rest:
            self.write(rest)
        receiver, self._receiver = self._receiver, None
        return maybeDeferred(receiver.finish)

    def abort(self) -> None:
        """The client gave up."""
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            receiver.abort()


class Messages:
    """
    The messages that are coming in over one connection, by request number.

    :param enqueue: ``IOperations.enqueue``.
    """

    def __init__(self, enqueue: Callable[[Enqueue, Caller], Any], caller: Caller) -> None:
        self._enqueue = enqueue
        self._caller = caller
        self._open: dict[int, Incoming] = {}

    def __contains__(self, request: int) -> bool:
        return request in self._open

    def begin(self, request: Enqueue) -> Incoming:
        """:raises Exception: The message is refused; further pieces of it are thrown away."""
        self.refuse(request)
        incoming = Incoming(self._enqueue(request, self._caller))
        if request.more:
            self._open[request.id] = incoming
        return incoming

    def refuse(self, request: Enqueue) -> None:
        """
        Throw away further pieces of a message.

        :raises ProtocolViolation: Too many have been begun and not ended.
        """
        if request.more:
            if len(self._open) >= MOST_BEGUN:
                raise ProtocolViolation(f"more than {MOST_BEGUN} messages were begun and not ended")
            self._open[request.id] = Incoming(None)

    def take(self, request: Enqueue) -> Incoming:
        """The message a further piece belongs to; the last piece takes it out."""
        return self._open[request.id] if request.more else self._open.pop(request.id)

    def abort(self) -> list[int]:
        """The client will send no more; returns the requests that are over by this."""
        incoming, self._open = self._open, {}
        for message in incoming.values():
            message.abort()
        return list(incoming)
