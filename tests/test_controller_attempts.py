"""Verdicts, deaths and failures of the store: nothing is lost, nothing goes out twice, no entry is forgotten."""

import pytest
from twisted.internet.defer import succeed

from jobctl.control.requests import QmHistory
from jobctl.errors import StoreError, StoreFull
from jobctl.jobprotocol.frames import Ask, Report
from jobctl.mail.disposition import Disposition, Verdict
from jobctl.mail.entry import Lasting
from jobctl.schedule.scheduler import PATIENCE
from tests.controller_case import CHANGES, DISK_FULL, START, FakeJob, Terminal, World, ids_of


class Damaged:
    """Content that turns out not to be what was stored."""

    size = 100_000

    def read(self, count):
        raise StoreError("checksum")

    def close(self):
        pass


@pytest.fixture
def world() -> World:
    return World()


def test_a_delivered_message_leaves_the_queue(world):
    """One verdict for all, committed: the ledger balances and nothing is left."""
    (id,) = world.accept()
    world.job().report(id, "relayed")
    world.turn()
    assert not world.queued() and world.state(id) is None
    world.balance()


def test_a_job_that_ends_before_the_commit_of_its_verdict_delivers_once(world):
    """It exits right after its report: the entry is not handed to another job while the disk works."""
    (id,) = world.accept()
    job = world.job()
    world.store.slow = CHANGES
    job.report(id, "relayed")
    job.end()
    world.turn()
    world.controller.dispatch.kick()
    world.turn()
    assert world.state(id) == "active"
    assert not world.supervisor.asked
    assert not job.journal.removed, "a crash now would hide that it may have been delivered"
    world.store.commit()
    world.turn()
    assert not world.queued() and world.state(id) is None
    assert job.journal.removed


def test_the_journal_outlives_results_that_cannot_be_recorded(world):
    """It is removed only when all the job ever held is on the disk, however late."""
    (id,) = world.accept()
    job = world.job()
    world.store.broken["settle"] = DISK_FULL
    job.report(id, "relayed")
    job.end()
    world.turn(100)
    assert not job.journal.removed
    world.store.broken.clear()
    world.turn(100)
    assert job.journal.removed and not world.queued()


def test_nothing_is_handed_out_while_results_cannot_be_recorded(world):
    """What is delivered and not recorded would be delivered again: so it all stands still, then goes on."""
    first, second = world.accept() + world.accept()
    job = world.job(credit=1)
    world.store.broken["settle"] = DISK_FULL
    job.report(first, "relayed")
    job.says(Ask(n=5))
    for _ in range(20):
        world.turn(7)
        assert ids_of(job.assigned) == [first]
    world.store.broken.clear()
    world.turn(20)
    assert ids_of(job.assigned) == [first, second]
    assert [one.entry.id for one in world.queued()] == [second]


def test_no_command_hands_out_during_the_standstill(world):
    """``jobctl submit`` decides at once, but not then."""
    first, _ = world.accept() + world.accept()
    job = world.job(credit=1)
    world.store.broken["settle"] = DISK_FULL
    job.report(first, "relayed")
    world.scheduler.grant(job.id, 5)
    assert world.controller.dispatch.decide_now("out") == 0
    assert ids_of(job.assigned) == [first]


def test_a_result_that_can_never_be_recorded_does_not_stop_the_rest(world):
    """One settlement that the store refuses for what it says: its message is held with the reason."""
    bad, good = world.accept() + world.accept()
    job = world.job()
    world.store.poison = lambda settlement: settlement.id == bad and settlement.attempts is not None
    job.report(bad, "deferred", "450 no")
    job.report(good, "relayed")
    for _ in range(20):
        world.turn(10)
    stored = world.stored(bad)
    assert stored.state is Lasting.HELD and "cannot be stored" in stored.reason
    assert world.state(bad) is None
    job.end()
    (other,) = world.accept()
    assert ids_of(world.job().assigned) == [other]


def test_damaged_content_does_not_keep_a_verdict_from_being_recorded(world):
    """The original cannot be quoted: the sender is told without it."""
    content = b"Subject: large\r\n\r\n" + b"x" * 100_000
    (id,) = world.accept(content=content)
    job = world.job()
    world.store.memory.content = lambda message: succeed(Damaged())
    job.report(id, "failed", "550 5.1.1 no such user")
    world.turn()
    assert world.stored(id) is None
    (notice,) = world.queued()
    assert notice.envelope.sender == "" and notice.envelope.recipients[0].address == "ann@a.example"
    world.balance()


def test_history_names_those_who_were_reached(world):
    """After a partial success the history says who was delivered, by which host, with which reply."""
    (id,) = world.accept("a@b.example", "c@b.example")
    job = world.job()
    job.says(
        Report(
            id=id,
            results=(
                Disposition("c@b.example", Verdict.DEFERRED, reply="450 4.2.1 busy", remote="mx.b.example"),
                Disposition("a@b.example", Verdict.RELAYED, reply="250 2.0.0 Q7", remote="mx.b.example"),
            ),
        )
    )
    world.turn()
    request, seen = QmHistory(ids=(id,)), Terminal()
    world.do(world.operate("qm_history", request, seen))
    assert [(row["what"], row["recipient"], row["text"], row["host"], row["job"]) for row in seen.items] == [
        ("relayed", "a@b.example", "250 2.0.0 Q7", "mx.b.example", job.id),
        ("deferred", "c@b.example", "450 4.2.1 busy", "mx.b.example", job.id),
    ]


def test_history_of_a_program_that_died_after_reaching_some(world):
    """Verdicts given before a program died stay visible."""
    (id,) = world.accept("a@b.example", "c@b.example")
    job = world.job()
    job.results(id, a="relayed")
    job.end(signal=9)
    world.turn()
    assert world.history(id) == ["relayed", "interrupted"]


def test_history_of_a_long_list_keeps_those_who_wait(world):
    """Of a hundred recipients reached not all are named; the one who was not, is."""
    (id,) = world.accept(*(f"r{n}@b.example" for n in range(120)))
    job = world.job()
    job.results(id, **{f"r{n}": "deferred" if n == 7 else "delivered" for n in range(120)})
    world.turn()
    lines = world.do(world.store.memory.history(id))
    assert lines[-1].recipient == "r7@b.example" and lines[-1].what == "deferred"
    assert lines[-2].text == "89 more recipients" and len(lines) == 32


def test_an_unexpected_error_with_a_verdict_holds_the_message(world, monkeypatch):
    """A bug of ours while a verdict is worked on: who was delivered stays so, the rest waits for an operator."""
    (id,) = world.accept("a@b.example", "c@b.example")
    job = world.job()

    def broken(*_, **__):
        raise RuntimeError("bug")

    monkeypatch.setattr(world.controller.verdicts, "tried", broken)
    job.results(id, a="relayed", c="failed")
    world.turn()
    stored = world.stored(id)
    assert stored.state is Lasting.HELD and "bug" in stored.reason
    assert [r.address for r in stored.envelope.recipients] == ["c@b.example"]
    assert world.state(id) is None
    world.balance()


def test_a_hint_beyond_all_measure_is_no_problem(world):
    """A program that says 'try again in 10^300 seconds' is given a time that can be stored."""
    (id,) = world.accept()
    world.job().report(id, "deferred", "450 later", retry=1e300)
    world.turn()
    assert world.stored(id).entry.due <= START + 30 * 86400


def test_a_hint_is_a_lower_bound(world):
    """The next hop's wish is kept where it is later than our own time."""
    (id,) = world.accept()
    world.job().report(id, "deferred", "450 later", retry=7200.0)
    world.turn()
    stored = world.stored(id)
    assert stored.entry.due >= START + 7200 and stored.entry.attempts == 1


def test_leftovers_of_a_partial_success_go_again_at_once(world):
    """One recipient taken, one deferred: the other is tried once more; only progress brings that about again."""
    (id,) = world.accept("a@b.example", "c@b.example")
    job = world.job()
    job.results(id, a="relayed", c="deferred")
    world.turn()
    assert ids_of(job.assigned) == [id, id]
    assert [r.address for r in job.assigned[1].envelope.recipients] == ["c@b.example"]
    job.results(id, c="deferred")
    world.turn()
    assert len(job.assigned) == 2 and world.stored(id).entry.due > START
    world.balance()


def test_content_that_cannot_be_fetched_comes_back_later(world):
    """The store cannot read: nothing is lost, it is tried again."""
    (id,) = world.accept()
    world.controller.hot.drop(id)
    world.store.broken["fetch_whole"] = DISK_FULL
    job = world.job()
    assert not job.assigned and world.state(id) == "delayed"
    world.store.broken.clear()
    world.turn(100)
    assert ids_of(job.assigned) == [id]


def test_a_fetch_that_fails_late_leaves_a_new_attempt_alone(world):
    """The job died while its mail was being read, another has it now: the old failure is not its."""
    (id,) = world.accept()
    world.controller.hot.drop(id)
    world.store.slow = frozenset({"fetch_whole"})
    one = world.job()
    world.store.slow = frozenset()
    one.end(1)
    world.turn(100)
    two = world.job()
    assert ids_of(two.assigned) == [id]
    world.store.broken["fetch_whole"] = DISK_FULL
    world.store.commit()
    world.turn()
    assert world.scheduler.job_of(id) == two.id
    two.report(id, "relayed")
    world.turn()
    assert not world.queued()


def test_large_content_that_cannot_be_opened_comes_back_later(world):
    """Opening fails once; the message goes out in the end."""
    content = b"Subject: large\r\n\r\n" + b"x" * 100_000
    (id,) = world.accept(content=content)
    world.store.broken["content"] = DISK_FULL
    job = world.job()
    assert world.state(id) == "delayed"
    world.store.broken.clear()
    world.turn(100)
    assert job.contents[id] == content


def test_large_content_for_a_job_that_is_gone_is_closed(world):
    """The content arrives when nobody wants it any more."""
    content = b"Subject: large\r\n\r\n" + b"x" * 100_000
    (id,) = world.accept(content=content)
    world.store.slow = frozenset({"content"})
    job = world.job()
    assert world.state(id) == "active" and not job.assigned
    job.end(1)
    world.store.slow = frozenset()
    world.store.commit()
    world.turn(100)
    two = world.job()
    assert ids_of(two.assigned) == [id] and not job.assigned


def test_one_message_that_cannot_be_assigned_does_not_take_the_others_along(world, monkeypatch):
    """An error with one entry of a hand-out: the others are with the job, each once."""
    one, two = world.accept() + world.accept()
    world.controller.hot.drop(one)
    world.controller.hot.drop(two)
    world.turn()
    real = FakeJob.assign

    def assign(self, frame, content):
        if frame.id == two:
            raise ValueError("cannot take it now")
        real(self, frame, content)

    monkeypatch.setattr(FakeJob, "assign", assign)
    job = world.job()
    assert ids_of(job.assigned) == [one]
    assert world.scheduler.job_of(one) == job.id and world.state(two) == "delayed"
    monkeypatch.setattr(FakeJob, "assign", real)
    world.turn(100)
    assert ids_of(job.assigned) == [one, two]


def test_a_program_that_dies_is_never_the_recipients_fault(world):
    """No attempt is counted; the history says what happened; it goes again soon."""
    (id,) = world.accept()
    world.job().end(signal=9)
    world.turn()
    stored = world.stored(id)
    assert stored.entry.attempts == 0 and stored.deaths == 1
    assert world.history(id) == ["interrupted"] and "signal 9" in stored.last_reply
    world.turn(100)
    world.job().report(id)
    world.turn()
    assert not world.queued()


def test_a_message_that_kills_three_programs_is_held_with_the_evidence(world):
    """So that it kills no fourth."""
    (id,) = world.accept()
    for _ in range(3):
        world.job().end(signal=11)
        world.turn(1000)
    stored = world.stored(id)
    assert stored.state is Lasting.HELD and "3 programs died" in stored.reason
    assert world.state(id) is None and not world.supervisor.asked


def test_a_message_that_kills_programs_is_found_among_others(world):
    """Who dies with several in hand blames none; then they go one at a time, and only the guilty one is held."""
    ids = [world.accept()[0] for _ in range(4)]
    for _ in range(2):
        job = world.job()
        assert ids_of(job.assigned) == ids
        job.end(signal=11)
        world.turn(1000)
    assert [world.stored(id).deaths for id in ids] == [0] * 4
    job, tried = world.job(), []
    while world.queued() and len(tried) < 10:
        (id,) = job.held
        tried.append(id)
        if id == ids[1]:
            job.end(signal=11)
            world.turn(1000)
            if world.stored(id).state is Lasting.HELD and not world.supervisor.asked:
                break
            job = world.job()
        else:
            job.report(id)
            world.turn()
    stored = world.stored(ids[1])
    assert stored.state is Lasting.HELD and stored.deaths == 3
    assert [world.stored(id) for id in ids if id != ids[1]] == [None] * 3
    assert sorted(tried) == sorted([*ids, ids[1], ids[1]])


def test_ends_that_were_asked_for_blame_no_message(world):
    """A job stopped by us that dies of it: no death is counted."""
    (id,) = world.accept()
    job = world.job()
    job.stop()
    job.end(signal=15)
    world.turn()
    assert world.stored(id).deaths == 0


def test_what_may_have_been_delivered_is_counted_and_marked(world):
    """The final dot was announced and no verdict came: a possible duplicate, visible to the operator."""
    (id,) = world.accept()
    job = world.job()
    job.held[id].sent = True
    job.end(signal=9)
    world.turn()
    assert world.controller.attempts.suspects == 1
    assert world.stored(id).suspect == 1 and "may have been delivered" in world.stored(id).last_reply


def test_verdicts_given_before_a_death_stand(world):
    """Who was delivered is not sent the message again."""
    (id,) = world.accept("a@b.example", "c@b.example")
    job = world.job()
    job.results(id, a="relayed")
    assert job.held
    job.end(signal=9)
    world.turn()
    assert [r.address for r in world.stored(id).envelope.recipients] == ["c@b.example"]
    world.balance()


def test_a_host_that_fails_is_backed_off_and_remembered(world):
    """Scope host: no attempt counted, and after a restart the destination is still left alone."""
    (id,) = world.accept()
    job = world.job()
    job.report(id, "deferred", "421 4.4.1 down", scope="host")
    world.turn()
    assert world.stored(id).entry.attempts == 0 and world.state(id) == "delayed"
    assert [(b[0], b[1], b[2]) for b in world.do(world.store.host_backoffs())] == [("out", "b.example", 1)]
    job.end()
    again = World(disk=reopened(world), clock=world.clock)
    assert again.scheduler.hosts("out")[0][4] is not None
    world.turn(4000)


def reopened(world: World):
    """The disk, as a next life finds it."""
    world.store.memory.close()
    return world.store.memory.disk


def test_an_answer_ends_the_backoff_of_a_host(world):
    """And the store forgets it."""
    (id,) = world.accept()
    job = world.job()
    job.report(id, "deferred", "421 4.4.1 down", scope="host")
    world.turn(4000)
    assert ids_of(job.assigned) == [id, id]
    job.report(id, "relayed")
    world.turn()
    assert world.do(world.store.host_backoffs()) == []


def test_a_backoff_that_cannot_be_stored_does_no_harm(world):
    """It is only a convenience of the next life."""
    (id,) = world.accept()
    job = world.job()
    world.store.broken["set_host_backoff"] = DISK_FULL
    job.report(id, "deferred", "421 4.4.1 down", scope="host")
    world.turn(4000)
    job.report(id, "relayed")
    world.turn()
    assert not world.queued()


def test_work_given_back_does_not_spin(world):
    """A program that gives everything back at once is not handed it again at once, for ever."""
    (id,) = world.accept()
    job = world.job()
    for _ in range(5):
        if id in job.held:
            job.report(id, "deferred", scope="local")
            job.says(Ask(n=1))
        world.turn()
    assert len(job.assigned) <= 2
    world.turn(10)
    assert id in job.held


def test_a_report_without_all_verdicts_waits_for_the_rest(world):
    """Recipients may get theirs one by one."""
    (id,) = world.accept("a@b.example", "c@b.example")
    job = world.job()
    job.results(id, a="relayed")
    world.turn()
    assert len(world.stored(id).envelope.recipients) == 2
    job.results(id, c="relayed")
    world.turn()
    assert not world.queued()


def test_a_report_on_what_is_not_under_way_is_nothing(world):
    """A late word about an entry that nobody has."""
    world.controller.attempts.report(Report(id="Q99", verdict=Verdict.RELAYED))
    assert len(world.controller.attempts) == 0 and world.controller.attempts.get("Q99") is None


def test_expired_mail_is_returned(world):
    """At the last age of notices the sender hears of it and it leaves the queue."""
    (id,) = world.accept()
    job = world.job()
    job.report(id, "deferred", "450 4.2.2 full")
    world.turn()
    job.end()
    world.turn(4 * 86400 + 700)
    assert world.stored(id) is None
    (notice,) = world.queued()
    assert notice.envelope.sender == ""
    world.balance()


def test_expiry_waits_for_a_store_that_fails(world):
    """Neither the message nor its notification is lost: it is returned when the store can."""
    (id,) = world.accept(sender="")
    job = world.job()
    job.report(id, "deferred", "450 4.2.2 full")
    world.turn()
    job.end()
    for operation in ("fetch", "settle"):
        world.store.broken[operation] = StoreFull("full")
        world.turn(4 * 86400)
        world.turn(100)
        assert world.stored(id) is not None
        world.store.broken.clear()
    world.turn(100)
    world.turn(100)
    assert not world.queued() and world.state(id) is None
    world.balance()


def test_mail_of_a_channel_that_is_no_longer_configured_can_expire(world):
    """Its queue is still there, so is its end."""
    (id,) = world.accept()
    disk = reopened(world)
    disk.entries[1].entry.channel = "gone"
    disk.accounts["gone"] = disk.accounts.pop("out")
    world.clock.advance(20 * 86400)
    again = World(disk=disk, clock=world.clock)
    again.turn(PATIENCE)
    assert again.stored(id) is None
    assert [one.envelope.sender for one in again.queued()] == [""]
    again.balance()


def test_a_sender_without_a_route_cannot_be_told(world):
    """The message fails all the same, and no notification is left over."""
    (id,) = world.accept(sender="ann@nowhere.test")
    world.job().report(id, "failed", "550 5.1.1 no")
    world.turn()
    assert not world.queued()
    world.balance()


def test_what_a_dead_program_never_saw_does_not_wait(world):
    """It goes to the next program as soon as one is started; what was begun waits a while."""
    (done,), (begun,), (unseen,) = (world.accept(f"u{n}@x.example") for n in range(3))
    job = world.job()
    job.report(done)
    job.held[unseen].untouched = True
    job.end(signal=9)
    world.turn()
    assert world.history(begun) == ["interrupted"] and world.history(unseen) == []
    assert world.scheduler.state(begun, world.clock.seconds()) == "delayed"
    job = world.job()
    assert ids_of(job.assigned) == [unseen]
    job.report(unseen)
    world.turn(5)
    assert ids_of(job.assigned) == [unseen, begun]
    job.report(begun)
    world.turn()
    assert not world.queued() and not len(world.controller.attempts)


def test_programs_that_die_unseeing_follow_slowly(world):
    """Each a second, two, four after the one before: what they never saw makes them no faster."""
    (id,) = world.accept()
    starts = 0
    for _ in range(60):
        for _ in range(3):
            if world.supervisor.asked:
                starts += 1
                job = world.job()
                job.held[id].untouched = True
                job.end(signal=9)
                world.turn()
        world.turn(1)
    assert 4 <= starts <= 7 and world.history(id) == []
