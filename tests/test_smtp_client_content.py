"""What the client's dialogue does to content, for this peer and this channel."""

from typing import Any

import pytest

from jobctl.mail.disposition import Verdict
from jobctl.smtp.events import Closed, Done
from tests.mime_trees import leaves
from tests.smtp_dialogues import Client

HEADER = (
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
)
EIGHT = HEADER + b"\r\n" + "Grüße, lots of them, and more\r\n".encode()
SEVEN = HEADER.replace(b"8bit", b"7bit") + b"\r\n.greetings\r\n"
ENCODED = HEADER.replace(b"8bit", b"quoted-printable") + b"\r\nGr=C3=BC=C3=9Fe, lots of them, and more\r\n"
SIGNED = b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\n\xe9\r\n--s--\r\n"
SPEAKS, LACKS = "PIPELINING\nSIZE\n8BITMIME", "PIPELINING\nSIZE"
OK, GO = "250 2.0.0 ok", "354 go"


def sent(client: Client, content: bytes, pieces: int = 0, **envelope: Any) -> tuple[str, bytes]:
    """MAIL as the client says it, and the content as the peer gets it, without the dots."""
    mail = client.begin(whole=None if pieces else content, octets=len(content), **envelope).split("\n")[0]
    client.hear(OK, OK, GO)
    dialogue = client.dialogue
    step = pieces or len(content)
    for at in range(0, len(content), step):
        dialogue.feed(content[at : at + step])
    dialogue.finish()
    while (event := dialogue.next_event()) is not None:
        client.events.append(event)
    return mail, dialogue.take_output().removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")


@pytest.mark.parametrize(
    ("keyword", "offers", "goes"),
    [
        ("eightnegotiate", SPEAKS, EIGHT),
        ("eightnegotiate", LACKS, ENCODED),
        ("eightstrict", SPEAKS, EIGHT),
        ("eightstrict", LACKS, ENCODED),
        ("eightbit", LACKS, EIGHT),
        ("sevenbit", SPEAKS, ENCODED),
        ("sevenbit", LACKS, ENCODED),
    ],
)
@pytest.mark.parametrize("pieces", [0, 7])
def test_who_gets_eight_bits(keyword: str, offers: str, goes: bytes, pieces: int) -> None:
    """Where 8BITMIME is not offered 8-bit content is encoded, unless the channel says otherwise; so are the pieces."""
    mail, content = sent(Client(offers, eight=keyword), EIGHT, pieces, body="8BITMIME")
    assert content == goes
    declared = goes is EIGHT and offers is SPEAKS
    assert (" BODY=8BITMIME" in mail) is declared
    size = f" SIZE={len(goes)}"
    assert (size in mail) if goes is EIGHT or not pieces else ("SIZE" not in mail)


def test_what_is_seven_bits_goes_as_it_is() -> None:
    """Whatever was declared of it, content without 8-bit octets is not touched."""
    for keyword in ("eightnegotiate", "sevenbit"):
        assert sent(Client(LACKS, eight=keyword), SEVEN, body="8BITMIME")[1] == SEVEN


def test_what_was_not_declared_is_seen() -> None:
    """Content that is at hand is looked at: what nobody declared is encoded nevertheless."""
    assert sent(Client(LACKS), EIGHT)[1] == ENCODED


def test_chunks() -> None:
    """With BDAT the size of the chunk is that of what goes out."""
    client = Client("PIPELINING\nCHUNKING")
    client.begin(whole=EIGHT)
    out = client.content(EIGHT)
    assert out == f"BDAT {len(ENCODED)} LAST\n" + ENCODED.decode().replace("\r\n", "\n").removesuffix("\n")


def test_lmtp_takes_eight_bits() -> None:
    """An LMTP server is 8-bit clean, says 8BITMIME or not."""
    client = Client(None, config={"lmtp": True})
    client.hear("220 mx LMTP")
    client.hear("250-mx", "250 PIPELINING")
    client.events.clear()
    assert sent(client, EIGHT, body="8BITMIME")[1] == EIGHT


def test_what_cannot_be_encoded_goes_back() -> None:
    """A signed message with 8-bit octets is not offered to a peer without 8BITMIME; the session stays as it was."""
    client = Client(LACKS)
    assert client.begin(whole=SIGNED) == ""
    (each,) = client.last(Done).dispositions
    assert (each.verdict, each.status) == (Verdict.FAILED, "5.6.3")
    assert "multipart/signed" in each.reply and client.dialogue.can_begin
    assert sent(Client(LACKS, eight="eightbit"), SIGNED)[1] == SIGNED


def test_what_turns_out_not_to_be_encodable_is_never_ended() -> None:
    """Where that is seen while the content goes out, its end never does; who was refused keeps the peer's words."""
    client = Client(LACKS)
    client.begin("bob@d", "cid@d", body="8BITMIME")
    client.hear(OK, OK, "550 5.1.1 nobody", GO)
    client.dialogue.feed(SIGNED)
    client.dialogue.finish()
    assert not client.said().endswith(".")
    done, closed = client.events[-2:]
    assert type(done) is Done and type(closed) is Closed and not done.connection and done.scope == "recipient"
    assert [each.status for each in done.dispositions] == ["5.6.3", "5.1.1"]


def test_long_lines() -> None:
    """``linelength`` encodes longer lines whatever the peer offers, and leaves 8-bit content with short ones alone."""
    long = HEADER + b"\r\n" + b"word " * 30 + "Grüße\r\n".encode()
    mail, content = sent(Client(SPEAKS, linelength=100), long, body="8BITMIME")
    assert max(map(len, content.split(b"\r\n"))) <= 76 and leaves(content) == leaves(long)
    assert f" SIZE={len(content)} BODY=8BITMIME" in mail
    assert sent(Client(SPEAKS, linelength=100), EIGHT, body="8BITMIME")[1] == EIGHT
    assert sent(Client(SPEAKS), long, body="8BITMIME")[1] == long


def test_line_ends_are_those_the_peer_sees() -> None:
    """What is encoded is what would have been sent: a bare LF is a line end there, and the last line has one."""
    content = EIGHT.replace(b"\r\n", b"\n").removesuffix(b"\n")
    assert sent(Client(LACKS), content)[1] == ENCODED


def test_utf8_headers() -> None:
    """Where SMTPUTF8 is not offered such mail fails clearly, or goes without it where ``utf8header`` says so."""
    content = "Subject: Grüße\r\n\r\nHello\r\n".encode()
    client = Client(SPEAKS, keywords={"utf8negotiate": True})
    assert client.begin(whole=content, smtputf8=True) == ""
    (each,) = client.last(Done).dispositions
    assert (each.verdict, each.status) == (Verdict.FAILED, "5.6.7") and "SMTPUTF8" in each.reply
    mail, went = sent(Client(SPEAKS, keywords={"utf8header": True}), content, smtputf8=True, body="8BITMIME")
    assert "SMTPUTF8" not in mail and went == content
    mail, went = sent(Client(LACKS, keywords={"utf8header": True}), content, smtputf8=True, body="8BITMIME")
    assert went == content, "no option asks for the header to be changed"
    mail, went = sent(Client(SPEAKS + "\nSMTPUTF8"), content, smtputf8=True, body="8BITMIME")
    assert mail.endswith(" SMTPUTF8") and went == content
