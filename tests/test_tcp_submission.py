"""Submissions to the real server: who may, what is added, and what a header must be like."""

from pathlib import Path
from typing import Any

import pytest

from jobctl.sasl.secrets import scrypt_line
from tests.tcp_support import Intake, channel, service
from tests.test_tcp_server import Client, Server

# \0ann\0sesame
PLAIN = "AUTH PLAIN AGFubgBzZXNhbWU="


@pytest.fixture
def how(tmp_path: Path) -> Any:
    (tmp_path / "users").write_text(f"ann:{scrypt_line('sesame')}\n")
    return service(password_file=str(tmp_path / "users"), plaintext_auth=True, relay_from=("127.0.0.2",))


def submit(client: Client, content: bytes, *before: str) -> str:
    client.reply()
    client.say("EHLO client.example", *before)
    for line in ("MAIL FROM:<ann>", "RCPT TO:<bob@b.example>", "DATA"):
        reply = client.say(line)
        if reply[0] not in "23":
            return reply
    return client.content(content)


def test_only_who_is_known(how: Any) -> None:
    """A channel for submissions takes mail after AUTH or from relay_from, and from nobody else."""
    intake = Intake()
    with Server(intake, how, keywords={"maysaslserver": True}, submit=True) as server:
        with Client(server.address) as client:
            assert submit(client, b"\r\n").startswith("530 5.7.0")
        with Client(server.address) as client:
            assert submit(client, b"Subject: t\r\n\r\n", PLAIN).startswith("250")
        with Client(server.address, "127.0.0.2") as client:
            assert submit(client, b"Date: x\r\n\r\nbody\r\n").startswith("250")
    (_, first), (_, second) = intake.messages
    assert first.count(b"\r\nDate: ") == first.count(b"\r\nMessage-ID: <") == 1
    assert first.endswith(b"Subject: t\r\n\r\n") and b"Sender" not in first
    assert second.endswith(b"\r\nDate: x\r\n\r\nbody\r\n") and second.count(b"Date:") == 1


def test_the_sender(how: Any) -> None:
    """authrewrite tells who it was where From does not, after AUTH on the channel that AUTH leads to."""
    intake = Intake()
    auth = channel(
        name="tcp_auth", keywords={"mustsaslserver": True}, authrewrite=1, defaulthost=("a.example",)
    )
    changes = {"keywords": {"maysaslserver": True}, "saslswitchchannel": "tcp_auth", "others": (auth,)}
    with Server(intake, how, **changes) as server:
        with Client(server.address) as client:
            assert submit(client, b"From: boss@a.example\r\n\r\n", PLAIN).startswith("250")
        with Client(server.address) as client:
            assert submit(client, b"From: boss@a.example\r\nSender: x@x\r\n\r\n", PLAIN).startswith("250")
        with Client(server.address, "127.0.0.2") as client:
            assert submit(client, b"From: boss@a.example\r\n\r\n").startswith("250")
    first, second, third = (content.partition(b"\r\n")[2] for _, content in intake.messages)
    assert first.endswith(b"\r\nSender: ann@a.example\r\nFrom: boss@a.example\r\n\r\n")
    assert second.endswith(b"\r\nSender: ann@a.example\r\nFrom: boss@a.example\r\n\r\n")
    assert b"Sender" not in third and b"Date: " not in first
    # MAIL FROM:<ann> got the domain of the channel, and the name of this host where that says none.
    senders = [frame.envelope.sender for frame, _ in intake.messages]
    assert senders == ["ann@a.example", "ann@a.example", "ann@mail.example.org"]


def test_a_header_that_never_ends(how: Any) -> None:
    """A message whose header is beyond measure is refused, nothing of it is taken, and the session goes on."""
    intake = Intake()
    with Server(intake, how, submit=True) as server, Client(server.address, "127.0.0.2") as client:
        long = b"".join(b"X-%d: %b\r\n" % (number, b"y" * 900) for number in range(700))
        assert submit(client, long + b"\r\nbody\r\n") == "554 5.6.0 The header is too long to be completed."
        client.say("MAIL FROM:<a@b.example>", "RCPT TO:<bob@b.example>", "DATA")
        assert client.content(b"Subject: t\r\n\r\n" + b"z" * 70 + b"\r\n").startswith("250")
    assert len(intake.messages) == 1 and intake.aborted == 0


def test_large_submissions(how: Any) -> None:
    """The fields stand before a message of many pieces, all of which arrive."""
    intake = Intake()
    body = b"Subject: t\r\n\r\n" + (b"x" * 98 + b"\r\n") * 8000
    with Server(intake, how, submit=True) as server, Client(server.address, "127.0.0.2") as client:
        assert submit(client, body).startswith("250")
    ((_, content),) = intake.messages
    assert content.endswith(body) and b"\r\nMessage-ID: <" in content[:1000]


@pytest.mark.parametrize(
    ("changes", "there", "missing"),
    [
        ({}, b"for <bob@b.example>", b"envelope-from"),
        ({"receivedfor": False}, b"Received:", b"bob@"),
        ({"receivedfrom": True}, b"(envelope-from <ann@mail.example.org>)", b"Sender"),
    ],
)
def test_trace(changes: dict[str, Any], there: bytes, missing: bytes) -> None:
    """noreceivedfor and receivedfrom say what stands in Received."""
    intake = Intake()
    with Server(intake, **changes) as server, Client(server.address) as client:
        assert submit(client, b"\r\n").startswith("250")
    assert there in intake.messages[0][1] and missing not in intake.messages[0][1]
