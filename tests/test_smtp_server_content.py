"""Content on its way in through the server's dialogue."""

import random

import pytest

from jobctl.mail.reply import Reply
from jobctl.smtp.long_lines import MAX_LINE, LongLines
from jobctl.smtp.questions import Dropped, Finished, Piece, Refusal
from jobctl.smtp.server_config import ServerConfig
from tests.smtp_dialogues import YES, Server, channel

PIECE = 256 * 1024


def started(**given: object) -> Server:
    """A server that has said 354."""
    server = Server(**given)  # type: ignore[arg-type]
    server.say("MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>", "DATA")
    server.asked.clear()
    return server


FALSE_ENDS = [
    b"\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\n\x00.\r\n",
    b"\r\n.\x00\r\n",
]
FALSE_ENDS += [b"\r\r\n.\r", b"\n\r.\r\n", b"\r\n.\r\r\n", b"\r\n..\r\n"]


@pytest.mark.parametrize("keyword", ["crlf", "crorlf", "lf", "cr", "nosmtp"])
@pytest.mark.parametrize("end", FALSE_ENDS)
def test_no_second_message_can_be_smuggled_in(end: bytes, keyword: str) -> None:
    """Each of the twelve false ends gives one message or a 5xx; the hidden commands are never run."""
    server = started(smtp=keyword)
    hidden = b"MAIL FROM:<evil@example>\r\nRCPT TO:<d@e.f>\r\nDATA\r\nsmuggled"
    said = server.send(b"Subject: x\r\n\r\nfirst" + end + hidden + b"\r\n.\r\n")
    assert said in ("250 2.5.0 Ok.", "550 5.6.0 Bare CR or LF in message; lines must end with CRLF.")
    messages = server.told(Finished)
    assert len(messages) == (said[0] == "2")
    for message in messages:
        assert message.envelope.sender == "a@b.c"
        assert b"smuggled" in message.data
        assert message.data.count(b"\r\n") == message.data.count(b"\n") == message.data.count(b"\r")
    assert server.say("NOOP") == "250 2.5.0 Ok."


@pytest.mark.parametrize(
    "content", [b"", b"x", b"no header\r\n\r\n", b"\r\n", b".\r\n..\r\n", b"\x00\xff\r\n"]
)
def test_content_is_passed_as_it_is(content: bytes) -> None:
    """Empty content, content without a header, NUL and 8-bit octets arrive unchanged."""
    server = started()
    wire = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
    if content and not content.endswith(b"\n"):
        content, wire = content + b"\r\n", wire + b"\r\n"
    assert server.send(wire + b".\r\n") == "250 2.5.0 Ok."
    assert server.told(Finished)[0].data == content


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 5 * PIECE // 2])
@pytest.mark.parametrize("chunk", [700, 65536, 10**9])
def test_large_content_comes_in_pieces(size: int, chunk: int) -> None:
    """What is larger than 256 KiB is given out as it arrives, in order, nothing missing."""
    line = b"0123456789" * 7 + b"\r\n"
    content = (line * (size // len(line) + 1))[: size - 2] + b"\r\n"
    if content[-3:-2] == b"\r":
        content = content[:-3] + b"x\r\n"
    server = started()
    wire = content + b".\r\nNOOP\r\n"
    said = "\n".join(filter(None, (server.send(wire[i : i + chunk]) for i in range(0, len(wire), chunk))))
    assert said == "250 2.5.0 Ok.\n250 2.5.0 Ok."
    pieces = server.told(Piece)
    (finished,) = server.told(Finished)
    assert all(len(piece.data) == PIECE for piece in pieces)
    assert len(finished.data) <= PIECE
    assert b"".join(piece.data for piece in pieces) + finished.data == content
    assert finished.octets == len(content)
    assert (pieces == []) == (size <= PIECE)


def test_the_envelope_is_known_while_pieces_come() -> None:
    """Whoever stores the first piece knows for whom it is."""
    server = started()
    server.send(b"x" * (PIECE + 10))
    assert server.told(Piece) and server.dialogue.envelope is not None
    assert server.dialogue.envelope.sender == "a@b.c"
    server.send(b"\r\n.\r\n")
    assert server.dialogue.envelope is None


def test_memory_is_bounded_on_the_way() -> None:
    """A hundred megabytes without a line end never pile up."""
    server = started()
    block = b"x" * 65536
    for _ in range(1600):
        server.dialogue.receive(block)
        while (question := server.dialogue.next_question()) is not None:
            assert isinstance(question, Piece)
        assert server.dialogue.buffered == 0
    server.asked.clear()
    assert server.send(b"\r\n.\r\n") == "250 2.5.0 Ok."
    assert server.told(Finished)[0].octets == 1600 * 65536 + 2


def test_too_large_by_declaration() -> None:
    """SIZE above the limit is refused before anything is sent; zero and small are not."""
    server = Server(config={"max_size": 1000})
    assert server.greeting.endswith("SIZE 1000")
    assert server.say("MAIL FROM:<a@b> SIZE=1001") == "552 5.3.4 Message size exceeds fixed limit."
    assert server.say("MAIL FROM:<a@b> SIZE=1000") == "250 2.5.0 Address Ok."


def test_too_large_on_the_way() -> None:
    """Content above the limit is heard to its end, refused, and the next message is taken."""
    server = started(config={"max_size": 1000})
    assert server.send(b"x" * 600) == ""
    assert server.send(b"x" * 600) == ""
    assert server.send(b"\r\n.\r\n") == "552 5.3.4 Message size exceeds fixed limit."
    assert [type(q) for q in server.asked] == [Refusal]
    server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")
    assert server.send(b"x" * 998 + b"\r\n.\r\n") == "250 2.5.0 Ok."
    assert server.told(Finished)[0].octets == 1000


@pytest.mark.parametrize(
    ("given", "content", "code"),
    [({"config": {"max_size": PIECE + 100}}, b"x" * 200, "552"), ({}, b"a\nb", "550")],
)
def test_pieces_given_out_are_called_back(given: dict[str, object], content: bytes, code: str) -> None:
    """Who holds the beginning of a message that will be refused is told at once, and once."""
    server = started(**given)
    server.send(b"x" * (PIECE + 1))
    assert [type(q) for q in server.asked] == [Piece]
    server.send(content)
    assert [type(q) for q in server.asked] == [Piece, Dropped]
    assert server.send(b"\r\n.\r\n").startswith(code)
    assert [type(q) for q in server.asked] == [Piece, Dropped, Refusal]


@pytest.mark.parametrize("how", ["timed_out", "lost"])
def test_pieces_are_called_back_when_the_client_goes(how: str) -> None:
    """A message that broke off after its first piece is abandoned."""
    server = started()
    server.send(b"x" * (PIECE + 1))
    if how == "lost":
        server.dialogue.lost("connection lost")
    else:
        server.dialogue.timed_out()
    server.settle()
    assert server.told(Dropped) == [Dropped("connection lost" if how == "lost" else "timeout")]


def test_eightstrict_refuses_undeclared_octets() -> None:
    """``eightstrict``: 8-bit content must have been declared."""
    server = started(eight="eightstrict")
    assert server.send("é\r\n.\r\n".encode()) == "550 5.6.1 8-bit content without BODY=8BITMIME."
    server.say("MAIL FROM:<a@b> BODY=8BITMIME", "RCPT TO:<c@d>", "DATA")
    assert server.send("é\r\n.\r\n".encode()) == "250 2.5.0 Ok."


def test_long_lines_pass_unless_asked_otherwise() -> None:
    """A line of any length is passed on unchanged: the channel's default of old would destroy signatures."""
    server = started()
    line = b"y" * 20000 + b"\r\n"
    assert server.send(line + b".\r\n") == "250 2.5.0 Ok."
    assert server.told(Finished)[0].data == line


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        ("truncatesmtplonglines", [b"a " * 499]),
        ("wrapsmtplonglines", [b"a " * 498 + b"a", b" " + b"a " * 301]),
    ],
)
def test_long_lines_are_changed_by_keyword(rule: str, lines: list[bytes]) -> None:
    """Truncating and wrapping say in the header what they did."""
    server = started(long_lines=rule)
    assert server.send(b"a " * 800 + b"\r\nshort\r\n.\r\n") == "250 2.5.0 Ok."
    warning, *got = server.told(Finished)[0].data.split(b"\r\n")
    assert warning.startswith(b"Sun-Java-System-SMTP-Warning: Lines longer than SMTP allows found and ")
    assert got == [*lines, b"short", b""]


def test_long_lines_are_refused_by_keyword() -> None:
    """``rejectsmtplonglines`` on the channel is enough."""
    server = started(long_lines="rejectsmtplonglines")
    said = server.send(b"a" * 999 + b"\r\n.\r\n")
    assert said == "550 5.6.0 lines longer than SMTP allows encountered; message rejected"
    server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")
    assert server.send(b"a" * 998 + b"\r\n.\r\n") == "250 2.5.0 Ok."


@pytest.mark.parametrize(
    ("first", "second", "accepted"),
    [("", "rejectsmtplonglines", True), ("rejectsmtplonglines", "wrapsmtplonglines", False)],
)
def test_the_first_channel_has_the_say_on_long_lines(first: str, second: str, accepted: bool) -> None:
    """Another source channel changes limits and checks, but not what becomes of long lines."""
    server = Server(long_lines=first)
    server.dialogue.reconfigure(
        ServerConfig(host="mail.example.org", channel=channel(long_lines=second, sourceblocklimit=100))
    )
    server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")
    said = server.send(b"a" * 999 + b"\r\n.\r\n")
    assert said.startswith("250 " if accepted else "550 5.6.0 lines longer")
    if accepted:
        assert server.told(Finished)[0].data == b"a" * 999 + b"\r\n"


def test_the_warning_of_a_large_message() -> None:
    """The warning field stands before the first piece when the line was found by then."""
    server = started(long_lines="truncatesmtplonglines")
    server.send(b"b" * 1500 + b"\r\n" + b"short\r\n" * 50000 + b".\r\n")
    data = b"".join(q.data for q in server.asked if isinstance(q, Piece | Finished))
    assert data.startswith(b"Sun-Java-System-SMTP-Warning:")
    assert len(server.told(Piece)[0].data) == PIECE
    assert data.split(b"\r\n", 2)[1:] == [b"b" * 998, b"short\r\n" * 50000]


@pytest.mark.parametrize("rule", ["truncatesmtplonglines", "wrapsmtplonglines"])
def test_long_lines_do_not_depend_on_cuts(rule: str) -> None:
    """What becomes of a long line does not depend on how it arrived, and no line is too long afterwards."""
    rng = random.Random(7)
    for _ in range(40):
        lengths = rng.choices([0, 1, 500, 996, 997, 998, 999, 1000, 1997, 3000], k=4)
        content = b"".join(bytes(rng.choices(b"ab \t", k=size)) + b"\r\n" for size in lengths)
        whole = LongLines(rule)
        expected = whole.feed(content) + whole.finish()
        parts = LongLines(rule)
        got, at = b"", 0
        while at < len(content):
            size = rng.choice([1, 2, 997, 998, 999, 1000, 5000])
            got += parts.feed(content[at : at + size])
            at += size
        assert got + parts.finish() == expected
        assert max(len(line) for line in expected.split(b"\r\n")) <= MAX_LINE
        assert parts.found == whole.found == (max(lengths) > MAX_LINE)
        if rule == "wrapsmtplonglines":
            assert expected.replace(b"\r\n", b"") == content.replace(b"\r\n", b"")


@pytest.mark.parametrize("reply", [Reply(451, "4.3.0 later"), Reply(552, "5.2.2 full")])
def test_the_answer_to_a_message_is_given(reply: Reply) -> None:
    """Whoever takes responsibility decides; a refusal is told for the log, and the session goes on."""
    server = started(decide=lambda question: reply if isinstance(question, Finished) else YES)
    assert server.say("x", ".") == str(reply)
    assert server.told(Refusal) == [Refusal("a@b.c", "", reply)]
    assert server.say("DATA").startswith("503 ")


def test_a_last_chunk_refused_under_lmtp_has_a_reply_for_each_recipient() -> None:
    """As after the final dot: with one reply for two recipients the client would take the next for the second."""
    server = Server(hello="LHLO c", config={"lmtp": True})
    server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "RCPT TO:<e@f>")
    said = server.send(b"BDAT 5 LAST\r\na\rb\r\nNOOP\r\n").splitlines()
    assert [line[:3] for line in said] == ["550", "550", "250"]
