"""Sessions of many messages, and sessions that end in the middle."""

import pytest

from jobctl.mail.disposition import Verdict
from jobctl.smtp.client import Closed, Done, NeedContent
from tests.smtp_dialogues import Client

PLAIN = "8BITMIME\nSIZE 0\nDSN"
PIPED = PLAIN + "\nPIPELINING"
OK = "250 2.1.0 ok"
GO = "354 go"


def done(client: Client) -> list[tuple[str, str, str, bool]]:
    """Each transaction that is over: id, verdicts, scope, connection."""
    return [
        (event.id, " ".join(each.verdict for each in event.dispositions), event.scope, event.connection)
        for event in client.events
        if isinstance(event, Done)
    ]


def delivered(client: Client, id: str = "A1") -> None:
    """One message goes through."""
    client.begin(id=id)
    for reply in (OK, OK, GO):
        client.hear(reply)
    client.content()
    client.hear(OK)


@pytest.mark.parametrize("offers", [PLAIN, PIPED])
def test_many_messages_on_one_connection(offers: str) -> None:
    """A session carries one message after the other."""
    client = Client(offers)
    for number in range(5):
        delivered(client, f"A{number}")
    assert done(client) == [(f"A{n}", "relayed", "recipient", True) for n in range(5)]


def test_the_next_transaction_goes_behind_the_dot() -> None:
    """With PIPELINING the next message does not wait for the reply to the last."""
    client = Client(PIPED)
    client.begin(id="A1")
    client.hear(OK, OK, GO)
    assert not client.dialogue.can_begin
    client.dialogue.feed(b"first\r\n")
    client.dialogue.finish()
    assert client.dialogue.can_begin
    assert client.begin(id="A2").split("\n")[:3] == ["first", ".", "MAIL FROM:<ann@example.org> SIZE=100"]
    assert not client.dialogue.can_begin
    client.hear("250 2.6.0 first taken", OK, "550 5.1.1 no", "503 nobody")
    assert done(client) == [("A1", "relayed", "recipient", True), ("A2", "failed", "recipient", True)]


def test_a_refused_message_does_not_touch_the_next() -> None:
    """A refusal at the dot while the next transaction is under way stays with its own message."""
    client = Client(PIPED)
    client.begin(id="A1")
    client.hear(OK, OK, GO)
    client.content()
    client.begin(id="A2")
    client.hear("554 5.6.0 no", OK, OK, GO)
    assert client.events[-1] == NeedContent("A2")
    client.content()
    client.hear(OK)
    assert done(client) == [("A1", "failed", "recipient", True), ("A2", "relayed", "recipient", True)]


def test_without_pipelining_nothing_overtakes() -> None:
    """Without PIPELINING the next message waits for the reply to the dot."""
    client = Client(PLAIN)
    client.begin()
    for reply in (OK, OK, GO):
        client.hear(reply)
    client.content()
    assert not client.dialogue.can_begin
    client.hear(OK)
    assert client.dialogue.can_begin


@pytest.mark.parametrize("offers", [PLAIN, PIPED])
def test_transactions_per_session(offers: str) -> None:
    """ATTEMPT_TRANSACTIONS_PER_SESSION: after the last message the session ends by itself."""
    client = Client(offers, options={"attempt_transactions_per_session": 2})
    delivered(client, "A1")
    client.begin(id="A2")
    for reply in (OK, OK, GO):
        client.hear(reply)
    client.content()
    assert not client.dialogue.can_begin
    assert client.hear(OK) == "QUIT"
    assert done(client)[1] == ("A2", "relayed", "recipient", False)
    client.hear("221 bye")
    assert client.events[-1] == Closed()


def test_quit_waits_for_what_is_open() -> None:
    """QUIT goes out after the message under way."""
    client = Client(PIPED)
    client.begin()
    client.dialogue.quit()
    client.hear(OK, OK, GO)
    assert client.content().endswith("\n.")
    assert client.hear(OK) == "QUIT"
    client.hear("500 whatever")
    assert client.events[-1] == Closed()


def test_quit_while_resetting() -> None:
    """RSET and QUIT do not get into each other's way, whatever RSET is answered."""
    for reply in ("250 ok", "503 no"):
        client = Client(PIPED)
        client.begin()
        assert client.hear(OK, "550 no", "503 nobody") == "RSET"
        client.dialogue.quit()
        assert client.said() == "QUIT"
        assert client.hear(reply, "221 bye") == ""
        assert client.events[-1] == Closed()


@pytest.mark.parametrize("reply", ["503 5.5.1 bad sequence", "451 no", "250 ok"])
def test_rset_never_harms_a_message(reply: str) -> None:
    """Whatever RSET is answered, no recipient hears of it; when it failed, the connection is given up."""
    client = Client(PLAIN)
    client.begin()
    client.hear(OK)
    assert client.hear("550 5.1.1 no") == "RSET"
    assert client.hear(reply) == ("" if reply == "250 ok" else "QUIT")
    assert done(client) == [("A1", "failed", "recipient", True)]
    assert client.dialogue.can_begin is (reply == "250 ok")


def test_503_on_a_used_connection_is_nobodys_fault() -> None:
    """A peer that has lost step on a connection in use makes no bounce."""
    client = Client(PIPED)
    delivered(client, "A1")
    client.begin(id="A2")
    client.hear("503 5.5.1 nested MAIL")
    assert done(client)[1] == ("A2", "deferred", "local", False)
    assert client.events[-1] == Closed()


STEPS = ["mail", "rcpt", "rcpt2", "data", "content", "dot"]


def advance(client: Client, step: str) -> None:
    """Bring a message with two recipients to where this is waited for; the first is refused at RCPT."""
    client.begin("b@d", "c@d", id="A2")
    replies = {"mail": 0, "rcpt": 1, "rcpt2": 2, "data": 3, "content": 4, "dot": 4}[step]
    for reply in [OK, "550 5.1.1 no", OK, GO][:replies]:
        client.hear(reply)
    if step == "content":
        client.dialogue.feed(b"begun\r\n")
        client.said()
    if step == "dot":
        client.content()


@pytest.mark.parametrize("offers", [PLAIN, PIPED])
@pytest.mark.parametrize("used", [False, True])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("how", ["421 4.3.2 closing", "lost", "timed_out", "what?", "299-x\r\n" * 20000])
def test_sessions_that_end_in_the_middle(offers: str, used: bool, step: str, how: str) -> None:
    """
    421, a lost connection, silence or garbage at any step: what was refused for good stays so, everybody
    else is deferred, nothing bounces; on a connection in use nothing counts that was not answered.
    """
    client = Client(offers)
    if used:
        delivered(client)
    client.events.clear()
    advance(client, step)
    if how == "lost":
        client.dialogue.lost("connection lost")
    elif how == "timed_out":
        client.dialogue.timed_out()
    else:
        client.hear(how)
    client.said()
    first = "failed" if step in ("rcpt2", "data", "content", "dot") else "deferred"
    scope = "local" if used and step == "mail" else "recipient"
    assert done(client) == [("A2", f"{first} deferred", scope, False)]
    last = client.last(Done).dispositions[1]
    assert last.status == {"421": "4.3.2", "wha": "4.5.0", "299": "4.5.0"}.get(how[:3], "4.4.2")
    assert last.reply and len(last.reply) < 300
    assert client.events[-1] == Closed()
    assert not client.dialogue.can_begin
    client.dialogue.feed(b"late")
    client.dialogue.finish()
    assert client.said() == ""


@pytest.mark.parametrize("how", ["421 4.3.2 closing", "lost", "timed_out"])
def test_a_pipelined_next_message_costs_no_attempt(how: str) -> None:
    """When the session ends before the reply to a dot, the message behind it was not tried."""
    client = Client(PIPED)
    client.begin(id="A1")
    client.hear(OK, OK, GO)
    client.content()
    client.begin(id="A2")
    if how == "lost":
        client.dialogue.lost("connection lost")
    elif how == "timed_out":
        client.dialogue.timed_out()
    else:
        client.hear(how)
    client.said()
    assert done(client) == [("A1", "deferred", "recipient", False), ("A2", "deferred", "local", False)]


def test_a_pipelined_next_message_that_was_answered() -> None:
    """When the reply to the dot came, and one to the next message, that message was tried."""
    client = Client(PIPED)
    client.begin(id="A1")
    client.hear(OK, OK, GO)
    client.content()
    client.begin(id="A2")
    client.hear("250 taken", OK, "421 closing")
    assert done(client) == [("A1", "relayed", "recipient", True), ("A2", "deferred", "recipient", False)]


@pytest.mark.parametrize(
    ("reply", "verdict"), [("552 5.3.4 too big", Verdict.FAILED), ("451 4.3.0 disk", Verdict.DEFERRED)]
)
def test_a_refusal_while_content_goes_out(reply: str, verdict: Verdict) -> None:
    """A peer that refuses content before its end is believed, and left."""
    client = Client(PIPED)
    client.begin()
    client.hear(OK, OK, GO)
    client.dialogue.feed(b"begun\r\n")
    client.hear(reply)
    (each,) = client.last(Done).dispositions
    assert (each.verdict, each.reply) == (verdict, reply)
    assert not client.last(Done).connection and client.events[-1] == Closed()


def test_an_acceptance_while_content_goes_out_is_no_acceptance() -> None:
    """250 before the final dot is a violation, never a delivery."""
    client = Client(PIPED)
    client.begin()
    client.hear(OK, OK, GO)
    client.dialogue.feed(b"begun\r\n")
    client.hear("250 taken")
    assert done(client) == [("A1", "deferred", "recipient", False)]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_cuts_do_not_matter(size: int) -> None:
    """Replies mean the same however their octets arrive."""
    client = Client(PIPED)
    client.begin("b@d", "c@d")
    wire = b"250 ok\r\n550-5.1.1 no\r\n550 5.1.1 such\r\n250 ok\r\n354 go\r\n"
    for at in range(0, len(wire), size):
        client.take(wire[at : at + size])
    client.content()
    client.hear(OK)
    assert done(client) == [("A1", "failed relayed", "recipient", True)]


def test_a_reply_that_comes_before_its_command() -> None:
    """Replies that run ahead of the commands deliver nothing: the peer has not seen what they seem to be about."""
    client = Client(PLAIN)
    client.begin()
    client.hear(OK, OK, GO, "250 2.0.0 taken")
    assert done(client) == [("A1", "deferred", "recipient", False)]
    assert client.events[-1] == Closed()
