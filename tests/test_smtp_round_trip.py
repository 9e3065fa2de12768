"""Client and server dialogues joined: what goes in comes out."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.mail.envelope import Envelope, Recipient
from jobctl.mail.reply import Reply
from jobctl.smtp.client import ClientConfig, ClientDialogue, Done, NeedContent
from jobctl.smtp.questions import Finished, Piece
from jobctl.smtp.server import ServerDialogue
from jobctl.smtp.server_config import ServerConfig
from tests.smtp_dialogues import YES, channel, envelope

CONTENT = st.one_of(
    st.lists(
        st.sampled_from(
            [b".", b"\r\n", b"\r", b"\n", b"..", b"\r\n.\r\n", b"text", b"\x00\xff", b"MAIL FROM:<x@y>"]
        ),
        max_size=25,
    ).map(b"".join),
    st.binary(max_size=60),
)
XTEXT = st.sampled_from([None, "rfc822;b+40c.example", "x400;a+20b"])
RECIPIENTS = st.lists(
    st.builds(
        Recipient,
        st.sampled_from(["bob@example.com", '"a b"@example.com', "x@[192.0.2.1]", "y+z=w@sub.example.com"]),
        st.sampled_from([None, "NEVER", "SUCCESS,FAILURE"]),
        XTEXT,
    ),
    min_size=1,
    max_size=4,
)
ENVELOPES = st.builds(
    Envelope,
    st.sampled_from(["", "ann@example.org"]),
    RECIPIENTS.map(tuple),
    st.sampled_from([None, "FULL", "HDRS"]),
    st.sampled_from([None, "id+2B1"]),
    st.sampled_from([None, "7BIT", "8BITMIME"]),
)


class Line:
    """A wire between the two that cuts what it carries."""

    def __init__(self, lmtp: bool = False, cut: int = 10**9, smtp: str = "crlf") -> None:
        settings = channel(smtp=smtp)
        self.client = ClientDialogue(ClientConfig(helo="c.example", channel=settings, lmtp=lmtp))
        self.server = ServerDialogue(ServerConfig(host="s.example", channel=settings, lmtp=lmtp), lambda: 0.0)
        self.cut = cut
        self.taken: list[tuple[Envelope, bytes]] = []
        self.done: list[Done] = []
        self.pieces = b""
        self.server.connected()

    def run(self, messages: list[tuple[Envelope, bytes]]) -> None:
        """Carry all messages."""
        waiting = list(enumerate(messages))
        while True:
            moved = self._to_client(self.server.take_output())
            while (event := self.client.next_event()) is not None:
                moved = True
                if isinstance(event, NeedContent):
                    content = messages[int(event.id)][1]
                    for at in range(0, len(content), self.cut):
                        self.client.feed(content[at : at + self.cut])
                    self.client.finish()
                elif isinstance(event, Done):
                    self.done.append(event)
            if waiting and self.client.can_begin:
                number, (given, content) = waiting.pop(0)
                self.client.begin(str(number), given, len(content))
            if not self._to_server(self.client.take_output()) and not moved and not waiting:
                return

    def _to_client(self, data: bytes) -> bool:
        for at in range(0, len(data), self.cut):
            self.client.receive(data[at : at + self.cut])
        return bool(data)

    def _to_server(self, data: bytes) -> bool:
        for at in range(0, len(data), self.cut):
            self.server.receive(data[at : at + self.cut])
            while (question := self.server.next_question()) is not None:
                if isinstance(question, Piece):
                    self.pieces += question.data
                elif isinstance(question, Finished):
                    self.taken.append((question.envelope, self.pieces + question.data))
                    self.pieces = b""
                    self.server.answer(YES)
                else:
                    self.server.answer(Reply(250))
        return bool(data)


def as_lines(content: bytes) -> bytes:
    """Content with strict line ends, closed by one."""
    content = re.sub(rb"\r\n|\r|\n", b"\r\n", content)
    return content if not content or content.endswith(b"\r\n") else content + b"\r\n"


@pytest.mark.parametrize("lmtp", [False, True])
@settings(deadline=None, max_examples=80)
@given(
    messages=st.lists(st.tuples(ENVELOPES, CONTENT), min_size=1, max_size=4),
    cut=st.sampled_from([1, 2, 3, 10**9]),
    smtp=st.sampled_from(["crlf", "crorlf", "lf", "cr"]),
)
def test_every_message_arrives_octet_for_octet(
    lmtp: bool, messages: list[tuple[Envelope, bytes]], cut: int, smtp: str
) -> None:
    """Any messages on one connection, cut anywhere: the same envelopes and octets arrive, once, in order."""
    line = Line(lmtp, cut, smtp)
    line.run(messages)
    assert line.taken == [(given, as_lines(content)) for given, content in messages]
    assert [event.id for event in line.done] == [str(number) for number in range(len(messages))]
    assert all(each.verdict == "relayed" for event in line.done for each in event.dispositions)
    assert [len(event.dispositions) for event in line.done] == [
        len(given.recipients) for given, _ in messages
    ]


@pytest.mark.parametrize("cut", [1460, 65536])
def test_a_large_message_arrives_octet_for_octet(cut: int) -> None:
    """Megabytes with long lines, dots at line starts and 8-bit text."""
    content = (b"." * 3 + b"\r\n" + b"\xe4" * 5000 + b"\r\n\r\n..\r\n" + b"x" * 71 + b"\r\n") * 500
    line = Line(cut=cut)
    line.run([(envelope(), content), (envelope(), b"next\r\n")])
    assert [data for _, data in line.taken] == [content, b"next\r\n"]


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"\r\n", b"DATA\r\n", b"a"]), max_size=12).map(b"".join))
def test_a_relay_makes_no_second_message(content: bytes) -> None:
    """Whatever a peer with odd line ends gets into a message, the next hop sees it as one message too."""
    for smtp in ("crlf", "crorlf", "lf", "cr"):
        server = ServerDialogue(
            ServerConfig(host="s", channel=channel(smtp=smtp), asks=frozenset()), lambda: 0.0
        )
        server.connected()
        server.receive(b"HELO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n" + content + b"\r\n.\r\n")
        while (question := server.next_question()) is not None:
            if isinstance(question, Finished):
                line = Line()
                line.run([(question.envelope, question.data)])
                assert [data for _, data in line.taken] == [question.data]
            if server.waiting:
                server.answer(YES)
