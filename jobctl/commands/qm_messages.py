"""``jobctl qm history|read``: one message looked at closely."""

import argparse
import io
import sys
import time
from typing import IO, Any

import msgspec

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import Column, printable, sender, show_rows, text, when, write, write_json
from jobctl.commands.parser import Commands, add_where, command
from jobctl.commands.session import confirm
from jobctl.commands.without_daemon import ask_or_read, read_the_queue
from jobctl.control.refusals import NoDaemon, unknown_id
from jobctl.control.selection import channel_matches
from jobctl.errors import UsageError

_HISTORY = (
    Column("Id", "id"),
    Column("When", "when", when),
    Column("What", "what"),
    Column("Recipient", "recipient", text),
    Column("Host", "host", text),
    Column("Job", "job", text),
    Column("Text", "text", text),
)
# What is kept in memory of a message that is shown.
_IN_MEMORY = 4 * 1024 * 1024
_COPY = 64 * 1024


def register(subcommands: Commands) -> None:
    """Make the commands known."""
    parser = command(
        subcommands,
        "history",
        history,
        "what was tried for messages",
        "  jobctl qm history a1b2\n  jobctl qm history -channel=tcp_local -all\n"
        "  jobctl qm history --where 'last.text~greylist'",
    )
    _chosen(parser)
    parser = command(
        subcommands,
        "read",
        read,
        "show messages: envelope and header, or all of it",
        "  jobctl qm read a1b2\n  jobctl qm read -content a1b2",
    )
    parser.add_argument(
        "--content",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="the body too, octet for octet",
    )
    _chosen(parser)


def history(context: Context) -> int:
    """The delivery attempts."""
    args = context.args
    check_chosen(args)
    _asked(args)

    def look(store: Any) -> list[dict[str, Any]]:
        from jobctl.commands.queue_rows import history_rows, selected

        wanted = selected(args.where, time.time())
        meant = [s for s in store.directory() if channel_matches(args.channel, s.entry.channel)]
        there = {stored.entry.id for stored in meant}
        ids = args.ids
        if args.all or args.where is not None:
            ids = [stored.entry.id for stored in meant if wanted(stored)]
        rows: list[dict[str, Any]] = []
        for entry in ids:
            if entry not in there:
                raise unknown_id(entry)
            rows += history_rows(entry, store.history(entry))
        return rows

    rows = ask_or_read(context, "qm.history", chosen_keys(args), look)
    return show_rows(context, _HISTORY, rows, "nothing has been tried yet")


def read(context: Context) -> int:
    """Messages as they were given to us."""
    import tempfile

    args = context.args
    check_chosen(args)
    _asked(args)
    try:
        with context.client() as client:
            keys = {"channel": args.channel, "where": args.where}
            ids = args.ids or [row["id"] for row in client.call("qm.directory", **keys)]
            for entry in ids:
                # A pager that is not read on must not keep the daemon waiting.
                with tempfile.SpooledTemporaryFile(_IN_MEMORY) as content:
                    row: dict[str, Any] = {}
                    for answer, octets in client.stream("qm.read", message=entry, content=args.content):
                        content.write(octets)
                        if answer.item is not msgspec.UNSET:
                            row = answer.item
                    content.seek(0)
                    _show(context, row, content)
    except NoDaemon:
        return _read_the_queue(context)
    return exits.OK


def _read_the_queue(context: Context) -> int:
    """
    While no daemon runs.

    :raises NoDaemon: There is no queue of ours either.
    """
    from jobctl.commands.queue_rows import backoffs_of, directory_rows
    from jobctl.control.requests import QmDirectory
    from jobctl.mail.header import header_of

    args = context.args

    def show(store: Any) -> int:
        request = QmDirectory(channel=args.channel, where=args.where)
        backoffs = backoffs_of(store.host_backoffs())
        rows = {row["id"]: row for row in directory_rows(store.directory(), request, time.time(), backoffs)}
        for entry in args.ids or rows:
            if entry not in rows:
                raise unknown_id(entry)
            octets = store.content(entry)
            _show(context, rows[entry], io.BytesIO(octets if args.content else header_of(octets)))
        return exits.OK

    return read_the_queue(context, show)


def _show(context: Context, row: dict[str, Any], content: IO[bytes]) -> None:
    if context.json:
        import base64

        octets = content.read()
        key = "content" if context.args.content else "header"
        write_json({**row, f"{key}_base64": base64.b64encode(octets).decode()})
        return
    name, channel = printable(str(row.get("id"))), printable(str(row.get("channel")))
    write(f"Message: {name}, channel {channel}, {row.get('state')}")
    write(f"Queued:  {when(row.get('enqueued'))}, {row.get('size')} octets, {row.get('attempts')} tries")
    write(f"Sender:  {printable(sender(row.get('sender')))}")
    for address in row.get("recipients", ()):
        write(f"To:      {printable(address)}")
    write("")
    sys.stdout.flush()
    terminal = sys.stdout.isatty()
    while piece := content.read(_COPY):
        if terminal:
            lines = piece.decode("utf-8", "replace").replace("\r\n", "\n").split("\n")
            sys.stdout.write("\n".join(printable(line) for line in lines))
        else:
            sys.stdout.buffer.write(piece)
    write("")


def _chosen(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", nargs="*", metavar="ID", help="as 'qm directory' shows it")
    parser.add_argument("--channel", metavar="NAME", help="with --all: which channel's; wildcards * and ?")
    parser.add_argument("--all", action="store_true", help="every message of the channel")
    add_where(parser)
    parser.add_argument(
        "--confirm", action=argparse.BooleanOptionalAction, help="ask before (without it, never)"
    )


def _asked(args: argparse.Namespace) -> None:
    """:raises UsageError: It was to be confirmed, and was not."""
    if args.confirm:
        what = " ".join(args.ids) or args.where or f"all messages of channel {args.channel}"
        confirm(f"show {what}")


def chosen_keys(args: argparse.Namespace) -> dict[str, Any]:
    """Which messages are meant, as the control socket is told."""
    return {"ids": args.ids, "channel": args.channel, "all": args.all or None, "where": args.where}


def check_chosen(args: argparse.Namespace) -> None:
    """:raises UsageError: Neither ids nor a whole channel nor a selector were given, or more than one."""
    if args.ids and (args.all or args.where is not None):
        raise UsageError(f"give ids or {'--all' if args.all else '--where'}, not both")
    if args.where is None and args.all and args.channel is None:
        raise UsageError("--all needs --channel NAME; '*' means every channel")
    if not args.all and not args.ids and args.where is None:
        raise UsageError(
            "give the ids of messages ('jobctl qm directory' shows them), --where SELECTOR, "
            "or --channel NAME --all"
        )
