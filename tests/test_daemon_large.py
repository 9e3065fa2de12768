"""Messages much larger than memory should hold."""

import contextlib
import socket
from pathlib import Path

import pytest

from tests.configurations import GATEWAY
from tests.daemon import Daemon, until
from tests.smtp_peers import CollectingServer, without_trace

SIZE = 100 * 1024 * 1024
GROWTH = 40 * 1024 * 1024


def resident(pid: int) -> int:
    """Highest resident set size so far, octets."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


@pytest.mark.real
@pytest.mark.timeout(300)
@pytest.mark.parametrize("domain", ["partner.example", "fast.example"])
def test_a_hundred_megabytes_pass_in_bounded_memory(tmp_path, domain):
    """100 MB in and out, and none of our processes grows by 40 MB."""
    sink = CollectingServer()
    line = b"x" * 76 + b"\r\n"
    lines = SIZE // len(line)
    try:
        with Daemon(tmp_path, GATEWAY, measured=False, GATEWAY=sink.port) as daemon:
            daemon.await_listening()
            daemon.command("enqueue", "--from", "a@x.example", "--to", f"b@{domain}", "-", input="small\n")
            until(lambda: len(sink.taken) == 1)
            before = {row["pid"]: resident(row["pid"]) for row in daemon.json("process")}
            with socket.create_connection(("127.0.0.1", daemon.port)) as made, made.makefile("rwb") as stream:
                for say in (
                    b"EHLO me.example",
                    b"MAIL FROM:<a@x.example>",
                    f"RCPT TO:<b@{domain}>".encode(),
                    b"DATA",
                ):
                    stream.write(say + b"\r\n")
                stream.flush()
                for _ in range(lines // 1000):
                    stream.write(line * 1000)
                stream.write(b".\r\nQUIT\r\n")
                stream.flush()
                replies = stream.read()
            assert replies.count(b"\r\n250 ") >= 3, replies[-500:]
            seen = dict(before)

            def arrived() -> bool:
                for row in daemon.json("process"):
                    with contextlib.suppress(OSError):
                        seen[row["pid"]] = resident(row["pid"])
                return len(sink.taken) == 2

            until(arrived, 120, daemon.log[-2000:])
            base = 45 * 1024 * 1024
            for pid, most in seen.items():
                assert most - before.get(pid, base) < GROWTH, f"{pid} grew to {most}"
        assert without_trace(sink.taken[1].content) == line * (lines // 1000 * 1000)
    finally:
        sink.close()
