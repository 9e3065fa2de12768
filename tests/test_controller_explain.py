"""``explain``: each cause that can keep a message, seeded in a real controller and named rightly."""

import time
from typing import Any

import pytest
from twisted.internet.defer import ensureDeferred

from jobctl.control.change_requests import HoldAdd, HoldList, HoldRemove, QmDelete, QmHold
from jobctl.control.requests import CacheChange, Explain, QmStop, Run
from jobctl.errors import StoreError, UsageError
from jobctl.jobprotocol.frames import Alive, Ask, HelloProgram, Sent, Work
from jobctl.jobs.environment import CannotStart
from jobctl.mail.entry import Attempt, Lasting, Settlement
from jobctl.mail.envelope import Envelope, Priority, Recipient, Source
from jobctl.mail.hints import Hints
from tests.controller_case import ANN, CONFIGURATION, CONTENT, START, Terminal, World
from tests.zones import local_zone

KEYS = {
    *("id", "channel", "host", "state", "sender", "recipients", "size", "priority", "attempts", "enqueued"),
    *("last_reply", "holder", "causes", "next_attempt", "next", "expires", "at_expiry", "at_expiry_where"),
    *("warnings", "notes"),
}
DAY = 86400.0


@pytest.fixture
def world():
    made = World()
    yield made
    made.close()


def explain(world: World, id: str) -> dict[str, Any]:
    row: dict[str, Any] = world.do(world.operate("explain", Explain(message=id)))
    return row


def codes(world: World, id: str) -> list[str]:
    return [cause["code"] for cause in explain(world, id)["causes"]]


def first(world: World, id: str) -> dict[str, Any]:
    cause: dict[str, Any] = explain(world, id)["causes"][0]
    return cause


def limited(key: str) -> str:
    """The channel ``out`` with one setting more."""
    return CONFIGURATION.replace('"out-daemon"', f'"out-daemon"\n{key}')


def seconds(world: World) -> float:
    now: float = world.clock.seconds()
    return now


# Whoever has it.


def test_a_job_has_it(world):
    """Which, which program, since when, and how many others it holds."""
    id, other = world.accept("bob@x.example")[0], world.accept("bea@x.example")[0]
    job = world.job()
    row = explain(world, id)
    assert set(row) == KEYS
    assert (row["state"], row["causes"][0]["code"], row["next_attempt"]) == ("active", "delivering", None)
    assert row["holder"] == {
        "job": job.id,
        "program": "master",
        "pid": 4711,
        "since": START,
        "remote": "",
        "phase": "in hand",
        "others": 1,
        "leaving": False,
        "octets": 0,
        "began": START,
    }
    assert "x.example" in row["causes"][0]["text"]
    assert codes(world, other) == ["delivering"]


def test_since_when_it_has_it(world):
    """Since it was handed over, not since the job began."""
    world.accept("bea@x.example")
    job = world.job()
    world.turn(40)
    (id,) = world.accept("bob@x.example")
    world.turn(2)
    row = explain(world, id)
    assert job.id == row["holder"]["job"] and row["holder"]["since"] == START
    assert row["causes"][0]["since"] == row["holder"]["began"] == START + 40


def test_the_final_dot_has_gone(world):
    """The reply is awaited."""
    (id,) = world.accept("bob@x.example")
    job = world.job()
    job.says(Sent(id=id))
    assert explain(world, id)["holder"]["phase"] == "dot"
    assert "reply is awaited" in first(world, id)["text"]


def test_a_program_that_tells_is_asked_what_it_does(world):
    """Phase, remote and octets; one that does not answer at once is not waited for."""
    (id,) = world.accept("bob@x.example")
    world.turn()
    job = world.supervisor.spawn(world.supervisor.asked.pop())
    job.says(HelloProgram(version=1, name="program", connections=5, tells=True))
    job.says(Ask(n=100))
    world.turn()
    asked = ensureDeferred(world.operate("explain", Explain(message=id)))
    job.says(Alive(progress=1, work=(Work(id, "content", "mx.x.example [192.0.2.1]", 7),)))
    row = world.do(asked)
    assert (row["holder"]["phase"], row["holder"]["octets"]) == ("content", 7)
    assert "at content with mx.x.example [192.0.2.1], 7 of 21 octets" in row["causes"][0]["text"]
    late = ensureDeferred(world.operate("explain", Explain(message=id)))
    world.turn(0.02)
    assert world.do(late)["state"] == "active"


def test_it_is_being_read_for_a_job(world):
    """Between the hand-out and the job."""
    world.store.slow = frozenset({"fetch_whole"})
    (id,) = world.accept("bob@x.example")
    world.controller.hot.drop(id)
    world.job()
    assert codes(world, id) == ["handing_over"]
    world.store.commit()


def test_its_result_is_being_recorded(world):
    """The verdict is there, the commit is not."""
    (id,) = world.accept("bob@x.example")
    job = world.job()
    world.store.slow = frozenset({"settle"})
    job.report(id, "deferred", "450 later")
    assert codes(world, id) == ["recording"]
    world.store.slow = frozenset()
    world.store.commit()


def test_a_job_that_leaves_has_it(world):
    """Settings have changed: the job ends after it."""
    (id,) = world.accept("bob@x.example")
    job = world.job()
    world.reload(limited("port = 2525"))
    assert job.stopped and "leaves after it" in first(world, id)["text"]


# Whose time has not come.


def test_deferred_and_its_backoff(world):
    """What was said, until when, by which line; and what comes at the end."""
    (id,) = world.accept("bob@x.example")
    job = world.job()
    job.report(id, "deferred", "450 4.7.1 greylisted")
    world.turn()
    row = explain(world, id)
    (cause,) = row["causes"]
    assert (row["state"], cause["code"]) == ("delayed", "retry")
    assert "greylisted" in cause["text"] and cause["where"] == "jobctl.toml:14: channel.out.backoff"
    assert 600 <= cause["until"] - seconds(world) <= 660 and row["next_attempt"] == cause["until"]
    assert row["expires"] == START + 4 * DAY and "returned to ann@a.example" in row["at_expiry"]
    assert row["at_expiry_where"] == "jobctl.toml:15: channel.out.notices"


def test_no_attempt_is_promised_for_after_its_end():
    """Its next time would come when it has been returned: no time, and why."""
    world = World(configuration=CONFIGURATION.replace("notices = [1, 4]", 'notices = ["PT5M"]'))
    try:
        (id,) = world.accept("bob@x.example")
        world.job().report(id, "deferred", "450 4.7.1 greylisted")
        world.turn()
        row = explain(world, id)
        assert row["causes"][0]["until"] > row["expires"] == START + 300
        assert (row["next_attempt"], row["next"]) == (None, "none: its life ends before")
        world.turn(301)
        (cause,) = explain(world, id)["causes"]
        assert cause["code"] == "finished_expired"
        assert cause["text"].startswith("bob@x.example was given up after one attempt: 450 4.7.1 greylisted")
    finally:
        world.close()


def test_a_default_is_told_as_one():
    """Where the file says nothing."""
    world = World(configuration=CONFIGURATION.replace('backoff = ["PT10M"]\n', ""))
    (id,) = world.accept("bob@x.example")
    world.job().report(id, "deferred", "450 later")
    world.turn()
    assert first(world, id)["where"] == "channel.out.backoff (default)"
    world.close()


def test_the_first_attempt_is_put_off():
    """``after``."""
    world = World(configuration=limited('after = "PT1H"'))
    (id,) = world.accept("bob@x.example")
    row = explain(world, id)
    assert row["causes"][0]["code"] == "after" and row["causes"][0]["until"] == START + 3600
    assert row["causes"][0]["where"] == "jobctl.toml:12: channel.out.after"
    world.close()


def test_an_attempt_was_cut_short(world):
    """Its program died; it is tried again in a moment, and one death more is counted."""
    (id,) = world.accept("bob@x.example")
    job = world.job()
    job.end(None, signal=9)
    row = explain(world, id)
    assert "interrupted" in [cause["code"] for cause in row["causes"]]
    assert any("programs died" in note for note in row["notes"])


def test_an_attempt_that_did_not_count(world):
    """Given back by its program with a reason."""
    (id,) = world.accept("bob@x.example")
    job = world.job()
    job.report(id, "deferred", "451 4.3.0 disk full here", scope="local")
    world.turn()
    assert "given_back" in codes(world, id)


def test_its_sender_wants_it_later():
    """Deferred-Delivery, where the channel honours it; its age counts from then on."""
    world = World(configuration=limited("deferred = true"))
    (id,) = world.accept("bob@x.example", hints=Hints(not_before=START + 7200))
    row = explain(world, id)
    assert row["causes"][0]["code"] == "deferred_delivery" and row["next_attempt"] == START + 7200
    assert row["expires"] == START + 7200 + 4 * DAY
    world.close()


def test_a_retry_rule_is_responsible():
    """For the interval and for the end, with its line."""
    rule = "[[retry]]\nwhere = 'last.code~4.7'\nbackoff = 'PT2M'\nlifetime = 'PT6H'\n"
    world = World(configuration=CONFIGURATION + rule)
    (id,) = world.accept()
    job = world.job()
    job.report(id, "deferred", "450 4.7.1 come back")
    world.turn()
    line = CONFIGURATION.count("\n") + 3
    row = explain(world, id)
    assert (row["causes"][0]["code"], row["causes"][0]["where"]) == (
        "retry",
        f"jobctl.toml:{line}: retry[0].backoff",
    )
    assert row["expires"] == START + 6 * 3600 and row["at_expiry_where"].endswith("retry[0].lifetime")
    assert row["next_attempt"] < START + 130
    world.close()


@local_zone("UTC")
def test_its_window_is_closed():
    """When it opens, for which priority, and by which line."""
    hour = time.gmtime(START).tm_hour
    hours = f'nonurgent_delivery = "{(hour + 3) % 24:02}:00-{(hour + 5) % 24:02}:00"'
    world = World(configuration=limited(hours))
    (id,) = world.accept("bob@x.example", priority=Priority.NONURGENT)
    row = explain(world, id)
    (cause,) = row["causes"]
    assert cause["code"] == "window" and cause["where"] == "jobctl.toml:12: channel.out.nonurgent_delivery"
    assert 2 * 3600 < cause["until"] - START <= 3 * 3600 and row["next_attempt"] == cause["until"]
    world.close()


def test_programs_died_with_it_and_others(world):
    """It is suspected, and tried alone."""
    one, two = world.accept("bob@x.example")[0], world.accept("bea@x.example")[0]
    for _ in range(2):
        world.job().end(None, signal=9)
        world.turn(100)
    found = {id: codes(world, id) for id in (one, two)}
    assert "suspect" in found[one] + found[two]


def test_warnings_and_the_last_attempt():
    """When its sender is warned, and what else ends it."""
    world = World(configuration=limited("max_attempts = 9"))
    (id,) = world.accept("bob@x.example")
    row = explain(world, id)
    assert row["warnings"] == [START + DAY] and "after attempt 9" in row["at_expiry"]
    world.close()


# Its host.


def test_its_host_is_backed_off(world):
    """How often it failed, what it said, and when it is probed."""
    (id,) = world.accept("bob@x.example")
    (other,) = world.accept("bea@x.example")
    job = world.job(credit=1)
    job.report(id, "deferred", "421 4.4.1 connection refused", scope="host")
    world.turn()
    row = explain(world, other)
    (cause,) = [cause for cause in row["causes"] if cause["code"] == "host_backoff"]
    assert "x.example could not be talked to once: 421 4.4.1 connection refused" in cause["text"]
    assert row["state"] == "delayed" and row["next_attempt"] == cause["until"] > seconds(world)
    assert "channel.out.backoff" in cause["where"] and "probe" in row["next"]


def test_another_one_probes_its_host(world):
    """What comes of that decides."""
    ids = [world.accept(f"b{number}@x.example")[0] for number in range(3)]
    job = world.job(credit=1)
    job.report(ids[0], "deferred", "421 4.4.1 refused", scope="host")
    world.turn(40)
    job.says(Ask(n=1))
    world.turn()
    (probe,) = job.held
    (waiting,) = {*ids[1:]} - {probe}
    assert codes(world, probe) == ["delivering"]
    assert "probe" in codes(world, waiting)
    assert explain(world, waiting)["next"] == "when the probe has been answered"


def test_its_host_waits_to_be_probed(world):
    """The backoff is over and nobody has room for a probe."""
    (id,) = world.accept("bob@x.example")
    (other,) = world.accept("bea@x.example")
    job = world.job(credit=1)
    job.report(id, "deferred", "421 4.4.1 refused", scope="host")
    world.turn(40)
    assert "probe_waits" in codes(world, other)


# Its channel.


def test_its_channel_is_stopped(world):
    """By whom and since when; nothing happens before it is started."""
    (id,) = world.accept("bob@x.example")
    world.do(world.operate("qm_stop", QmStop(channel="out")))
    row = explain(world, id)
    assert row["causes"][0]["code"] == "stopped" and row["causes"][0]["who"] == "ann"
    assert row["causes"][0]["since"] == START and row["next_attempt"] is None
    assert row["next"] == "when the channel is started ('jobctl qm start')"


def test_its_channel_is_gone(world):
    """It is not configured any more; its mail stays."""
    (id,) = world.accept("bob@x.example")
    start, rest = CONFIGURATION.split("[channel.out]")
    world.reload(
        start + "[channel.gate]" + rest.split("[channel.gate]")[1].replace('".example" = "out"\n', "")
    )
    row = explain(world, id)
    assert row["causes"][0]["code"] == "channel_gone"
    assert row["next"] == "when the channel is configured again"


def test_its_channel_has_no_program():
    """Nothing would ever take it."""
    world = World(
        configuration=CONFIGURATION.replace('smtp = true\nmaster_command = "master"\nbackoff', "backoff")
    )
    (id,) = world.accept("bob@x.example")
    assert codes(world, id)[0] == "no_program"
    world.close()


def test_programs_come_to_nothing(world):
    """The next is started later, and when."""
    (id,) = world.accept("bob@x.example")
    for _ in range(3):
        world.turn(61)
        (spec,) = world.supervisor.asked
        world.supervisor.asked.clear()
        world.supervisor.spawn(spec).end(1)
        world.turn()
    world.turn(0)
    row = explain(world, id)
    (cause,) = [cause for cause in row["causes"] if cause["code"] == "throttled"]
    assert cause["until"] > seconds(world) and "3 programs" in cause["text"]


def test_the_channel_has_all_its_jobs():
    """``maxjobs``, with the line."""
    world = World(configuration=limited("maxjobs = 1"))
    world.accept("bob@x.example")
    world.job(credit=1)
    (id,) = world.accept("bob@y.example")
    world.turn(5)
    row = explain(world, id)
    assert row["causes"][0]["code"] == "channel_full"
    assert row["causes"][0]["where"] == "jobctl.toml:12: channel.out.maxjobs"
    assert row["next"] == "as soon as a job of the channel is free"
    world.close()


def test_its_pool_is_full():
    """Who has the slots, and where the limit stands."""
    text = CONFIGURATION.replace(
        "[channel.l]", "[job_controller.job_pool.DEFAULT]\njob_limit = 1\n[channel.l]"
    )
    world = World(configuration=text)
    world.accept("bob@gate.example")
    world.turn()
    (spec,) = world.supervisor.asked
    world.supervisor.asked.clear()
    world.supervisor.spawn(spec).hello(credit=1)
    world.turn()
    (id,) = world.accept("bob@y.example")
    cause = first(world, id)
    assert cause["code"] == "pool_full" and "has 1 slot, and none is free: gate 1" in cause["text"]
    assert cause["where"] == "jobctl.toml:5: job_controller.job_pool.DEFAULT.job_limit"
    world.close()


def test_a_job_is_being_started(world):
    """It has just been asked for."""
    (id,) = world.accept("bob@x.example")
    world.turn()
    assert codes(world, id)[0] == "starting"


def test_jobs_have_all_they_can_take(world):
    """And another one is not started at once."""
    world.accept("bob@x.example")
    world.job(credit=1)
    (id,) = world.accept("bob@y.example")
    assert codes(world, id)[0] == "no_credit"


def test_its_host_has_as_much_as_it_keeps_up_with(world):
    """Its window opens with its answers; jobs have room for others."""
    ids = [world.accept(f"b{number}@x.example")[0] for number in range(25)]
    job = world.job(credit=100, connections=10)
    assert ids[-1] not in [frame.id for frame in job.assigned]
    row = explain(world, ids[-1])
    assert row["causes"][0]["code"] == "host_window"
    assert row["next"] == "as soon as its host has answered to one of those"


def test_its_destination_has_had_what_its_rate_allows():
    """Until when, and where the rate stands."""
    world = World(configuration=limited('rate_per_host = "10/PT1M"'))
    ids = [world.accept(f"b{number}@x.example")[0] for number in range(3)]
    world.job(credit=100, connections=10)
    row = explain(world, ids[-1])
    (cause,) = [cause for cause in row["causes"] if cause["code"] == "host_rate"]
    assert cause["where"] == "jobctl.toml:12: channel.out.rate_per_host"
    assert cause["until"] > seconds(world) and row["next_attempt"] == cause["until"]
    world.close()


def test_its_destination_has_its_connections():
    """All that it may have."""
    world = World(configuration=limited("max_connections_per_host = 1"))
    ids = [world.accept(f"b{number}@x.example")[0] for number in range(25)]
    job = world.job(credit=100, connections=10)
    assert ids[-1] not in [frame.id for frame in job.assigned]
    (cause,) = [c for c in explain(world, ids[-1])["causes"] if c["code"] == "host_connections"]
    assert cause["where"] == "jobctl.toml:12: channel.out.max_connections_per_host"
    world.close()


def test_others_go_before_it():
    """How many of its host, and how many of others."""
    world = World(configuration=limited("maxjobs = 1"))
    world.accept("bob@x.example")
    world.job(credit=1)
    for number in range(3):
        world.accept(f"b{number}@y.example")
    world.accept("bob@z.example")
    (id,) = world.accept("last@y.example", priority=Priority.NONURGENT)
    row = explain(world, id)
    (cause,) = [cause for cause in row["causes"] if cause["code"] == "behind"]
    assert cause["text"].startswith("3 messages of a.example to y.example go before it, and 1 of other")
    assert cause["where"] == "job_controller.fair_share (default)"
    assert any("nonurgent" in note for note in row["notes"])
    world.close()


def test_it_is_left_to_the_store():
    """Memory is a window on the queue."""
    world = World(
        configuration=CONFIGURATION.replace('"@DIRECTORY@"', '"@DIRECTORY@"\nmax_cache_messages = 10')
    )
    world.do(world.operate("qm_stop", QmStop(channel="out")))
    ids = [world.accept(f"b{number}@h{number}.example")[0] for number in range(30)]
    lost = [id for id in ids if world.state(id) is None]
    row = explain(world, lost[-1])
    assert [cause["code"] for cause in row["causes"]] == ["stopped", "in_store"]
    assert row["causes"][1]["where"] == "jobctl.toml:4: job_controller.max_cache_messages"
    world.close()


# Operators and accidents.


def test_an_operator_is_watching_a_run(world):
    """It is offered in its turn."""
    for number in range(3):
        world.accept(f"b{number}@x.example")
    (id,) = world.accept("last@x.example")
    world.operate("run", Run(channel="out"), Terminal())
    world.turn()
    assert "run" in codes(world, id)


def test_an_operator_is_changing_it(world):
    """Deleted while its content is read, say."""
    (id,) = world.accept("bob@x.example")
    world.job()
    world.scheduler.remove(id)
    assert codes(world, id) == ["delivering", "changing"]
    world.scheduler.add(world.stored(id).entry, seconds(world))


def test_nothing_is_handed_out_at_all(world):
    """Results cannot be recorded: why, and that it is everybody's trouble."""
    one = world.accept("bob@x.example")[0]
    job = world.job(credit=1)
    (id,) = world.accept("bea@x.example")
    world.store.broken["settle"] = StoreError("the disk is gone")
    job.report(one, "deferred", "450 later")
    row = explain(world, id)
    assert row["causes"][0]["code"] == "standstill" and "the disk is gone" in row["causes"][0]["text"]
    assert row["next"] == "when results can be recorded again"
    world.store.broken.clear()
    world.turn(20)


def test_its_host_does_not_exist_and_it_is_being_settled(world):
    """Neither tried nor waiting: it is decided upon."""
    (id,) = world.accept("bob@gate.example")
    world.turn()
    (spec,) = world.supervisor.asked
    world.supervisor.asked.clear()
    world.store.slow = frozenset({"settle"})
    world.supervisor.fail(spec, CannotStart("no such host", temporary=True, status="4.4.1"))
    assert "deciding" in codes(world, id)
    world.store.slow = frozenset()
    world.store.commit()


def test_nothing_keeps_it(world):
    """It goes in this moment."""
    (id,) = world.accept("bob@x.example")
    job = world.job()
    job.report(id, "relayed")
    world.turn()
    entry = world.controller.intake
    done = entry.accept(ANN, Source("in"), CONTENT, len(CONTENT))
    (other,) = world.do(done)
    assert codes(world, other) == ["next"]
    assert explain(world, other)["next"] == "now"


# Held.


def held(world: World, settlement: Settlement) -> dict[str, Any]:
    world.scheduler.remove(settlement.id)
    world.do(world.store.settle(settlement))
    row = explain(world, settlement.id)
    assert row["state"] == "held" and row["next_attempt"] is None and row["expires"] is None
    return first(world, settlement.id)


def test_an_operator_holds_it(world):
    """Who, since when, and why if it was said."""
    one, two = world.accept("bob@x.example")[0], world.accept("bea@x.example")[0]
    world.do(world.operate("qm_hold", QmHold(ids=(one,))))
    world.turn(10)
    world.do(world.operate("qm_hold", QmHold(ids=(two,), reason="until Monday")))
    assert (first(world, one)["code"], first(world, one)["who"]) == ("held_by_operator", "ann")
    assert "until Monday" in first(world, two)["text"] and first(world, two)["since"] == START + 10


def test_a_hold_rule_holds_it(world):
    """Which, of whom, why, what it says, and when it lets go."""
    request = HoldAdd(where="rcpt.domain=x.example", reason="they move house", expires=3600.0, release=True)
    world.do(world.operate("hold_add", request, Terminal()))
    (id,) = world.accept("bob@x.example")
    row = explain(world, id)
    (cause,) = row["causes"]
    assert (cause["code"], cause["who"], cause["until"]) == ("held_by_rule", "ann", START + 3600)
    assert "they move house (rcpt.domain=x.example)" in cause["text"]
    assert row["next_attempt"] == START + 3600
    (kept,) = [rule["rule"] for rule in world.operate("hold_list", HoldList())]
    world.do(world.operate("hold_remove", HoldRemove(rule=kept), Terminal()))


def test_it_came_with_too_many_recipients():
    """``holdlimit`` of the channel it came by, with its line."""
    text = CONFIGURATION.replace('"in-daemon"', '"in-daemon"\nholdlimit = 2')
    world = World(configuration=text)
    (id,) = world.accept(*(f"b{number}@x.example" for number in range(3)))
    cause = first(world, id)
    assert cause["code"] == "held_recipients" and cause["where"] == "jobctl.toml:8: channel.in.holdlimit"
    world.close()


def test_programs_died_holding_it(world):
    """Three of them; how the last one did."""
    (id,) = world.accept("bob@x.example")
    for _ in range(3):
        world.turn(100)
        world.job().end(None, signal=11)
        world.turn()
    cause = first(world, id)
    assert cause["code"] == "held_deaths" and "signal 11" in cause["text"]


def test_its_content_is_damaged(world):
    """As the store found out."""
    (id,) = world.accept("bob@x.example")
    line = Attempt(when=seconds(world), what="damaged", text="checksum")
    cause = held(world, Settlement(id=id, state=Lasting.HELD, reason="checksum", history=(line,)))
    assert cause["code"] == "held_damaged"


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("its result cannot be recorded: what it says", "held_unrecorded"),
        ("error in the controller: KeyError", "held_bug"),
        ("mail loop: it has been delivered to x@b.example before (Delivered-To)", "held_loop"),
    ],
)
def test_set_aside_by_the_controller(world, reason, code):
    """Each with its reason."""
    (id,) = world.accept("bob@x.example")
    assert held(world, Settlement(id=id, state=Lasting.HELD, reason=reason))["code"] == code


def test_its_record_is_damaged(world):
    """It is in no list any more, but it is remembered that it was there."""
    world.store.memory.disk.damaged.append(("Q99", START, "the row cannot be read"))
    row = explain(world, "Q99")
    assert (row["state"], row["causes"][0]["code"]) == ("damaged", "damaged_record")


def test_no_such_message(world):
    """Said with what to do."""
    with pytest.raises(UsageError, match="no message Q98"):
        explain(world, "Q98")


# What else there is to know.


def test_several_causes_at_a_time(world):
    """The one that lasts longest decides; the others are told, too."""
    (id,) = world.accept("bob@x.example")
    world.job().report(id, "deferred", "450 later")
    world.turn()
    world.do(world.operate("qm_stop", QmStop(channel="out")))
    assert codes(world, id) == ["stopped", "retry"]


@pytest.mark.parametrize(
    ("envelope", "text"),
    [
        (Envelope("", (Recipient("bob@x.example"),)), "no sender"),
        (Envelope("ann@a.example", (Recipient("bob@x.example", notify="NEVER"),)), "asked not to be told"),
        (Envelope("ann@a.example", (Recipient("bob@x.example", notify="FAILURE"),)), "returned to ann@"),
    ],
)
def test_who_is_told_in_the_end(world, envelope, text):
    """The sender, unless there is none or he does not want to know."""
    (id,) = world.do(world.controller.intake.accept(envelope, Source("in"), CONTENT, len(CONTENT)))
    assert text in explain(world, id)["at_expiry"]


@pytest.mark.parametrize(
    ("keyword", "sender", "copied"),
    [
        ("sendpost", "ann@a.example", True),
        ("sendpost", "", True),
        ("copysendpost", "ann@a.example", True),
        ("copysendpost", "", False),
        ("errsendpost", "ann@a.example", False),
        ("errsendpost", "", True),
        ("nosendpost", "ann@a.example", False),
    ],
)
def test_whether_the_postmaster_is_told_in_the_end(keyword, sender, copied):
    """As the channel says."""
    world = World(configuration=limited(f"{keyword} = true"))
    (id,) = world.accept("bob@x.example", sender=sender)
    assert ("postmaster gets a copy" in explain(world, id)["at_expiry"]) is copied
    world.close()


def test_it_may_have_been_delivered_before(world):
    """A final dot went out and no verdict came."""
    (id,) = world.accept("bob@x.example")
    job = world.job()
    job.says(Sent(id=id))
    job.end(None, signal=9)
    world.turn()
    assert any("may have been delivered" in note for note in explain(world, id)["notes"])


def test_a_changed_limit_is_the_operators(world):
    """``cache change`` decides, and so it is named."""
    world.do(world.operate("cache_change", CacheChange(scope="channel", name="out", set={"job_limit": "1"})))
    world.accept("bob@x.example")
    world.job(credit=1)
    (id,) = world.accept("bob@y.example")
    world.turn(5)
    cause = first(world, id)
    assert cause["code"] == "channel_full" and cause["who"] == "ann"
    assert "cache change" in cause["where"]


def test_looking_changes_nothing(world):
    """Neither the queue nor the schedule; and the store is asked a few rows, however long the queue is."""
    ids = [world.accept(f"b{number}@h{number % 7}.example")[0] for number in range(50)]
    world.job(credit=5)
    before = (world.scheduler.counts("out"), [world.state(id) for id in ids], world.scheduler.next_due())
    channels = set(world.scheduler._memory.channels)
    world.store.calls.clear()
    explain(world, ids[-1])
    assert world.store.calls == ["inspect"]
    assert before == (
        world.scheduler.counts("out"),
        [world.state(id) for id in ids],
        world.scheduler.next_due(),
    )
    assert set(world.scheduler._memory.channels) == channels


def test_what_became_of_one_that_has_left(world):
    """As long as finished messages are remembered; one line for each recipient."""
    world.reload(CONFIGURATION.replace('"@DIRECTORY@"', '"@DIRECTORY@"\nhistory_retention = "P1D"'))
    (id,) = world.accept("bob@x.example", "bea@x.example")
    job = world.job()
    job.results(id, bob="relayed", bea="failed")
    world.turn()
    row = explain(world, id)
    assert set(row) == KEYS and row["state"] == "finished"
    assert sorted(cause["code"] for cause in row["causes"]) == ["finished_failed", "finished_relayed"]
    assert any("bea@x.example failed after one attempt: 550 5.1.1 no" in c["text"] for c in row["causes"])


def test_deleted_and_not_yet_for_ever(world):
    """In the grace in which it can be undone it is explained who has done it."""
    (id,) = world.accept("bob@x.example")
    world.do(world.operate("qm_delete", QmDelete(ids=(id,))))
    row = explain(world, id)
    assert (row["state"], row["causes"][0]["code"], row["causes"][0]["who"]) == ("grace", "in_grace", "ann")
