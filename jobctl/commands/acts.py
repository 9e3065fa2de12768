"""``jobctl undo``, ``jobctl qm operations|cancel|audit``: what operators have done, and taking it back."""

from typing import Any

from jobctl.commands import exits
from jobctl.commands.bulk import carry_out
from jobctl.commands.context import Context
from jobctl.commands.output import Column, count, show_rows, text, when, write, write_json
from jobctl.commands.parser import Commands, command
from jobctl.commands.without_daemon import ask_or_read

_ACT = (
    Column("Number", "number", count, right=True),
    Column("When", "when", when),
    Column("Who", "who"),
    Column("What", "what"),
    Column("Which", "subject", text),
)
_OPERATIONS = (
    *_ACT,
    Column("State", "stage"),
    Column("Done", "done", count, right=True),
    Column("Failed", "failed", count, right=True),
    Column("Undo until", "undo_until", when),
)
_AUDIT = (
    *_ACT,
    Column("How", "text", text),
    Column("State", "stage"),
    Column("Done", "done", count, right=True),
)
# More acts than are kept.
_ALL = 1_000_000
# Keys of an act that are left out where they have their usual value.
_USUAL = {
    "subject": "",
    "text": "",
    "uid": 0,
    "stage": "done",
    "ended": None,
    "found": 0,
    "done": 0,
    "unchanged": 0,
    "failed": 0,
    "ids": [],
    "undo_until": None,
}


def register(commands: Commands) -> None:
    """Make the command known."""
    parser = command(
        commands,
        "undo",
        undo,
        "take back a change of messages",
        "  jobctl qm operations       which there were\n  jobctl undo 12",
        description="Take back a 'qm delete', 'return', 'move', 'reroute' or 'redirect', while that is possible "
        "(undo_window, return_undo_window). What is still under way is ended first. Messages that have left the "
        "queue meanwhile, or that a job is delivering, stay as they are.",
    )
    parser.add_argument("operation", type=int, metavar="OPERATION", help="its number")
    parser.add_argument("--background", action="store_true", help="do not wait for the end of it")


def register_qm(subcommands: Commands) -> None:
    """Make the commands of ``qm`` known."""
    command(
        subcommands,
        "operations",
        operations,
        "changes of many messages: those under way, and the latest",
        "  jobctl qm operations\n  jobctl qm operations --json",
    )
    parser = command(
        subcommands,
        "cancel",
        cancel,
        "end an operation that is under way",
        "  jobctl qm cancel 12",
        description="End an operation after what it is at. What is done stays done; 'jobctl undo' takes it back.",
    )
    parser.add_argument("operation", type=int, metavar="OPERATION", help="its number")
    parser = command(
        subcommands,
        "audit",
        audit,
        "who did what, the newest first",
        "  jobctl qm audit --limit 20\n  jobctl qm audit --who ann --what delete --json",
        description="What operators have done to the queue: changes of messages, stopped and started channels, "
        "reloads, hold rules. It is kept for audit_keep.",
    )
    parser.add_argument("--who", metavar="USER", help="only of this user")
    parser.add_argument("--what", metavar="VERB", help="only this: delete, stop, reload ...")
    parser.add_argument("--limit", type=int, default=100, metavar="N", help="no more than N (100); 0 for all")


def undo(context: Context) -> int:
    """Take an operation back."""
    args = context.args
    keys = {"operation": args.operation, "background": args.background or None}
    return carry_out(context, "undo", keys, "undo", "back")


def operations(context: Context) -> int:
    """Changes of many messages."""
    rows = [_USUAL | row for row in context.call("qm.operations")]
    return show_rows(context, _OPERATIONS, rows)


def cancel(context: Context) -> int:
    """End one."""
    result = context.call("qm.cancel", operation=context.args.operation)
    if context.json:
        write_json(result)
    else:
        write("cancelled" if result["cancelled"] else "it was over already")
    return exits.OK


def audit(context: Context) -> int:
    """Who did what."""
    args = context.args

    def read(store: Any) -> list[dict[str, Any]]:
        import msgspec

        rows = [
            msgspec.to_builtins(act)
            for act in store.acts(limit=_ALL)
            if args.who in (None, act.who) and args.what in (None, act.what)
        ]
        return rows[: args.limit] if args.limit else rows

    keys = {"who": args.who, "what": args.what, "limit": args.limit}
    rows = [_USUAL | row for row in ask_or_read(context, "qm.audit", keys, read)]
    return show_rows(context, _AUDIT, rows)
