"""The programs around what is measured: Postfix's smtp-source and smtp-sink, and Postfix itself."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

SBIN = "/usr/sbin"


def program(name: str) -> str:
    """
    Where one of Postfix's programs is.

    :raises SystemExit: It is not installed; the text says how to get it.
    """
    found = shutil.which(name) or shutil.which(name, path=f"{SBIN}:/usr/lib/postfix/sbin")
    if found is None:
        raise SystemExit(f"{name} is missing: apt-get install postfix")
    return found


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_port(port: int, seconds: float = 30) -> None:
    """Wait until something greets on a port."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as made:
            if made.recv(3) == b"220":
                made.sendall(b"QUIT\r\n")
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing answered on port {port} within {seconds:.0f} s")


class Sink:
    """smtp-sink, counting."""

    def __init__(self, port: int) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed by close)
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        self._process = subprocess.Popen(
            [program("smtp-sink"), *user, "-c", f"127.0.0.1:{port}", "1024"],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        await_port(port)

    def count(self) -> int:
        """Messages taken so far (its counters are: sessions, quits, messages)."""
        size = os.fstat(self._log.fileno()).st_size
        tail = os.pread(self._log.fileno(), 400, max(0, size - 400))
        found = re.findall(rb"mesg=(\d+)", tail)
        return int(found[-1]) if found else 0

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait()
        self._log.close()


def load(
    port: int, messages: int, sessions: int, octets: int, reuse: bool, to: str
) -> subprocess.Popen[bytes]:
    """Start smtp-source; ``reuse`` sends many messages over one connection (-d)."""
    command = [program("smtp-source"), "-s", str(sessions), "-m", str(messages), "-l", str(octets), "-t", to]
    command += ["-f", "bench@source.example", "-M", "source.example"]
    if reuse:
        command.append("-d")
    return subprocess.Popen([*command, f"127.0.0.1:{port}"])


_RELAY = """
mydestination =
relayhost = [127.0.0.1]:{sink}
default_process_limit = 200
in_flow_delay = 0
smtp_connection_cache_destinations = static:all
default_destination_concurrency_limit = 50
initial_destination_concurrency = 20
qmgr_message_active_limit = 40000
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
"""


def postfix(port: int, sink_port: int, directory: Path) -> contextlib.AbstractContextManager[int]:
    """
    A Postfix of its own, tuned for relaying to one next hop; gives its master's pid.

    Tuned: no chroot, many processes, cached connections, no delays on input, no look-ups.
    """
    return postfix_with(port, directory, _RELAY.format(sink=sink_port))


@contextlib.contextmanager
def postfix_with(port: int, directory: Path, settings: str, services: Sequence[str] = ()) -> Iterator[int]:
    """
    A Postfix of its own on a port of loopback; gives its master's pid.

    :param settings: Lines of main.cf.
    :param services: Further lines of master.cf.
    """
    config, queue, data = directory / "config", directory / "queue", directory / "data"
    for made in (config, queue, data):
        made.mkdir(parents=True)
    os.chmod(directory, 0o755)
    shutil.chown(data, "postfix")
    (config / "main.cf").write_text(
        f"""
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
command_directory = {SBIN}
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = mail.example.org
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
maillog_file = {data}/postfix.log
maillog_file_prefixes = {directory}
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_peername_lookup = no
alias_maps =
local_recipient_maps =
import_environment = MAIL_CONFIG={config}
{settings}"""
    )
    shipped = Path("/usr/share/postfix/master.cf.dist")
    rows = (shipped if shipped.exists() else Path("/etc/postfix/master.cf")).read_text().splitlines()
    kept = []
    for row in rows:
        words = row.split()
        if not row or row[0].isspace() or row[0] == "#" or len(words) < 8:
            continue
        if words[:2] == ["smtp", "inet"]:
            words[0] = f"127.0.0.1:{port}"
        elif words[1] == "inet":
            continue
        words[4] = "n"
        kept.append(" ".join(words))
    kept = [row for row in kept if not row.startswith("postlog ")]
    kept += ["postlog unix-dgram n - n - 1 postlogd", *services]
    (config / "master.cf").write_text("\n".join(kept) + "\n")
    command = [program("postfix"), "-c", str(config)]
    subprocess.run([*command, "start"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        pid = int((queue / "pid/master.pid").read_text())
        await_port(port)
        yield pid
    finally:
        with contextlib.suppress(OSError):
            os.kill(int((queue / "pid/master.pid").read_text()), signal.SIGTERM)
