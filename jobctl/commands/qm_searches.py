"""``jobctl qm clean|top``, ``qclean`` and ``qtop``: what is in the messages."""

import argparse
import re
import sys
from collections.abc import Callable
from typing import Any

import msgspec

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import printable, sender, several, when, write, write_json
from jobctl.commands.parser import Commands, command
from jobctl.commands.progress import Bar
from jobctl.commands.session import confirm
from jobctl.commands.without_daemon import ask_or_read, channels_meant
from jobctl.errors import UsageError
from jobctl.mail.counts import counted

# Option, part, and what it is called; a dash in options.
_PARTS = {
    "content": "the body, as it was sent",
    "from": "the envelope sender, <> for none",
    "subject": "the Subject field, decoded",
    "to": "a recipient",
    "domain_to": "a recipient's domain",
}
_RANGE = re.compile(
    r"\(?(?:start=)?(\d{1,9})(?:[,:](?:length=)?(\d{1,10}))?\)?|\(?length=(\d{1,10})\)?", re.I
)
_SAMPLE = 5
_PAGE = 200


def register_qm(subcommands: Commands) -> None:
    """Make the sub-commands of ``qm`` known."""
    _register(subcommands, "", "qm ")


def register(commands: Commands) -> None:
    """Make ``qclean`` and ``qtop`` known."""
    _register(commands, "q", "q")


def _register(commands: Commands, prefix: str, shown: str) -> None:
    parser = command(
        commands,
        f"{prefix}clean",
        clean,
        "hold or delete messages by what is in them" if not prefix else "as 'qm clean'",
        f'  jobctl {shown}clean --subject "your account will be closed"\n'
        f'  jobctl {shown}clean --from "<>" --domain-to example.com --min-length 5 --delete\n'
        f'  imsimta {shown}clean -subject="make money fast" -match=or -ignore_zz -min_length=10 tcp_local',
        description="Hold the messages that contain these texts, or delete them. Case does not matter; of a "
        "body the first 256 KiB are searched. It goes on in the background of deliveries and touches nothing "
        "that arrives meanwhile.",
    )
    for name, what in _PARTS.items():
        parser.add_argument(_option(name), dest=f"part_{name}", metavar="TEXT", help=f"in {what}")
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--hold", action="store_true", help="hold them (so it is without --delete)")
    group.add_argument("--delete", action="store_true", help="remove them; nobody is told")
    parser.add_argument(
        "--match",
        type=str.lower,
        choices=("and", "or"),
        default="and",
        help="all of the texts, or one of them (and)",
    )
    parser.add_argument(
        "--min-length", type=int, metavar="N", help="shortest text that is taken (24, for safety)"
    )
    parser.add_argument(
        "--confirm",
        action=argparse.BooleanOptionalAction,
        help="ask before (with --delete, unless --no-confirm)",
    )
    parser.add_argument(
        "--undo",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="with --delete, no: at once and for ever",
    )
    _shared(parser)
    parser = command(
        commands,
        f"{prefix}top",
        top,
        "what is most frequent in the messages" if not prefix else "as 'qm top'",
        f"  jobctl {shown}top                                  the most frequent subjects\n"
        f"  jobctl {shown}top --from --domain-to --top 10 tcp_local\n"
        f"  imsimta {shown}top -subject=(START=1,LENGTH=20) -min_count=5",
        description="Count what is most frequent in the messages: subjects, or what is asked for. Memory is "
        "bounded: above 50,000 different values rare ones are dropped, and by how much the counts can be too "
        "low is said.",
    )
    for name, what in _PARTS.items():
        parser.add_argument(
            _option(name), dest=f"part_{name}", nargs="?", const="", metavar="RANGE", help=f"count {what}"
        )
    parser.add_argument(
        "--held", action=argparse.BooleanOptionalAction, default=False, help="held messages instead"
    )
    parser.add_argument("--min-count", type=int, default=2, metavar="N", help="leave out rarer ones (2)")
    parser.add_argument("--top", type=int, default=20, metavar="N", help="no more than N of each (20)")
    _shared(parser)


def _shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("channel", nargs="?", metavar="CHANNEL", help="only of this; wildcards * and ?")
    parser.add_argument("--ignore-zz", action="store_true", help="leave out what was never tried")
    parser.add_argument("--threads", metavar="N", help="without effect: one thread reads, beside deliveries")
    parser.add_argument("--no-threads", action="store_true", help="without effect, too")
    parser.add_argument(
        "--verbose", action=argparse.BooleanOptionalAction, default=True, help="say what is found"
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--database", action="store_true", help="ask the Job Controller and nothing else")
    group.add_argument(
        "--directory-tree", action="store_true", help="look at the queue itself and ask nobody"
    )


def clean(context: Context) -> int:
    """Find and hold or delete."""
    args = context.args
    if args.directory_tree:
        raise UsageError("clean changes the queue through the Job Controller: leave -directory_tree out")
    texts = {name: getattr(args, f"part_{name}") for name in _PARTS}
    keys: dict[str, Any] = {
        "texts": {name: text for name, text in texts.items() if text is not None},
        "channel": args.channel,
        "match": args.match,
        "ignore_zz": args.ignore_zz or None,
        "min_length": args.min_length,
        "undo": None if args.undo else False,
    }
    action = "delete" if args.delete else "hold"
    if args.confirm or (args.confirm is None and args.delete):
        _ask(context, action, keys)
    rows: list[dict[str, Any]] = []

    def found(row: dict[str, Any]) -> None:
        if context.json:
            rows.append(row)
        elif row["text"]:
            print(f"jobctl: {row['id']}: {printable(row['text'])}", file=sys.stderr)
        elif args.verbose:
            write(f"{'deleted' if args.delete else 'held'} {_shown(row)}")

    try:
        result = search(context, "qm.clean", {**keys, "action": action}, "cleaning", found)
    except KeyboardInterrupt:
        print("jobctl: it ends here; what is done stays done: see 'jobctl qm operations'", file=sys.stderr)
        raise
    if context.json:
        write_json(rows)
    else:
        write(f"{result['matched']} found, {result['done']} {'deleted' if args.delete else 'held'}")
        if result.get("undo_until"):
            write(f"'jobctl undo {result['operation']}' takes it back, until {when(result['undo_until'])}")
    return exits.TEMPORARY if result["failed"] else exits.OK


def _ask(context: Context, action: str, keys: dict[str, Any]) -> None:
    sample: list[str] = []

    def found(row: dict[str, Any]) -> None:
        if len(sample) < _SAMPLE:
            sample.append(_shown(row))

    result = search(context, "qm.clean", {**keys, "action": "look"}, "looking", found)
    number = result["matched"]
    for line in sample:
        print(line, file=sys.stderr)
    if number > len(sample):
        print(f"... and {number - len(sample)} more", file=sys.stderr)
    if number:
        confirm(f"{action} {number} message{'' if number == 1 else 's'}")


def search(
    context: Context, op: str, keys: dict[str, Any], what: str, found: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """
    A long operation's result, with a bar on a terminal.

    :param found: Called with each item.
    """
    result: Any = None
    with context.client() as client, Bar(what, not context.json) as bar:
        for answer, _ in client.stream(op, **keys):
            if answer.item is not msgspec.UNSET:
                found(answer.item)
            elif answer.progress is not msgspec.UNSET:
                bar.update(answer.progress["done"], answer.progress["of"])
            elif answer.result is not msgspec.UNSET:
                result = answer.result
    return dict(result)


def _shown(row: dict[str, Any]) -> str:
    parts = (row["id"], row["channel"], sender(row["sender"]), several(row["recipients"]), row["subject"])
    return printable("  ".join(parts).rstrip())


def top(context: Context) -> int:
    """Count and show."""
    args = context.args
    asked = {name: getattr(args, f"part_{name}") for name in _PARTS}
    parts = {name: stretch(name, text) for name, text in asked.items() if text is not None}
    if args.top < 1 or args.min_count < 1:
        raise UsageError("--top and --min-count are at least 1")
    keys: dict[str, Any] = {
        "parts": parts or None,
        "channel": args.channel,
        "held": args.held,
        "ignore_zz": args.ignore_zz or None,
        "top": args.top,
        "min_count": args.min_count,
    }
    result = _counted(context, keys)
    if context.json:
        write_json(result)
        return exits.OK
    for part in result["parts"]:
        scope = f"channel {args.channel}" if args.channel else "all channels"
        kind = counted(result["messages"], "held message" if args.held else "message")
        write(f"Most frequent {part['part'].replace('_', ' ')} of {kind}, {scope}")
        for line in part["values"]:
            value = sender(line["value"]) if part["part"] == "from" else line["value"]
            write(f"{line['count']:>9}  {printable(value) or '(empty)'}")
        if not part["values"]:
            write(f"           nothing is there {args.min_count} times")
        if part["missed"]:
            write(f"           (counts may be up to {part['missed']} too low: too many different values)")
    return exits.OK


def _counted(context: Context, keys: dict[str, Any]) -> dict[str, Any]:
    """By the daemon, with a bar; by ourselves where none runs or none is to be asked."""

    def read(store: Any) -> dict[str, Any]:
        from jobctl.selection.occurrences import Occurrences, Stretch

        parts = msgspec.convert(keys["parts"] or {"subject": {}}, dict[str, Stretch])
        occurrences = Occurrences(parts, bool(keys["ignore_zz"]))
        names = [None] if keys["channel"] is None else channels_meant(context, keys["channel"])
        counted = 0
        for name in names:
            after = None
            while (page := store.scan(occurrences.count, name, keys["held"], _PAGE, after)).last is not None:
                counted += len(page.found)
                after = page.last
        return occurrences.result(counted, keys["top"], keys["min_count"])

    def ask(op: str, **given: Any) -> dict[str, Any]:
        return search(context, op, given, "counting", lambda row: None)

    result: dict[str, Any] = ask_or_read(context, "qm.top", keys, read, ask)
    return result


def stretch(name: str, text: str) -> dict[str, int]:
    """``(START=n,LENGTH=n)``, or ``n,n``, or ``n``."""
    default = {"start": 1, "length": 256} if name == "content" else {"start": 1, "length": 2**31 - 1}
    if not text:
        return default
    found = _RANGE.fullmatch(text)
    if found is None:
        raise UsageError(f"{_option(name)}: {text} is no range: write (START=1,LENGTH=20)")
    start, length = found[1], found[2] or found[3]
    return {
        "start": int(start) if start else 1,
        "length": int(length) if length else default["length"],
    }


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
