"""The explanation of one message: who has it, what keeps it, what comes next, how it ends."""

from collections.abc import Iterator

import msgspec

from jobctl.config.overlay import CHANNEL, OPTIONS
from jobctl.config.places import Place, of_channel, of_rule, of_tls_policy
from jobctl.config.towards import towards
from jobctl.explaining.deadlines import deadline_note, ends_by_deadline
from jobctl.explaining.facts import Cause, Ending, Explanation, Facts, Holder
from jobctl.explaining.holds import taken_away, why_held
from jobctl.explaining.obstacles import obstacles
from jobctl.mail.entry import Lasting
from jobctl.mail.envelope import Priority
from jobctl.notification.notice import Kind, wants
from jobctl.schedule.expiry import UNLIMITED, expires_at, life_of

# What only somebody can end.
_WAITS_FOR_SOMEBODY = {
    "no_daemon": "when the Job Controller runs again",
    "channel_gone": "when the channel is configured again",
    "no_program": "when the channel has a program",
    "stopped": "when the channel is started ('jobctl qm start')",
    "standstill": "when results can be recorded again",
}


def explain(facts: Facts) -> Explanation:
    """One causal chain; the first cause is the one that decides now."""
    if facts.stored.state is Lasting.HELD:
        held = why_held(facts)
        return Explanation(
            state="held",
            causes=(held,),
            next_attempt=held.until,
            next_text="when it is released ('jobctl qm release')"
            if held.until is None
            else "by the end of the rule",
            ending=Ending(None, "held messages do not expire"),
            notes=_notes(facts),
        )
    if facts.stored.state is Lasting.GRACE:
        return Explanation(
            state="grace",
            causes=(taken_away(facts),),
            next_attempt=None,
            next_text="not any more, unless it is taken back",
            ending=Ending(None, "nothing more happens to it"),
        )
    if facts.insight.place == "active":
        return _active(facts)
    causes = tuple(_as_changed(facts, cause) for cause in obstacles(facts))
    at, text = _next(facts, causes)
    ending = _ending(facts)
    if at is not None and ending.when is not None and facts.now < ending.when <= at:
        at, text = None, "none: its life ends before"
    return Explanation(
        state=facts.insight.state,
        causes=causes or (Cause("next", "nothing keeps it: it is handed to a job now"),),
        next_attempt=at,
        next_text=text,
        ending=ending,
        notes=_notes(facts),
    )


def _as_changed(facts: Facts, cause: Cause) -> Cause:
    """What an operator set while it runs is responsible, not the line that it is laid over."""
    if cause.place is None:
        return cause
    keyword = cause.place.key.rpartition(".")[2]
    for change in facts.changes:
        option = OPTIONS.get(change.scope, {}).get(change.option)
        meant = change.scope != CHANNEL or change.name == facts.entry.channel
        if option is not None and option.key.name == keyword and meant:
            place = Place(cause.place.key, instead=f"set to {change.value} by {change.author}: cache change")
            return msgspec.structs.replace(cause, place=place, who=cause.who or change.author)
    return cause


def _active(facts: Facts) -> Explanation:
    holder = facts.holder
    if holder is None or holder.phase == "recording":
        job = facts.insight.job or (holder.job if holder else "")
        text = f"its attempt by job {job} is over, and what came of it is being recorded"
        causes = [Cause("recording" if holder else "handing_over", text)]
        if holder is None:
            causes = [Cause("handing_over", f"it is being read, to be handed to job {job}")]
    else:
        causes = [Cause("delivering", _delivering(facts, holder), since=holder.began)]
    if facts.insight.changing:
        causes.append(Cause("changing", "an operator has changed it; that counts when its attempt is over"))
    if facts.standstill:
        causes.append(Cause("standstill", f"results cannot be recorded: {facts.standstill}"))
    return Explanation(
        state="active",
        causes=tuple(causes),
        next_attempt=None,
        next_text="under way",
        ending=_ending(facts),
        holder=holder,
        notes=_notes(facts),
    )


def _delivering(facts: Facts, holder: Holder) -> str:
    who, whom = f"job {holder.job} ({holder.program})", holder.remote or facts.host
    if holder.phase == "in hand":
        what = f"{who} has it in hand for {whom}"
    elif holder.phase == "dot":
        what = f"{who} has sent it to {whom}; the reply is awaited"
    else:
        sent = f", {holder.octets} of {facts.entry.size} octets have gone" if holder.octets else ""
        what = f"{who} is at {holder.phase} with {whom}{sent}"
    return f"{what}; the job leaves after it" if holder.leaving else what


def _next(facts: Facts, causes: tuple[Cause, ...]) -> tuple[float | None, str]:
    for cause in causes:
        if cause.code in _WAITS_FOR_SOMEBODY:
            return None, _WAITS_FOR_SOMEBODY[cause.code]
    times = [cause.until for cause in causes if cause.until is not None]
    known = facts.insight.next_attempt
    at = max([*times, *([] if known is None else [known])], default=None)
    if any(cause.code == "changing" for cause in causes):
        return None, "when the operator's change is done"
    if at is not None and at > facts.now:
        return at, "as a probe, if it is the first of its host" if _failing(causes) else ""
    waits = [cause for cause in causes if cause.code in _IN_WORDS]
    return (facts.now, "now") if not waits else (None, _IN_WORDS[waits[0].code])


_IN_WORDS = {
    "run": "in its turn of the run",
    "deciding": "not any more, or after what is being decided",
    "probe": "when the probe has been answered",
    "probe_waits": "as a probe, or after the one of its host has been answered",
    "channel_full": "as soon as a job of the channel is free",
    "pool_full": "as soon as a slot of the pool is free",
    "suspect": "as soon as a job has nothing else in hand",
    "starting": "as soon as the job has started",
    "no_credit": "as soon as a job takes more",
    "host_connections": "as soon as one of its connections is free",
    "host_window": "as soon as its host has answered to one of those",
    "behind": "in its turn",
    "in_store": "in its turn",
}


def _failing(causes: tuple[Cause, ...]) -> bool:
    return any(cause.code == "host_backoff" for cause in causes)


def _ending(facts: Facts) -> Ending:
    entry, stored = facts.entry, facts.stored
    word = Priority(min(entry.priority, Priority.NONURGENT)).word
    told = any(wants(stored.envelope, one, Kind.TIMEDOUT) for one in stored.envelope.recipients)
    if not stored.envelope.sender:
        text = "it is removed; it has no sender to be told"
    elif not told:
        text = "it is removed; its sender asked not to be told"
    else:
        text = f"it is returned to {stored.envelope.sender}"
    if _copied(facts):
        text += ", and the postmaster gets a copy"
    rule = facts.rule
    life = life_of(facts.channel, entry.priority, rule)
    place: Place | None = of_channel(facts.settings, entry.channel, f"{word}notices", "notices")
    if rule is not None and (rule.lifetime is not None or rule.notices is not None):
        place = of_rule(facts.settings, rule, "notices" if rule.lifetime is None else "lifetime")
    if life.attempts < UNLIMITED:
        text += f", at the latest after attempt {life.attempts}"
    by = stored.envelope.by
    if by is not None and ends_by_deadline(entry, life):
        text += f", because its sender asked for BY={by.text}"
        place = None
    warned = any(wants(stored.envelope, one, Kind.DELAYED) for one in stored.envelope.recipients)
    end = expires_at(life, entry)
    warnings = [entry.born + age for age in life.ages[:-1] if age > entry.warned] if warned else []
    return Ending(
        when=end,
        text=text,
        place=place,
        warnings=tuple(at for at in warnings if at < end),
    )


def _copied(facts: Facts) -> bool:
    """Whether the postmaster is told of its end, too (the ``sendpost`` family)."""
    word = facts.channel.sendpost
    # Who has no address cannot be told, which is what errsendpost is for.
    return word == "sendpost" or word == ("copysendpost" if facts.stored.envelope.sender else "errsendpost")


def _notes(facts: Facts) -> tuple[str, ...]:
    stored, notes = facts.stored, []
    if stored.envelope.by is not None:
        notes.append(deadline_note(stored, facts.now))
    if stored.suspect:
        times = "an attempt" if stored.suspect == 1 else f"{stored.suspect} attempts"
        notes.append(f"{times} ended after the final dot without a reply: it may have been delivered before")
    if stored.deaths:
        notes.append(f"{stored.deaths} programs died holding it; it is set aside at the third")
    if facts.entry.priority > Priority.NORMAL:
        notes.append(f"its priority is {facts.entry.priority.word}: others go first")
    notes += _tls(facts)
    return tuple(notes)


def _tls(facts: Facts) -> Iterator[str]:
    """What its connection has to be like, where anybody has said so."""
    channel, host = facts.channel, facts.channel.gateway or facts.entry.host
    if channel.smtp == "nosmtp" or not host:
        return
    found = towards(channel, host)
    place = of_tls_policy(facts.settings, channel, found)
    if place.line:
        yield f"tls_policy {found.policy} towards {host}, by {place.text}"
