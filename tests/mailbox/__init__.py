"""
A mailbox for tests: odd but real messages, in two collections.

The ``.eml`` files here were written for this; their line ends are as an editor or another system
left them.  CPython brings the messages that its ``email`` package is tested with.
"""

import re
from importlib import resources
from pathlib import Path

HERE = Path(__file__).parent
LONGEST_LINE = 998


def ours() -> dict[str, bytes]:
    """The files beside this one, and two messages better made than kept: an empty and a large one."""
    kept = {path.stem: path.read_bytes() for path in sorted(HERE.glob("*.eml"))}
    large = b"Subject: large\n\n" + b"".join(b".%d of 20000 numbered lines\n" % n for n in range(20_000))
    return {**kept, "empty": b"", "large": large}


def cpythons() -> dict[str, bytes]:
    """CPython's test messages; none where Python was packaged without its tests."""
    try:
        data = resources.files("test.test_email").joinpath("data")
        files = [file for file in data.iterdir() if re.fullmatch(r"msg_\w+\.txt", file.name)]
    except (ModuleNotFoundError, FileNotFoundError):
        return {}
    return {file.name.removesuffix(".txt"): file.read_bytes() for file in files}


def on_the_wire(message: bytes) -> bytes:
    """What SMTP makes of a file: every line, the last one too, ends in CRLF."""
    strict = re.sub(rb"\r\n|\r|\n", b"\r\n", message)
    return strict if not strict or strict.endswith(b"\r\n") else strict + b"\r\n"


def longest_line(message: bytes) -> int:
    """Octets in the longest line, without its end."""
    return max(map(len, re.split(rb"\r\n|\r|\n", message)))
