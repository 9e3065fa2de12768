"""The client against peers that say anything."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.mail.disposition import Verdict
from jobctl.smtp.client import Closed, Done, NeedContent, SessionFailed
from tests.smtp_client_reference import walk_client
from tests.smtp_dialogues import Client

LINES = st.sampled_from(
    [
        *("250 ok", "250 ok", "250 2.0.0 ok", "354 go", "354 go", "251 ok", "220 hi"),
        *("450 4.2.0 later", "451 later", "452 4.5.3 many", "552 5.2.2 full"),
        *("250-more", "250-PIPELINING", "421 4.3.2 bye", "garbage", "200", "999 x", ""),
    ]
)
REFUSALS = st.sampled_from(["550 5.1.1 no", "554 no", "503 5.5.1 no", "500 what"])
ACTS = st.one_of(LINES, REFUSALS, st.sampled_from(["begin", "content", "quit", "timeout", "lost"]))


def play(client: Client, acts: list[str]) -> tuple[list[str], int]:
    """Do what is said as far as it is allowed; ids begun, and messages whose final dot went out."""
    begun: list[str] = []
    dots = 0
    for act in acts:
        dialogue = client.dialogue
        if act == "begin":
            if dialogue.can_begin:
                begun.append(f"A{len(begun)}")
                client.begin("b@d", "c@d", id=begun[-1])
        elif act == "content":
            needed = sum(type(event) is NeedContent for event in client.events)
            if needed > dots:
                client.content()
                dots += 1
        elif act == "quit":
            dialogue.quit()
        elif act == "timeout":
            dialogue.timed_out()
        elif act == "lost":
            dialogue.lost("lost")
        else:
            client.hear(act)
        client.said()
    return begun, dots


@settings(deadline=None, max_examples=400)
@given(
    st.sampled_from([None, "DSN", "PIPELINING", "PIPELINING\nSIZE"]),
    st.lists(ACTS, max_size=30),
    st.booleans(),
)
def test_every_message_has_one_outcome(offers: str | None, acts: list[str], lmtp: bool) -> None:
    """
    Whatever a peer says: each message begun has exactly one outcome with a verdict for each recipient,
    none is delivered whose end was not sent, and the session ends once.
    """
    client = Client(offers, config={"lmtp": lmtp})
    begun, dots = play(client, acts)
    client.dialogue.lost("over")
    client.said()
    done = [event for event in client.events if isinstance(event, Done)]
    assert [event.id for event in done] == begun
    assert all([each.recipient for each in event.dispositions] == ["b@d", "c@d"] for event in done)
    assert all(
        each.status[0] in "245" and each.status[1] == "." for event in done for each in event.dispositions
    )
    happy = [event for event in done if any(each.verdict.final for each in event.dispositions)]
    delivered = [
        event
        for event in happy
        if any(each.verdict in (Verdict.DELIVERED, Verdict.RELAYED) for each in event.dispositions)
    ]
    assert len(delivered) <= dots
    assert sum(isinstance(event, Closed | SessionFailed) for event in client.events) == 1
    assert client.dialogue.timeout() is None and not client.dialogue.can_begin


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(["DSN", "PIPELINING"]),
    st.lists(st.one_of(LINES, st.sampled_from(["begin", "content", "quit", "timeout", "lost"])), max_size=30),
)
def test_nothing_fails_without_a_permanent_refusal(offers: str, acts: list[str]) -> None:
    """As long as nobody says 5xx other than 552 to a recipient, no message is given back."""
    client = Client(offers)
    play(client, [act for act in acts if not act.startswith("552")])
    client.dialogue.lost("over")
    client.said()
    for event in client.events:
        if isinstance(event, Done):
            assert all(each.verdict is not Verdict.FAILED for each in event.dispositions)
        if isinstance(event, SessionFailed):
            assert not event.permanent


@settings(deadline=None, max_examples=200)
@given(st.lists(st.binary(max_size=30), max_size=10), st.sampled_from([None, "PIPELINING"]))
def test_octets_of_any_kind(parts: list[bytes], offers: str | None) -> None:
    """Noise ends a session at worst; it neither breaks the client nor delivers anything."""
    client = Client(offers)
    if client.dialogue.can_begin:
        client.begin()
    for part in parts:
        client.take(part)
    for event in client.events:
        if isinstance(event, Done):
            assert all(each.verdict is Verdict.DEFERRED for each in event.dispositions)


@pytest.mark.parametrize("seed", [1, 2])
def test_any_server_leads_to_what_the_reference_says(seed: int) -> None:
    """Whatever is answered, lost or left out, with DATA, BDAT and LMTP: each recipient's verdict is the standard's."""
    assert walk_client(seed, 10_000) > 50
