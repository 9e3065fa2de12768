"""[[retry]]: when mail is tried again and for how long, by destination and by what the last reply said."""

from email import message_from_bytes

import pytest

from jobctl.config.difference import differences
from jobctl.config.loader import load_text
from jobctl.config.settings import RetryRule
from jobctl.controller.reload_effects import effects
from jobctl.errors import ConfigError, StoreError
from jobctl.mail.envelope import Priority
from jobctl.schedule.expiry import UNLIMITED, Life, life_of
from tests.controller_case import CONFIGURATION, DISK_FULL, World
from tests.schedule_case import World as ScheduleWorld
from tests.schedule_case import channel, settings

HOUR, DAY = 3600.0, 86400.0
RULES = """
[[retry]]
where = 'rcpt.domain=b.example and last.code~"4.7"'
backoff = ["PT2M", "PT4M"]
jitter = 0

[[retry]]
where = 'rcpt.domain=b.example'
lifetime = "PT4H"

[[retry]]
where = 'last.text~"mailbox full"'
notices = ["PT1H", "PT3H"]
max_attempts = 20
"""
BACK = '[channel.back]\nofficial_host_name = "back-daemon"\n[rewrite]\n"a.example" = "back"'


def configuration(rules: str) -> str:
    return CONFIGURATION.replace("[rewrite]", BACK) + rules


@pytest.fixture
def world() -> World:
    return World(configuration=configuration(RULES))


def told(world: World) -> list[str]:
    """What the sender was told, by subject."""
    found = []
    for stored in world.queued():
        if stored.entry.channel == "back":
            message = message_from_bytes(world.store.memory.disk.contents[stored.message])
            found.append(str(message["Subject"]).removeprefix("Delivery Notification: Delivery has "))
    return found


def defer(world: World, id: str, reply: str = "450 4.2.0 busy") -> None:
    """One attempt that fails, by a job that ends then."""
    job = world.job()
    job.report(id, "deferred", reply)
    world.turn()
    job.end()
    world.turn()


def reload(world: World, rules: str) -> None:
    world.controller.configured = load_text(configuration(rules), "jobctl.toml", exists=lambda path: True)
    world.controller.settings_changed()
    world.turn()


# In the file.


def test_rules_are_read_in_order():
    """Each with its line; what it does not say is as for the channel."""
    rules = load_text(configuration(RULES), "/x").retry
    assert rules[0] == RetryRule(
        where='rcpt.domain=b.example and last.code~"4.7"',
        backoff=(120.0, 240.0),
        jitter=0.0,
        line=configuration(RULES).split("\n").index("[[retry]]") + 1,
    )
    assert rules[1].lifetime == 4 * HOUR and rules[2].notices == (HOUR, 3 * HOUR)


@pytest.mark.parametrize(
    ("rule", "key", "why"),
    [
        ("[[retry]]\nbackoff = 'PT1M'", "retry[0]", "needs where"),
        ("[[retry]]\nwhere = 'channel=x'", "retry[0]", "says nothing"),
        ("[[retry]]\nwhere = 'chanel=x'\nlifetime = 60", "retry[0].where", "did you mean channel"),
        ("[[retry]]\nwhere = 'channel=x'\nlifetime = 0", "retry[0].lifetime", "out of range"),
        ("[[retry]]\nwhere = 'channel=x'\nnotices = [2, 1]", "retry[0].notices", "must rise"),
        ("[[retry]]\nwhere = 'channel=x'\nlife = 1", "retry[0].life", "did you mean lifetime"),
        ("[retry]\nwhere = 'channel=x'", "retry", "[[retry]]"),
    ],
)
def test_mistakes_are_told_with_their_place(rule, key, why):
    """File, line and key, and what would be right; each once."""
    with pytest.raises(ConfigError) as problems:
        load_text(configuration(rule), "x.toml")
    (problem,) = problems.value.problems
    assert f": {key}: " in problem and why in problem
    assert int(problem.split(":")[1]) > configuration("").count("\n")


def test_what_a_reload_would_change(world):
    """Rules are compared by place and selector."""
    old = load_text(configuration(RULES), "/x")
    new = load_text(configuration("# a comment\n" + RULES.replace("PT4H", "PT5H")), "/x")
    (one,) = differences(old, new)
    assert one.path == ("retry", "2 rcpt.domain=b.example", "lifetime")
    assert (one.old, one.new) == (4 * HOUR, 5 * HOUR)
    world.accept()
    (row,) = world.do(effects(world.controller, [one], new))
    assert row["messages"] == 1 and "at once" in row["effect"]


# What they mean.


def test_a_life_by_a_rule():
    """lifetime sets the last age, notices replaces them all, max_attempts the cap."""
    plain = channel(notices={"normal": (DAY, 4 * DAY)}, max_attempts=9)

    def life(**rule: object) -> Life:
        return life_of(plain, Priority.NORMAL, RetryRule(where="x", **rule))  # type: ignore[arg-type]

    assert life(lifetime=HOUR) == Life((HOUR,), 9)
    assert life(lifetime=2 * DAY) == Life((DAY, 2 * DAY), 9)
    assert life(lifetime=9 * DAY) == Life((DAY, 4 * DAY, 9 * DAY), 9)
    assert life(notices=(1.0, 2.0), max_attempts=3) == Life((1.0, 2.0), 3)
    assert life_of(channel(), Priority.NORMAL).attempts == UNLIMITED


def test_the_first_rule_that_fits_counts(world):
    """By what the reply said: 4.7 is tried every few minutes, anything else as the channel says."""
    (id,) = world.accept()
    waits = []
    for reply in ("450 4.7.1 come back", "450 4.7.1 again", "450 4.7.1 again", "450 4.2.0 busy"):
        before = world.clock.seconds()
        defer(world, id, reply)
        waits.append(world.stored(id).entry.due - before)
        world.turn(waits[-1])
    assert waits[:3] == [120, 240, 240] and 600 <= waits[3] <= 630


def test_a_lifetime_for_one_destination(world):
    """Four hours for b.example, though the channel gives days; others are not concerned."""
    (ours,) = world.accept("bob@b.example")
    (other,) = world.accept("carol@c.example")
    job = world.job()
    for id in (ours, other):
        job.report(id, "deferred", "450 4.2.0 busy")
    world.turn()
    job.end()
    world.turn(4 * HOUR - 1)
    assert world.stored(ours) and told(world) == []
    world.turn(1)
    assert world.stored(ours) is None and world.stored(other)
    assert told(world) == ["timed out and failed"]


def test_a_lifetime_holds_also_before_the_first_attempt(world):
    """Mail for a host that cannot be reached is returned in its time."""
    (id,) = world.accept("bob@b.example")
    world.turn(4 * HOUR)
    assert world.stored(id) is None and told(world) == ["timed out and failed"]


def test_warnings_by_a_rule(world):
    """A full mailbox is told of after an hour, and given up after three."""
    (id,) = world.accept("carol@c.example")
    defer(world, id, "452 4.2.2 Mailbox full")
    world.turn(HOUR)
    assert told(world) == ["been delayed"]
    world.turn(2 * HOUR)
    assert world.stored(id) is None and told(world) == ["been delayed", "timed out and failed"]


def test_rules_hold_after_a_restart(world):
    """They follow from what the store has: nothing is forgotten."""
    (id,) = world.accept("carol@c.example")
    defer(world, id, "452 4.2.2 Mailbox full")
    world.store.memory.close()
    world = World(configuration=configuration(RULES), disk=world.store.memory.disk, clock=world.clock)
    world.turn(3 * HOUR - 1)
    assert told(world) == ["been delayed"]
    world.turn(1)
    assert world.stored(id) is None


def test_rules_lowered_by_a_reload_end_old_mail_once():
    """Properly, with a notification, and not again and again (maddy 678)."""
    world = World(configuration=configuration(""))
    (id,) = world.accept()
    (other,) = world.accept("carol@c.example")
    job = world.job()
    for one in (id, other):
        job.report(one, "deferred", "450 4.2.0 busy")
    world.turn()
    job.end()
    world.turn(5 * HOUR)
    reload(world, RULES)
    world.turn(1)
    assert world.stored(id) is None and world.stored(other) and told(world) == ["timed out and failed"]
    before = len(world.store.calls)
    world.turn(60)
    world.turn(60)
    assert len(told(world)) == 1 and len(world.store.calls) < before + 10


def test_a_reload_never_ends_mail_before_its_rule_is_known():
    """Rules that give a longer life than the channel keep it while they are reloaded."""
    long = "[[retry]]\nwhere = 'last.text~full'\nlifetime = 'P30D'\n"
    world = World(configuration=configuration(long))
    (id,) = world.accept()
    defer(world, id, "450 4.2.2 full")
    world.turn(10 * DAY)
    assert world.stored(id) is not None
    world.store.slow = frozenset({"fetch"})
    reload(world, long + "jitter = 1\n")
    world.turn(1)
    assert world.store.commit() >= 1
    world.turn(HOUR)
    assert world.stored(id) is not None
    world.store.slow = frozenset()
    reload(world, "")
    world.turn(1)
    assert world.stored(id) is None


def test_a_store_that_cannot_be_read_while_rules_are_reloaded():
    """It is asked again; until then nothing is given up."""
    world = World(configuration=configuration(""))
    (id,) = world.accept()
    defer(world, id)
    world.turn(5 * HOUR)
    world.store.broken["fetch"] = StoreError("cannot be read")
    reload(world, RULES)
    world.turn(5)
    assert world.stored(id) is not None
    world.store.broken.clear()
    world.turn(10)
    world.turn(1)
    assert world.stored(id) is None and told(world) == ["timed out and failed"]


def test_without_rules_nothing_is_looked_at(world):
    """The way of a message costs nothing more when there are none."""
    plain = World(configuration=configuration(""))
    for one in (plain, world):
        (id,) = one.accept("carol@c.example")
        defer(one, id)
        one.store.memory.close()
    calls = []
    for one, rules in ((plain, ""), (world, RULES)):
        later = World(configuration=configuration(rules), disk=one.store.memory.disk, clock=one.clock)
        later.turn(1)
        calls.append(later.store.calls.count("fetch"))
    assert calls == [0, 1]


def test_the_schedule_waits_for_what_it_does_not_know():
    """An entry read from the store neither expires nor warns until its rule is known; then it does at once."""
    rules = (RetryRule(where="channel=tcp_local", lifetime=HOUR),)
    configured = settings(channel())
    configured = type(configured)(
        **{name: getattr(configured, name) for name in configured.__struct_fields__} | {"retry": rules}
    )
    world = ScheduleWorld(configured)
    (id,) = world.enqueue(due=world.now + DAY)
    plan = world.plan()
    assert plan.judge == [id] and world.plan().judge == []
    world.now += 2 * DAY
    world.plan()
    assert world.expired == [] and world.warned == []
    entry = world.store.entries[id]
    other = type(entry)(**{name: getattr(entry, name) for name in entry.__struct_fields__} | {"attempts": 7})
    world.scheduler.ruled(entry, 0, world.now)
    assert world.plan().expired == [] and len(world.warned) == 1
    world.scheduler.ruled(other, 1, world.now)
    assert world.plan().expired == [], "an attempt made meanwhile knows better"
    world.scheduler.ruled(entry, 1, world.now)
    world.now += 60
    world.plan()
    assert world.expired == [id]


def test_a_disk_that_is_full_does_not_lose_a_verdict_by_rules(world):
    """The deferral is recorded later, with the interval of its rule."""
    (id,) = world.accept()
    world.store.broken["settle"] = DISK_FULL
    job = world.job()
    job.report(id, "deferred", "450 4.7.1 come back")
    world.turn(1)
    world.store.broken.clear()
    world.turn(10)
    assert world.stored(id).last_reply == "450 4.7.1 come back"
    assert world.stored(id).entry.due <= world.clock.seconds() + 120
