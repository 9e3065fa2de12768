"""Dates as RFC 3339 writes them."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobctl.mail.moment import parse_moment, write_moment

ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(
    lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes))
)


@given(st.datetimes(timezones=ZONES))
def test_as_the_library_reads_them(when: datetime.datetime) -> None:
    """A date in any zone is the moment that the standard library finds in it."""
    text = when.replace(microsecond=0).isoformat()
    assert parse_moment(text) == when.replace(microsecond=0).timestamp()


@given(st.integers(0, 253_402_300_799))
def test_what_is_written_is_read(when: int) -> None:
    """What is written is read as the same moment, up to the last that can be written."""
    assert parse_moment(write_moment(when)) == when


def test_what_else_is_allowed() -> None:
    """Small letters, fractions, and a leap second."""
    assert parse_moment("2026-11-26t12:00:00.75z") == 1_795_694_400
    assert parse_moment("2016-12-31T23:59:60Z") == parse_moment("2017-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "tomorrow",
            "2026-11-26",
            "2026-11-26T12:00:00",
            "2026-11-26 12:00:00Z",
            "２026-11-26T12:00:00Z",
        ),
        *("2026-13-26T12:00:00Z", "2026-02-29T12:00:00Z", "0000-01-01T00:00:00Z", "2026-11-00T12:00:00Z"),
        *(
            "2026-11-26T24:00:00Z",
            "2026-11-26T12:60:00Z",
            "2026-11-26T12:00:61Z",
            "2026-11-26T12:00:00+24:00",
        ),
    ],
)
def test_what_is_no_date(text: str) -> None:
    """Neither what is written otherwise nor a day that there is not."""
    with pytest.raises(ValueError, match=r"no such|not a date"):
        parse_moment(text)
