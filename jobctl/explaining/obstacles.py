"""What keeps a queued message from its next attempt: every obstacle, what lasts longest first."""

from collections.abc import Callable, Iterator

from jobctl.config.places import Place, of_channel, of_pool, of_program, of_rule, place_of
from jobctl.config.settings import REPROCESS
from jobctl.explaining.facts import Cause, Facts
from jobctl.mail.counts import counted
from jobctl.mail.envelope import Priority


def obstacles(facts: Facts) -> Iterator[Cause]:
    """Those that stand now, in the order in which they are met."""
    for look in _LOOKS:
        cause = look(facts)
        if cause is not None:
            yield cause


def _nobody(facts: Facts) -> Cause | None:
    if not facts.nobody:
        return None
    return Cause("no_daemon", "no Job Controller runs")


def _changing(facts: Facts) -> Cause | None:
    if not facts.insight.changing:
        return None
    return Cause("changing", "an operator is changing it; it is settled when its attempt is over")


def _standstill(facts: Facts) -> Cause | None:
    if not facts.standstill:
        return None
    text = f"results cannot be recorded, so nothing at all is handed out: {facts.standstill}"
    return Cause("standstill", text)


def _deciding(facts: Facts) -> Cause | None:
    if facts.insight.place != "deciding":
        return None
    return Cause("deciding", "it is being settled without an attempt: too old, or its host is out of reach")


def _gone(facts: Facts) -> Cause | None:
    name = facts.entry.channel
    if name in facts.settings.channels:
        return None
    text = f"channel {name} is not configured (any more); put it back, or move the message to another channel"
    place = Place(f"channel.{name}", instead=f"not in {facts.settings.path}")
    return Cause("channel_gone", text, place=place)


def _no_program(facts: Facts) -> Cause | None:
    name = facts.entry.channel
    if facts.channel.master_command or name not in facts.settings.channels or name == REPROCESS:
        return None
    place = of_program(facts.settings, name, "master_command")
    return Cause("no_program", f"channel {name} has no master program", place=place)


def _stopped(facts: Facts) -> Cause | None:
    if facts.stopped is None:
        return None
    who, since = facts.stopped
    name = facts.entry.channel
    return Cause("stopped", f"channel {name} is stopped by {who}", since=since, who=who)


def _run(facts: Facts) -> Cause | None:
    if facts.insight.place != "run":
        return None
    return Cause("run", "an operator's run has it and offers it in its turn")


def _not_due(facts: Facts) -> Cause | None:
    insight, entry = facts.insight, facts.entry
    due = insight.due
    if insight.place not in ("delayed", "") or due <= facts.now:
        return None
    name, word = entry.channel, Priority(min(entry.priority, Priority.NONURGENT)).word
    last = facts.history[-1].what if facts.history else ""
    if last == "interrupted":
        return Cause("interrupted", f"its last attempt was cut short: {facts.history[-1].text}", until=due)
    if entry.attempts:
        if facts.rule is not None and facts.rule.backoff is not None:
            place = of_rule(facts.settings, facts.rule, "backoff")
        else:
            place = of_channel(facts.settings, name, f"{word}backoff", "backoff")
        said = facts.stored.last_reply or "no reason was given"
        text = f"attempt {entry.attempts} was deferred: {said}"
        return Cause("retry", text, until=due, place=place)
    if facts.stored.last_reply:
        return Cause("given_back", f"it was not tried: {facts.stored.last_reply}", until=due)
    if entry.paused:
        text = "its Deferred-Delivery field asks for a later delivery"
        return Cause("deferred_delivery", text, until=due, place=of_channel(facts.settings, name, "deferred"))
    place = of_channel(facts.settings, name, f"{word}after", "after")
    return Cause("after", "its first attempt is put off", until=due, place=place)


def _window(facts: Facts) -> Cause | None:
    """Its priority goes out at some hours only."""
    opens = facts.insight.opening
    if opens <= facts.now or facts.insight.place in ("deciding", "run"):
        return None
    name, word = facts.entry.channel, Priority(min(facts.entry.priority, Priority.NONURGENT)).word
    place = of_channel(facts.settings, name, f"{word}_delivery")
    return Cause("window", f"{word} mail of channel {name} goes out at other hours", until=opens, place=place)


def _suspect(facts: Facts) -> Cause | None:
    if facts.insight.place != "alone":
        return None
    return Cause("suspect", "programs died with it in hand: it is tried by a job that holds nothing else")


def _host(facts: Facts) -> Cause | None:
    host = facts.insight.host
    if not host.failures and not host.blocked:
        return None
    said = f": {facts.host_reply}" if facts.host_reply else ""
    times = "once" if host.failures == 1 else f"{host.failures} times in a row"
    place = of_channel(facts.settings, facts.entry.channel, "normalbackoff", "backoff")
    if host.blocked and host.until > facts.now and not host.probed:
        text = f"{facts.host} could not be talked to {times}{said}"
        return Cause("host_backoff", text, until=host.until, place=place)
    if host.probed or (host.blocked and not host.lapsed):
        return Cause("probe", f"another message is out to see whether {facts.host} answers again{said}")
    text = f"{facts.host} failed {times}; one message may go out as a probe when its turn comes{said}"
    return Cause("probe_waits", text)


def _deaths(facts: Facts) -> Cause | None:
    channel = facts.insight.channel
    if channel.pause <= facts.now or channel.jobs or not channel.deaths:
        return None
    name = facts.entry.channel
    text = f"{channel.deaths} programs of channel {name} came to nothing, so the next is started later"
    place = of_program(facts.settings, name, "master_command")
    return Cause("throttled", text, until=channel.pause, place=place)


def _ready(facts: Facts) -> bool:
    """It waits for a job and nothing else."""
    insight = facts.insight
    return (
        insight.place == "ready"
        and not insight.host.blocked
        and facts.stopped is None
        and bool(facts.channel.master_command)
    )


def _slots(facts: Facts) -> Cause | None:
    channel, name = facts.insight.channel, facts.entry.channel
    if not _ready(facts) or channel.credit > 0 or channel.starting:
        return None
    if channel.spare <= 0:
        place = of_channel(facts.settings, name, "maxjobs")
        text = f"channel {name} has as many jobs as it may have, {channel.slots}, and none is free"
        return Cause("channel_full", text, place=place)
    if channel.pool_spare <= 0:
        users = ", ".join(f"{other} {slots}" for other, slots in sorted(channel.neighbours.items()))
        text = f"pool {channel.pool} has {counted(channel.pool_limit, 'slot')}, and none is free: {users}"
        return Cause("pool_full", text, place=of_pool(facts.settings, channel.pool))
    return None


def _starting(facts: Facts) -> Cause | None:
    channel = facts.insight.channel
    if not _ready(facts) or channel.credit > 0 or not channel.starting:
        return None
    return Cause("starting", f"a job of channel {facts.entry.channel} is being started for it")


def _busy(facts: Facts) -> Cause | None:
    """Jobs there are, and they take no more now."""
    channel, host = facts.insight.channel, facts.insight.host
    if not _ready(facts) or channel.starting or not channel.jobs:
        return None
    if channel.credit <= 0 and channel.spare > 0 and channel.pool_spare > 0:
        jobs = counted(channel.jobs, "job")
        text = f"channel {facts.entry.channel} has {jobs}, busy with all that can be taken at a time"
        return Cause("no_credit", text, place=of_program(facts.settings, facts.entry.channel, "maxjobs"))
    if channel.credit > 0 and host.site_active >= host.window > 0:
        text = f"{facts.host} has {counted(host.site_active, 'message')} in work, as many as it keeps up with"
        return Cause("host_window", text)
    return None


def _destination(facts: Facts) -> Cause | None:
    """What the configuration allows to one destination is used up."""
    host, name = facts.insight.host, facts.entry.channel
    if not _ready(facts):
        return None
    if host.pace > facts.now:
        place = of_channel(facts.settings, name, "rate_per_host")
        return Cause(
            "host_rate",
            f"{facts.host} has had as many messages as its rate allows",
            until=host.pace,
            place=place,
        )
    if host.most_connections is not None and host.connections >= host.most_connections:
        place = of_channel(facts.settings, name, "max_connections_per_host")
        return Cause(
            "host_connections",
            f"{facts.host} has {counted(host.connections, 'connection')}, all it may have",
            place=place,
        )
    return None


def _behind(facts: Facts) -> Cause | None:
    insight = facts.insight
    if not _ready(facts):
        return None
    if insight.ahead == 0 and not insight.others:
        return None
    ahead = "very many messages" if insight.ahead is None else counted(insight.ahead, "message")
    whose = f"{insight.share} to {facts.host}" if insight.share else facts.host
    text = f"{ahead} of {whose} {'goes' if insight.ahead == 1 else 'go'} before it"
    if insight.others:
        text += f", and {insight.others} of other senders and hosts have their turns in between"
    place = place_of(facts.settings, ("job_controller", "share", insight.share, "weight"))
    if not place.line:
        place = place_of(facts.settings, ("job_controller", "fair_share"))
    return Cause("behind", text, place=place)


def _in_store(facts: Facts) -> Cause | None:
    if facts.insight.place or facts.insight.complete or facts.nobody:
        return None
    text = "it is not among the messages scheduled in memory; it is read when its turn comes near"
    place = place_of(facts.settings, ("job_controller", "max_cache_messages"))
    return Cause("in_store", text, place=place)


_LOOKS: tuple[Callable[[Facts], Cause | None], ...] = (
    _nobody,
    _changing,
    _standstill,
    _deciding,
    _gone,
    _no_program,
    _stopped,
    _run,
    _not_due,
    _window,
    _suspect,
    _host,
    _deaths,
    _slots,
    _starting,
    _destination,
    _busy,
    _behind,
    _in_store,
)
