"""Promises of ISO 8601 durations."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobctl.mail.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT5M", 300),
        ("pt30m", 1800),
        ("PT1H30M", 5400),
        ("P2D", 172800),
        ("P1W", 604800),
        ("P1DT12H", 129600),
        ("P1Y2M", 365 * 86400 + 60 * 86400),
        ("PT0.5S", 0.5),
        ("PT1,5M", 90),
        (" PT1S ", 1),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    """A duration in either case means what ISO 8601 says."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "P", "PT", "P1DT", "5", "5m", "PT5", "P-1D", "-PT5M", "PT5M5", "PT1M1H", "T5M", "PT٥M"]
)
def test_what_is_no_duration_is_told(text: str) -> None:
    """Anything else is refused with an example of what to write."""
    with pytest.raises(ValueError, match="PT5M"):
        parse_duration(text)


@settings(deadline=None, max_examples=60)
@given(*[st.integers(0, 999)] * 4)
def test_parts_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    """The parts of a duration add up, whatever they are."""
    text = f"P{days}DT{hours}H{minutes}M{seconds}S"
    assert parse_duration(text) == days * 86400 + hours * 3600 + minutes * 60 + seconds
