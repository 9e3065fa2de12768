"""Local time of another zone, given back when the test is over."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def local_zone(zone: str) -> Iterator[None]:
    """Local time is that of *zone* (the value of TZ); a ``with`` block, or the decorator of a test."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = zone
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()
