"""SMTP dialogues set up for tests."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from jobctl.config.settings import ChannelSettings
from jobctl.config.tcp_settings import TcpOptions
from jobctl.mail.envelope import Envelope, Recipient
from jobctl.mail.reply import Reply
from jobctl.smtp.client import ClientConfig, ClientDialogue, Event
from jobctl.smtp.questions import Question
from jobctl.smtp.server import ServerDialogue
from jobctl.smtp.server_config import ServerConfig

YES = Reply(250)
# 26 November 2026, noon.
NOW = 1_795_694_400.0


@contextmanager
def short_chunks(octets: int = 4) -> Iterator[None]:
    """Content is large from that size on, so that a few octets make several chunks of BDAT."""
    with patch("jobctl.smtp.client.CHUNK", octets), patch("jobctl.smtp.client_content.CHUNK", octets):
        yield


def channel(options: dict[str, Any] | None = None, **keywords: Any) -> ChannelSettings:
    """A channel that speaks SMTP with CRLF, changed as given."""
    settings: dict[str, Any] = {
        "name": "tcp_local",
        "official_host_name": "tcp-daemon",
        "local_host": "mail.example.org",
        "smtp": "crlf",
        "options": TcpOptions(**(options or {})),
    }
    return ChannelSettings(**(settings | keywords))


class Server:
    """A server dialogue with somebody who answers its questions."""

    def __init__(
        self,
        decide: Callable[[Question], Reply | list[Reply]] = lambda question: YES,
        options: dict[str, Any] | None = None,
        hello: str = "EHLO client.example",
        config: dict[str, Any] | None = None,
        **keywords: Any,
    ) -> None:
        chosen = {"host": "mail.example.org", "channel": channel(options, **keywords)} | (config or {})
        self.dialogue = ServerDialogue(ServerConfig(**chosen), lambda: NOW)
        self.decide = decide
        self.asked: list[Question] = []
        self.dialogue.connected()
        self.banner = self.output()
        self.greeting = self.say(hello) if hello else ""

    def say(self, *lines: str) -> str:
        """Say commands at once; the replies, whose lines end in LF."""
        return self.send("".join(f"{line}\r\n" for line in lines).encode())

    def send(self, data: bytes) -> str:
        self.dialogue.receive(data)
        self.settle()
        return self.output()

    def settle(self) -> None:
        while (question := self.dialogue.next_question()) is not None:
            self.asked.append(question)
            if self.dialogue.waiting:
                answer = self.decide(question)
                if isinstance(answer, list):
                    self.dialogue.answers(answer)
                else:
                    self.dialogue.answer(answer)

    def output(self) -> str:
        return self.dialogue.take_output().decode().replace("\r\n", "\n").removesuffix("\n")

    def told(self, kind: type) -> list[Any]:
        """What was asked or told of this kind."""
        return [question for question in self.asked if type(question) is kind]


def envelope(*recipients: str, **changes: Any) -> Envelope:
    """An envelope from ann."""
    given = {
        "sender": "ann@example.org",
        "recipients": tuple(Recipient(r) for r in recipients or ("bob@example.com",)),
    }
    return Envelope(**(given | changes))


class Client:
    """A client dialogue, and what has come of it."""

    def __init__(
        self,
        offers: str | None = "PIPELINING\nDSN\n8BITMIME\nSIZE 0",
        banner: str = "220 mx.example.com ESMTP ready",
        options: dict[str, Any] | None = None,
        config: dict[str, Any] | None = None,
        **keywords: Any,
    ) -> None:
        """:param offers: Lines of the EHLO reply; ``None`` stays before the banner."""
        chosen = {"helo": "mail.example.org", "channel": channel(options, **keywords)} | (config or {})
        self.dialogue = ClientDialogue(ClientConfig(**chosen))
        self.events: list[Event] = []
        if offers is not None:
            self.hear(banner)
            lines = ["mx.example.com hello", *(line for line in offers.split("\n") if line)]
            self.hear(*[f"250{'-' if line is not lines[-1] else ' '}{line}" for line in lines])
            self.events.clear()

    def hear(self, *lines: str) -> str:
        """Say replies to the client at once; what it answers, with LF."""
        return self.take("".join(f"{line}\r\n" for line in lines).encode())

    def take(self, data: bytes) -> str:
        self.dialogue.receive(data)
        return self.said()

    def said(self) -> str:
        while (event := self.dialogue.next_event()) is not None:
            self.events.append(event)
        return self.dialogue.take_output().decode("latin-1").replace("\r\n", "\n").removesuffix("\n")

    def begin(
        self,
        *recipients: str,
        id: str = "A1",
        octets: int = 100,
        whole: bytes | None = None,
        **changes: Any,
    ) -> str:
        size = octets if whole is None else len(whole)
        self.dialogue.begin(id, envelope(*recipients, **changes), size, whole=whole)
        return self.said()

    def content(self, data: bytes = b"Subject: x\r\n\r\nHello\r\n") -> str:
        self.dialogue.feed(data)
        self.dialogue.finish()
        return self.said()

    def last(self, kind: type) -> Any:
        """The only event of this kind."""
        (found,) = [event for event in self.events if type(event) is kind]
        return found
