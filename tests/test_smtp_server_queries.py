"""VRFY, EXPN, ETRN and HELP as the keywords and options of a channel have them."""

from typing import Any

import pytest

from jobctl.mail.reply import Reply
from jobctl.smtp.questions import BadCommand, Expand, Private, RunQueue, Sender, Verify
from tests.smtp_dialogues import YES, Server

EXPN_OFF = "550 5.7.2 EXPN command has been disabled"


def test_queries_are_asked_and_answered() -> None:
    """VRFY, EXPN and ETRN reach whoever knows, addresses taken out of what the client wrote."""
    answers = {
        Verify: Reply(250, "2.1.5 <ann@x>"),
        Expand: Reply(250, "2.1.5 a\n2.1.5 b"),
        RunQueue: Reply(253, "2.7.0 ok"),
    }
    server = Server(lambda question: answers[type(question)], keywords={"expnallow": True})
    assert server.say("VRFY ann") == "250 2.1.5 <ann@x>"
    assert server.say("EXPN <list@x>") == "250-2.1.5 a\n250 2.1.5 b"
    assert server.say("ETRN #chan") == "253 2.7.0 ok"
    assert server.asked == [Verify("ann", "ann"), Expand("<list@x>", "list@x"), RunQueue("#chan")]


def test_an_address_without_a_domain_is_the_one_that_rcpt_would_mean() -> None:
    """VRFY and EXPN complete by ``defaulthost`` as RCPT does."""
    server = Server(
        lambda q: Reply(250, "ok"), keywords={"expnallow": True}, defaulthost=("x.example", "y.example")
    )
    server.say("VRFY ann", "EXPN ann", "VRFY postmaster")
    assert [one.address for one in server.asked] == ["ann@y.example", "ann@y.example", "postmaster"]


def test_smtputf8_parameter() -> None:
    """RFC 6531 section 3.7.4.2: VRFY and EXPN may end in SMTPUTF8, which is no part of the address."""
    server = Server(lambda q: Reply(250, "ok"), keywords={"utf8header": True})
    server.say("VRFY <\u00fc@x.example> SMTPUTF8")
    assert server.asked == [Verify("<\u00fc@x.example> SMTPUTF8", "\u00fc@x.example")]


@pytest.mark.parametrize(
    ("query", "reply"),
    [
        ("ann", "252 2.5.0 Possible local address <ann>"),
        ("<ann@MAIL.example.org>", "252 2.5.0 Possible local address <ann@MAIL.example.org>"),
        ("ann@elsewhere.example", "252 2.5.0 Possible remote address not checked"),
        ("a b", "553 5.1.3"),
    ],
)
def test_verification_may_be_vague(query: str, reply: str) -> None:
    """HIDE_VERIFY and ``vrfyhide`` tell nobody who exists."""
    for hidden in (Server(options={"hide_verify": 1}), Server(keywords={"vrfyhide": True})):
        assert hidden.say(f"VRFY {query}").startswith(reply)
        assert hidden.asked == []
    asked = Server(lambda q: Reply(252))
    assert asked.say(f"VRFY {query}").startswith(reply)
    assert Server(
        options={"hide_verify": 1}, keywords={"vrfyallow": True}, decide=lambda q: Reply(250, "x")
    ).say("VRFY x") == ("250 x")


@pytest.mark.parametrize(
    ("keywords", "disable", "answered"),
    [
        ({}, 0, False),
        ({"expnallow": True}, 0, True),
        ({"expnallow": True}, 1, True),
        ({"expndefault": True}, 0, True),
        ({"expndefault": True}, 1, False),
        ({"expndisable": True}, 0, False),
    ],
)
def test_expn_is_off_unless_allowed(keywords: dict[str, Any], disable: int, answered: bool) -> None:
    """EXPN needs a keyword of the channel; ``expndefault`` leaves it to DISABLE_EXPAND."""
    server = Server(
        lambda q: Reply(250, "2.1.5 <x@y>"), options={"disable_expand": disable}, keywords=keywords
    )
    assert server.say("EXPN x") == ("250 2.1.5 <x@y>" if answered else EXPN_OFF)


def test_expn_and_vrfy_share_their_limits() -> None:
    """What may not be found out by VRFY cannot be by EXPN; what is no address counts as a rejection."""
    server = Server(
        lambda q: Reply(550, "5.1.1 no"),
        options={"allow_rejections_before_deferral": 3},
        keywords={"expnallow": True},
    )
    assert server.say("EXPN x", "VRFY y").count("550 5.1.1") == 2
    assert server.say("VRFY a b").startswith("553 5.1.3")
    blocked = "451 4.5.3 Verification blocked; too many rejections"
    assert server.say("EXPN z") == blocked and server.say("VRFY z") == blocked


def test_etrn_may_be_disabled() -> None:
    """Keywords switch it off, with the words of the manual."""
    server = Server(keywords={"disableetrn": True})
    assert server.say("ETRN x") == "502 5.5.1 ETRN command has been disabled."
    assert "ETRN" not in server.greeting
    domain = Server(keywords={"domainetrn": True})
    assert domain.say("ETRN #chan").startswith("501 ")
    assert domain.say("ETRN host.example").startswith("250 ")


@pytest.mark.parametrize("node", ["@", "#", "a b", "#a b", "@@x", "host/x", "[1.2.3.4", "a" * 300])
def test_etrn_syntax(node: str) -> None:
    """RFC 1985 section 5.3: an argument that is no node is 501, and does not count."""
    server = Server(lambda q: Reply(250, "2.0.0 started"))
    assert server.say(f"ETRN {node}").startswith("501 5.5.4 Syntax")
    assert server.asked == []
    assert server.say("ETRN [192.0.2.1]") == "250 2.0.0 started"


def test_queries_wait_for_tls_and_auth() -> None:
    """Where mail needs TLS or AUTH, what is told about mail does, too (RFC 3207 section 4)."""
    server = Server(config={"tls": "must"}, keywords={"expnallow": True})
    for command in ("VRFY x", "EXPN x", "ETRN x"):
        assert server.say(command).startswith("530 5.7.0 Must issue a STARTTLS")
    assert server.asked == []
    server = Server(config={"must_auth": True})
    assert server.say("VRFY x").startswith("530 5.7.0 No AUTH")


def test_help() -> None:
    """HELP names the commands that this server takes, and how one is written."""
    server = Server()
    assert server.say("HELP") == (
        "214-2.3.0 Commands: HELO EHLO MAIL RCPT DATA BDAT RSET NOOP VRFY ETRN HELP QUIT\n"
        "214 2.3.0 This is an SMTP server (RFC 5321)."
    )
    assert server.say("help etrn") == "214 2.3.0 Syntax: ETRN host, ETRN @host or ETRN #channel"
    assert server.say("HELP EXPN").startswith("504 ")
    keywords = {"expnallow": True, "disableetrn": True, "nochunkingserver": True}
    other = Server(config={"tls": "may", "auth": ("SCRAM-SHA-256",)}, keywords=keywords)
    assert "HELO EHLO STARTTLS AUTH MAIL RCPT DATA RSET NOOP VRFY EXPN HELP" in other.say("HELP")


@pytest.mark.parametrize("verb", ["SEND", "SAML", "SOML"])
def test_messages_for_terminals_are_mailed(verb: str) -> None:
    """With DISABLE_SEND = 0 they are transactions as any other, in the same order; who asks knows which it was."""
    server = Server(options={"disable_send": 0}, config={"asks": frozenset({"sender", "recipient"})})
    assert server.say("RCPT TO:<c@d>").startswith("503 ")
    server.decide = lambda question: (
        Reply(250, server.dialogue.submit_type) if isinstance(question, Sender) else YES
    )
    assert server.say(f"{verb} FROM:<a@b>") == f"250 {verb}"
    assert server.say(f"{verb} FROM:<a@b>").startswith("503 ") and server.say("MAIL FROM:<a@b>").startswith(
        "503 "
    )
    assert server.say("RCPT TO:<c@d>", "DATA", "x", ".").split("\n")[-1] == "250 2.5.0 Ok."
    assert server.dialogue.submit_type == "MAIL"
    assert f"{verb} FROM:<address>" in server.say(f"HELP {verb}")


def test_messages_for_terminals_are_refused_in_any_state() -> None:
    """By default: a bad command that changes nothing, and that HELP does not name."""
    server = Server()
    refused = "550 5.7.2 SEND/SAML/SOML commands have been disabled."
    assert server.say("MAIL FROM:<a@b>", "SAML FROM:<a@b>", "RCPT TO:<c@d>").split("\n")[1:] == [
        refused,
        "250 2.1.5 c@d OK.",
    ]
    assert len(server.told(BadCommand)) == 1
    assert not {"SEND", "XADR", "XSTA", "XGEN", "XCIR"} & set(server.say("HELP").split())


@pytest.mark.parametrize(
    ("verb", "option"),
    [
        ("XADR", "disable_address"),
        ("XSTA", "disable_status"),
        ("XCIR", "disable_circuit"),
        ("XGEN", "disable_general"),
    ],
)
def test_private_commands(verb: str, option: str) -> None:
    """Each is refused by default, answered where its option is 0, or for a client that PORT_ACCESS permits it."""
    line = f"{verb} <ann@x>" if verb == "XADR" else verb
    assert Server().say(line) == f"550 5.7.0 {verb} command has been disabled."
    for options, permitted in (({option: 0}, False), ({}, True)):
        server = Server(lambda question: Reply(250, "2.3.0 so it is"), options=options)
        server.dialogue.permit_private(permitted)
        assert server.say(line) == "250 2.3.0 so it is"
        assert server.told(Private) == [Private(verb, "ann@x" if verb == "XADR" else "")]
        assert verb in server.say("HELP").split()
        server.dialogue.permit_private(False)
        assert server.say(line).startswith("550 " if permitted else "250 ")


def test_private_commands_are_bounded() -> None:
    """They count as VRFY does, wait for TLS and AUTH as it does, and XADR takes an address."""
    server = Server(
        options={"disable_address": 0, "disable_general": 0, "allow_recipients_per_transaction": 2}
    )
    assert server.say("XADR").startswith("501 5.5.4") and server.say("XADR a b").startswith("553 5.1.3")
    assert server.say("XGEN").startswith("250") and server.say("XGEN").startswith("452 4.5.3")
    guarded = Server(options={"disable_general": 0}, config={"must_auth": True})
    assert guarded.say("XGEN").startswith("530 ")
