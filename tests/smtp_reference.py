"""
SMTP's server in the plainest words, to compare ours with: commands in any order, cut anywhere, over any length of time.

RFC 5321 section 4.1.4 (order), RFC 3207 (STARTTLS), RFC 4954 (AUTH), RFC 3030 (BDAT), RFC 6531 (SMTPUTF8), RFC 2033
(LMTP).
"""

import base64
import random
from typing import Any

from jobctl.mail.reply import Reply
from jobctl.smtp.questions import (
    Finished,
    PasswordGiven,
    Question,
    RecipientGiven,
    Sender,
    StartTls,
    TokenGiven,
)
from tests.smtp_dialogues import YES, Server

LIMIT = 2048  # octets of a message
CONTENTS = (
    b"hello\r\n",
    b"refused\r\n",
    b"..dot\r\n.\x00\r\n",
    b"bare\nline\r\n",
    b"x" * 3000 + b"\r\n",
    b"",
    b"a\rb\r\n",
)
GOOD = base64.b64encode(b"\0ann\0sesame").decode()
WRONG = base64.b64encode(b"\0ann\0guess").decode()
TOKENS = tuple(
    base64.b64encode(f"{who}auth=Bearer {token}\1\1".encode()).decode()
    for who in ("user=ann\1", "")
    for token in ("good", "bad", "")
)
LINES = (
    *(
        "EHLO a",
        "HELO b",
        "LHLO c",
        "EHLO",
        "MAIL FROM:<ann@x>",
        "MAIL FROM:<ann@x>",
        "MAIL FROM:<> RET=HDRS",
    ),
    *(
        "MAIL FROM:<no@x>",
        "MAIL FROM:<ann@x> BAD=1",
        "MAIL FROM:<ann@x> SIZE=9999",
        "MAIL FROM:<\u00e4@x> SMTPUTF8",
    ),
    *("MAIL FROM:<\u00e4@x>", "MAIL <", "RCPT TO:<bob@x>", "RCPT TO:<bob@x>", "RCPT TO:<cid@x> NOTIFY=NEVER"),
    *(
        "RCPT TO:<no@x>",
        "RCPT TO:<\u00f6@x>",
        "RCPT TO:<",
        "DATA",
        "DATA",
        "DATA x",
        "RSET",
        "NOOP",
        "VRFY x",
        "XYZ",
    ),
    *(
        "STARTTLS",
        "STARTTLS",
        "STARTTLS x",
        "AUTH PLAIN " + GOOD,
        "AUTH PLAIN " + WRONG,
        "AUTH PLAIN !",
        "AUTH LOGIN",
        "AUTH XOAUTH2",
        *(f"AUTH XOAUTH2 {token}" for token in TOKENS),
    ),
    *(
        "AUTH PLAIN",
        "AUTH NONE",
        "AUTH",
        "BDAT",
        "BDAT",
        "BDAT",
        "BDAT LAST",
        "BDAT LAST",
        "BDAT LAST",
        "BDAT x",
        "QUIT",
    ),
)
ANSWERS = (
    GOOD,
    WRONG,
    *TOKENS,
    "*",
    "=",
    "!",
    base64.b64encode(b"ann").decode(),
    base64.b64encode(b"sesame").decode(),
)


class Reference:
    """
    One session: what is said to each command, and what is taken.

    :ivar state: ``begin``, ``ready``, ``mail``, ``rcpt``, ``chunks``, ``auth`` or ``closed``.
    """

    def __init__(self, lmtp: bool, must_auth: bool, plaintext: bool) -> None:
        self.lmtp, self.must_auth, self.plaintext = lmtp, must_auth, plaintext
        self.tls = False
        self.taken: list[tuple[str, list[str], bytes]] = []
        self.restart()

    def restart(self) -> None:
        """As at the banner."""
        self.state = "begin"
        self.esmtp = False
        self.user = ""
        self.login: list[str] | None = None
        self.token = self.refused = False
        self.reset()

    def reset(self) -> None:
        """No transaction."""
        self.sender, self.recipients, self.utf8 = "", list[str](), False
        self.content = b""

    def command(self, line: str) -> list[int]:
        """The codes of the replies to a line."""
        if self.state == "auth":
            return [self.response(line)]
        verb, _, rest = line.partition(" ")
        act = getattr(self, f"do_{verb.lower()}", None)
        return [act(rest) if act else 500]

    def hello(self, rest: str, esmtp: bool) -> int:
        if self.state == "chunks":
            return 503
        if not rest:
            return 501
        self.reset()
        self.state, self.esmtp = "ready", esmtp
        return 250

    def do_ehlo(self, rest: str) -> int:
        return self.hello(rest, True) if not self.lmtp else 503 if self.state == "chunks" else 500

    def do_helo(self, rest: str) -> int:
        return self.hello(rest, False) if not self.lmtp else 503 if self.state == "chunks" else 500

    def do_lhlo(self, rest: str) -> int:
        return self.hello(rest, True) if self.lmtp else 503 if self.state == "chunks" else 500

    def do_mail(self, rest: str) -> int:
        if self.state != "ready":
            # Letters that are not ASCII are looked at where they are allowed only.
            return 503
        if self.must_auth and not self.user:
            return 530
        self.reset()
        if rest == "<":
            return 501
        if "BAD" in rest:
            return 555
        if not rest.isascii() and "SMTPUTF8" not in rest:
            return 553
        if "9999" in rest:
            return 552
        address = rest[6 : rest.index(">")]
        if address == "no@x":
            return 550
        self.sender, self.utf8, self.state = address, "SMTPUTF8" in rest, "mail"
        return 250

    def do_rcpt(self, rest: str) -> int:
        if self.state not in ("mail", "rcpt"):
            return 503
        if rest == "TO:<":
            return 501
        if not rest.isascii() and not self.utf8:
            return 553
        address = rest[4 : rest.index(">")]
        if address == "no@x":
            return 550
        self.recipients.append(address)
        self.state = "rcpt"
        return 250

    def do_data(self, rest: str) -> int:
        if self.state != "rcpt":
            return 503
        return 501 if rest else 354

    def finish(self, content: bytes, most: bool = False) -> list[int]:
        """The content is complete: a reply, under LMTP one for each recipient."""
        code = self.judged(content) or (554 if content.startswith(b"refused") else 250)
        count = len(self.recipients) if self.lmtp else 1
        if code == 250:
            closed = content if not content or content.endswith(b"\r\n") else content + b"\r\n"
            self.taken.append((self.sender, self.recipients, closed))
        self.reset()
        self.state = "ready"
        return [code] * count

    def judged(self, content: bytes) -> int:
        """Why content is refused by itself, 0: it is not."""
        bare = content.replace(b"\r\n", b"")
        if len(content) > LIMIT:
            return 552
        return 550 if b"\r" in bare or b"\n" in bare else 0

    def chunk(self, data: bytes, last: bool) -> list[int]:
        """BDAT: its octets are taken whatever is said."""
        if self.state not in ("rcpt", "chunks"):
            return [503]
        self.content += data
        whole = self.content
        self.state = "chunks"
        if last:
            return self.finish(whole)
        code = self.judged(whole[:-1] if whole.endswith(b"\r") else whole)
        if code:
            self.reset()
            self.state = "ready"
            return [code]
        return [250]

    def do_rset(self, rest: str) -> int:
        self.reset()
        self.state = "begin" if self.state == "begin" else "ready"
        return 250

    def do_noop(self, rest: str) -> int:
        return 250

    def do_vrfy(self, rest: str) -> int:
        if self.state == "chunks":
            return 503
        return 530 if self.must_auth and not self.user else 252

    def do_quit(self, rest: str) -> int:
        self.state = "closed"
        return 221

    def do_starttls(self, rest: str) -> int:
        if self.state not in ("begin", "ready"):
            return 503
        if self.tls:
            return 503
        if not self.esmtp:
            return 502
        if rest:
            return 501
        self.restart()
        self.tls = True
        return 220

    def do_auth(self, rest: str) -> int:
        if self.state != "ready":
            return 503
        if not self.esmtp:
            return 502
        if self.user:
            return 503
        mechanism, _, initial = rest.partition(" ")
        if not mechanism:
            return 501
        if mechanism not in ("PLAIN", "LOGIN", "XOAUTH2"):
            return 504
        if not (self.tls or self.plaintext):
            return 538
        self.state = "auth"
        self.login = [] if mechanism == "LOGIN" else None
        self.token, self.refused = mechanism == "XOAUTH2", False
        return self.response(initial) if initial else 334

    def response(self, line: str) -> int:
        """A line of the client within AUTH."""
        if self.refused:
            return self.over(535)
        if line == "*":
            return self.over(501)
        try:
            text = base64.b64decode("" if line == "=" else line, validate=True)
        except ValueError:
            return self.over(501)
        if b"\r" in text or b"\n" in text:
            return self.over(501)
        if self.token:
            return self.bearer(text)
        if self.login is None:
            parts = text.split(b"\0")
            if len(parts) != 3 or not parts[1]:
                return self.over(501)
            return self.over(235 if parts == [b"", b"ann", b"sesame"] else 535)
        if b"\0" in text or (not self.login and not text):
            return self.over(501)
        self.login.append(text.decode())
        if len(self.login) == 1:
            return 334
        return self.over(235 if self.login == ["ann", "sesame"] else 535)

    def bearer(self, text: bytes) -> int:
        """The response of XOAUTH2; a token that is no good is told, and 535 follows whatever is said then."""
        parts = text.split(b"\1")
        if b"auth=Bearer bad" in parts:
            self.refused = True
            return 334
        if b"auth=Bearer good" not in parts:
            return self.over(501)
        return self.over(235 if b"user=ann" in parts else 535)

    def over(self, code: int) -> int:
        """The exchange has ended."""
        self.refused = False
        self.state = "ready"
        self.user = "ann" if code == 235 else ""
        return code


def decide(question: Question) -> "Reply | list[Reply]":
    """What the reference assumes of whoever decides."""
    if isinstance(question, RecipientGiven):
        return Reply(550, "5.1.1 no") if question.recipient.address == "no@x" else YES
    if isinstance(question, Sender):
        return Reply(550, "5.7.1 no") if question.address == "no@x" else YES
    if isinstance(question, PasswordGiven):
        good = (question.user, question.password) == ("ann", "sesame")
        return Reply(235) if good else Reply(535, "5.7.8 no")
    if isinstance(question, TokenGiven):
        return Reply(235) if question.token == "good" else Reply(535, "5.7.8 no")
    if isinstance(question, Finished):
        return Reply(554, "5.6.0 no") if question.data.startswith(b"refused") else YES
    return YES if not hasattr(question, "text") else Reply(252)


class Session:
    """Server and reference side by side."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        lmtp, must_auth, plaintext = (chance.random() < part for part in (0.2, 0.3, 0.7))
        self.model = Reference(lmtp, must_auth, plaintext)

        def answer(question: Question) -> "Reply | list[Reply]":
            said = decide(question)
            if lmtp and isinstance(question, Finished):
                return [said] * len(question.envelope.recipients)  # type: ignore[list-item]
            return said

        config: dict[str, Any] = {
            "lmtp": lmtp,
            "tls": "may",
            "auth": ("PLAIN", "LOGIN", "XOAUTH2"),
            "must_auth": must_auth,
        }
        config |= {"plaintext_auth": plaintext, "max_size": LIMIT, "asks": frozenset({"sender", "recipient"})}
        self.server = Server(
            answer, hello="", config=config, keywords={"utf8negotiate": True}, **_patient(chance)
        )

    def burst(self) -> int:
        """Some commands at once, cut anywhere: how many, after comparing what was said."""
        octets, codes, count = b"", list[int](), 0
        lines = list[str]()
        for _ in range(self.chance.choice((1, 1, 2, 3, 8))):
            count += 1
            more, said = self._step()
            octets += more
            codes += said
            lines.append(repr(more))
            if self.model.state == "closed" or said == [220]:
                break
        if codes[-1:] == [220] and self.chance.random() < 0.3:
            octets += self.chance.choice((b"MAIL FROM:<evil@x>\r\n", b"EHLO evil\r\nRSET\r\n"))
        heard = self._send(octets)
        assert heard == codes, f"{lines}: {heard}, by the reference {codes}"
        if codes[-1:] == [220]:
            self.server.dialogue.secured("TLSv1.3/X")
        return count

    def _step(self) -> tuple[bytes, list[int]]:
        model = self.model
        if model.state == "auth":
            line = self.chance.choice(ANSWERS)
            return line.encode() + b"\r\n", model.command(line)
        line = self.chance.choice(LINES)
        if line == "BDAT x":
            model.state = "closed"
            return b"BDAT x\r\n", [421]
        if line.startswith("BDAT"):
            content = self.chance.choice(CONTENTS)
            last = line.endswith("LAST")
            wire = b"BDAT %d%b\r\n%b" % (len(content), b" LAST" if last else b"", content)
            return wire, model.chunk(content, last)
        codes = model.command(line)
        wire = line.encode() + b"\r\n"
        if codes == [354]:
            content = self.chance.choice(CONTENTS)
            stuffed = (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]
            end = b".\r\n" if not content or content.endswith(b"\r\n") else b"\r\n.\r\n"
            wire += stuffed + end
            codes += model.finish(content)
        return wire, codes

    def _send(self, octets: bytes) -> list[int]:
        said = []
        cut = self.chance.choice((1, 2, 7, 60, 10_000)) if len(octets) < 2000 else 1000
        for at in range(0, len(octets), cut):
            said.append(self.server.send(octets[at : at + cut]))
        lines = [line for part in said for line in part.split("\n") if line]
        return [int(line[:3]) for line in lines if line[3:4] == " "]

    def end(self) -> None:
        """What was taken is what the reference has taken."""
        told: list[Finished] = self.server.told(Finished)
        taken = [
            (one.envelope.sender, [r.address for r in one.envelope.recipients], one.data)
            for one in told
            if not one.data.startswith(b"refused")
        ]
        assert taken == self.model.taken
        assert (self.server.dialogue.user or "") == self.model.user
        started = [one for one in self.server.asked if isinstance(one, StartTls)]
        assert len(started) == self.model.tls


def _patient(chance: random.Random) -> dict[str, Any]:
    """No limits that would end a long session of mistakes."""
    return {"disconnectbadcommandlimit": 10**9, "disconnectbadauthlimit": 10**9}


def walk_server(seed: int, steps: int) -> int:
    """:return: Sessions that it took; raises where server and reference do not agree."""
    chance = random.Random(seed)
    done = sessions = 0
    while done < steps:
        session = Session(chance)
        sessions += 1
        most = chance.choice((10, 40, 200))
        begun = done
        while session.model.state != "closed" and done - begun < most:
            done += session.burst()
        session.end()
    return sessions
