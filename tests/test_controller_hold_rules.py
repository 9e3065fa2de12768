"""Mail that is still to come, held by rules: what an operator relies on."""

import pytest

from jobctl.control.change_requests import HoldAdd, HoldList, HoldRemove, QmAudit, QmDelete, QmReturn
from jobctl.errors import StoreError, UsageError
from jobctl.mail.entry import Lasting
from jobctl.store.memory import MemoryStore
from tests.controller_case import START, Terminal, World


@pytest.fixture
def world() -> World:
    return World()


def do(world, operation, request):
    answer = world.operate(operation, request, Terminal())
    answer = answer if isinstance(answer, list | dict) else world.do(answer)
    world.turn()
    return answer


def add(world, where, **more):
    return do(world, "hold_add", HoldAdd(where=where, **more))


def rules(world):
    return do(world, "hold_list", HoldList())


def kept(world):
    """The rules that the disk has."""
    return [key for topic, key in world.store.memory.disk.remembered if topic == "hold"]


def test_new_mail_is_held(world):
    """What a rule means is held as it comes in, with the rule, its author and the reason; all else goes."""
    (before,) = world.accept("x@b.example")
    rule = add(world, "rcpt.domain=b.example and sender.domain=a.example", reason="partner moves")
    (meant,) = world.accept("y@b.example")
    both = world.accept("z@b.example", "z@c.example")
    (other,) = world.accept("y@b.example", sender="eve@e.example")
    held = {s.entry.id for s in world.queued() if s.state is Lasting.HELD}
    assert held == {meant, both[0]}
    assert world.stored(meant).reason == "hold rule 1 (ann): partner moves" == rule["cause"]
    assert {frame.id for frame in world.job().assigned} == {before, both[1], other}
    assert world.state(meant) is None
    world.balance()


def test_rules_are_shown(world):
    """Number, selector, reason, author, since when and until when; the first that fits holds."""
    add(world, "size>1", reason="one", expires=7200.0)
    add(world, "size>2", reason="two", release=True)
    assert rules(world) == [
        {
            "rule": 1, "where": "size>1", "reason": "one", "author": "ann", "since": START,
            "expires": START + 7200, "release": False, "cause": "hold rule 1 (ann): one",
        },
        {
            "rule": 2, "where": "size>2", "reason": "two", "author": "ann", "since": START,
            "expires": None, "release": True, "cause": "hold rule 2 (ann): two",
        },
    ]  # fmt: skip
    (id,) = world.accept()
    assert world.stored(id).reason == "hold rule 1 (ann): one"


def test_rules_survive_a_restart(world):
    """Neither a rule nor its end is lost with the daemon."""
    add(world, "rcpt=bob@*", expires=3600.0, release=True)
    (one,) = world.accept()
    world.close()
    after = World(disk=world.store.memory.disk, clock=world.clock)
    (two,) = after.accept()
    assert after.stored(two).state is Lasting.HELD
    assert len(rules(after)) == 1
    for _ in range(61):
        after.turn(60)
    assert rules(after) == []
    assert after.stored(one).state is after.stored(two).state is Lasting.QUEUED
    assert not kept(after)


def test_a_rule_expires(world):
    """At its time it holds nothing more; what it has held stays held unless it was to be released."""
    add(world, "rcpt=a@*", expires=3600.0)
    add(world, "rcpt=b@*", expires=3600.0, release=True)
    kept, freed = world.accept("a@b.example") + world.accept("b@b.example")
    world.clock.rightNow += 3600
    (fresh,) = world.accept("a@b.example")
    for _ in range(2):
        world.turn(60)
    assert world.stored(fresh).state is Lasting.QUEUED
    assert world.stored(kept).state is Lasting.HELD
    assert world.stored(freed).state is Lasting.QUEUED
    assert rules(world) == []


def test_an_expiry_that_cannot_be_recorded(world):
    """It holds nothing more all the same, and is removed when the disk has room again."""
    add(world, "rcpt=bob@*", expires=60.0)
    real = world.store.memory.remember

    def refuse(*arguments):
        raise StoreError("no room")

    world.store.memory.remember = refuse
    world.turn(61)
    (one,) = world.accept()
    assert world.stored(one).state is Lasting.QUEUED and kept(world)
    world.store.memory.remember = real
    world.turn(60)
    assert not kept(world)


@pytest.mark.parametrize("release", [False, True])
def test_a_rule_is_removed(world, release):
    """It holds nothing more, and what it has held is released where that is asked for, and nothing else."""
    number = add(world, "rcpt=bob@*")["rule"]
    add(world, "rcpt=carl@*")
    one, other = world.accept() + world.accept("carl@b.example")
    answer = do(world, "hold_remove", HoldRemove(rule=number, release=release))
    assert (answer["released"]["done"] if release else answer["released"]) == ([one] if release else None)
    assert world.stored(one).state is (Lasting.QUEUED if release else Lasting.HELD)
    assert world.stored(other).state is Lasting.HELD
    (two,) = world.accept()
    assert world.stored(two).state is Lasting.QUEUED
    with pytest.raises(UsageError, match=f"no hold rule {number}"):
        do(world, "hold_remove", HoldRemove(rule=number))


def test_our_own_notifications_are_not_held(world):
    """Whoever is to be told of a failure is told, whatever is held."""
    (one,) = world.accept()
    add(world, "channel=*")
    do(world, "qm_return", QmReturn(ids=(one,), undo=False))
    (notice,) = world.queued()
    assert notice.envelope.sender == "" and notice.state is Lasting.QUEUED


def test_rules_are_on_record(world):
    """Who made and who removed a rule can be asked later."""
    number = add(world, "size>1", reason="one", expires=60.0)["rule"]
    do(world, "hold_remove", HoldRemove(rule=number))
    seen = Terminal()
    world.do(world.operate("qm_audit", QmAudit(), seen))
    assert [(act.what, act.subject, act.text) for act in seen.items] == [
        ("hold rule removed", "size>1", "hold rule 1 (ann): one"),
        ("hold rule", "size>1", "one, for 60 seconds"),
    ]


def test_a_rule_that_cannot_be_kept_is_not_made(world):
    """Mistakes, and a disk that does not take it: the operator learns it, and nothing is held."""
    with pytest.raises(UsageError, match=r"did you mean age\?"):
        add(world, "agee>1h")

    def refuse(*arguments):
        raise StoreError("no room")

    world.store.memory.remember = refuse
    with pytest.raises(StoreError):
        add(world, "size>1")
    assert rules(world) == []
    (one,) = world.accept()
    assert world.stored(one).state is Lasting.QUEUED


def test_without_rules_nobody_asks(world, monkeypatch):
    """Mail of those who hold nothing pays nothing for it."""

    def asked(self, submission):
        raise AssertionError("asked")

    monkeypatch.setattr("jobctl.controller.hold_rules.HoldRules.applied", asked)
    assert world.accept()


def test_what_cannot_be_understood_any_more(world):
    """A rule written by another release is told of and holds nothing; the others do."""
    store = MemoryStore(world.clock.seconds, world.store.memory.disk)
    store.disk.remembered["hold", "1"] = (
        '{"number":1,"where":"flavour=sweet","reason":"","author":"a","since":0}'
    )
    store.disk.remembered["hold", "2"] = "nonsense"
    store.disk.remembered["hold", "3"] = (
        '{"number":3,"where":"rcpt=bob@*","reason":"r","author":"a","since":0}'
    )
    world.close()
    after = World(disk=store.disk, clock=world.clock)
    assert [rule["rule"] for rule in rules(after)] == [3]
    (one,) = after.accept()
    assert after.stored(one).state is Lasting.HELD
    do(after, "qm_delete", QmDelete(ids=(one,)))
