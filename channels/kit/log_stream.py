"""The log stream: stderr, which the Job Controller writes to its log under the job's name."""

import contextlib
import sys


def say(text: str) -> None:
    """One line; a log that nobody reads never stops the mail."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text.replace("\n", " ") + "\n")
        sys.stderr.flush()
