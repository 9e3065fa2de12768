"""``qm.clean`` and ``qm.top`` in the Job Controller, beside deliveries."""

import msgspec
import pytest
from twisted.internet.defer import ensureDeferred

from jobctl.control.change_requests import QmCancel, QmHold, QmOperations, Undo
from jobctl.control.requests import QmClean, QmTop, Top
from jobctl.controller import searches
from jobctl.errors import UsageError
from jobctl.mail.entry import Lasting
from jobctl.selection.occurrences import Stretch
from tests.controller_case import Terminal, World

COUNTS = ("matched", "done", "failed")
SPAM = b"Subject: make money fast with our offer\r\n\r\nclick here for what nobody needs at all\r\n"


@pytest.fixture
def world(monkeypatch) -> World:
    monkeypatch.setattr(searches, "PAGE", 3)
    monkeypatch.setattr(searches, "PAGE_WITH_CONTENT", 2)
    return World()


def ask(world, operation, request, terminal=None):
    terminal = terminal or Terminal()
    done = ensureDeferred(world.operate(operation, request, terminal))
    world.turn()
    return world.do(done), terminal


def test_hold(world):
    """Messages that contain a text are held, with the reason; others are not touched."""
    spam = [world.accept(f"u{n}@b.example", content=SPAM)[0] for n in range(4)]
    (good,) = world.accept()
    request = QmClean(texts={"subject": "make money fast with our"})
    counts, terminal = ask(world, "qm_clean", request)
    assert {key: counts[key] for key in COUNTS} == {"matched": 4, "done": 4, "failed": 0}
    assert [item["id"] for item in terminal.items] == spam
    assert terminal.items[0]["subject"] == "make money fast with our offer"
    assert all(world.stored(one).state is Lasting.HELD for one in spam)
    assert world.stored(spam[0]).reason == "clean by ann: subject 'make money fast with our'"
    assert world.stored(good).state is Lasting.QUEUED
    assert terminal.progressed[-1] == {"done": 5, "of": 5}
    # What is held is not held again.
    assert ask(world, "qm_clean", request)[0]["matched"] == 0


def test_delete(world):
    """Deleted ones are gone, also those held; the ledger stays balanced; one act on record, to be undone."""
    spam = [world.accept(content=SPAM)[0] for _ in range(3)]
    world.do(world.operate("qm_hold", QmHold(ids=(spam[0],))))
    request = QmClean(texts={"content": "click here for what nobody"}, action="delete")
    counts = ask(world, "qm_clean", request)[0]
    assert {key: counts[key] for key in COUNTS} == {"matched": 3, "done": 3, "failed": 0}
    assert ask(world, "qm_clean", request)[0]["matched"] == 0
    world.balance()
    act = next(one for one in world.do(world.operate("qm_operations", QmOperations())) if one.done)
    assert (act.number, act.what, act.done) == (counts["operation"], "delete", 3)
    assert act.subject == "clean: content 'click here for what nobody'"
    undone = ensureDeferred(world.operate("undo", Undo(operation=act.number), Terminal()))
    world.turn()
    assert len(world.do(undone)["done"]) == 3
    counts = ask(world, "qm_clean", msgspec.structs.replace(request, undo=False))[0]
    assert counts["done"] == 3 and counts["undo_until"] is None and world.queued() == []
    world.balance()


def test_cancelled(world):
    """An act that is cancelled ends after the page it is at, and what is done stays done."""
    for _ in range(9):
        world.accept(content=SPAM)
    world.store.slow = frozenset({"scan"})
    done = ensureDeferred(world.operate("qm_clean", QmClean(texts={"from": "ann"}, min_length=1), Terminal()))
    world.turn(1)
    number = next(iter(world.controller.acts.running))
    ensureDeferred(world.operate("qm_cancel", QmCancel(operation=number)))
    for _ in range(4):
        world.store.commit()
        world.turn(1)
    result = world.do(done)
    assert (result["done"], result["stage"]) == (3, "cancelled")
    world.store.slow = frozenset()
    # Its turn is free again.
    for _ in range(searches.AT_A_TIME):
        assert ask(world, "qm_top", QmTop())[0]["messages"] == 6


def test_look(world):
    """To look changes nothing."""
    (spam,) = world.accept(content=SPAM)
    request = QmClean(texts={"from": "ann"}, min_length=3, action="look")
    counts, terminal = ask(world, "qm_clean", request)
    assert counts == {"matched": 1, "done": 0, "failed": 0} and terminal.items[0]["id"] == spam
    assert world.stored(spam).state is Lasting.QUEUED


def test_in_a_job(world):
    """What a job is delivering right now is left alone and told."""
    (spam,) = world.accept(content=SPAM)
    job = world.job()
    counts, terminal = ask(world, "qm_clean", QmClean(texts={"from": "ann"}, min_length=1))
    assert {key: counts[key] for key in COUNTS} == {"matched": 1, "done": 0, "failed": 1}
    assert "a job is delivering it" in terminal.items[0]["text"]
    job.report(spam)


def test_only_what_was_there(world):
    """A search sees what was queued when it began, and ends however much comes in."""
    for _ in range(4):
        world.accept(content=SPAM)
    world.store.slow = frozenset({"scan"})
    done = ensureDeferred(world.operate("qm_clean", QmClean(texts={"from": "ann"}, min_length=1), Terminal()))
    world.turn(1)
    later = [world.accept(content=SPAM)[0] for _ in range(3)]
    for _ in range(9):
        world.store.commit()
        world.turn(1)
    assert world.do(done)["matched"] == 4
    assert all(world.stored(one).state is Lasting.QUEUED for one in later)


def test_two_at_a_time_and_deliveries_between(world):
    """Searches wait for one another; mail goes out while they do."""
    world.accept(content=SPAM)
    world.store.slow = frozenset({"scan"})
    tops = [ensureDeferred(world.operate("qm_top", QmTop(min_count=1), Terminal())) for _ in range(3)]
    world.turn()
    assert len([one for one in world.store.waiting if one[0] == "scan"]) == 2
    (mail,) = world.accept("new@b.example")
    job = world.job()
    job.report(mail)
    world.turn(1)
    assert world.stored(mail) is None
    for _ in range(9):
        world.store.commit()
        world.turn(1)
    assert [world.do(one)["messages"] >= 1 for one in tops] == [True, True, True]


def test_given_up(world):
    """A client that goes away ends its search."""
    for _ in range(9):
        world.accept(content=SPAM)
    terminal = Terminal()
    terminal.cancelled = True
    assert ask(world, "qm_top", QmTop(), terminal)[0]["messages"] == 3


def test_top(world):
    """The most frequent values, of one channel or all, of the queued or the held."""
    for n in range(5):
        world.accept(f"u{n % 2}@b.example", content=SPAM)
    world.accept("x@gate.example", sender="")
    (held,) = world.accept()
    world.do(world.operate("qm_hold", QmHold(ids=(held,))))
    result = ask(world, "qm_top", QmTop())[0]
    assert result == {
        "messages": 6,
        "parts": [
            {
                "part": "subject",
                "missed": 0,
                "values": [{"count": 5, "value": "make money fast with our offer"}],
            }
        ],
    }
    request = QmTop(parts={"to": Stretch(), "from": Stretch(1, 3)}, min_count=1, top=1, channel="out")
    result = ask(world, "qm_top", request)[0]
    assert [(part["part"], part["values"]) for part in result["parts"]] == [
        ("from", [{"count": 5, "value": "ann"}]),
        ("to", [{"count": 3, "value": "u0@b.example"}]),
    ]
    assert ask(world, "qm_top", QmTop(held=True))[0]["messages"] == 1
    assert ask(world, "qm_top", QmTop(ignore_zz=True))[0]["messages"] == 0


@pytest.mark.parametrize(
    ("operation", "request_", "why"),
    [
        ("qm_clean", QmClean(texts={"subject": "short"}), "fewer than 24"),
        ("qm_clean", QmClean(texts={"from": "<>"}, action="burn"), "no action"),
        ("qm_clean", QmClean(texts={"from": "<>"}, channel="nosuch"), "not configured"),
        ("qm_top", QmTop(parts={"size": Stretch()}), "no part"),
        ("qm_top", QmTop(channel="nosuch"), "not configured"),
    ],
)
def test_refused(world, operation, request_, why):
    """What will not do is told before anything is looked at."""
    with pytest.raises(UsageError, match=why):
        ask(world, operation, request_)
    assert "scan" not in world.store.calls


def test_looking_changes_nothing(world):
    """Counting, searching and comparing leave everything on the disk as it is."""
    for n in range(7):
        world.accept(f"u{n}@b.example", content=SPAM)
    world.job(credit=3)
    disk = world.store.memory.disk
    before = msgspec.json.encode([list(disk.entries.values()), disk.lines])
    for operation, request in (
        ("qm_top", QmTop(parts={"content": Stretch(), "to": Stretch()})),
        ("qm_clean", QmClean(texts={"content": "click"}, min_length=1, action="look")),
        ("top", Top()),
    ):
        ask(world, operation, request)
    assert msgspec.json.encode([list(disk.entries.values()), disk.lines]) == before
