"""Large content in chunks (RFC 3030): how it is cut, how far it runs ahead, and how it stops."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.mail.disposition import Verdict
from jobctl.smtp.client_content import CHUNK, MOST_CHUNKS, OutgoingContent
from jobctl.smtp.events import Done, NeedContent
from tests.smtp_dialogues import Client, envelope, short_chunks
from tests.smtp_readers import Reader
from tests.test_smtp_round_trip import CONTENT, Line, as_lines

OFFERS = "PIPELINING\nCHUNKING"
PIECE = b"x" * 98 + b"\r\n"


@pytest.fixture
def large():
    """A message of several chunks of 100 octets whose two recipients have been accepted."""
    with short_chunks(100):
        client = Client(OFFERS)
        said = client.begin("b@d", "c@d", octets=5000)
        assert "BDAT" not in said and "DATA" not in said
        assert client.hear("250 ok", "250 ok", "250 ok") == ""
        client.last(NeedContent)
        yield client


def feed(client: Client, pieces: int) -> str:
    for _ in range(pieces):
        client.dialogue.feed(PIECE)
    return client.said()


def verdicts(client: Client) -> list[Verdict]:
    return [each.verdict for each in client.last(Done).dispositions]


def test_chunks_and_their_end(large: Client) -> None:
    """Each chunk when it is full, the last with LAST and what the content needs for its end."""
    assert feed(large, 1) == ""
    chunk = "BDAT 100\n" + "x" * 98
    assert feed(large, 2) == f"{chunk}\n{chunk}"
    large.dialogue.feed(b"y")
    large.dialogue.finish()
    assert large.said() == f"{chunk}\nBDAT 3 LAST\ny"
    large.hear("250 100", "250 100", "250 100")
    assert not [event for event in large.events if isinstance(event, Done)]
    large.hear("250 2.6.0 taken")
    assert verdicts(large) == [Verdict.DELIVERED] * 2


def test_nobody_wants_it() -> None:
    """Where every recipient was refused no content goes out; RSET ends the transaction, and the session goes on."""
    client = Client(OFFERS)
    client.begin("b@d", "c@d", octets=CHUNK + 1)
    assert client.hear("250 ok", "550 5.1.1 no", "450 4.2.1 later") == "RSET"
    assert verdicts(client) == [Verdict.FAILED, Verdict.DEFERRED]
    client.hear("250 ok")
    assert client.dialogue.can_begin


def test_it_does_not_run_far_ahead(large: Client) -> None:
    """After so many chunks without a reply no more is wanted, until one is answered."""
    for fed in range(MOST_CHUNKS + 1):
        assert large.dialogue.wants_content, fed
        feed(large, 1)
    assert not large.dialogue.wants_content
    large.hear("250 ok")
    assert large.dialogue.wants_content


@pytest.mark.parametrize(
    ("reply", "verdict"), [("452 4.3.1 full", "deferred"), ("552 5.3.4 large", "failed")]
)
def test_a_refusal_in_the_middle(large: Client, reply: str, verdict: str) -> None:
    """Nothing more is sent; what is on its way is refused too; then RSET, and the next message goes."""
    feed(large, 4)
    assert large.hear("250 ok", reply) == ""
    assert feed(large, 1) == "" and large.dialogue.wants_content
    large.dialogue.finish()
    assert large.said() == ""
    assert not [event for event in large.events if isinstance(event, Done)]
    assert not large.dialogue.can_begin
    assert large.hear("503 5.5.1 no transaction") == "RSET"
    assert [str(one) for one in verdicts(large)] == [verdict] * 2
    assert large.last(Done).dispositions[0].reply == reply
    large.hear("250 reset")
    assert large.begin(id="A2").startswith("MAIL FROM")


def test_a_refusal_when_all_of_it_is_out(large: Client) -> None:
    """What was refused stays refused, whatever is said of the rest; the next message came behind a RSET."""
    feed(large, 2)
    large.dialogue.finish()
    large.said()
    assert large.begin(id="A2").startswith("RSET\nMAIL FROM")
    large.hear("552 5.3.4 too large", "503 5.5.1 no")
    assert [str(one) for one in verdicts(large)] == ["failed"] * 2
    large.hear("250 reset", "250 ok", "250 ok")
    large.content()
    large.hear("250 taken")
    assert [event.id for event in large.events if isinstance(event, Done)] == ["A1", "A2"]


def test_a_peer_that_takes_what_it_has_refused(large: Client) -> None:
    """250 to the end of content of which a chunk was refused is nonsense: the session ends, nobody counts as served."""
    feed(large, 2)
    large.dialogue.finish()
    large.hear("452 4.3.1 full", "250 2.6.0 taken")
    assert verdicts(large) == [Verdict.DEFERRED] * 2
    assert not large.last(Done).connection or not large.dialogue.can_begin


def test_waits(large: Client) -> None:
    """A chunk's reply may take as long as the end's; while nothing is due nothing is waited for."""
    assert large.dialogue.timeout() is None
    feed(large, 2)
    assert large.dialogue.timeout() == 600
    assert large.dialogue.doing("A1") == "content"
    large.dialogue.finish()
    assert large.dialogue.doing("A1") == "content"
    large.dialogue.timed_out()
    large.said()
    assert "timeout waiting for the reply to a chunk" in large.last(Done).dispositions[0].reply


@pytest.mark.parametrize("offers", ["CHUNKING", "PIPELINING"])
def test_without_both_extensions_it_goes_by_data(offers: str) -> None:
    """Chunks need PIPELINING too."""
    client = Client(offers)
    client.begin(octets=CHUNK + 1)
    said = [client.hear("250 ok") for _ in range(2)]
    assert "DATA" in said[-1] or "PIPELINING" in offers
    client.hear("354 go")
    client.last(NeedContent)


def test_pieces_are_gathered_and_nothing_is_held_but_a_chunk() -> None:
    """However small the pieces are: chunks are full, and what is kept back is one chunk at most."""
    content = OutgoingContent(True, large=True)
    sizes = []
    held = 0
    for _ in range(5 * CHUNK // 1000):
        ready = content.feed(b"z" * 1000)
        held += 1000
        if ready:
            size = int(ready.split(None, 2)[1])
            sizes.append(size)
            held -= size
        assert held <= CHUNK
    assert all(CHUNK - 1000 < size <= CHUNK for size in sizes) and len(sizes) >= 4


@settings(deadline=None, max_examples=150)
@given(CONTENT, st.integers(1, 12), st.integers(1, 9))
def test_any_octets_leave_as_one_message(content: bytes, cut: int, chunk: int) -> None:
    """However it is cut into pieces and chunks: one message to a strict and to a lax server, octet for octet."""
    with short_chunks(chunk):
        client = Client(OFFERS)
        client.dialogue.begin("A1", envelope("b@d"), chunk + 1)
        wire = client.dialogue.take_output()
        client.dialogue.receive(b"250 ok\r\n250 ok\r\n")
        for at in range(0, len(content), cut):
            client.dialogue.feed(content[at : at + cut])
            wire += client.dialogue.take_output()
        client.dialogue.finish()
        wire += client.dialogue.take_output()
    for lax in (False, True):
        (seen,) = Reader(wire, lax).messages
        assert seen.content == as_lines(content)
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", wire)


@settings(deadline=None, max_examples=60)
@given(st.lists(CONTENT, min_size=1, max_size=4), st.sampled_from([1, 3, 50]), st.integers(1, 5))
def test_our_client_and_our_server(contents: list[bytes], cut: int, chunk: int) -> None:
    """Several messages in chunks on one connection arrive whole, in order."""
    with short_chunks(chunk):
        line = Line(cut=cut)
        line.run([(envelope(), content) for content in contents])
    assert [data for _, data in line.taken] == [as_lines(content) for content in contents]
