"""The answers to one open request."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from jobctl.control import wire
from jobctl.control.operations import IStream
from jobctl.control.requests import PIECE

Write = Callable[[bytes], Deferred[None] | None]


@implementer(IStream)
class Stream:
    """
    Answers under a request's number, until it is ended or cancelled.

    :param write: Where the octets go.
    """

    def __init__(self, request: int, write: Write) -> None:
        self.request = request
        self.cancelled = False
        self._write = write
        self._waiting: list[Deferred[None]] = []

    def send(self, *items: Any) -> Deferred[None] | None:
        return self._answer(b"".join([wire.partial(self.request, "item", item) for item in items]))

    def line(self, text: str) -> Deferred[None] | None:
        return self._answer(wire.partial(self.request, "line", text))

    def progress(self, value: Any) -> Deferred[None] | None:
        return self._answer(wire.partial(self.request, "progress", value))

    def content(self, data: bytes) -> Deferred[None] | None:
        pieces = [wire.piece(self.request, data[at : at + PIECE]) for at in range(0, len(data), PIECE)]
        return self._answer(b"".join(pieces))

    def when_cancelled(self) -> Deferred[None]:
        done: Deferred[None] = Deferred()
        if self.cancelled:
            done.callback(None)
        else:
            self._waiting.append(done)
        return done

    def cancel(self) -> None:
        """Nobody reads the answers any more."""
        if self.cancelled:
            return
        self.cancelled = True
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.callback(None)

    def _answer(self, data: bytes) -> Deferred[None] | None:
        return None if self.cancelled or not data else self._write(data)
