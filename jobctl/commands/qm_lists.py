"""``jobctl qm summarize|directory|held|messages|jobs``: lists; none of them changes anything."""

import argparse
import time
from collections import Counter
from typing import Any

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import (
    Column,
    count,
    joined,
    kilobytes,
    printable,
    sender,
    several,
    show_rows,
    text,
    when,
    write,
    write_json,
    write_table,
    yes,
)
from jobctl.commands.parser import Commands, add_where, command
from jobctl.commands.without_daemon import ask_or_read, channels_meant

_SUMMARY = (
    Column("Channel", "channel"),
    Column("Messages", "messages", count, right=True),
    Column("Ready", "ready", count, right=True),
    Column("Active", "active", count, right=True),
    Column("Delayed", "delayed", count, right=True),
    Column("Held", "held", count, right=True),
    Column("Size(KB)", "size", kilobytes, right=True),
    Column("Oldest", "oldest", when),
    Column("Stopped", "stopped", yes),
)
_ENTRY = (Column("Id", "id"), Column("Channel", "channel"), Column("State", "state"))
_NUMBER = Column("No", "no", count, right=True)
_INFO = (
    Column("Size(KB)", "size", kilobytes, right=True),
    Column("Queued since", "enqueued", when),
    Column("Tries", "attempts", count, right=True),
    Column("Next try", "next_attempt", when),
)
_ENVELOPE = (Column("Sender", "sender", sender), Column("Recipients", "recipients", several))
_REPLY = (Column("Last reply", "last_reply", text),)
_REASON = (Column("Held because", "reason", text),)
_SHARES = (
    Column("Share", "share"),
    Column("Weight", "weight", count, right=True),
    Column("Ready", "ready", count, right=True),
    Column("Active", "active", count, right=True),
    Column("Handed out", "handed", count, right=True),
    Column("Longest wait (s)", "longest_wait", lambda seconds: f"{seconds:.1f}", right=True),
)
_HOSTS = (
    Column("Host", "host", lambda host: host or "(any)"),
    Column("Active messages", "active", count, right=True),
    Column("Delayed messages", "delayed", count, right=True),
)


def register(subcommands: Commands) -> None:
    """Make the commands known."""
    parser = command(
        subcommands,
        "summarize",
        summarize,
        "one line per channel",
        "  jobctl qm summarize\n  jobctl qm summarize --json\n  jobctl qm summarize -noheading -notrailing",
        description="Count each channel's messages: ready, in the hands of a job, "
        "delayed until their next try, held.",
    )
    _toggle(parser, "--heading", "the line of headings")
    _toggle(parser, "--held", "the column of held messages")
    _toggle(parser, "--trailing", "the line of totals")
    _source(parser)
    parser = command(
        subcommands,
        "directory",
        directory,
        "list messages",
        "  jobctl qm directory tcp_local\n  jobctl qm directory 'tcp_*' --from ann@example.org --limit 20\n"
        "  jobctl qm directory -held -noenvelope\n  jobctl qm directory --json --from '<>'\n"
        "  jobctl qm directory --where 'rcpt.domain=example.com and age>1h and attempts<5'",
    )
    parser.add_argument(
        "--held", action=argparse.BooleanOptionalAction, help="only held messages, or only others"
    )
    _listing(parser)
    parser = command(
        subcommands,
        "held",
        held,
        "list held messages and why they are held",
        "  jobctl qm held\n  jobctl qm held tcp_local --to bob@example.net",
    )
    _listing(parser)
    parser = command(
        subcommands,
        "messages",
        messages,
        "a channel's active and delayed messages by host",
        "  jobctl qm messages tcp_local\n  jobctl qm messages tcp_local --where 'last.code~4.7'",
    )
    parser.add_argument("channel", metavar="CHANNEL")
    add_where(parser)
    _source(parser)
    parser = command(
        subcommands,
        "jobs",
        jobs,
        "what each job is doing",
        "  jobctl qm jobs\n  jobctl qm jobs 'tcp_*'",
    )
    parser.add_argument("channel", nargs="?", metavar="CHANNEL", help="wildcards * and ?")
    parser = command(
        subcommands,
        "shares",
        shares,
        "how the senders share the channels",
        "  jobctl qm shares\n  jobctl qm shares 'tcp_*' --json",
        description="Show by channel what each sender's domain (see fair_share) has waiting and got in the last "
        "minute or two,\nthe longest that any of its messages waited, and how fair that was: Jain's index, 1 is "
        "perfectly fair.",
    )
    parser.add_argument("channel", nargs="?", metavar="CHANNEL", help="wildcards * and ?")


def summarize(context: Context) -> int:
    """The queue by channel."""

    def read(store: Any) -> list[dict[str, Any]]:
        from jobctl.commands.queue_rows import backoffs_of, summary_rows

        hosts = list(backoffs_of(store.host_backoffs()))
        waiting: Counter[str] = Counter()
        for (channel, _), due in zip(hosts, store.overdue(hosts), strict=True):
            waiting[channel] += due
        return summary_rows(store.summarize(), store.stopped(), context.settings.channels, waiting)

    rows = ask_or_read(context, "qm.summarize", {}, read)
    if context.json:
        write_json(rows)
        return exits.OK
    args = context.args
    columns = [column for column in _SUMMARY if args.held or column.key != "held"]
    totals = {
        key: sum(row[key] for row in rows)
        for key in ("messages", "ready", "active", "delayed", "held", "size")
    }
    trailer = ["Totals"] + [
        column.show(totals[column.key]) if column.key in totals else "" for column in columns[1:]
    ]
    write_table(columns, rows, trailer if args.trailing else (), args.heading)
    return exits.OK


def directory(context: Context) -> int:
    """Messages of the queue."""
    return _list(context, "qm.directory", context.args.held)


def held(context: Context) -> int:
    """Held messages."""
    return _list(context, "qm.held", True)


def _list(context: Context, op: str, only_held: bool | None) -> int:
    args = context.args
    keys: dict[str, Any] = {
        "channel": args.channel,
        "held": only_held,
        "sender": args.sender,
        "recipient": args.recipient,
        "match": args.match,
        "where": _where(args),
        "limit": args.limit,
    }

    def read(store: Any) -> list[dict[str, Any]]:
        from jobctl.commands.queue_rows import backoffs_of, directory_rows
        from jobctl.control.requests import QmDirectory

        if args.channel is not None:
            channels_meant(context, args.channel)
        backoffs = backoffs_of(store.host_backoffs())
        return directory_rows(store.directory(), QmDirectory(**keys), time.time(), backoffs)

    rows = ask_or_read(context, op, keys, read)
    columns = [*_ENTRY]
    if context.session is not None:
        rows = context.session.listing.number(rows)
        columns.insert(0, _NUMBER)
    if context.json:
        write_json(rows)
        return exits.OK
    if args.file_info:
        columns += _INFO
    if args.envelope:
        columns += _ENVELOPE
    columns += _REASON if op == "qm.held" else _REPLY
    write_table(columns, rows)
    if args.total:
        size = kilobytes(sum(row["size"] for row in rows))
        write(f"{len(rows)} message{'' if len(rows) == 1 else 's'}, {size} KB")
    return exits.OK


def messages(context: Context) -> int:
    """One channel by destination host."""
    name, where = context.args.channel, context.args.where

    def read(store: Any) -> list[dict[str, Any]]:
        from jobctl.commands.queue_rows import backoffs_of, message_rows, selected

        meant = set(channels_meant(context, name))
        wanted = selected(where, time.time())
        return message_rows(
            (s for s in store.directory() if s.entry.channel in meant and wanted(s)),
            time.time(),
            backoffs_of(store.host_backoffs()),
        )

    rows = ask_or_read(context, "qm.messages", {"channel": name, "where": where}, read)
    return show_rows(context, _HOSTS, rows)


def jobs(context: Context) -> int:
    """The jobs by channel, as the original shows them."""
    rows = context.call("qm.jobs", channel=context.args.channel)
    if context.json:
        write_json(rows)
        return exits.OK
    by_channel: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_channel.setdefault(row["channel"], []).append(row)
    for channel, members in sorted(by_channel.items()):
        write(f"channel {printable(channel)}")
        for row in members:
            _write_job(row)
        write(f"  {len(members)} job{'' if len(members) == 1 else 's'} active")
    write(f"{len(by_channel)} active channel{'' if len(by_channel) == 1 else 's'}")
    return exits.OK


def shares(context: Context) -> int:
    """How the senders share each channel."""
    rows = context.call("qm.shares", channel=context.args.channel)
    if context.json:
        write_json(rows)
        return exits.OK
    for row in rows:
        write(f"channel {printable(row['channel'])}: Jain's index {row['jain']:.2f}")
        write_table(_SHARES, row["shares"])
    return exits.OK


def _write_job(row: dict[str, Any]) -> None:
    write(f"  job {row['job']} (pid {row['pid']}), {row['role']}, since {when(row.get('started'))}")
    for host, number in sorted(row.get("hosts", {}).items()):
        write(f"    host {printable(host) or '(any)'}: {number} message{'' if number == 1 else 's'}")
    if row.get("messages"):
        write(f"    {printable(joined(row['messages']))}")
    write(f"    processed messages: {row['processed']}, failed processing attempts: {row['failed']}")


def _where(args: argparse.Namespace) -> str | None:
    """The selector, with ``--owner`` as a part of it."""
    if args.owner is None:
        return str(args.where) if args.where is not None else None
    name = args.owner.replace("\\", "\\\\").replace('"', '\\"').replace("*", "\\*").replace("?", "\\?")
    owned = f'user="{name}"'
    return owned if args.where is None else f"({args.where}) and {owned}"


def _listing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "channel", nargs="?", metavar="CHANNEL", help="only of this channel; wildcards * and ?"
    )
    parser.add_argument(
        "--from", dest="sender", metavar="TEXT", help="part of the sender, or wildcards; <> for none"
    )
    parser.add_argument("--to", dest="recipient", metavar="TEXT", help="part of a recipient, or wildcards")
    parser.add_argument(
        "--match",
        type=str.lower,
        choices=("and", "or"),
        default="or",
        help="with both --from and --to (or)",
    )
    parser.add_argument("--owner", metavar="USER", help="only what this authenticated user has sent")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="no more than N messages")
    add_where(parser)
    _toggle(parser, "--envelope", "sender and recipients")
    _toggle(parser, "--file-info", "size, dates and tries")
    _toggle(parser, "--total", "the line of totals")
    _source(parser)


def _toggle(parser: argparse.ArgumentParser, option: str, what: str) -> None:
    parser.add_argument(option, action=argparse.BooleanOptionalAction, default=True, help=f"show {what}")


def _source(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--database", action="store_true", help="ask the Job Controller and nothing else")
    group.add_argument(
        "--directory-tree", action="store_true", help="look at the queue itself and ask nobody"
    )
