"""
``python -m bench.idle [CLIENTS]``: a server with so many idle clients, and how long a new one waits.

A whole daemon with one ``tcp_smtp_server``; each client has said EHLO and is silent. Clients come from several
addresses of 127.0.0.0/8, since one address has not ports enough. Printed: the time from connecting to the reply to EHLO
of further clients, one after the other, and what the server's memory grew by for each connection.
"""

import argparse
import resource
import select
import shutil
import socket
import statistics
import tempfile
import time
from pathlib import Path

from bench.processes import tree
from tests.daemon import Daemon

CONFIGURATION = """
[job_controller]
queue_directory = "queue"
control_socket  = "control.sock"
log_directory   = "log"
[job_controller.channel_class."tcp_*"]
master_command = "tcp_smtp_client"
slave_command  = "tcp_smtp_server"
[dispatcher.service.SMTP]
listen  = ["tcp:@PORT@:interface=127.0.0.1"]
channel = "tcp_local"
max_conns = @MOST@
relay_from = ["127.0.0.0/8"]
[channel.l]
official_host_name = "mail.example.org"
[channel.tcp_local]
official_host_name = "tcp-daemon"
smtp = true
[rewrite]
"." = "tcp_local"
"""
TRIES = 100


def resident(pid: int) -> int:
    """Octets of memory that are its own."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def server_of(daemon: Daemon) -> int:
    """The server program's process."""
    assert daemon.process is not None
    for pid in tree(daemon.process.pid):
        if b"tcp_smtp_server" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise SystemExit("no server")


def connect(port: int, number: int) -> socket.socket:
    """A client that has begun to connect."""
    made = socket.socket()
    made.bind((f"127.0.1.{number % 200 + 1}", 0))
    made.connect(("127.0.0.1", port))
    return made


def greet(port: int, number: int) -> float:
    """Seconds until a further client has its EHLO answered."""
    begun = time.monotonic()
    with connect(port, number) as one:
        one.settimeout(30)
        said = one.recv(1000)
        one.sendall(b"EHLO new.example\r\n")
        answer = one.recv(4000)
        took = time.monotonic() - begun
        if not (said.startswith(b"220") and answer.startswith(b"250")):
            raise SystemExit(f"refused: {said + answer!r}")
        one.sendall(b"QUIT\r\n")
        return took


def crowd(port: int, count: int) -> list[socket.socket]:
    """So many clients, each greeted."""
    clients: list[socket.socket] = []
    poll = select.poll()
    while len(clients) < count:
        some = [connect(port, len(clients) + n) for n in range(min(200, count - len(clients)))]
        for one in some:
            one.settimeout(60)
            if not one.recv(1000).startswith(b"220"):
                raise SystemExit(f"refused after {len(clients)} clients")
            one.sendall(b"EHLO idle.example\r\n")
        for one in some:
            if not one.recv(4000).startswith(b"250"):
                raise SystemExit("EHLO refused")
        clients += some
    for one in clients:
        poll.register(one, select.POLLHUP | select.POLLERR)
    if poll.poll(0):
        raise SystemExit("a client has been disconnected")
    return clients


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.idle", description=__doc__)
    parser.add_argument("clients", nargs="?", type=int, default=10_000)
    count = parser.parse_args().clients
    need = count + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, need), max(hard, need)))
    folder = Path(tempfile.mkdtemp())
    try:
        with Daemon(folder, CONFIGURATION, MOST=count + 500) as daemon:
            greet(daemon.port, 0)
            pid = server_of(daemon)
            before = resident(pid)
            alone = [greet(daemon.port, n) for n in range(TRIES)]
            begun = time.monotonic()
            clients = crowd(daemon.port, count)
            took = time.monotonic() - begun
            crowded = [greet(daemon.port, n) for n in range(TRIES)]
            after = resident(pid)
            for one in clients:
                one.close()
            print(f"{count} clients connected in {took:.1f} s")
            for name, times in (("alone", alone), ("crowded", crowded)):
                ordered = sorted(times)
                print(
                    f"{name:8} median {statistics.median(ordered) * 1000:.1f} ms, "
                    f"longest of {TRIES} {ordered[-1] * 1000:.1f} ms"
                )
            print(f"server {before / 2**20:.0f} MiB, then {after / 2**20:.0f} MiB: ", end="")
            print(f"{(after - before) / count / 1024:.2f} KiB a connection")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
