"""COMMAND_, MAIL_, RCPT_, DATA_ and DOT_TRANSMIT_TIME: what is unsent decides how long a peer may not read."""

import pytest

from jobctl.smtp.events import Done, SessionFailed
from tests.smtp_dialogues import Client, envelope, short_chunks

TIMES = {
    "timeout_multiplier": 1,
    "command_transmit_time": 1,
    "mail_transmit_time": 2,
    "rcpt_transmit_time": 3,
    "data_transmit_time": 4,
    "dot_transmit_time": 5,
}
MAIL = len("MAIL FROM:<ann@example.org>\r\n")
RCPT = len("RCPT TO:<b@d>\r\n")
DATA = len("DATA\r\n")


def test_the_first_unsent_command_counts() -> None:
    """Of a transaction that is pipelined: by how much of it the peer has taken."""
    client = Client("PIPELINING", options=TIMES)
    client.begin("b@d", "c@d")
    whole = MAIL + 2 * RCPT + DATA
    for taken, seconds, words in (
        (0, 2, "MAIL FROM"),
        (MAIL - 1, 2, "MAIL FROM"),
        (MAIL, 3, "RCPT TO"),
        (MAIL + RCPT + 1, 3, "RCPT TO"),
        (MAIL + 2 * RCPT, 1, "a command"),
        (whole - 1, 1, "a command"),
    ):
        assert client.dialogue.timeout(whole - taken) == seconds, (taken, words)
    client.dialogue.timed_out(1)
    client.said()
    assert "timeout sending a command" in client.last(Done).dispositions[0].reply


def test_content_and_its_end() -> None:
    """DATA_TRANSMIT_TIME until only the final dot is left."""
    client = Client("PIPELINING", options=TIMES)
    client.begin("b@d")
    client.hear("250 ok", "250 ok", "354 go")
    client.dialogue.feed(b"x" * 1000)
    client.said()
    assert client.dialogue.timeout(1000) == 4
    client.dialogue.finish()
    client.said()
    assert client.dialogue.timeout(1005) == 4
    assert client.dialogue.timeout(6) == 4
    assert client.dialogue.timeout(5) == 5
    client.dialogue.begin("A2", envelope("b@d"), 10)
    client.said()
    assert client.dialogue.timeout(MAIL + RCPT + DATA) == 2
    assert client.dialogue.timeout(MAIL + RCPT + DATA + 1) == 5


def test_chunks_are_content() -> None:
    """Content in chunks has DATA_TRANSMIT_TIME to its end: there is no dot."""
    with short_chunks(100):
        client = Client("PIPELINING\nCHUNKING", options=TIMES)
        client.begin("b@d", octets=1000)
        client.hear("250 ok", "250 ok")
        for _ in range(3):
            client.dialogue.feed(b"y" * 100)
        client.dialogue.finish()
        client.said()
        for unsent in (1, 5, 150, 320):
            assert client.dialogue.timeout(unsent) == 4


@pytest.mark.parametrize("offers", ["PIPELINING", ""])
def test_other_commands(offers: str) -> None:
    """What has no time of its own: EHLO before the session stands, RSET and QUIT in it."""
    client = Client(None, options=TIMES)
    client.hear("220 mx")
    assert client.dialogue.timeout(3) == 1
    client.dialogue.timed_out(3)
    client.said()
    assert isinstance(client.events[-1], SessionFailed)
    client = Client(offers, options=TIMES)
    client.dialogue.quit()
    assert client.said() == "QUIT"
    assert client.dialogue.timeout(6) == 1


def test_one_by_one() -> None:
    """Without PIPELINING each command has its time."""
    client = Client("8BITMIME", options=TIMES)
    client.begin("b@d")
    assert client.dialogue.timeout(5) == 2
    client.hear("250 ok")
    assert client.dialogue.timeout(5) == 3
    client.hear("250 ok")
    assert client.dialogue.timeout(5) == 1


def test_nothing_unsent() -> None:
    """Then it is the reply that is waited for."""
    client = Client("PIPELINING", options=TIMES)
    client.begin("b@d")
    assert client.dialogue.timeout() == client.dialogue.timeout(0) == 10
