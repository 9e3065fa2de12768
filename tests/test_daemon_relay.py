"""The production path under load: smtp-source, the SMTP server, the queue, the SMTP client, smtp-sink."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.configurations import GATEWAY
from tests.daemon import Daemon, greets, program, until
from tests.ports import free_port
from tests.smtp_peers import without_trace

MESSAGES = 20_000


def sink(directory: Path, port: int, *words: str) -> subprocess.Popen[bytes]:
    """smtp-sink, writing what it takes below ``directory``."""
    found = program("smtp-sink")
    if found is None or program("smtp-source") is None:
        pytest.skip("smtp-source and smtp-sink are not installed: apt-get install postfix")
    directory.mkdir()
    directory.chmod(0o777)
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    return subprocess.Popen([found, *user, *words, f"127.0.0.1:{port}", "1000"], cwd=directory)


def source(port: int, count: int, to: str) -> None:
    """Send and wait until all were answered."""
    subprocess.run(
        [
            str(program("smtp-source")), "-s", "20", "-m", str(count), "-l", "4096", "-d",
            "-f", "from@source.example", "-t", to, f"127.0.0.1:{port}",
        ],
        check=True,
        timeout=300,
    )  # fmt: skip


def dumped(path: Path) -> list[bytes]:
    """The messages of smtp-sink's dump, without the lines that it adds itself."""
    found = []
    for raw in re.split(rb"(?m)^X-Client-Addr: ", path.read_bytes())[1:]:
        lines = raw.split(b"\n")
        start = next(
            at
            for at, line in enumerate(lines)
            if line.startswith(b"Received: from") and b"smtp-sink" in b"".join(lines[at : at + 3])
        )
        at = start + 1
        while lines[at][:1] in (b" ", b"\t"):
            at += 1
        found.append(b"\r\n".join(lines[at:]))
    return found


@pytest.mark.real
@pytest.mark.timeout(600)
def test_twenty_thousand_messages_arrive_once_and_unchanged(tmp_path):
    """20,000 messages of 4 KB over 20 sessions: all arrive, none twice, octet for octet."""
    port, reference_port = free_port(), free_port()
    reference = sink(tmp_path / "reference", reference_port, "-D", "all")
    receiving = sink(tmp_path / "sink", port, "-D", "all")
    try:
        with Daemon(tmp_path, GATEWAY, measured=False, GATEWAY=port) as daemon:
            daemon.await_listening()
            until(lambda: greets(port) and greets(reference_port))
            source(reference_port, 1, "ann@fast.example")
            source(daemon.port, MESSAGES, "ann@fast.example")
            until(lambda: daemon.summary()["tcp_gateway"]["messages"] == 0, 300)
    finally:
        for one in (reference, receiving):
            one.terminate()
            one.wait()
    (like,) = dumped(tmp_path / "reference/all")
    got = dumped(tmp_path / "sink/all")
    identities = [re.search(rb"(?im)^Message-Id: (\S+)", content)[1] for content in got]
    assert len(identities) == MESSAGES
    assert len(set(identities)) == MESSAGES
    assert len(like) > 4000
    for content in got:
        assert _plain(without_trace(content)) == _plain(like)


def _plain(content: bytes) -> bytes:
    """What smtp-source writes anew for each message, made the same for all."""
    head, blank, body = content.partition(b"\r\n\r\n")
    return re.sub(rb"(?im)^(Message-Id|Date): .*$", rb"\1:", head) + blank + body
