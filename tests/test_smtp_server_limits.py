"""Every limit of channel keywords and TCP options, with the reply it gives."""

from typing import Any

import pytest

from jobctl.mail.reply import Reply
from jobctl.smtp.questions import BadCommand, Finished, Question, RecipientGiven, Refusal
from tests.smtp_dialogues import YES, Server

MESSAGE = ("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA", "x", ".")


def no_such_user(question: Question) -> Reply:
    """Refuse recipients that begin with ``no``."""
    refused = isinstance(question, RecipientGiven) and question.recipient.address.startswith("no")
    return Reply(550, "5.1.1 unknown") if refused else YES


def last(server: Server, *lines: str) -> str:
    return server.say(*lines).split("\n")[-1]


def rcpts(count: int) -> list[str]:
    return [f"RCPT TO:<r{number}@d>" for number in range(count)]


TOO_MANY = "452 4.5.3 Too many recipients specified"


@pytest.mark.parametrize(
    ("given", "reply"),
    [
        ({"options": {"allow_recipients_per_transaction": 3}}, TOO_MANY),
        ({"recipientlimit": 3}, "452 4.2.3 too many recipients specified"),
    ],
)
def test_recipient_limits(given: dict[str, Any], reply: str) -> None:
    """The first N recipients stay accepted, further ones are put off, and the message goes to those N."""
    server = Server(**given)
    assert last(server, "MAIL FROM:<a@b>", *rcpts(3)).startswith("250 ")
    assert server.say(*rcpts(2)) == f"{reply}\n{reply}"
    assert last(server, "DATA", "x", ".") == "250 2.5.0 Ok."
    assert len(server.told(Finished)[0].envelope.recipients) == 3
    assert last(server, "MAIL FROM:<a@b>", *rcpts(3)).startswith("250 ")


def test_the_recipient_limit_is_told_as_permanent() -> None:
    """Bit 4 of use_permanent_error, whatever other bits there are; other limits stay temporary."""
    server = Server(recipientlimit=2, config={"use_permanent_error": 31})
    server.say("MAIL FROM:<a@b>", *rcpts(2))
    assert server.say(*rcpts(1)) == "550 4.2.3 too many recipients specified"
    without = Server(recipientlimit=2, config={"use_permanent_error": 15})
    without.say("MAIL FROM:<a@b>", *rcpts(2))
    assert without.say(*rcpts(1)) == "452 4.2.3 too many recipients specified"


def test_a_recipient_too_many_is_logged_as_any_other() -> None:
    """An address without its brackets, and with its domain; what is none as it came."""
    server = Server(recipientlimit=1, defaulthost=("x.example", "y.example"))
    server.say("MAIL FROM:<a@b>", "RCPT TO:<a@d>")
    server.say("RCPT TO:<c@d> NOTIFY=NEVER", "RCPT TO:<c>", "RCPT TO:c d")
    assert [note.recipient for note in server.told(Refusal)] == ["c@d", "c@y.example", "c d"]


def test_recipients_are_limited_by_default() -> None:
    """ALLOW_RECIPIENTS_PER_TRANSACTION is 128; refused recipients do not count."""
    server = Server(no_such_user)
    server.say("MAIL FROM:<a@b>", "RCPT TO:<no@d>", *rcpts(127))
    assert last(server, "RCPT TO:<x@d>").startswith("250 ")
    assert last(server, "RCPT TO:<y@d>") == TOO_MANY


@pytest.mark.parametrize(
    ("given", "reply"),
    [
        (
            {"options": {"reject_recipients_per_transaction": 2}},
            "451 4.5.3 Transaction blocked; too many recipients specified",
        ),
        ({"recipientcutoff": 2}, "451 4.4.5 Error ending envelope - Too many recipients specified"),
    ],
)
def test_recipient_cutoffs(given: dict[str, Any], reply: str) -> None:
    """More recipients presented than the cutoff: nobody gets the message; the next one is free again."""
    server = Server(no_such_user, **given)
    server.say("MAIL FROM:<a@b>", "RCPT TO:<no@d>", *rcpts(2))
    assert server.say("DATA") == reply
    assert server.say("DATA").startswith("503 ")
    assert last(server, "MAIL FROM:<a@b>", *rcpts(2), "DATA", "x", ".") == "250 2.5.0 Ok."


@pytest.mark.parametrize(
    "given", [{"options": {"allow_rejections_before_deferral": 2}}, {"deferralrejectlimit": 2}]
)
def test_rejections_lead_to_deferral(given: dict[str, Any]) -> None:
    """After N bad recipients every recipient, good or bad, is put off, in later transactions too."""
    server = Server(no_such_user, **given)
    server.say("MAIL FROM:<a@b>")
    assert server.say("RCPT TO:<no@d>", "RCPT TO:<a b@d>").count("5.1.") == 2
    reply = "451 4.5.3 Too many rejections; try again later"
    assert server.say("RCPT TO:<good@d>") == reply
    assert last(server, "RSET", "MAIL FROM:<a@b>", "RCPT TO:<good@d>") == reply


def test_verification_is_limited() -> None:
    """VRFY shares the limit on rejections and has its own count of ALLOW_RECIPIENTS_PER_TRANSACTION."""
    server = Server(lambda q: Reply(550, "5.1.1 no"), options={"allow_rejections_before_deferral": 2})
    assert server.say("VRFY x", "VRFY y").count("550 ") == 2
    assert server.say("VRFY z") == "451 4.5.3 Verification blocked; too many rejections"
    server = Server(lambda q: Reply(252), options={"allow_recipients_per_transaction": 2})
    assert server.say("VRFY x", "VRFY y").count("252 ") == 2
    assert server.say("VRFY z") == TOO_MANY
    assert last(server, "MAIL FROM:<a@b>", "RCPT TO:<c@d>").startswith("250 ")


@pytest.mark.parametrize(
    ("given", "reply"),
    [
        ({"options": {"allow_transactions_per_session": 2}}, "451 4.5.3 No more transactions allowed"),
        ({"transactionlimit": 2}, "450 4.5.3 number of transactions exceeds allowed maximum"),
    ],
)
def test_transaction_limits(given: dict[str, Any], reply: str) -> None:
    """After N messages MAIL is put off; the session stays."""
    server = Server(**given)
    assert last(server, *MESSAGE, *MESSAGE) == "250 2.5.0 Ok."
    assert server.say("MAIL FROM:<a@b>") == reply
    assert server.say("NOOP") == "250 2.5.0 Ok."


def test_transaction_limit_at_rcpt() -> None:
    """TRANSACTION_LIMIT_RCPT_TO gives the refusal at RCPT instead."""
    server = Server(options={"allow_transactions_per_session": 1, "transaction_limit_rcpt_to": 1})
    assert last(server, *MESSAGE) == "250 2.5.0 Ok."
    assert server.say("MAIL FROM:<a@b>") == "250 2.5.0 Address Ok."
    assert server.say("RCPT TO:<c@d>") == "451 4.5.3 No more transactions allowed"


@pytest.mark.parametrize("command", ["MAIL FROM:<a@b>", "RSET"])
@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"disconnecttransactionlimit": 2}, "transaction"),
        ({"disconnectrecipientlimit": 4}, "recipient"),
        ({"disconnectrejectlimit": 2}, "rejection"),
    ],
)
def test_disconnect_limits(given: dict[str, Any], word: str, command: str) -> None:
    """At the next MAIL or RSET after the limit the client is cut off; messages before it are safe."""
    server = Server(no_such_user, **given)
    server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "RCPT TO:<no@d>", "DATA", "x", ".")
    server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "RCPT TO:<no@d>", "DATA", "x", ".")
    assert not server.dialogue.closing
    assert len(server.told(Finished)) == 2
    assert server.say(command, "NOOP") == f"450 4.7.0 Session {word} limit reached; disconnecting"
    assert server.dialogue.closing and word in server.dialogue.close_reason


@pytest.mark.parametrize("limit", [None, 2])
def test_bad_commands_disconnect(limit: int | None) -> None:
    """Somebody who does not speak SMTP is not listened to for ever, with or without the keyword."""
    server = Server(disconnectbadcommandlimit=limit)
    allowed = 20 if limit is None else limit
    for _ in range(allowed):
        assert server.say("GET / HTTP/1.1").startswith("500 ")
    assert server.say("Host: x") == "421 4.7.0 Too many bad commands; disconnecting."
    assert server.dialogue.closing
    assert len(server.told(BadCommand)) == min(allowed + 1, 10)


def test_log_entries_are_limited() -> None:
    """MAX_B_ENTRIES and MAX_J_ENTRIES bound what one session can write into the log."""
    server = Server(lambda q: Reply(550, "5.1.1 no"), options={"max_b_entries": 1, "max_j_entries": 2})
    server.say("MAIL FROM:<a@b>", *rcpts(5), "X", "Y", "Z")
    assert server.told(BadCommand) == [BadCommand("X", Reply(500, '5.5.1 Unknown command "X" specified'))]
    assert server.told(Refusal) == [Refusal("a@b", f"r{n}@d", Reply(550, "5.1.1 no")) for n in range(2)]


def test_etrn_limit() -> None:
    """ALLOW_ETRNS_PER_SESSION is 1."""
    server = Server(lambda q: Reply(250, "2.7.0 started"))
    assert server.say("ETRN a.example") == "250 2.7.0 started"
    assert server.say("ETRN a.example") == "458 4.7.1 ETRN session limit reached"


def test_helo_length() -> None:
    """MAX_HELO_DOMAIN_LENGTH."""
    server = Server(hello="", options={"max_helo_domain_length": 10})
    assert server.say("EHLO " + "x" * 11) == "501 5.5.2 HELO domain name too long."
    assert server.say("EHLO " + "x" * 10).startswith("250-")


def test_session_blocks() -> None:
    """ALLOW_SESSION_BLOCKS ends the session, and the log learns why."""
    server = Server(options={"allow_session_blocks": 2})
    reason = "Maximum session data limit of 2K octets has been exceeded"
    server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")
    assert server.send(b"x" * 2048) == f"421 4.7.0 {reason}"
    assert server.dialogue.closing and server.dialogue.close_reason == reason
    assert server.send(b"x" * 2048) == ""


def test_session_blocks_while_a_message_is_decided() -> None:
    """A message that is complete when the limit is passed still gets its answer."""
    server = Server(options={"allow_session_blocks": 1})
    server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")
    server.dialogue.receive(b"x" * 700 + b"\r\n.\r\n")
    assert isinstance(server.dialogue.next_question(), Finished)
    server.dialogue.receive(b"NOOP\r\n" * 60)
    server.dialogue.answer(YES)
    assert [line[:3] for line in server.output().split("\n")] == ["250", "421"]


def test_an_endless_line_ends_the_session() -> None:
    """A line of gigabytes is not read to its end."""
    server = Server()
    for _ in range(40):
        said = server.send(b"x" * 65536)
        if said:
            break
    assert said.startswith("421 4.7.0 ")
    assert server.dialogue.closing and server.dialogue.close_reason == "endless command line"


@pytest.mark.parametrize(
    ("given", "lines", "cut"),
    [
        ({"options": {"allow_session_blocks": 1}}, ["NOOP", "NOOP " + "x" * 1020], True),
        ({"disconnecttransactionlimit": 1}, [*MESSAGE, "RSET"], True),
        ({"disconnectbadcommandlimit": 1}, ["FOO", "BAR"], True),
        ({}, ["BDAT x"], False),
        ({}, ["QUIT"], False),
    ],
)
def test_what_is_cut(given: dict[str, Any], lines: list[str], cut: bool) -> None:
    """Sessions that a limit ends are told from those that end in another way."""
    server = Server(**given)
    server.say(*lines)
    assert server.dialogue.closing and server.dialogue.cut is cut
