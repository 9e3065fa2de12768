"""``jobctl qm start|stop|hold|release|return|delete``: what an operator does to the queue."""

import argparse
import sys
from typing import Any

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import joined, printable, write, write_json
from jobctl.commands.parser import Commands, command
from jobctl.commands.qm_messages import check_chosen
from jobctl.commands.without_daemon import ask_or_read, channels_meant
from jobctl.errors import UsageError

_DONE = {"hold": "held", "release": "released", "return": "returned", "delete": "deleted"}


def register(subcommands: Commands) -> None:
    """Make the commands known."""
    for name, summary, description in (
        ("start", "let a channel work again", "Let a stopped channel work again, at once."),
        (
            "stop",
            "no deliveries by a channel until it is started",
            "Stop a channel: mail is still accepted for it and kept. "
            "This survives restarts, and works with the daemon down.",
        ),
    ):
        examples = f"  jobctl qm {name} tcp_local\n  jobctl qm {name} 'tcp_*'"
        parser = command(subcommands, name, start_or_stop, summary, examples, description=description)
        parser.add_argument("channel", metavar="CHANNEL", help="wildcards * and ?")
        parser.set_defaults(verb=name)
    for name, summary, description in (
        ("hold", "set messages aside", "Set messages aside until 'qm release'."),
        ("release", "undo a hold", "Let held messages go again; they are tried now, ahead of all others."),
        (
            "return",
            "give messages back to their senders",
            "Give messages back to their senders as undeliverable.",
        ),
        ("delete", "remove messages for ever", "Remove messages for ever; nobody is told."),
    ):
        examples = f"  jobctl qm {name} a1b2 a1b3\n  jobctl qm {name} -channel=tcp_local -all -noconfirm"
        parser = command(subcommands, name, change, summary, examples, description=description)
        parser.add_argument("ids", nargs="*", metavar="ID", help="as 'qm directory' shows it")
        parser.add_argument("--channel", metavar="NAME", help="which channel's; wildcards * and ?")
        parser.add_argument("--all", action="store_true", help="every message of the channel")
        parser.add_argument(
            "--confirm",
            action=argparse.BooleanOptionalAction,
            help="ask before (with --all, unless --no-confirm)",
        )
        parser.add_argument(
            "--log", action=argparse.BooleanOptionalAction, default=True, help="report each message"
        )
        if name in ("hold", "return"):
            parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the history")
        parser.set_defaults(verb=name)


def start_or_stop(context: Context) -> int:
    """A channel, or several by wildcards."""
    verb, pattern = context.args.verb, context.args.channel
    stop = verb == "stop"

    def write_down(store: Any) -> dict[str, list[str]]:
        import getpass

        names = channels_meant(context, pattern)
        marked = set(store.stopped())
        changed = names if stop else [name for name in names if name in marked]
        for name in changed:
            store.set_stopped(name, stop, getpass.getuser())
        return {"channels": changed}

    result = ask_or_read(context, f"qm.{verb}", {"channel": pattern}, write_down)
    names = result["channels"]
    if context.json:
        write_json(result)
    elif names:
        write(f"{'stopped' if stop else 'started'}: {joined(names)}")
    else:
        write(f"{pattern} was not stopped")
    return exits.OK


def change(context: Context) -> int:
    """Messages by id, or all of a channel."""
    args = context.args
    check_chosen(args)
    if args.confirm or (args.confirm is None and args.all):
        _confirm(args)
    keys = {"ids": args.ids, "channel": args.channel, "all": args.all or None}
    reason = getattr(args, "reason", "")
    if reason:
        keys["reason"] = reason
    result = context.call(f"qm.{args.verb}", **keys)
    if context.json:
        write_json(result)
    elif args.log:
        for entry in result["done"]:
            write(f"{_DONE[args.verb]} {entry}")
        if not result["done"] and not result["failed"]:
            write("no messages")
    for failure in result["failed"]:
        print(f"jobctl: {failure['id']}: {printable(failure['text'])}", file=sys.stderr)
    return exit_of(result["failed"])


def exit_of(failed: list[dict[str, Any]]) -> int:
    """Of a change that was not made to all: when one of them may work later, that is worth another try."""
    statuses = {failure["exit"] for failure in failed}
    return exits.TEMPORARY if exits.TEMPORARY in statuses else max(statuses, default=exits.OK)


def _confirm(args: argparse.Namespace) -> None:
    """:raises UsageError: It was not confirmed."""
    what = f"all messages of channel {args.channel}" if args.all else joined(args.ids)
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(f"{args.verb} {what}: say --no-confirm where nobody can be asked")
    if input(f"{args.verb} {what}? (y/n) ").strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was done")
