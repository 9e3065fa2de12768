"""A daemon that runs out of descriptors: what it cannot do is put off, and it recovers by itself."""

import contextlib
import resource
import socket

import pytest

from tests.configurations import GATEWAY
from tests.daemon import Daemon, until

LIMIT = 64


def reply(client: socket.socket, command: bytes) -> bytes:
    client.sendall(command)
    return client.recv(4096)


@pytest.mark.real
def test_out_of_descriptors(tmp_path):
    """Clients take them all: mail is answered with 4xx at worst, and all goes on once they are gone."""
    with Daemon(tmp_path, GATEWAY, GATEWAY=1) as daemon, contextlib.ExitStack() as crowd:
        daemon.await_listening()
        assert daemon.process is not None
        _, hard = resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (LIMIT, hard))
        path = str(tmp_path / "var" / "control.sock")
        for _ in range(2 * LIMIT):
            client = crowd.enter_context(socket.socket(socket.AF_UNIX))
            client.settimeout(20)
            client.connect(path)
        # Those beyond the limit are turned away, so the last one is told the end of it.
        assert client.recv(100) == b""
        refused = daemon.command("qm", "summarize", "-database")
        assert refused.returncode in (69, 75, 76) and refused.stderr.count("\n") == 1, refused
        with socket.create_connection(("127.0.0.1", daemon.port), 20) as smtp:
            smtp.settimeout(20)
            assert smtp.recv(4096).startswith(b"220")
            reply(smtp, b"EHLO x\r\n")
            reply(smtp, b"MAIL FROM:<a@x.example>\r\n")
            assert reply(smtp, b"RCPT TO:<b@mail.example.org>\r\n").startswith(b"250")
            reply(smtp, b"DATA\r\n")
            # Below the limit of the store's looks it is taken, at it there may be no room for them.
            taken = reply(smtp, b"Subject: x\r\n\r\nhi\r\n.\r\n")[:1]
            assert taken in (b"2", b"4")
        crowd.close()
        until(lambda: daemon.command("qm", "summarize", "-database").returncode == 0)

        def queued() -> bool:
            words = ("enqueue", "--from", "a@x.example", "--to", "b@mail.example.org", "-")
            return daemon.command(*words, input="Subject: y\n\nhi\n").returncode == 0

        until(queued)
        landed = 2 if taken == b"2" else 1
        until(lambda: len(list((tmp_path / "Maildir" / "new").glob("*"))) == landed, 60, daemon.log[-2000:])
