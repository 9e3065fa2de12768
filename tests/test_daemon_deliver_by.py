"""Deadlines (DELIVERBY, RFC 2852) by real mail, through both client programs and both server programs."""

import re
import smtplib
from pathlib import Path

import pytest

from tests.configurations import GATEWAY
from tests.daemon import Daemon, until
from tests.notification_case import read, status_groups
from tests.smtp_peers import CollectingServer

PEER = """
[channel.{name}]
official_host_name = "{name}-daemon"
smtp = true
daemon = "[127.0.0.1]"
port = {port}
"""
ANN = "ann@mail.example.org"


def configuration(timed: int, plain: int) -> str:
    """Four ways out: two programs, each to a peer that offers DELIVERBY and to one that does not."""
    text = GATEWAY.replace("@GATEWAY@", "1").replace(
        '[channel.tcp_local]\nofficial_host_name = "tcp-daemon"',
        '[channel.tcp_local]\ndeliverby = 2\nofficial_host_name = "tcp-daemon"',
    )
    ways = {
        f"{program}_{peer}": port
        for program in ("tcp", "test_smtp")
        for peer, port in (("timed", timed), ("plain", plain))
    }
    channels = "".join(PEER.format(name=name, port=port) for name, port in ways.items())
    rules = "".join(f'"{name.replace("_", "-")}.example" = "{name}"\n' for name in ways)
    return text.replace("[rewrite]\n", f"{channels}[rewrite]\n{rules}")


def told(directory: Path) -> set[tuple[str, str, str]]:
    """Recipient, action and status of all notifications in the sender's mailbox."""
    found = set()
    for path in directory.glob("Maildir/new/*"):
        _, *groups = status_groups(read(path.read_bytes()))
        found |= {
            (one["Final-Recipient"].partition(";")[2], one["Action"], one["Status"].split()[0])
            for one in groups
        }
    return found


@pytest.mark.real
def test_with_and_without_peers_that_mind_it(tmp_path: Path) -> None:
    """The time left goes on; what must come back in time comes back; who asked hears of relays."""
    timed, plain = CollectingServer(dsn=True, offers=b"DELIVERBY 30"), CollectingServer(dsn=True)
    try:
        with Daemon(tmp_path, configuration(timed.port, plain.port)) as daemon:
            daemon.await_listening()
            with smtplib.SMTP("127.0.0.1", daemon.port, "client.example") as client:
                client.ehlo()
                assert client.esmtp_features["deliverby"] == "2"
                with pytest.raises(smtplib.SMTPResponseException, match="555"):
                    client.sendmail(ANN, ["x@tcp-timed.example"], b"\r\nx\r\n", ["BY=1;R"])
                for program in ("tcp", "test-smtp"):
                    for user, by in (("r", "600;R"), ("n", "600;N"), ("rt", "600;RT"), ("soon", "29;R")):
                        for peer in ("timed", "plain"):
                            to = f"{user}@{program}-{peer}.example"
                            client.sendmail(ANN, [to], b"Subject: x\r\n\r\nx\r\n", [f"BY={by}"])
            expected = set()
            for program in ("tcp", "test-smtp"):
                expected |= {
                    (f"soon@{program}-timed.example", "failed", "5.4.7"),
                    (f"rt@{program}-timed.example", "relayed", "2.0.0"),
                    (f"n@{program}-plain.example", "relayed", "2.0.0"),
                    *((f"{user}@{program}-plain.example", "failed", "5.4.7") for user in ("r", "rt", "soon")),
                }
            until(lambda: told(tmp_path) >= expected)
            daemon.command("qm", "stop", "tcp_plain")
            with smtplib.SMTP("127.0.0.1", daemon.port, "client.example") as client:
                client.sendmail(ANN, ["late@tcp-plain.example"], b"Subject: x\r\n\r\nx\r\n", ["BY=2;R"])
            expected.add(("late@tcp-plain.example", "failed", "5.4.7"))
            until(lambda: told(tmp_path) >= expected)
            until(lambda: not sum(row["messages"] for row in daemon.summary().values()))
            assert told(tmp_path) == expected
    finally:
        timed.close()
        plain.close()
    by_user = {one.recipients[0].decode(): one for one in timed.taken}
    for program in ("tcp", "test-smtp"):
        for user, end in (("r", ";R"), ("n", ";N"), ("rt", ";RT")):
            said = re.search(rb" BY=(\S+?)(;\S+)", by_user[f"{user}@{program}-timed.example"].sender)
            assert said is not None and 0 < int(said[1]) <= 600 and said[2].decode() == end
    assert len(timed.taken) == 6
    assert sorted(one.recipients[0] for one in plain.taken) == [
        b"n@tcp-plain.example",
        b"n@test-smtp-plain.example",
    ]
    for one in plain.taken:
        assert b" BY=" not in one.sender and b" NOTIFY=FAILURE,DELAY" in one.lines[0]


@pytest.mark.real
def test_with_the_generic_server_and_the_command_line(tmp_path: Path) -> None:
    """The generic server offers it too; ``enqueue --by`` sets one; explain tells of both."""
    text = configuration(1, 1).replace('channel = "tcp_local"', 'channel = "test_smtp_in"')
    text = text.replace(
        "[rewrite]",
        '[channel.test_smtp_in]\nofficial_host_name = "in-daemon"\nsmtp = true\ndeliverby = 0\n[rewrite]',
    )
    with Daemon(tmp_path, text) as daemon:
        daemon.await_listening()
        for channel in ("tcp_plain", "tcp_timed"):
            daemon.command("qm", "stop", channel)
        with smtplib.SMTP("127.0.0.1", daemon.port, "client.example") as client:
            client.ehlo()
            assert client.esmtp_features["deliverby"] == ""
            client.sendmail(ANN, ["a@tcp-plain.example"], b"\r\nx\r\n", ["BY=900;RT"])
        message = tmp_path / "message.eml"
        message.write_text("Subject: x\n\nx\n")
        words = ("enqueue", "--from", ANN, "--to", "b@tcp-timed.example", "--by")
        for by, meant in (("900", "900;R"), ("900nt", "900;NT"), ("900;N", "900;N"), ("=-5N", "-5;N")):
            given = (*words[:-1], f"--by{by}") if by[0] == "=" else (*words, by)
            (id,) = daemon.json(*given, str(message))
            assert f"BY={meant}" in daemon.json("explain", id)["notes"][0]
        (waiting,) = daemon.json("qm", "directory", "tcp_plain")
        row = daemon.json("explain", waiting["id"])
        assert "because its sender asked for BY=900;RT" in row["at_expiry"]
        assert row["expires"] == pytest.approx(row["enqueued"] + 900)
