"""What a program may use of the machine (setrlimit), set between the fork and the program."""

import resource
import shutil
from collections.abc import Iterable

from jobctl.config.settings import ChannelSettings

_MIB = 1024 * 1024
# Seconds from the signal that tells of it (SIGXCPU) to the one that ends it.
_CPU_GRACE = 5

# One limit: prlimit(1)'s name of it, what tells and what ends.
Limit = tuple[str, int, int]
_NUMBER = {
    "data": resource.RLIMIT_DATA,
    "nofile": resource.RLIMIT_NOFILE,
    "cpu": resource.RLIMIT_CPU,
    "fsize": resource.RLIMIT_FSIZE,
}


def limits_of(channel: ChannelSettings) -> tuple[Limit, ...]:
    """
    The limits that a channel's programs are started with.

    Memory is what a program has for itself, not its address space: runtimes that only reserve
    much of that would not even start.
    """
    limits: list[Limit] = []
    if channel.limit_memory is not None:
        limits.append(_limit("data", channel.limit_memory * _MIB))
    if channel.limit_open_files is not None:
        limits.append(_limit("nofile", channel.limit_open_files))
    if channel.limit_cpu is not None:
        seconds = max(1, round(channel.limit_cpu))
        limits.append(_limit("cpu", seconds, seconds + _CPU_GRACE))
    if channel.limit_file_size is not None:
        limits.append(_limit("fsize", channel.limit_file_size * _MIB))
    return tuple(limits)


def _limit(name: str, soft: int, hard: int | None = None) -> Limit:
    """Nobody but root may have more than we have ourselves."""
    ours = resource.getrlimit(_NUMBER[name])[1]
    hard = soft if hard is None else hard
    if ours == resource.RLIM_INFINITY:
        return name, soft, hard
    return name, min(soft, ours), min(hard, ours)


def prlimit() -> str | None:
    """Where prlimit(1) of util-linux is."""
    return shutil.which("prlimit")


def as_options(limits: Iterable[Limit]) -> list[str]:
    """As prlimit(1) and our own substitute take them."""
    return [f"--{name}={soft}:{hard}" for name, soft, hard in limits]
