"""Transactions of the client: what is sent, and every verdict."""

from itertools import product
from typing import Any

import pytest

from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.envelope import Recipient
from jobctl.smtp.client import Closed, Done, NeedContent
from tests.smtp_dialogues import Client

PLAIN = "8BITMIME\nSIZE 0\nDSN"
PIPED = PLAIN + "\nPIPELINING"
OK = "250 2.1.0 ok"
GO = "354 go"


def verdicts(client: Client) -> str:
    """The first letters of the verdicts: d(elivered), r(elayed), f(ailed), t(emporary)."""
    letters = {"delivered": "d", "relayed": "r", "failed": "f", "deferred": "t"}
    return "".join(letters[each.verdict] for each in client.last(Done).dispositions)


@pytest.mark.parametrize("offers", [PLAIN, PIPED])
def test_one_message(offers: str) -> None:
    """A message goes out command by command, or in one piece with PIPELINING."""
    client = Client(offers)
    said = client.begin(octets=21)
    commands = ["MAIL FROM:<ann@example.org> SIZE=21", "RCPT TO:<bob@example.com>", "DATA"]
    if offers == PIPED:
        assert said.split("\n") == commands
        client.hear(OK, OK, GO)
    else:
        assert said == commands[0]
        assert client.hear(OK) == commands[1]
        assert client.hear(OK) == commands[2]
        assert client.hear(GO) == ""
    assert client.last(NeedContent) == NeedContent("A1")
    assert not client.dialogue.idle
    assert client.content(b".dot\r\nbare\nend") == "..dot\nbare\nend\n."
    assert client.hear("250 2.6.0 queued as 7") == ""
    assert client.last(Done) == Done(
        "A1", (Disposition("bob@example.com", Verdict.RELAYED, "2.6.0", "250 2.6.0 queued as 7"),)
    )
    assert client.dialogue.idle and client.dialogue.can_begin


def test_without_dsn_it_is_delivered() -> None:
    """A next hop without DSN is the end of what can be told."""
    client = Client("SIZE")
    client.begin()
    for line in (OK, OK, GO):
        client.hear(line)
    client.content()
    client.hear("250 done")
    assert client.last(Done).dispositions[0] == Disposition(
        "bob@example.com", Verdict.DELIVERED, "2.0.0", "250 done"
    )


@pytest.mark.parametrize(
    ("offers", "mail", "rcpt"),
    [
        (
            "DSN\n8BITMIME\nSIZE",
            " SIZE=100 BODY=8BITMIME RET=HDRS ENVID=e+20x",
            " NOTIFY=NEVER ORCPT=rfc822;b",
        ),
        ("8BITMIME", " BODY=8BITMIME", ""),
        ("SIZE\n8BITMIME", " SIZE=100 BODY=8BITMIME", ""),
        ("HELP", "", ""),
    ],
)
def test_parameters_only_where_offered(offers: str, mail: str, rcpt: str) -> None:
    """A peer is told only what it has said it understands."""
    client = Client(offers + "\nPIPELINING")
    said = client.begin(
        recipients=(Recipient("b@c", "NEVER", "rfc822;b"),), ret="HDRS", envid="e+20x", body="8BITMIME"
    )
    assert said.split("\n")[:2] == [f"MAIL FROM:<ann@example.org>{mail}", f"RCPT TO:<b@c>{rcpt}"]


def test_the_null_sender() -> None:
    """Notifications go out with an empty sender."""
    assert Client().begin(sender="").startswith("MAIL FROM:<> ")


def test_an_injected_parameter_is_not_sent() -> None:
    """Nothing in an envelope can become a command or a parameter of its own."""
    said = Client().begin(
        recipients=(Recipient("b@c", "NEVER\r\nRSET", "rfc822;x NOTIFY=NEVER"),), envid="a\nb", ret="FULL X=Y"
    )
    assert said.split("\n") == ["MAIL FROM:<ann@example.org> SIZE=100", "RCPT TO:<b@c>", "DATA"]


@pytest.mark.parametrize(
    ("address", "status"),
    [("b@c\r\nRSET", "5.1.3"), ("b c@d", "5.1.3"), ("b> X=<y@d", "5.1.3"), ("ü@d", "5.6.7"), ("", "5.1.3")],
)
def test_addresses_that_cannot_be_sent(address: str, status: str) -> None:
    """A recipient whose address no command can hold fails alone."""
    client = Client()
    assert client.begin(address, "bob@example.com").split("\n")[1:] == ["RCPT TO:<bob@example.com>", "DATA"]
    client.hear(OK, OK, GO)
    client.content()
    client.hear(OK)
    first, second = client.last(Done).dispositions
    assert (first.verdict, first.status, first.recipient) == (Verdict.FAILED, status, address)
    assert second.verdict is Verdict.RELAYED


@pytest.mark.parametrize(
    ("given", "envelope", "status"),
    [
        ({}, {"recipients": (Recipient("ü@d"),)}, "5.6.7"),
        ({}, {"sender": "ü@d"}, "5.6.7"),
        ({}, {"sender": "a\r\nb@d"}, "5.1.3"),
        ({"offers": "SIZE 99"}, {}, "5.3.4"),
    ],
)
def test_messages_that_cannot_be_sent(given: dict[str, Any], envelope: dict[str, Any], status: str) -> None:
    """What this peer can never take is not offered to it; the session stays as it was."""
    client = Client(**given)
    assert client.begin(**envelope) == ""
    (each,) = client.last(Done).dispositions
    assert (each.verdict, each.status) == (Verdict.FAILED, status)
    assert client.dialogue.can_begin


def test_size_within_the_limit() -> None:
    """A limit that is not reached, is zero or is nonsense keeps nothing back."""
    for offer in ("SIZE 100", "SIZE 0", "SIZE", "SIZE x", "SIZE ²"):
        assert Client(offer).begin(octets=100).startswith("MAIL FROM:")


RCPT_CODES = {
    "250 ok": "accept",
    "251 ok": "accept",
    "450 4.2.1 busy": "t",
    "452 full": "t",
    "552 5.2.2 too many": "t",
    "550 5.1.1 no": "f",
    "553 no": "f",
}


@pytest.mark.parametrize("offers", [PLAIN, PIPED])
@pytest.mark.parametrize("rcpts", list(product(RCPT_CODES, repeat=2)))
@pytest.mark.parametrize(
    ("data", "dot", "accepted"),
    [
        (GO, "250 ok", "r"),
        (GO, "451 4.3.0 later", "t"),
        (GO, "554 5.6.0 no", "f"),
        (GO, "552 5.3.4 too big", "f"),
        ("451 later", None, "t"),
        ("554 no", None, "f"),
    ],
)
def test_partial_success(
    offers: str, rcpts: tuple[str, str], data: str, dot: str | None, accepted: str
) -> None:
    """Recipients × DATA × dot: each recipient has the verdict of the reply that decided about it."""
    client = Client(offers)
    expected = "".join(accepted if RCPT_CODES[reply] == "accept" else RCPT_CODES[reply] for reply in rcpts)
    some = "accept" in [RCPT_CODES[reply] for reply in rcpts]
    client.begin("b@d", "c@d")
    said = [client.hear(reply) for reply in (OK, *rcpts)][-1]
    if offers == PIPED:
        said = client.hear(data)
        if not some and data == GO:
            assert said == "."
            client.hear("250 taken for nobody")
            assert verdicts(client) == expected
            return
    elif some:
        assert said == "DATA"
        said = client.hear(data)
    if some and data == GO:
        client.content()
        assert dot is not None
        client.hear(dot)
        assert client.dialogue.can_begin
    else:
        assert said == "RSET"
        assert not client.dialogue.can_begin
        assert client.hear("250 reset") == ""
        assert client.dialogue.can_begin
    assert verdicts(client) == expected
    assert client.last(Done).connection


@pytest.mark.parametrize("offers", [PLAIN, PIPED])
@pytest.mark.parametrize(
    ("reply", "verdict", "status"),
    [
        ("550 5.7.1 no", "f", "5.7.1"),
        ("550 no", "f", "5.1.0"),
        ("451 no", "t", "4.1.0"),
        ("503 no", "f", "5.1.0"),
    ],
)
@pytest.mark.parametrize("data", ["503 no", GO])
def test_sender_refused(offers: str, reply: str, verdict: str, status: str, data: str) -> None:
    """MAIL decides for all, whatever a pipelining peer says to the commands behind it."""
    client = Client(offers)
    client.begin("b@d", "c@d")
    client.hear(reply)
    if offers == PIPED:
        said = client.hear("250 ok", "503 no", data)
        assert said == ("." if data == GO else "")
        if data == GO:
            client.hear("250 taken for nobody")
    assert verdicts(client) == verdict * 2
    assert {each.status for each in client.last(Done).dispositions} == {status}
    assert client.dialogue.can_begin


@pytest.mark.parametrize(
    ("step", "reply", "status"),
    [
        ("rcpt", "550 no", "5.1.1"),
        ("rcpt", "450 no", "4.0.0"),
        ("rcpt", "552 5.2.2 full", "4.2.2"),
        ("rcpt", "552 full", "4.2.3"),
        ("rcpt", "550 2.1.1 odd", "5.1.1"),
        ("data", "554 no", "5.0.0"),
        ("dot", "554 no", "5.6.0"),
        ("dot", "552 no", "5.3.4"),
        ("dot", "452 4.3.1 full", "4.3.1"),
    ],
)
def test_status_codes(step: str, reply: str, status: str) -> None:
    """The peer's enhanced code counts, with the class of the verdict; else a default of the stage."""
    client = Client()
    client.begin()
    client.hear(OK, reply if step == "rcpt" else OK)
    if step != "rcpt":
        client.hear(reply if step == "data" else GO)
    else:
        client.hear("503 nobody")
    if step == "dot":
        client.content()
        client.hear(reply)
    (each,) = client.last(Done).dispositions
    assert (each.status, each.reply) == (status, reply)


def test_552_may_be_permanent() -> None:
    """552_PERMANENT_ERROR_STRING lists the texts that make 552 permanent."""
    client = Client(options={"permanent_552": ("5.2.2 mailbox full",)})
    client.begin("b@d", "c@d")
    client.hear(OK, "552 5.2.2 mailbox full, sorry", "552 5.2.2 too many recipients", "503 nobody")
    assert verdicts(client) == "ft"
    assert [each.status for each in client.last(Done).dispositions] == ["5.2.2", "4.2.2"]


def test_multi_line_replies_are_kept() -> None:
    """The peer's words reach the log and the notification, also when there are many."""
    client = Client()
    client.begin()
    client.hear(OK, "550-5.1.1 no such", "550 5.1.1 user here", "503 no")
    assert client.last(Done).dispositions[0].reply == "550 5.1.1 no such 5.1.1 user here"


def test_lmtp_replies_for_each_recipient() -> None:
    """LMTP: after the dot each accepted recipient has its own reply (RFC 2033)."""
    client = Client(config={"lmtp": True})
    client.begin("b@d", "no@d", "c@d", "e@d")
    client.hear(OK, OK, "550 5.1.1 no", OK, OK, GO)
    client.content()
    client.hear("250 b")
    assert not [event for event in client.events if isinstance(event, Done)]
    client.hear("452 4.2.2 full", "550 5.7.1 no")
    assert verdicts(client) == "rftf"
    assert client.dialogue.can_begin


def test_lmtp_lost_between_replies() -> None:
    """Who was answered keeps the verdict; the others are deferred."""
    client = Client(config={"lmtp": True})
    client.begin("b@d", "c@d")
    client.hear(OK, OK, OK, GO)
    client.content()
    client.hear("250 b")
    client.dialogue.lost("closed")
    client.said()
    assert verdicts(client) == "rt"


def test_lmtp_content_for_nobody() -> None:
    """An LMTP peer that wants content though it refused everybody is not to be trusted further."""
    client = Client(config={"lmtp": True})
    client.begin()
    client.hear(OK, "550 no", GO)
    assert verdicts(client) == "f"
    assert client.events[-1] == Closed()


def test_begin_only_when_it_may() -> None:
    """A transaction cannot be begun in the middle of another."""
    client = Client()
    client.begin()
    assert not client.dialogue.can_begin
    with pytest.raises(ValueError, match="now"):
        client.begin()


def test_content_nobody_asked_for_is_dropped() -> None:
    """Content that comes late, because the transaction is over, goes nowhere."""
    client = Client()
    assert client.content() == ""


def test_timeouts_by_step() -> None:
    """Each reply has its own time; that of the dot grows with recipients and size."""
    times = {"mail": 2, "rcpt": 3, "data": 5}
    options: dict[str, Any] = {f"status_{step}_receive_time": time for step, time in times.items()}
    options |= {"status_receive_time": 7, "timeout_multiplier": 1}
    options |= {"status_data_recv_per_addr_time": 1, "status_data_recv_per_block_time": 10}
    options |= {"status_data_recv_per_addr_per_block_time": 100}
    client = Client(PLAIN, options=options)
    client.begin("b@d", "c@d", octets=2048)
    waits = []
    for reply in (OK, OK, OK, GO):
        waits.append(client.dialogue.timeout())
        client.hear(reply)
    assert waits == [2, 3, 3, 7]
    assert client.dialogue.timeout() is None
    client.content()
    assert client.dialogue.timeout() == 5 + 2 + 20 + 400
