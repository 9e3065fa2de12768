"""``[[retry]]``: rules on when mail is tried again and for how long, by destination and by the last reply."""

from typing import Any

from jobctl.config.findings import Findings
from jobctl.config.keys import KeyTable, Kind
from jobctl.config.keyword_forms import named
from jobctl.config.reading import read_table
from jobctl.config.retries import ages
from jobctl.config.settings import RetryRule
from jobctl.selection.errors import SelectorError
from jobctl.selection.selector import selector

RETRY = KeyTable(
    "key of a retry rule",
    (
        named(
            "where", Kind.TEXT, "The messages that are meant, as a selector: `docs/selectors.md`.", "required"
        ),
        named(
            "backoff", Kind.DURATIONS, "Intervals between attempts; the last repeats.", "the channel's", 1, 20
        ),
        named("jitter", Kind.NUMBER, "Part of an interval that is added at most.", "the channel's", 0, 1),
        named(
            "max_attempts", Kind.INTEGER, "Counted attempts after which it is returned.", "the channel's", 1
        ),
        named("lifetime", Kind.SECONDS, "Age at which it is returned.", "the last of notices", 1),
        named("notices", Kind.AGES, "Ages, as the keyword of channels.", "the channel's", 1, 20),
    ),
)
_WHERE = ("retry",)


def read_retry_rules(raw: object, return_units: int, findings: Findings) -> tuple[RetryRule, ...]:
    """The rules in their order; the first that fits a message counts."""
    if raw is None:
        return ()
    if not isinstance(raw, list):
        findings.problem(_WHERE, "is a list of rules: write [[retry]] above each")
        return ()
    found = (_rule(table, number, return_units, findings) for number, table in enumerate(raw))
    return tuple(rule for rule in found if rule is not None)


def _rule(raw: object, number: int, return_units: int, findings: Findings) -> RetryRule | None:
    place = (*_WHERE, number)
    given = read_table(raw, place, RETRY, findings)
    fields: dict[str, Any] = {name: one.value for name, one in given.items() if name != "notices"}
    if "notices" in given:
        fields["notices"] = ages(given["notices"], return_units, findings)
    if "where" not in given:
        # If it is wrong, that has been said.
        if not isinstance(raw, dict) or "where" not in {str(name).lower() for name in raw}:
            findings.problem(
                place, "needs where, a selector such as 'rcpt.domain=example.com and last.code~4.7'"
            )
        return None
    if isinstance(raw, dict) and len(raw) == 1:
        findings.problem(place, "says nothing: give backoff, jitter, max_attempts, lifetime or notices")
    try:
        selector(fields["where"])
    except SelectorError as why:
        findings.problem(given["where"].where, str(why))
        return None
    return RetryRule(**fields, line=findings.line(place))
