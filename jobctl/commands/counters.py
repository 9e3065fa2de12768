"""``jobctl counters``: what each channel has done, in the layout people know."""

import argparse
from typing import Any

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import printable, write, write_json
from jobctl.commands.parser import Commands, command, family

_VOLUMES = (*("received", "stored", "delivered", "submitted", "attempted", "rejected", "failed"),)
_RULE = f"{'-' * 22} {'-' * 10} {'-' * 10} {'-' * 10}"


def register(commands: Commands) -> None:
    """Make the commands known."""
    subcommands = family(
        commands,
        "counters",
        "what each channel has done since its counters were cleared",
        "  jobctl counters show\n  imsimta counters -show -noassociations\n  jobctl counters clear tcp_local",
    )
    parser = command(
        subcommands,
        "show",
        show,
        "the counters",
        "  jobctl counters show\n  jobctl counters show 'tcp_*' --json",
        description="Show messages, recipients and blocks by channel, and its connections.",
    )
    parser.add_argument("channel", nargs="?", metavar="CHANNEL", help="wildcards * and ?")
    for option, what in (
        ("--associations", "connections"),
        ("--channels", "messages"),
        ("--headers", "the heading"),
    ):
        parser.add_argument(option, action=argparse.BooleanOptionalAction, default=True, help=f"show {what}")
    parser.add_argument("--output", metavar="FILE", help="write it there")
    parser = command(
        subcommands,
        "clear",
        clear,
        "begin to count anew",
        "  jobctl counters clear\n  jobctl counters clear tcp_local",
        description="Set the counters to zero; the ledger and what is stored stay as they are.",
    )
    parser.add_argument("channel", nargs="?", metavar="CHANNEL", help="wildcards * and ?")

    parser = command(
        subcommands,
        "create",
        create,
        "nothing: counters are always there",
        "  imsimta counters -create",
        description="Nothing needs to be created: counters are kept in the queue, over restarts too.",
    )
    parser.add_argument("--max-channels", metavar="N", help="without effect: there are as many as channels")
    command(
        subcommands,
        "delete",
        delete,
        "nothing: counters are kept",
        "  imsimta counters -delete",
        description="Nothing is deleted: counters are kept in the queue; 'counters clear' begins anew.",
    )


def create(context: Context) -> int:
    """For scripts that do it after each start."""
    write("nothing to create: counters are kept in the queue")
    return exits.OK


def delete(context: Context) -> int:
    """For scripts that do it before each end."""
    write("nothing was deleted: counters are kept in the queue; 'jobctl counters clear' sets them to zero")
    return exits.OK


def show(context: Context) -> int:
    """The counters."""
    args = context.args
    rows = context.call("counters", channel=args.channel)
    if context.json:
        write_json(rows)
        return exits.OK
    lines = [line for row in rows for line in _lines(row, args)]
    if args.headers:
        lines = [f"{'Channel':22} {'Messages':>10} {'Recipients':>10} {'Blocks':>10}", _RULE, *lines]
    if args.output is None:
        for line in lines:
            write(line)
    else:
        with open(args.output, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    return exits.OK


def clear(context: Context) -> int:
    """Zero."""
    cleared = context.call("counters.clear", channel=context.args.channel)
    if context.json:
        write_json(cleared)
    else:
        write(f"counting anew: {printable(', '.join(cleared['channels'])) or 'no channel has counted yet'}")
    return exits.OK


def _lines(row: dict[str, Any], args: argparse.Namespace) -> list[str]:
    lines = [printable(row["channel"])]
    if args.channels:
        for name in _VOLUMES:
            volume = row[name]
            line = f"   {name.capitalize():19} {volume['messages']:10} {volume['recipients']:10} {volume['blocks']:10}"
            if name == "delivered":
                line += f"   ({row['delivered_first_time']} first time)"
            lines.append(line)
        for title, seconds, count in (
            ("Queue time/count", row["queue_seconds"], row["queue_count"]),
            ("Queue first time/count", row["first_queue_seconds"], row["first_queue_count"]),
        ):
            average = f" = {seconds / count:.2f} s" if count else ""
            lines.append(f"   {title:22} {seconds:.2f}/{count}{average}")
        if row["missing"]:
            lines.append(f"   {'Missing':19} {row['missing']:21}   (see jobctl ledger)")
    if args.associations:
        for key, word in (("in", "In"), ("out", "Out")):
            made = row[f"{key}_associations"]
            for title in ("current", "total", "rejected"):
                lines.append(f"   {title.capitalize() + ' ' + word + ' Assocs':22} {made[title]:7}")
        proved = row["authentications"]
        if any(proved.values()):
            lines += [
                f"   {title.capitalize() + ' Auths':22} {proved[title]:7}" for title in ("accepted", "failed")
            ]
    return lines
