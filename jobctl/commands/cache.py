"""``jobctl cache``: what the schedule has in memory, and what was set in the running Job Controller."""

from jobctl.commands import cache_changes, exits
from jobctl.commands.context import Context
from jobctl.commands.output import Column, count, kilobytes, when, write, write_json, write_table
from jobctl.commands.parser import Commands, command, family

_COLUMNS = (
    Column("Id", "id"),
    Column("Channel", "channel"),
    Column("Host", "host"),
    Column("State", "state"),
    Column("Priority", "priority"),
    Column("Size(KB)", "size", kilobytes, right=True),
    Column("Tries", "attempts", count, right=True),
    Column("Next try", "next_attempt", when),
)


def register(commands: Commands) -> None:
    """Make the commands known."""
    subcommands = family(
        commands,
        "cache",
        "look at the schedule in memory, change limits and programs on the fly",
        "  jobctl cache view\n  imsimta cache -view tcp_local\n"
        "  jobctl cache change --channel tcp_local --job-limit 3\n  jobctl cache view --changes",
    )
    parser = command(
        subcommands,
        "view",
        view,
        "the schedule's entries",
        "  jobctl cache view\n  jobctl cache view 'tcp_*' --json",
        description="Show the messages that the schedule has in memory; held ones are not among them.",
    )
    parser.add_argument("channel", nargs="?", metavar="CHANNEL", help="wildcards * and ?")
    parser.add_argument("--changes", action="store_true", help="show what 'cache change' has set, instead")
    cache_changes.register(subcommands)


def view(context: Context) -> int:
    """The window of the queue that is in memory."""
    if context.args.changes:
        return cache_changes.show(context)
    rows = context.call("cache.view", channel=context.args.channel)
    if context.json:
        write_json(rows)
    else:
        write_table(_COLUMNS, rows)
        write(f"{len(rows)} message{'' if len(rows) == 1 else 's'} in memory")
    return exits.OK
