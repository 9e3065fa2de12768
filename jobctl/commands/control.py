"""``jobctl start|stop|restart|kill``: the daemon itself, and the programs that it runs."""

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import sys
import time
from typing import Any

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import joined, write, write_json
from jobctl.commands.parser import Commands, command
from jobctl.control.client import Client
from jobctl.control.refusals import ControlError, NoDaemon
from jobctl.errors import UsageError

# Seconds between two looks whether the daemon is there again.
_LOOK = 0.1
_TWISTD = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"


def register(commands: Commands) -> None:
    """Make the commands known."""
    parser = command(
        commands,
        "start",
        start,
        "start the Job Controller in the background",
        "  jobctl start\n  jobctl --config /etc/jobctl/jobctl.toml start",
        description="Start the Job Controller in the background and wait until it is ready; its log is "
        "jobctl.log in log_directory. One that runs is left alone. "
        "'twistd -n jobctl' runs it in the foreground.",
    )
    _component(parser, "job_controller, or dispatcher, which is part of it")
    parser = command(
        commands,
        "stop",
        stop,
        "stop the Job Controller in order",
        "  jobctl stop",
        description="Stop the Job Controller in order: nothing new comes in, jobs finish what they hold, "
        "results are recorded. Waits for its end.",
    )
    _component(parser, "job_controller, or dispatcher, which is part of it")
    _timeout(parser, 120)
    parser = command(
        commands,
        "restart",
        restart,
        "restart the Job Controller, or have programs replaced without stopping it",
        "  jobctl restart                 the Job Controller itself\n"
        "  jobctl restart smtp            the server jobs of service SMTP; no client notices\n"
        "  jobctl restart 'tcp_*'         all programs of these channels, after what they hold",
        description="Restart the Job Controller: stopped in order, it begins anew as it was started. Needed "
        "only for the settings that 'jobctl reload' says need it. With a service, dispatcher (all services) or "
        "a channel, its programs are replaced by new ones while everything goes on. A wrong configuration is "
        "refused before anything stops.",
    )
    _component(parser, "job_controller, dispatcher, a service or a channel; wildcards * and ?")
    _timeout(parser, 120)
    command(
        commands,
        "kill",
        kill,
        "end the Job Controller at once, the last resort",
        "  jobctl kill job_controller",
        description="End the Job Controller by signal 9. What was accepted is kept, what was being delivered "
        "may be delivered twice; use it when 'jobctl stop' does not help.",
    ).add_argument("component", choices=("job_controller", "dispatcher"), metavar="job_controller")


def start(context: Context) -> int:
    """In the background, unless it runs."""
    _known(context.args.component)
    settings = context.settings
    found = _running(context)
    if found is not None:
        return _told(context, {"pid": found["pid"], "started": False}, f"it runs already, pid {found['pid']}")
    where = settings.controller
    try:
        os.makedirs(where.log_directory, mode=0o750, exist_ok=True)
    except OSError as why:
        raise UsageError(f"{where.log_directory} cannot be made: {why.strerror}", exits.IO) from None
    pidfile = os.path.join(os.path.dirname(where.control_socket), "jobctl.pid")
    logfile = os.path.join(where.log_directory, "jobctl.log")
    if _owner(context) is None:
        # Of one that was killed: its number may be another's by now, the queue's lock does not lie.
        with contextlib.suppress(OSError):
            os.unlink(pidfile)
    options = [
        "--pidfile",
        pidfile,
        "--logfile",
        logfile,
        "jobctl",
        "--config",
        os.path.abspath(settings.path),
    ]
    done = subprocess.run(
        [sys.executable, "-c", _TWISTD, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    complaint = (done.stderr or "").strip().splitlines()
    if done.returncode:
        for line in complaint:
            print(line, file=sys.stderr)
        return done.returncode if done.returncode in exits.MEANINGS else exits.TEMPORARY
    with context.client(absent=exits.TEMPORARY) as client:
        daemon = client.call("version")
    return _told(context, {"pid": daemon["pid"], "started": True}, f"started, pid {daemon['pid']}")


def stop(context: Context) -> int:
    """In order; one that does not run is stopped."""
    _known(context.args.component)
    try:
        with context.client() as client:
            answer = client.call("shutdown")
    except NoDaemon:
        return _told(context, {"pid": None, "stopped": False}, "no Job Controller runs")
    pid = int(answer["pid"])
    if not _ended(pid, context.args.timeout):
        raise UsageError(
            f"process {pid} is still stopping after {context.args.timeout:g} seconds; look at its log",
            exits.TEMPORARY,
        )
    return _told(context, {"pid": pid, "stopped": True}, f"stopped, pid {pid}")


def restart(context: Context) -> int:
    """All of it, or programs."""
    component = context.args.component
    with context.client() as client:
        if component in ("", "job_controller"):
            problems = client.call("reload", dry_run=True)["problems"]
            if problems:
                for problem in problems:
                    print(f"jobctl: {problem}", file=sys.stderr)
                print("jobctl: nothing was stopped", file=sys.stderr)
                return exits.CONFIG
        answer = client.call("restart", component=component)
    if component not in ("", "job_controller"):
        replaced = answer["replaced"]
        return _told(context, answer, f"replaced: {joined(replaced) if replaced else 'nothing was running'}")
    daemon = _again(context, answer["started"])
    return _told(context, {"pid": daemon["pid"], "replaced": []}, f"restarted, pid {daemon['pid']}")


def kill(context: Context) -> int:
    """Whatever holds the queue."""
    pid = _owner(context)
    if pid is None:
        return _told(context, {"pid": None, "killed": False}, "no Job Controller runs")
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    except PermissionError:
        raise UsageError(f"process {pid} belongs to another user", exits.NO_PERMISSION) from None
    _ended(pid, 10)
    return _told(context, {"pid": pid, "killed": True}, f"killed, pid {pid}")


def _known(component: str) -> None:
    if component not in ("", "job_controller", "dispatcher"):
        raise UsageError(
            f"{component} is not started or stopped by itself: channels are by 'jobctl qm stop' and "
            "'jobctl qm start', programs are replaced by 'jobctl restart'"
        )
    if component == "dispatcher":
        raise UsageError(
            "the dispatcher is part of the Job Controller: 'jobctl restart dispatcher' replaces the servers; "
            "to take no mail, take its services out of the configuration and 'jobctl reload'"
        )


def _running(context: Context) -> dict[str, Any] | None:
    try:
        with context.client() as client:
            found: dict[str, Any] = client.call("version")
            return found
    except NoDaemon:
        return None


def _owner(context: Context) -> int | None:
    """The process that holds the queue's lock; one that is stuck answers nobody."""
    path = os.path.join(context.settings.controller.queue_directory, "lock")
    try:
        with open(path, encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read())
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as why:
        raise UsageError(f"{path}: it cannot be found out who holds the queue: {why}", exits.IO) from None
    return None


def _ended(pid: int, seconds: float) -> bool:
    """Wait until a process is gone; whether it is."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return True
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(descriptor)


def _again(context: Context, before: float) -> dict[str, Any]:
    """Wait for another life of the daemon."""
    path = context.args.socket or context.settings.controller.control_socket
    end = time.monotonic() + context.args.timeout
    while True:
        try:
            with Client(path) as client:
                found: dict[str, Any] = client.call("version")
            if found["started"] != before:
                return found
        except ControlError as why:
            trouble = str(why)
        else:
            trouble = "the old one is still stopping"
        if time.monotonic() > end:
            raise UsageError(
                f"the Job Controller has not come back in {context.args.timeout:g} seconds: {trouble}; "
                "look at its log",
                exits.TEMPORARY,
            )
        time.sleep(_LOOK)


def _told(context: Context, value: dict[str, Any], text: str) -> int:
    if context.json:
        write_json(value)
    else:
        write(text)
    return exits.OK


def _component(parser: Any, what: str) -> None:
    parser.add_argument("component", nargs="?", default="", metavar="COMPONENT", help=what)


def _timeout(parser: Any, seconds: float) -> None:
    parser.add_argument(
        "--timeout",
        type=float,
        default=seconds,
        metavar="SECONDS",
        help=f"how long to wait for it ({seconds:g})",
    )
