"""The SMTP client of one job, seen from the controller."""

from typing import Any

from channels.kit.client_security import ClientSecurity
from channels.kit.startup import EX_CONFIG, EX_OK, EX_TEMPFAIL, CannotStart
from channels.tcp.pool import Pool
from channels.tcp.process import Process
from jobctl.jobprotocol.frames import Ask, HelloController, Look, Message, Stop
from jobctl.net.resolver import Resolver


class Client:
    """Hand the controller's messages to the pool; end when it says so, or when it is gone."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._pool: Pool | None = None
        self._stopping = False

    def link_frame(self, frame: Any, content: bytes) -> None:
        if type(frame) is Message and self._pool is not None:
            self._pool.assign(frame, content)
        elif type(frame) is HelloController:
            self._start(frame)
        elif type(frame) is Stop:
            self._stopping = True
            if self._pool is not None:
                self._pool.stop()
        elif type(frame) is Look:
            if self._pool is not None:
                self._process.link.tell(
                    work for connection in self._pool.connections() for work in connection.work()
                )
        elif not isinstance(frame, Ask):
            self._process.end(EX_CONFIG, f"the Job Controller sent {type(frame).__name__.lower()}")

    def link_batch_done(self) -> None:
        if self._pool is not None:
            self._pool.work()
        self.end_if_done()

    def link_drained(self) -> None:
        pass

    def link_lost(self, why: str) -> None:
        if self._pool is not None:
            self._pool.abort()
        self._process.end(EX_TEMPFAIL, why)

    def connections(self) -> int:
        return len(self._pool.connections()) if self._pool is not None else 0

    def end_if_done(self) -> None:
        """After ``stop``: exit once the last connection is over."""
        if self._stopping and (self._pool is None or not self._pool.connections()):
            self._process.end(EX_OK)

    def _start(self, hello: HelloController) -> None:
        try:
            channel = self._process.channel(hello)
            resolver = Resolver(self._process.reactor, channel.nameservers)
            security = ClientSecurity(channel)
        except CannotStart as why:
            self._process.end(why.status, why.text)
            return
        except ValueError as why:
            self._process.end(EX_CONFIG, str(why))
            return
        # One piece of a large message comes by itself: a hundred of them in hand must not fill
        # the memory.  Once one is being sent, several pieces at a time are asked for.
        self._process.greet(connections=channel.options.max_client_threads, window=1)
        self._pool = Pool(
            self._process.reactor,
            self._process.link,
            channel,
            resolver,
            security,
            self.end_if_done,
            str((hello.mta or {}).get("loop", "")),
        )
        self._pool.ask()
