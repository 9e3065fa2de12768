"""Clients that do what nobody should: commands in odd orders, lines that are none, answers nobody asked for."""

import base64

import pytest

from jobctl.mail.reply import Reply
from jobctl.smtp.questions import Finished, PasswordGiven, Question, StartTls
from tests.smtp_dialogues import NOW, Server, channel

UTF8 = {"utf8negotiate": True}
AUTH = {"auth": ("PLAIN", "LOGIN"), "plaintext_auth": True}
HELD = {**AUTH, "channel": channel(futurerelease=86400.0)}
BODY = "Subject: x\r\n\r\nhello\r\n"


def plain(user: str = "ann", password: str = "sesame") -> str:
    return base64.b64encode(f"\0{user}\0{password}".encode()).decode()


def decide(question: Question) -> Reply:
    if isinstance(question, PasswordGiven):
        return Reply(235) if question.password == "sesame" else Reply(535, "5.7.8 no")
    return Reply(250)


def known(**config: object) -> Server:
    """A server that knows its client."""
    server = Server(decide, config={**AUTH, **config})
    assert server.say(f"AUTH PLAIN {plain()}").startswith("235")
    return server


@pytest.mark.parametrize("long", ["x" * 13_000, "x" * 70_000])
def test_an_answer_too_long_ends_the_exchange(long: str) -> None:
    """RFC 4954 section 4: the AUTH has failed, and what comes next is a command again."""
    server = Server(decide, config=AUTH)
    assert server.say("AUTH PLAIN") == "334 "
    assert server.say(long) == "500 5.5.2 Line too long."
    assert server.say("NOOP") == "250 2.5.0 Ok."
    assert server.say(f"AUTH PLAIN {plain()}").startswith("235")


def test_an_answer_with_a_bare_line_feed_ends_the_exchange() -> None:
    """What is no line is no answer, and the rest of it is no command."""
    server = Server(decide, config=AUTH)
    server.say("AUTH LOGIN")
    assert server.send(b"YW5u\nNOOP\r\n").startswith("500 5.5.2")
    assert "NOOP" not in server.say("NOOP")


def test_addresses_that_need_smtputf8() -> None:
    """Where it is offered the client is told what is missing, not that it cannot be had."""
    server = Server(config={"channel": channel(keywords=UTF8)})
    for line in ("MAIL FROM:<ä@b.example>".encode(), b"MAIL FROM:<\xff@b.example>"):
        assert server.send(line + b"\r\n").startswith(
            "553 5.6.7 Addresses other than ASCII are UTF-8, and need"
        )
    server.say("MAIL FROM:<a@b.example>")
    assert server.say("RCPT TO:<ä@b.example>").startswith("553 5.6.7 Addresses other than ASCII are UTF-8")
    assert Server().say("MAIL FROM:<ä@b.example>").endswith("are not supported here.")


def test_octets_in_commands() -> None:
    """Eight bits and control characters are told apart."""
    server = Server()
    assert server.say("HÉLO x") == "500 5.5.2 Commands are ASCII."
    assert server.say("NOOP \0") == "500 5.5.2 Control character in command."
    assert server.say("MAIL FROM:<a\x1b@b.example>") == "500 5.5.2 Control character in command."


@pytest.mark.parametrize(
    ("parameter", "reply"),
    [
        ("HOLDFOR=86400", "250"),
        ("HOLDFOR=86401", "554 5.7.1"),
        ("HOLDUNTIL=2026-11-27T12:00:00Z", "250"),
        ("HOLDUNTIL=2026-11-27T14:00:00+02:00", "250"),
        ("HOLDUNTIL=2026-11-27T12:00:01Z", "554 5.7.1"),
        ("HOLDUNTIL=9999-12-31T23:59:59Z", "554 5.7.1"),
        ("HOLDUNTIL=2020-01-01T00:00:00Z", "250"),
        ("HOLDUNTIL=2026-13-27T12:00:00Z", "501 5.5.4"),
        ("HOLDUNTIL=2027-02-29T12:00:00Z", "501 5.5.4"),
        ("HOLDUNTIL=tomorrow", "501 5.5.4"),
    ],
)
def test_how_long_a_message_may_be_kept(parameter: str, reply: str) -> None:
    """RFC 4865: by its date no message stays longer than by its seconds."""
    assert known(**HELD).say(f"MAIL FROM:<a@b.example> {parameter}").startswith(reply)


def test_the_longest_time_is_announced() -> None:
    """EHLO tells it in seconds and as a date, to who may use it."""
    assert "FUTURERELEASE" not in Server(config=HELD).greeting
    assert NOW == 1_795_694_400
    assert "250-FUTURERELEASE 86400 2026-11-27T12:00:00Z\n" in known(**HELD).say("EHLO x")


def test_all_in_one_write() -> None:
    """AUTH, a message, another by BDAT, and QUIT, each answered in its turn."""
    server = Server(decide, config=AUTH)
    said = server.send(
        f"AUTH PLAIN {plain()}\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n{BODY}.\r\n"
        f"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 0\r\nBDAT 21 LAST\r\n{BODY}QUIT\r\nNOOP\r\n".encode()
    )
    assert [line[:3] for line in said.split("\n")] == [
        *("235", "250", "250", "354", "250"),
        *("250", "250", "250", "250", "221"),
    ]
    assert [one.data for one in server.told(Finished)] == [BODY.encode()] * 2


def test_a_wrong_password_in_one_write() -> None:
    """What follows it counts for who is unknown."""
    server = Server(decide, config={**AUTH, "must_auth": True})
    said = server.send(f"AUTH PLAIN {plain(password='x')}\r\nMAIL FROM:<a@b.example>\r\n".encode())
    assert [line[:3] for line in said.split("\n")] == ["535", "530"]


def test_starttls_in_the_midst() -> None:
    """Neither in a transaction nor with something behind it; and what comes with it is thrown away."""
    server = Server(config={"tls": "may"})
    server.say("MAIL FROM:<a@b.example>")
    assert server.say("STARTTLS").startswith("503")
    server.say("RSET")
    assert server.say("STARTTLS now").startswith("501")
    assert server.send(b"STARTTLS\r\nMAIL FROM:<evil@b.example>\r\n").startswith("220")
    assert isinstance(server.asked[-1], StartTls)
    server.dialogue.secured("TLSv1.3/X")
    assert server.say("RCPT TO:<c@d.example>").startswith("503 5.5.1 Say EHLO")


def test_starttls_forgets_who_the_client_was() -> None:
    """RFC 3207 section 4.2: what was proved in the clear is proved no more."""
    server = known(tls="may", must_auth=True)
    server.say("STARTTLS")
    server.dialogue.secured("TLSv1.3/X")
    server.say("EHLO x")
    assert server.dialogue.user is None
    assert server.say("MAIL FROM:<a@b.example>").startswith("530 5.7.0")


@pytest.mark.parametrize(
    "line", ["BDAT", "BDAT x", "BDAT -1", "BDAT 5 FIRST", "BDAT 1e3", "BDAT " + "9" * 21]
)
def test_chunks_without_a_size_end_the_session(line: str) -> None:
    """Where the next command begins cannot be known, so nothing more is taken for one."""
    server = Server()
    server.say("MAIL FROM:<a@b.example>", "RCPT TO:<c@d.example>")
    assert server.say(line, "NOOP", "NOOP").startswith("421 4.5.2 Syntax: BDAT size [LAST]")
    assert server.dialogue.closing


def test_a_storm_of_resets() -> None:
    """As many replies as commands, and nothing is left behind."""
    server = Server()
    assert server.send(b"RSET\r\n" * 20_000).split("\n") == ["250 2.5.0 Ok."] * 20_000
    assert server.dialogue.buffered == 0


def test_a_binding_is_offered_where_there_is_one() -> None:
    """Before TLS 1.3 SCRAM-SHA-256-PLUS would have nothing to bind itself to, and a client that chose it would fail."""
    config = {"tls": "may", "auth": ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")}
    for binding, offered in (
        (None, "SCRAM-SHA-256"),
        (("tls-exporter", b"x"), "SCRAM-SHA-256-PLUS SCRAM-SHA-256"),
    ):
        server = Server(config=config)
        server.say("STARTTLS")
        server.dialogue.secured("TLSv1.x/X", binding)
        assert f"250-AUTH {offered}\n" in server.say("EHLO x")
        first = base64.b64encode(b"n,,n=ann,r=0123456789").decode()
        said = server.say(f"AUTH SCRAM-SHA-256-PLUS {first}")
        assert said.startswith("504" if binding is None else "501")
