"""A day's accounts under the whole daemon: real programs, a real next hop, a crash, a moved log, a theft."""

import json
import signal
import smtplib
import socket
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.configurations import GATEWAY
from tests.daemon import Daemon, until
from tests.smtp_peers import CollectingServer

CONFIGURATION = (
    GATEWAY.replace("[job_controller]\n", '[job_controller]\njson_log = "events.json"\n', 1)
    + """
[mta]
log_format = 6
[defaults]
logging = true
"""
)


def answer(recipient: bytes) -> bytes:
    """The next hop knows no no@, and has no time for later@."""
    if b"no@" in recipient:
        return b"550 5.1.1 no such user\r\n"
    return b"450 4.2.0 later\r\n" if b"later@" in recipient else b""


def records(daemon: Daemon, name: str = "mail.log_current") -> list[dict[str, Any]]:
    path = daemon.directory / "var" / "log" / name
    # To the last line that is whole: it is being written.
    text = path.read_text().rpartition("\n")[0] if path.exists() else ""
    return [json.loads(line) for line in text.splitlines()]


def codes(daemon: Daemon, channel: str) -> list[str]:
    return [one["ac"] for one in records(daemon) if one["sc"] == channel]


def send(daemon: Daemon, *recipients: str) -> None:
    with smtplib.SMTP("127.0.0.1", daemon.port, "client.example") as client:
        text = b"Message-ID: <1@client.example>\r\nSubject: One\r\n\r\nHi\r\n"
        client.sendmail("ann@mail.example.org", list(recipients), text)


@pytest.mark.real
def test_the_accounts_of_a_day(tmp_path: Path) -> None:
    """Every step is on record, over kill -9 as well; the accounts agree, until somebody steals a message."""
    gateway = CollectingServer(answer)
    try:
        with Daemon(tmp_path, CONFIGURATION, GATEWAY=gateway.port) as daemon:
            daemon.await_listening()
            send(daemon, "bob@fast.example", "no@fast.example", "later@fast.example", "cy@partner.example")
            until(lambda: {"D", "R", "Z"} <= {code[0] for code in codes(daemon, "tcp_gateway")})
            until(lambda: "D" in codes(daemon, "maildir"), why="the notification is in ann's mailbox")
            until(lambda: "D" in "".join(codes(daemon, "test_smtp_gateway")))
            _check_records(daemon)
            _check_looks(daemon)
            daemon.kill()
            daemon.start()
            daemon.await_listening()
            # Others may move the log away; SIGHUP has it begin anew at once.
            log = tmp_path / "var" / "log" / "mail.log_current"
            log.rename(log.with_name("moved"))
            assert daemon.process is not None
            daemon.process.send_signal(signal.SIGHUP)
            until(lambda: "reloaded" in daemon.log)
            send(daemon, "bob@fast.example")
            until(lambda: "DE" in codes(daemon, "tcp_gateway"))
            assert daemon.command("ledger").returncode == 0
            with sqlite3.connect(tmp_path / "var" / "queue" / "queue.db") as thief:
                thief.execute("DELETE FROM entries WHERE channel = 'tcp_gateway'")
            thief.close()
            stolen = daemon.command("ledger")
            assert stolen.returncode == 70
            assert "channel tcp_gateway: 1 recipients are missing" in stolen.stderr
            until(lambda: "does not balance" in (tmp_path / "events.json").read_text())
    finally:
        gateway.close()
    events = [json.loads(line) for line in (tmp_path / "events.json").read_text().splitlines()]
    assert any(
        event["level"] == "critical" and event.get("missing") == {"tcp_gateway": 1} for event in events
    )


def _check_records(daemon: Daemon) -> None:
    told = [one for one in records(daemon) if one["el"] == "en"]
    came = [one for one in told if one["ac"] == "EE" and one["sc"] == "tcp_local"]
    assert {(one["dc"], one["de"]) for one in came} == {
        *(("tcp_gateway", f"{who}@fast.example") for who in ("bob", "no", "later")),
        ("test_smtp_gateway", "cy@partner.example"),
    }
    assert {(one["so"], one["mi"], one["ss"]) for one in came} == {
        ("ann@mail.example.org", "<1@client.example>", "client.example([127.0.0.1])")
    }
    by_who = {one["de"].split("@")[0]: one for one in told if one["sc"] == "tcp_gateway"}
    assert by_who["bob"]["ac"] == "DE" and by_who["bob"]["di"].startswith("dns;[127.0.0.1] smtp;250")
    assert by_who["no"]["ac"] == "RE" and by_who["no"]["di"].endswith("smtp;550 5.1.1 no such user")
    assert by_who["later"]["di"].endswith("smtp;450 4.2.0 later")
    connections = [one for one in records(daemon) if one["el"] == "co"]
    ours = [one for one in connections if one["sc"] == "tcp_local"]
    assert {one["dr"] for one in ours} == {"+"} and {one["ac"][0] for one in ours} == {"O", "C"}
    out = [one for one in connections if one["sc"] == "tcp_gateway" and one["ac"] == "OE"]
    assert out and all(one["dr"] == "-" and one["tr"].endswith(f"|127.0.0.1|{_port(daemon)}") for one in out)


def _port(daemon: Daemon) -> str:
    return daemon.config.read_text().rpartition("port = ")[2].split()[0]


def _check_looks(daemon: Daemon) -> None:
    (row,) = daemon.json("history", "--to", "no@", "--since", "10m")
    assert (row["what"], row["reply"], row["subject"]) == ("failed", "550 5.1.1 no such user", "One")
    (row,) = daemon.json("history", "--to", "later@", "--attempts")
    assert row["what"] == "delayed" and row["lines"][-1]["text"] == "450 4.2.0 later"
    counters = {row["channel"]: row for row in daemon.json("counters", "show")}
    assert counters["tcp_local"]["submitted"]["recipients"] == 4
    assert counters["tcp_gateway"]["failed"]["recipients"] == 1
    assert counters["tcp_gateway"]["stored"]["recipients"] == 1
    assert counters["tcp_local"]["in_associations"]["total"] >= 1
    assert counters["tcp_gateway"]["out_associations"]["total"] >= 1
    assert all(row["missing"] == 0 for row in daemon.json("ledger"))


@pytest.mark.real
@pytest.mark.parametrize("octets", [100, 700_000])
def test_a_client_that_goes_away(tmp_path: Path, octets: int) -> None:
    """V for a message that broke off, a small one and a large one, and why the connection was closed."""
    with Daemon(tmp_path, CONFIGURATION, GATEWAY=1) as daemon:
        daemon.await_listening()
        with (
            socket.create_connection(("127.0.0.1", daemon.port)) as client,
            client.makefile("rb") as stream,
        ):
            for said in (
                b"EHLO c.example",
                b"MAIL FROM:<a@a.example>",
                b"RCPT TO:<bob@fast.example>",
                b"DATA",
            ):
                client.sendall(said + b"\r\n")
            while not stream.readline().startswith(b"354"):
                pass
            client.sendall(b"Subject: x\r\n\r\n" + (b"x" * 98 + b"\r\n") * (octets // 100))
        until(lambda: "VE" in codes(daemon, "tcp_local"))
        until(lambda: "CE" in codes(daemon, "tcp_local"))
    (broken,) = [one for one in records(daemon) if one["ac"] == "VE"]
    assert (broken["so"], broken["de"], broken["dc"]) == ("a@a.example", "bob@fast.example", "")
    (closed,) = [one for one in records(daemon) if one["ac"] == "CE"]
    assert "peer" in closed["di"]
