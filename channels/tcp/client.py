"""The SMTP client of one job, seen from the controller."""

from typing import Any

import msgspec

from channels.tcp.pool import Pool
from channels.tcp.process import EX_CONFIG, EX_OK, EX_TEMPFAIL, Process, channel_settings
from jobctl.jobprotocol.frames import Ask, HelloController, Message, Stop
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
        elif not isinstance(frame, Ask):
            self._process.end(EX_CONFIG, f"tcp_smtp_client: the Job Controller sent {type(frame).__name__}")

    def link_batch_done(self) -> None:
        if self._pool is not None:
            self._pool.work()
        self.end_if_done()

    def link_drained(self) -> None:
        pass

    def link_lost(self, why: str) -> None:
        if self._pool is not None:
            self._pool.abort()
        self._process.end(EX_TEMPFAIL, f"tcp_smtp_client: {why}")

    def connections(self) -> int:
        return len(self._pool.connections()) if self._pool is not None else 0

    def end_if_done(self) -> None:
        """After ``stop``: exit once the last connection is over."""
        if self._stopping and (self._pool is None or not self._pool.connections()):
            self._process.end(EX_OK)

    def _start(self, hello: HelloController) -> None:
        try:
            channel = channel_settings(hello)
            resolver = Resolver(self._process.reactor, channel.nameservers)
        except (msgspec.ValidationError, ValueError) as why:
            self._process.end(EX_CONFIG, f"tcp_smtp_client: {why}")
            return
        assert self._process.link is not None
        self._pool = Pool(self._process.reactor, self._process.link, channel, resolver, self.end_if_done)
        self._pool.ask()
