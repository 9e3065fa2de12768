"""``jobctl process`` and ``jobctl version``: what runs."""

import os
from typing import Any

from jobctl import __version__
from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import Column, count, kilobytes, show_rows, text, when, write, write_json
from jobctl.commands.parser import Commands, command
from jobctl.errors import ConfigError, UsageError

_COLUMNS = (
    Column("User", "user", text),
    Column("Pid", "pid", count, right=True),
    Column("S", "state", text),
    Column("Size(KB)", "size", kilobytes, right=True),
    Column("Res(KB)", "resident", kilobytes, right=True),
    Column("Started", "started", when),
    Column("CPU(s)", "cpu", lambda seconds: f"{seconds:.2f}", right=True),
    Column("Program", "program"),
    Column("Channel", "channel", text),
    Column("Job", "job", text),
)


def register(commands: Commands) -> None:
    """Make the commands known."""
    command(
        commands,
        "process",
        process,
        "list the processes of the mail transport",
        "  jobctl process\n  jobctl process --json",
    )
    command(
        commands,
        "version",
        version,
        "the release of this program, and of the daemon that runs",
        "  jobctl version",
    )


def process(context: Context) -> int:
    """The daemon and its channel programs, with what the system knows of them."""
    rows = [{**row, **_of_system(int(row["pid"]))} for row in context.call("process")]
    return show_rows(context, _COLUMNS, rows)


def _of_system(pid: int) -> dict[str, Any]:
    """From /proc, proc(5): owner, state, sizes in octets, CPU seconds; blank when it has just ended."""
    from jobctl.control.peer import login_name

    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The name before the last parenthesis may hold blanks and parentheses.
            fields = file.read().rpartition(")")[2].split()
            owner = os.fstat(file.fileno()).st_uid
    except OSError:
        return {"user": "", "state": "gone", "size": 0, "resident": 0, "cpu": 0.0}
    return {
        "user": login_name(owner),
        "state": fields[0],
        "size": int(fields[20]),
        "resident": int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        "cpu": (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
    }


def version(context: Context) -> int:
    """Works without a daemon."""
    import platform

    daemon: dict[str, Any] | None = None
    why = ""
    try:
        with context.client() as client:
            daemon = client.call("version")
    except ConfigError as trouble:
        why = trouble.problems[0]
    except UsageError as trouble:
        why = str(trouble)
    if context.json:
        write_json({"version": __version__, "python": platform.python_version(), "daemon": daemon})
        return exits.OK
    write(
        f"jobctl {__version__}, Python {platform.python_version()}, "
        f"{platform.system()} {platform.release()}, {platform.machine()}"
    )
    if daemon is None:
        write(f"daemon: {why}")
    else:
        write(
            f"daemon: {daemon['version']} on {daemon['host']}, pid {daemon['pid']}, "
            f"since {when(daemon['started'])}, configuration {daemon['configuration']}"
        )
    return exits.OK
