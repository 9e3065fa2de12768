"""Between a TCP connection and a program's stdin and stdout: copying, both ways, bounded."""

from collections.abc import Callable
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from jobctl.jobs.pipes import PipeReader, PipeWriter
from jobctl.mail.transportinfo import TransportInfo


@implementer(IHalfCloseableProtocol)
class SocketBridge(Protocol):
    """
    The connection's side; :meth:`join` gives it the program's.

    Nothing is read from the connection before, but for what :meth:`hear_first` asks for.
    Each side is read only as fast as the other takes it: at most one read and one buffer
    of each transport are held.
    End-of-file passes through either way on its own; the program's end ends the
    connection, after what it wrote has left.

    :param linger: Seconds that may take.
    :param made: Called with this object once it is connected.
    :ivar traffic: Called for what passes.
    :ivar told: The connection that a front end says it passes on, ``None``: this one.
    """

    # ITCPTransport, and a producer and consumer; untyped in Twisted.
    transport: Any

    def __init__(
        self, clock: Any, linger: float, made: Callable[["SocketBridge"], None] | None = None
    ) -> None:
        self._clock = clock
        self._linger = linger
        self._timer: Any = None
        self._stdin: PipeWriter | None = None
        self._stdout: PipeReader | None = None
        self._gone = False
        self._eof = False
        self._done = False
        self._made = made
        self._when_lost: list[Callable[[], None]] = []
        # Who hears what comes before there is a program, and what of it is the program's.
        self._first: Callable[[bytes], None] | None = None
        self._early = b""
        self.told: TransportInfo | None = None
        self.traffic: Callable[[], None] = lambda: None

    def connectionMade(self) -> None:
        # Without it each turn of a dialogue may wait for a delayed acknowledgement, 40 ms.
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        self.transport.pauseProducing()
        if self._made is not None:
            self._made(self)

    def when_lost(self, call: Callable[[], None]) -> None:
        """Call ``call`` when the connection is gone both ways."""
        self._when_lost.append(call)

    @property
    def transport_info(self) -> TransportInfo:
        """Whose connection it is; empty by a UNIX socket, which has no addresses."""
        if self.told is not None:
            return self.told
        here, there = self.transport.getHost(), self.transport.getPeer()
        if isinstance(there, UNIXAddress):
            return TransportInfo()
        return TransportInfo.make(here.host, here.port, there.host, there.port)

    def hear_first(self, heard: Callable[[bytes], None]) -> None:
        """Give what comes to ``heard``, until :meth:`hold`; the end of the connection then ends all of it."""
        self._first = heard
        self.transport.resumeProducing()

    def hold(self, early: bytes) -> None:
        """
        Read no more before :meth:`join`.

        :param early: What has come already that is for the program.
        """
        self._first = None
        self._early = early
        self.transport.pauseProducing()

    def join(self, reactor: Any, stdin: int, stdout: int) -> None:
        """
        Begin to copy.

        :param stdin: The end to write of the program's stdin, ours from now on.
        :param stdout: The end to read of its stdout, likewise.
        """
        self._stdin = PipeWriter(reactor, stdin, self._program_deaf)
        self._stdout = PipeReader(reactor, stdout, self._from_program, self._program_closed)
        if self._gone:
            self._close_pipes()
            return
        self._stdin.registerProducer(self.transport, True)
        self.transport.registerProducer(self._stdout, True)
        if self._early:
            self._stdin.write(self._early)
            self._early = b""
        self.transport.resumeProducing()

    def program_ended(self) -> None:
        """The program has gone: let what it wrote leave, then close."""
        self._done = True
        if self._stdin is not None:
            self._stdin.close()
        if self._gone:
            return
        self._timer = self._clock.callLater(self._linger, self.abort)
        if self._stdout is None or not self._stdout.connected:
            self.transport.loseConnection()

    def refuse(self, reply: str) -> None:
        """There will be no program: say so, ``""``: nothing, and close."""
        if reply:
            self.transport.write(f"{reply}\r\n".encode("ascii"))
        self.program_ended()

    def abort(self) -> None:
        """Close at once."""
        if not self._gone:
            self.transport.abortConnection()

    # From the connection.

    def dataReceived(self, data: bytes) -> None:
        self.traffic()
        if self._first is not None:
            self._first(data)
        elif self._stdin is not None:
            self._stdin.write(data)

    def readConnectionLost(self) -> None:
        self._eof = True
        if self._first is not None:
            self.abort()
        if self._stdin is not None:
            self._stdin.unregisterProducer()
            self._stdin.loseConnection()

    def writeConnectionLost(self) -> None:
        """Our own half-close went out."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._gone = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._close_pipes()
        for call in self._when_lost:
            call()

    def _close_pipes(self) -> None:
        if self._stdin is not None:
            # What came before the end of the connection still goes to the program.
            self._stdin.unregisterProducer()
            self._stdin.loseConnection()
        if self._stdout is not None:
            self._stdout.close()

    # From the program.

    def _from_program(self, data: bytes) -> None:
        self.traffic()
        self.transport.write(data)

    def _program_deaf(self) -> None:
        """It closed its stdin: what comes is dropped, but the connection's end is still seen."""
        if not (self._gone or self._eof):
            self.transport.resumeProducing()

    def _program_closed(self) -> None:
        if not self.transport.connected:
            return
        self.transport.unregisterProducer()
        if self._done:
            self.transport.loseConnection()
        else:
            self.transport.loseWriteConnection()
