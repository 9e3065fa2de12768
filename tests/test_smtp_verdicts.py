"""Every reply at every step of the client, against the page that says what becomes of it."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from jobctl.jobprotocol.frames import Report
from jobctl.mail.disposition import Verdict
from tests import kit_support
from tests.tcp_support import BODY, Peer, Wire, message
from tests.test_tcp_client import client
from tests.verdicts import (
    ANN,
    BOB,
    CID,
    DAN,
    EVENTS,
    LOST,
    MODES,
    POLICIES,
    STEPS,
    USUAL,
    opened,
    outcome,
    page,
)

BROKEN = [
    "421",
    LOST,
    "no answer in time",
    "no reply at all (`what?`)",
    "a line that does not end",
    "a reply that does not end",
]


def test_the_page_says_what_the_client_does() -> None:
    """docs/verdicts.md is what the client does; write it anew with python -m tests.verdicts."""
    written = Path(__file__).parent.parent / "docs/verdicts.md"
    assert written.read_text() == page()


def cells(step: str, event: str) -> list[str]:
    return [cell for mode in MODES if (cell := outcome(mode, step, event))]


@pytest.mark.parametrize("event", BROKEN)
@pytest.mark.parametrize("step", STEPS)
def test_what_breaks_off_returns_nothing(step: str, event: str) -> None:
    """421, loss, silence and garbage at any step: only what was refused for good is returned, the rest waits."""
    assert cells(step, event)
    for cell in cells(step, event):
        ann, bob, cid, dan = cell.split(";")[0].split(", ")
        assert "failed" not in (ann, cid, dan)
        assert bob == ("deferred" if "MAIL" in step or step == f"RCPT {ANN}" else "failed")
        assert cid == "deferred"
        assert cell.endswith("ends")
        assert (ann == dan == "taken") == (step == "QUIT")


@pytest.mark.parametrize("step", STEPS)
def test_a_refusal_concerns_whom_it_is_about(step: str) -> None:
    """4xx defers and 5xx fails those it is said of, at RCPT one, elsewhere all accepted; the rest is as it was."""
    for event, word in (("4xx", "deferred"), ("5xx", "failed")):
        for mode in MODES:
            cell = outcome(mode, step, event)
            if not cell:
                continue
            found = dict(zip((ANN, BOB, CID, DAN), cell.split(";")[0].split(", "), strict=True))
            expected = {ANN: "taken", BOB: "failed", CID: "deferred", DAN: "taken"}
            if "MAIL" in step:
                expected = dict.fromkeys(expected, word)
            elif step.startswith("RCPT"):
                expected[step[5:]] = word
            elif step == "end 2" or (step == "end" and mode == "LMTP"):
                expected[DAN if step == "end 2" else ANN] = word
            elif step == "RSET":
                expected |= {ANN: "deferred", DAN: "deferred"}
            elif step != "QUIT":
                expected |= {ANN: word, DAN: word}
            assert found == expected, (mode, event)
            assert ", " in cell and "; counted; " in cell


def test_552_to_a_recipient_is_temporary() -> None:
    """It once meant too many recipients (RFC 5321 section 4.5.3.1.10)."""
    assert {cell.split(",")[0] for cell in cells(f"RCPT {ANN}", "552")} == {"deferred"}


@pytest.mark.parametrize("event", ["421", "503"])
def test_a_connection_in_use_that_ends_costs_no_attempt(event: str) -> None:
    """421 to the next MAIL, or 503 because the two have lost step, is charged to nobody, with BDAT neither."""
    assert {cell.split("; ", 1)[1] for cell in cells("next MAIL", event)} == {"not counted; ends"}


@pytest.mark.parametrize(("policy", "event"), list(itertools.product(POLICIES, EVENTS)))
def test_nothing_but_a_refusal_of_the_session_returns_mail_before_it_begins(policy: str, event: str) -> None:
    """Only 5xx to the banner or to HELO fails; TLS and AUTH never do, and no failure that waits has a 5.x.x."""
    for step in ("banner", "EHLO", "HELO", "STARTTLS", "EHLO in TLS", "AUTH", "AUTH challenge"):
        found = opened(policy, step, event)
        fails = step in ("banner", "HELO") and event in ("5xx", "552")
        assert found.startswith("fails, 5.") == fails, (step, found)
        assert not found.startswith("waits") or found.startswith("waits, 4."), (step, found)
        if step == "STARTTLS" and event in ("4xx", "5xx"):
            assert found == (
                "mail is sent" if policy == "may" else "" if policy == "none" else "waits, 4.7.4"
            )


REAL = [
    (step, event)
    for step in ("MAIL", f"RCPT {DAN}", "DATA", "end")
    for event in ("4xx", "5xx", "421", LOST, "no reply at all (`what?`)")
]


def acting(step: str, event: str, mode: str) -> "Callable[[Wire, int], None]":
    """A server on a socket that does at this step what the row says."""

    def script(wire: Wire, number: int) -> None:
        wire.greet(*MODES[mode][0].split("\n"))

        def answer(name: str) -> bool:
            if name == step:
                if event == LOST:
                    return False
                wire.say(EVENTS[event])
            else:
                wire.say(USUAL.get(name, "250 2.0.0 taken"))
            return True

        refused = False
        while (line := wire.line().decode()) != "QUIT":
            verb = line[:4]
            name = f"RCPT {line[9:-1]}" if verb == "RCPT" else verb
            if verb == "BDAT":
                wire.read(int(line.split()[1]))
                name = "end"
            if refused and verb not in ("MAIL", "RSET"):
                wire.say("503 5.5.1 need MAIL")
                continue
            refused = name == step == "MAIL"
            if not answer(name):
                return
            if name == "DATA" and (step != "DATA" or event == "3xx"):
                wire.content()
                if not answer("end"):
                    return
        wire.say("221 bye")

    return script


def words(report: Report) -> str:
    """The outcome as the page has it."""
    names = {Verdict.DELIVERED: "taken", Verdict.RELAYED: "taken", Verdict.DEFERRED: "deferred"}
    verdicts = [each.verdict for each in report.results] or [report.verdict] * 4
    said = ", ".join(names.get(verdict, "failed") for verdict in verdicts)
    return f"{said}; {'counted' if report.scope == 'recipient' else 'not counted'}"


@pytest.mark.parametrize("mode", ["one by one", "PIPELINING", "CHUNKING"])
def test_the_programs_do_the_same(mode: str) -> None:
    """tcp_smtp_client over real sockets comes to the verdicts of the page."""
    rows = [(step, event) for step, event in REAL if outcome(mode, step, event)]
    peers: list[Peer] = []
    try:
        for at, (step, event) in enumerate(rows):
            peers.append(Peer(acting(step, event, mode), f"127.0.2.{at + 1}", peers[0].port if peers else 0))
        with client(peers[0].port) as program:
            for at in range(len(rows)):
                program.send(message(f"E{at}", host=f"[127.0.2.{at + 1}]", to=(ANN, BOB, CID, DAN)), BODY)
            found = {(report := program.expect(Report)).id: words(report) for _ in rows}
            assert program.stop() == 0, program.log
    finally:
        for peer in peers:
            peer.__exit__()
    expected = {f"E{at}": outcome(mode, *row).rpartition("; ")[0] for at, row in enumerate(rows)}
    assert found == expected


@pytest.mark.parametrize("event", ["4xx", "421", LOST])
def test_the_generic_program_does_the_same(event: str) -> None:
    """test_smtp_master over its standard output comes to the verdicts of the page."""
    program = kit_support.Program("channels.test_smtp_master")
    try:
        program.controller.hello(kit_support.channel(gateway="gw.example.net"), "master", None)
        program.controller.send(
            kit_support.message("E1", recipients=(ANN, BOB, CID, DAN), octets=len(BODY)), BODY
        )
        peer = program.peer
        peer.send(b"220 mx ESMTP\r\n")
        peer.line()
        peer.send(b"250-mx\r\n250 PIPELINING\r\n")
        peer.until(b"DATA\r\n")
        usual = [USUAL["MAIL"], *(USUAL[f"RCPT {one}"] for one in (ANN, BOB, CID, DAN)), "354 go"]
        peer.send("".join(f"{line}\r\n" for line in usual).encode())
        peer.until(b"\r\n.\r\n")
        if event == LOST:
            peer.close()
        else:
            peer.send(EVENTS[event].encode() + b"\r\n")
        report = program.controller.expect(Report)
    finally:
        program.__exit__()
    assert words(report) == outcome("PIPELINING", "end", event).rpartition("; ")[0]
