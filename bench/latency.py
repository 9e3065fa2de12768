"""
``python -m bench.latency [MESSAGES]``: messages per second over one connection to a server 100 ms away.

A proxy of ours delays every octet by 50 ms each way. The peer is our own ``tcp_smtp_server``, which offers PIPELINING
and CHUNKING; behind the same proxy come, in the same run, Postfix (one connection, kept open between messages) and
``tcp_smtp_client`` with one connection. The rate is taken at the peer, from the first message to the last.
"""

import argparse
import asyncio
import contextlib
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.ours import CONFIGURATION
from bench.peers import free_port, load, postfix_with
from tests.daemon import Daemon
from tests.tcp_support import Intake, Program, channel, listening, service

DELAY = 0.050


class Arrivals(Intake):
    """Accepts everything and notes when."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def __call__(self, program: Program, frame: Any, content: bytes) -> bool:
        known = len(self.messages)
        done = super().__call__(program, frame, content)
        if len(self.messages) > known:
            self.times.append(time.monotonic())
        return done


class _Late(asyncio.Protocol):
    """One direction of a connection: what comes in goes out later, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.other: _Late | None = None
        self.transport: Any = None
        self._held: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        held, self._held = self._held, []
        for data in held:
            transport.write(data)

    def data_received(self, data: bytes) -> None:
        self._loop.call_later(DELAY, self._pass, data)

    def connection_lost(self, why: Exception | None) -> None:
        self._loop.call_later(DELAY, self._close)

    def _pass(self, data: bytes) -> None:
        other = self.other
        if other is not None and other.transport is not None:
            other.transport.write(data)
        elif other is not None:
            other._held.append(data)

    def _close(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


@contextlib.contextmanager
def proxy(target: int) -> Iterator[int]:
    """Passes on what comes to a port, 50 ms late each way; gives the port."""
    loop = asyncio.new_event_loop()
    port = free_port()
    connecting: set[asyncio.Task[Any]] = set()

    def accepted() -> _Late:
        near, far = _Late(loop), _Late(loop)
        near.other, far.other = far, near
        making = loop.create_task(loop.create_connection(lambda: far, "127.0.0.1", target))
        connecting.add(making)
        making.add_done_callback(connecting.discard)
        return near

    async def begin() -> None:
        await loop.create_server(accepted, "127.0.0.1", port)

    loop.run_until_complete(begin())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def measure(port: int, arrivals: Arrivals, messages: int) -> float:
    """Messages per second at the peer, of those that are sent to ``port`` now."""
    arrivals.times.clear()
    load(port, messages, 5, 2048, True, "bob@sink.example").wait()
    end = time.monotonic() + 300
    while len(arrivals.times) < messages and time.monotonic() < end:
        time.sleep(0.1)
    if len(arrivals.times) < messages:
        raise SystemExit(f"only {len(arrivals.times)} of {messages} messages arrived")
    return (messages - 1) / (arrivals.times[-1] - arrivals.times[0])


ONE_CONNECTION = """
mydestination =
relayhost = [127.0.0.1]:{port}
smtp_connection_cache_destinations = static:all
default_destination_concurrency_limit = 1
initial_destination_concurrency = 1
smtp_connection_reuse_time_limit = 3600s
in_flow_delay = 0
"""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.latency", description=__doc__)
    parser.add_argument("messages", nargs="?", type=int, default=100)
    count = parser.parse_args().messages
    arrivals = Arrivals()
    rates: dict[str, float] = {}
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    socket = listening()
    peer = Program(
        "channels.tcp_smtp_server",
        channel(),
        listen=(socket,),
        service=service(relay_from=("127.0.0.0/8",)),
        handle=arrivals,
    )
    try:
        with proxy(socket.getsockname()[1]) as far:
            port = free_port()
            with postfix_with(port, folder / "postfix", ONE_CONNECTION.format(port=far)):
                rates["postfix"] = measure(port, arrivals, count)
            ours = folder / "ours"
            ours.mkdir()
            text = CONFIGURATION.replace("maxjobs = 1", "maxjobs = 1\noptions = {{ MAX_CLIENT_THREADS = 1 }}")
            text = text.format(port="@PORT@", sink=far, out="tcp_out")
            with Daemon(ours, text) as daemon:
                rates["tcp_smtp_client"] = measure(daemon.port, arrivals, count)
    finally:
        peer.close()
        socket.close()
        shutil.rmtree(folder, ignore_errors=True)
    for name, rate in rates.items():
        print(f"{name:16} {rate:6.1f} messages/s, {1 / rate / (2 * DELAY):.2f} round trips a message")
    print(f"ratio {rates['tcp_smtp_client'] / rates['postfix']:.2f}")


if __name__ == "__main__":
    main()
