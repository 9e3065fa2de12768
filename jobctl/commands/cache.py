"""``jobctl cache``: what the schedule has in memory, and what was set in the running Job Controller."""

import argparse
import sys

from jobctl.commands import cache_changes, exits
from jobctl.commands.context import Context
from jobctl.commands.output import Column, count, kilobytes, printable, when, write, write_json, write_table
from jobctl.commands.parser import Commands, command, family
from jobctl.commands.qm_searches import search
from jobctl.errors import UsageError

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
    parser = command(
        subcommands,
        "synchronize",
        sync,
        "see that memory is as the queue says",
        "  jobctl cache sync\n  imsimta cache -synchronize",
        description="Compare the schedule in memory with the queue, entry by entry, while deliveries go on. "
        "Nothing ever needs to be synchronised here; should they differ, memory is mended, the log has an "
        "alarm and the exit status is 70.",
    )
    parser.add_argument(
        "--debug", nargs="?", const="1", metavar="N", help="without effect: nothing is scanned"
    )
    parser.add_argument(
        "--recipient", action=argparse.BooleanOptionalAction, help="without effect: as before"
    )
    parser = command(
        subcommands,
        "walk",
        walk,
        "write the schedule's whole state to the log",
        "  jobctl cache walk\n  jobctl cache walk --debug=4",
        description="Write the state of the schedule, its pools, channels, jobs and hosts, to the Job "
        "Controller's log; for support.",
    )
    parser.add_argument(
        "--debug",
        nargs="?",
        const="1",
        metavar="BITS",
        help="what the Job Controller logs more from now on: 1 frames of programs, 2 with their keys, "
        "4 the schedule's decisions, 0 nothing",
    )
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


def sync(context: Context) -> int:
    """Memory against the queue."""
    result = search(context, "cache.sync", {}, "comparing", lambda row: None)
    rows = result["differences"]
    if context.json:
        write_json(result)
    else:
        for row in rows:
            write(f"{row['id']} {printable(row['text'])}{'; mended' if row['mended'] else ''}")
        if not rows:
            write(
                f"nothing needs to be synchronised: {result['stored']} messages of the queue and "
                f"{result['memory']} in memory agree"
            )
    if rows:
        print(
            f"jobctl: memory and queue differ in {len(rows)} messages: a bug; please report it with the log",
            file=sys.stderr,
        )
        return exits.SOFTWARE
    return exits.OK


def walk(context: Context) -> int:
    """Into the log."""
    bits = context.args.debug
    if bits is not None and not bits.isdecimal():
        raise UsageError(f"--debug takes a sum of bits such as 5, not {bits}")
    result = context.call("cache.walk", debug=None if bits is None else int(bits))
    if context.json:
        write_json(result)
    else:
        write(f"{result['lines']} lines written to the Job Controller's log; debug is {result['debug']}")
    return exits.OK
