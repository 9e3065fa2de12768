"""
TCP streams on the reactor's descriptors, written at once.

Twisted's own transport hands every write to the next turn: four system calls more
for each reply of a dialogue that is one line long.  Here a write goes out at once;
only what the kernel does not take waits for the reactor.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.error import ConnectionDone, ConnectionLost

from jobctl.errors import TlsFailed

if TYPE_CHECKING:
    from channels.kit.trace import Trace
    from jobctl.net.tls_session import TlsSession

LEFT = "connection closed by the peer"
_READ_SIZE = 64 * 1024
# Octets unsent above which a producer of content should wait.
FULL = 256 * 1024
# Connections taken in one turn, so that a flood of them leaves time for the others.
_ACCEPTS = 50


class Receiver(Protocol):
    """Who a stream reports to."""

    def data_received(self, data: bytes) -> None:
        """Octets came in."""

    def stream_drained(self) -> None:
        """After :attr:`Stream.unsent` was not 0: all has gone out."""

    def stream_secured(self) -> None:
        """After :meth:`Stream.start_tls`: the handshake is over; what comes now was encrypted."""

    def stream_lost(self, why: str) -> None:
        """It is closed, by either side; called once, and nothing after it."""


class Stream:
    """
    One connected socket, with TCP_NODELAY; reading from the start.

    :param half_closed: Called when the peer says nothing more but may still listen, by end-of-file or close_notify: who
        has said all closes the stream. ``None``: that is the end of the connection.
    :ivar broken: What was written last cannot arrive.
    :ivar ended: The peer says nothing more.
    :ivar unsent: Octets the kernel has not taken yet.
    :ivar tls: What encrypts it, ``None``: nothing.
    :ivar trace: Who is told of each read and write, ``None``: nobody.
    """

    def __init__(
        self,
        reactor: Any,
        skt: socket.socket,
        receiver: Receiver,
        half_closed: Callable[[], None] | None = None,
    ) -> None:
        self.reactor = reactor
        self.socket = skt
        self.receiver = receiver
        self.fileno = skt.fileno
        self._recv = skt.recv
        self._send = skt.send
        self._out = bytearray()
        self._closing = False
        self._closed = self.broken = self.ended = False
        self._half_closed = half_closed
        self._why = "closed"
        self.tls: TlsSession | None = None
        self.trace: Trace | None = None
        with contextlib.suppress(OSError):
            skt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        reactor.addReader(self)

    @property
    def unsent(self) -> int:
        return len(self._out)

    def start_tls(self, session: TlsSession) -> None:
        """Encrypt what follows, in both directions; the client's end begins the handshake."""
        self.tls = session
        try:
            session.begin()
        except TlsFailed as why:
            self._tls_failed(why)
            return
        self._put(session.take_output())

    def write(self, data: bytes) -> None:
        """Send now what can be sent; the order of the calls is kept."""
        if self._closed or self._closing:
            return
        if self.tls is not None:
            try:
                self.tls.send(data)
            except TlsFailed as why:
                # Not in the middle of whatever our caller does; the reading side hears of it next.
                self.reactor.callLater(0, self._tls_failed, why)
                return
            data = self.tls.take_output()
        self._put(data)

    def _put(self, data: bytes) -> None:
        if self._out:
            self._out += data
            return
        try:
            count = self._send(data)
        except BlockingIOError:
            count = 0
        except OSError:
            # The reading side hears of it next, with whatever came in before.
            self.broken = True
            return
        if count < len(data):
            self._out += memoryview(data)[count:]
            self.reactor.addWriter(self)
        if self.trace is not None:
            self.trace.wrote(data[:count], len(self._out))

    def close(self, why: str = "closed") -> None:
        """Close once all is sent; ``why`` for :meth:`Receiver.stream_lost`."""
        if self.tls is not None and not self._closing and not self._closed:
            self.tls.close()
            self._put(self.tls.take_output())
        if self._out:
            self._closing, self._why = True, why
        else:
            self._finish(why)

    def abort(self) -> None:
        """Close now; what is unsent is lost."""
        self._finish("aborted")

    def pause(self) -> None:
        """Stop reading until :meth:`resume`."""
        if not self._closed:
            self.reactor.removeReader(self)

    def resume(self) -> None:
        if not (self._closed or self.ended):
            self.reactor.addReader(self)

    def doRead(self) -> Any:
        try:
            data = self._recv(_READ_SIZE)
        except BlockingIOError:
            return None
        except OSError as why:
            self._finish(_words(why.errno))
            return None
        if self.trace is not None:
            self.trace.read(data)
        if not data:
            self._end_of_input()
        elif self.tls is not None:
            self._decrypt(self.tls, data)
        elif not self._closing:
            self.receiver.data_received(data)
        return None

    def take(self, data: bytes) -> None:
        """Octets that were read before anybody knew whom they are for."""
        if self.tls is not None:
            self._decrypt(self.tls, data)
        elif not self._closed:
            self.receiver.data_received(data)

    def _decrypt(self, tls: TlsSession, data: bytes) -> None:
        known = tls.established
        try:
            plain = tls.receive(data)
        except TlsFailed as why:
            self._tls_failed(why)
            return
        if out := tls.take_output():
            self._put(out)
        if tls.established and not known:
            self.receiver.stream_secured()
        if plain and not (self._closing or self._closed):
            self.receiver.data_received(plain)
        if tls.ended and not self._closed:
            self._end_of_input()

    def _end_of_input(self) -> None:
        if self._half_closed is None:
            self._finish(LEFT)
            return
        self.ended = True
        # What has ended stays readable: whoever went on reading would spin.
        self.reactor.removeReader(self)
        if not self._closing:
            self._half_closed()

    def _tls_failed(self, why: TlsFailed) -> None:
        if self._closed or self.tls is None:
            return
        # The peer is told by an alert, if it can be had.
        with contextlib.suppress(OSError):
            self._send(self.tls.take_output())
        self._finish(f"TLS: {why}")

    def doWrite(self) -> Any:
        try:
            count = self._send(memoryview(self._out)[:_READ_SIZE])
        except BlockingIOError:
            return None
        except OSError as why:
            self._finish(_words(why.errno))
            return None
        if self.trace is not None:
            self.trace.wrote(bytes(self._out[:count]), len(self._out) - count)
        del self._out[:count]
        if not self._out:
            self.reactor.removeWriter(self)
            if self._closing:
                self._finish(self._why)
            else:
                self.receiver.stream_drained()
        return None

    def connectionLost(self, reason: Any) -> None:
        """The reactor met a hang-up or a bug in our receiver (which it has logged)."""
        self._finish("connection lost" if reason.check(ConnectionLost, ConnectionDone) else "internal error")

    readConnectionLost = connectionLost

    def logPrefix(self) -> str:
        return "tcp"

    def _finish(self, why: str) -> None:
        if self._closed:
            return
        self._closed = True
        self.reactor.removeReader(self)
        self.reactor.removeWriter(self)
        self.socket.close()
        self.receiver.stream_lost(why)


class Listener:
    """Take connections from a listening socket; ``accepted`` gets each (non-blocking) with its peer."""

    def __init__(
        self, reactor: Any, skt: socket.socket, accepted: Callable[[socket.socket, Any], None]
    ) -> None:
        self._reactor = reactor
        self._socket = skt
        self._accepted = accepted
        self._retry: Any = None
        self._closed = False
        self.fileno = skt.fileno
        skt.setblocking(False)
        reactor.addReader(self)

    def doRead(self) -> Any:
        for _ in range(_ACCEPTS):
            try:
                skt, peer = self._socket.accept()
            except (BlockingIOError, ConnectionAbortedError):
                # Another process of this service was quicker, or the client has gone again.
                return None
            except OSError as why:
                if why.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    self._rest()
                return None
            skt.setblocking(False)
            self._accepted(skt, peer)
            if self._closed:
                return None
        return None

    def _rest(self) -> None:
        """Without descriptors the socket stays readable: look again later instead of spinning."""
        self._reactor.removeReader(self)
        self._retry = self._reactor.callLater(1.0, self._resume)

    def _resume(self) -> None:
        self._retry = None
        self._reactor.addReader(self)

    def close(self) -> None:
        """Stop listening in this process; others that share the socket go on."""
        if self._closed:
            return
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
        self._reactor.removeReader(self)
        self._socket.close()

    def connectionLost(self, reason: Any) -> None:
        self.close()

    readConnectionLost = connectionLost

    def logPrefix(self) -> str:
        return "listener"


class Connecting:
    """
    A connection being made; one of the two callbacks is called once, never from the constructor.

    :param source: Our address to connect from, or ``None``.
    """

    def __init__(
        self,
        reactor: Any,
        address: tuple[str, int],
        source: str | None,
        connected: Callable[[socket.socket], None],
        failed: Callable[[str], None],
    ) -> None:
        self._reactor = reactor
        self._connected = connected
        self._failed = failed
        self._done = False
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._socket: socket.socket | None = None
        try:
            self._socket = socket.socket(family, socket.SOCK_STREAM)
            self._socket.setblocking(False)
            if source is not None:
                self._socket.bind((source, 0))
            error = self._socket.connect_ex(address)
        except OSError as why:
            error = why.errno or errno.EINVAL
        if error in (0, errno.EINPROGRESS) and self._socket is not None:
            self.fileno = self._socket.fileno
            reactor.addWriter(self)
        else:
            reactor.callLater(0, self.fail, _words(error))

    def doWrite(self) -> Any:
        assert self._socket is not None
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self.fail(_words(error))
            return None
        self._done = True
        self._reactor.removeWriter(self)
        self._connected(self._socket)
        return None

    def fail(self, why: str) -> None:
        """Give up, for instance because it takes too long."""
        if self._done:
            return
        self._done = True
        if self._socket is not None:
            self._reactor.removeWriter(self)
            self._socket.close()
        self._failed(why)

    def connectionLost(self, reason: Any) -> None:
        """The reactor saw a hang-up before a connection: the socket knows why."""
        if not self._done and self._socket is not None:
            self.fail(_words(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ECONNRESET))

    readConnectionLost = connectionLost

    def logPrefix(self) -> str:
        return "connecting"


def _words(error: int | None) -> str:
    return os.strerror(error) if error else "connection lost"
