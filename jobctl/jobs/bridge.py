"""Join a job's stdio to what the channel's ``transport`` names."""

import os
import shlex
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from jobctl.jobs.child import open_failed
from jobctl.jobs.connect import connect_next_hop
from jobctl.jobs.environment import CannotStart
from jobctl.jobs.job import Job
from jobctl.jobs.peer import Peer
from jobctl.jobs.shared import Shared
from jobctl.jobs.socket_bridge import SocketBridge
from jobctl.jobs.spec import JobSpec

# Starts a job's program: (spec, further variables, (stdin, stdout) or None).
Spawn = Callable[[JobSpec, dict[str, str], tuple[int, int] | None], Job]


def application(spec: JobSpec) -> str:
    """APPLICATIONINFO before anything has been said."""
    return "LMTP" if spec.channel.lmtp else "SMTP"


async def start_tcp(spawn: Spawn, shared: Shared, resolver: Any, spec: JobSpec) -> None:
    """
    Connect to the next hop, then start the program.

    :raises CannotStart: No connection, or no program.
    """
    host = spec.next_hop
    if not host:
        raise CannotStart(f"channel {spec.channel.name} has no host to connect to", temporary=False)
    settings, turn = shared.settings, shared.connections.get(spec.channel.name, 0)
    shared.connections[spec.channel.name] = turn + 1
    connection = await connect_next_hop(
        shared.reactor,
        resolver,
        host,
        spec.channel,
        settings.connect_timeout,
        settings.linger,
        order=lambda name, hops: shared.unwilling.last(spec.channel.name, name, hops),
        turn=turn,
        attempt=spec.attempt,
    )
    try:
        join_socket(spawn, shared, spec, connection)
    except CannotStart:
        connection.abort()
        raise


def join_socket(spawn: Spawn, shared: Shared, spec: JobSpec, connection: SocketBridge) -> None:
    """
    Start a program for a connection that stands.

    :raises CannotStart: The program does not run; the connection is still the caller's to close.
    """
    variables = {"TRANSPORTINFO": connection.transport_info.text, "APPLICATIONINFO": application(spec)}
    with ExitStack() as ours:
        with ExitStack() as theirs:
            try:
                stdin, to_stdin = _pipe()
                theirs.callback(os.close, stdin)
                ours.callback(os.close, to_stdin)
                from_stdout, stdout = _pipe()
                ours.callback(os.close, from_stdout)
                theirs.callback(os.close, stdout)
            except OSError as why:
                raise open_failed(why) from None
            job = spawn(spec, variables, (stdin, stdout))
        ours.pop_all()
    shared.keep(connection)
    connection.traffic = job.heard

    def lost() -> None:
        shared.release(connection)
        job.connection_lost()

    connection.when_lost(lost)
    job.when_ended(connection.program_ended)
    connection.join(shared.reactor, to_stdin, from_stdout)


def start_command(spawn: Spawn, shared: Shared, spec: JobSpec, command: str) -> None:
    """
    Join the program to another one, stdout to stdin both ways, with no copying by us.

    :param command: Words as a shell would split them; no shell sees them.
    :raises CannotStart: One of the two does not run.
    """
    try:
        argv = tuple(shlex.split(command))
    except ValueError as why:
        raise CannotStart(f"transport command:{command}: {why}", temporary=False) from None
    variables = {"PMDF_CHANNEL": spec.channel.name, "JOBCTL_JOB": spec.id, **spec.environment}
    peer = Peer(shared, os.path.basename(argv[0]) if argv else "command")
    with _crossed() as (one, other):
        peer.start(argv, variables, spec.channel, other)
        try:
            peer.join(spawn(spec, {"APPLICATIONINFO": application(spec)}, one))
        except CannotStart:
            peer.abort()
            raise


def start_channel(spawn: Spawn, spec: JobSpec, other_spec: JobSpec) -> None:
    """
    Join a master program to the slave program of another channel, back to back: two jobs.

    :raises CannotStart: One of the two does not run; a slave that does reads end-of-file at once.
    """
    with _crossed() as (one, other):
        slave = spawn(other_spec, {"APPLICATIONINFO": application(other_spec)}, other)
        try:
            master = spawn(spec, {"APPLICATIONINFO": application(spec)}, one)
        except CannotStart:
            slave.stop()
            raise
    # The end of either is the end of the other's connection.
    master.when_ended(slave.connection_lost)

    def slave_ended() -> None:
        master.peer = f"slave {slave.id} of channel {other_spec.channel.name} ended"
        master.connection_lost()

    slave.when_ended(slave_ended)


class _crossed:
    """Two pipes as ((stdin, stdout) of one, (stdin, stdout) of the other); closed here at the end."""

    def __enter__(self) -> tuple[tuple[int, int], tuple[int, int]]:
        self._stack = ExitStack()
        try:
            ends = []
            for _ in range(2):
                pair = _pipe()
                ends.append(pair)
                for fd in pair:
                    self._stack.callback(os.close, fd)
        except OSError as why:
            self._stack.close()
            raise open_failed(why) from None
        (read_a, write_a), (read_b, write_b) = ends
        return (read_a, write_b), (read_b, write_a)

    def __exit__(self, *exc: object) -> None:
        self._stack.close()


def _pipe() -> tuple[int, int]:
    return os.pipe2(os.O_CLOEXEC)
