"""The control socket's server: joins requests to the operations; no operation's rule lives here."""

import os
import select
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, maybeDeferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from jobctl.control import wire
from jobctl.control.answers import error_of
from jobctl.control.attaching import HeldTransport
from jobctl.control.incoming import Messages
from jobctl.control.operations import Caller
from jobctl.control.output import Output
from jobctl.control.peer import Rights, identify
from jobctl.control.requests import LISTS, Attach, Cancel, Enqueue, Request
from jobctl.control.stream import Stream
from jobctl.errors import ProtocolViolation

# Connections in all; of them for one user who is not root.
MOST_CONNECTIONS = 512
MOST_OF_ONE_USER = 128
# Refused ones who have not read why.
MOST_REFUSED = 64
# Open requests of a connection; it is not read further while it has so many.
MOST_OPEN = 256
# Seconds between heartbeats to whoever waits for an answer.
HEARTBEAT = 10.0
# Items of a list that are written at once.
PAGE = 200

_log = Logger()


@implementer(IHalfCloseableProtocol)
class ControlProtocol(Protocol):
    """One client.  Whatever it does wrong ends this connection alone."""

    factory: "ControlFactory"
    transport: Any

    def connectionMade(self) -> None:
        self._reader = wire.RequestReader()
        self._output = Output(self.transport, self.factory.seconds)
        self._open: dict[int, Stream] = {}
        self._attached: Any = None
        # Requests at work, and reasons to read no further meanwhile.
        self._working = 0
        self._busy = 0
        self._paused = False
        self._serving = False
        self._ended = False
        self.caller: Caller = self.factory.identify(self.transport)
        self._messages = Messages(self.factory.operations.enqueue, self.caller)
        refusal = self.factory.admit(self)
        if refusal is not None:
            self._ended = True
            self._output.write(wire.error(0, *refusal))
            if not self.factory.linger(self):
                self._output.close()

    def dataReceived(self, data: bytes) -> None:
        if self._attached is not None:
            self._attached.dataReceived(data)
        elif self._ended:
            # One who was refused has said what he wanted, so he reads by now.
            self._output.close()
        else:
            self._reader.feed(data)
            self._serve()

    def readConnectionLost(self) -> None:
        """
        The client will send nothing more; it may still want its answers (``socat`` does).

        A client that is gone altogether looks the same to the reactor, so the
        socket is asked.
        """
        if self._attached is not None or self._gone():
            self.transport.loseConnection()
            return
        self._ended = True
        for request in self._messages.abort():
            self._open.pop(request, None)
        self._close_when_done()

    def writeConnectionLost(self) -> None:
        """Never happens: only we could close our half."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.dismiss(self)
        self._ended = True
        self._output.gone()
        self._messages.abort()
        for stream in list(self._open.values()):
            stream.cancel()
        if self._attached is not None:
            attached, self._attached = self._attached, None
            attached.connectionLost(reason)

    def tick(self) -> None:
        """Called every :data:`HEARTBEAT` seconds."""
        if self._output.stalled():
            _log.info("control connection of {caller} dropped: it does not read", caller=self.caller.name)
            self._output.abort()
            return
        for request in self._open:
            self._output.write(wire.partial(request, "alive", True))

    def dismissed(self) -> None:
        """One who was refused has had his time."""
        self._output.abort()

    def _gone(self) -> bool:
        probe = select.poll()
        probe.register(self.transport.fileno(), 0)
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in probe.poll(0))

    def _refuse(self, text: str, exit_status: int) -> None:
        """Say why and close; nothing more is read."""
        self._ended = True
        self._output.write(wire.error(0, text, exit_status))
        self._output.close()

    def _serve(self) -> None:
        """Begin what has been asked for, as long as not too much is open."""
        if self._serving:
            return
        self._serving = True
        try:
            while not self._ended and self._attached is None and not self._full():
                found = self._reader.next()
                if found is None:
                    break
                self._handle(*found)
        except ProtocolViolation as why:
            self._refuse(f"this is the control socket of a Job Controller: {why}", os.EX_PROTOCOL)
        finally:
            self._serving = False

    def _full(self) -> bool:
        return self._busy > 0 or self._working >= MOST_OPEN

    def _pause(self) -> None:
        if self._full() and not self._paused:
            self._paused = True
            self.transport.pauseProducing()

    def _resume(self) -> None:
        if self._ended:
            self._close_when_done()
        elif self._attached is None and not self._full():
            if self._paused:
                self._paused = False
                self.transport.resumeProducing()
            self._serve()

    def _close_when_done(self) -> None:
        if not self._open and not self._busy:
            self._output.close()

    def _wait(self) -> None:
        """Read no further until :meth:`_go_on`."""
        self._busy += 1
        self._pause()

    def _go_on(self) -> None:
        self._busy -= 1
        self._resume()

    def _handle(self, request: Request | wire.Misfit, content: bytes) -> None:
        if isinstance(request, wire.Misfit):
            self._output.write(wire.error(request.id, request.text, os.EX_USAGE))
        elif isinstance(request, Enqueue) and request.id in self._messages:
            self._further(request, content)
        elif request.id in self._open:
            raise ProtocolViolation(f"request {request.id} is still open")
        elif request.right not in self.caller.rights:
            if isinstance(request, Enqueue):
                self._messages.refuse(request)
            self._output.write(wire.error(request.id, self._not_allowed(request), os.EX_NOPERM))
        elif isinstance(request, Enqueue):
            self._begin_message(request, content)
        elif isinstance(request, Attach):
            self._attach(request)
        elif isinstance(request, Cancel):
            self._cancel(request)
        else:
            self._begin(request)

    def _not_allowed(self, request: Request) -> str:
        return f"user {self.caller.name} may look, but not use {request.op}; ask a member of control_group"

    def _begin(self, request: Request) -> None:
        stream = Stream(request.id, self._output.write)
        self._open[request.id] = stream
        operation = getattr(self.factory.operations, request.op.replace(".", "_"))
        done = maybeDeferred(operation, request, self.caller, stream)
        if request.op in LISTS:
            done.addCallback(lambda value: ensureDeferred(_as_items(value, stream)))
        self._settle(request.id, done)

    def _settle(self, request: int, done: Deferred[Any]) -> None:
        """Answer when ``done`` fires, as a heartbeat does until then."""
        self._working += 1
        done.addCallback(lambda value: wire.result(request, value))
        done.addErrback(lambda why: error_of(request, why))
        done.addCallback(lambda answer: self._settled(request, answer))
        done.addErrback(self._bug)
        self._pause()

    def _settled(self, request: int, answer: bytes) -> None:
        self._working -= 1
        self._end(request, answer)

    def _end(self, request: int, answer: bytes) -> None:
        self._open.pop(request, None)
        self._output.write(answer)
        self._resume()

    def _bug(self, why: Failure) -> None:
        _log.failure("control connection of {caller} dropped", why, caller=self.caller.name)
        self._output.abort()

    def _cancel(self, request: Cancel) -> None:
        stream = self._open.get(request.request)
        if stream is not None:
            stream.cancel()
        self._output.write(wire.result(request.id, {"cancelled": stream is not None}))

    def _begin_message(self, request: Enqueue, content: bytes) -> None:
        self._open[request.id] = Stream(request.id, self._output.write)
        try:
            incoming = self._messages.begin(request)
        except ProtocolViolation:
            raise
        except Exception:
            self._end(request.id, error_of(request.id, Failure()))
        else:
            self._add(request, incoming, content)

    def _further(self, request: Enqueue, content: bytes) -> None:
        incoming = self._messages.take(request)
        if not request.abort:
            self._add(request, incoming, content)
            return
        incoming.abort()
        if request.id in self._open:
            self._end(request.id, wire.error(request.id, "given up by the client", os.EX_DATAERR))

    def _add(self, request: Enqueue, incoming: Any, content: bytes) -> None:
        try:
            busy = incoming.write(content)
            done = None if request.more else incoming.finish()
        except Exception:
            self._end(request.id, error_of(request.id, Failure()))
            return
        if done is not None:
            self._settle(request.id, done)
        elif busy is not None:
            self._wait()
            busy.addErrback(self._bug).addCallback(lambda _: self._go_on())

    def _attach(self, request: Attach) -> None:
        if self._open:
            raise ProtocolViolation("attach while other requests are open")
        held = HeldTransport(self.transport)
        self._wait()
        done = maybeDeferred(self.factory.operations.attach, request, self.caller, held)
        done.addCallbacks(
            self._join, self._not_joined, callbackArgs=(request.id, held), errbackArgs=(request.id,)
        )
        done.addErrback(self._bug)

    def _join(self, attached: Any, request: int, held: HeldTransport) -> None:
        self._busy -= 1
        if self._ended:
            attached.connectionLost(Failure(connectionDone.value))
            self._close_when_done()
            return
        self._output.write(wire.result(request, {"attached": True}))
        self._output.hand_over()
        self._attached = attached
        held.release()
        self.transport.resumeProducing()
        rest = self._reader.rest()
        if rest:
            attached.dataReceived(rest)

    def _not_joined(self, why: Failure, request: int) -> None:
        self._output.write(error_of(request, why))
        self._go_on()


class ControlFactory(Factory):
    """
    Who is connected.

    :param operations: :class:`jobctl.control.operations.IOperations`.
    :param clock: IReactorTime.
    """

    protocol: Any = ControlProtocol
    noisy = False

    def __init__(self, operations: Any, rights: Rights, clock: Any) -> None:
        self.operations = operations
        self.rights = rights
        self.seconds: Callable[[], float] = clock.seconds
        self._connections: set[ControlProtocol] = set()
        self._refused: set[ControlProtocol] = set()
        self._heartbeat = LoopingCall(self._tick)
        self._heartbeat.clock = clock

    def reconfigure(self, rights: Rights) -> None:
        """These rights are everybody's from now on, also of those who are connected."""
        self.rights = rights
        for connection in self._connections:
            connection.caller = self.identify(connection.transport)

    def identify(self, transport: Any) -> Caller:
        """Who connected."""
        return identify(transport.getHandle(), self.rights)

    def admit(self, connection: ControlProtocol) -> tuple[str, int] | None:
        """Count a connection in; or why it is refused, with an exit status."""
        caller = connection.caller
        if not caller.rights:
            _log.info(
                "control connection of {caller} (pid {pid}) refused", caller=caller.name, pid=caller.pid
            )
            return (
                f"user {caller.name} may not use this control socket; "
                "it takes root, the daemon's own user, members of control_group and control_readers",
                os.EX_NOPERM,
            )
        same = sum(1 for other in self._connections if other.caller.uid == caller.uid)
        if len(self._connections) >= MOST_CONNECTIONS or (caller.uid and same >= MOST_OF_ONE_USER):
            return "too many control connections are open; try again later", os.EX_TEMPFAIL
        self._connections.add(connection)
        self._watch()
        return None

    def linger(self, connection: ControlProtocol) -> bool:
        """
        Whether one who was refused may stay until he says something, at most until the next heartbeat.

        Closed at once, he could find the connection broken before he has read why.
        """
        if len(self._refused) >= MOST_REFUSED:
            return False
        self._refused.add(connection)
        self._watch()
        return True

    def dismiss(self, connection: ControlProtocol) -> None:
        """A connection is gone."""
        self._connections.discard(connection)
        self._refused.discard(connection)
        if not self._connections and not self._refused and self._heartbeat.running:
            self._heartbeat.stop()

    def drop_all(self) -> None:
        """The daemon stops: every client is told by the end of its connection."""
        for connection in [*self._connections, *self._refused]:
            connection.transport.abortConnection()

    def _watch(self) -> None:
        if not self._heartbeat.running:
            self._heartbeat.start(HEARTBEAT, now=False)

    def _tick(self) -> None:
        for connection in list(self._connections):
            connection.tick()
        for connection in list(self._refused):
            connection.dismissed()


async def _as_items(value: Any, stream: Stream) -> Any:
    """A list without bound leaves in pieces that wait for the reader; its result is the count."""
    if isinstance(value, list):
        for at in range(0, len(value), PAGE):
            slow = stream.send(*value[at : at + PAGE])
            if slow is not None:
                await slow
        value = len(value)
    return {"count": value}
