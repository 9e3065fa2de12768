"""How the client opens a session, and what becomes of one that does not open."""

from typing import Any

import pytest

from jobctl.smtp.client import Closed, Ready, SessionFailed
from tests.smtp_dialogues import Client

EHLO, HELO = "EHLO mail.example.org", "HELO mail.example.org"


@pytest.mark.parametrize(
    ("banner", "given", "said"),
    [
        ("220 mx ready", {}, EHLO),
        ("220 mx fire away", {}, HELO),
        ("220 mx Fire Away!", {"ehlo": "ehlo"}, EHLO),
        ("220 mx ready", {"ehlo": "checkehlo"}, HELO),
        ("220 mx ESMTP", {"ehlo": "checkehlo"}, EHLO),
        ("220 mx ESMTP", {"ehlo": "noehlo"}, HELO),
        ("220 mx ESMTP", {"config": {"helo_only": True}}, HELO),
        ("220 mx ESMTP", {"options": {"banner_host": "out.example.org"}}, "EHLO out.example.org"),
        ("220 mx", {"config": {"lmtp": True}}, "LHLO mail.example.org"),
        ("220 mx", {"options": {"initial_command": "XHELLO"}}, "XHELLO"),
    ],
)
def test_how_we_introduce_ourselves(banner: str, given: dict[str, Any], said: str) -> None:
    """EHLO or HELO by keyword and banner; BANNER_HOST names us; INITIAL_COMMAND goes first."""
    client = Client(None, **given)
    assert client.hear(banner) == said
    assert client.dialogue.banner == banner[4:]
    assert not client.dialogue.can_begin


@pytest.mark.parametrize("reply", ["250 ok", "500 what?", "450 hm"])
def test_initial_command(reply: str) -> None:
    """Whatever is said to INITIAL_COMMAND, the session goes on."""
    client = Client(None, options={"initial_command": "XHELLO"})
    client.hear("220 mx")
    assert client.hear(reply) == EHLO


def test_extensions_are_learned() -> None:
    """What the peer offers is known, in any case of letters."""
    client = Client("size 5000\npipelining\n8BITMIME\nX-ODD a b")
    assert client.dialogue.extensions == {"SIZE": "5000", "PIPELINING": "", "8BITMIME": "", "X-ODD": "a b"}
    assert client.dialogue.can_begin and client.dialogue.idle
    assert client.dialogue.timeout() is None


@pytest.mark.parametrize("code", ["500", "502", "550", "554"])
def test_ehlo_refused_means_helo(code: str) -> None:
    """A peer that does not know EHLO is spoken to with HELO on the same connection."""
    client = Client(None)
    client.hear("220 mx")
    assert client.hear(f"{code} no") == HELO
    assert client.hear("250 mx") == ""
    assert client.events == [Ready()]
    assert client.dialogue.extensions == {}


@pytest.mark.parametrize(
    ("lines", "failed"),
    [
        (["554 5.7.1 not you"], SessionFailed("554 5.7.1 not you", "5.7.1", True)),
        (["554 no"], SessionFailed("554 no", "5.3.2", True)),
        (["421 4.3.2 busy"], SessionFailed("421 4.3.2 busy", "4.3.2")),
        (["450 busy"], SessionFailed("450 busy", "4.3.2")),
        (["220 mx", "421 busy"], SessionFailed("421 busy", "4.4.2")),
        (["220 mx", "451 busy"], SessionFailed("451 busy", "4.3.2")),
        (["220 mx", "502 no", "550 5.7.1 no"], SessionFailed("550 5.7.1 no", "5.7.1", True)),
        (["220 mx", "502 no", "501 syntax"], SessionFailed("501 syntax", "4.3.2")),
        (["220 mx", "502 no", "450 no"], SessionFailed("450 no", "4.3.2")),
    ],
)
def test_refused_sessions(lines: list[str], failed: SessionFailed) -> None:
    """A refusal at the door is permanent only when the peer says so for good; 421 and 4xx never are."""
    client = Client(None)
    for line in lines:
        said = client.hear(line)
    assert client.events == [failed]
    assert said in ("QUIT", "")
    assert not client.dialogue.can_begin and client.dialogue.timeout() is None
    assert client.hear("250 more") == "" and client.events == [failed]


def test_lmtp_has_no_helo() -> None:
    """A peer that refuses LHLO speaks no LMTP: configuration to be mended, not mail to be returned."""
    client = Client(None, config={"lmtp": True})
    client.hear("220 mx")
    client.hear("500 5.5.1 what?")
    assert client.events == [SessionFailed("500 5.5.1 what?", "4.5.1", False)]


@pytest.mark.parametrize(
    ("before", "again"),
    [([], False), (["220 mx"], True), (["220 mx", "500 what?"], True), (["220 mx fire away"], False)],
)
def test_a_connection_dropped_on_ehlo(before: list[str], again: bool) -> None:
    """A peer that hangs up on EHLO is tried again with HELO; one that hangs up elsewhere is not."""
    client = Client(None)
    for line in before:
        client.hear(line)
    client.dialogue.lost("connection closed by the next hop")
    client.said()
    assert client.events == [
        SessionFailed("connection closed by the next hop", "4.4.2", False, retry_with_helo=again)
    ]


@pytest.mark.parametrize(("before", "words"), [([], "the banner"), (["220 mx"], "the reply to EHLO")])
def test_timeout_while_opening(before: list[str], words: str) -> None:
    """A silent peer is given up after STATUS_MAIL_RECEIVE_TIME, temporarily, and not tried with HELO."""
    client = Client(None, options={"status_mail_receive_time": 3, "timeout_multiplier": 2})
    for line in before:
        client.hear(line)
    assert client.dialogue.timeout() == 6
    client.dialogue.timed_out()
    client.said()
    assert client.events == [SessionFailed(f"timeout waiting for {words}", "4.4.2")]


@pytest.mark.parametrize("garbage", ["HTTP/1.1 400 Bad Request", "354 go", "299", "2x0 a"])
def test_a_peer_that_speaks_something_else(garbage: str) -> None:
    """What is no banner ends the session, temporarily, with the reason visible; 2xx of any number is one."""
    client = Client(None)
    client.hear(garbage)
    if garbage == "299":
        assert client.events == []
    else:
        (failed,) = client.events
        assert isinstance(failed, SessionFailed)
        assert failed.status == "4.5.0" and not failed.permanent and "violation" in failed.reply


def test_quit_before_the_greeting() -> None:
    """An owner who changes its mind can leave at any time."""
    client = Client(None)
    client.dialogue.quit()
    assert client.said() == "QUIT"
    assert client.events == [Closed()]


def test_quit_when_idle() -> None:
    """QUIT is said, its reply awaited, then the session is closed."""
    client = Client()
    client.dialogue.quit()
    assert client.said() == "QUIT"
    assert not client.dialogue.can_begin and client.events == []
    assert client.dialogue.timeout() == 600
    client.hear("221 bye")
    assert client.events == [Closed()]
    client.dialogue.quit()
    client.dialogue.lost("late")
    assert client.said() == "" and client.events == [Closed()]


@pytest.mark.parametrize("how", ["lost", "timed_out", "421"])
def test_an_idle_session_that_ends(how: str) -> None:
    """A peer that closes an idle session has harmed nobody."""
    client = Client("PIPELINING")
    client.begin()
    client.hear("250 ok", "250 ok", "354 go")
    client.content()
    client.hear("250 taken")
    client.events.clear()
    if how == "421":
        client.hear("421 4.4.2 idle too long")
    elif how == "lost":
        client.dialogue.lost("closed")
    else:
        client.dialogue.timed_out()
    client.said()
    assert client.events == [Closed()]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ("421 4.7.0 too many of you", "4.7.0"),
        ("421 bye", "4.4.2"),
        ("250 what you did not ask", "4.5.0"),
        ("554 5.7.1 go away", "4.5.0"),
        ("", "4.4.2"),
    ],
)
def test_a_peer_that_greets_and_leaves(said: str, status: str) -> None:
    """Who greets and goes before the first message has not opened a session: else it would be called again at once."""
    client = Client()
    if said:
        client.hear(said)
    else:
        client.dialogue.lost("closed")
        client.said()
    (failed,) = client.events
    assert isinstance(failed, SessionFailed) and failed.status == status and not failed.permanent
    assert not client.dialogue.can_begin and client.dialogue.timeout() is None


@pytest.mark.parametrize("behind", ["250 mx", "250-mx", "220 mx once more"])
def test_replies_that_come_before_the_command(behind: str) -> None:
    """What comes behind the banner cannot be the reply to EHLO: nothing would be a reply to what it seems to be."""
    client = Client(None)
    client.hear("220 mx", behind, "250 mx")
    (failed,) = client.events
    assert isinstance(failed, SessionFailed) and failed.status == "4.5.0" and not failed.permanent


def test_a_peer_that_greets_and_goes_at_once() -> None:
    """421 may come at any time, also right behind the banner."""
    client = Client(None)
    client.hear("220 mx", "421 4.3.2 busy")
    assert client.events == [SessionFailed("421 4.3.2 busy", "4.3.2")]
