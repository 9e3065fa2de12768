"""A changed configuration while mail is under way: all of it at once, or nothing."""

import gc
import os
import socket
import sys
import types
from typing import Any

import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import capturedLogs

from jobctl.control.change_requests import QmDelete
from jobctl.control.requests import CacheChange, Explain, QmDirectory, Run
from jobctl.errors import StoreError, UsageError
from jobctl.jobprotocol.frames import Route, Stop, VerdictFrame
from jobctl.mail.envelope import Source
from tests.controller_case import CALLER, CONFIGURATION, World
from tests.controller_case import Terminal as Screen

DAY = 86400.0
id_of = id
MORE = CONFIGURATION.replace('backoff = ["PT10M"]', 'backoff = ["PT1H"]')
SERVED = CONFIGURATION.replace(
    "[channel.l]",
    """[dispatcher.service.SMTP]
listen = ["tcp:0:interface=127.0.0.1"]
channel = "in"
relay_from = ["192.0.2.0/24"]
[channel.l]""",
)


@pytest.fixture
def world():
    made = World()
    yield made
    made.close()


@pytest.fixture
def served():
    made = World(configuration=SERVED)
    yield made
    made.close()


def server(world: World) -> Any:
    (spec,) = [spec for spec in world.supervisor.asked if spec.role == "slave"]
    world.supervisor.asked.remove(spec)
    return world.supervisor.spawn(spec).hello(0)


def keys(outcome: Any) -> list[str]:
    return [row["key"] for row in outcome.changes]


FULL = (
    SERVED.replace(
        "[channel.l]",
        """[mta]
block_limit = 100
[defaults]
logging = true
[channel.l]""",
        1,
    )
    + """
[[retry]]
where = 'rcpt.domain=b.example'
backoff = ["PT5M"]
"""
)


def test_nobody_keeps_the_old_settings():
    """Whoever works by settings has the new ones: after a reload nothing holds any part of the old."""
    served = World(configuration=FULL)
    old = served.settings
    (id,) = served.accept("bob@x.example")
    job = served.job()
    server(served)
    changed = FULL.replace("in-daemon", "out-of-it").replace("out-daemon", "from-now-on")
    changed = changed.replace("= 100", "= 200").replace("PT5M", "PT6M").replace("gate-daemon", "new-gate")
    assert served.reload(changed).applied
    server(served)
    job.report(id, "relayed")
    for one in list(served.supervisor.jobs.values()):
        if one.stopped:
            one.end()
    served.turn()
    served.supervisor.asked.clear()
    parts = [old.mta, old.channels, old.services, old.rules, old.retry, *old.channels.values()]
    del served.settings, job, one
    gc.collect()
    ours = {id_of(parts), id_of(old), id_of(old.channels)}
    frames = {id_of(frame) for frame in (sys._getframe(), sys._getframe().f_locals)}
    for part in (old, *parts):
        holding = [found for found in gc.get_referrers(part) if id_of(found) not in ours | frames]
        assert not [found for found in holding if not isinstance(found, tuple | types.FrameType)], part
    served.close()


def test_what_comes_from_now_on_goes_by_the_new_settings(world):
    """Rules, limits and the next attempt's gateway."""
    (before,) = world.accept("bob@x.example")
    job = world.job()
    text = MORE.replace('".example" = "out"', '".example" = "gate"').replace(
        "[channel.l]", "[mta]\nblock_limit = 1\n[channel.l]"
    )
    assert world.reload(text).applied
    (after,) = world.accept("bob@y.example")
    assert world.stored(after).entry.channel == "gate"
    assert world.stored(before).entry.channel == "out", "queued mail stays where it is"
    with pytest.raises(Exception, match="larger"):
        world.accept(content=b"x" * 6000)
    job.report(before, "deferred", "450 later")
    world.turn()
    assert world.stored(before).entry.due - world.clock.seconds() >= 3600, "the new backoff"


def test_a_wrong_file_changes_nothing(world):
    """Every mistake is told, the old settings stay."""
    with capturedLogs() as events:
        outcome = world.reload(MORE + "[channel.x]\nnonsense = 1\nport = 70000\n")
    assert not outcome.applied and not outcome.changes
    assert [line.split(": ")[1] for line in outcome.problems] == ["channel.x.nonsense", "channel.x.port"]
    assert world.controller.settings is world.settings
    assert any("not reloaded" in str(event.get("log_format")) for event in events)


def test_the_log_says_who_and_what(world):
    """One record of the reload, one of each change."""
    with capturedLogs() as events:
        world.reload(MORE)
    told = [event for event in events if event.get("who") == CALLER.name]
    assert told and told[0]["count"] == 1
    found = world.do(world.store.memory.acts())
    assert len(found) == 1, found
    (act,) = found
    assert (act.who, act.what, act.subject, act.text) == (
        "ann",
        "reload",
        "jobctl.toml",
        "channel.out.backoff",
    )
    (change,) = [event for event in events if event.get("key") == "channel.out.backoff"]
    assert (change["old"]["normal"], change["new"]["normal"]) == ((600.0,), (3600.0,))


def test_jobs_with_old_settings_are_replaced_after_their_message(world):
    """What they hold gets its verdict, nothing more is handed to them, and a new one takes over."""
    (first,) = world.accept("bob@x.example")
    text = CONFIGURATION.replace('"out-daemon"', '"out-daemon"\nport = 2525')
    (change,) = world.reload(text, dry_run=True).changes
    assert change["effect"] == "for its next program: none runs"
    job = world.job(credit=1)
    (change,) = world.reload(text).changes
    assert change["effect"] == "1 running program is replaced after its current message or session"
    assert job.stopped
    (second,) = world.accept("bob@y.example")
    world.turn(2)
    new = world.job()
    assert new.spec.channel.port == 2525
    job.report(first, "relayed")
    job.end()
    new.report(second, "relayed")
    world.turn()
    assert not world.queued() and world.stored(first) is None


def test_jobs_whose_programs_see_no_difference_go_on(world):
    """Limits and intervals are the schedule's own."""
    world.accept("bob@x.example")
    job = world.job()
    world.reload(MORE.replace('"out-daemon"', '"out-daemon"\nmaxjobs = 3'))
    assert not job.stopped


def test_a_job_that_was_being_started_is_replaced_too(world):
    """It says hello with old settings, and leaves; no failure of its kind is counted."""
    (id,) = world.accept("bob@x.example")
    world.turn()
    (spec,) = world.supervisor.asked
    world.supervisor.asked.clear()
    world.reload(CONFIGURATION.replace('"out-daemon"', '"out-daemon"\nport = 2525'))
    late = world.supervisor.spawn(spec).hello()
    assert late.stopped and not late.assigned
    late.end()
    world.turn()
    new = world.job()
    assert new.spec.channel.port == 2525 and [frame.id for frame in new.assigned] == [id]
    assert world.stored(id).entry.attempts == 0


def test_a_run_keeps_what_it_began_with(world):
    """Whoever watches it sees it to its end, reload or not."""
    (id,) = world.accept("bob@x.example")
    screen = Screen()
    done = world.operate("run", Run(channel="out"), screen)
    job = world.job(run=True)
    world.reload(CONFIGURATION.replace('"out-daemon"', '"out-daemon"\nport = 2525'))
    assert not job.stopped
    job.report(id, "relayed")
    world.turn()
    job.end()
    world.turn()
    assert world.do(done) == {"delivered": 1, "deferred": 0, "failed": 0}


def test_a_channel_that_is_gone_keeps_its_mail(world):
    """It starts nothing, its jobs finish, its mail does not expire earlier, and comes to life with it again."""
    (held_by_job,) = world.accept("bob@x.example")
    job = world.job(credit=1)
    (waiting,) = world.accept("bob@y.example")
    start, rest = CONFIGURATION.split("[channel.out]")
    without = start + "[channel.gate]" + rest.split("[channel.gate]")[1].replace('".example" = "out"\n', "")
    outcome = world.reload(without)
    row = next(row for row in outcome.changes if row["key"] == "channel.out")
    assert row["messages"] == 2 and "stays" in row["effect"]
    job.report(held_by_job, "deferred", "450 later")
    world.turn()
    job.end()
    world.turn()
    stored = world.stored(held_by_job)
    assert stored.state == "queued" and stored.entry.attempts == 1
    rows = {row["channel"]: row for row in world.do(world.operate("qm_summarize", None))}
    assert rows["out"]["messages"] == 2
    listed = Screen()
    assert world.do(world.operate("qm_directory", QmDirectory(channel="out"), listed)) == 2
    world.turn(3.9 * DAY)
    assert not world.supervisor.asked and len(world.queued()) == 2
    world.reload(CONFIGURATION)
    again = world.job()
    assert {frame.id for frame in again.assigned} == {held_by_job, waiting}


def test_after_a_restart_a_channel_that_is_gone_is_still_known(world):
    """Its mail is listed and can be deleted by its name; the log says that it waits."""
    (id,) = world.accept("bob@x.example")
    world.close()
    start, rest = CONFIGURATION.split("[channel.out]")
    without = start + "[channel.gate]" + rest.split("[channel.gate]")[1].replace('".example" = "out"\n', "")
    with capturedLogs() as events:
        again = World(configuration=without, disk=world.store.memory.disk)
    assert [event["channel"] for event in events if "not configured" in str(event["log_format"])] == ["out"]
    assert again.do(again.operate("qm_directory", QmDirectory(channel="o*"), Screen())) == 1
    done = again.do(again.operate("qm_delete", QmDelete(channel="out", all=True)))
    assert done["done"] == [id]
    again.close()


def test_what_needs_a_restart_is_said_and_stays(world):
    """The rest of the file is in force all the same."""
    outcome = world.reload(MORE.replace("@DIRECTORY@", "/elsewhere"))
    rows = {row["key"]: row for row in outcome.changes}
    assert rows["job_controller.queue_directory"]["restart"] and not rows["channel.out.backoff"]["restart"]
    settings = world.controller.settings
    assert settings.controller.queue_directory == "/nonexistent"
    assert settings.channels["out"].backoff["normal"] == (3600.0,)
    again = world.reload(MORE.replace("@DIRECTORY@", "/elsewhere"))
    assert keys(again) == ["job_controller.queue_directory"], "until it is restarted"


def test_what_operators_changed_goes_before_the_file(world):
    """``cache change`` survives a reload; what the file has beside it counts."""
    request = CacheChange(scope="channel", name="out", set={"job_limit": "3"})
    world.do(world.operate("cache_change", request))
    outcome = world.reload(MORE.replace('"out-daemon"', '"out-daemon"\nmaxjobs = 9'))
    assert keys(outcome) == ["channel.out.backoff"]
    out = world.controller.settings.channels["out"]
    assert (out.maxjobs, out.backoff["normal"]) == (3, (3600.0,))


def test_a_dry_run_only_tells(world):
    """What would change and for how many messages; nothing has changed, no job is stopped."""
    for number in range(3):
        world.accept(f"bob@h{number}.example")
    job = world.job()
    for frame in list(job.assigned)[:2]:
        job.report(frame.id, "deferred", "450 later")
    world.turn(1)
    text = MORE.replace("notices = [1, 4]", 'notices = ["PT1H"]').replace("hold = 1", "")
    outcome = world.reload(text, dry_run=True)
    rows = {row["key"]: row for row in outcome.changes}
    assert not outcome.applied and world.controller.settings is world.settings and not job.stopped
    assert (rows["channel.out.backoff"]["messages"], rows["channel.out.backoff"]["line"]) == (2, 14)
    assert "at other ages" in rows["channel.out.notices"]["effect"]
    world.turn(2 * 3600)
    outcome = world.reload(text, dry_run=True)
    rows = {row["key"]: row for row in outcome.changes}
    assert rows["channel.out.notices"]["messages"] == 3
    assert rows["channel.out.notices"]["effect"] == "messages expire at once"
    job.end()
    world.reload(text)
    assert [stored.envelope.sender for stored in world.queued()] == ["", "", ""], "returned, as was told"


def test_delayed_mail_is_due_by_the_new_intervals(world):
    """Earlier or later, by what its interval has changed; nothing else of it changes."""
    ids = [world.accept(f"bob@h{number}.example")[0] for number in range(3)]
    job = world.job()
    for id in ids[:2]:
        job.report(id, "deferred", "450 later")
    world.turn(1)
    before = [world.stored(id).entry.due for id in ids]
    world.reload(CONFIGURATION.replace("PT10M", "PT2M"))
    after = [world.stored(id).entry for id in ids]
    assert [round(a.due - b) for a, b in zip(after, before, strict=True)] == [-480, -480, 0]
    assert [entry.attempts for entry in after] == [1, 1, 0] and not job.stopped
    job.report(ids[2], "deferred", "450 later")
    world.turn()
    assert 120 <= world.stored(ids[2]).entry.due - world.clock.seconds() < 130
    world.reload(CONFIGURATION.replace("PT10M", "PT1H"))
    assert 3600 <= world.stored(ids[2]).entry.due - world.clock.seconds() < 3610
    world.reload(CONFIGURATION.replace("PT10M", "PT1S"))
    # What was added to the first interval so that they do not come together is kept.
    world.turn(31)
    assert sorted(frame.id for frame in job.assigned[3:]) == ids


def test_delayed_mail_is_due_by_a_new_retry_rule(world):
    """Of the mail that it means; a rule that only stands on another line changes nothing."""
    ids = [world.accept(f"bob@{host}.example")[0] for host in ("x", "y")]
    job = world.job()
    for id in ids:
        job.report(id, "deferred", "450 later")
    world.turn(1)
    before = [world.stored(id).entry.due for id in ids]
    rule = "[[retry]]\nwhere = 'rcpt.domain=x.example'\nbackoff = ['PT5M']\n"
    world.reload(CONFIGURATION + rule)
    after = [world.stored(id).entry.due for id in ids]
    assert [round(a - b) for a, b in zip(after, before, strict=True)] == [-300, 0]
    assert not world.reload("# further down\n" + CONFIGURATION + rule).changes
    assert after == [world.stored(id).entry.due for id in ids]
    cause = world.do(world.operate("explain", Explain(message=ids[0])))["causes"][0]
    assert "retry" in cause["where"]


def test_what_was_tried_meanwhile_is_not_moved_again(world):
    """It had its verdict by the new settings while the others were moved."""
    ids = [world.accept(f"bob@h{number}.example")[0] for number in range(2)]
    job = world.job()
    for id in ids:
        job.report(id, "deferred", "450 later")
    world.turn(700)
    world.store.slow = frozenset({"directory"})
    world.reload(CONFIGURATION.replace("PT10M", "PT1H"))
    job.report(ids[0], "deferred", "450 later")
    world.turn()
    world.store.slow = frozenset()
    world.store.commit()
    due = world.stored(ids[0]).entry.due - world.clock.seconds()
    assert 3600 <= due <= 3600 * 1.05


def test_times_that_cannot_be_stored_stay(world):
    """The queue has trouble: the old times are kept, in memory too."""
    (id,) = world.accept("bob@x.example")
    job = world.job()
    job.report(id, "deferred", "450 later")
    world.turn(1)
    due = world.stored(id).entry.due
    world.store.broken["settle"] = StoreError("the disk is gone")
    with capturedLogs() as events:
        world.reload(CONFIGURATION.replace("PT10M", "PT2M"))
    world.store.broken.clear()
    assert any("keep their old intervals" in str(event["log_format"]) for event in events)
    assert world.stored(id).entry.due == due and world.state(id) == "delayed"


def test_hosts_are_left_alone_no_longer_than_the_new_intervals_allow(world):
    """A host that was backed off for long is probed within a minute where that is the interval now."""
    (id,) = world.accept("bob@x.example")
    for _ in range(6):
        job = world.job(credit=1)
        job.report(id, "deferred", "421 4.4.1 refused", scope="host")
        world.turn()
        job.end()
        world.turn(730)  # ten minutes, and a fifth more at most
    (row,) = world.scheduler.hosts("out")
    job = world.job(credit=1)
    job.report(id, "deferred", "421 4.4.1 refused", scope="host")
    world.turn(1)
    world.reload(CONFIGURATION.replace("PT10M", "PT1M"))
    (row,) = world.scheduler.hosts("out")
    assert row[4] - world.clock.seconds() <= 72


def test_nothing_to_change(world):
    """The same file again: no job is stopped, no row is shown."""
    world.accept("bob@x.example")
    job = world.job()
    outcome = world.reload("# a remark moves every line\n" + CONFIGURATION)
    assert outcome.applied and not outcome.changes and not job.stopped


# Where mail comes in.


def test_servers_are_replaced_without_closing_the_port(served):
    """The new program shares the socket; the old one leaves once the new one is there."""
    old = server(served)
    served.reload(SERVED.replace("192.0.2.0/24", "198.51.100.0/24"))
    assert not old.stopped
    new = server(served)
    assert old.stopped and not new.stopped
    assert new.spec.listen == old.spec.listen and new.spec.service.relay_from == ("198.51.100.0/24",)
    old.end()
    served.turn()
    assert not served.supervisor.asked, "nobody is missing"


def test_who_may_relay_is_asked_of_the_settings_of_now(served):
    """Also for a session that began before."""
    old = server(served)
    source = Source("in", transport="TCP|127.0.0.1|25|192.0.2.7|4711")

    def verdict(id: str) -> int:
        old.says(Route(id=id, recipient="x@b.example", sender="a@c.example", source=source))
        frame = old.sent[-1]
        assert isinstance(frame, VerdictFrame)
        return frame.code

    text = SERVED.replace('".example" = "out"', '"." = "in"')
    served.reload(text)
    assert verdict("1") == 250
    served.reload(text.replace("192.0.2.0/24", "198.51.100.0/24"))
    assert verdict("2") == 550


def test_another_number_of_servers_replaces_nobody(served):
    """``min_procs`` is only how many."""
    old = server(served)
    served.reload(SERVED.replace('channel = "in"', 'channel = "in"\nmin_procs = 2'))
    server(served)
    assert not old.stopped


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_ports_are_opened_and_closed(world):
    """A service that comes listens at once; one that goes does not any more, its sessions finish."""
    one, two = free(), free()
    service = '\n[dispatcher.service.A]\nlisten = ["tcp:{}:interface=127.0.0.1"]\nchannel = "in"\n'
    world.reload(CONFIGURATION + service.format(one))
    job = server(world)
    assert accepts(one)
    world.reload(CONFIGURATION + service.format(two))
    new = server(world)
    assert accepts(two) and not accepts(one)
    assert job.stopped and new.spec.service.listen == (f"tcp:{two}:interface=127.0.0.1",)
    world.reload(CONFIGURATION)
    assert new.stopped and not accepts(two)


def test_a_port_moves_between_addresses(world):
    """One reload is enough, there and back; the old programs keep their socket until the new ones have taken over."""
    port = free()
    service = '\n[dispatcher.service.A]\nlisten = ["tcp:{}{}"]\nchannel = "in"\n'
    for where in (":interface=127.0.0.1", "", ":interface=127.0.0.1"):
        assert world.reload(CONFIGURATION + service.format(port, where)).applied
        (endpoint,) = server(world).spec.service.listen
        assert endpoint == f"tcp:{port}{where}" and accepts(port)


def test_a_port_that_cannot_be_had_refuses_the_whole(world):
    """With the line; nothing of it is in force, and no other port of it is open."""
    other = free()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = (
            f'{MORE}[dispatcher.service.A]\nlisten = ["tcp:{other}:interface=127.0.0.1", '
            f'"tcp:{port}:interface=127.0.0.1"]\nchannel = "in"\n'
        )
        outcome = world.reload(text)
    (problem,) = outcome.problems
    line = next(number for number, line in enumerate(text.splitlines(), 1) if line.startswith("listen"))
    assert not outcome.applied and str(port) in problem
    assert problem.startswith(f"jobctl.toml:{line}: dispatcher.service.A.listen: cannot listen on")
    assert world.controller.settings is world.settings and not accepts(other)


def test_a_unix_socket_goes_with_its_service(tmp_path):
    """Its name too; its mode can change while it is open."""
    place = tmp_path / "in"
    service = '\n[dispatcher.service.A]\nlisten = ["unix:{}:mode={}"]\nchannel = "in"\n'
    world = World(tmp_path, CONFIGURATION + service.format(place, 600))
    inode = os.stat(place).st_ino
    world.reload(CONFIGURATION + service.format(place, 660))
    assert (os.stat(place).st_mode & 0o777, os.stat(place).st_ino) == (0o660, inode)
    world.reload(CONFIGURATION)
    assert not place.exists()
    world.close()


def test_a_group_that_does_not_exist_refuses_the_whole(world):
    """As the start would."""
    text = MORE.replace("[job_controller]", '[job_controller]\ncontrol_group = "nobody-has-it"')
    outcome = world.reload(text)
    assert outcome.problems == [
        "jobctl.toml:3: job_controller.control_group: there is no group nobody-has-it"
    ]
    assert world.controller.settings is world.settings


# Several at a time, and at odd times.


def slow(world: World, texts: list[str]) -> list[Deferred[Any]]:
    """The file is read in its own time; gives the Deferreds to fire for that."""
    reading: list[Deferred[Any]] = []

    def read() -> Deferred[Any]:
        reading.append(Deferred())
        return reading[-1]

    world.controller.reloads.read = read
    return reading


def test_two_at_once_come_one_after_the_other(world):
    """The second reads the file when the first is done; both are answered."""
    reading = slow(world, [])
    first, second = (ensureDeferred(world.controller.reloads.reload(who)) for who in ("ann", "bob"))
    assert len(reading) == 1
    reading[0].callback(settings_of(MORE))
    assert len(reading) == 2
    reading[1].callback(settings_of(CONFIGURATION))
    assert [world.do(one).applied for one in (first, second)] == [True, True]
    assert world.controller.settings.channels["out"].backoff["normal"] == (600.0,)


def settings_of(text: str) -> Any:
    return World(configuration=text).settings


def test_signals_before_the_start_and_in_numbers(world):
    """One that comes too early is remembered; several are one, and one while the file is read counts again."""
    reloads = world.controller.reloads
    reloads._ready = False
    reading = slow(world, [])
    reloads.hang_up()
    assert not reading
    reloads.begin()
    assert len(reading) == 1
    for _ in range(5):
        reloads.hang_up()
    reading[0].callback(settings_of(MORE))
    assert len(reading) == 2, "the file may have changed after it was read"
    reading[1].callback(settings_of(MORE))
    assert len(reading) == 2


def test_nothing_is_reloaded_while_it_stops(world):
    """Neither by signal nor by command; one that was reading its file then changes nothing."""
    reading = slow(world, [])
    late = ensureDeferred(world.controller.reloads.reload("ann"))
    world.controller.reloads.stop()
    reading[0].callback(settings_of(MORE))
    with pytest.raises(UsageError, match="stopping"):
        world.do(late)
    assert world.controller.settings is world.settings
    world.controller.reloads.hang_up()
    with pytest.raises(UsageError, match="stopping"):
        world.do(world.controller.reloads.reload("ann"))
    assert len(reading) == 1


def test_the_clock_may_step_with_a_reload(world):
    """An hour back, a day ahead: no storm of jobs, no standstill."""
    (id,) = world.accept("bob@x.example")
    job = world.job()
    job.report(id, "deferred", "450 later")
    world.turn()
    world.clock.rightNow -= 3600
    world.reload(CONFIGURATION.replace("[1, 4]", "[2, 8]"))
    assert world.state(id) == "delayed"
    world.turn(700)
    assert [frame.id for frame in job.assigned] == [id, id]
    world.clock.rightNow += DAY
    world.reload(CONFIGURATION)
    job.report(id, "relayed")
    world.turn()
    assert not world.queued()


def test_stop_says_that_sessions_may_go_on():
    """A program that does not know the key stops all the same."""
    from jobctl.jobprotocol.codec import encode

    assert encode(Stop()) == b'{"op":"stop"}\n'
    assert encode(Stop(sessions=True)) == b'{"op":"stop","sessions":true}\n'
