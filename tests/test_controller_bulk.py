"""Many messages changed at once, taken back, and on record: what operators rely on."""

import os

import pytest
from twisted.internet.defer import ensureDeferred

from jobctl.config.loader import load_text
from jobctl.control.change_requests import (
    QmAudit,
    QmCancel,
    QmDelete,
    QmHold,
    QmMove,
    QmOperations,
    QmPreview,
    QmPriority,
    QmRedirect,
    QmRelease,
    QmReroute,
    QmRetry,
    QmReturn,
    QmWatch,
    Undo,
)
from jobctl.control.requests import (
    QmDirectory,
    QmHeld,
    QmHistory,
    QmMessages,
    QmRead,
    QmStart,
    QmStop,
    QmSummarize,
    Reload,
)
from jobctl.errors import StoreError, UsageError
from jobctl.mail.acts import Stage
from jobctl.mail.entry import Lasting
from jobctl.mail.envelope import Envelope, Priority, Recipient, Source
from jobctl.store.memory_acts import MemoryRecords
from tests.controller_case import CHANGES, CONFIGURATION, CONTENT, START, Terminal, World, ids_of

LARGE = CONTENT + b"x" * 100_000


@pytest.fixture
def world() -> World:
    return World()


class Watcher(Terminal):
    """A terminal that shows progress."""

    def __init__(self):
        super().__init__()
        self.steps = []

    def progress(self, value):
        self.steps.append(value)


def do(world, operation, request, stream=None):
    answer = world.do(world.operate(operation, request, stream or Watcher()))
    world.turn()
    return answer


def acts(world, **keys):
    seen = Terminal()
    world.do(world.operate("qm_audit", QmAudit(**keys), seen))
    return seen.items


def many(world, count):
    """As many messages, in one turn of the reactor."""
    envelope = Envelope("ann@a.example", (Recipient("bob@b.example"),))
    for _ in range(count):
        world.controller.intake.accept(envelope, Source("in"), CONTENT, len(CONTENT))
    world.turn()
    return [stored.entry.id for stored in world.queued()]


def job_of(world, channel, credit=100):
    """The master job that the schedule asked for in a channel, working."""
    world.turn()
    spec = next(s for s in world.supervisor.asked if s.channel.name == channel)
    world.supervisor.asked.remove(spec)
    job = world.supervisor.spawn(spec).hello(credit)
    world.turn()
    return job


def snapshot(world):
    """All that the disk has of entries, as it was."""
    return {
        s.entry.id: (
            s.state,
            s.entry.channel,
            s.entry.host,
            s.entry.due,
            s.envelope,
            s.reason,
            s.entry.attempts,
        )
        for s in world.queued()
    }


# By selector.


def test_only_what_is_meant_is_changed(world):
    """A selector chooses what is deleted, held, returned; everything else stays as it is."""
    ids = [world.accept(f"u{n}@{'b' if n % 2 else 'c'}.example")[0] for n in range(10)]
    answer = do(world, "qm_delete", QmDelete(where="rcpt.domain=b.example"))
    assert answer["done"] == ids[1::2] and (answer["count"], answer["stage"]) == (5, "done")
    answer = do(world, "qm_hold", QmHold(where="rcpt=u4@* or id=" + ids[6], reason="wait"))
    assert answer["done"] == [ids[4], ids[6]]
    assert do(world, "qm_release", QmRelease(where="reason=wait and rcpt=u4@*"))["done"] == [ids[4]]
    assert do(world, "qm_return", QmReturn(where="rcpt=u8@*"))["done"] == [ids[8]]
    seen = Terminal()
    do(world, "qm_directory", QmDirectory(), seen)
    assert [row["id"] for row in seen.items] == [ids[0], ids[2], ids[4], ids[6]]
    world.balance()


def test_a_selector_that_means_nothing_or_makes_no_sense(world):
    """Nothing is changed by a mistake, and none is recorded as done."""
    world.accept()
    assert do(world, "qm_delete", QmDelete(where="age>1h"))["done"] == []
    for request, told in (
        (QmDelete(where="agee>1h"), "did you mean age"),
        (QmDelete(), "say which messages"),
        (QmDelete(ids=("Q1",), where="age>1h"), "not both"),
        (QmDelete(where="age<1h", channel="nosuch"), "not configured"),
    ):
        with pytest.raises(UsageError, match=told):
            do(world, "qm_delete", request)
    assert len(world.queued()) == 1
    assert [act.subject for act in acts(world)] == ["age>1h"]


def test_the_preview_shows_and_changes_nothing(world):
    """Count, octets and a sample of just what would be changed."""
    ids = [world.accept()[0] for _ in range(7)]
    before = snapshot(world)
    seen = do(world, "qm_preview", QmPreview(where="rcpt=bob@* and age<1h", sample=3))
    assert (seen["count"], seen["octets"]) == (7, 7 * len(CONTENT))
    assert [row["id"] for row in seen["sample"]] == ids[:3]
    assert (seen["snapshot"], seen["at"]) == (ids[-1], START)
    assert do(world, "qm_preview", QmPreview(all=True, channel="out", held=True))["count"] == 0
    assert snapshot(world) == before and not acts(world)


def test_nothing_newer_than_the_look_is_touched(world):
    """What came after the preview stays, though it is meant as well; ages count as of the preview."""
    old = [world.accept()[0] for _ in range(3)]
    world.turn(3600)
    seen = do(world, "qm_preview", QmPreview(where="rcpt=bob@b.example"))
    late = world.accept()[0]
    aged = do(world, "qm_preview", QmPreview(where="age>30m"))
    world.turn(3600)
    answer = do(
        world, "qm_delete", QmDelete(where="rcpt=bob@b.example", snapshot=seen["snapshot"], at=seen["at"])
    )
    assert answer["done"] == old and world.stored(late) is not None
    # It is older than half an hour by now, and was not when the operator looked.
    assert not do(world, "qm_delete", QmDelete(where="age>30m", snapshot=late, at=aged["at"]))["done"]


def test_what_comes_while_it_runs_is_not_touched(world):
    """A change that takes long does not run after mail that keeps coming."""
    ids = [world.accept()[0] for _ in range(3)]
    world.store.slow = frozenset({"settle"})
    doing = ensureDeferred(world.operate("qm_delete", QmDelete(where="sender=ann@*"), Watcher()))
    (late,) = world.accept()
    world.store.slow = frozenset()
    world.store.commit()
    assert world.do(doing)["done"] == ids
    assert world.stored(late).state is Lasting.QUEUED


def test_what_has_changed_meanwhile_is_not_meant_any_more(world):
    """Tried between the look and the change, so it has attempts: it is left alone."""
    (one,) = world.accept()
    world.store.slow = frozenset({"fetch"})
    doing = ensureDeferred(world.operate("qm_delete", QmDelete(where="attempts=0"), Watcher()))
    world.store.memory.disk.entries[1].entry.attempts = 1
    world.store.slow = frozenset()
    world.store.commit()
    answer = world.do(doing)
    assert (answer["done"], answer["unchanged"]) == ([], 1)
    assert world.state(one) == "ready"


def test_in_the_hands_of_a_job(world):
    """What a job is delivering is told and left to it; the rest is done; its verdict counts."""
    one, two = world.accept() + world.accept()
    job = world.job(credit=1)
    assert ids_of(job.assigned) == [one]
    for name, request in (
        ("qm_delete", QmDelete(where="rcpt=bob@*")),
        ("qm_move", QmMove(to="gate", ids=(one,))),
        ("qm_redirect", QmRedirect(host="c.example", ids=(one,))),
        ("qm_priority", QmPriority(priority="urgent", ids=(one,))),
        ("qm_retry", QmRetry(ids=(one,))),
    ):
        answer = do(world, name, request)
        assert "a job is delivering it" in answer["failed"][0]["text"]
        assert (answer["failed"][0]["exit"], answer["failures"]) == (os.EX_TEMPFAIL, 1)
    job.report(one, "relayed")
    world.turn()
    assert [s.entry.id for s in world.queued() if s.state is Lasting.QUEUED] == []
    assert world.stored(one) is None and world.stored(two) is None
    world.balance()


def test_progress_background_and_cancel(world):
    """A long change tells how far it is, goes on without its caller, and can be ended; what is done stays done."""
    many(world, 420)
    world.store.slow = frozenset({"settle"})
    stream = Watcher()
    doing = ensureDeferred(world.operate("qm_delete", QmDelete(where="sender=ann@*", expected=420), stream))
    world.store.commit()
    assert stream.steps[-1] == {
        "operation": 1, "expected": 420, "found": 100, "done": 100, "unchanged": 0, "failed": 0
    }  # fmt: skip
    (running,) = do(world, "qm_operations", QmOperations())
    assert (running.stage, running.done, running.who) == (Stage.RUNNING, 100, "ann")
    stream.cancel()
    world.store.commit()
    other = Watcher()
    watching = ensureDeferred(world.operate("qm_watch", QmWatch(operation=1), other))
    cancelling = ensureDeferred(world.operate("qm_cancel", QmCancel(operation=1), Terminal()))
    world.store.slow = frozenset()
    while world.store.commit():
        pass
    assert world.do(cancelling) == {"operation": 1, "cancelled": True}
    assert world.do(watching)["stage"] == "cancelled" and world.do(doing)["count"] == 300
    assert sum(stored.state is Lasting.QUEUED for stored in world.queued()) == 120
    # The caller's terminal was told nothing after it had gone.
    assert len(stream.steps) < 3 <= len(stream.steps) + len(other.steps)
    assert [act.what for act in acts(world)] == ["cancel", "delete"]
    assert acts(world, what="delete")[0].done == 300


def resting(world, took, arrived):
    """How long a change of 220 messages rests after its first commit, which took so long."""
    many(world, 220)
    world.store.slow = frozenset({"settle"})
    doing = ensureDeferred(world.operate("qm_hold", QmHold(where="sender=ann@*"), Watcher()))
    world.clock.advance(took)
    many(world, arrived)
    world.store.commit()
    assert not world.store.waiting
    since = world.clock.seconds()
    while not world.store.waiting:
        world.clock.advance(0.01)
    rested = world.clock.seconds() - since
    assert len(world.store.waiting) == 100
    while world.store.commit():
        world.turn(took)
    assert world.do(doing)["count"] == 220
    return rested


def test_mail_comes_first(world):
    """A change rests after each commit: little while there is no mail, as long as it took while there is much."""
    assert resting(world, 0.4, 0) == pytest.approx(0.08, abs=0.011)
    assert resting(World(), 0.4, 100) == pytest.approx(0.18, abs=0.011)
    assert resting(World(), 0.4, 2000) == pytest.approx(0.4, abs=0.011)
    # A clock that stood still for it, or a machine that slept, does not make it sleep as long.
    assert resting(World(), 3600, 10) == pytest.approx(0.21, abs=0.011)


def test_a_preview_rests_too(world):
    """To count is work as well: between two pages it gives way to mail."""
    many(world, 600)
    pages = world.store.memory.directory

    def slow(**keys):
        world.clock.rightNow += 0.5
        return pages(**keys)

    world.store.memory.directory = slow
    looking = ensureDeferred(world.operate("qm_preview", QmPreview(where="sender=ann@*")))
    assert not looking.called
    world.turn(1)
    world.turn(1)
    assert world.do(looking)["count"] == 600


def test_in_the_background_the_answer_comes_at_once(world):
    """Whoever does not want to wait gets the number, and finds the end under it."""
    (one,) = world.accept()
    world.store.slow = frozenset({"settle"})
    answer = do(world, "qm_hold", QmHold(where="sender=ann@*", background=True))
    assert answer == {"operation": 1}
    world.store.slow = frozenset()
    world.store.commit()
    assert world.stored(one).state is Lasting.HELD
    (act,) = do(world, "qm_operations", QmOperations())
    assert (act.stage, act.done, act.ids) == (Stage.DONE, 1, (one,))
    assert do(world, "qm_watch", QmWatch(operation=1))["done"] == [one]
    with pytest.raises(UsageError, match="no operation 7"):
        do(world, "qm_watch", QmWatch(operation=7))
    world.close()
    after = World(disk=world.store.memory.disk, clock=world.clock)
    with pytest.raises(UsageError, match="is over: done"):
        do(after, "qm_watch", QmWatch(operation=1))


def test_a_store_that_fails_midway(world):
    """It ends, says so and is on record as failed; messages are where they were."""
    for _ in range(3):
        world.accept()
    world.store.broken = {"fetch": StoreError("trouble")}
    answer = do(world, "qm_delete", QmDelete(where="sender=ann@*"))
    assert (answer["stage"], answer["count"], answer["failed"][0]["text"]) == ("failed", 0, "trouble")
    world.store.broken = {}
    assert len(world.job().assigned) == 3


def test_what_cannot_be_recorded_is_not_done(world, monkeypatch):
    """No change without its record."""
    (one,) = world.accept()

    def refuse(act, oldest=0.0):
        raise StoreError("no room for records")

    monkeypatch.setattr(world.store.memory, "write_act", refuse)
    with pytest.raises(StoreError, match="records"):
        do(world, "qm_delete", QmDelete(ids=(one,)))
    assert world.stored(one).state is Lasting.QUEUED


def test_a_stop_interrupts(world):
    """A controller that stops ends what is under way and says so; the next goes on counting."""
    many(world, 220)
    world.store.slow = frozenset({"settle"})
    ensureDeferred(world.operate("qm_delete", QmDelete(where="sender=ann@*"), Watcher()))
    stopping = ensureDeferred(world.controller.stop())
    world.store.slow = frozenset()
    while world.store.commit():
        pass
    world.do(stopping)
    after = World(disk=world.store.memory.disk, clock=world.clock)
    (act,) = do(after, "qm_operations", QmOperations())
    assert (act.stage, act.done) == (Stage.INTERRUPTED, 100)
    assert do(after, "qm_hold", QmHold(where="sender=ann@*"))["operation"] == 2
    assert do(after, "undo", Undo(operation=1))["count"] == 100
    assert len(after.queued()) == 220


# The verbs beyond the original.


def test_retry(world):
    """Delayed mail is due at once, what is given by id before all others; the history says who wanted it."""
    one, two = world.accept() + world.accept()
    job = world.job(credit=4)
    job.report(one, "deferred", "450 later")
    job.report(two, "deferred", "450 later")
    world.turn()
    assert world.state(one) == "delayed"
    assert do(world, "qm_retry", QmRetry(ids=(two,)))["done"] == [two]
    assert ids_of(job.assigned)[2:] == [two]
    assert do(world, "qm_retry", QmRetry(where="state=delayed"))["done"] == [one]
    job.report(two, "deferred", "450 later")
    world.turn(1)
    assert ids_of(job.assigned)[2:] == [two, one]
    assert "retried" in world.history(two)
    do(world, "qm_hold", QmHold(ids=world.accept()))
    assert "release it" in do(world, "qm_retry", QmRetry(ids=("Q3",)))["failed"][0]["text"]


def test_a_retry_does_not_wait_for_the_host(world):
    """Its host is backed off: one message goes out as a probe at once, the rest when it has answered."""
    ids = [world.accept()[0] for _ in range(3)]
    job = world.job(credit=50)
    job.report(ids[0], "deferred", "421 down", scope="host")
    for id in ids[1:]:
        job.report(id, "deferred", "421 down", scope="host")
    world.turn()
    before = len(job.assigned)
    world.turn(1)
    assert len(job.assigned) == before
    assert do(world, "qm_retry", QmRetry(where="rcpt=bob@*"))["count"] == 3
    assert len(job.assigned) == before + 1
    probe = job.assigned[-1].id
    job.report(probe, "relayed")
    world.turn()
    assert {frame.id for frame in job.assigned[before:]} == set(ids)


def test_priority(world):
    """It counts for the order from now on, and for a wrong word there is help."""
    one, two = world.accept() + world.accept()
    do(world, "qm_priority", QmPriority(priority="urgent", ids=(two,)))
    assert world.stored(two).entry.priority is Priority.URGENT
    assert do(world, "qm_priority", QmPriority(priority="urgent", ids=(two,)))["unchanged"] == 1
    assert ids_of(world.job(credit=1).assigned) == [two]
    assert world.state(one) == "ready"
    with pytest.raises(UsageError, match="no priority low; there are urgent, normal"):
        do(world, "qm_priority", QmPriority(priority="low", ids=(one,)))


def test_move(world):
    """It goes out by the other channel, with its age and its id; held mail stays held."""
    one, two = world.accept("x@b.example") + world.accept("y@b.example")
    do(world, "qm_hold", QmHold(ids=(two,)))
    answer = do(world, "qm_move", QmMove(to="gate", where="rcpt.domain=b.example"))
    assert answer["done"] == [one, two] and answer["undo_until"] == START + 600
    assert (world.stored(one).entry.channel, world.stored(one).entry.host) == ("gate", "")
    assert world.stored(two).state is Lasting.HELD and world.state(two) is None
    assert ids_of(job_of(world, "gate").assigned) == [one]
    assert world.history(one) == ["moved"]
    world.balance()
    assert do(world, "qm_move", QmMove(to="gate", ids=(two,)))["unchanged"] == 1
    with pytest.raises(UsageError, match="nosuch is not configured"):
        do(world, "qm_move", QmMove(to="nosuch", ids=(two,)))


@pytest.mark.parametrize("content", [CONTENT, LARGE])
def test_a_move_that_parts_recipients(world, content):
    """Off a gateway, recipients of different hosts part; each gets the whole message once; undo brings them back."""
    (one,) = world.accept("x@b.example", "y@c.example", "z@b.example", content=content, channel="gate")
    before = world.stored(one)
    world.turn(60)
    answer = do(world, "qm_move", QmMove(to="out", ids=(one,)))
    assert answer["done"] == [one]
    places = {s.entry.host: s for s in world.queued()}
    assert [r.address for r in places["b.example"].envelope.recipients] == ["x@b.example", "z@b.example"]
    assert [r.address for r in places["c.example"].envelope.recipients] == ["y@c.example"]
    other = places["c.example"]
    assert other.entry.enqueued == START and other.envelope_id == before.envelope_id
    assert other.envelope.sender == before.envelope.sender and other.source == before.source
    world.balance()
    assert do(world, "undo", Undo(operation=1))["count"] == 2
    assert {s.entry.channel for s in world.queued()} == {"gate"}
    world.balance()
    job = world.job()
    got = {a for frame in job.assigned for a in (r.address for r in frame.envelope.recipients)}
    assert got == {"x@b.example", "y@c.example", "z@b.example"}
    assert all(body == content for body in job.contents.values())


def test_reroute(world):
    """Mail goes where the rules say now; where they say the same it stays, where they say nothing that is told."""
    (one,) = world.accept("x@gate.example", channel="out")
    (two,) = world.accept("y@b.example")
    (three,) = world.accept("z@nowhere.invalid", channel="out")
    answer = do(world, "qm_reroute", QmReroute(where="sender=ann@*"))
    assert answer["done"] == [one] and answer["unchanged"] == 1
    assert answer["failed"][0]["id"] == three and "the rules lead nowhere" in answer["failed"][0]["text"]
    assert world.stored(one).entry.channel == "gate"
    assert world.stored(two).entry.channel == "out"
    world.balance()
    do(world, "undo", Undo(operation=1))
    assert world.stored(one).entry.channel == "out"


def test_redirect_to_another_recipient(world):
    """One copy goes to the other, by the channel that the rules say; ORCPT names who was meant; undo restores all."""
    envelope = Envelope(
        "ann@a.example",
        (
            Recipient("bob@b.example", notify="SUCCESS", orcpt="rfc822;robert@b.example"),
            Recipient("c@b.example"),
        ),
    )
    (one,) = world.do(world.controller.intake.accept(envelope, Source("in"), CONTENT, len(CONTENT)))
    answer = do(world, "qm_redirect", QmRedirect(to="<new@gate.example>", ids=(one,)))
    assert answer["done"] == [one]
    (recipient,) = world.stored(one).envelope.recipients
    assert (recipient.address, recipient.notify) == ("new@gate.example", "SUCCESS")
    assert recipient.orcpt == "rfc822;robert@b.example"
    assert world.stored(one).entry.channel == "gate"
    world.balance()
    do(world, "undo", Undo(operation=1))
    assert world.stored(one).envelope.recipients == envelope.recipients
    assert (world.stored(one).entry.channel, world.stored(one).entry.host) == ("out", "b.example")
    world.balance()
    (two,) = world.accept("plain@b.example")
    do(world, "qm_redirect", QmRedirect(to="new@c.example", ids=(two,)))
    (recipient,) = world.stored(two).envelope.recipients
    assert (recipient.address, recipient.orcpt) == ("new@c.example", "rfc822;plain@b.example")


def test_redirect_to_another_host(world):
    """The same recipients, by way of another host; where hosts do not matter, or are none, that is told."""
    (one,) = world.accept("x@b.example")
    assert do(world, "qm_redirect", QmRedirect(host="MX2.c.example", ids=(one,)))["done"] == [one]
    job = world.job()
    assert job.assigned[0].host == "mx2.c.example"
    assert [r.address for r in job.assigned[0].envelope.recipients] == ["x@b.example"]
    (two,) = world.accept("y@gate.example")
    assert (
        "gateway" in do(world, "qm_redirect", QmRedirect(host="c.example", ids=(two,)))["failed"][0]["text"]
    )
    for request, told in (
        (QmRedirect(host="no host", ids=(two,)), "is no host"),
        (QmRedirect(to="nobody", ids=(two,)), "no domain"),
        (QmRedirect(to="a b@c", ids=(two,)), "will not do"),
        (QmRedirect(ids=(two,)), "whom or where"),
        (QmRedirect(to="a@b.example", host="c.example", ids=(two,)), "whom or where"),
    ):
        with pytest.raises(UsageError, match=told):
            do(world, "qm_redirect", request)


# Undo.


def test_who_looks_for_a_deleted_message_learns_the_way_back(world):
    """By whatever command: it is told who deleted or returned it and what brings it back."""
    (one,) = world.accept()
    number = do(world, "qm_return", QmReturn(ids=(one,)))["operation"]
    told = f"{one} was returned by ann; 'jobctl undo {number}' brings it back"
    for name, request in (
        ("qm_read", QmRead(message=one)),
        ("qm_history", QmHistory(ids=(one,))),
    ):
        with pytest.raises(UsageError, match=told) as caught:
            do(world, name, request)
        assert caught.value.exit_status == os.EX_NOINPUT
    assert told in do(world, "qm_hold", QmHold(ids=(one,)))["failed"][0]["text"]
    with pytest.raises(UsageError, match="never was"):
        do(world, "qm_read", QmRead(message="Q99"))


def test_a_reload_is_on_record(world):
    """Who had the configuration read again, and what changed."""
    text = CONFIGURATION.replace("[job_controller]", "[job_controller]\nundo_window = 60").replace(
        "@DIRECTORY@", "/nonexistent"
    )
    world.controller.reloads.read = lambda: load_text(text, "jobctl.toml", exists=lambda path: True)
    assert do(world, "reload", Reload()).applied
    (act,) = acts(world)
    assert (act.who, act.what, act.subject, act.text) == (
        "ann",
        "reload",
        "jobctl.toml",
        "job_controller.undo_window",
    )
    (one,) = world.accept()
    assert do(world, "qm_delete", QmDelete(ids=(one,)))["undo_until"] == START + 60


@pytest.mark.parametrize("held", [False, True])
def test_a_deletion_is_taken_back(world, held):
    """Until the window is over the mail is nowhere to be seen and comes back just as it was."""
    ids = [world.accept()[0] for _ in range(3)]
    if held:
        do(world, "qm_hold", QmHold(ids=tuple(ids), reason="wait"))
    before = snapshot(world)
    answer = do(world, "qm_delete", QmDelete(where="sender=ann@*"))
    assert answer["undo_until"] == START + 600
    seen = Terminal()
    assert do(world, "qm_directory", QmDirectory(), seen) == 0
    assert do(world, "qm_summarize", QmSummarize())[2]["messages"] == 0
    assert world.do(world.store.ledger())["out"]["queued"] == 3
    assert not world.supervisor.asked or not world.job().assigned
    world.turn(500)
    done = do(world, "undo", Undo(operation=answer["operation"]))
    assert (done["count"], done["failures"]) == (3, 0)
    assert snapshot(world) == before
    if not held:
        assert len(world.job().assigned) == 3
    with pytest.raises(UsageError, match="was undone before"):
        do(world, "undo", Undo(operation=answer["operation"]))
    assert "undone" in world.history(ids[0])
    world.balance()


def test_the_window_ends(world):
    """Then a deletion is final and counted, and undo says that it is too late."""
    (one,) = world.accept("a@b.example", "c@b.example")
    answer = do(world, "qm_delete", QmDelete(ids=(one,)))
    world.turn(599)
    assert world.queued()
    for _ in range(3):
        world.turn(60)
    assert not world.queued()
    account = world.do(world.store.ledger())["out"]
    assert (account["deleted"], account["queued"]) == (2, 0)
    with pytest.raises(UsageError, match="it is too late"):
        do(world, "undo", Undo(operation=answer["operation"]))
    world.balance()


def test_a_return_tells_the_sender_only_when_it_is_final(world):
    """The notification waits for the window; a return that is taken back tells nobody."""
    one, two = world.accept(sender="eve@e.example") + world.accept(sender="kim@k.example")
    first = do(world, "qm_return", QmReturn(ids=(one,), reason="not today"))
    assert first["undo_until"] == START + 15
    second = do(world, "qm_return", QmReturn(ids=(two,)))
    do(world, "undo", Undo(operation=second["operation"]))
    assert len(world.queued()) == 2
    world.turn(16)
    (notice,) = [s for s in world.queued() if s.envelope.sender == ""]
    assert [r.address for r in notice.envelope.recipients] == ["eve@e.example"]
    assert b"not today" in world.store.memory.disk.contents[notice.message]
    with pytest.raises(UsageError, match="cannot be undone"):
        do(world, "undo", Undo(operation=first["operation"]))
    world.turn(3600)
    assert not [s for s in world.queued() if r"kim" in s.envelope.recipients[0].address]
    world.balance()


def test_the_window_is_what_the_configuration_says(world):
    """Nought means at once; so does whoever says so for one change."""
    text = CONFIGURATION.replace(
        "[job_controller]", "[job_controller]\nundo_window = 0\nreturn_undo_window = 0"
    )
    without = World(configuration=text)
    for place in (without, world):
        more = {} if place is without else {"undo": False}
        one, two = place.accept() + place.accept()
        assert do(place, "qm_delete", QmDelete(ids=(one,), **more))["undo_until"] is None
        do(place, "qm_return", QmReturn(ids=(two,), **more))
        assert [s.envelope.sender for s in place.queued()] == [""]
        moved = do(place, "qm_move", QmMove(to="gate", where="sender=<>", **more))
        with pytest.raises(UsageError, match="cannot be undone"):
            do(place, "undo", Undo(operation=moved["operation"]))


def test_on_a_full_disk_there_is_no_way_back(world, monkeypatch):
    """Who deletes then wants the room: it is gone at once."""
    monkeypatch.setattr(MemoryRecords, "short_of_room", True)
    one, two = world.accept() + world.accept()
    assert do(world, "qm_delete", QmDelete(ids=(one,)))["undo_until"] is None
    assert do(world, "qm_delete", QmDelete(where="sender=ann@*"))["done"] == [two]
    assert not world.queued()


def test_undo_over_a_restart(world):
    """What was deleted before a restart can be taken back after it, and is final in time without one."""
    one, two = world.accept() + world.accept()
    do(world, "qm_delete", QmDelete(ids=(one,)))
    do(world, "qm_return", QmReturn(ids=(two,)))
    world.close()
    after = World(disk=world.store.memory.disk, clock=world.clock)
    assert do(after, "undo", Undo(operation=1))["done"] == [one]
    after.turn(15)
    assert [s.envelope.sender for s in after.queued() if s.entry.id != one] == [""]
    assert {act.number for act in acts(after)} == {1, 2, 3}
    after.balance()


def test_undo_of_what_left_meanwhile(world):
    """Moved and delivered is delivered; moved and in a job's hands is told; the rest comes back."""
    one, two, three = world.accept() + world.accept() + world.accept()
    answer = do(world, "qm_move", QmMove(to="gate", where="sender=ann@*"))
    job = job_of(world, "gate", credit=2)
    assert ids_of(job.assigned) == [one, two]
    job.report(one, "relayed")
    world.turn()
    done = do(world, "undo", Undo(operation=answer["operation"]))
    assert (done["done"], [f["id"] for f in done["failed"]]) == ([three], [two])
    assert world.stored(three).entry.channel == "out" and world.stored(two).entry.channel == "gate"
    job.report(two, "deferred", "450 later")
    world.turn()
    assert do(world, "undo", Undo(operation=answer["operation"]))["done"] == [two]
    world.balance()


def test_undo_ends_what_is_under_way(world):
    """Whoever undoes a deletion that still runs has it ended first, and all of it taken back."""
    many(world, 220)
    before = snapshot(world)
    world.store.slow = frozenset({"settle"})
    ensureDeferred(world.operate("qm_delete", QmDelete(where="sender=ann@*"), Watcher()))
    undoing = ensureDeferred(world.operate("undo", Undo(operation=1), Watcher()))
    world.store.slow = frozenset()
    while world.store.commit():
        pass
    assert world.do(undoing)["count"] == 100
    assert snapshot(world) == before


def test_taken_back_at_the_last_moment(world):
    """Undo and the end of the window at the same time: each message is either back or gone, never both."""
    ids = [world.accept()[0] for _ in range(5)]
    do(world, "qm_delete", QmDelete(ids=tuple(ids)))
    world.clock.rightNow += 600
    world.store.slow = CHANGES
    undoing = ensureDeferred(world.operate("undo", Undo(operation=1), Watcher()))
    world.turn()
    for _ in range(10):
        world.store.commit()
        world.turn()
    assert world.do(undoing)["count"] == 5
    assert {s.entry.id for s in world.queued()} == set(ids)
    world.balance()


def test_what_cannot_be_undone(world):
    """Holds, retries and operations that never were are told apart."""
    (one,) = world.accept()
    number = do(world, "qm_hold", QmHold(ids=(one,)))["operation"]
    with pytest.raises(UsageError, match=r"\(hold\) cannot be undone: there is nothing to undo"):
        do(world, "undo", Undo(operation=number))
    with pytest.raises(UsageError, match="no operation 99"):
        do(world, "undo", Undo(operation=99))


# The record.


def test_who_did_what(world):
    """Single messages, whole channels and stopped channels are on record with who, which and how many."""
    one, two = world.accept() + world.accept()
    do(world, "qm_delete", QmDelete(ids=(one,)))
    do(world, "qm_hold", QmHold(all=True, channel="out", reason="audit day"))
    do(world, "qm_stop", QmStop(channel="ou*"))
    do(world, "qm_start", QmStart(channel="*"))
    do(world, "qm_start", QmStart(channel="*"))
    found = [(act.number, act.who, act.uid, act.what, act.subject, act.text) for act in acts(world)]
    assert found == [
        (4, "ann", 1000, "start", "*", "out"),
        (3, "ann", 1000, "stop", "ou*", "out"),
        (2, "ann", 1000, "hold", "channel=out", "audit day"),
        (1, "ann", 1000, "delete", one, ""),
    ]
    assert [act.ids for act in acts(world)][2:] == [(two,), (one,)]
    assert [act.what for act in acts(world, limit=1)] == ["start"]
    assert [act.what for act in acts(world, what="hold")] == ["hold"]
    assert acts(world, who="bob") == []
    world.turn(91 * 86400)
    do(world, "qm_stop", QmStop(channel="gate"))
    assert [act.what for act in acts(world)] == ["stop"]


# Looks.


def test_a_look_changes_nothing(world):
    """The whole disk and the whole schedule are the same before and after every look, while jobs work."""
    for n in range(30):
        world.accept(f"u{n}@{'bc'[n % 2]}.example")
    do(world, "qm_hold", QmHold(where="id in (Q1, Q2)"))
    do(world, "qm_delete", QmDelete(where="id=Q3"))
    job = world.job(credit=5)
    job.report(next(iter(job.held)), "deferred", "450 later")
    world.turn()

    def digest():
        disk = world.store.memory.disk
        return (
            repr(sorted(vars(disk).items(), key=lambda pair: pair[0])),
            repr([(entry, world.state(entry.id)) for entry in world.scheduler.entries()]),
            [repr(world.scheduler.hosts(name)) for name in ("out", "gate")],
            world.scheduler.next_due(),
            sorted(call.getTime() for call in world.clock.getDelayedCalls()),
        )

    before = digest()
    looks = (
        ("qm_directory", QmDirectory(where="age<1h")),
        ("qm_held", QmHeld()),
        ("qm_messages", QmMessages(channel="*", where="rcpt=u*")),
        ("qm_messages", QmMessages(channel="*")),
        ("qm_summarize", QmSummarize()),
        ("qm_history", QmHistory(where="attempts>=0")),
        ("qm_read", QmRead(message="Q4", content=True)),
        ("qm_preview", QmPreview(where="attempts>=0", sample=100)),
        ("qm_operations", QmOperations()),
        ("qm_audit", QmAudit()),
        ("ledger", QmSummarize()),
        ("cache_view", QmDirectory()),
        ("qm_jobs", QmDirectory()),
        ("process", QmSummarize()),
        ("ping", QmSummarize()),
        ("version", QmSummarize()),
        ("cache_changes", QmSummarize()),
    )
    for name, request in looks:
        answer = world.operate(name, request, Terminal())
        if hasattr(answer, "send") or hasattr(answer, "addCallback"):
            world.do(answer)
        assert digest() == before, name
