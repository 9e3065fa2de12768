"""Why a message is held: each reason that anybody sets messages aside for, told apart."""

import re
from collections.abc import Callable

from jobctl.config.places import of_channel
from jobctl.explaining.facts import Cause, Facts

# Lines of a history with which a hold begins.
_BEGINS = frozenset({"held", "damaged", "interrupted"})
# As jobctl/controller/hold_rules.py writes it.
RULE = re.compile(r"^hold rule (\d+) \(([^)]*)\): (.*)", re.DOTALL)
_LIMIT = re.compile(r"more than \d+ recipients \(holdlimit of ([^)]+)\)")


def why_held(facts: Facts) -> Cause:
    """The one cause of a held message."""
    reason = facts.stored.reason
    last = next((line for line in reversed(facts.history) if line.what in _BEGINS), None)
    since = facts.entry.enqueued if last is None else last.when
    for pattern, tell in _KINDS:
        found = pattern.search(reason)
        if found is not None:
            return tell(facts, since, found)
    if last is not None and last.what == "damaged":
        return Cause("held_damaged", f"its content is damaged: {reason}", since=since)
    who = reason.removeprefix("by ") if reason.startswith("by ") else ""
    text = f"an operator holds it: {reason or 'no reason given'}"
    return Cause("held_by_operator", text, since=since, who=who)


def taken_away(facts: Facts) -> Cause:
    """Why a message in grace is in no queue any more."""
    last = facts.history[-1] if facts.history else None
    what = "deleted or returned" if last is None else last.what
    who = "" if last is None else last.text.removeprefix("by ")
    text = (
        f"an operator has {what} it; 'jobctl qm operations' shows whether 'jobctl undo' still takes that back"
    )
    return Cause("in_grace", text, since=None if last is None else last.when, who=who)


def _limit(facts: Facts, since: float, found: re.Match[str]) -> Cause:
    place = of_channel(facts.settings, found[1], "holdlimit")
    return Cause("held_recipients", f"it came with {found[0]}", since=since, place=place)


def _simple(code: str, text: str) -> Callable[[Facts, float, re.Match[str]], Cause]:
    def tell(facts: Facts, since: float, found: re.Match[str]) -> Cause:
        return Cause(code, text.format(reason=facts.stored.reason), since=since)

    return tell


def _by_rule(facts: Facts, since: float, found: re.Match[str]) -> Cause:
    number, author, reason = found.groups()
    text = f"hold rule {number} of {author} holds it: {reason}"
    if facts.hold is None:
        return Cause("held_by_rule", f"{text} (the rule is no more)", since=since, who=author)
    until = facts.hold.expires if facts.hold.release else None
    return Cause("held_by_rule", f"{text} ({facts.hold.where})", since=since, until=until, who=author)


_KINDS: tuple[tuple[re.Pattern[str], Callable[[Facts, float, re.Match[str]], Cause]], ...] = (
    (_LIMIT, _limit),
    (RULE, _by_rule),
    (re.compile(r"programs died holding it"), _simple("held_deaths", "{reason}")),
    (re.compile(r"^mail loop|loop"), _simple("held_loop", "it goes round in circles: {reason}")),
    (re.compile(r"^its result cannot be recorded"), _simple("held_unrecorded", "{reason}")),
    (re.compile(r"^error in the controller"), _simple("held_bug", "{reason}; the log has more")),
)
