"""Clients behind front ends through the whole daemon: both server programs treat them alike."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.configurations import PLACES
from tests.daemon import Daemon, program, until
from tests.dns_server import Zone
from tests.ports import free_port
from tests.tcp_support import NameServerThread

SERVICE = """
proxy_from = ["127.0.0.2"]
xclient_from = ["127.0.0.3"]
relay_from = ["198.51.100.0/24"]
max_conns_per_address = 3
"""
CONFIGURATION = (
    PLACES
    + f"""
[dispatcher.service.TCP]
listen = ["tcp:@PORT@:interface=127.0.0.1"]
channel = "tcp_in"
{SERVICE}
[dispatcher.service.GENERIC]
listen = ["tcp:@OTHER@:interface=127.0.0.1"]
channel = "test_smtp_in"
{SERVICE}
"""
    + """
[mta]
log_connection = 255
[defaults]
logging = true
nameservers = ["@NAMES@"]
forwardchecktag = true
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_in]
official_host_name = "in-daemon"
switchchannel = true
[channel.test_smtp_in]
official_host_name = "other-daemon"
smtp = true
switchchannel = true
[channel.tcp_inside]
official_host_name = "inside-daemon"
local_host_alias = "inside.example.org"
[channel.tcp_out]
official_host_name = "out-daemon"
daemon = "[127.0.0.1]"
noswitchchannel = true
port = 1
[channel.maildir]
official_host_name = "maildir-daemon"
maildir = "Maildir"
[rewrite]
"nine.example" = "$R$U%$D@inside-daemon"
"mail.example.org" = "maildir"
"." = "tcp_out"
"""
)
ZONE = "9.100.51.198.in-addr.arpa. 60 PTR nine.example.\nnine.example. 60 A 198.51.100.9\n"
# Who connects, and how it says for whom.
WAYS = {
    "v1": ("127.0.0.2", "--proxy-version", "1", "--proxy-family", "TCP4"),
    "v2": ("127.0.0.2", "--proxy-version", "2", "--proxy-family", "AF_INET"),
    "xclient": ("127.0.0.3",),
}


def said(way: str, client: str) -> list[str]:
    """What swaks is told to say of the client."""
    source, *options = WAYS[way]
    if way == "xclient":
        told = ["--xclient-addr", client, "--xclient-port", "4001", "--xclient-optional"]
        return ["--local-interface", source, *told, "--xclient-destport", "2525"]
    told = ["--proxy-source", client, "--proxy-source-port", "4001"]
    return [
        *("--local-interface", source, *options, *told),
        *("--proxy-dest", "192.0.2.25", "--proxy-dest-port", "2525"),
    ]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[tuple[Daemon, dict[str, int]]]:
    with NameServerThread(Zone(ZONE)) as names:
        other = free_port()
        with Daemon(tmp_path, CONFIGURATION, OTHER=other, NAMES=names.address) as running:
            running.await_listening()
            yield running, {"tcp_in": running.port, "test_smtp_in": other}


def records(daemon: Daemon, *words: str) -> list[str]:
    """Lines of the log with all of these in them."""
    log = daemon.directory / "var/log/mail.log_current"
    lines = log.read_text().splitlines() if log.exists() else []
    return [line for line in lines if all(word in line for word in words)]


@pytest.mark.real
def test_front_ends(daemon: tuple[Daemon, dict[str, int]]) -> None:
    """
    Trace, log, rights and source channel are those of the client that a front end speaks for, by its own name.

    A front end that does not say for whom is cut off, whoever is none cannot pretend, and both are in the log.
    """
    running, ports = daemon
    swaks = program("swaks")
    if swaks is None:
        pytest.skip("swaks is not installed: apt-get install swaks")
    sent = 0
    for port in ports.values():
        for way in WAYS:
            for client, welcome in (("198.51.100.9", True), ("203.0.113.9", False)):
                command = [swaks, "--server", f"127.0.0.1:{port}", *said(way, client), "--helo", "c"]
                done = subprocess.run(
                    [*command, "--from", "a@a.example", "--to", "b@mail.example.org,x@far.example"],
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
                assert done.returncode == 0, done.stdout
                assert ("<-  220 inside.example.org" in done.stdout) is welcome
                assert ("Relaying not allowed" in done.stdout) is not welcome
                sent += 1
    folder = running.directory / "Maildir/new"
    files = until(lambda: len(found := list(folder.glob("*"))) == sent and found)
    inside = [text for one in files if "198.51.100.9" in (text := one.read_text())]
    assert len(inside) == sent / 2
    for text in inside:
        assert "from c (nine.example [198.51.100.9])" in text and "by inside.example.org" in text
    queued = until(
        lambda: len(lines := records(running, "maildir E", "|198.51.100.9|")) == sent / 2 and lines
    )
    transports = {"TCP|192.0.2.25|2525|198.51.100.9|4001", "TCP|127.0.0.1|2525|198.51.100.9|4001"}
    assert all(" tcp_inside " in line and any(one in line for one in transports) for line in queued)

    for channel, port in ports.items():
        with socket.create_connection(("127.0.0.1", port), 60, ("127.0.0.2", 0)) as client:
            client.sendall(b"EHLO front\r\n")
            # Reset where what it said was not read.
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(100) == b""
        (line,) = until(lambda: records(running, "no PROXY header", f"|{port}|127.0.0.2|"))  # noqa: B023
        assert f"{channel} + X" in line
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                client = stack.enter_context(socket.create_connection(("127.0.0.1", port), 60))
                reader = stack.enter_context(client.makefile("rb"))
                assert reader.readline().startswith(b"220 mail.example.org")
            with socket.create_connection(("127.0.0.1", port), 60) as more:
                assert more.recv(100).startswith(b"421 4.7.0 ")
            client.sendall(b"PROXY TCP4 198.51.100.9 127.0.0.1 4001 25\r\nXCLIENT ADDR=198.51.100.9\r\n")
            assert reader.readline().startswith(b"500 5.5.1")
            assert reader.readline().startswith(b"550 5.7.0")
        (line,) = until(lambda: records(running, "too many connections from this", f"|{port}|"))  # noqa: B023
        assert f"{channel} + X" in line
        row = next(row for row in running.ask("counters") if row["channel"] == channel)
        assert row["in_associations"]["rejected"] == 2


@pytest.mark.real
def test_by_hand(daemon: tuple[Daemon, dict[str, int]]) -> None:
    """By hand, too, the client of TRANSPORTINFO has its name and its channel: the controller is asked."""
    running, _ = daemon
    said = (
        "EHLO c",
        "MAIL FROM:<a@a.example>",
        "RCPT TO:<b@mail.example.org>",
        "DATA",
        "Subject: x\r\n",
        ".",
        "QUIT",
    )
    done = subprocess.run(
        ["test_smtp_slave"],
        input="".join(f"{line}\r\n" for line in said).encode(),
        env={
            **running.environment,
            "PMDF_CHANNEL": "test_smtp_in",
            "TRANSPORTINFO": "TCP|192.0.2.1|25|198.51.100.9|4001",
        },
        capture_output=True,
        timeout=60,
    )
    assert done.stdout.startswith(b"220 inside.example.org"), done.stderr
    folder = running.directory / "Maildir/new"
    (file,) = until(lambda: list(folder.glob("*")), 60, running.log[-2000:])
    assert b"from c (nine.example [198.51.100.9])" in file.read_bytes()
    (line,) = until(lambda: records(running, "maildir E", "|198.51.100.9|"))
    assert " tcp_inside maildir E" in line
