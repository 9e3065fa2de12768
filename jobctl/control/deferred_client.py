"""
The control socket for Twisted programs.

::

    client = await connect(reactor, "/var/spool/jobctl/control.sock")
    ids = await client.enqueue("ann@example.org", ["bob@example.net"], b"Subject: hi\\n\\nHello\\n")

Any number of requests may be open at a time on one connection; messages handed
over together share a commit.  Errors are those of :mod:`jobctl.control.client`.
"""

import errno
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectError
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.python.failure import Failure

from jobctl.control.client import CONNECT, SILENCE, content_pieces, not_ours, why_not
from jobctl.control.refusals import ControlError, NoAnswer
from jobctl.control.replies import Answer, AnswerReader


class _Open:
    """A request that has no last answer yet."""

    def __init__(self, done: "Deferred[Any]", on_answer: Callable[[Answer, bytes], object] | None) -> None:
        self.done = done
        self.on_answer = on_answer
        self.items: list[Any] = []


class DeferredClient(Protocol):
    """A connection to the control socket; made by :func:`connect`."""

    transport: Any

    def __init__(self, path: str, clock: Any, silence: float) -> None:
        self.path = path
        self._clock = clock
        self._silence = silence
        self._number = 0
        self._open: dict[int, _Open] = {}
        self._reader = AnswerReader()
        self._heard = 0.0
        self._watch: Any = None
        self._why: Exception | None = None
        self._closed = False

    def call(self, op: str, **args: Any) -> "Deferred[Any]":
        """Ask for one operation; fires with its result, list items gathered into a list."""
        return self._ask(op, args, None)

    def stream(self, op: str, on_answer: Callable[[Answer, bytes], object], **args: Any) -> "Deferred[Any]":
        """
        Ask for one operation; fires with its result.  Cancelling it ends the operation's answers.

        :param on_answer: Called with every answer before the last, and the message octets with it.
        """
        return self._ask(op, args, on_answer)

    def enqueue(
        self, sender: str, recipients: Iterable[str | dict[str, str]], content: bytes, **args: Any
    ) -> "Deferred[list[str]]":
        """Hand over a message, as :meth:`jobctl.control.client.Client.enqueue`."""
        pieces = list(content_pieces(content)) or [b""]
        keys = {"sender": sender, "recipients": list(recipients), "octets": len(content), **args}
        done = self._ask("enqueue", keys, None, pieces[0], more=len(pieces) > 1)
        number = self._number
        for at, piece in enumerate(pieces[1:], 2):
            self._send({"op": "enqueue", "id": number, "more": at < len(pieces)}, piece)
        return done

    def close(self) -> None:
        """End the connection; what is still open fails."""
        self._closed = True
        self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        self._heard = self._clock.seconds()
        self._reader.feed(data)
        try:
            while (found := self._reader.next()) is not None:
                self._take(*found)
        except ValueError:
            self._end(not_ours(self.path))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end(
            NoAnswer(f"the Job Controller at {self.path} closed the connection; look whether it still runs")
        )

    def _ask(
        self,
        op: str,
        args: dict[str, Any],
        on_answer: Callable[[Answer, bytes], object] | None,
        content: bytes = b"",
        more: bool = False,
    ) -> "Deferred[Any]":
        if self._why is not None or self._closed:
            return fail(self._why or NoAnswer(f"the connection to {self.path} was closed by this program"))
        self._number += 1
        number = self._number
        keys = {key: value for key, value in args.items() if value is not None}
        self._send({"op": op, "id": number, **keys, **({"more": True} if more else {})}, content)
        done: Deferred[Any] = Deferred(lambda _: self._cancel(number))
        self._open[number] = _Open(done, on_answer)
        if self._watch is None:
            self._heard = self._clock.seconds()
            self._watch = self._clock.callLater(self._silence, self._listen)
        return done

    def _send(self, request: dict[str, Any], content: bytes) -> None:
        if content:
            request["size"] = len(content)
        self.transport.write(msgspec.json.encode(request) + b"\n" + content)

    def _cancel(self, number: int) -> None:
        if self._open.pop(number, None) is not None and self._why is None:
            self._number += 1
            self._send({"op": "cancel", "id": self._number, "request": number}, b"")

    def _take(self, answer: Answer, content: bytes) -> None:
        if answer.id == 0 and answer.error is not None:
            self._end(ControlError(answer.error.text, answer.error.exit))
            return
        waiting = self._open.get(answer.id)
        if waiting is None or answer.alive:
            return
        if answer.error is not None:
            del self._open[answer.id]
            waiting.done.errback(ControlError(answer.error.text, answer.error.exit))
        elif answer.result is not msgspec.UNSET:
            del self._open[answer.id]
            counted = isinstance(answer.result, dict) and answer.result.keys() == {"count"}
            gathered = waiting.on_answer is None and (waiting.items or counted)
            waiting.done.callback(waiting.items if gathered else answer.result)
        elif waiting.on_answer is not None:
            waiting.on_answer(answer, content)
        elif answer.item is not msgspec.UNSET:
            waiting.items.append(answer.item)

    def _listen(self) -> None:
        """One timer for all requests: set again for as long as something is heard."""
        self._watch = None
        if not self._open:
            return
        left = self._heard + self._silence - self._clock.seconds()
        if left > 0:
            self._watch = self._clock.callLater(left, self._listen)
        else:
            self._end(
                NoAnswer(f"the Job Controller at {self.path} has not answered for {self._silence:g} seconds")
            )

    def _end(self, why: Exception) -> None:
        """Nothing more will come: everything open fails with the first reason."""
        if self._why is None:
            self._why = why
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self.transport.abortConnection()
        waiting, self._open = self._open, {}
        for request in waiting.values():
            request.done.errback(self._why)


class _Connecting(ClientFactory):
    noisy = False

    def __init__(self, client: DeferredClient) -> None:
        self.client = client
        self.done: Deferred[DeferredClient] = Deferred()

    def buildProtocol(self, addr: Any) -> DeferredClient:
        # Fires once the protocol has its transport, which it gets right after this returns.
        self.client._clock.callLater(0, self.done.callback, self.client)
        return self.client

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        code = reason.value.osError if isinstance(reason.value, ConnectError) else None
        self.done.errback(why_not(self.client.path, code or errno.ETIMEDOUT))


def connect(
    reactor: Any, path: str, timeout: float = CONNECT, silence: float = SILENCE
) -> "Deferred[DeferredClient]":
    """
    Connect to the control socket at ``path``.

    :return: Fails as :class:`jobctl.control.client.Client` does.
    """
    factory = _Connecting(DeferredClient(path, reactor, silence))
    reactor.connectUNIX(path, factory, timeout=timeout)
    return factory.done
