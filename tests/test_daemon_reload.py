"""Reloads of a real daemon under load: no session dropped, no message lost, no attempt counted for it."""

import contextlib
import os
import signal
import smtplib
import threading
from pathlib import Path

import pytest

from jobctl.control.client import Client
from tests.configurations import GATEWAY
from tests.daemon import Daemon, until
from tests.ports import free_port
from tests.smtp_peers import CollectingServer

# 1000 for the long proof (docs/reload.md): JOBCTL_RELOADS=1000.
RELOADS = int(os.environ.get("JOBCTL_RELOADS", "40"))
TO = ["bob@mail.example.org", "bea@fast.example"]
WRONG = '\n[channel.x]\nnonsense = true\nport = "all"\n'
CONFIGURATION = GATEWAY.replace("@GATEWAY@", "9")


class Sender(threading.Thread):
    """Sends message after message over sessions of many messages each, until told to stop."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__(daemon=True)
        self.port, self.number = port, number
        self.sent = 0
        self.enough = threading.Event()
        self.trouble: list[str] = []

    def run(self) -> None:
        try:
            while not self.enough.is_set():
                self.session()
        except (OSError, smtplib.SMTPException) as why:
            self.trouble.append(repr(why))

    def session(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.port, timeout=60) as smtp:
            for _ in range(20):
                text = f"Subject: {self.number}.{self.sent}\r\n\r\nhello\r\n"
                smtp.sendmail("ann@a.example", TO, text)
                self.sent += 1
                if self.enough.is_set():
                    break


def subjects(server: CollectingServer) -> list[str]:
    """Of all that went out by SMTP."""
    return [taken.body.decode().splitlines()[0] for taken in list(server.taken)]


def contents(directory: Path) -> list[str]:
    """The subjects of all that was delivered."""
    found = []
    for path in (directory / "Maildir" / "new").iterdir():
        lines = path.read_text().splitlines()
        found.append(next(line for line in lines if line.startswith("Subject: ")))
    return found


@pytest.mark.timeout(max(240, RELOADS))
def test_reloads_under_load(tmp_path):
    """
    Some by signal, some by command, some of a wrong file; each time programs on both sides are replaced.

    An SMTP session that stands from the first to the last of them is served all the time.
    """
    sink = CollectingServer()
    with contextlib.closing(sink), Daemon(tmp_path, GATEWAY, measured=False, GATEWAY=sink.port) as daemon:
        daemon.await_listening()
        text = daemon.config.read_text()
        standing = smtplib.SMTP("127.0.0.1", daemon.port, timeout=60)
        standing.ehlo()
        clients = [Sender(daemon.port, number) for number in range(2)]
        for client in clients:
            client.start()
        for number in range(RELOADS):
            wrong = number % 5 == 4
            daemon.config.write_text(changed(text, number) + (WRONG if wrong else ""))
            if number % 2 and not wrong:
                before = daemon.log.count("reloaded by SIGHUP")
                daemon.process.send_signal(signal.SIGHUP)
                until(lambda seen=before: daemon.log.count("reloaded by SIGHUP") > seen, 60, "reloaded")
            else:
                with Client(str(tmp_path / "var" / "control.sock")) as asking:
                    outcome = asking.call("reload")
                assert outcome["applied"] is not wrong and len(outcome["problems"]) == 2 * wrong
            assert standing.noop()[0] == 250
        standing.sendmail("ann@a.example", TO, "Subject: standing\r\n\r\nhello\r\n")
        assert standing.quit()[0] == 221
        for client in clients:
            client.enough.set()
        for client in clients:
            client.join(60)
        assert [client.trouble for client in clients] == [[], []], daemon.log[-3000:]
        expected = ["Subject: standing"] + [
            f"Subject: {client.number}.{number}" for client in clients for number in range(client.sent)
        ]
        # The last file was wrong: who operates the daemon does not need it to be right.
        until(lambda: all(not row["messages"] for row in daemon.summary().values()), 120, "all is delivered")
        assert sorted(contents(tmp_path)) == sorted(expected)
        assert sorted(subjects(sink)) == sorted(expected)
        accounts = {row["channel"]: row for row in daemon.json("ledger")}
        for channel in ("maildir", "tcp_gateway"):
            assert accounts[channel]["accepted"] == len(expected)
            assert accounts[channel]["failed"] == accounts[channel]["expired"] == 0
        assert {row["attempts"] for row in daemon.json("history", "--limit", "100000")} == {1}
        assert not [line for line in daemon.log.splitlines() if "Traceback" in line or "killed by" in line]
        until(lambda: servers(daemon) == 1, 60, "former servers have gone")


def changed(text: str, number: int) -> str:
    """Another setting of the programs on either side; every third time another port beside."""
    text = text.replace(
        'relay_from = ["127.0.0.0/8"', f'relay_from = ["127.0.0.0/8", "192.0.2.{number % 200}"'
    )
    if number % 3 == 0:
        text = text.replace("[channel.l]", f"[mta]\nmax_received_lines = {60 + number % 30}\n[channel.l]")
    text = text.replace("[channel.tcp_gateway]", f"[channel.tcp_gateway]\nlinelimit = {5000 + number}")
    return text.replace(
        'maildir = "Maildir"', f'maildir = "Maildir"\nmaster_debug = {str(number % 2 == 0).lower()}'
    )


def servers(daemon: Daemon) -> int:
    return sum(row["role"] == "slave" for row in daemon.ask("qm.jobs"))


def test_signals_by_the_dozen_and_while_it_stops(tmp_path):
    """Twenty are one reload or a few; one that comes during the stop is no reason to die."""
    with Daemon(tmp_path, CONFIGURATION) as daemon:
        pid = daemon.process.pid
        for _ in range(20):
            os.kill(pid, signal.SIGHUP)
        until(lambda: "reloaded by SIGHUP" in daemon.log, 60, "reloaded")
        daemon.process.send_signal(signal.SIGTERM)
        for _ in range(20):
            os.kill(pid, signal.SIGHUP)
        assert daemon.process.wait(60) in (0, -signal.SIGTERM)
        assert "Traceback" not in daemon.log


def test_a_port_that_comes_and_goes(tmp_path):
    """``jobctl reload`` opens and closes ports; what it says is what happens."""
    with Daemon(tmp_path, CONFIGURATION) as daemon:
        text = daemon.config.read_text()
        port = free_port()
        service = f'\n[dispatcher.service.MORE]\nlisten = ["tcp:{port}:interface=127.0.0.1"]\n'
        daemon.config.write_text(text + service)
        (row,) = daemon.json("reload", "--dry-run")["changes"]
        assert (row["key"], row["effect"]) == ("dispatcher.service.MORE", "its port is opened")
        with pytest.raises(ConnectionRefusedError):
            smtplib.SMTP("127.0.0.1", port)
        done = daemon.command("reload")
        assert done.returncode == 0 and "1 change in force" in done.stdout, done.stderr
        with smtplib.SMTP("127.0.0.1", port, timeout=60) as smtp:
            daemon.config.write_text(text)
            assert daemon.command("reload").returncode == 0
            assert smtp.noop()[0] == 250, "the session goes on"
            with pytest.raises(ConnectionRefusedError):
                smtplib.SMTP("127.0.0.1", port)


def test_a_service_of_a_generic_channel(tmp_path):
    """It accepts by the new settings; its sessions, a program each, go on when it is no more."""
    with Daemon(tmp_path, CONFIGURATION) as daemon:
        text = daemon.config.read_text()
        port = free_port()
        service = (
            '\n[channel.test_smtp_in]\nofficial_host_name = "generic"\nsmtp = true\n'
            f'[dispatcher.service.GENERIC]\nlisten = ["tcp:{port}:interface=127.0.0.1"]\n'
            'channel = "test_smtp_in"\nmax_conns = 1\n'
        )
        daemon.config.write_text(text + service)
        assert daemon.command("reload").returncode == 0
        with smtplib.SMTP("127.0.0.1", port, timeout=60) as first:
            with pytest.raises(smtplib.SMTPConnectError):
                smtplib.SMTP("127.0.0.1", port, timeout=60)
            daemon.config.write_text(text + service.replace("max_conns = 1", "max_conns = 2"))
            assert daemon.command("reload").returncode == 0
            with smtplib.SMTP("127.0.0.1", port, timeout=60) as second:
                daemon.config.write_text(text)
                assert daemon.command("reload").returncode == 0
                with pytest.raises(ConnectionRefusedError):
                    smtplib.SMTP("127.0.0.1", port)
                assert (first.noop()[0], second.noop()[0]) == (250, 250)
