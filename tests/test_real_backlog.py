"""A daemon that comes back to a backlog, and one that is stopped in the middle of its work."""

import signal
import smtplib
from collections import Counter

import pytest

from jobctl.commands.main import main
from jobctl.config.loader import load
from jobctl.control.client import CONNECT, Client
from jobctl.control.refusals import NoAnswer
from tests.configurations import GATEWAY
from tests.daemon import Daemon, until
from tests.smtp_peers import CollectingServer, message_id

MESSAGES = 3000
URGENT = 30
# One connection, so that the order in which messages leave is that in which they arrive.
ONE_BY_ONE = GATEWAY.replace(
    "[channel.tcp_gateway]",
    "[channel.tcp_gateway]\nmaxjobs = 1\noptions = { MAX_CLIENT_THREADS = 1 }",
)


def named(name: str) -> bytes:
    """A message that can be told from others."""
    return f"Message-ID: <{name}@test.example>\r\n\r\nhello\r\n".encode()


def control_socket(daemon: Daemon) -> str:
    """Where its commands go."""
    return load(str(daemon.config)).controller.control_socket


@pytest.mark.real
def test_a_backlog_survives_kill_and_leaves_once_the_urgent_first(tmp_path):
    """
    3,000 messages for a stopped channel, then kill -9: the next start is ready with all of them.

    After ``qm start`` each arrives once, and the urgent ones, queued last, before all others.
    """
    sink = CollectingServer()
    try:
        with Daemon(tmp_path, ONE_BY_ONE, measured=False, GATEWAY=sink.port) as daemon:
            daemon.await_listening()
            assert daemon.command("qm", "stop", "tcp_gateway").returncode == 0
            normal = [f"n{number}" for number in range(MESSAGES - URGENT)]
            with smtplib.SMTP("127.0.0.1", daemon.port, local_hostname="client.example") as client:
                for name in normal:
                    assert not client.sendmail("a@x.example", ["b@fast.example"], named(name))
            urgent = [f"u{number}" for number in range(URGENT)]
            with Client(control_socket(daemon)) as queue:
                for name in urgent:
                    queue.enqueue("a@x.example", ["b@fast.example"], named(name), priority="urgent")
            daemon.kill()
            daemon.start()
            row = daemon.summary()["tcp_gateway"]
            assert (row["messages"], row["stopped"], row["held"]) == (MESSAGES, True, 0)
            assert not sink.taken
            assert daemon.command("qm", "start", "tcp_gateway").returncode == 0
            until(lambda: daemon.summary()["tcp_gateway"]["messages"] == 0, 60, daemon.log[-2000:])
            arrived = [message_id(taken.body) for taken in sink.taken]
            assert Counter(arrived) == Counter(f"<{name}@test.example>" for name in (*urgent, *normal))
            assert arrived == [f"<{name}@test.example>" for name in (*urgent, *normal)]
    finally:
        sink.close()


@pytest.mark.real
def test_a_command_does_not_hang_on_a_daemon_that_is_stopped(tmp_path, monkeypatch, capsys):
    """SIGSTOP: a command gives up by itself with status 75 and one line; after SIGCONT all goes on."""
    daemon = Daemon(tmp_path, GATEWAY, GATEWAY=1)
    message = tmp_path / "message.eml"
    message.write_bytes(named("one"))
    words = ["--config", str(daemon.config)]
    with daemon:
        assert daemon.command("qm", "stop", "tcp_gateway").returncode == 0
        assert daemon.process is not None
        # The commands wait as long as this says, and have no option for it.
        monkeypatch.setattr(Client.__init__, "__defaults__", (CONNECT, 0.5))
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            for command in (
                ["enqueue", "--from", "a@x.example", "--to", "b@fast.example", str(message)],
                ["qm", "summarize"],
                ["run", "tcp_gateway"],
            ):
                assert main([*words, *command]) == 75
                said = capsys.readouterr()
                assert said.out == ""
                assert said.err.startswith("jobctl: ") and said.err.count("\n") == 1
                assert "has not answered for 0.5 seconds" in said.err
            with pytest.raises(NoAnswer):
                Client(control_socket(daemon)).call("version")
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        done = daemon.command("enqueue", "--from", "a@x.example", "--to", "b@fast.example", str(message))
        assert done.returncode == 0
        # What had been handed over completely when its sender gave up may be there, too.
        assert daemon.summary()["tcp_gateway"]["messages"] in (1, 2)
