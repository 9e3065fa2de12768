"""The transaction log under the real controller: a right line for every step of every recipient."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from twisted.logger import capturedLogs

from jobctl.control.change_requests import QmDelete, QmHold, QmReturn
from jobctl.jobprotocol.frames import Event, Submit
from jobctl.mail.envelope import Envelope, Recipient, Source
from tests.controller_case import CONFIGURATION, World

CONNECTION = "TCP|192.0.2.1|4000|192.0.2.9|25"
CLIENT = Source("in", "TCP|192.0.2.1|25|192.0.2.7|1234", "SMTP/client.example", "ann", "AES")
BOB = Recipient("bob@b.example")


class Logged(World):
    """
    A world that writes a transaction log.

    :param mta: Keys of ``[mta]``.
    :param defaults: Keys of ``[defaults]``.
    """

    def __init__(self, logs: Path, mta: str = "log_format = 6", defaults: str = "logging = true") -> None:
        self.logs = logs
        section = f'[mta]\n{mta}\n[defaults]\n{defaults}\n[job_controller]\nlog_directory = "{logs}"'
        section += '\nlog_rollover = "never"'
        super().__init__(configuration=CONFIGURATION.replace("[job_controller]", section))

    def lines(self, name: str = "mail.log_current") -> list[str]:
        self.turn()
        path = self.logs / name
        return path.read_text().splitlines() if path.exists() else []

    def told(self, *names: str) -> list[tuple[Any, ...]]:
        """Of each record of a message: its code and these attributes."""
        records = [json.loads(line) for line in self.lines()]
        return [(one["ac"], *(one.get(name) for name in names)) for one in records if one["el"] == "en"]


@pytest.fixture
def world(tmp_path: Path) -> Logged:
    return Logged(tmp_path)


def send(
    world: World, *recipients: Recipient, content: bytes = b"Message-ID: <1@a>\r\n\r\nHi\r\n"
) -> list[str]:
    envelope = Envelope("ann@a.example", recipients or (BOB,))
    ids: list[str] = world.do(world.controller.intake.accept(envelope, CLIENT, content, len(content)))
    world.turn()
    return ids


def test_in_and_out(tmp_path: Path) -> None:
    """A message comes and goes: as format 1 has it, but for the time."""
    world = Logged(tmp_path, "")
    send(world)
    job = world.job()
    job.says(Event(event="opened", transport=CONNECTION, application="mx ESMTP", modifiers="ES"))
    job.report("Q1", "relayed", "250 2.1.5 ok", remote="mx.b.example", transport=CONNECTION)
    job.says(Event(event="closed", transport=CONNECTION, application="mx ESMTP", text="no more mail"))
    assert [line.split(" ", 2)[2] for line in world.lines()] == [
        "in out EAES 1 ann@a.example rfc822;bob@b.example bob@b.example client.example([192.0.2.7])",
        f"out - OES {CONNECTION} mx\\x20ESMTP",
        "out  DES 1 ann@a.example rfc822;bob@b.example bob@b.example mx.b.example "
        "dns;mx.b.example smtp;250 2.1.5 ok",
        f"out - C {CONNECTION} mx\\x20ESMTP no more mail",
    ]
    world.close()


def test_what_can_be_known(world: Logged) -> None:
    """Job, id and attempts, Message-ID, user, priority, seconds in the queue; ORCPT decoded."""
    send(world, Recipient("bob@b.example", "SUCCESS", "rfc822;Bob+2BX@c.example"))
    job = world.job()
    job.report("Q1", "deferred", "450 4.2.0 later")
    world.turn(3600)
    world.scheduler.grant(job.id, 1)
    world.turn()
    job.report("Q1", "relayed", "250 ok")
    names = ("fi", "mi", "us", "pr", "rf", "od", "pi", "qt")
    known = ("<1@a>", "ann", "normal", "SUCCESS", "rfc822;Bob+X@c.example")
    assert world.told(*names) == [
        ("EAES", "Q1.00", *known, None, None),
        ("Q", "Q1.00", *known, job.id, 0),
        ("D", "Q1.01", *known, job.id, 3600),
    ]


def test_deferred_partial_and_failed(world: Logged) -> None:
    """Q waits; Z waits while others of its message were reached; R fails, and an E tells the sender."""
    send(world, *(Recipient(f"{one}@b.example") for one in ("ann", "bob", "cy")))
    job = world.job()
    job.results("Q1", ann="deferred", bob="deferred", cy="deferred")
    world.turn(3600)
    world.scheduler.grant(job.id, 1)
    world.turn()
    job.results("Q1", ann="relayed", bob="deferred", cy="failed")
    assert world.told("sc", "dc", "de", "di") == [
        *(("EAES", "in", "out", f"{one}@b.example", None) for one in ("ann", "bob", "cy")),
        *(("Q", "out", "", f"{one}@b.example", None) for one in ("ann", "bob", "cy")),
        ("D", "out", "", "ann@b.example", None),
        ("Z", "out", "", "bob@b.example", None),
        ("R", "out", "", "cy@b.example", "550 5.1.1 no"),
        ("E", "process", "out", "ann@a.example", None),
    ]


def test_a_job_that_dies(world: Logged) -> None:
    """Who has no verdict is deferred, with what happened to the program."""
    send(world)
    world.job().end(signal=9)
    assert world.told("de", "di")[1:] == [
        ("Q", "bob@b.example", "451 4.3.0 channel program was killed by signal 9")
    ]


def test_untold(world: Logged) -> None:
    """K instead of R where the sender wants to hear nothing, or an operator deletes."""
    never = Recipient("bob@b.example", notify="NEVER")
    send(world, never)
    world.job(credit=1).report("Q1", "failed", "550 5.1.1 no")
    (one,) = send(world)
    world.do(world.operate("qm_hold", QmHold(ids=(one,))))
    world.do(world.operate("qm_delete", QmDelete(ids=(one,))))
    (two,) = send(world, never)
    world.do(world.operate("qm_hold", QmHold(ids=(two,))))
    world.do(world.operate("qm_return", QmReturn(ids=(two,), reason="not ours")))
    (three,) = send(world)
    world.do(world.operate("qm_hold", QmHold(ids=(three,))))
    world.do(world.operate("qm_return", QmReturn(ids=(three,), reason="not ours")))
    # What can be taken back is done when the time for that is over.
    world.turn(86400)
    assert sorted(record for record in world.told("fi", "di") if record[0] in "KR") == [
        ("K", "Q1.00", "550 5.1.1 no"),
        ("K", f"{one}.00", None),
        ("K", f"{two}.00", "not ours"),
        ("R", f"{three}.00", "not ours"),
    ]


def test_expired(world: Logged) -> None:
    """R with the last reply when the last age of notices is reached."""
    send(world)
    world.job().report("Q1", "deferred", "450 4.2.0 later")
    world.turn(5 * 86400)
    assert world.told("de", "di", "qt")[2:] == [
        ("R", "bob@b.example", "450 4.2.0 later", 5 * 86400),
        ("E", "ann@a.example", None, None),
    ]


def test_never_whole(world: Logged) -> None:
    """V for each recipient of a message that was cut off, by its program or by the program's end."""
    job = world.slave()
    envelope = Envelope("ann@a.example", (BOB, Recipient("cy@c.example")))
    job.says(Submit(id="1", envelope=envelope, source=CLIENT, more=True), b"x" * 3000)
    job.says(Submit(id="1", abort=True))
    job.says(Submit(id="2", envelope=Envelope("", (BOB,)), more=True), b"x")
    job.end(1)
    assert world.told("sc", "sz", "so", "de") == [
        ("VAES", "in", 3, "ann@a.example", "bob@b.example"),
        ("VAES", "in", 3, "ann@a.example", "cy@c.example"),
        ("V", "in", 1, "", "bob@b.example"),
    ]


def test_what_happens_on_connections(tmp_path: Path) -> None:
    """Refused mail and bad commands are about mail; the rest is about connections, each by its bit."""
    world = Logged(tmp_path, "log_format = 6\nlog_connection = 134")
    job = world.slave()
    here = {"transport": CLIENT.transport, "application": "SMTP/client.example", "modifiers": "E"}
    for name, more in (
        ("opened", {}),
        ("bad_command", {"recipient": "FOO bar", "text": "500 5.5.1 what?"}),
        ("refused", {"sender": "eve@e.example", "recipient": "no@b.example", "text": "550 5.1.1 no"}),
        ("etrn", {"recipient": "@b.example", "text": "458 no"}),
        ("auth", {"user": "ann", "text": "235 2.7.0 welcome"}),
        ("rejected", {"text": "421 too many"}),
        ("denied", {"text": "PORT_ACCESS: 554 5.7.1 no", "site": "not asked for"}),
        ("failed", {"text": "connection refused"}),
        ("closed", {"text": "timed out", "site": "not asked for"}),
        ("cut", {"text": "too many bad commands"}),
        ("unheard_of", {}),
    ):
        job.says(Event(event=name, **here, **more))
    records = [json.loads(line) for line in world.lines()]
    assert [(one["el"], one["ac"], one.get("de"), one.get("di")) for one in records] == [
        ("co", "OE", None, None),
        ("en", "BE", "FOO bar", "500 5.5.1 what?"),
        ("en", "JE", "no@b.example", "550 5.1.1 no"),
        ("co", "IE", None, "@b.example: 458 no"),
        ("co", "UE", None, "235 2.7.0 welcome"),
        ("co", "XE", None, "421 too many"),
        ("co", "TE", None, "PORT_ACCESS: 554 5.7.1 no"),
        ("co", "YE", None, "connection refused"),
        ("co", "CE", None, "timed out"),
        ("co", "XE", None, "too many bad commands"),
    ]
    assert all(one["dr"] == "+" and one["tr"] == CLIENT.transport for one in records if one["el"] == "co")
    assert (records[2]["so"], records[2]["od"], records[4]["us"]) == (
        "eve@e.example",
        "rfc822;no@b.example",
        "ann",
    )


@pytest.mark.parametrize(("bits", "end"), [(18, "timed out: a partner"), (2, "timed out")])
def test_the_site_has_a_word(tmp_path: Path, bits: int, end: str) -> None:
    """Bit 16: the end of a connection is told with what PORT_ACCESS says of it."""
    world = Logged(tmp_path, f"log_format = 6\nlog_connection = {bits}")
    world.slave().says(Event(event="closed", transport=CLIENT.transport, text="timed out", site="a partner"))
    assert [json.loads(line)["di"] for line in world.lines()] == [end]


@pytest.mark.parametrize(("option", "seen"), [(1, "private"), (0, None)])
def test_sensitivity(tmp_path: Path, option: int, seen: str | None) -> None:
    """What a message says of its sensitivity stands in every record of it, where that is wanted; it is kept with it."""
    world = Logged(tmp_path, f"log_format = 6\nlog_sensitivity = {option}")
    send(world, content=b"Sensitivity: Private\r\n\r\nHi\r\n")
    world.job().report("Q1", "relayed", "250 2.1.5 ok")
    assert world.told("se") == [("EAES", seen), ("D", seen)]


def test_bits_of_a_channel(tmp_path: Path) -> None:
    """LOG_CONNECTION of a channel goes before log_connection; LOG_BANNER and LOG_TRANSPORTINFO are its own."""
    options = "{ LOG_CONNECTION = 96, LOG_BANNER = 1, LOG_TRANSPORTINFO = 1 }"
    world = Logged(tmp_path, defaults=f"logging = true\noptions = {options}")
    send(world)
    job = world.job()
    job.says(Event(event="opened", transport=CONNECTION, application="mx ESMTP"))
    job.report("Q1", "relayed", "250 ok", remote="mx", transport=CONNECTION)
    assert world.told("ss", "tr", "ap", "di") == [
        ("EAES", None, CLIENT.transport, "SMTP/client.example", None),
        ("D", None, CONNECTION, "mx ESMTP", f"dns;mx ({CONNECTION}) (mx ESMTP) smtp;250 ok"),
    ]
    assert len(world.lines()) == 2


def test_only_channels_that_are_logged(tmp_path: Path) -> None:
    """Of a channel with nologging there is no line, unless the channel on the other side is logged."""
    world = Logged(tmp_path, defaults="nologging = true")
    send(world)
    world.job().report("Q1", "relayed", "250 ok")
    assert world.lines() == []
    world = Logged(tmp_path)
    world.settings.channels["out"] = msgspec.structs.replace(world.settings.channels["out"], logging=False)
    world.controller.transaction_log.reconfigure(world.settings)
    send(world)
    world.job().report("Q1", "relayed", "250 ok")
    assert world.told("dc") == [("EAES", "out")]


def test_connections_by_themselves(tmp_path: Path) -> None:
    """separate_connection_log: they are in connection.log_current, and not in the other."""
    world = Logged(tmp_path, "log_format = 6\nseparate_connection_log = 1")
    world.slave().says(Event(event="opened", transport=CONNECTION))
    send(world)
    assert [json.loads(line)["ac"] for line in world.lines("connection.log_current")] == ["O"]
    assert world.told() == [("EAES",)]


def test_a_bug_in_the_accounts_stops_no_mail(world: Logged) -> None:
    """What cannot be logged is delivered nevertheless."""

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    world.controller.transaction_log.queued = broken  # type: ignore[method-assign]
    world.controller.transaction_log.settled = broken  # type: ignore[method-assign]
    with capturedLogs() as events:
        send(world)
        world.job().report("Q1", "relayed", "250 ok")
        world.turn()
    assert world.queued() == []
    assert len([event for event in events if "bug while accounts" in event["log_format"]]) == 2
