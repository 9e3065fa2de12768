"""The server against a small reference: commands in any order."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.mail.reply import Reply
from jobctl.smtp.questions import Finished, Question, RecipientGiven, Sender
from tests.smtp_dialogues import YES, Server
from tests.smtp_reference import walk_server

COMMANDS = st.sampled_from(
    [
        "EHLO a",
        "HELO b",
        "EHLO",
        "MAIL FROM:<ann@x>",
        "MAIL FROM:<>  RET=HDRS",
        "MAIL FROM:<no@x>",
        "MAIL FROM:<ann@x> BAD=1",
        "RCPT TO:<bob@x>",
        "RCPT TO:<cid@x> NOTIFY=NEVER",
        "RCPT TO:<no@x>",
        "RCPT TO:<",
        "DATA",
        "DATA x",
        "RSET",
        "NOOP",
        "VRFY x",
        "XYZ",
        "content",
        "refused content",
    ]
)


@dataclass
class Model:
    """RFC 5321 section 4.1.4 in the plainest words: what may come now, and what the envelope is."""

    greeted: bool = False
    sender: str | None = None
    recipients: list[str] = field(default_factory=list)
    taken: list[tuple[str, tuple[str, ...], str | None, bytes]] = field(default_factory=list)
    ret: str | None = None

    def reset(self) -> None:
        self.sender, self.recipients, self.ret = None, [], None

    def expect(self, command: str) -> int:
        """The code of the reply."""
        verb, _, rest = command.partition(" ")
        if verb in ("EHLO", "HELO"):
            if not rest:
                return 501
            self.greeted = True
            self.reset()
            return 250
        if verb == "RSET":
            self.reset()
        if verb in ("RSET", "NOOP"):
            return 250
        if verb == "VRFY":
            return 252
        if verb == "MAIL":
            return self._mail(rest)
        if verb == "RCPT":
            return self._rcpt(rest)
        if verb == "DATA":
            if not self.recipients:
                return 503
            return 501 if rest else 354
        return 500

    def _mail(self, rest: str) -> int:
        if not self.greeted or self.sender is not None:
            return 503
        if "BAD" in rest:
            return 555
        address = rest[6 : rest.index(">")]
        if address == "no@x":
            return 550
        self.sender = address
        self.ret = "HDRS" if "RET" in rest else None
        return 250

    def _rcpt(self, rest: str) -> int:
        if self.sender is None:
            return 503
        if rest == "TO:<":
            return 501
        address = rest[4 : rest.index(">")]
        if address == "no@x":
            return 550
        self.recipients.append(address)
        return 250

    def content(self, data: bytes, refused: bool) -> int:
        """The content of a message that got 354."""
        assert self.sender is not None
        if not refused:
            self.taken.append((self.sender, tuple(self.recipients), self.ret, data))
        self.reset()
        return 554 if refused else 250


def decide(question: Question) -> Reply:
    """What the model assumes."""
    if isinstance(question, RecipientGiven) and question.recipient.address == "no@x":
        return Reply(550, "5.1.1 no")
    if isinstance(question, Sender) and question.address == "no@x":
        return Reply(550, "5.7.1 no")
    if isinstance(question, Finished):
        return Reply(554, "5.6.0 no") if question.data.startswith(b"refused") else YES
    return YES if not hasattr(question, "text") else Reply(252)


@settings(deadline=None, max_examples=300)
@given(st.lists(COMMANDS, max_size=25), st.booleans())
def test_any_order_of_commands(commands: list[str], pipelined: bool) -> None:
    """In whatever order commands come, the server says and takes what the standard says, no more."""
    model = Model()
    server = Server(
        decide,
        hello="",
        config={"asks": {"hello", "sender", "recipient"}},
        disconnectbadcommandlimit=1000,
    )
    octets, codes, in_content = b"", [], False
    for command in commands:
        if in_content:
            octets += command.encode() + b"\r\n.\r\n"
            codes.append(model.content(command.encode() + b"\r\n", command.startswith("refused")))
            in_content = False
            continue
        octets += command.encode() + b"\r\n"
        codes.append(model.expect(command))
        in_content = codes[-1] == 354
    if pipelined:
        said = server.send(octets)
    else:
        said = "\n".join(filter(None, (server.send(line) for line in octets.splitlines(keepends=True))))
    finals = [line for line in said.split("\n") if line[3:4] == " "]
    assert [int(line[:3]) for line in finals] == codes
    taken = [
        (
            each.envelope.sender,
            tuple(r.address for r in each.envelope.recipients),
            each.envelope.ret,
            each.data,
        )
        for each in server.told(Finished)
        if not each.data.startswith(b"refused")
    ]
    assert taken == model.taken


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.one_of(COMMANDS.map(str.encode), st.binary(max_size=20), st.just(b".")), max_size=20),
    st.data(),
)
def test_garbage_never_breaks_it(parts: list[bytes], data: st.DataObject) -> None:
    """Whatever octets come, cut anywhere, the server answers lines of its own and stays bounded."""
    server = Server(smtp=data.draw(st.sampled_from(["crlf", "crorlf", "lf", "cr"])))
    octets = b"\r\n".join(parts) + b"\r\n"
    cut = data.draw(st.integers(1, 40))
    said = "\n".join(filter(None, (server.send(octets[at : at + cut]) for at in range(0, len(octets), cut))))
    assert all(line[:3].isdigit() and line[3] in " -" for line in said.split("\n") if line)
    assert server.dialogue.buffered < 5000


@pytest.mark.parametrize("seed", [1, 2])
def test_any_session_goes_as_the_reference_has_it(seed: int) -> None:
    """With TLS, AUTH, BDAT, SMTPUTF8 and LMTP, in any order and cut anywhere: the same replies, the same messages."""
    assert walk_server(seed, 10_000) > 100
