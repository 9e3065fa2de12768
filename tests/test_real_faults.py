"""Destinations that are down, busy, silent or choosy, and what the whole daemon makes of them."""

import contextlib
import re
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobctl.config.loader import load
from jobctl.control.client import Client
from tests.configurations import GATEWAY
from tests.daemon import Daemon, until
from tests.smtp_peers import CollectingServer, message_id

# Address literals are destinations of their own, and all of 127.0.0.0/8 is this machine.
GOOD, FAULTY = "[127.0.0.1]", "[127.0.0.2]"
DIRECT = GATEWAY.replace(
    "[rewrite]",
    """
[channel.tcp_direct]
official_host_name = "direct-daemon"
smtp = true
port = @GATEWAY@
backoff = ["PT2S"]
options = { TIMEOUT_MULTIPLIER = 1, STATUS_MAIL_RECEIVE_TIME = 6 }
[rewrite]
"[]" = "tcp_direct"
""",
)
SOON = GATEWAY.replace("[channel.tcp_gateway]", '[channel.tcp_gateway]\nbackoff = ["PT1S"]')


@pytest.fixture
def sink() -> Iterator[CollectingServer]:
    """The destination that works."""
    server = CollectingServer()
    yield server
    server.close()


def enqueue(daemon: Daemon, *to: str, subject: str = "s") -> str:
    """Queue a message; gives its id."""
    content = f"Message-ID: <{subject}@test.example>\n\nhi\n".encode()
    with Client(load(str(daemon.config)).controller.control_socket) as client:
        (entry,) = client.enqueue("ann@mail.example.org", to, content)
    return entry


def host(daemon: Daemon, name: str) -> dict[str, object]:
    """A destination's line of ``qm messages``."""
    rows = {row["host"]: row for row in daemon.ask("qm.messages", channel="tcp_direct")}
    return rows.get(name, {})


@pytest.mark.real
def test_a_destination_that_is_down_is_left_alone_and_tried_again(tmp_path, sink):
    """
    Connection refused: all mail for the host is delayed, no attempt counts, the reason is in its history.

    Others are served meanwhile; when the host comes up, it gets everything, once, by itself.
    """
    up = None
    try:
        with Daemon(tmp_path, DIRECT, GATEWAY=sink.port) as daemon:
            entries = [enqueue(daemon, f"b@{FAULTY}", subject=f"m{number}") for number in range(3)]
            until(lambda: host(daemon, FAULTY).get("delayed") == 3, 60, daemon.log[-2000:])
            tried = until(
                lambda: [line for entry in entries for line in daemon.ask("qm.history", ids=[entry])],
                60,
                daemon.log[-2000:],
            )
            assert all("refused" in line["text"].lower() for line in tried), tried
            rows = daemon.json("qm", "directory", "tcp_direct")
            assert [(row["id"], row["host"], row["attempts"]) for row in rows] == [
                (entry, FAULTY, 0) for entry in entries
            ]
            enqueue(daemon, f"c@{GOOD}", subject="good")
            until(lambda: sink.taken, 60, daemon.log[-2000:])
            # What the sink has taken may still have to be recorded.
            until(lambda: daemon.summary()["tcp_direct"]["messages"] == 3, 60, daemon.log[-2000:])
            up = CollectingServer(address=("127.0.0.2", sink.port))
            until(lambda: daemon.summary()["tcp_direct"]["messages"] == 0, 60, daemon.log[-2000:])
            arrived = Counter(message_id(taken.content) for taken in up.taken)
            assert arrived == Counter(f"<m{number}@test.example>" for number in range(3))
            assert [message_id(taken.content) for taken in sink.taken] == ["<good@test.example>"]
    finally:
        if up is not None:
            up.close()


@pytest.mark.real
def test_a_recipient_put_off_is_counted_and_tried_again(tmp_path):
    """4xx at RCPT: attempts and last reply are in ``qm directory``, each try in the history, until it works."""
    busy = True
    asked: list[bytes] = []

    def refuse(recipient: bytes) -> bytes:
        asked.append(recipient)
        return b"450 4.2.1 mailbox busy, please wait\r\n" if busy else b""

    sink = CollectingServer(refuse)
    try:
        with Daemon(tmp_path, SOON, GATEWAY=sink.port) as daemon:
            entry = enqueue(daemon, "b@fast.example")

            def tried_twice() -> dict[str, object] | None:
                (row,) = daemon.ask("qm.directory", channel="tcp_gateway")
                return row if row["attempts"] >= 2 else None

            row = until(tried_twice, 60, daemon.log[-2000:])
            assert row["last_reply"] == "450 4.2.1 mailbox busy, please wait"
            assert row["recipients"] == ["b@fast.example"]
            assert len(asked) >= row["attempts"]
            history = daemon.json("qm", "history", entry)
            assert len(history) >= 2
            assert {(line["what"], line["recipient"]) for line in history} == {("deferred", "b@fast.example")}
            assert all("450 4.2.1 mailbox busy" in line["text"] for line in history), history
            assert not sink.taken
            busy = False
            until(lambda: daemon.summary()["tcp_gateway"]["messages"] == 0, 60, daemon.log[-2000:])
            assert len(sink.taken) == 1
    finally:
        sink.close()


@pytest.mark.real
def test_of_several_recipients_only_the_one_put_off_stays(tmp_path):
    """One is taken, one put off, one refused: they are delivered once, tried again, and told to the sender."""
    busy = True

    def refuse(recipient: bytes) -> bytes:
        if b"bad@" in recipient:
            return b"550 5.1.1 nobody here\r\n"
        return b"451 4.3.2 later\r\n" if b"later@" in recipient and busy else b""

    sink = CollectingServer(refuse)
    people = [f"{name}@fast.example" for name in ("good", "later", "bad")]
    try:
        with Daemon(tmp_path, SOON, GATEWAY=sink.port) as daemon:
            entry = enqueue(daemon, *people)

            def left() -> dict[str, object] | None:
                (row,) = daemon.ask("qm.directory", channel="tcp_gateway")
                return row if row["attempts"] else None

            row = until(left, 60, daemon.log[-2000:])
            assert (row["id"], row["recipients"]) == (entry, ["later@fast.example"])
            assert row["last_reply"] == "451 4.3.2 later"
            history = daemon.json("qm", "history", entry)
            assert {("later@fast.example", "deferred"), ("bad@fast.example", "failed")} <= {
                (line["recipient"], line["what"]) for line in history
            }
            reached = next(line for line in history if line["recipient"] == "good@fast.example")
            assert reached["what"] in ("delivered", "relayed") and reached["text"].startswith("250 ")
            assert reached["host"] and reached["job"]
            busy = False
            until(lambda: daemon.summary()["tcp_gateway"]["messages"] == 0, 60, daemon.log[-2000:])
            assert [taken.recipients for taken in sink.taken] == [
                [b"good@fast.example"],
                [b"later@fast.example"],
            ]
            landed = until(lambda: list(Path(tmp_path / "Maildir/new").glob("*")), 60, daemon.log[-2000:])
            (notice,) = [path.read_bytes() for path in landed]
            assert re.findall(rb"(?im)^Final-Recipient: *rfc822; *(\S+)", notice) == [b"bad@fast.example"]
    finally:
        sink.close()


@pytest.mark.real
def test_silent_destinations_do_not_delay_the_others(tmp_path, sink):
    """
    More hosts than a program has connections accept one, and then say nothing at all.

    Mail for another host of the same channel is delivered before any of them is given up; they are, in
    their own time, and their mail stays.
    """
    count = 12
    with contextlib.ExitStack() as listeners:
        silent = {}
        for number in range(2, 2 + count):
            listener = listeners.enter_context(socket.create_server((f"127.0.0.{number}", sink.port)))
            silent[f"[127.0.0.{number}]"] = listener
        with Daemon(tmp_path, DIRECT, GATEWAY=sink.port) as daemon:
            entries = [enqueue(daemon, f"b@{name}") for name in silent]
            # The first of them is connected to and waits: the program is at work.
            first, _ = silent["[127.0.0.2]"].accept()
            listeners.enter_context(first)
            for number in range(20):
                enqueue(daemon, f"c@{GOOD}", subject=f"m{number}")
            until(lambda: len(sink.taken) == 20, 60, daemon.log[-2000:])
            assert not daemon.json("qm", "history", entries[0])
            until(
                lambda: (
                    {row["id"] for row in daemon.ask("qm.directory", channel="tcp_direct")} == set(entries)
                ),
                60,
                daemon.log[-2000:],
            )
            until(lambda: daemon.ask("qm.history", ids=[entries[0]]), 60, daemon.log[-2000:])
            line, *_ = daemon.json("qm", "history", entries[0])
            assert line["what"] == "deferred" and line["text"].startswith("timeout"), line
            assert daemon.summary()["tcp_direct"]["messages"] == count
