"""Values of settings are shown as the configuration spells them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.commands.few_words import few_words, iso_duration
from jobctl.mail.durations import parse_duration


@given(st.integers(0, 400 * 86400))
def test_a_duration_can_be_written_into_the_configuration(seconds: int) -> None:
    """What is shown is what would be read."""
    assert parse_duration(iso_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("notices", {"urgent": [30.0], "normal": [30.0], "nonurgent": [30.0]}, "PT30S"),
        ("backoff", {"urgent": (60.0, 3600.0), "normal": (7200.0,)}, "urgent PT1M PT1H, normal PT2H"),
        ("notices", [259200.0, 90000.0], "P3D P1DT1H"),
        ("backoff", [0.5], "PT0.5S"),
        ("jitter", 0.05, "0.05"),
        ("maxjobs", 10, "10"),
        ("logging", True, "true"),
        ("pool", None, "-"),
        ("after", {}, "-"),
    ],
)
def test_shown_as_the_configuration_spells_it(key: str, value: object, shown: str) -> None:
    """Durations with their unit, what is the same for all priorities once, and no words of Python."""
    assert few_words(key, value) == shown
