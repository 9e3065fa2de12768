"""``sendetrn``: the client asks its next hop for mail, and goes on whatever it says."""

import pytest

from jobctl.mail.reply import Reply
from jobctl.smtp.client import Closed, Done
from jobctl.smtp.events import QueueCalled, Ready, SessionFailed
from tests.smtp_dialogues import Client

NODE = "us.example"


def greeted(offers: str = "ETRN\nPIPELINING") -> tuple[Client, str]:
    """A client that has heard the reply to EHLO, and what it said then."""
    client = Client(None, keywords={"sendetrn": NODE})
    client.hear("220 mx ready")
    lines = ["mx hello", *offers.split("\n")]
    return client, client.hear(*[f"250{' ' if line is lines[-1] else '-'}{line}" for line in lines])


@pytest.mark.parametrize("reply", ["250 2.0.0 started", "253 7 pending", "458 unable", "500 what?"])
def test_asked_once_and_first(reply: str) -> None:
    """ETRN goes out once the session is open; mail follows the reply, whatever it is."""
    client, said = greeted()
    assert said == f"ETRN {NODE}"
    assert client.last(Ready) == Ready()
    assert not client.dialogue.can_begin and client.dialogue.timeout()
    assert client.hear(reply) == ""
    code, _, text = reply.partition(" ")
    assert client.last(QueueCalled) == QueueCalled(NODE, Reply(int(code), text))
    assert client.dialogue.can_begin
    assert client.begin().startswith("MAIL FROM:")


def test_not_offered() -> None:
    """Where ETRN is not offered nothing is asked."""
    client, said = greeted("PIPELINING")
    assert said == "" and client.dialogue.can_begin


def test_without_the_keyword() -> None:
    """Without ``sendetrn`` an offer is nothing to us."""
    client = Client("ETRN")
    assert client.dialogue.can_begin


def test_quit_behind_it() -> None:
    """A client that has nothing more to do may leave before the reply."""
    client, _ = greeted()
    client.dialogue.quit()
    assert client.said() == "QUIT"
    client.hear("250 started", "221 bye")
    assert client.last(Closed) == Closed()


def test_a_server_that_leaves() -> None:
    """421, or a lost connection, in place of the reply: the host waits, and nobody is charged."""
    for end in ("421 4.3.2 stopping", ""):
        client, _ = greeted()
        if end:
            client.hear(end)
        else:
            client.dialogue.lost("connection lost")
            client.said()
        assert not client.last(SessionFailed).permanent
        assert not [event for event in client.events if isinstance(event, Done)]
