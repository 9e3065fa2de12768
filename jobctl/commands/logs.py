"""``jobctl find|view|purge``: log files and their versions."""

import argparse
import os
import sys
import time
from typing import Any

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.log_versions import Version, outdated, versions
from jobctl.commands.output import printable, write, write_json
from jobctl.commands.parser import Commands, command
from jobctl.errors import UsageError

_KEPT = 5
_PIECE = 64 * 1024
_HOUR, _DAY = 3600.0, 86400.0


def register(commands: Commands) -> None:
    """Make the commands known."""
    parser = command(
        commands,
        "find",
        find,
        "the path of a log file's version",
        "  jobctl find jobctl.log              the newest\n  jobctl find jobctl.log -f=0         the oldest\n"
        "  imsimta find mail.log_current",
        description="Print the path of a log file: the newest version, or another. A name without a directory "
        "is of log_directory; * and ? are wildcards.",
    )
    _choice(parser)
    parser = command(
        commands,
        "view",
        view,
        "show a log file",
        "  jobctl view jobctl.log\n  jobctl view jobctl.log -l=1         the one before the newest",
        description="Show a log file, chosen as 'jobctl find' does.",
    )
    _choice(parser)
    parser = command(
        commands,
        "purge",
        purge,
        "remove old versions of log files",
        "  jobctl purge                        keep the newest five of each\n"
        "  jobctl purge jobctl.log --num 2\n  imsimta purge -day=30",
        description="Remove old versions of log files, name.log-ID and name.log.N; what is being written "
        "stays. Without a pattern: all in log_directory.",
    )
    parser.add_argument("pattern", nargs="?", default="*", metavar="PATTERN", help="wildcards * and ?")
    parser.add_argument("--day", type=_amount, metavar="N", help="keep those of the last N days")
    parser.add_argument("--hour", type=_amount, metavar="N", help="keep those of the last N hours")
    parser.add_argument(
        "--num", type=int, metavar="N", help="keep the newest N of each (5, where no age is given)"
    )


def _choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("pattern", metavar="PATTERN", help="a log's name, or a path; wildcards * and ?")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("-f", type=int, metavar="K", help="the K-th from the oldest, which is 0")
    group.add_argument("-l", type=int, metavar="K", help="the K-th from the newest, which is 0")


def _amount(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is out of range")
    return value


def find(context: Context) -> int:
    """Its path."""
    chosen = _chosen(context)
    if context.json:
        write_json({"path": chosen.path, "log": chosen.log, "size": chosen.size, "written": chosen.written})
    else:
        write(printable(chosen.path))
    return exits.OK


def view(context: Context) -> int:
    """Its content."""
    chosen = _chosen(context)
    terminal = sys.stdout.isatty()
    try:
        with open(chosen.path, "rb") as file:
            while piece := file.read(_PIECE):
                if terminal:
                    lines = piece.decode("utf-8", "replace").split("\n")
                    sys.stdout.write("\n".join(printable(line) for line in lines))
                else:
                    sys.stdout.buffer.write(piece)
    except PermissionError:
        raise UsageError(f"{chosen.path} may not be read by this user", exits.NO_PERMISSION) from None
    return exits.OK


def purge(context: Context) -> int:
    """Remove, and say what."""
    args = context.args
    if args.num is not None and args.num < 1:
        raise UsageError("--num is at least 1: the one being written stays")
    aged = args.day is not None or args.hour is not None
    oldest = (args.day or 0) * _DAY + (args.hour or 0) * _HOUR if aged else None
    most = args.num if args.num is not None or aged else _KEPT
    removed, failed = [], 0
    for one in outdated(_found(context, args.pattern), time.time(), most, oldest):
        try:
            os.unlink(one.path)
        except FileNotFoundError:
            continue
        except OSError as why:
            failed += 1
            print(f"jobctl: {one.path} stays: {why.strerror}", file=sys.stderr)
            continue
        removed.append(one)
    if context.json:
        write_json([one.path for one in removed])
    else:
        for one in removed:
            write(printable(one.path))
        size = sum(one.size for one in removed)
        write(f"{len(removed)} file{'' if len(removed) == 1 else 's'} removed, {-(-size // 1024)} KB")
    return exits.IO if failed else exits.OK


def _chosen(context: Context) -> Version:
    args = context.args
    found = _found(context, args.pattern)
    if not found:
        raise UsageError(
            f"no log matches {args.pattern} in {_place(context, args.pattern)[0]}; "
            "the Job Controller's own is where twistd --logfile says",
            exits.NO_INPUT,
        )
    place = args.f if args.f is not None else len(found) - 1 - (args.l or 0)
    if not 0 <= place < len(found):
        known = f"the versions are 0 to {len(found) - 1}" if len(found) > 1 else "there is only version 0"
        raise UsageError(known, exits.NO_INPUT)
    return found[place]


def _found(context: Context, pattern: str) -> list[Version]:
    directory, name = _place(context, pattern)
    try:
        return versions(directory, name)
    except FileNotFoundError:
        return []
    except PermissionError:
        raise UsageError(f"{directory} may not be read by this user", exits.NO_PERMISSION) from None


def _place(context: Context, pattern: str) -> tuple[str, str]:
    directory, name = os.path.split(pattern)
    if not directory:
        where: Any = context.settings.controller
        directory = where.log_directory
    return directory, name
