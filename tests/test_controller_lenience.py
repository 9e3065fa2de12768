"""acceptalladdresses and accepttemporaryfailures: recipients that are taken first and judged later."""

from pathlib import Path
from typing import Any

import pytest

from jobctl.config.loader import load_text
from jobctl.config.settings import ServiceSettings
from jobctl.control.requests import QmStart, QmStop
from jobctl.jobprotocol.frames import Accepted, Route, Submit, VerdictFrame
from jobctl.jobs.spec import JobSpec
from jobctl.mail.disposition import Verdict
from jobctl.mail.envelope import Envelope, Recipient, Source
from tests.controller_case import CONFIGURATION, CONTENT, World

KNOWN, UNKNOWN, NOWHERE = "bob@b.example", "x@b.example", "x@nowhere.test"
ALL = "acceptalladdresses"
TROUBLE = "accepttemporaryfailures"
CLIENT = Source("in", transport="TCP|192.0.2.1|25|198.51.100.7|40001", application="SMTP/c.example")


def world(tmp_path: Path, keyword: str, more: str = "") -> World:
    """Channel ``in`` with a keyword; of ``out`` only bob is known; senders are at ``back``."""
    (tmp_path / "known").write_text("bob\n")
    text = CONFIGURATION.replace(
        "[channel.in]", f"[channel.back]\nofficial_host_name = 'back-daemon'\n[channel.in]\n{keyword} = true"
    )
    text = text.replace("[channel.out]", f"[channel.out]\nrecipients_file = '{tmp_path}/known'")
    return World(configuration=text.replace("[rewrite]", '[rewrite]\n"a.example" = "back"') + more)


def ask(world: World, recipient: str, service: ServiceSettings | None = None) -> VerdictFrame:
    """What RCPT is answered, by a slave on a pipe or by a service."""
    if service is None:
        slave = world.slave()
    else:
        channel = world.settings.channels["in"]
        spec = JobSpec(id="in.s", channel=channel, role="slave", argv=("slave",), service=service)
        slave = world.supervisor.spawn(spec).hello(0)
    slave.says(Route(id="r", recipient=recipient, sender="ann@a.example", source=CLIENT))
    (answer,) = [frame for frame in slave.sent if isinstance(frame, VerdictFrame)]
    return answer


def send(world: World, *recipients: str) -> tuple[str, ...]:
    """By SMTP; gives the ids that were told."""
    slave = world.slave()
    envelope = Envelope("ann@a.example", tuple(Recipient(one) for one in recipients))
    slave.says(Submit(id="s", envelope=envelope, source=CLIENT), CONTENT)
    (answer,) = world.answers(slave)
    assert isinstance(answer, Accepted)
    return answer.ids


def places(world: World) -> list[tuple[str, list[str]]]:
    return sorted((s.entry.channel, [r.address for r in s.envelope.recipients]) for s in world.queued())


@pytest.mark.parametrize(
    ("keyword", "unknown", "nowhere"),
    [("acceptvalidaddresses", 550, 550), (TROUBLE, 550, 550), (ALL, 250, 250)],
)
def test_what_rcpt_is_answered(tmp_path: Path, keyword: str, unknown: int, nowhere: int) -> None:
    """With acceptalladdresses whoever may relay hears yes to every address."""
    at = world(tmp_path, keyword)
    assert [ask(at, one).code for one in (KNOWN, UNKNOWN, NOWHERE)] == [250, unknown, nowhere]
    at.close()


@pytest.mark.parametrize(
    ("relay_from", "codes"),
    [
        ((), {KNOWN: 250, UNKNOWN: 250, NOWHERE: 550, "c@elsewhere.test": 550}),
        (("198.51.100.0/24",), {NOWHERE: 250}),
    ],
)
def test_it_is_no_open_relay(tmp_path: Path, relay_from: tuple[str, ...], codes: dict[str, int]) -> None:
    """Strangers may write to our domains alone, to whomever there; and to no address that leads nowhere today."""
    at = world(tmp_path, ALL, '"elsewhere.test" = "in"\n')
    service = ServiceSettings(name="X", listen=(), channel="in", relay_from=relay_from)
    assert {address: ask(at, address, service).code for address in codes} == codes
    at.close()


def test_the_unknown_are_returned_and_the_others_delivered(tmp_path: Path) -> None:
    """Who is known is queued at once; the sender hears of the others in one notification, and the ledger balances."""
    at = world(tmp_path, ALL)
    send(at, KNOWN, UNKNOWN, NOWHERE)
    assert places(at) == [("out", [KNOWN]), ("reprocess", [UNKNOWN, NOWHERE])]
    at.turn(1)
    assert places(at) == [("back", ["ann@a.example"]), ("out", [KNOWN])]
    (notice,) = [s for s in at.queued() if s.entry.channel == "back"]
    content = at.store.memory.disk.contents[notice.message]
    assert notice.envelope.sender == ""
    assert content.count(b"Action: failed") == 2 and b"Final-Recipient: rfc822;x@b.example" in content
    assert b"unknown or illegal alias: x@b.example" in content and b"Status: 5.1.1" in content
    at.balance()
    at.close()


def test_all_of_them_unknown(tmp_path: Path) -> None:
    """Then nothing but the notification is left."""
    at = world(tmp_path, ALL)
    send(at, UNKNOWN)
    at.turn(1)
    assert places(at) == [("back", ["ann@a.example"])]
    at.balance()
    at.close()


def test_whom_an_access_table_forbids_is_refused(tmp_path: Path) -> None:
    """A refusal of the site stays one, for known and unknown recipients alike."""
    more = "\n[mapping]\nSEND_ACCESS = '''\n  in|*|*|*@b.example  $N550$ not$ from$ here\n'''\n"
    at = world(tmp_path, ALL, more)
    assert [ask(at, one).code for one in (KNOWN, UNKNOWN)] == [550, 550]
    assert ask(at, NOWHERE).code == 250
    at.close()


def test_temporary_trouble_is_told_by_default(tmp_path: Path) -> None:
    """A list that cannot be read is 4xx, whatever acceptalladdresses says."""
    at = world(tmp_path, ALL)
    (tmp_path / "known").unlink()
    assert ask(at, KNOWN).code == 451
    at.close()


def test_temporary_trouble_is_waited_out(tmp_path: Path) -> None:
    """The recipient is accepted, tried again by the channel's backoff, and goes on once the list can be read."""
    at = world(tmp_path, TROUBLE)
    (tmp_path / "known").unlink()
    assert ask(at, KNOWN).code == 250
    (id,) = send(at, KNOWN)
    at.turn(1)
    waiting = at.stored(id)
    assert waiting is not None and waiting.entry.attempts == 1 and waiting.last_reply.startswith("451 4.3.0 ")
    assert waiting.entry.due > at.clock.seconds() + 3000
    found = at.scheduler.outlook(waiting.entry, at.clock.seconds()).next_attempt
    assert found == pytest.approx(waiting.entry.due, abs=1e-3)
    at.turn(1800)
    assert places(at) == [("reprocess", [KNOWN])]
    (tmp_path / "known").write_text("bob\n")
    at.turn(7200)
    assert places(at) == [("out", [KNOWN])]
    assert at.queued()[0].entry.enqueued == waiting.entry.enqueued
    at.balance()
    at.close()


def test_who_turns_out_to_be_unknown(tmp_path: Path) -> None:
    """Nobody could tell at first; then the sender is told."""
    at = world(tmp_path, TROUBLE)
    (tmp_path / "known").unlink()
    send(at, KNOWN, UNKNOWN, "c@gate.example")
    assert places(at) == [("gate", ["c@gate.example"]), ("reprocess", [KNOWN, UNKNOWN])]
    at.turn(1)
    (tmp_path / "known").write_text("bob\n")
    at.turn(7200)
    assert places(at) == [("back", ["ann@a.example"]), ("gate", ["c@gate.example"]), ("out", [KNOWN])]
    at.balance()
    at.close()


def test_trouble_that_lasts_ends_as_any_other(tmp_path: Path) -> None:
    """At the last age of notices the sender gets it back."""
    at = world(tmp_path, TROUBLE, "\n[channel.reprocess]\nofficial_host_name = 'again'\nnotices = [1]\n")
    (tmp_path / "known").unlink()
    send(at, KNOWN)
    for _ in range(30):
        at.turn(3600)
    assert places(at) == [("back", ["ann@a.example"])]
    at.balance()
    at.close()


def test_nothing_goes_on_unseen_after_a_reload(tmp_path: Path) -> None:
    """Without the keyword what waits is judged all the same."""
    at = world(tmp_path, TROUBLE)
    (tmp_path / "known").unlink()
    send(at, UNKNOWN)
    at.turn(1)
    text = CONFIGURATION.replace("[channel.in]", "[channel.reprocess]\n[channel.back]\n[channel.in]")
    text = text.replace("[channel.out]", f"[channel.out]\nrecipients_file = '{tmp_path}/known'")
    at.reload(text.replace("[rewrite]", '[rewrite]\n"a.example" = "back"'))
    (tmp_path / "known").write_text("bob\n")
    at.turn(7200)
    assert places(at) == [("back", ["ann@a.example"])]
    at.close()


def test_what_is_said_of_it(tmp_path: Path) -> None:
    """A deferral and a failure in the history, as of any attempt."""
    at = world(tmp_path, ALL, "")
    said: list[Any] = []
    at.controller.recorder.settled.append(lambda stored, settlement: said.extend(settlement.said))
    send(at, UNKNOWN)
    at.turn(1)
    assert [(one.recipient, one.verdict, one.status) for one in said] == [(UNKNOWN, Verdict.FAILED, "5.1.1")]
    at.close()


SERVICE = """
[channel.l]
official_host_name = "m.example"
[job_controller.channel_class."tcp_*"]
slave_command = "tcp_smtp_server"
[channel.tcp_x]
acceptalladdresses = true
{more}
[dispatcher.service.X]
channel = "tcp_x"
listen = ["{listen}"]
password_file = "/p"
"""


@pytest.mark.parametrize(
    ("more", "listen", "noted"),
    [
        ("", "tcp:25", True),
        ("", "tcp:25:interface=192.0.2.1", True),
        ("", "tcp:25:interface=127.0.0.1", False),
        ("", "unix:/run/smtp", False),
        ("maysaslserver = true", "tcp:25", True),
        ("mustsaslserver = true", "tcp:25", False),
        ("maysaslserver = true\nsubmit = true", "tcp:25", False),
        ("acceptvalidaddresses = true", "tcp:25", False),
    ],
)
def test_a_channel_of_strangers_is_noted(more: str, listen: str, noted: bool) -> None:
    """Whoever would make a source of backscatter is told so."""
    text = SERVICE.format(more=more, listen=listen)
    if "acceptvalid" in more:
        text = text.replace("acceptalladdresses = true\n", "")
    settings = load_text(text, "/x", exists=lambda path: True)
    assert any("acceptalladdresses" in note.text for note in settings.notes) is noted


@pytest.mark.parametrize(
    ("reply", "left"), [("550$ not$ there", "back"), ("450$ not$ now", "reprocess"), ("", "gate")]
)
def test_tables_are_asked_when_there_is_a_way(tmp_path: Path, reply: str, left: str) -> None:
    """Whoever led nowhere when the client asked does not pass by the access tables when a rule leads on later."""
    at = world(tmp_path, ALL)
    at.do(at.operate("qm_stop", QmStop(channel="reprocess")))
    send(at, NOWHERE)
    text = CONFIGURATION.replace(
        "[channel.in]", f"[channel.back]\nofficial_host_name = 'back-daemon'\n[channel.in]\n{ALL} = true"
    )
    text = text.replace("[rewrite]", '[rewrite]\n"a.example" = "back"\n"nowhere.test" = "gate"')
    table = f"in|*|gate|*  $N{reply}" if reply else "x  $Y"
    at.reload(f"{text}\n[mapping]\nSEND_ACCESS = '''\n  {table}\n'''\n")
    at.do(at.operate("qm_start", QmStart(channel="reprocess")))
    at.turn(1)
    assert [channel for channel, _ in places(at)] == [left]
    at.balance()
    at.close()
