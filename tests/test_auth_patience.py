"""Guesses cost their address time, whoever is asked about them, in both server programs."""

from typing import Any
from unittest.mock import Mock, patch

import pytest
from twisted.internet.task import Clock

from channels.kit.slave_questions import SlaveQuestions
from channels.tcp.authentication import Authentication
from channels.tcp.security import Security
from jobctl.mail.reply import Reply
from jobctl.smtp.questions import BadCommand, KeysWanted, PasswordGiven, TokenGiven
from jobctl.smtp.replies import AUTH_FAILED, AUTH_LATER
from tests.auth_case import KEYWORDS
from tests.tcp_support import channel, service

TOKEN = TokenGiven("XOAUTH2", "ann", "t")
PASSWORD = PasswordGiven("PLAIN", "ann", "x")
KEYS = {"auth_url": "https://127.0.0.1/", "introspection_url": "https://127.0.0.1/"}


class Session:
    """Who waits for an answer, at an address."""

    def __init__(self, client: str) -> None:
        self.client = client
        self.server = self
        self.now = 0.0
        self.heard: list[Reply] = []

    def answer(self, reply: Reply) -> None:
        self.heard.append(reply)

    def answer_claim(self, reply: Reply, user: str) -> None:
        self.heard.append(reply)


def test_tcp_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """1, 2, 4 seconds for bad tokens and passwords of one address, none for another's, none for our trouble."""
    said = AUTH_FAILED
    monkeypatch.setattr(Authentication, "check", lambda self, claim, decided: decided(said, ""))
    reactor = Clock()
    security = Security(reactor, channel(keywords=KEYWORDS), service(**KEYS))
    for claim, seconds in ((TOKEN, 1), (PASSWORD, 2), (TOKEN, 4)):
        session: Any = Session("192.0.2.1")
        security.check(session, claim)
        reactor.advance(seconds - 0.1)
        assert session.heard == []
        reactor.advance(0.1)
        assert session.heard == [AUTH_FAILED]
    other: Any = Session("192.0.2.2")
    security.check(other, TOKEN)
    reactor.advance(1)
    assert other.heard == [AUTH_FAILED]
    said = AUTH_LATER
    security.check(session, TOKEN)
    assert session.heard[1:] == [AUTH_LATER]
    assert reactor.getDelayedCalls() == []


def test_generic_slave() -> None:
    """A session's bad tokens and passwords wait longer each time; trouble of ours does not wait."""
    said = [AUTH_FAILED, AUTH_FAILED, AUTH_LATER, AUTH_FAILED]

    class Asked:
        patience = 20.0

        def check(self, claim: Any, decided: Any) -> None:
            decided(said.pop(0), "")

    waits: list[float] = []
    unused: Any = None
    questions = SlaveQuestions(
        unused,
        unused,
        client=unused,
        tables=unused,
        reception=unused,
        security=Asked(),  # type: ignore[arg-type]
        wait=waits.append,
    )
    for claim in (TOKEN, PASSWORD, TOKEN, TOKEN):
        questions.take(claim)
    assert waits == [20, 1, 20, 2, 20, 0, 20, 4]
    assert questions.delayed == AUTH_FAILED


def test_generic_slave_and_scram() -> None:
    """Who has failed by SCRAM waits for what the next try needs, as long as for the answer to a password."""
    handed_over: list[object] = []
    waits: list[float] = []

    class Talks:
        def answer_keys(self, keys: object) -> None:
            handed_over.append(keys)

    class Knows:
        def keys(self, user: str) -> None:
            return None

    run, unused = Mock(), Mock()
    questions = SlaveQuestions(
        run,
        Talks(),  # type: ignore[arg-type]
        client=unused,
        tables=unused,
        reception=unused,
        security=Knows(),  # type: ignore[arg-type]
        wait=waits.append,
    )
    questions.take(KeysWanted("ann"))
    assert (handed_over, waits) == ([None], [])
    for seconds in (1, 2, 4, 8, 16, 16):
        handed_over.clear()
        waits.clear()
        with patch("channels.kit.slave_questions.noted"):
            questions.take(BadCommand("AUTH SCRAM-SHA-256", AUTH_FAILED))
        questions.take(KeysWanted("ann"))
        assert (handed_over, waits) == ([], [seconds])
        assert questions.hand_over_keys()
        assert handed_over == [None]
        assert not questions.hand_over_keys()
