"""``jobctl cache change|revert``, ``cache view --changes``: values set in the running Job Controller."""

import argparse

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import Column, printable, show_rows, text, when, write, yes
from jobctl.commands.parser import Commands, command
from jobctl.errors import UsageError

# Option of the command to what it changes; which scope has it the daemon knows.
_VALUES = {
    "max_messages": ("N", "messages in memory (-global)"),
    "job_limit": ("N", "most jobs of the channel, maxjobs (-channel)"),
    "thread_depth": ("N", "messages for a host that are worth a connection (-channel)"),
    "master_job": ("COMMAND", "its master program (-channel, -template)"),
    "slave_job": ("COMMAND", "its slave program (-channel, -template)"),
}
_SWITCHES = {
    "master_debug": "the dialogues of its master program in the log (-channel)",
    "slave_debug": "the dialogues of its slave program in the log (-channel)",
}
_COLUMNS = (
    Column("Scope", "scope"),
    Column("Name", "name", text),
    Column("Option", "option"),
    Column("Value", "value"),
    Column("By", "author"),
    Column("Since", "since", when),
    Column("Persistent", "persistent", yes),
)


def register(subcommands: Commands) -> None:
    """Make the commands known."""
    parser = command(
        subcommands,
        "change",
        change,
        "set values in the running Job Controller",
        "  jobctl cache change --channel tcp_local --job-limit 3\n"
        "  jobctl cache change --channel tcp_local --master-debug       watch its dialogues in the log\n"
        "  jobctl cache change --global --max-messages 200000 --persistent\n"
        "  imsimta cache -change -template=tcp_* -master_job=my_smtp_client",
        description="Set values in the running Job Controller, at once: queued mail and running jobs follow. "
        "They count until 'cache revert' or a restart, with --persistent over restarts and reloads too.",
    )
    _scope(parser)
    for name, (shape, what) in _VALUES.items():
        parser.add_argument(_option(name), metavar=shape, help=what)
    parser.add_argument(
        "--debug", nargs="?", const="1", metavar="BITS", help="what the controller logs more (-global)"
    )
    for name, what in _SWITCHES.items():
        parser.add_argument(_option(name), action=argparse.BooleanOptionalAction, help=what)
    parser.add_argument("--parallel-rebuild", metavar="N", help="without effect: nothing is ever rebuilt")
    parser.add_argument(
        "--inorder-rebuild", action=argparse.BooleanOptionalAction, help="without effect: as before"
    )
    parser.add_argument(
        "--persistent", action=argparse.BooleanOptionalAction, default=False, help="over restarts, too"
    )
    parser = command(
        subcommands,
        "revert",
        revert,
        "take back what 'cache change' has set",
        "  jobctl cache revert --channel tcp_local                all of this channel\n"
        "  jobctl cache revert --channel tcp_local job_limit      this alone\n"
        "  jobctl cache revert --all",
        description="Have the configuration count again in place of what 'cache change' has set.",
    )
    _scope(parser, required=False)
    parser.add_argument("--all", action="store_true", help="everything that was ever set")
    parser.add_argument(
        "options", nargs="*", metavar="OPTION", help="job_limit, master_job ...; none: all of them"
    )


def change(context: Context) -> int:
    """Set them, all or none."""
    args = context.args
    values = {name: getattr(args, name) for name in (*_VALUES, "debug") if getattr(args, name) is not None}
    for name in _SWITCHES:
        wanted = getattr(args, name)
        if wanted is not None:
            values[name] = "1" if wanted else "0"
    scope, name = _place(args)
    if not values and (args.parallel_rebuild is not None or args.inorder_rebuild is not None):
        write("nothing changed: the queue is a database that is never rebuilt")
        return exits.OK
    done = context.call(
        "cache.change", scope=scope, name=name, set=values, persistent=args.persistent or None
    )
    return show_rows(context, _COLUMNS, done, "nothing changed")


def revert(context: Context) -> int:
    """Have the configuration count again."""
    args = context.args
    if args.all:
        done = context.call("cache.revert", all=True)
    else:
        scope, name = _place(args)
        options = [option.lower().replace("-", "_") for option in args.options]
        done = context.call("cache.revert", scope=scope, name=name, options=options)
    status = show_rows(context, _COLUMNS, done, "nothing of that was set")
    if done and not context.json:
        write("taken back: the configuration counts again")
    return status


def show(context: Context) -> int:
    """What is in force."""
    return show_rows(
        context, _COLUMNS, context.call("cache.changes"), "nothing has been changed: all is as configured"
    )


def _scope(parser: argparse.ArgumentParser, required: bool = True) -> None:
    group = parser.add_mutually_exclusive_group(required=required)
    group.add_argument("--global", dest="whole", action="store_true", help="of the Job Controller itself")
    group.add_argument("--channel", metavar="NAME", help="of one channel")
    group.add_argument(
        "--template",
        "--channel-template",
        metavar="PATTERN",
        help="of all channels of this class; a pattern that is no class yet makes one",
    )


def _place(args: argparse.Namespace) -> tuple[str, str]:
    if args.whole:
        return "global", ""
    if args.channel is not None:
        return "channel", printable(args.channel)
    if args.template is not None:
        return "template", printable(args.template)
    raise UsageError("say what is meant: --global, --channel NAME, --template PATTERN or --all")


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
