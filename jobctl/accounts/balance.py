"""The ledger: whether every recipient that came in has left or waits, channel by channel."""

from collections.abc import Mapping
from typing import Any

from jobctl.mail.entry import Loss, Origin

QUEUED = "queued"
# The counts of an account, as lists show them: what came in, what left, what waits.
COUNTS = (*(origin.value for origin in Origin), *(loss.value for loss in Loss), QUEUED)

# Channel to its counts of recipients, as :meth:`IMessageStore.ledger` gives it.
Ledger = Mapping[str, Mapping[str, int]]


def missing(account: Mapping[str, int]) -> int:
    """Recipients that came in, have not left and are not there; less than 0: so many appeared from nowhere."""
    came = sum(account[origin.value] for origin in Origin)
    return came - account[QUEUED] - sum(account[loss.value] for loss in Loss)


def imbalances(ledger: Ledger) -> dict[str, int]:
    """What is :func:`missing` in each channel where it is not 0."""
    return {channel: gap for channel, account in ledger.items() if (gap := missing(account))}


def ledger_rows(ledger: Ledger) -> list[dict[str, Any]]:
    """One row per channel with the stable keys of ``jobctl ledger --json``."""
    return [
        {"channel": channel, **{name: account[name] for name in COUNTS}, "missing": missing(account)}
        for channel, account in sorted(ledger.items())
    ]


def told(gaps: Mapping[str, int]) -> str:
    """An imbalance in words, for the log and for an operator."""
    parts = [
        f"channel {channel}: {gap} recipients are missing"
        if gap > 0
        else f"channel {channel}: {-gap} recipients more than ever came in"
        for channel, gap in sorted(gaps.items())
    ]
    return "; ".join(parts)
