"""
What the client makes of every kind of reply at every step, as a table: ``python -m tests.verdicts`` prints
``docs/verdicts.md``.

A scripted server answers the client's dialogue; one reply is replaced by what a row of the table says.
"""

from collections.abc import Callable, Iterator

from jobctl.mail.disposition import Verdict
from jobctl.sasl.client import Credentials
from jobctl.smtp.events import Done, Event, NeedContent, Ready, SessionFailed, StartTls
from tests.smtp_dialogues import Client, envelope, short_chunks

ANN, BOB, CID, DAN = "ann@d.example", "bob@d.example", "cid@d.example", "dan@d.example"
USUAL = {
    "MAIL": "250 2.1.0 ok",
    f"RCPT {ANN}": "250 2.1.5 ok",
    f"RCPT {BOB}": "550 5.1.1 no such user",
    f"RCPT {CID}": "452 4.2.2 over quota",
    f"RCPT {DAN}": "250 2.1.5 ok",
    "DATA": "354 go",
    "content": "",
    "RSET": "250 2.0.0 ok",
    "QUIT": "221 2.0.0 bye",
}
LOST = "connection closed or reset"
SILENT = "no answer in time"
EVENTS = {
    "2xx": "299 2.0.0 unheard of, yet positive",
    "3xx": "399 what else",
    "4xx": "499 4.3.0 later",
    "5xx": "599 5.3.0 never",
    "503": "503 5.5.1 out of order",
    "552": "552 5.2.2 full",
    "421": "421 4.3.2 closing",
    LOST: LOST,
    SILENT: SILENT,
    "no reply at all (`what?`)": "what?",
    "a line that does not end": "250 " + "x" * 5000,
    "a reply that does not end": "250-x\r\n" * 20000,
}
WORDS = {
    Verdict.DELIVERED: "taken",
    Verdict.RELAYED: "taken",
    Verdict.DEFERRED: "deferred",
    Verdict.FAILED: "failed",
}
# What is offered, LMTP?, octets of content.
MODES = {
    "one by one": ("8BITMIME", False, 21),
    "PIPELINING": ("PIPELINING", False, 21),
    "CHUNKING": ("PIPELINING\nCHUNKING", False, 21),
    "large CHUNKING": ("PIPELINING\nCHUNKING", False, 300_000),
    "LMTP": ("PIPELINING", True, 21),
}
# Content is large from here on in these conversations: it is short all the same.
LARGE = 100
STEPS = {
    "MAIL": "MAIL FROM",
    f"RCPT {ANN}": "RCPT TO, the first recipient",
    f"RCPT {DAN}": "RCPT TO, the last recipient",
    "DATA": "DATA",
    "content": "while content is sent",
    "chunk": "a chunk of large content that is not the last (BDAT)",
    "end": "the end of content (the final dot, or BDAT LAST)",
    "end 2": "the end of content under LMTP, for the second recipient accepted",
    "next MAIL": "MAIL FROM of the next message on the connection",
    "RSET": "RSET after a refused DATA",
    "QUIT": "QUIT",
}


def happen(client: Client, event: str) -> None:
    """Let the event come to the client in place of a reply."""
    said = EVENTS[event]
    if said == LOST:
        client.dialogue.lost("connection lost")
    elif said == SILENT:
        client.dialogue.timed_out()
    else:
        client.dialogue.receive(said.encode() + (b"" if "does not end" in event else b"\r\n"))


class Conversation:
    """
    The client with a server that answers in the usual way, but for one reply.

    :ivar happened: The event took place: the conversation came to that step.
    """

    def __init__(self, mode: str, step: str, event: str) -> None:
        offers, lmtp, self._octets = MODES[mode]
        self.client = Client(offers, config={"lmtp": lmtp})
        self.client.events.clear()
        self._step = step
        self._event = event
        self._lmtp = lmtp
        self._wire = b""
        self._due: list[str] = []  # steps that a reply is due to
        self._accepted = 0
        self._sender = False  # MAIL was accepted
        self._messages = 0
        self._content = b""  # "." after DATA, else empty
        self._cut = False  # a chunk was refused
        self.happened = False

    def run(self, id: str) -> Done | None:
        """One message from MAIL to its outcome, with four recipients; ``None`` when none can begin."""
        dialogue = self.client.dialogue
        self._messages += 1
        if not dialogue.can_begin:
            return None
        with short_chunks(LARGE):
            dialogue.begin(id, envelope(ANN, BOB, CID, DAN), self._octets)
            while self._turn():
                pass
        return next((each for each in self.client.events if isinstance(each, Done) and each.id == id), None)

    def quit(self) -> None:
        """End the session."""
        self.client.dialogue.quit()
        while self._turn():
            pass

    def _turn(self) -> bool:
        """One thing that moves; whether anything did."""
        client = self.client
        self._listen(client.dialogue.take_output())
        while (event := client.dialogue.next_event()) is not None:
            client.events.append(event)
            if isinstance(event, NeedContent):
                self._send_content()
                return True
        if not self._due:
            return False
        self._reply(self._due.pop(0))
        return True

    def _send_content(self) -> None:
        dialogue = self.client.dialogue
        dialogue.feed(b"Subject: x\r\n")
        if self._octets > LARGE:
            dialogue.feed(b"y" * LARGE)
        self._listen(dialogue.take_output())
        if self._step == "content" and not self.happened and not self._due:
            self._happen()
        dialogue.feed(b"\r\nhello\r\n")
        dialogue.finish()

    def _happen(self) -> None:
        self.happened = True
        happen(self.client, self._event)

    def _reply(self, step: str) -> None:
        name = f"next {step}" if self._messages > 1 and step == "MAIL" else step
        if name == self._step and not self.happened:
            positive = EVENTS[self._event][:1] == "2"
            self._sender = positive if step == "MAIL" else self._sender
            self._accepted += positive and step.startswith("RCPT")
            self._content = b"." if step == "DATA" and EVENTS[self._event][:1] == "3" else b""
            self._cut = step == "chunk" and not positive
            self._happen()
            return
        said = USUAL.get(step, "250 2.0.0 taken")
        if step == "end" and self._cut:
            said = "503 5.5.1 a chunk was refused"
        if step == "DATA" and self._step == "RSET":
            said = "451 4.3.0 no content now"
        if not self._sender and step != "RSET" and step != "QUIT" and step != "MAIL":
            said = "503 5.5.1 need MAIL"
        self._sender = self._sender or step == "MAIL"
        if step.startswith("RCPT") and said[0] == "2":
            self._accepted += 1
        self.client.dialogue.receive(f"{said}\r\n".encode())
        if step == "DATA" and said[0] == "3":
            self._content = b"."

    def _listen(self, wire: bytes) -> None:
        self._wire += wire
        while self._wire:
            if self._content:
                end = self._wire.find(b"\r\n.\r\n")
                if end < 0:
                    return
                self._wire, self._content = self._wire[end + 5 :], b""
                self._ended()
                continue
            end = self._wire.find(b"\r\n")
            if end < 0:
                return
            line, self._wire = self._wire[:end].decode(), self._wire[end + 2 :]
            verb = line[:4]
            if verb == "BDAT":
                self._wire = self._wire[int(line.split()[1]) :]
                if line.endswith("LAST"):
                    self._ended()
                else:
                    self._due.append("chunk")
            elif verb == "RCPT":
                self._due.append(f"RCPT {line[9 : line.index('>')]}")
            else:
                if verb == "MAIL":
                    self._accepted = 0
                self._due.append(verb)

    def _ended(self) -> None:
        replies = self._accepted if self._lmtp else 1
        self._due += ["end", *(f"end {number}" for number in range(2, replies + 1))]


def outcome(mode: str, step: str, event: str) -> str:
    """A cell of the table, ``""`` where the step does not exist."""
    talk = Conversation(mode, step, event)
    first = talk.run("A1")
    watched = talk.run("A2") if step == "next MAIL" else first
    if step == "QUIT":
        talk.quit()
    if not talk.happened or watched is None:
        return ""
    order = [WORDS[each.verdict] for each in watched.dispositions]
    counted = "counted" if watched.scope == "recipient" else "not counted"
    goes_on = "goes on" if talk.client.dialogue.can_begin else "ends"
    return f"{', '.join(order)}; {counted}; {goes_on}"


OPENINGS = {
    "banner": "the banner",
    "EHLO": "EHLO",
    "HELO": "HELO, after EHLO was refused",
    "STARTTLS": "STARTTLS",
    "EHLO in TLS": "EHLO under TLS",
    "AUTH": "AUTH",
    "AUTH challenge": "AUTH, the reply to our response",
}
POLICIES = ("none", "may", "must", "verify")
HELLO = "250-mx\r\n250-AUTH {}\r\n250 STARTTLS"
INNER = "250-mx\r\n250 AUTH {}"


def opened(policy: str, step: str, event: str) -> str:
    """What becomes of a session at this step of its beginning, ``""`` where there is no such step."""
    mechanism = "LOGIN" if step == "AUTH challenge" else "PLAIN"
    credentials = Credentials("robot", "sesame", mechanism) if step.startswith("AUTH") else None
    client = Client(
        None, config={"tls": policy, "credentials": credentials, "must_auth": credentials is not None}
    )
    secured = False

    def say(reply: str, name: str) -> bool:
        """Whether the conversation has come to the step."""
        if name == step:
            happen(client, event)
            return True
        client.take(reply.encode() + b"\r\n")
        return False

    def in_turn() -> Iterator[tuple[str, str]]:
        nonlocal secured
        yield "220 mx ESMTP", "banner"
        if step == "HELO":
            yield "502 5.5.1 no EHLO", "EHLO"
            yield "250 mx", "HELO"
            return
        yield HELLO.format(mechanism), "EHLO"
        if policy != "none":
            yield "220 go", "STARTTLS"
            client.dialogue.secured()
            client.said()
            yield INNER.format(mechanism), "EHLO in TLS"
        if credentials is not None:
            if mechanism == "LOGIN":
                yield "334 VXNlcm5hbWU6", "user"
                yield "334 UGFzc3dvcmQ6", "AUTH challenge"
            yield "235 2.7.0 ok", "AUTH"

    came = any(say(reply, name) for reply, name in in_turn())
    if not came:
        return ""
    said = client.said()
    return _session(client, said)


def _session(client: Client, said: str) -> str:
    ended = [each for each in client.events if isinstance(each, SessionFailed)]
    if ended:
        failed = ended[0]
        if failed.retry_with_helo:
            return "again, with HELO"
        if failed.retry_in_clear:
            return "again, in the clear"
        return f"{'fails' if failed.permanent else 'waits'}, {failed.status}"
    if _told(client, StartTls) and not _told(client, Ready):
        return "the handshake" if not said else "goes on"
    if _told(client, Ready):
        return "mail is sent"
    return {"EHLO": "goes on", "HELO": "goes on with HELO"}.get(said[:4], "goes on")


def _handshake(policy: str, injected: bool) -> str:
    """The handshake fails, or replies stand in front of it."""
    client = Client(None, config={"tls": policy})
    client.hear("220 mx ESMTP")
    client.hear("250-mx", "250 STARTTLS")
    if injected:
        client.hear("220 go", "250 2.0.0 trust me")
    else:
        client.hear("220 go")
        client.dialogue.tls_failed("handshake failed")
    return _session(client, client.said())


def _told(client: Client, kind: type[Event]) -> bool:
    return any(isinstance(each, kind) for each in client.events)


INTRODUCTION = """\
# Every reply at every step

Written by `python -m tests.verdicts`; `tests/test_smtp_verdicts.py` compares this page with what the client does.

A message goes to four recipients: the server accepts the first and the fourth, refuses the second for good (550),
the third for now (452). Then *one* reply is another than usual, or does not come. A cell tells what becomes of the four
recipients, whether an attempt is counted for the message, and whether the connection carries the next message. Columns
that are alike are joined.

What holds everywhere: a recipient who was refused stays refused; 421, a lost connection, silence and garbage never
return a message; what was not answered on a connection in use is not counted, unless all of it is out already (BDAT)
and may have been taken; after a lost connection no other exchanger is tried for content already under way.
"""
BETWEEN = """\
## Before mail can be sent

The reply at one step of the beginning, by `tls_policy`. *Waits*: no message is charged with an attempt; the next
address or exchanger is tried, then the host is deferred. *Fails*: the messages for that host are returned. With
`verify`, a certificate that does not prove the name ends like a failed handshake. AUTH is one that is needed
(`auth_username`).
"""


def page() -> str:
    """The whole page."""
    lines = [INTRODUCTION]
    for step, title in STEPS.items():
        lines += [f"## {title[0].upper()}{title[1:]}\n", *_table(MODES, step, outcome), ""]
    lines.append(BETWEEN)
    for step, title in OPENINGS.items():
        lines += [f"### {title[0].upper()}{title[1:]}\n", *_table(POLICIES, step, opened), ""]
    lines += ["### The TLS handshake\n", "| | may | must | verify |", "|---|---|---|---|"]
    for title, injected in (("it fails", False), ("a second reply came with the one to STARTTLS", True)):
        cells = "".join(f" {_handshake(policy, injected)} |" for policy in POLICIES[1:])
        lines.append(f"| {title} |{cells}")
    return "\n".join(lines).rstrip() + "\n"


def _table(
    modes: "dict[str, object] | tuple[str, ...]", step: str, cell: Callable[[str, str, str], str]
) -> list[str]:
    """Columns that say the same are one."""
    columns: dict[tuple[str, ...], list[str]] = {}
    for mode in modes:
        values = tuple(cell(mode, step, event) for event in EVENTS)
        if any(values):
            columns.setdefault(values, []).append(mode)
    heads = [", ".join(names) for names in columns.values()]
    rows = ["| |" + "".join(f" {head} |" for head in heads), "|---" * (len(heads) + 1) + "|"]
    for number, name in enumerate(EVENTS):
        rows.append(f"| {name} |" + "".join(f" {values[number]} |" for values in columns))
    return rows


if __name__ == "__main__":
    print(page(), end="")
