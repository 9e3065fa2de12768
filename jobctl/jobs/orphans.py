"""
Descendants of programs that have left their session: found, ended with their job, and reaped.

A process whose parent has died gets a new one: the nearest ancestor that has said it wants
them (``PR_SET_CHILD_SUBREAPER``, Linux 3.4).  So whatever a program starts becomes our child,
in its group or not, once all between are gone; then it can be ended, and nobody else reaps it.
"""

import ctypes
import os
import signal
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

from twisted.internet import process
from twisted.logger import Logger

log = Logger()

_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, linux/prctl.h
# Under this number the reactor's list of processes has us, to be called whenever some child has ended.
_OURS = -1


class Orphans:
    """
    Adopted processes, told from the jobs' own.

    Whose one is, its environment says (``JOBCTL_JOB``).  One that has another environment is
    ended when all jobs have ended that ran when it was first seen.

    :param running: Gives the ids of the jobs that run.
    """

    def __init__(self, reactor: Any, running: Callable[[], Collection[str]]) -> None:
        self._reactor = reactor
        self._running = running
        # Of those without a job's name: who could have started them.
        self._suspects: dict[int, frozenset[str]] = {}
        self._reaping: Any = None
        self._adopting = False

    def adopt(self) -> None:
        """Begin; nothing happens where the system cannot do it."""
        self._adopting = _be_subreaper(True)
        if self._adopting:
            process.reapProcessHandlers[_OURS] = self  # type: ignore[assignment]

    def release(self) -> None:
        """End, with nothing left to be called."""
        if not self._adopting:
            return
        self._adopting = False
        self._reap()
        if self._reaping is not None:
            self._reaping.cancel()
            self._reaping = None
        process.reapProcessHandlers.pop(_OURS, None)
        _be_subreaper(False)

    def hunt(self, over: str = "") -> None:
        """
        Kill those of jobs that are over.

        :param over: The id of a job that is, although it is still among those that run.
        """
        if not self._adopting:
            return
        self._reap()
        running = {*self._running()} - {over}
        for pid in children():
            if _stranger(pid) and self._abandoned(pid, running):
                log.info("process {pid}, left behind by a job that is over, is killed", pid=pid)
                # It is our child and not reaped: the number is still its.
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)

    def _abandoned(self, pid: int, running: set[str]) -> bool:
        job = _job_of(pid)
        if job:
            return job not in running
        return not self._suspects.setdefault(pid, frozenset(running)) & running

    def reapProcess(self) -> None:
        """The reactor has heard that a child has ended; it is to reap its own first."""
        if self._reaping is None:
            self._reaping = self._reactor.callLater(0, self._reap_and_hunt)

    def _reap_and_hunt(self) -> None:
        self._reaping = None
        if self._reap():
            # What those have left behind in turn.
            self.hunt()

    def _reap(self) -> bool:
        if not _any_ended():
            return False
        reaped = False
        # Each is asked for by its number: one of our own that nobody has reaped yet hides none of them.
        for pid in filter(_stranger, children()):
            with suppress(ChildProcessError):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    self._suspects.pop(pid, None)
                    reaped = True
        return reaped


def _be_subreaper(wanted: bool) -> bool:
    try:
        done: int = ctypes.CDLL(None).prctl(_SUBREAPER, int(wanted), 0, 0, 0)
    except (OSError, AttributeError):
        return False
    return done == 0


def _any_ended() -> bool:
    """Whether some child has ended and was not reaped."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _stranger(pid: int) -> bool:
    """Whether a child is neither a program that the reactor started nor anything else of our own."""
    if pid in process.reapProcessHandlers:
        return False
    try:
        return os.getsid(pid) != os.getsid(0)
    except OSError:
        return False


def children() -> list[int]:
    """Our children, those included that have ended and were not reaped."""
    ours = os.getpid()
    try:
        text = ""
        for thread in os.listdir("/proc/self/task"):
            with suppress(ProcessLookupError), open(f"/proc/self/task/{thread}/children") as file:
                text += file.read() + " "
        return [int(word) for word in text.split()]
    except OSError:
        # A kernel without that list.
        return [int(name) for name in os.listdir("/proc") if name.isdigit() and _parent(name) == ours]


def _parent(pid: str) -> int:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return 0


def _job_of(pid: int) -> str:
    """The job that a process's environment names, ``""`` for none."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return ""
    for variable in variables:
        name, _, value = variable.partition(b"=")
        if name == b"JOBCTL_JOB":
            return value.decode("ascii", "replace")
    return ""
