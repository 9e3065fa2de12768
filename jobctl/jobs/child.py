"""One program as a process: in a session of its own, signalled with all it started."""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from errno import E2BIG, EACCES, ENOENT, ENOEXEC, EPERM
from typing import Any

import msgspec
from twisted.internet.error import ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from jobctl.config.settings import ChannelSettings
from jobctl.jobs.environment import CannotStart, find_program, identity, program_environment, search_path
from jobctl.jobs.limits import Limit, as_options, limits_of, prlimit

# What trying again does not cure.
_LASTING = frozenset({E2BIG, EACCES, ENOENT, ENOEXEC, EPERM})


class Program(msgspec.Struct, frozen=True):
    """A program ready to be started: absolute path first in ``argv``, whole environment, (uid, gid)."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    identity: tuple[int, int] | None = None
    limits: tuple[Limit, ...] = ()


def prepare(argv: tuple[str, ...], variables: dict[str, str], channel: ChannelSettings) -> Program:
    """
    Look a program up.

    :param variables: Added to what the allow-list takes from our environment.
    :param channel: Says as whom it runs, and within which limits.
    :raises CannotStart: No such program, no such user.
    """
    if not argv:
        raise CannotStart("no program is configured", temporary=False)
    path = find_program(argv[0], search_path(os.environ))
    return Program(
        (path, *argv[1:]),
        program_environment(os.environ, variables),
        identity(channel.user),
        limits_of(channel),
    )


def own_session(limits: tuple[Limit, ...] = ()) -> tuple[str, ...]:
    """
    The words in front of a program that give it a session, and so a process group, of its own, and limits.

    ``spawnProcess`` cannot, and from outside it is too late: it returns when the
    program has been executed, and then ``setpgid`` is refused.  A session, not
    only a group, leaves no terminal on which a program could wait for a password.
    setsid(1) and prlimit(1) take 0.7 ms each; where one is missing a Python script does it in 9 ms.
    """
    options = as_options(limits)
    found, limiter = shutil.which("setsid"), prlimit()
    if found is None or (options and limiter is None):
        shim = os.path.join(os.path.dirname(__file__), "exec_shim.py")
        return (sys.executable, "-I", "-S", shim, *options)
    return (found, str(limiter), *options) if options else (found,)


def open_failed(why: OSError) -> CannotStart:
    """No pipe, no journal, no process: temporary unless the program itself is what is wrong."""
    return CannotStart(f"cannot start the program: {why.strerror}", temporary=why.errno not in _LASTING)


class Child(ProcessProtocol):
    """
    A process and, through its group, what it started.

    None of its descriptors are ours to read here: they are given as numbers and
    belong to whoever opened them.

    :ivar pid: Also the id of its group and session; 0 before it was started.
    :ivar terminated: It was sent SIGTERM.
    :param clock: For the time between SIGTERM and SIGKILL.
    :param kill_after: That time, in seconds.
    """

    def __init__(self, clock: Any, kill_after: float) -> None:
        self._clock = clock
        self._kill_after = kill_after
        self._timer: Any = None
        self._ended: Callable[[int | None, int | None], None] | None = None
        self._outcome: tuple[int | None, int | None] | None = None
        self._left_behind = False
        self.terminated = False
        self.pid = 0

    def start(self, reactor: Any, program: Program, descriptors: dict[int, int]) -> None:
        """
        Start it.

        :param descriptors: Its descriptors to ours; all others are closed in it.
        :raises CannotStart: Not started.
        """
        argv = (*own_session(program.limits), *program.argv)
        uid, gid = program.identity or (None, None)
        try:
            reactor.spawnProcess(
                self, argv[0], argv, program.environment, uid=uid, gid=gid, childFDs=descriptors
            )
        except OSError as why:
            raise open_failed(why) from None
        except ValueError as why:
            # A NUL octet in an argument or a variable.
            raise CannotStart(f"cannot start the program: {why}", temporary=False) from None

    def watch(self, ended: Callable[[int | None, int | None], None]) -> None:
        """
        Call ``ended`` with (exit status, signal), one of them ``None``, when it is gone.

        Never called from within: a child can be gone before ``start`` returns.
        """
        self._ended = ended
        if self._outcome is not None:
            self._clock.callLater(0, ended, *self._outcome)

    @property
    def running(self) -> bool:
        """It has not been reaped."""
        return self._outcome is None

    def end_after(self, seconds: float) -> None:
        """Terminate it unless it is gone by then; takes the place of an earlier, later end."""
        if self.running and not (
            self._timer is not None and self._timer.getTime() <= self._clock.seconds() + seconds
        ):
            self._cancel()
            self._timer = self._clock.callLater(seconds, self.terminate)

    def terminate(self) -> None:
        """SIGTERM, and SIGKILL when that does not help."""
        if self.running:
            self._cancel()
            self.terminated = True
            self._signal(signal.SIGTERM)
            self._timer = self._clock.callLater(self._kill_after, self.kill)

    def kill(self) -> None:
        """SIGKILL to all of it."""
        if self.running:
            self._cancel()
            self._signal(signal.SIGKILL)

    def sweep(self) -> None:
        """
        Kill what it left behind in its group.

        A group's number is not given to a new process while the group has members; so if it had
        none when the program ended, the number is nobody's or somebody else's.
        """
        if self._left_behind:
            self._left_behind = _signal_group(self.pid, signal.SIGKILL)

    def connectionMade(self) -> None:
        # Not after spawnProcess has returned: a process that is gone by then has no number any more.
        process: Any = self.transport
        self.pid = process.pid

    def processEnded(self, reason: Failure) -> None:
        self._cancel()
        value = reason.value
        if isinstance(value, ProcessTerminated):
            self._outcome = (value.exitCode, value.signal)
        else:
            self._outcome = (0, None)
        self._left_behind = _signal_group(self.pid, 0)
        if self._ended is not None:
            self._ended(*self._outcome)

    def _signal(self, number: int) -> None:
        if not _signal_group(self.pid, number):
            # Not yet in its own session.  It is ours and not reaped: the number is still its.
            os.kill(self.pid, number)

    def _cancel(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


def _signal_group(group: int, number: int) -> bool:
    """Signal a process group (0: only look); ``False`` when it has no members."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:
        # What is left in it runs as somebody else.
        return True
    return True


def outcome_text(status: int | None, number: int | None, last_line: str) -> str:
    """How a process ended, in words; ``last_line`` of its stderr explains a status that is not 0."""
    if number is not None:
        try:
            return f"was killed by {signal.Signals(number).name}"
        except ValueError:
            return f"was killed by signal {number}"
    text = f"exited with status {status}"
    return f"{text}: {last_line[:200]}" if status and last_line else text
