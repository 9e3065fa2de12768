"""What operators do and see, while jobs work, the store is slow and the store fails."""

import os

import pytest
from twisted.internet.defer import Deferred, ensureDeferred

from jobctl.control.account_requests import QmShares
from jobctl.control.change_requests import QmDelete, QmHold, QmRelease, QmReturn
from jobctl.control.requests import (
    Attach,
    CacheView,
    Ping,
    Process,
    QmDirectory,
    QmHeld,
    QmHistory,
    QmJobs,
    QmMessages,
    QmRead,
    QmStart,
    QmStop,
    QmSummarize,
    Submit,
    Version,
)
from jobctl.errors import UsageError
from jobctl.mail.entry import Lasting, Loss, Settlement
from jobctl.mail.envelope import Source
from tests.controller_case import (
    ANN,
    CALLER,
    CHANGES,
    CONFIGURATION,
    CONTENT,
    DISK_FULL,
    START,
    Terminal,
    World,
    ids_of,
)


@pytest.fixture
def world() -> World:
    return World()


def hold(world: World, *ids: str, **more):
    return world.do(world.operate("qm_hold", QmHold(ids=ids, **more)))


def release(world: World, *ids: str, **more):
    done = world.do(world.operate("qm_release", QmRelease(ids=ids, **more)))
    world.turn()
    return done


# Changes.


def test_hold_and_release(world):
    """Held mail stays, with its reason; released it goes before all others, at once."""
    one, two = world.accept() + world.accept()
    answer = hold(world, one, reason="wait")
    assert (answer["done"], answer["failed"], answer["count"]) == ([one], [], 1)
    stored = world.stored(one)
    assert (stored.state, stored.reason) == (Lasting.HELD, "wait") and world.state(one) is None
    job = world.job(credit=1)
    assert ids_of(job.assigned) == [two]
    assert release(world, one)["done"] == [one]
    job.report(two, "relayed")
    world.scheduler.grant(job.id, 1)
    world.turn()
    assert ids_of(job.assigned) == [two, one]
    assert world.history(one) == ["held", "released"]
    assert world.stored(one).reason == ""


def test_what_was_left_to_the_store_can_be_released():
    """With memory full of other mail, a released message still goes at once."""
    text = CONFIGURATION.replace("[job_controller]", "[job_controller]\nmax_cache_messages = 100")
    world = World(configuration=text)
    (held,) = world.accept()
    hold(world, held)
    for _ in range(150):
        world.accept()
    release(world, held)
    assert ids_of(world.job(credit=1).assigned) == [held]


def test_each_change_says_why_it_cannot_be(world):
    """Held already, not held, in a job's hands, gone."""
    one, two = world.accept() + world.accept()
    assert "not held" in release(world, one)["failed"][0]["text"]
    hold(world, one)
    assert "held already" in hold(world, one)["failed"][0]["text"]
    job = world.job()
    assert ids_of(job.assigned) == [two]
    for operation, request in (
        ("qm_hold", QmHold(ids=(two,))),
        ("qm_delete", QmDelete(ids=(two,))),
        ("qm_return", QmReturn(ids=(two,))),
    ):
        answer = world.do(world.operate(operation, request))
        assert not answer["done"] and "a job is delivering it" in answer["failed"][0]["text"]
    (failure,) = hold(world, one, channel="gate")["failed"]
    assert "queued to out, not to gate" in failure["text"] and failure["exit"] == os.EX_NOINPUT
    with pytest.raises(UsageError, match="-channel"):
        hold(world, all=True)
    with pytest.raises(UsageError, match="not configured"):
        hold(world, all=True, channel="nonsense*")


@pytest.mark.parametrize(
    ("operation", "request_type"),
    [("qm_hold", QmHold), ("qm_release", QmRelease), ("qm_return", QmReturn), ("qm_delete", QmDelete)],
)
def test_an_unknown_id_does_not_keep_the_others(world, operation, request_type):
    """One of the ids given is mistyped: the others are done, and that one is told of, as not there."""
    (id,) = world.accept()
    if request_type is QmRelease:
        hold(world, id)
    answer = world.do(world.operate(operation, request_type(ids=("Q99", id, "Q99", "no id"))))
    assert answer["done"] == [id]
    assert [failure["id"] for failure in answer["failed"]] == ["Q99", "no id"]
    assert all(failure["exit"] == os.EX_NOINPUT for failure in answer["failed"])
    assert "no message Q99" in answer["failed"][0]["text"]


def test_what_passes_and_what_does_not_are_told_apart(world):
    """A message in a job's hands may be changed later, one that is gone never."""
    (id,) = world.accept()
    world.job()
    answer = world.do(world.operate("qm_hold", QmHold(ids=(id, "Q99"))))
    assert {failure["id"]: failure["exit"] for failure in answer["failed"]} == {
        id: os.EX_TEMPFAIL,
        "Q99": os.EX_NOINPUT,
    }


def test_a_verdict_on_its_way_to_the_disk_is_not_overtaken(world):
    """Reported, its job gone, not committed yet: nobody may change it under the result."""
    (id,) = world.accept()
    job = world.job()
    world.store.slow = CHANGES
    job.report(id, "relayed")
    job.end()
    answer = world.do(world.operate("qm_hold", QmHold(ids=(id,))))
    assert answer["failed"] and not answer["done"]
    world.store.commit()
    world.turn()
    assert not world.queued()


def test_what_is_being_returned_for_its_age_is_not_changed(world):
    """Its expiry is under way."""
    (id,) = world.accept()
    world.store.slow = frozenset({"settle"})
    world.turn(5 * 86400)
    answer = world.do(world.operate("qm_delete", QmDelete(undo=False, ids=(id,))))
    assert answer["failed"]
    world.store.commit()
    world.balance()


def test_delete(world):
    """Gone for ever, counted as deleted, nobody is told; naming it twice does it once."""
    (id,) = world.accept("a@b.example", "c@b.example")
    answer = world.do(world.operate("qm_delete", QmDelete(undo=False, ids=(id, id))))
    assert (answer["done"], answer["failed"], answer["undo_until"]) == ([id], [], None)
    assert not world.queued() and world.state(id) is None
    assert world.do(world.store.ledger())["out"]["deleted"] == 2
    world.balance()


def test_return(world):
    """The sender gets a notification with the reason; it goes out like any mail."""
    (id,) = world.accept()
    answer = world.do(world.operate("qm_return", QmReturn(undo=False, ids=(id,), reason="not today")))
    assert answer["done"] == [id]
    (notice,) = world.queued()
    job = world.job()
    assert b"not today" in job.contents[notice.entry.id]
    world.balance()


def test_return_tells_of_those_who_are_left(world):
    """While the command looks, one of the two is delivered: the sender is not told that it failed."""
    (id,) = world.accept("a@b.example", "c@b.example")
    job = world.job()
    world.store.slow = frozenset({"fetch"})
    answered = ensureDeferred(world.operate("qm_return", QmReturn(undo=False, ids=(id,))))
    job.results(id, a="relayed", c="deferred")
    world.turn()
    job.report(id, "deferred", "450 later")
    world.turn()
    world.store.slow = frozenset()
    world.store.commit()
    assert world.do(answered)["done"] == [id]
    (notice,) = world.queued()
    text = world.store.memory.disk.contents[notice.message]
    assert b"rfc822;c@b.example" in text and b"rfc822;a@b.example" not in text
    world.balance()


def test_two_operators_at_once(world):
    """One deletes what the other returns: one of them did it, nobody is told wrongly, nothing is left."""
    (id,) = world.accept()
    world.store.slow = CHANGES
    delete = ensureDeferred(world.operate("qm_delete", QmDelete(undo=False, ids=(id,))))
    give_back = ensureDeferred(world.operate("qm_return", QmReturn(undo=False, ids=(id,))))
    world.store.commit()
    assert world.do(delete)["done"] == [id]
    assert "another operator" in world.do(give_back)["failed"][0]["text"]
    world.store.slow = frozenset()
    world.turn()
    assert not world.queued() and world.state(id) is None
    world.balance()


def test_what_has_left_between_two_looks(world):
    """Chosen by one look, gone at the next."""
    (id,) = world.accept()
    world.store.slow = frozenset({"fetch"})
    delete = ensureDeferred(world.operate("qm_delete", QmDelete(undo=False, ids=(id,))))
    world.store.commit(1)
    world.do(world.store.memory.settle(Settlement(id=id, losses=(("bob@b.example", Loss.DELETED),))))
    world.store.commit()
    assert "left the queue" in world.do(delete)["failed"][0]["text"]


def test_return_from_a_channel_that_is_no_longer_configured(world):
    """Its mail can be given back all the same."""
    (id,) = world.accept()
    world.store.memory.disk.entries[1].entry.channel = "gone"
    world.store.memory.disk.accounts["gone"] = world.store.memory.disk.accounts.pop("out")
    assert world.do(world.operate("qm_return", QmReturn(undo=False, ids=(id,))))["done"] == [id]


def test_all_of_a_channel(world):
    """Hold, release, return by channel: each takes what it means, page by page; its own notifications not."""
    ids = [world.accept()[0] for _ in range(130)]
    hold(world, ids[0])
    assert hold(world, channel="out", all=True)["done"] == ids[1:]
    (fresh,) = world.accept()
    answer = release(world, channel="ou*", all=True)
    assert answer["done"] == ids and not answer["failed"]
    answer = world.do(world.operate("qm_return", QmReturn(undo=False, channel="out", all=True)))
    assert answer["done"] == [*ids, fresh]
    assert [one.envelope.sender for one in world.queued()] == [""] * 131
    world.balance()


@pytest.mark.parametrize("operation", ["fetch", "settle"])
def test_a_change_that_cannot_be_recorded_changes_nothing(world, operation):
    """The store fails in the middle: the message goes on as if nothing had been asked."""
    (id,) = world.accept()
    held, _ = world.accept("x@c.example") + world.accept("x@d.example")
    hold(world, held)
    world.store.broken[operation] = DISK_FULL
    for name, request in (
        ("qm_hold", QmHold(ids=(id,))),
        ("qm_delete", QmDelete(ids=(id,))),
        ("qm_return", QmReturn(ids=(id,))),
        ("qm_release", QmRelease(ids=(held,))),
        ("qm_delete", QmDelete(ids=(held,))),
    ):
        try:
            answer = world.do(world.operate(name, request))
        except Exception as why:
            assert why is DISK_FULL
        else:
            assert answer["failed"][0]["text"] == "the disk is gone" and not answer["done"]
    world.store.broken.clear()
    world.turn()
    assert world.state(held) is None and world.stored(held).state is Lasting.HELD
    assert id in ids_of(world.job().assigned)


def test_a_failed_change_of_mail_that_is_only_in_the_store(world):
    """What memory has no room for comes back to the schedule's view too."""
    (id,) = world.accept()
    disk = world.store.memory.disk
    world.store.memory.close()
    world = World(disk=disk, clock=world.clock)
    world.scheduler.remove(id)
    world.scheduler.add(world.stored(id).entry, START)
    entry = world.scheduler.remove(id)
    assert entry is not None
    world.store.broken["settle"] = DISK_FULL
    world.do(world.operate("qm_delete", QmDelete(undo=False, ids=(id,))))
    world.store.broken.clear()
    world.turn()
    assert ids_of(world.job().assigned) == [id]


def test_an_error_in_one_change_leaves_the_others(world, monkeypatch):
    """A bug with one message: it stays queued and is told; the others are done."""
    one, two = world.accept() + world.accept()
    real = world.controller.verdicts.returned

    def returned(stored, *rest):
        if stored.entry.id == one:
            raise RuntimeError("bug")
        return real(stored, *rest)

    monkeypatch.setattr(world.controller.verdicts, "returned", returned)
    answer = world.do(world.operate("qm_return", QmReturn(undo=False, ids=(one, two))))
    assert answer["done"] == [two] and "bug" in answer["failed"][0]["text"]
    world.turn()
    assert one in ids_of(world.job().assigned)


def test_stop_and_start(world):
    """A stopped channel's jobs finish what they hold; it stays stopped over a restart; start goes on at once."""
    (id,) = world.accept()
    job = world.job()
    assert world.do(world.operate("qm_stop", QmStop(channel="ou*"))) == {"channels": ["out"]}
    assert job.stopped
    world.scheduler.grant(job.id, 5)
    (second,) = world.accept()
    world.turn(100)
    assert ids_of(job.assigned) == [id]
    job.report(id, "relayed")
    job.end()
    world.turn(100)
    assert world.state(second) == "ready" and not world.supervisor.asked
    disk = world.store.memory.disk
    world.store.memory.close()
    world = World(disk=disk, clock=world.clock)
    world.turn(100)
    assert not world.supervisor.asked
    assert world.do(world.operate("qm_start", QmStart(channel="*"))) == {"channels": ["out"]}
    assert ids_of(world.job().assigned) == [second]


def test_a_stop_reaches_jobs_that_are_just_starting(world):
    """Asked for before, begun after: it gets nothing and is told to stop."""
    world.accept()
    world.turn()
    world.do(world.operate("qm_stop", QmStop(channel="out")))
    job = world.job()
    assert not job.assigned and job.stopped


def test_a_stop_that_cannot_be_stored_stops_nothing(world):
    """It would not survive a restart, so it is an error."""
    (id,) = world.accept()
    world.store.broken["set_stopped"] = DISK_FULL
    with pytest.raises(type(DISK_FULL)):
        world.do(world.operate("qm_stop", QmStop(channel="out")))
    assert ids_of(world.job().assigned) == [id]


# Looks.


def test_summarize(world):
    """Every channel: ready, active, delayed, held, octets, oldest, stopped."""
    one, two, _three = world.accept() + world.accept() + world.accept()
    hold(world, one)
    job = world.job(credit=2)
    job.report(two, "deferred", "450 no")
    world.turn()
    world.do(world.operate("qm_stop", QmStop(channel="gate")))
    rows = {row["channel"]: row for row in world.do(world.operate("qm_summarize", QmSummarize()))}
    out = rows["out"]
    assert {name: out[name] for name in ("messages", "ready", "active", "delayed", "held")} == {
        "messages": 3,
        "ready": 0,
        "active": 1,
        "delayed": 1,
        "held": 1,
    }
    assert out["size"] == 3 * len(CONTENT) and out["oldest"] == START and not out["stopped"]
    assert rows["gate"]["stopped"] and rows["gate"]["messages"] == 0


def test_all_lists_agree_on_a_host_that_is_backed_off(world):
    """What waits for a host that failed is delayed in every list, until the host is tried again."""
    ids = world.accept() + world.accept()
    (stored, _) = world.do(world.store.fetch(ids))
    host = stored.entry.host
    until = world.scheduler.host_failed("out", host, START).until
    rows = {row["channel"]: row for row in world.do(world.operate("qm_summarize", QmSummarize()))}
    assert (rows["out"]["ready"], rows["out"]["delayed"]) == (0, 2)
    for op, request in (("qm_directory", QmDirectory()), ("cache_view", CacheView())):
        seen = Terminal()
        world.do(world.operate(op, request, seen))
        assert [(row["id"], row["state"], row["next_attempt"]) for row in seen.items] == [
            (id, "delayed", until) for id in ids
        ]


def test_shares(world):
    """Senders' domains, what each has waiting and got, and the index of fairness."""
    world.accept(), world.accept(sender="eve@E.example")
    world.accept(sender="")
    world.job()
    (row,) = world.operate("qm_shares", QmShares())
    assert row["channel"] == "out" and 0.9 < row["jain"] <= 1
    assert {share["share"]: share["handed"] for share in row["shares"]} == {
        "a.example": 1,
        "e.example": 1,
        "<>": 1,
    }
    assert all(share["active"] == 1 and share["weight"] == 1 for share in row["shares"])
    assert world.operate("qm_shares", QmShares(channel="gate")) == []


def test_directory_and_held(world):
    """Items with the stable keys; limits, states, senders and wildcards select."""
    one, two = world.accept() + world.accept(sender="eve@e.example")
    hold(world, one)
    seen = Terminal()
    assert world.do(world.operate("qm_directory", QmDirectory(), seen)) == 2
    assert [(row["id"], row["state"], row["next_attempt"]) for row in seen.items] == [
        (one, "held", None),
        (two, "ready", START),
    ]
    seen = Terminal()
    assert world.do(world.operate("qm_directory", QmDirectory(channel="o*", sender="eve"), seen)) == 1
    assert seen.items[0]["id"] == two and "reason" not in seen.items[0]
    seen = Terminal()
    assert world.do(world.operate("qm_directory", QmDirectory(limit=1), seen)) == 1
    seen = Terminal()
    assert world.do(world.operate("qm_held", QmHeld(), seen)) == 1
    assert seen.items[0]["reason"] == "by ann"
    seen.cancelled = True
    assert world.do(world.operate("qm_directory", QmDirectory(), seen)) == 2


WHERE = [
    ("sender=eve@e.example", ["two"]),
    ("rcpt.domain=c.example and state=held", ["three"]),
    ("state=held", ["one", "three"]),
    ("state=ready", ["two"]),
    ("not state=held", ["two"]),
    ("id in (Q1, Q3)", ["one", "three"]),
    ("id=q2 and state=held", []),
    ("channel=o*", ["one", "two", "three"]),
    ("channel=gate", []),
    ("host=c.example", ["two", "three"]),
    ("size>10 and size<1KB and age<1s and attempts=0 and priority=normal", ["one", "two", "three"]),
    ("source=in or reason~ann", ["one", "two", "three"]),
    ("reason~ann", ["one", "three"]),
]


@pytest.mark.parametrize(("where", "expected"), WHERE)
def test_lists_by_selector(world, where, expected):
    """One language chooses in every list: directory, held, messages and history."""
    one, two, three = (
        *world.accept(),
        *world.accept("x@c.example", sender="eve@e.example"),
        *world.accept("y@c.example"),
    )
    names = {one: "one", two: "two", three: "three"}
    hold(world, one, three)
    seen = Terminal()
    assert world.do(world.operate("qm_directory", QmDirectory(where=where), seen)) == len(expected)
    assert [names[row["id"]] for row in seen.items] == expected
    seen = Terminal()
    world.do(world.operate("qm_held", QmHeld(where=where), seen))
    assert [names[row["id"]] for row in seen.items] == [name for name in expected if name != "two"]
    rows = world.do(world.operate("qm_messages", QmMessages(channel="*", where=where)))
    assert sum(row["active"] + row["delayed"] for row in rows) == expected.count("two")
    seen = Terminal()
    world.do(world.operate("qm_history", QmHistory(where=where), seen))
    assert [names[row["id"]] for row in seen.items] == [name for name in expected if name != "two"]


def test_a_list_of_one_channel_reads_no_other(world):
    """What a selector says of channel, host, state and id is asked of the store."""
    world.accept("x@b.example", "z@gate.example")
    asked = []
    directory = world.store.memory.directory
    world.store.memory.directory = lambda **keys: asked.append(keys) or directory(**keys)
    where = "channel=ga* and host in (x, y) and state=queued and age<1h"
    world.do(world.operate("qm_directory", QmDirectory(where=where), Terminal()))
    assert [(keys["channel"], keys["held"], sorted(keys["hosts"])) for keys in asked] == [
        ("gate", False, ["x", "y"])
    ]
    asked.clear()
    world.do(world.operate("qm_held", QmHeld(where="state=queued"), Terminal()))
    world.do(world.operate("qm_directory", QmDirectory(where="id=Q1 and age<1h"), Terminal()))
    assert asked == []


def test_a_selector_that_cannot_be_understood(world):
    """It is refused with the place of the mistake, before anything is read."""
    for name, request in (
        ("qm_directory", QmDirectory(where="agee>1h")),
        ("qm_messages", QmMessages(channel="out", where="agee>1h")),
        ("qm_history", QmHistory(where="agee>1h")),
    ):
        with pytest.raises(UsageError, match=r'column 1, at "agee>1h": .* did you mean age\?'):
            world.do(world.operate(name, request, Terminal()))


def test_a_slow_reader_is_waited_for(world):
    """Lists are not piled up in memory."""
    world.accept()

    class Slow(Terminal):
        def send(self, *items):
            super().send(*items)
            self.more = Deferred()
            return self.more

        def content(self, data):
            super().content(data)
            self.more = Deferred()
            return self.more

    (id,) = [stored.entry.id for stored in world.queued()]
    for name, request in (
        ("qm_directory", QmDirectory()),
        ("cache_view", CacheView()),
        ("qm_history", QmHistory(ids=(id,))),
        ("qm_read", QmRead(message=id, content=True)),
    ):
        if name == "qm_history":
            hold(world, id)
        stream = Slow()
        done = ensureDeferred(world.operate(name, request, stream))
        assert not done.called, name
        stream.more.callback(None)
        if not done.called:
            stream.more.callback(None)
        world.do(done)


def test_messages_of_all_channels_that_are_meant(world):
    """A pattern that means several channels shows the hosts of all of them."""
    world.accept("x@b.example", "y@c.example", "z@gate.example")
    rows = world.do(world.operate("qm_messages", QmMessages(channel="*")))
    assert rows == [
        {"host": "", "active": 1, "delayed": 0},
        {"host": "b.example", "active": 1, "delayed": 0},
        {"host": "c.example", "active": 1, "delayed": 0},
    ]
    with pytest.raises(UsageError, match="not configured"):
        world.do(world.operate("qm_messages", QmMessages(channel="nonsense")))


def test_jobs_and_processes(world):
    """Who works, on what, since when, with what success."""
    one, two = world.accept() + world.accept()
    job = world.job()
    job.report(one, "deferred", "450 no")
    (row,) = world.operate("qm_jobs", QmJobs(channel="out"))
    assert row["job"] == job.id and row["messages"] == [two] and row["hosts"] == {"b.example": 1}
    assert (row["processed"], row["failed"]) == (1, 1)
    assert world.operate("qm_jobs", QmJobs(channel="gate")) == []
    controller, master = world.operate("process", Process())
    assert controller["role"] == "controller" and master["program"] == "master"
    with pytest.raises(UsageError):
        world.operate("qm_jobs", QmJobs(channel="nonsense"))


def test_history(world):
    """Every attempt, oldest first, by id or by channel."""
    (id,) = world.accept()
    world.job().report(id, "deferred", "450 no")
    world.turn()
    for request in (QmHistory(ids=(id,)), QmHistory(channel="out", all=True)):
        seen = Terminal()
        assert world.do(world.operate("qm_history", request, seen)) == 1
        assert seen.items[0]["text"] == "450 no" and seen.items[0]["recipient"] == "bob@b.example"
    with pytest.raises(UsageError, match="no message"):
        world.do(world.operate("qm_history", QmHistory(ids=("Q99",)), Terminal()))
    seen.cancelled = True
    assert world.do(world.operate("qm_history", QmHistory(ids=(id, id)), seen)) == 1


def test_read(world):
    """The envelope and the header, or all of it; a message that is gone is said to be."""
    (id,) = world.accept(content=CONTENT + b"x" * 200_000)
    seen = Terminal()
    assert world.do(world.operate("qm_read", QmRead(message=id), seen)) == {"octets": 12}
    assert seen.octets == b"Subject: s\r\n" and seen.items[0]["id"] == id
    seen = Terminal()
    world.do(world.operate("qm_read", QmRead(message=id, content=True), seen))
    assert seen.octets == CONTENT + b"x" * 200_000
    with pytest.raises(UsageError, match="no message"):
        world.do(world.operate("qm_read", QmRead(message="Q99"), seen))


def test_cache_view(world):
    """What the schedule has in memory, page by page."""
    for _ in range(501):
        world.accept()
    seen = Terminal()
    assert world.do(world.operate("cache_view", CacheView(channel="out"), seen)) == 501
    assert seen.items[0]["state"] == "ready" and len({row["id"] for row in seen.items}) == 501
    assert world.do(world.operate("cache_view", CacheView(channel="gate"), Terminal())) == 0
    with pytest.raises(UsageError, match="not configured"):
        world.do(world.operate("cache_view", CacheView(channel="nosuch"), Terminal()))
    seen.cancelled = True
    assert world.do(world.operate("cache_view", CacheView(), seen)) == 500


def test_version_and_ping(world):
    """Which release runs, where."""
    assert world.operate("ping", Ping()) == "jobctl"
    version = world.operate("version", Version())
    assert version["started"] == START and version["configuration"] == "jobctl.toml"


# Submit and attach.


def test_submit_starts_what_is_due_and_returns(world):
    """Backoff is respected; the answer counts the jobs of that channel."""
    assert world.operate("submit", Submit(channel="out")) == {"channel": "out", "started": 0}
    world.store.slow = CHANGES
    world.controller.intake.accept(ANN, Source("in"), CONTENT, len(CONTENT))
    world.store.commit()
    assert world.operate("submit", Submit(channel="out")) == {"channel": "out", "started": 1}
    assert world.operate("submit", Submit(channel="out", poll=True))["started"] == 1
    assert world.operate("submit", Submit(channel="in", poll=True))["started"] == 0
    with pytest.raises(UsageError, match="did you mean out"):
        world.operate("submit", Submit(channel="ot"))


def attach(world: World, role: str, channel: str = "out"):
    return world.controller.operations.attach(Attach(channel=channel, role=role), CALLER, None)


def test_a_master_by_hand_gets_all_there_is_and_ends(world):
    """Everything that is queued, backoff or not; then it is told to stop; no other job is started for it."""
    (id,) = world.accept()
    job = world.job()
    job.report(id, "deferred", "450 no")
    job.end()
    world.turn()
    by_hand = attach(world, "master")
    by_hand.hello()
    world.turn()
    assert ids_of(by_hand.assigned) == [id]
    assert not world.supervisor.asked
    by_hand.report(id, "relayed")
    world.turn()
    assert by_hand.stopped
    by_hand.end(None)
    world.turn()
    assert not world.queued()


def test_a_master_by_hand_that_leaves_gives_everything_back(world):
    """Also when it never said hello: its mail goes on as before."""
    (id,) = world.accept()
    attach(world, "master").end(None)
    world.turn(100)
    by_hand = attach(world, "master")
    by_hand.hello()
    world.turn()
    by_hand.end(None)
    world.turn(700)
    assert world.state(id) in ("ready", "active") and world.history(id) == ["interrupted"]
    assert ids_of(world.job().assigned) == [id]


def test_an_attach_that_fails_sets_nothing_aside(world, monkeypatch):
    """An error in supervision: the mail is not kept for a job that never comes."""
    (id,) = world.accept()
    world.turn()
    monkeypatch.setattr(world.supervisor, "attach", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        attach(world, "master")
    assert ids_of(world.job().assigned) == [id]


def test_a_slave_by_hand(world):
    """It brings mail in like any other; a role that is none is an error."""
    attach(world, "slave", "in")
    with pytest.raises(UsageError, match="master or slave"):
        attach(world, "boss")
