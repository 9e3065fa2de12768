"""The versions of a log file: the one that is written, and those that were set aside."""

import fnmatch
import os
import re
from collections.abc import Iterable, Sequence

import msgspec

# name.log-ID as the original names them, name.log.N as twistd does when a file has become large,
# name.log.2026_11_25 as it does daily.
_SET_ASIDE = re.compile(r"(.+?\.log)(?:-[0-9A-Za-z]+|\.[0-9]+|\.[0-9]{4}_[0-9]{1,2}_[0-9]{1,2})", re.ASCII)


class Version(msgspec.Struct, frozen=True):
    """
    One file.

    :ivar log: What it is a version of: ``jobctl.log``.
    :ivar written: When it was written last (epoch seconds).
    :ivar current: It has the log's own name: it is, or would be, written.
    """

    path: str
    log: str
    written: float
    size: int
    current: bool


def log_of(name: str) -> str:
    """What a file is a version of: itself, where its name says nothing else."""
    found = _SET_ASIDE.fullmatch(name)
    return found[1] if found is not None else name


def versions(directory: str, pattern: str) -> list[Version]:
    """
    Files of a directory that are meant, oldest first.

    :param pattern: A log's name, which means all its versions, or a file's; ``*`` and ``?`` are wildcards.
    :raises OSError: The directory cannot be read.
    """
    found = []
    with os.scandir(directory) as entries:
        for entry in entries:
            log = log_of(entry.name)
            if not (fnmatch.fnmatchcase(log, pattern) or fnmatch.fnmatchcase(entry.name, pattern)):
                continue
            if not entry.is_file(follow_symlinks=False):
                continue
            status = entry.stat(follow_symlinks=False)
            found.append(Version(entry.path, log, status.st_mtime, status.st_size, log == entry.name))
    return sorted(found, key=lambda one: (one.written, one.current, one.path))


def outdated(found: Iterable[Version], now: float, most: int | None, oldest: float | None) -> list[Version]:
    """
    Those that are not to be kept; what is being written always is.

    :param most: Versions of each log to keep, the current one counted.
    :param oldest: Seconds; older ones go.
    """
    by_log: dict[str, list[Version]] = {}
    for one in found:
        by_log.setdefault(one.log, []).append(one)
    gone = []
    for members in by_log.values():
        beyond: Sequence[Version] = members[: max(len(members) - most, 0)] if most is not None else ()
        for one in members:
            old = oldest is not None and one.written < now - oldest
            if not one.current and (one in beyond or old):
                gone.append(one)
    return gone
