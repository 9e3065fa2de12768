"""
A server that answers anything, and what must become of each message: the client's side of SMTP in the plainest words.

RFC 5321 section 4.2.1 (only the first digit decides), section 4.5.3.1.10 (552 to RCPT), RFC 2033, RFC 3030.
"""

import random

from jobctl.mail.disposition import Verdict
from jobctl.smtp.events import Closed, Done, NeedContent, SessionFailed
from tests.smtp_dialogues import Client, envelope, short_chunks

REPLIES = (
    *(250, 250, 250, 250, 250, 251, 299, 354, 354, 399, 450, 451, 452, 499, 550, 552, 503, 599, 421),
    *("what?", "lost", "timeout"),
)
USUAL = {"DATA": 354, "QUIT": 221}
CONTENTS = (b"", b"x\r\n", b".\r\n..\r\n", b"a\rb\nc", b"\r\n.\r\nMAIL FROM:<evil@x>\r\n")
CHUNK = 4
WORDS = {
    Verdict.DELIVERED: "taken",
    Verdict.RELAYED: "taken",
    Verdict.DEFERRED: "later",
    Verdict.FAILED: "failed",
}


class Expected:
    """One message: what is known of its recipients so far."""

    def __init__(self, id: str, count: int, first: bool) -> None:
        self.id = id
        self.verdicts: list[str | None] = [None] * count
        self.accepted: list[int] = []
        self.first = first
        self.refused = False  # MAIL was
        self.answered = False
        self.complete = False  # all of its content has come
        self.cut = False  # a chunk was refused: the rest is worth nothing
        self.over = False

    def decide(self, numbers: list[int], code: int, step: str) -> None:
        """4xx or 5xx about these."""
        later = code < 500 or (code == 552 and step == "RCPT")
        for number in numbers:
            self.verdicts[number] = "later" if later else "failed"

    def open(self) -> list[int]:
        """Who has no verdict."""
        return [number for number, verdict in enumerate(self.verdicts) if verdict is None]


class Peer:
    """
    Hears the client's octets strictly, answers each command by chance, and keeps the score.

    :ivar ended: The session is over for one of both.
    """

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.lmtp = chance.random() < 0.2
        self.trouble = chance.choice((0.0, 0.05, 0.3))
        offers = chance.choice(
            ("8BITMIME", "PIPELINING", "PIPELINING\nCHUNKING", "PIPELINING\nDSN\nCHUNKING")
        )
        self.client = Client(offers, config={"lmtp": self.lmtp})
        self.dialogue = self.client.dialogue
        self.messages: list[Expected] = []
        self.replies: list[tuple[str, Expected | None, int]] = []  # that are due
        self.wire = b""
        self.in_content = False  # what comes is content after 354
        self.transaction = False  # MAIL was accepted and nothing has ended it
        self.heard: Expected | None = None
        self.begun = 0  # messages whose MAIL was heard
        self.unsent: dict[str, list[bytes]] = {}  # by id: pieces of content to be fed yet
        self.ended = False
        self.steps = 0

    def run(self, most: int) -> None:
        """A session of so many steps at most."""
        while self.steps < most and not self.ended:
            self.steps += 1
            self.listen(self.dialogue.take_output())
            self.events()
            acts = ["reply"] * (4 if self.replies else 0) + ["begin"] * self.dialogue.can_begin
            acts += ["content"] * (6 if self.unsent else 0)
            if not acts:
                break
            getattr(self, self.chance.choice(acts))()
        self.finish()

    def events(self) -> None:
        while (event := self.dialogue.next_event()) is not None:
            self.client.events.append(event)
            if isinstance(event, NeedContent):
                octets = self.chance.choice(CONTENTS) * self.chance.choice((1, 5))
                cuts = sorted(self.chance.randint(0, len(octets)) for _ in range(self.chance.choice((1, 4))))
                ends = zip([0, *cuts], [*cuts, len(octets)], strict=True)
                self.unsent[event.id] = [octets[a:b] for a, b in ends]
            elif isinstance(event, Done):
                self.check(event)
            elif isinstance(event, Closed):
                self.ended = True
            assert not isinstance(event, SessionFailed)

    def check(self, done: Done) -> None:
        """An outcome has been told: it is that of the first message without one."""
        message = next(one for one in self.messages if not one.over)
        message.over = True
        self.unsent.pop(message.id, None)
        assert done.id == message.id
        said = [WORDS[each.verdict] for each in done.dispositions]
        expected = [verdict or "later" for verdict in message.verdicts]
        assert said == expected, f"{done.id}: {said}, by the reference {expected}"
        for each in done.dispositions:
            assert each.status[0] == {"taken": "2", "later": "4", "failed": "5"}[WORDS[each.verdict]]
        if done.scope == "local":
            assert not message.answered and not message.first

    def begin(self) -> None:
        count = self.chance.choice((1, 1, 2, 4))
        id = f"A{len(self.messages)}"
        self.messages.append(Expected(id, count, not self.messages))
        octets = self.chance.choice((CHUNK, CHUNK + 1))
        self.dialogue.begin(id, envelope(*(f"r{number}@d" for number in range(count))), octets)

    def content(self) -> None:
        """Send a piece of what a message was to have sent, and what its end needs after the last."""
        id, pieces = next(iter(self.unsent.items()))
        if pieces:
            self.dialogue.feed(pieces.pop(0))
            return
        del self.unsent[id]
        self.dialogue.finish()

    def listen(self, octets: bytes) -> None:
        """Commands as a strict server hears them."""
        self.wire += octets
        while self.wire:
            if self.in_content:
                end = self.wire.find(b"\r\n.\r\n") if not self.wire.startswith(b".\r\n") else -2
                if end == -1:
                    return
                self.wire, self.in_content = self.wire[end + 5 :], False
                self.complete()
                continue
            end = self.wire.find(b"\r\n")
            if end < 0:
                return
            line, self.wire = self.wire[:end].decode(), self.wire[end + 2 :]
            self.hear(line)

    def hear(self, line: str) -> None:
        verb = line[:4]
        assert "evil" not in line
        if verb == "MAIL":
            self.heard = self.messages[self.begun]
            self.begun += 1
            self.replies.append(("MAIL", self.heard, -1))
        elif verb == "RCPT":
            assert self.heard is not None
            self.replies.append(("RCPT", self.heard, int(line[line.index("<r") + 2 : line.index("@")])))
        elif verb == "BDAT":
            _, size, *last = line.split()
            assert len(self.wire) >= int(size), "a chunk that is shorter than it says"
            self.wire = self.wire[int(size) :]
            if last:
                self.complete()
            else:
                assert self.heard is not None
                assert self.heard.accepted, "content that nobody wants"
                self.replies.append(("CHUNK", self.heard, -1))
        else:
            self.replies.append((verb, self.heard if verb == "DATA" else None, -1))

    def complete(self) -> None:
        message = self.heard
        assert message is not None
        message.complete = True
        self.replies.append(("END", message, -1))

    def reply(self) -> None:
        """Answer the oldest command, or break off."""
        step, message, number = self.replies.pop(0)
        if self.chance.random() >= self.trouble:
            code: int | str = USUAL.get(step, 250)
            if step == "DATA" and message is not None and not message.accepted:
                code = self.chance.choice((354, 503))
            if message is not None and message.cut:
                code = self.chance.choice((503, 503, 554, 450, 250))
            elif step == "CHUNK" and self.chance.random() < self.trouble:
                code = self.chance.choice((452, 552))
        else:
            code = self.chance.choice(REPLIES)
        if step == "END" and self.lmtp and message is not None and len(message.accepted) > 1:
            self.replies[0:0] = [("END of", message, one) for one in message.accepted[1:]]
            number = message.accepted[0]
        if isinstance(code, str):
            self.end_by(code)
            return
        self.note(step, message, number, code)
        self.say(f"{code} 2.0.0 text\r\n" if self.chance.random() < 0.2 else f"{code} text\r\n")

    def end_by(self, how: str) -> None:
        if how == "lost":
            self.dialogue.lost("lost")
        elif how == "timeout":
            self.dialogue.timed_out()
        else:
            self.say("what?\r\n")
        self.events()
        assert self.ended

    def say(self, line: str) -> None:
        octets = line.encode()
        cut = self.chance.randint(1, len(octets))
        self.dialogue.receive(octets[:cut])
        self.dialogue.receive(octets[cut:])

    def note(self, step: str, message: Expected | None, number: int, code: int) -> None:
        """What this reply means, by the standard's words."""
        kind = code // 100
        if step == "MAIL":
            assert not self.transaction, "MAIL within a transaction"
            self.transaction = kind == 2
        elif step == "RSET":
            # Refused or not: what is pipelined behind it has gone out in good faith.
            self.transaction = False
        elif step == "CHUNK":
            pass
        elif step.startswith("END"):
            # After a chunk that is refused nobody knows the state (RFC 3030 section 2); after the dot it is over.
            chunked = "CHUNKING" in self.dialogue.extensions and not self.lmtp
            self.transaction = self.transaction and kind != 2 and chunked
        elif step == "DATA":
            self.in_content = kind == 3
        if code == 421 or message is None:
            return
        if step == "MAIL":
            if code == 503 and not message.first:
                return
            message.answered = kind != 3
            message.refused = kind in (4, 5)
            if message.refused:
                message.decide(message.open(), code, step)
        elif message.refused or message.cut:
            return
        elif step == "CHUNK":
            message.cut = kind in (4, 5)
            if message.cut:
                message.decide(message.accepted, code, step)
        elif step == "RCPT":
            if kind == 2:
                message.accepted.append(number)
            elif kind in (4, 5):
                message.decide([number], code, step)
        elif step == "DATA":
            if kind in (4, 5):
                message.decide(message.accepted, code, step)
        elif step.startswith("END"):
            numbers = message.accepted if number < 0 else [number]
            if kind == 2:
                for one in numbers:
                    message.verdicts[one] = "taken"
            elif kind in (4, 5):
                message.decide(numbers, code, step)

    def finish(self) -> None:
        """Everybody has an outcome, and the session ends once."""
        self.dialogue.lost("over")
        self.events()
        assert all(message.over for message in self.messages)
        assert sum(isinstance(event, Closed) for event in self.client.events) == 1
        assert self.dialogue.timeout() is None and not self.dialogue.can_begin


def walk_client(seed: int, steps: int) -> int:
    """:return: Sessions that it took; raises where client and reference do not agree."""
    chance = random.Random(seed)
    done = sessions = 0
    with short_chunks(CHUNK):
        while done < steps:
            peer = Peer(chance)
            sessions += 1
            peer.run(chance.choice((20, 100, 400)))
            done += peer.steps
    return sessions
