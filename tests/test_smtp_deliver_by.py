"""DELIVERBY (RFC 2852) in both dialogues: what is offered and taken, and what is passed on."""

from typing import Any

import pytest

from jobctl.mail.disposition import Verdict
from jobctl.mail.envelope import DeliverBy, Recipient
from jobctl.smtp.client_timing import shortest
from jobctl.smtp.events import Done
from jobctl.smtp.questions import Finished
from tests.smtp_dialogues import Client, Server, envelope

BOB = "bob@example.com"


class TestValue:
    """The value of BY=."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1;R", (1, "R", False)),
            ("999999999;R", (999999999, "R", False)),
            ("+60;N", (60, "N", False)),
            ("-999999999;NT", (-999999999, "N", True)),
            ("0;N", (0, "N", False)),
            ("00060;rt", (60, "R", True)),
        ],
    )
    def test_read(self, text: str, expected: tuple[int, str, bool]) -> None:
        """Seconds with or without a sign, a mode, a trace; in either case."""
        by = DeliverBy.parsed(text)
        assert (by.seconds, by.mode, by.trace) == expected

    @pytest.mark.parametrize(
        "text",
        [
            *("", "60", "60;", "60;X", "60;T", ";R", "60;RN", "60;RTT", "60R", "1.5;R", "--1;N", "60;R,x"),
            *("1000000000;R", "-1000000000;N", "0;R", "-1;R", "+0;RT", "60 ;R", "٣;R"),
        ],
    )
    def test_refused(self, text: str) -> None:
        """Anything else is refused, and so is a return that is late at once."""
        with pytest.raises(ValueError, match="BY"):
            DeliverBy.parsed(text)

    def test_written(self) -> None:
        """What is left is written within nine digits."""
        assert DeliverBy(60, "N", True).text == "60;NT"
        assert DeliverBy(60, "N").value(-(10**12)) == "-999999999;N"
        assert DeliverBy(60, "R").value(10**12) == "999999999;R"

    def test_what_is_waited_for(self) -> None:
        """A deadline that had passed at arrival is not told of again: the hop before has done it."""
        assert DeliverBy(60, "N", deadline=160.0).awaited == 160.0
        assert DeliverBy(0, "N", deadline=100.0).awaited == 0.0
        assert DeliverBy(-5, "N", deadline=95.0).awaited == 0.0


class TestServer:
    """What our server offers and takes."""

    def test_offered_where_asked_for(self) -> None:
        """With the least time, if there is one; without the keyword neither offer nor parameter."""
        assert "DELIVERBY" not in Server().greeting
        assert Server().say("MAIL FROM:<a@b.example> BY=60;N").startswith("555 5.5.4")
        assert "250-DELIVERBY\n" in Server(deliverby=0.0).greeting
        assert "250-DELIVERBY 60\n" in Server(deliverby=60.0).greeting
        assert (
            "250-DELIVERBY 60\n"
            in Server(deliverby=60.0, hello="LHLO c.example", config={"lmtp": True}).greeting
        )

    @pytest.mark.parametrize(
        ("value", "reply"),
        [
            ("60;R", "250"),
            ("59;R", "555 5.5.4"),
            ("59;N", "250"),
            ("-1;NT", "250"),
            ("0;R", "501 5.5.4"),
            ("60", "501 5.5.4"),
            ("1234567890;N", "501 5.5.4"),
        ],
    )
    def test_values(self, value: str, reply: str) -> None:
        """Only a return can come too soon."""
        assert Server(deliverby=60.0).say(f"MAIL FROM:<a@b.example> BY={value}").startswith(reply)

    def test_into_the_envelope(self) -> None:
        """As it was given, and not that of the message before."""
        server = Server(deliverby=0.0)
        for parameter in (" BY=120;RT", ""):
            server.say(f"MAIL FROM:<a@b.example>{parameter}", f"RCPT TO:<{BOB}>", "DATA", "", "x", ".")
        first, second = (told.envelope.by for told in server.told(Finished))
        assert (first, second) == (DeliverBy(120, "R", True), None)


def begun(
    by: str | None, left: float | None, offers: str, lmtp: bool = False, **changes: Any
) -> tuple[Client, str]:
    """A client that has begun a transaction, and its first commands."""
    client = Client("PIPELINING\nDSN\n" + offers, config={"lmtp": lmtp})
    parsed = None if by is None else DeliverBy.parsed(by)
    client.dialogue.begin("A1", envelope(BOB, by=parsed, **changes), 0, left)
    return client, client.said()


class TestClient:
    """What our client passes on."""

    @pytest.mark.parametrize(
        ("by", "left", "offers", "said"),
        [
            ("120;R", 100.9, "DELIVERBY", " BY=100;R"),
            ("120;RT", 60.0, "DELIVERBY 60", " BY=60;RT"),
            ("120;N", 5.0, "DELIVERBY 60", " BY=5;N"),
            ("120;NT", -0.5, "DELIVERBY", " BY=-1;NT"),
            ("120;N", 0.5, "DELIVERBY", " BY=0;N"),
            ("120;R", None, "DELIVERBY", " BY=120;R"),
            ("120;N", 100.0, "", ""),
            (None, None, "DELIVERBY", ""),
        ],
    )
    def test_the_time_left(self, by: str | None, left: float | None, offers: str, said: str) -> None:
        """Whole seconds, never more than there are; nothing to a peer that would not understand it."""
        _, commands = begun(by, left, offers)
        assert commands.split("\n")[0] == f"MAIL FROM:<ann@example.org>{said}"

    @pytest.mark.parametrize(
        ("left", "offers", "words"),
        [
            (100.0, "", "does not offer DELIVERBY"),
            (59.9, "DELIVERBY 60", "59 seconds are left"),
            (59.9, "DELIVERBY 60,MORE", "wants 60 at least"),
            (0.9, "DELIVERBY", "has passed"),
            (-5.0, "DELIVERBY", "has passed"),
        ],
    )
    def test_what_must_be_returned(self, left: float, offers: str, words: str) -> None:
        """Nothing is said to a peer that cannot see to it in time: all recipients fail at once."""
        client, commands = begun("120;R", left, offers)
        assert commands == ""
        (verdict,) = client.last(Done).dispositions
        assert (verdict.verdict, verdict.status) == (Verdict.FAILED, "5.4.7")
        assert words in verdict.reply and client.dialogue.can_begin

    def test_lmtp_delivers(self) -> None:
        """The end of the way needs to know of no deadline; but it is not delivered to when that has passed."""
        _, commands = begun("60;R", 5.0, "", lmtp=True)
        assert commands.startswith("MAIL FROM:<ann@example.org>\n")
        client, commands = begun("60;R", -5.0, "", lmtp=True)
        assert commands == "" and client.last(Done).dispositions[0].status == "5.4.7"

    @pytest.mark.parametrize(
        ("by", "offers", "notify", "said"),
        [
            ("120;N", "", None, " NOTIFY=FAILURE,DELAY"),
            ("120;N", "", "SUCCESS", " NOTIFY=SUCCESS,DELAY"),
            ("120;N", "", "DELAY", " NOTIFY=DELAY"),
            ("120;N", "", "NEVER", " NOTIFY=NEVER"),
            ("120;N", "DELIVERBY", None, ""),
            ("120;R", "DELIVERBY", None, ""),
            (None, "", None, ""),
        ],
    )
    def test_delays_are_asked_for(self, by: str | None, offers: str, notify: str | None, said: str) -> None:
        """A peer without DELIVERBY is asked to tell of delays, unless nothing is to be told (section 4.1.4.2)."""
        _, commands = begun(by, 100.0, offers, recipients=(Recipient(BOB, notify),))
        assert commands.split("\n")[1] == f"RCPT TO:<{BOB}>{said}"

    @pytest.mark.parametrize(("offers", "timed"), [("DELIVERBY", True), ("", False)])
    def test_whether_the_peer_minds_it(self, offers: str, timed: bool) -> None:
        """The verdict says whether the peer has taken the deadline over."""
        client, _ = begun("120;N", 100.0, offers)
        client.hear("250 ok", "250 ok", "354 go")
        client.content()
        client.hear("250 taken")
        assert client.last(Done).dispositions[0].timed is timed

    @pytest.mark.parametrize(
        ("said", "seconds"), [("", 0), ("60", 60), ("60,X=1", 60), ("x", 0), ("-3", 0), ("1234567890", 0)]
    )
    def test_the_least_time(self, said: str, seconds: int) -> None:
        """Of the options that may come with the keyword the first; nonsense is none."""
        assert shortest({"DELIVERBY": said}) == seconds
