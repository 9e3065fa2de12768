"""``jobctl history``: what became of a message, finished or not."""

import argparse
import sys
import time
from typing import Any

from jobctl.accounts.history import Search
from jobctl.accounts.history_rows import attempt_rows, finished_row, waiting_rows
from jobctl.accounts.moments import FORMS, stretch
from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import Column, printable, sender, text, when, write, write_json, write_table
from jobctl.commands.parser import Commands, add_where, command
from jobctl.commands.without_daemon import ask_or_read
from jobctl.errors import UsageError
from jobctl.mail.entry import Lasting, Loss

_COLUMNS = (
    Column("Came", "enqueued", when),
    Column("Id", "id"),
    Column("From", "sender", sender),
    Column("To", "recipient"),
    Column("What", "what"),
    Column("When", "when", when),
    Column("Channel", "channel"),
    Column("Host", "remote", text),
    Column("Reply", "reply", text),
)
# Lines that are shown when nothing is said.
_LIMIT = 1000
_PAGE = 1000


def register(commands: Commands) -> None:
    """Make the commands known."""
    parser = command(
        commands,
        "history",
        history,
        "what became of a message",
        "  jobctl history --to bob --at 10:42            the message of 10:42 to bob\n"
        "  jobctl history --from ann@example.org --since yesterday\n"
        "  jobctl history --message-id 20261125.1042@example.org --attempts\n"
        "  jobctl history --what failed --since 2h --where 'rcpt.domain=example.com'",
        description=(
            "Show what became of messages, a line for each recipient: those that have left the queue within\n"
            "history_retention, then those still in it. All that is given must be so.\n"
            f"Times of arrival are written {FORMS}."
        ),
    )
    parser.add_argument("ids", nargs="*", metavar="ID", help="queue entries, as the lists show them")
    parser.add_argument("--to", dest="recipient", default="", metavar="TEXT", help="part of it, or wildcards")
    parser.add_argument(
        "--from", dest="sender", default="", metavar="TEXT", help="part of it, or wildcards; <> for none"
    )
    parser.add_argument("--at", metavar="TIME", help="came in then: in that minute, on that day")
    parser.add_argument("--since", metavar="TIME", help="came in then or later")
    parser.add_argument("--until", metavar="TIME", help="came in before its end")
    parser.add_argument("--message-id", default="", metavar="TEXT", help="part of its Message-ID")
    parser.add_argument("--subject", default="", metavar="TEXT", help="part of its subject")
    parser.add_argument("--channel", default="", metavar="NAME", help="wildcards * and ?")
    parser.add_argument("--what", default="", choices=tuple(Loss), help="only those that left this way")
    parser.add_argument(
        "--waiting",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="those still in the queue, too",
    )
    parser.add_argument("--attempts", action="store_true", help="with what was tried for each")
    parser.add_argument("--limit", type=int, metavar="N", default=_LIMIT, help=f"no more lines ({_LIMIT})")
    add_where(parser)


def history(context: Context) -> int:
    """What became of them."""
    args = context.args
    since, until = _times(args)
    keys: dict[str, Any] = {
        "recipient": args.recipient,
        "sender": args.sender,
        "since": since,
        "until": until,
        "message_id": args.message_id,
        "subject": args.subject,
        "ids": args.ids,
        "channel": args.channel,
        "what": args.what,
    }

    def read(store: Any) -> list[dict[str, Any]]:
        if args.where is not None:
            raise UsageError("--where needs the Job Controller, which does not run", exits.UNAVAILABLE)
        return _read(store, Search(**{**keys, "ids": tuple(args.ids)}), args)

    asked = {
        "where": args.where,
        "waiting": args.waiting,
        "attempts": args.attempts,
        "limit": max(0, args.limit),
    }
    rows = ask_or_read(context, "history", {**keys, **asked}, read)
    rows.sort(key=lambda row: row["enqueued"])
    if context.json:
        write_json(rows)
    elif rows:
        _show(rows, args.attempts)
    else:
        write("nothing like that is in the queue, or has left it within history_retention")
    if args.limit and len(rows) >= args.limit:
        print(
            f"jobctl: these are the first {args.limit}; say more of what is meant, or --limit 0",
            file=sys.stderr,
        )
    return exits.OK if rows else exits.NO_INPUT


def _times(args: argparse.Namespace) -> tuple[float, float]:
    now = time.time()
    try:
        if args.at is not None:
            if args.since is not None or args.until is not None:
                raise UsageError("--at says it all: leave --since and --until out")
            start, end = stretch(args.at, now)
            if end == start:
                # Some time ago: nobody means the very second.
                return start - 60.0, end + 60.0
            return start, end
        since = 0.0 if args.since is None else stretch(args.since, now)[0]
        return since, 0.0 if args.until is None else stretch(args.until, now)[1]
    except ValueError as why:
        raise UsageError(str(why)) from None


def _read(store: Any, search: Search, args: argparse.Namespace) -> list[dict[str, Any]]:
    """From the queue itself."""
    rows: list[dict[str, Any]] = []
    after = 0
    while True:
        found, after = store.finished(search, after, _PAGE)
        rows += [finished_row(one) for one in found]
        if not after or (args.limit and len(rows) >= args.limit):
            break
    if args.waiting and not args.what:
        now = time.time()
        for stored in store.directory():
            held = stored.state is not Lasting.QUEUED
            state = "held" if held else "delayed" if stored.entry.due > now else "ready"
            rows += waiting_rows(stored, state, search)
    if args.limit:
        del rows[args.limit :]
    if args.attempts:
        for row in rows:
            row["lines"] = attempt_rows(store.history(row["id"]), row["recipient"])
    return rows


def _show(rows: list[dict[str, Any]], attempts: bool) -> None:
    if not attempts:
        write_table(_COLUMNS, rows)
        return
    for row in rows:
        write(
            f"{printable(row['id'])} from {printable(sender(row['sender']))} to {printable(row['recipient'])}"
        )
        write(f"  came     {when(row['enqueued'])}, {row['size']} octets, by {printable(row['source'])}")
        for name, key in (("Message-ID", "message_id"), ("subject", "subject")):
            if row[key]:
                write(f"  {name}: {printable(row[key])}")
        for line in row["lines"]:
            at = f" at {printable(line['host'])}" if line["host"] else ""
            write(f"  {when(line['when'])} {line['what']}{at}: {printable(line['text'])}")
        end = when(row["when"]) if row["when"] is not None else "now"
        at = f" by {printable(row['remote'])}" if row["remote"] else ""
        reply = f": {printable(row['reply'])}" if row["reply"] else ""
        write(f"  {end} {row['what']}{at}{reply}")
