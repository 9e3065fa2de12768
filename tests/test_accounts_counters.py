"""Counters after RFC 1566: right, durable, cleared when asked."""

import json
from typing import Any

import pytest

from jobctl.commands import exits
from jobctl.control.account_requests import Counters, CountersClear
from jobctl.controller.counters import INTERVAL
from jobctl.errors import StoreError, UsageError
from jobctl.jobprotocol.frames import Event
from jobctl.mail.envelope import Envelope, Recipient, Source
from tests.controller_case import START, World
from tests.test_commands_main import daemon, jobctl

__all__ = ["daemon", "jobctl"]


def send(world: World, *recipients: str, size: int = 100) -> str:
    envelope = Envelope("ann@a.example", tuple(Recipient(one) for one in recipients))
    (entry_id,) = world.do(world.controller.intake.accept(envelope, Source("in"), b"x" * size, size))
    world.turn()
    return entry_id


def counters(world: World, channel: str) -> dict[str, Any]:
    (row,) = world.do(world.operate("counters", Counters(channel=channel)))
    assert row["channel"] == channel
    return row


def volume(messages: int, recipients: int, blocks: int) -> dict[str, int]:
    return {"messages": messages, "recipients": recipients, "blocks": blocks}


def deferral(world: World) -> World:
    """Two messages: one of three recipients and 2,000 octets, tried twice; one that goes at once."""
    first = send(world, "bob@b.example", "cy@b.example", "dan@b.example", size=2000)
    job = world.job()
    job.results(first, bob="relayed", cy="deferred", dan="failed")
    world.turn(600)
    world.scheduler.grant(job.id, 5)
    world.turn()
    job.report(first, "delivered", "250 ok")
    job.report(send(world, "eve@b.example"), "relayed", "250 ok")
    return world


def test_what_is_counted() -> None:
    """Messages, recipients and blocks: in, out, tried, given up; and the time in the queue."""
    world = deferral(World())
    out = counters(world, "out")
    # Two came from outside; the third is the notification for ann.
    assert out["received"] == {"messages": 3, "recipients": 5, "blocks": out["received"]["blocks"]}
    assert out["delivered"] == volume(3, 3, 2 + 2 + 1)
    assert out["attempted"] == volume(1, 1, 2)
    assert out["failed"] == volume(1, 1, 2)
    assert (out["delivered_first_time"], out["first_queue_seconds"], out["first_queue_count"]) == (2, 0, 2)
    assert (out["queue_seconds"], out["queue_count"]) == (600, 3)
    assert out["stored"]["messages"] == out["stored"]["recipients"] == 1
    assert counters(world, "in")["submitted"] == volume(2, 4, 2 + 1)
    assert counters(world, "in")["received"] == volume(0, 0, 0)
    # Whatever was received is stored, or is in one of the others.
    left = out["delivered"]["recipients"] + out["failed"]["recipients"]
    assert out["received"]["recipients"] == left + out["stored"]["recipients"]


def test_authentications() -> None:
    """Who proved to be somebody, and who did not; trouble of ours is neither."""
    world = World()
    job = world.slave()
    for text in (
        "235 2.7.0 PLAIN",
        "535 5.7.8 no",
        "454 4.7.0 later",
        "538 5.7.11 TLS first",
        "535 5.7.8 no",
    ):
        job.says(Event(event="auth", user="ann", text=text))
    assert counters(world, "in")["authentications"] == {"accepted": 1, "failed": 2}


def test_connections() -> None:
    """Made, refused, and open now; a job that ends takes its own along."""
    world = World()
    slave, other = world.slave(), world.slave()
    for job, names in (
        (slave, ("opened", "opened", "opened", "closed", "rejected", "refused")),
        (other, ("opened", "opened", "cut")),
    ):
        for name in names:
            job.says(Event(event=name))
    row = counters(world, "in")
    assert row["in_associations"] == {"current": 3, "total": 5, "rejected": 1}
    assert row["out_associations"] == {"current": 0, "total": 0, "rejected": 0}
    assert row["rejected"] == volume(1, 1, 0)
    slave.end()
    assert counters(world, "in")["in_associations"] == {"current": 1, "total": 5, "rejected": 1}
    send(world, "bob@b.example")
    job = world.job()
    job.says(Event(event="opened"))
    job.says(Event(event="failed"))
    assert counters(world, "out")["out_associations"] == {"current": 1, "total": 1, "rejected": 1}


def test_over_a_restart() -> None:
    """A stop in order loses nothing; a crash at most what was counted within the last minute."""
    world = deferral(World())
    for job in list(world.supervisor.jobs.values()):
        for entry_id in list(job.held):
            job.report(entry_id, "relayed", "250 ok")
    before = counters(world, "out")
    world.close()
    again = World(disk=world.store.memory.disk, clock=world.clock)
    assert counters(again, "out") == {**before, "since": START}
    send(again, "bob@b.example")
    again.turn(INTERVAL)
    send(again, "bob@b.example")
    again.store.memory.disk.busy = False
    third = World(disk=again.store.memory.disk, clock=again.clock)
    assert counters(third, "out")["received"]["messages"] == before["received"]["messages"] + 1


def test_saved_only_when_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle daemon writes nothing; a disk that fails is tried again."""
    world = World()
    saves = []
    real = world.store.memory.remember
    monkeypatch.setattr(world.store.memory, "remember", lambda *them: saves.append(1) or real(*them))
    world.turn(INTERVAL)
    assert saves == []
    send(world, "bob@b.example")
    world.store.memory._fault = _fails
    world.turn(INTERVAL)
    world.store.memory._fault = lambda: None
    world.turn(INTERVAL)
    world.turn(INTERVAL)
    assert saves == [1, 1]


def _fails() -> None:
    raise StoreError("the disk is gone")


def test_clear() -> None:
    """What is counted begins anew, what is stored is still there and never less than nothing."""
    world = deferral(World())
    stored = counters(world, "out")["stored"]
    assert world.do(world.operate("counters_clear", CountersClear(channel="o*"))) == {"channels": ["out"]}
    row = counters(world, "out")
    assert (row["received"], row["delivered"], row["queue_seconds"]) == (volume(0, 0, 0), volume(0, 0, 0), 0)
    assert (row["stored"], row["since"]) == (stored, world.clock.seconds())
    assert counters(world, "in")["submitted"]["messages"] == 2
    with pytest.raises(UsageError, match="not configured"):
        world.do(world.operate("counters_clear", CountersClear(channel="nosuch")))


def test_saved_counters_that_cannot_be_read() -> None:
    """They begin anew, and nothing else suffers."""
    world = World()
    world.store.memory.disk.remembered["counters", "all"] = "[]"
    world.store.memory.disk.busy = False
    again = World(disk=world.store.memory.disk, clock=world.clock)
    send(again, "bob@b.example")
    assert counters(again, "out")["received"]["messages"] == 1


def test_an_imbalance_shows() -> None:
    """The alarm of the ledger is in the counters, too."""
    world = World()
    send(world, "bob@b.example")
    world.store.memory.disk.entries.clear()
    world.do(world.controller.audit.look())
    assert counters(world, "out")["missing"] == 1


# The command.


def test_show(jobctl: Any, tmp_path: Any) -> None:
    """The layout of the original, in parts and into a file where asked for."""
    status, out, err = jobctl("counters", "show")
    assert (status, err) == (exits.OK, [])
    assert out[:6] == [
        "Channel                  Messages Recipients     Blocks",
        "---------------------- ---------- ---------- ----------",
        "l",
        "   Received                  1200       1350      22000",
        "   Stored                      20         25         40",
        "   Delivered                 1180       1325      22040   (1100 first time)",
    ]
    assert "   Queue time/count       5900.00/1180 = 5.00 s" in out
    assert "   Current In Assocs            2" in out and "   Total In Assocs              7" in out
    assert "   Accepted Auths               9" in out and "   Failed Auths                 4" in out
    old = jobctl("counters", "-show", "-noassociations", "-noheaders", f"-output={tmp_path / 'x'}")
    assert old[:2] == (exits.OK, [])
    lines = (tmp_path / "x").read_text().splitlines()
    assert lines[0] == "l" and not any("Assocs" in line for line in lines)
    assert not any("Received" in line for line in jobctl("counters", "-show", "-nochannels")[1])


def test_show_for_programs(jobctl: Any) -> None:
    """Stable keys."""
    _, out, _ = jobctl("counters", "show", "--json")
    rows = json.loads("".join(out))
    assert set(rows[0]) == {
        *(
            "channel",
            "since",
            "received",
            "stored",
            "delivered",
            "submitted",
            "attempted",
            "rejected",
            "failed",
        ),
        *("delivered_first_time", "queue_seconds", "queue_count", "first_queue_seconds", "first_queue_count"),
        *("in_associations", "out_associations", "authentications", "missing"),
    }


def test_clear_by_command(jobctl: Any) -> None:
    """It says which channels."""
    assert jobctl("counters", "-clear")[:2] == (exits.OK, ["counting anew: l, tcp_local"])
