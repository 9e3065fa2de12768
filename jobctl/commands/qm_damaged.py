"""``jobctl qm damaged|salvage|abandon``: entries that cannot be read as they were written."""

import sys
from typing import Any

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import (
    Column,
    joined,
    printable,
    sender,
    several,
    show_rows,
    text,
    when,
    write,
    write_json,
)
from jobctl.commands.parser import Commands, command
from jobctl.commands.without_daemon import ask_or_read

_DAMAGED = (
    Column("Id", "id"),
    Column("Set aside", "since", when),
    Column("Channel", "channel"),
    Column("Sender", "sender", lambda value: "(unreadable)" if value is None else sender(value)),
    Column("Recipients", "recipients", lambda value: "(unreadable)" if value is None else several(value)),
    Column("Content", "content"),
    Column("Why", "why", text),
)


def register(subcommands: Commands) -> None:
    """Make the commands known."""
    command(
        subcommands,
        "damaged",
        damaged,
        "entries set aside because they cannot be read",
        "  jobctl qm damaged\n  jobctl qm damaged --json",
        description="List the entries that were set aside because they are not as they were written, and what "
        "can still be read of them (which may be wrong). They are in no other list and are not tried.",
    )
    parser = command(
        subcommands,
        "salvage",
        salvage,
        "put damaged entries back into the queue",
        "  jobctl qm salvage a1b2\n  jobctl qm salvage a1b2 --as-read\n"
        "  jobctl qm salvage a1b2 --from ann@example.org --to bob@example.net",
        description="Put entries back that were set aside. One that can be read again (after a repair) goes "
        "back as it was; of any other the message is queued anew, to the recipients that you give.",
    )
    parser.add_argument("ids", nargs="+", metavar="ID", help="as 'qm damaged' shows it")
    parser.add_argument("--as-read", action="store_true", help="believe the sender and recipients shown")
    parser.add_argument("--from", dest="sender", metavar="ADDRESS", help="the sender, <> for none")
    parser.add_argument("--to", action="append", default=[], metavar="ADDRESS", help="a recipient")
    parser = command(
        subcommands,
        "abandon",
        abandon,
        "give damaged entries up",
        "  jobctl qm abandon a1b2",
        description="Remove entries for ever that were set aside as damaged; nobody is told.",
    )
    parser.add_argument("ids", nargs="+", metavar="ID", help="as 'qm damaged' shows it")


def damaged(context: Context) -> int:
    """What was set aside."""

    def look(store: Any) -> list[dict[str, Any]]:
        found = (store.remains(entry) for entry, _, _ in store.damaged())
        return [left.row() for left in found if left is not None]

    rows = ask_or_read(context, "qm.damaged", {}, look)
    return show_rows(context, _DAMAGED, rows, "nothing is damaged")


def salvage(context: Context) -> int:
    """Back into the queue."""
    args = context.args
    keys: dict[str, Any] = {"ids": args.ids, "recipients": args.to}
    if args.as_read:
        keys["as_read"] = True
    if args.sender is not None:
        keys["sender"] = "" if args.sender == "<>" else args.sender
    result = context.call("qm.salvage", **keys)
    if context.json:
        write_json(result)
    else:
        for entry in result["done"]:
            write(f"queued {joined(result['queued'][entry])}")
    return _tell(result["failed"])


def abandon(context: Context) -> int:
    """Out of the queue."""
    result = context.call("qm.abandon", ids=context.args.ids)
    if context.json:
        write_json(result)
    else:
        for entry in result["done"]:
            write(f"gave up {entry}")
    return _tell(result["failed"])


def _tell(failed: list[dict[str, Any]]) -> int:
    for failure in failed:
        print(f"jobctl: {failure['id']}: {printable(failure['text'])}", file=sys.stderr)
    statuses = {failure["exit"] for failure in failed}
    return exits.TEMPORARY if exits.TEMPORARY in statuses else max(statuses, default=exits.OK)
