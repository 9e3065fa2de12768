"""``jobctl qm run|view|date|help|exit|quit``: what belongs to a session of ``qm.maint>``."""

import argparse
import sys
import time

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import write
from jobctl.commands.parser import Commands, command
from jobctl.commands.session import BESIDE, Leave, Session
from jobctl.errors import UsageError


def register(subcommands: Commands) -> None:
    """Make the commands known."""
    parser = command(
        subcommands,
        "run",
        run,
        "execute commands from a file",
        "  jobctl qm run evening.qm\n  jobctl qm run -ignore -nolog evening.qm",
        description="Execute the commands of a file, one a line, as if typed at the prompt; lines that begin "
        "with ! or # are comments. It ends at the first that fails, with its exit status.",
    )
    parser.add_argument("file", metavar="FILE", help="- for standard input")
    parser.add_argument(
        "--ignore", action=argparse.BooleanOptionalAction, default=False, help="go on after one that fails"
    )
    parser.add_argument(
        "--log", action=argparse.BooleanOptionalAction, default=True, help="show each before it is done"
    )
    parser = command(
        subcommands,
        "view",
        view,
        "where later commands of this session look",
        "  view -database          ask the Job Controller\n  view -directory_tree    look at the queue itself",
    )
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("--database", action="store_true", help="ask the Job Controller and nothing else")
    group.add_argument(
        "--directory-tree", action="store_true", help="look at the queue itself and ask nobody"
    )
    command(subcommands, "date", date, "the date and time", "  jobctl qm date")
    parser = command(subcommands, "help", show_help, "what a command does", "  jobctl qm help directory")
    parser.add_argument("topic", nargs="?", metavar="COMMAND")
    for name in ("exit", "quit"):
        command(subcommands, name, leave, "leave the prompt", f"  {name}")


def run(context: Context) -> int:
    """A file of commands."""
    from jobctl.commands.main import build_parser

    args = context.args
    session = context.session or Session(args, build_parser("jobctl"))
    try:
        # Read whole: a command may read standard input, or change the file.
        if args.file == "-":
            lines = sys.stdin.readlines() if sys.stdin is not None else []
        else:
            with open(args.file, encoding="utf-8", errors="surrogateescape") as file:
                lines = file.readlines()
    except OSError as why:
        raise UsageError(f"{args.file} cannot be read: {why.strerror}", exits.NO_INPUT) from None
    if session.depth >= _DEEPEST:
        raise UsageError(f"{args.file}: files that run files, more than {_DEEPEST} deep")
    session.depth += 1
    first, before = exits.OK, session.status
    try:
        for line in lines:
            if args.log and line.strip():
                write(f"qm.maint> {line.rstrip()}")
            status = session.do(line)
            first = first or status
            if status and not args.ignore:
                return status
    except Leave:
        if context.session is not None and session.depth == 1:
            raise
    finally:
        session.depth -= 1
        # What failed here is told by our own status.
        session.status = before
    return exits.OK if args.ignore else first


_DEEPEST = 8


def view(context: Context) -> int:
    """Remembered by the session."""
    if context.session is None:
        raise UsageError(
            "view counts for the rest of a session at the prompt ('jobctl qm'); "
            "elsewhere give -database or -directory_tree with the command"
        )
    context.session.source = "database" if context.args.database else "directory_tree"
    return exits.OK


def date(context: Context) -> int:
    """Now."""
    write(time.strftime("%a, %d %b %Y %H:%M:%S %z"))
    return exits.OK


def show_help(context: Context) -> int:
    """A command's own help, or the list of them."""
    from jobctl.commands.main import build_parser
    from jobctl.commands.spelling import translate

    parser = build_parser("jobctl")
    topic = context.args.topic
    words = [topic] if topic in BESIDE else ["qm", topic] if topic else ["qm"]
    parser.parse_args(translate(parser, [*words, "--help"]))
    return exits.OK


def leave(context: Context) -> int:
    """Elsewhere there is nothing to leave."""
    if context.session is not None:
        raise Leave
    return exits.OK
