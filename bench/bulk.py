"""
What a change of very many messages costs, and what mail notices of it.

    python -m bench.bulk [MESSAGES]

Queues the messages as bench.explain does, has a daemon list, hold, release, delete and undo all of them
by a selector, and meanwhile hands over a message every 50 ms.
"""

import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred

from bench.explain import CONFIGURATION, fill, ready
from bench.processes import cpu_seconds, memory_octets
from jobctl.control.client import Client
from jobctl.control.refusals import ControlError

STEPS = (
    ("nothing", "", {}),
    ("qm.preview, all read", "qm.preview", {"where": "rcpt=*7@* and age>1s"}),
    ("qm.preview, one host", "qm.preview", {"where": "host=h7.example and rcpt=*7@*"}),
    ("qm.hold", "qm.hold", {"where": "rcpt=b*", "reason": "bench"}),
    ("qm.release", "qm.release", {"where": "rcpt=b*"}),
    ("qm.delete", "qm.delete", {"where": "rcpt=b*"}),
    ("undo", "undo", {}),
)


class Mail(threading.Thread):
    """Hands over mail and notes how long each took, in seconds."""

    def __init__(self, socket: str) -> None:
        super().__init__(daemon=True)
        self._socket = socket
        self.took: list[float] = []

    def run(self) -> None:
        # The daemon's end is ours.
        with contextlib.suppress(ControlError), Client(self._socket) as client:
            while True:
                began = time.perf_counter()
                client.enqueue("ann@a.example", ["x@live.example"], b"Subject: x\r\n\r\nx\r\n", channel="out")
                self.took.append(time.perf_counter() - began)
                time.sleep(0.05)


def measure(place: Path, pid: int, count: int) -> None:
    """One step after the other, a line for each."""
    socket = str(place / "control.sock")
    mail = Mail(socket)
    mail.start()
    operation = 0
    with Client(socket) as client:
        for name, op, keys in STEPS:
            mail.took.clear()
            cpu, began = cpu_seconds(pid), time.perf_counter()
            if op == "undo":
                keys = {"operation": operation}
            result: Any = None
            if op:
                for answer, _ in client.stream(op, **keys):
                    result = answer.result
                operation = result.get("operation", 0)
            else:
                time.sleep(10)
            seconds, took = time.perf_counter() - began, sorted(mail.took) or [0.0]
            used = cpu_seconds(pid) - cpu
            print(
                f"{name:22} {result['count'] if op else 0:>8} messages {seconds:7.1f} s, "
                f"{used:6.1f} CPU-s ({used / count * 1e6:4.0f} us each), "
                f"{memory_octets(pid) / 1024**2:4.0f} MiB; mail taken in {took[len(took) // 2] * 1e3:.1f} ms, "
                f"95 % {took[len(took) * 95 // 100] * 1e3:.1f} ms, longest {took[-1] * 1e3:.0f} ms",
                flush=True,
            )


def main(count: int) -> None:
    """All of it, in a directory that is removed."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "jobctl.toml").write_text(
            CONFIGURATION.replace("[channel.l]", 'undo_window = "PT4H"\n[channel.l]')
        )
        running: Any = reactor
        filling = ensureDeferred(fill(place / "queue", count))
        filling.addErrback(lambda why: why.printTraceback())
        filling.addCallback(lambda _: running.stop())
        running.run()
        twistd = Path(sys.executable).with_name("twistd")
        command = [str(twistd), "-n", "--pidfile=", "jobctl", "--config", "jobctl.toml"]
        with open(place / "daemon.log", "w") as log:
            daemon = subprocess.Popen(command, cwd=place, stdout=log, stderr=log)
        try:
            while not ready(place):
                time.sleep(0.1)
            time.sleep(5)
            measure(place, daemon.pid, count)
        finally:
            daemon.terminate()
            daemon.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
