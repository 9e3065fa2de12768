"""What is said of one recipient, in the part for people and in the part for programs."""

import re

from jobctl.mail.disposition import Disposition
from jobctl.mail.entry import Attempt
from jobctl.notification.notice import Kind, Notice
from jobctl.notification.texts import Texts

# What stood behind a refusal stays ours; these are what the way to the recipient was like.
TOLD = frozenset({"deferred", "failed"})
_REASON = {
    Kind.TIMEDOUT: "REASON_AGE",
    Kind.DELAYED: "REASON_AGE",
    Kind.BOUNCED: "REASON_BOUNCED",
    Kind.DELIVERED: "REASON_DELIVERED",
    Kind.RELAYED: "REASON_RELAYED",
    Kind.PASSED: "REASON_RELAYED",
}
# The status of what could not be delivered by the time that its sender gave.
DEADLINE = "5.4.7"
_LATE = frozenset({Kind.TIMEDOUT, Kind.DELAYED})
_STATUS = re.compile(r"[245]\d\d[ -]([245]\.\d{1,3}\.\d{1,3})(?: |$)")
# A reply with its code, which only a peer gives.
_REPLY = re.compile(r"[245]\d\d(?:[ -]|$)")


def status(case: Notice, verdict: Disposition) -> str:
    """
    A failed Action needs class 5; what ran out of time may keep class 4 (RFC 3464 section 2.3.4).

    But for time that the sender itself has set (RFC 2852).
    """
    if case.kind in _LATE:
        return verdict.status if verdict.status == DEADLINE else "4.4.7"
    kind = "5" if case.kind.failure else "2"
    return verdict.status if verdict.status.startswith(f"{kind}.") else f"{kind}.0.0"


def outcome(case: Notice, verdict: Disposition, texts: Texts) -> str:
    """What became of the recipient, in a few words."""
    if case.kind is Kind.FAILED:
        known = texts.reason(status(case, verdict))
        return known or texts.label("REASON_REMOTE" if verdict.remote else "REASON_LOCAL")
    deadline = case.kind is Kind.TIMEDOUT and verdict.status == DEADLINE
    text = texts.label("REASON_DEADLINE" if deadline else _REASON[case.kind])
    return text.replace("%A", texts.age(case.now - case.arrived))


def reason(case: Notice, verdict: Disposition, texts: Texts) -> str:
    """Why: as :func:`outcome`, but where time ran out, what stood in the way, if that is known."""
    said = _STATUS.match(verdict.reply) if case.kind in _LATE else None
    return (texts.reason(said[1]) if said is not None else "") or outcome(case, verdict, texts)


def by_peer(verdict: Disposition) -> bool:
    """Whether its reply is what a peer said, and not our own words (RFC 3464 section 2.3.6)."""
    return bool(verdict.remote) and _REPLY.match(verdict.reply) is not None


def last_words(verdicts: tuple[Disposition, ...], history: tuple[Attempt, ...]) -> tuple[Disposition, ...]:
    """
    Verdicts on recipients that ran out of time, with what was last heard about each.

    One that the history knows nothing of keeps its own reply.
    """
    heard = {line.recipient: line for line in history if line.what in TOLD and line.recipient}
    return tuple(
        verdict
        if (line := heard.get(verdict.recipient)) is None
        else Disposition(verdict.recipient, verdict.verdict, verdict.status, line.text, line.host)
        for verdict in verdicts
    )
