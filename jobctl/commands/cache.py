"""``jobctl cache -view``: what the schedule has in memory."""

from jobctl.commands import exits
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
    Column("Due", "due", when),
)


def register(commands: Commands) -> None:
    """Make the commands known."""
    subcommands = family(
        commands,
        "cache",
        "look at the schedule in memory",
        "  jobctl cache view\n  imsimta cache -view tcp_local",
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


def view(context: Context) -> int:
    """The window of the queue that is in memory."""
    rows = context.call("cache.view", channel=context.args.channel)
    if context.json:
        write_json(rows)
    else:
        write_table(_COLUMNS, rows)
        write(f"{len(rows)} message{'' if len(rows) == 1 else 's'} in memory")
    return exits.OK
