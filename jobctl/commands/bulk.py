"""``jobctl qm hold|release|return|delete|retry|move|reroute|redirect|priority``: messages by id, or many at once."""

import argparse
import sys
from typing import Any

import msgspec

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import (
    Column,
    joined,
    kilobytes,
    printable,
    sender,
    several,
    when,
    write,
    write_json,
    write_table,
)
from jobctl.commands.parser import Commands, add_where, command
from jobctl.commands.progress import Bar
from jobctl.commands.qm_messages import check_chosen, chosen_keys
from jobctl.errors import UsageError

# Ids named one by one; failures told one by one.
_NAMED = 100
_SAMPLE = (
    Column("Id", "id"),
    Column("Channel", "channel"),
    Column("State", "state"),
    Column("Size(KB)", "size", kilobytes, right=True),
    Column("Queued since", "enqueued", when),
    Column("Sender", "sender", sender),
    Column("Recipients", "recipients", several),
)


class _Kind(msgspec.Struct, frozen=True):
    """
    One verb.

    :ivar done: What was done to a message, for the report.
    :ivar operands: Of the command, before the ids.
    :ivar held: Which messages a selector means: ``True`` only held ones, ``False`` only others.
    :ivar undo: It can be undone for a while.
    """

    name: str
    done: str
    summary: str
    description: str
    example: str
    operands: tuple[str, ...] = ()
    held: bool | None = None
    undo: bool = False


_KINDS = (
    _Kind(
        "hold",
        "held",
        "set messages aside",
        "Set messages aside until 'qm release'. Mail still to come: 'jobctl hold where'.",
        "-reason='waits for the partner' --where 'rcpt.domain=partner.example'",
        held=False,
    ),
    _Kind(
        "release",
        "released",
        "undo a hold",
        "Let held messages go again; they are tried now, those given by id ahead of all others.",
        "--where 'reason~loop and age<1d'",
        held=True,
    ),
    _Kind(
        "return",
        "returned",
        "give messages back to their senders",
        "Give messages back to their senders as undeliverable. The notification goes out when the time to undo "
        "it is over (return_undo_window).",
        "-reason='no such partner any more' --where 'rcpt.domain=gone.example'",
        undo=True,
    ),
    _Kind(
        "delete",
        "deleted",
        "remove messages; nobody is told",
        "Remove messages; nobody is told. They are gone for ever when the time to undo it is over (undo_window).",
        "--where 'sender=<> and age>1d'",
        undo=True,
    ),
    _Kind(
        "retry",
        "due now",
        "try delayed messages now",
        "Have messages tried now that wait for their next attempt, those given by id ahead of all others.",
        "--where 'rcpt.domain=example.com and state=delayed'",
        held=False,
    ),
    _Kind(
        "move",
        "moved",
        "put messages into another channel's queue",
        "Put messages into another channel's queue; they keep their ids, ages and attempts.",
        "tcp_backup --where 'channel=tcp_local and age>2h'",
        ("channel",),
        undo=True,
    ),
    _Kind(
        "reroute",
        "rerouted",
        "ask the rewrite rules again",
        "Put messages where the rewrite rules say now that they belong.",
        "--where 'rcpt.domain=partner.example'",
        undo=True,
    ),
    _Kind(
        "redirect",
        "redirected",
        "deliver messages to another recipient or host",
        "Deliver messages to another recipient than theirs (one copy, whatever their number), or by way of "
        "another host. Notifications still name the original recipient.",
        "--to postmaster@example.org Q1A",
        undo=True,
    ),
    _Kind(
        "priority",
        "changed",
        "give messages another priority",
        "Give messages another priority: urgent, normal, nonurgent, second_class, third_class.",
        "nonurgent --where 'sender=list@example.org and rcpt.count>=50'",
        ("priority",),
    ),
)


def register(subcommands: Commands) -> None:
    """Make the commands known."""
    for kind in _KINDS:
        operands = " ".join(f"{name.upper()} " for name in kind.operands)
        shown = {"CHANNEL ": "tcp_backup ", "PRIORITY ": "urgent "}.get(operands, "")
        more = "--to bob@example.net " if kind.name == "redirect" else ""
        examples = (
            f"  jobctl qm {kind.name} {more}{shown}a1b2 a1b3\n"
            f"  jobctl qm {kind.name} {kind.example}\n"
            f"  jobctl qm {kind.name} {more}{shown}-channel=tcp_local -all -noconfirm"
        )
        parser = command(subcommands, kind.name, change, kind.summary, examples, description=kind.description)
        for name in kind.operands:
            text = "where to" if name == "channel" else "urgent, normal, nonurgent ..."
            parser.add_argument("to" if name == "channel" else name, metavar=name.upper(), help=text)
        if kind.name == "redirect":
            group = parser.add_mutually_exclusive_group(required=True)
            group.add_argument("--to", metavar="ADDRESS", help="the recipient instead of theirs")
            group.add_argument("--host", metavar="HOST", help="a name, or an address as in [192.0.2.1]")
        parser.add_argument("ids", nargs="*", metavar="ID", help="as 'qm directory' shows it")
        _options(parser, kind)
        parser.set_defaults(verb=kind.name, kind=kind)


def _options(parser: argparse.ArgumentParser, kind: _Kind) -> None:
    parser.add_argument("--channel", metavar="NAME", help="which channel's; wildcards * and ?")
    parser.add_argument("--all", action="store_true", help="every message of the channel")
    add_where(parser)
    parser.add_argument(
        "--confirm",
        action=argparse.BooleanOptionalAction,
        help="show how many are meant and ask before (with --all and --where, unless --no-confirm)",
    )
    parser.add_argument(
        "--yes", dest="confirm", action="store_const", const=False, help="the same as --no-confirm"
    )
    parser.add_argument(
        "--background", action="store_true", help="with --all or --where: do not wait for the end of it"
    )
    parser.add_argument(
        "--log", action=argparse.BooleanOptionalAction, default=True, help="report each message"
    )
    if kind.undo:
        parser.add_argument(
            "--undo", action=argparse.BooleanOptionalAction, default=True, help="no: at once and for ever"
        )
    if kind.name in ("hold", "return"):
        parser.add_argument("--reason", default="", metavar="TEXT", help="why, for the history")


def change(context: Context) -> int:
    """Messages by id; or a channel's, or those that a selector means, shown and confirmed before."""
    args = context.args
    check_chosen(args)
    keys = chosen_keys(args) | {"background": args.background or None}
    for name in ("reason", "to", "host", "priority"):
        if getattr(args, name, None):
            keys[name] = getattr(args, name)
    if not getattr(args, "undo", True):
        keys["undo"] = False
    if args.all or args.where is not None:
        if args.confirm is not False:
            seen = seen_before(context, args.verb, args.kind.held)
            if seen is None:
                return exits.OK
            keys |= seen
    elif args.confirm:
        _ask(f"{args.verb} {joined(args.ids)}")
    return carry_out(context, f"qm.{args.verb}", keys, args.verb, args.kind.done)


def carry_out(context: Context, op: str, keys: dict[str, Any], verb: str, done: str) -> int:
    """Have an operation done, show how far it is, and report what came of it."""
    result = watched(context, op, keys, verb)
    if context.json:
        write_json(result)
    elif getattr(context.args, "log", True):
        report(result, done)
    return tell_failures(result)


def watched(context: Context, op: str, keys: dict[str, Any], verb: str) -> dict[str, Any]:
    """Have an operation done, show how far it is; gives what came of it."""
    result: dict[str, Any] = {}
    number = None
    try:
        with context.client() as client, Bar(verb, not context.json) as bar:
            for answer, _ in client.stream(op, **keys):
                if isinstance(answer.progress, dict):
                    number = answer.progress["operation"]
                    bar.update(answer.progress["found"], answer.progress["expected"])
                elif isinstance(answer.result, dict):
                    result = answer.result
    except KeyboardInterrupt:
        if number is not None:
            print(
                f"jobctl: operation {number} goes on; 'jobctl qm cancel {number}' ends it, "
                "'jobctl qm operations' shows it",
                file=sys.stderr,
            )
        raise
    return result


def tell_failures(result: dict[str, Any]) -> int:
    """Say what could not be done; gives the exit status."""
    failed = result.get("failed", [])
    for failure in failed[:_NAMED]:
        name = failure["id"] or f"operation {result.get('operation')}"
        print(f"jobctl: {name}: {printable(failure['text'])}", file=sys.stderr)
    left = result.get("failures", len(failed)) - len(failed[:_NAMED])
    if left > 0:
        print(f"jobctl: and {left} more", file=sys.stderr)
    return exit_of(failed)


def report(result: dict[str, Any], done: str) -> None:
    """What was done, and how to take it back."""
    if "done" not in result:
        number = result["operation"]
        write(f"operation {number} goes on in the background; 'jobctl qm operations' shows how far it is")
        return
    ids, count = result["done"], result.get("count", len(result["done"]))
    if count <= _NAMED:
        for entry in ids:
            write(f"{done} {entry}")
    else:
        write(f"{done}: {count} messages")
    if result.get("unchanged"):
        write(f"{result['unchanged']} more were so already, or are not meant any more")
    if result.get("stage") == "cancelled":
        write("cancelled; what is done stays done")
    if not count and not result["failed"] and not result.get("unchanged"):
        write("no messages")
    if result.get("undo_until"):
        number = result["operation"]
        write(f"'jobctl undo {number}' takes it back, until {when(result['undo_until'])}")


def exit_of(failed: list[dict[str, Any]]) -> int:
    """Of a change that was not made to all: when one of them may work later, that is worth another try."""
    statuses = {failure["exit"] for failure in failed}
    return exits.TEMPORARY if exits.TEMPORARY in statuses else max(statuses, default=exits.OK)


def seen_before(context: Context, verb: str, held: bool | None) -> dict[str, Any] | None:
    """
    Show how many are meant and some of them, and ask.

    :param held: Only held ones, only others, or both.
    :return: What makes the change one of just these; ``None``: there are none.
    :raises UsageError: It was not confirmed.
    """
    args = context.args
    what = args.where if args.where is not None else f"all messages of channel {args.channel}"
    if not _terminal():
        raise UsageError(f"{verb} {what}: say --yes (or --no-confirm) where nobody can be asked")
    keys = {"channel": args.channel, "all": args.all or None, "where": args.where, "held": held}
    seen = context.call("qm.preview", **keys)
    count = seen["count"]
    if not count:
        write("no messages")
        return None
    if not context.json:
        write_table(_SAMPLE, seen["sample"])
        if count > len(seen["sample"]):
            write(f"... and {count - len(seen['sample'])} more")
    _ask(f"{verb} {count} message{'' if count == 1 else 's'}, {kilobytes(seen['octets'])} KB")
    return {"snapshot": seen["snapshot"], "at": seen["at"], "expected": count}


def _ask(what: str) -> None:
    """:raises UsageError: It was not confirmed."""
    if not _terminal():
        raise UsageError(f"{what}: say --yes (or --no-confirm) where nobody can be asked")
    if input(f"{what}? (y/n) ").strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was done")


def _terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
