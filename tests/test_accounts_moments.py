"""Times as operators write them."""

from collections.abc import Iterator

import pytest

from jobctl.accounts.moments import stretch
from tests.zones import local_zone

NOW = 1700049600.0 + 2520 + 5  # 15-Nov-2023 12:42:05 GMT, a Wednesday
MIDNIGHT = 1700006400.0


@pytest.fixture(autouse=True)
def greenwich() -> Iterator[None]:
    with local_zone("UTC"):
        yield


@pytest.mark.parametrize(
    ("text", "start", "length"),
    [
        ("10:42", MIDNIGHT + 38520, 60),
        ("10:42:07", MIDNIGHT + 38527, 1),
        # Of the times that have been, the last one.
        ("12:42", MIDNIGHT + 45720, 60),
        ("12:43", MIDNIGHT + 45780 - 86400, 60),
        ("2023-11-14 10:42", MIDNIGHT + 38520 - 86400, 60),
        ("2023-11-14T10:42:01", MIDNIGHT + 38521 - 86400, 1),
        ("2023-11-14", MIDNIGHT - 86400, 86400),
        ("today", MIDNIGHT, 86400),
        ("Yesterday", MIDNIGHT - 86400, 86400),
        ("now", NOW, 0),
        ("2h", NOW - 7200, 0),
        (" 1700000000.5 ", 1700000000.5, 0),
    ],
)
def test_times(text: str, start: float, length: float) -> None:
    """A minute is a minute long, a day a day."""
    assert stretch(text, NOW) == (start, start + length)


@local_zone("CET-1CEST,M3.5.0,M10.5.0/3")
def test_a_day_of_23_hours() -> None:
    """A day is as long as it is on the wall."""
    start, end = stretch("2023-03-26", NOW)
    assert end - start == 23 * 3600


@pytest.mark.parametrize(
    "text", ["", "25:00", "10:60", "2023-02-30", "2023-13-01", "soon", "2y", "10:4", "٣h"]
)
def test_no_times(text: str) -> None:
    """What is none is refused, with what would be."""
    with pytest.raises(ValueError, match=r"write 10:42|there is no such"):
        stretch(text, NOW)
