"""The queue's disk full for real: a small file system that only the daemon sees, filled with mail."""

import re
import shutil
import smtplib
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests import daemon as daemons
from tests.configurations import GATEWAY
from tests.daemon import Daemon, until
from tests.smtp_peers import CollectingServer, message_id

# Above the least that docs/store.md asks for.
MEGABYTES = 160
# Kept in the database, and in files of their own.
SIZES = (40_000, 400_000)
# As many refusals one after the other, of both sizes: it is full.
FULL = 10
MOUNT = f'mount -t tmpfs -o size={MEGABYTES}m,mode=0700 tmpfs "$0" && exec "$@"'


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the daemon, and nobody else, will find a small file system; it is gone with the daemon."""
    where = tmp_path / "disk"
    where.mkdir()
    if shutil.which("unshare") is None:
        pytest.skip("there is no unshare: apt-get install util-linux")
    # As another user than root it takes a user namespace, where those are allowed.
    for alone in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]):
        inside = [*alone, "sh", "-c", MOUNT, str(where)]
        if subprocess.run([*inside, "true"], capture_output=True).returncode == 0:
            monkeypatch.setattr(daemons, "TWISTD", [*inside, *daemons.TWISTD])
            return where
    pytest.skip("no file system can be mounted here: run as root, outside of a restricted container")


def configuration(free_space: int) -> str:
    """The queue on that disk, and retries soon."""
    return GATEWAY.replace(
        'queue_directory = "var/queue"',
        f'queue_directory = "@DISK@/queue"\nfree_space = {free_space}',
        1,
    )


class Filler:
    """Sends numbered messages over one connection, and keeps every reply."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._number = 0
        self.accepted: dict[str, bytes] = {}
        self.refusals: list[tuple[str, int, bytes]] = []
        self._client = self._connected()

    def _connected(self) -> smtplib.SMTP:
        client = smtplib.SMTP("127.0.0.1", self._port, local_hostname="client.example", timeout=60)
        code, _ = client.ehlo()
        assert code == 250
        return client

    def connect_again(self) -> None:
        """A new connection instead."""
        self._client.close()
        self._client = self._connected()

    def send(self, size: int) -> bool:
        """One message; whether it was answered 250."""
        self._number += 1
        name = f"<{self._number}@filler.example>"
        line = b".%d and text that goes on for a while\r\n" % self._number
        content = b"Message-ID: " + name.encode() + b"\r\n\r\n" + line * (size // len(line))
        client = self._client
        for step, ask in (
            ("MAIL", lambda: client.mail("sender@filler.example", [f"SIZE={len(content)}"])),
            ("RCPT", lambda: client.rcpt("ann@fast.example")),
            ("DATA", lambda: client.data(content)),
        ):
            try:
                code, text = ask()
            except smtplib.SMTPDataError as refused:
                code, text = refused.smtp_code, refused.smtp_error
            if code != 250:
                self.refusals.append((step, code, text))
                client.rset()
                return False
        self.accepted[name] = content
        return True

    def fill(self) -> None:
        """Send until nothing is accepted any more."""
        refused = 0
        while refused < FULL:
            refused = 0 if self.send(SIZES[self._number % len(SIZES)]) else refused + 1
            assert self._number < 10_000, "it was never full"

    def close(self) -> None:
        """Hang up."""
        self._client.close()


def enqueue(daemon: Daemon, content: str = "Subject: by command\n\nhi\n") -> subprocess.CompletedProcess[str]:
    """A message by ``jobctl enqueue``."""
    return daemon.command("enqueue", "--from", "a@x.example", "--to", "ann@fast.example", "-", input=content)


@pytest.mark.real
@pytest.mark.parametrize(
    ("free_space", "way_out"), [(0, "delivery"), (0, "deletion"), (64 * 1024 * 1024, "deletion")]
)
def test_a_full_disk_puts_mail_off_and_loses_none(tmp_path, disk, free_space, way_out):
    """
    Mail that finds the disk full is put off with 4xx, never refused; what was answered 250 is delivered once.

    New connections are answered meanwhile, and ``jobctl enqueue`` says in one line to try again.
    When mail has left, by delivery or by ``qm delete``, mail is accepted again without anybody's help.
    """
    sink = CollectingServer()
    try:
        with Daemon(
            tmp_path, configuration(free_space), measured=False, GATEWAY=sink.port, DISK=disk
        ) as daemon:
            assert not list(disk.iterdir()), "the daemon's file system is seen from outside"
            daemon.await_listening()
            assert daemon.command("qm", "stop", "tcp_gateway").returncode == 0
            filler = Filler(daemon.port)
            filler.fill()
            assert {code for _, code, _ in filler.refusals} == {452}, filler.refusals
            assert sum(map(len, filler.accepted.values())) > (MEGABYTES // 4) * 1024 * 1024

            filler.connect_again()
            assert not filler.send(SIZES[1])
            done = enqueue(daemon, "Subject: no room\n\n" + "x" * 200_000)
            assert (done.returncode, done.stdout) == (75, "")
            assert re.fullmatch(r"jobctl: .+\n", done.stderr), done.stderr
            assert daemon.summary()["tcp_gateway"]["messages"] == len(filler.accepted)

            if way_out == "delivery":
                assert daemon.command("qm", "start", "tcp_gateway").returncode == 0
                owed = dict(filler.accepted)
            else:
                done = daemon.command("qm", "delete", "-channel=tcp_gateway", "-all", "-noconfirm")
                assert done.returncode == 0, done.stderr
                owed = {}
            until(lambda: daemon.summary()["tcp_gateway"]["messages"] == 0, 60, daemon.log[-3000:])
            until(lambda: filler.send(SIZES[1]), 60, daemon.log[-3000:])
            assert filler.send(SIZES[0])
            assert enqueue(daemon).returncode == 0
            daemon.command("qm", "start", "tcp_gateway")
            until(lambda: daemon.summary()["tcp_gateway"]["messages"] == 0, 60, daemon.log[-3000:])
            filler.close()
            assert {code // 100 for _, code, _ in filler.refusals} == {4}
            owed |= dict(list(filler.accepted.items())[-2:])
            bodies = [taken.body for taken in sink.taken if b"filler.example" in taken.body[:100]]
            assert Counter(map(message_id, bodies)) == Counter(owed.keys())
            assert all(body == owed[message_id(body)] for body in bodies)
            assert len(sink.taken) == len(bodies) + 1
            assert "Traceback" not in daemon.log
    finally:
        sink.close()
