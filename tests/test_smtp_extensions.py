"""What EHLO offers beyond the basics, and what of it reaches the envelope and the next hop."""

from typing import Any

import pytest

from jobctl.mail.disposition import Verdict
from jobctl.mail.envelope import Envelope, Recipient
from jobctl.smtp.client import ClientDialogue
from jobctl.smtp.client_config import ClientConfig
from jobctl.smtp.events import Done, Event, SessionFailed
from jobctl.smtp.questions import Dropped, Finished, Piece
from tests.smtp_dialogues import Server, channel

UTF8 = {"utf8negotiate": True}


def finished(server: Server) -> list[Finished]:
    return [one for one in server.asked if isinstance(one, Finished)]


def offers(server: Server) -> set[str]:
    return {line[4:].partition(" ")[0] for line in server.greeting.split("\n")[1:] if line}


def test_nothing_is_offered_that_was_not_asked_for() -> None:
    """SMTPUTF8, MT-PRIORITY, FUTURERELEASE, XLOOP, STARTTLS and AUTH need their configuration."""
    found = offers(Server())
    assert found == {
        *(
            "8BITMIME",
            "PIPELINING",
            "CHUNKING",
            "DSN",
            "ENHANCEDSTATUSCODES",
            "HELP",
            "ETRN",
            "LIMITS",
            "SIZE",
        )
    }


@pytest.mark.parametrize(
    ("parameter", "without"),
    [
        ("SMTPUTF8", "555 5.5.4"),
        ("MT-PRIORITY=3", "555 5.5.4"),
        ("HOLDFOR=60", "555 5.5.4"),
        ("AUTH=<>", "555 5.5.4"),
    ],
)
def test_parameters_need_their_extension(parameter: str, without: str) -> None:
    """A parameter of an extension that was not offered is told to be unknown."""
    assert Server().say(f"MAIL FROM:<a@b.example> {parameter}").startswith(without)


@pytest.mark.parametrize(
    ("parameter", "reply"),
    [
        ("MT-PRIORITY=9", "250"),
        ("MT-PRIORITY=-9", "250"),
        ("MT-PRIORITY=10", "501 5.5.4"),
        ("MT-PRIORITY=-0", "501 5.5.4"),
        ("SMTPUTF8=yes", "501 5.5.4"),
        ("BODY=BINARYMIME", "501 5.6.3"),
    ],
)
def test_values(parameter: str, reply: str) -> None:
    """Each value is checked where it is given."""
    server = Server(keywords=UTF8 | {"mtpriority": True})
    assert server.say(f"MAIL FROM:<a@b.example> {parameter}").startswith(reply)


def test_addresses_in_utf8() -> None:
    """With SMTPUTF8 given, addresses may be in UTF-8 and arrive as they were written; without it they may not."""
    server = Server(keywords=UTF8)
    assert server.say("MAIL FROM:<jürgen@büro.example>").startswith("553 5.6.7")
    assert (
        server.say("MAIL FROM:<a@b.example>", "RCPT TO:<jürgen@büro.example>")
        .split("\n")[1]
        .startswith("553 5.6.7")
    )
    server.say("RSET")
    assert server.say(
        "MAIL FROM:<jürgen@büro.example> SMTPUTF8",
        "RCPT TO:<用户@例え.example>",
        "DATA",
        "Subject: x",
        "",
        ".",
    ).endswith("250 2.5.0 Ok.")
    envelope = finished(server)[0].envelope
    assert envelope.smtputf8
    assert envelope.sender == "jürgen@büro.example"
    assert envelope.recipients[0].address == "用户@例え.example"
    assert Server(keywords=UTF8).send(b"MAIL FROM:<\xff@b.example> SMTPUTF8\r\n").startswith("553 5.6.7")


def test_limits_are_told() -> None:
    """A client learns of limits before it meets them (RFC 9422)."""
    server = Server(transactionlimit=5)
    assert "250-LIMITS MAILMAX=5 RCPTMAX=128" in server.greeting


class Client:
    """A client dialogue and the events of it."""

    def __init__(self, *extensions: str, loop: str = "", **keywords: Any) -> None:
        config = ClientConfig(helo="c.example", channel=channel(**keywords), loop=loop)
        self.dialogue = ClientDialogue(config)
        self.hear("220 peer.example ESMTP")
        self.dialogue.take_output()
        self.hear("\r\n".join(["250-peer.example", *(f"250-{one}" for one in extensions), "250 HELP"]))
        self.dialogue.take_output()

    def hear(self, reply: str) -> None:
        self.dialogue.receive(f"{reply}\r\n".encode())

    def events(self) -> list[Event]:
        found = []
        while (event := self.dialogue.next_event()) is not None:
            found.append(event)
        return found

    def begin(self, envelope: Envelope) -> bytes:
        self.dialogue.begin("Q1", envelope, 100)
        return self.dialogue.take_output()


INTERNATIONAL = Envelope(sender="jürgen@büro.example", recipients=(Recipient("a@b.example"),), smtputf8=True)


def test_utf8_goes_where_it_is_offered() -> None:
    """The sender's address goes as it is, with SMTPUTF8, and is never mangled into something else."""
    sent = Client("SMTPUTF8").begin(INTERNATIONAL)
    assert sent.startswith("MAIL FROM:<jürgen@büro.example> SMTPUTF8\r\n".encode())


def test_utf8_fails_clearly_where_it_is_not() -> None:
    """The verdict says what is missing (RFC 6531 section 3.5); nothing is sent."""
    client = Client("PIPELINING")
    assert client.begin(INTERNATIONAL) == b""
    (done,) = [event for event in client.events() if isinstance(event, Done)]
    (verdict,) = done.dispositions
    assert (verdict.verdict, verdict.status) == (Verdict.FAILED, "5.6.7")
    assert "SMTPUTF8, which the next hop does not offer" in verdict.reply


def test_priority_is_passed_on() -> None:
    """MT-PRIORITY goes with the message to a next hop that knows it."""
    envelope = Envelope(sender="a@b.example", recipients=(Recipient("a@b.example"),), mt_priority=-3)
    assert b"MT-PRIORITY=-3" in Client("MT-PRIORITY").begin(envelope)
    assert b"MT-PRIORITY" not in Client("SIZE").begin(envelope)


@pytest.mark.parametrize(("keywords", "fails"), [({"loopcheck": True}, True), ({}, False)])
def test_our_own_server_is_recognised(keywords: dict[str, object], fails: bool) -> None:
    """With loopcheck a next hop that is ourselves ends in 5.4.6 instead of a loop."""
    token = "0123456789ABCDEF0123456789ABCDEF"
    found = Client(f"XLOOP {token}", loop=token, keywords=keywords).events()
    failed = [event for event in found if isinstance(event, SessionFailed)]
    assert bool(failed) is fails
    if failed:
        assert (failed[0].status, failed[0].permanent) == ("5.4.6", True)
        assert "loop detected" in failed[0].reply
    assert not any(
        isinstance(event, SessionFailed)
        for event in Client("XLOOP 00", loop=token, keywords=keywords).events()
    )


# BDAT on the server's side (RFC 3030).


def chunked(server: Server, *chunks: bytes, last: bool = True) -> str:
    """Send all chunks at once, as a client with PIPELINING would; the replies."""
    wire = b""
    for at, chunk in enumerate(chunks):
        word = b" LAST" if last and at == len(chunks) - 1 else b""
        wire += b"BDAT %d%b\r\n%b" % (len(chunk), word, chunk)
    return server.send(wire)


def begun(**how: Any) -> Server:
    server = Server(**how)
    server.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
    return server


def test_chunks_make_one_message() -> None:
    """Chunks are joined whatever the cuts; dots mean nothing, and a line left open is closed."""
    server = begun()
    replies = chunked(server, b"Subject: x\r", b"\n\r\n.\r\n", b"..two\r\nend")
    assert replies == ("250 2.0.0 11 octets received.\n250 2.0.0 6 octets received.\n250 2.5.0 Ok.")
    assert finished(server)[0].data == b"Subject: x\r\n\r\n.\r\n..two\r\nend\r\n"
    assert server.say("MAIL FROM:<a@b.example>").startswith("250")


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_chunks_do_not_depend_on_cuts_of_the_wire(size: int) -> None:
    """The same octets, however they come."""
    server = begun()
    wire = b"BDAT 12\r\nSubject: x\r\nBDAT 9 LAST\r\n\r\nbody\r\n\r"
    for at in range(0, len(wire), size):
        server.send(wire[at : at + size])
    server.send(b"NOOP\r\n")
    assert finished(server) == [] or finished(server)[0].data.startswith(b"Subject: x\r\n\r\nbody")


@pytest.mark.parametrize("content", [b"a\nb\r\n", b"a\rb\r\n", b"a\r\nb\r", b"\n", b"a\r\r\n"])
def test_chunks_with_bare_line_ends_are_refused(content: bytes) -> None:
    """What could be taken for an end of content further on never gets in by BDAT either."""
    server = begun()
    assert chunked(server, content) == "550 5.6.0 Bare CR or LF in message; lines must end with CRLF."
    assert finished(server) == []
    relaxed = begun(smtp="crorlf")
    assert chunked(relaxed, content).startswith("250")
    data = finished(relaxed)[0].data
    assert data.replace(b"\r\n", b"").find(b"\r") < 0 and data.replace(b"\r\n", b"").find(b"\n") < 0


def test_chunks_that_belong_to_nothing_are_swallowed() -> None:
    """Content after a refused RCPT, or without any transaction, is never taken for commands."""
    server = Server()
    assert chunked(server, b"QUIT\r\n").startswith("503 5.5.1 Need MAIL")
    server.say("MAIL FROM:<a@b.example>")
    assert chunked(server, b"QUIT\r\n").startswith("503 5.5.1 No valid recipients")
    assert server.say("RCPT TO:<c@d.example>").startswith("250")
    assert chunked(server, b"ok\r\n").startswith("250")
    fresh = Server(hello="")
    assert chunked(fresh, b"QUIT\r\n").startswith("503 5.5.1 Say EHLO")


def test_data_and_bdat_are_not_mixed() -> None:
    """DATA, MAIL and RCPT within a chunked message are out of order; RSET gives it up."""
    server = begun()
    chunked(server, b"Subject: x\r\n", last=False)
    assert server.say("DATA").startswith("503 5.5.1 BDAT has begun")
    assert server.say("MAIL FROM:<x@y.example>").startswith("503")
    assert server.say("RSET", "MAIL FROM:<a@b.example>") == "250 2.5.0 Ok.\n250 2.5.0 Address Ok."
    assert finished(server) == []


@pytest.mark.parametrize(
    "command", ["BDAT", "BDAT x", "BDAT -1 LAST", "BDAT 5 FIRST", "BDAT 123456789012345678901"]
)
def test_a_chunk_of_unknown_size_ends_the_session(command: str) -> None:
    """Nothing after it could be told from content, so nothing after it is looked at."""
    server = begun()
    assert server.say(command, "NOOP") == "421 4.5.2 Syntax: BDAT size [LAST]; disconnecting."
    assert server.dialogue.closing


def test_a_refused_message_swallows_its_chunks() -> None:
    """Too much content: 552 once, and the chunks pipelined behind it are void, not commands."""
    server = begun(config={"max_size": 10})
    replies = chunked(server, b"12345\r\n", b"NOOP\r\nRSET\r\n", b"QUIT\r\n").split("\n")
    assert replies[0].startswith("250")
    assert replies[1].startswith("552 5.3.4")
    assert replies[2].startswith("503 5.5.1")
    assert server.say("NOOP").startswith("250")


def test_large_content_by_chunks_goes_out_in_pieces() -> None:
    """A chunk of megabytes is not kept whole in memory."""
    server = begun()
    content = b"x" * 70 + b"\r\n"
    whole = content * 20_000
    assert chunked(server, whole).startswith("250")
    pieces = [one.data for one in server.asked if isinstance(one, Piece)]
    assert len(pieces) >= 5
    assert b"".join(pieces) + finished(server)[0].data == whole
    void = begun(config={"max_size": 1_000_000})
    wire = b"BDAT %d LAST\r\n%b" % (len(whole), whole)
    replies = "".join(void.send(wire[at : at + 100_000]) for at in range(0, len(wire), 100_000))
    assert replies.startswith("552")
    assert any(isinstance(one, Dropped) for one in void.asked)
