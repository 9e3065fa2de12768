"""The server's dialogue: what it says, asks and remembers."""

import pytest

from jobctl import __version__
from jobctl.mail.envelope import Envelope, Recipient
from jobctl.mail.reply import Reply
from jobctl.smtp.questions import (
    BadCommand,
    Dropped,
    Finished,
    Hello,
    Question,
    RecipientGiven,
    Refusal,
    Sender,
)
from jobctl.smtp.server import ServerDialogue
from jobctl.smtp.server_config import ServerConfig
from tests.smtp_dialogues import YES, Server, channel


def test_a_session_in_the_words_of_the_manual() -> None:
    """Somebody who knows the original reads the same replies."""
    server = Server()
    assert server.banner == f"220 mail.example.org -- Server ESMTP (jobctl {__version__})"
    assert server.greeting.split("\n") == [
        "250-mail.example.org",
        "250-8BITMIME",
        "250-PIPELINING",
        "250-CHUNKING",
        "250-DSN",
        "250-ENHANCEDSTATUSCODES",
        "250-HELP",
        "250-ETRN",
        "250-LIMITS RCPTMAX=128",
        "250 SIZE 0",
    ]
    assert server.say("MAIL FROM:<a@example.net> BODY=8BITMIME") == "250 2.5.0 Address Ok."
    assert server.say("RCPT TO:<b@example.org>") == "250 2.1.5 b@example.org OK."
    assert server.say("RCPT TO:<c@example.org> NOTIFY=NEVER") == "250 2.1.5 c@example.org and options OK."
    assert server.say("DATA") == '354 Enter mail, end with a single ".".'
    assert server.say("Subject: x", "", "..dot", ".") == "250 2.5.0 Ok."
    assert server.say("RSET") == server.say("NOOP") == "250 2.5.0 Ok."
    assert server.say("XYZ") == '500 5.5.1 Unknown command "XYZ" specified'
    assert server.say("HELP").startswith("214-2.3.0 ")
    assert server.say("QUIT") == "221 2.3.0 Bye received. Goodbye."
    assert server.dialogue.closing and server.dialogue.close_reason == ""
    assert server.say("NOOP") == ""


def test_parameters_of_dsn_are_confirmed_whoever_decides() -> None:
    """That the parameters are taken is told with the usual reply, also where another gives it; any other stays."""
    answers = {"b@example.org": "2.1.5 b@example.org OK.", "c@example.org": "2.1.5 welcome"}
    server = Server(
        lambda q: Reply(250, answers[q.recipient.address]) if isinstance(q, RecipientGiven) else YES
    )
    server.say("MAIL FROM:<a@example.net>")
    assert server.say("RCPT TO:<b@example.org>") == "250 2.1.5 b@example.org OK."
    said = server.say("RCPT TO:<b@example.org> ORCPT=rfc822;b@x NOTIFY=NEVER")
    assert said == "250 2.1.5 b@example.org and options OK."
    assert server.say("RCPT TO:<c@example.org> NOTIFY=NEVER") == "250 2.1.5 welcome"


def test_the_envelope_arrives_whole() -> None:
    """Sender, recipients and every ESMTP parameter reach whoever stores the message."""
    server = Server()
    server.say(
        "mail from:<> SIZE=30 body=8bitmime RET=hdrs ENVID=QQ+2B314",
        "RCPT TO:<b@example.org> NOTIFY=success,DELAY ORCPT=rfc822;B+40example.org",
        "Rcpt To: c@example.org",
        "DATA",
        "x",
        ".",
    )
    assert server.told(Finished) == [
        Finished(
            Envelope(
                "",
                (
                    Recipient("b@example.org", "SUCCESS,DELAY", "rfc822;B+40example.org"),
                    Recipient("c@example.org"),
                ),
                ret="HDRS",
                envid="QQ+2B314",
                body="8BITMIME",
            ),
            b"x\r\n",
            3,
        )
    ]


def test_pipelined_commands_wait_for_their_turn() -> None:
    """While one question is open, nothing further is looked at; then the rest follows in order."""
    server = Server()
    dialogue = server.dialogue
    dialogue.receive(
        b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nRCPT TO:<g@h.i>\r\nDATA\r\nhi\r\n.\r\nNOOP\r\n"
    )
    assert dialogue.next_question() == RecipientGiven(Recipient("d@e.f"), "a@b.c")
    assert dialogue.waiting and dialogue.next_question() is None
    assert dialogue.buffered > 30
    dialogue.answer(Reply(550, "5.1.1 unknown or illegal alias: d@e.f"))
    server.settle()
    assert server.output().split("\n") == [
        "250 2.5.0 Address Ok.",
        "550 5.1.1 unknown or illegal alias: d@e.f",
        "250 2.1.5 g@h.i OK.",
        '354 Enter mail, end with a single ".".',
        "250 2.5.0 Ok.",
        "250 2.5.0 Ok.",
    ]
    assert [q.envelope.recipients for q in server.told(Finished)] == [(Recipient("g@h.i"),)]


def test_an_answer_without_question_is_our_mistake() -> None:
    """An owner who answers twice hears of it."""
    with pytest.raises(ValueError, match="no question"):
        Server().dialogue.answer(YES)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_cuts_do_not_matter(size: int) -> None:
    """A session is the same session however its octets arrive."""
    data = b"MAIL FROM:<a@b.c>\r\nRCPT TO:<d@e.f>\r\nDATA\r\n.\r\n"
    data += b"x\r\n..\r\n.\r\nMAIL FROM:<>\r\nRSET\r\nVRFY x\r\nQUIT\r\n"
    whole, parts = Server(), Server()
    expected = whole.send(data)
    got = [parts.send(data[i : i + size]) for i in range(0, len(data), size)]
    assert "\n".join(line for line in got if line) == expected
    assert parts.asked == whole.asked


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("MAIL FROM", "501 5.5.4"),
        ("MAIL TO:<a@b>", "501 5.5.4"),
        ("MAIL FROM:", "501 5.1.7"),
        ("MAIL FROM:<a@b", "501 5.1.7"),
        ("MAIL FROM:<a b@c>", "501 5.1.7"),
        ("MAIL FROM:<a@b> SIZE=x", "501 5.5.4"),
        ("MAIL FROM:<a@b> SIZE=", "501 5.5.4"),
        ("MAIL FROM:<a@b> SIZE=123456789012345678901", "501 5.5.4"),
        ("MAIL FROM:<a@b> SIZE=1 SIZE=1", "501 5.5.4"),
        ("MAIL FROM:<a@b> BODY=BINARYMIME", "501 5.6.3"),
        ("MAIL FROM:<a@b> RET=SOME", "501 5.5.4"),
        ("MAIL FROM:<a@b> ENVID=a+0Ab", "501 5.5.4"),
        ("MAIL FROM:<a@b> ENVID=" + "x" * 101, "501 5.5.4"),
        ("MAIL FROM:<a@b> =x", "501 5.5.4"),
        ("MAIL FROM:<a@b> FOO=1", "555 5.5.4"),
        ("MAIL FROM:<a@b> SMTPUTF8", "555 5.5.4"),
        ("MAIL FROM:<a@b> AUTH=<>", "555 5.5.4"),
        ("MAIL FROM:<a@b> RET=A=B", "501 5.5.4"),
        ("MAIL FROM:<a@b> NOTIFY=NEVER", "555 5.5.4"),
        ("MAIL FROM:<ü@b>", "553 5.6.7"),
        ("RCPT TO:<a@b>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("EHLO", "501 5.5.4"),
        ("HELO two words", "501 5.5.4"),
        ("EHLO ü", "500 5.5.2"),
        ("NOOP\x00", "500 5.5.2"),
        ("NO\x1b[2J", "500 5.5.2"),
        ("", "500 5.5.1"),
        (" NOOP", "500 5.5.1"),
        ("\x16\x03\x01", "500 5.5.2"),
        ("x" * 5000, "500 5.5.2"),
        ("STARTTLS", "502 5.5.1"),
        ("LHLO x", "500 5.5.1"),
        ("TURN", "502 5.5.1"),
        ("SEND FROM:<a@b>", "550 5.7.2 SEND/SAML/SOML commands have been disabled."),
        ("XGEN", "550 5.7.0 XGEN command has been disabled."),
        ("VRFY", "501 5.5.4"),
        ("EXPN", "501 5.5.4"),
        ("ETRN", "501 5.5.4"),
    ],
)
def test_bad_commands_get_their_code(command: str, reply: str) -> None:
    """Each mistake has its own reply, is told for the log, and does not harm the session."""
    server = Server()
    assert server.say(command).startswith(reply)
    assert len(server.asked) == 1
    assert isinstance(server.asked[0], BadCommand | Refusal)
    assert server.say("MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>", "DATA", "x", ".").endswith("250 2.5.0 Ok.")


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("RCPT FROM:<a@b>", "501 5.5.4"),
        ("RCPT TO:<>", "501 5.1.3"),
        ("RCPT TO:<a@b> NOTIFY=NEVER,SUCCESS", "501 5.5.4"),
        ("RCPT TO:<a@b> NOTIFY=DELAY,DELAY", "501 5.5.4"),
        ("RCPT TO:<a@b> NOTIFY", "501 5.5.4"),
        ("RCPT TO:<a@b> ORCPT=a@b", "501 5.5.4"),
        ("RCPT TO:<a@b> ORCPT=rfc822;a+0D+0Ab", "501 5.5.4"),
        ("RCPT TO:<a@b> ORCPT=rfc822;a+00b", "501 5.5.4"),
        ("RCPT TO:<a@b> ORCPT=rfc822;" + "x" * 600, "501 5.5.4"),
        ("RCPT TO:<a@b> SIZE=1", "555 5.5.4"),
        ("RCPT TO:<" + "x" * 9000 + "@b>", "500 5.5.2"),
        ("RCPT TO:<ü@b>", "553 5.6.7"),
        ("DATA now", "503 5.5.1"),
        ("MAIL FROM:<a@b>", "503 5.5.1"),
    ],
)
def test_bad_commands_inside_a_transaction(command: str, reply: str) -> None:
    """A recipient that is refused leaves the transaction as it was."""
    server = Server()
    server.say("MAIL FROM:<a@b.c>")
    assert server.say(command).startswith(reply)
    assert server.say("RCPT TO:<d@e.f>", "DATA", "x", ".").endswith("250 2.5.0 Ok.")
    assert server.told(Finished)[0].envelope == Envelope("a@b.c", (Recipient("d@e.f"),))


def test_data_with_argument_is_refused() -> None:
    """DATA takes no argument, and what follows is not content."""
    server = Server()
    server.say("MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>")
    assert server.say("DATA x", "NOOP") == "501 5.5.4 No argument allowed.\n250 2.5.0 Ok."


def test_mail_needs_a_greeting() -> None:
    """RFC 5321 section 4.1.4."""
    server = Server(hello="")
    assert server.say("MAIL FROM:<a@b>") == "503 5.5.1 Say EHLO or HELO first."
    assert server.say("NOOP", "RSET", "VRFY x").count("25") >= 3


def test_a_second_greeting_resets() -> None:
    """EHLO in the middle ends the transaction and gives the session its new name."""
    server = Server(hello="HELO old.example")
    assert server.greeting == "250 mail.example.org OK."
    assert (server.dialogue.protocol, server.dialogue.application) == ("SMTP", "SMTP/old.example")
    server.say("MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>", "EHLO new.example")
    assert server.say("DATA").startswith("503 ")
    assert (server.dialogue.protocol, server.dialogue.application) == ("ESMTP", "SMTP/new.example")
    assert server.dialogue.helo == "new.example"


@pytest.mark.parametrize(
    ("given", "application"),
    [
        ("SMTP", "SMTP/c.example"),
        ("SMTP/old", "SMTP/c.example"),
        ("SMTP/old/TLS1.3", "SMTP/c.example/TLS1.3"),
    ],
)
def test_application_information(given: str, application: str) -> None:
    """The name a client gives replaces a former one; TLS information given from outside stays."""
    dialogue = ServerDialogue(ServerConfig(host="h", channel=channel()), lambda: 0.0, given)
    dialogue.connected()
    dialogue.receive(b"EHLO c.example\r\n")
    assert dialogue.next_question() is None
    assert dialogue.application == application


def test_helo_tells_the_clients_address() -> None:
    """``250 <host> OK, [<ip>].``"""
    dialogue = ServerDialogue(ServerConfig(host="h", channel=channel()), lambda: 0.0, client="192.0.2.7")
    dialogue.connected()
    dialogue.take_output()
    dialogue.receive(b"HELO c\r\n")
    dialogue.next_question()
    assert dialogue.take_output() == b"250 h OK, [192.0.2.7].\r\n"


def test_everything_can_be_asked() -> None:
    """Who wants to decide on greeting and sender is asked, and what it says is passed on."""
    said = {
        Hello: Reply(250),
        Sender: Reply(250, "2.1.0 welcome"),
        RecipientGiven: Reply(251, "2.1.5 will forward"),
    }
    server = Server(
        lambda question: said.get(type(question), YES), config={"asks": {"hello", "sender", "recipient"}}
    )
    assert server.greeting.startswith("250-mail.example.org")
    assert server.say("MAIL FROM:<a@b.c> SIZE=7") == "250 2.1.0 welcome"
    assert server.say("RCPT TO:<d@e.f>") == "251 2.1.5 will forward"
    assert server.asked[:2] == [Hello("client.example", True), Sender("a@b.c", 7)]


def test_nothing_need_be_asked() -> None:
    """Without ``asks`` only the message itself is a question."""
    server = Server(config={"asks": frozenset()})
    server.say("MAIL FROM:<a@b.c>", "RCPT TO:<d@e.f>", "DATA", "x", ".")
    assert [type(question) for question in server.asked] == [Finished]


def test_refused_greeting_and_sender() -> None:
    """A refused greeting or sender leaves the session where it was."""
    server = Server(lambda q: Reply(550, "5.7.1 not you"), config={"asks": {"hello", "sender"}})
    assert server.greeting == "550 5.7.1 not you"
    assert server.say("MAIL FROM:<a@b>") == "503 5.5.1 Say EHLO or HELO first."
    server.decide = lambda q: YES if isinstance(q, Hello) else Reply(451, "4.7.1 later")
    server.say("HELO c")
    assert server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>").startswith("451 4.7.1 later\n503 ")
    assert server.told(Refusal)[-1] == Refusal("a@b", "", Reply(451, "4.7.1 later"))


def test_an_answer_of_421_closes() -> None:
    """Who answers 421 gets what 421 means."""
    server = Server(lambda question: Reply(421, "4.3.2 going down"))
    assert server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "NOOP").endswith("421 4.3.2 going down")
    assert server.dialogue.closing


def test_refuseehlo() -> None:
    """``refuseehlo``: the client is told that there is no EHLO, and says HELO."""
    server = Server(hello="", refuseehlo=True)
    assert server.say("EHLO c") == '500 5.5.1 Unknown command "EHLO" specified'
    assert server.say("HELO c") == "250 mail.example.org OK."


@pytest.mark.parametrize(
    ("options", "banner"),
    [
        ({"banner_host": "mx.example.org"}, "220 mx.example.org -- Server ESMTP (jobctl 1)"),
        ({"banner_addition": "no spam"}, "220 mail.example.org -- Server ESMTP (jobctl 1) no spam"),
        ({"banner_addition": "x" * 60}, "220-mail.example.org -- Server ESMTP (jobctl 1)\n220 " + "x" * 60),
        ({"banner_addition": "|a|b"}, "220-mail.example.org -- Server ESMTP (jobctl 1)\n220-a\n220 b"),
    ],
)
def test_banner_options(options: dict[str, str], banner: str) -> None:
    """BANNER_HOST, BANNER_ADDITION and CUSTOM_VERSION_STRING."""
    assert Server(options={"custom_version_string": "jobctl 1", **options}).banner == banner


def test_ehlo_options() -> None:
    """BANNER_HOST names us, EHLO_ADDITION adds lines, SIZE tells our limit."""
    server = Server(
        options={"banner_host": "mx.example.org", "ehlo_addition": "XA 1|XB"},
        config={"max_size": 5000},
        sourceblocklimit=4,
    )
    lines = server.greeting.split("\n")
    assert lines[0] == "250-mx.example.org"
    assert lines[-3:] == ["250-SIZE 4096", "250-XA 1", "250 XB"]


def test_early_talkers_lose_what_they_said() -> None:
    """What came before the banner is dropped (BANNER_PURGE_DELAY)."""
    dialogue = ServerDialogue(ServerConfig(host="h", channel=channel()), lambda: 0.0)
    dialogue.receive(b"EHLO early\r\n")
    dialogue.connected()
    assert dialogue.next_question() is None
    assert dialogue.take_output().count(b"\r\n") == 1


def test_timeouts() -> None:
    """Waiting for a command and for content have their own limits, in units of TIMEOUT_MULTIPLIER."""
    server = Server(options={"command_receive_time": 7, "data_receive_time": 3, "timeout_multiplier": 2})
    assert server.dialogue.timeout() == 14
    server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")
    assert server.dialogue.timeout() == 6
    server.dialogue.timed_out()
    assert server.output() == "421 4.4.2 Timeout while waiting for message data."
    idle = Server()
    idle.dialogue.timed_out()
    assert idle.output() == "421 4.4.2 Timeout while waiting for command."
    assert idle.dialogue.closing and idle.dialogue.close_reason == "timeout"
    idle.dialogue.timed_out()
    assert idle.output() == ""


def test_shut_down_between_commands() -> None:
    """A service that stops says 421 4.3.2, at once where nothing is under way."""
    server = Server()
    server.dialogue.shut_down()
    assert server.output() == "421 4.3.2 Service is stopping; try again later."
    assert server.dialogue.closing


def test_shut_down_lets_a_message_finish() -> None:
    """Content under way when we stop is taken and answered before 421."""
    for verdict in (YES, Reply(451, "4.3.0 no")):
        server = Server(lambda q, verdict=verdict: verdict if isinstance(q, Finished) else YES)
        server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")
        server.dialogue.shut_down()
        assert server.output() == "" and not server.dialogue.closing
        first, second = server.say("x", ".").split("\n")
        assert first.startswith(str(verdict.code)) and second.startswith("421 4.3.2")
    refused = Server()
    refused.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")
    refused.dialogue.shut_down()
    assert refused.send(b"a\nb\r\n.\r\n").split("\n")[1].startswith("421 4.3.2")


def test_shut_down_while_a_question_is_open() -> None:
    """The answer is still given, then 421."""
    server = Server()
    server.dialogue.receive(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nNOOP\r\n")
    assert server.dialogue.next_question() is not None
    server.dialogue.shut_down()
    server.dialogue.answer(YES)
    assert [line[:3] for line in server.output().split("\n")] == ["250", "250", "421"]


def test_a_lost_connection_ends_it() -> None:
    """An answer that comes too late is dropped without harm."""
    server = Server()
    server.dialogue.receive(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n")
    assert server.dialogue.next_question() is not None
    server.output()
    server.dialogue.lost("connection lost")
    server.dialogue.answer(YES)
    assert server.output() == ""
    assert server.told(Dropped) == []
    assert server.dialogue.next_question() is None


def test_lmtp_answers_for_each_recipient() -> None:
    """LMTP: LHLO begins, and each accepted recipient gets a reply of its own (RFC 2033)."""

    def decide(question: Question) -> Reply | list[Reply]:
        if isinstance(question, Finished):
            return [YES, Reply(452, "4.2.2 full")]
        return Reply(550, "5.1.1 no") if "no@" in str(question) else YES

    server = Server(decide, hello="LHLO c", config={"lmtp": True})
    assert "Server LMTP" in server.banner and "ETRN" not in server.greeting
    assert server.say("EHLO x").startswith("500 ") and server.say("HELO x").startswith("500 ")
    server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "RCPT TO:<no@d>", "RCPT TO:<e@d>", "DATA")
    assert server.say("x", ".") == "250 2.5.0 Ok.\n452 4.2.2 full"
    assert server.told(Refusal)[-1] == Refusal("a@b", "e@d", Reply(452, "4.2.2 full"))
    assert (server.dialogue.protocol, server.dialogue.application) == ("LMTP", "LMTP/c")
    server.decide = lambda question: YES
    server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "RCPT TO:<e@d>", "DATA")
    assert server.say("x", ".") == "250 2.5.0 Ok.\n250 2.5.0 Ok."
    server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "RCPT TO:<e@d>", "DATA")
    assert server.send(b"a\nb\r\n.\r\n").count("550 5.6.0") == 2


def test_lmtp_needs_as_many_answers_as_recipients() -> None:
    """A wrong number of answers is our own mistake and is said so."""
    server = Server(hello="LHLO c", config={"lmtp": True})
    server.say("MAIL FROM:<a@b>", "RCPT TO:<c@d>", "DATA")
    server.dialogue.receive(b"x\r\n.\r\n")
    assert isinstance(server.dialogue.next_question(), Finished)
    with pytest.raises(ValueError, match="one reply"):
        server.dialogue.answers([YES, YES])
