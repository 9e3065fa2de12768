"""``jobctl enqueue``: hand over a message."""

import argparse
import contextlib
import re
import sys
from typing import IO, Any

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import write, write_json
from jobctl.commands.parser import Commands, command
from jobctl.errors import UsageError

_EXAMPLES = """\
  jobctl enqueue --from ann@example.org --to bob@example.net message.eml
  printf 'Subject: hi\\n\\nHello\\n' | jobctl enqueue --from ann@example.org --to bob@example.net
  jobctl enqueue --from '' --to bob@example.net --to bea@example.net --channel tcp_local -
      the null sender, two recipients, a channel chosen by hand
  jobctl enqueue --from a@example.org --to b@example.net --notify success,failure --envid 4711 x.eml
  jobctl enqueue --from a@example.org --to b@example.net --by 900R x.eml
      back to its sender if it cannot be delivered within 15 minutes"""


def register(commands: Commands) -> None:
    """Make the command known."""
    parser = command(
        commands,
        "enqueue",
        run,
        "hand over a message for delivery",
        _EXAMPLES,
        description="Hand over a message. Its queue ids are printed, one a line, once it is safe on disk; "
        "exit status 75 says to try again later. Line ends of the file become CRLF.",
    )
    parser.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="header and body; '-' or none: standard input"
    )
    parser.add_argument(
        "--from", dest="sender", required=True, metavar="ADDRESS", help="envelope sender, '' or '<>' for none"
    )
    parser.add_argument(
        "--to",
        dest="recipients",
        action="append",
        required=True,
        type=_recipient,
        metavar="ADDRESS",
        help="recipient; may be repeated",
    )
    parser.add_argument(
        "--channel", metavar="NAME", help="queue it there (default: the rewrite rules choose)"
    )
    parser.add_argument(
        "--priority",
        choices=("urgent", "normal", "nonurgent"),
        default="",
        help="default: what its Priority: field says, else normal",
    )
    parser.add_argument("--envid", metavar="TEXT", help="envelope id, quoted in notifications")
    parser.add_argument(
        "--ret", type=str.upper, choices=("FULL", "HDRS"), help="what a notification quotes of it"
    )
    parser.add_argument(
        "--by",
        type=_by,
        metavar="SECONDS[R|N]",
        help="by when it is to be delivered, from now; R: later it is returned (default), N: then its sender is "
        "told; T behind it: each relay is told of",
    )
    parser.add_argument("--notify", metavar="LIST", help="never, or any of success,failure,delay")


def run(context: Context) -> int:
    """Do it."""
    args = context.args
    with _opened(args.file) as file, context.client(absent=exits.TEMPORARY) as client:
        content = _Readable(file, args.file)
        ids = client.enqueue(
            "" if args.sender == "<>" else args.sender,
            args.recipients,
            content,  # type: ignore[arg-type]
            channel=args.channel,
            priority=args.priority,
            envid=args.envid,
            ret=args.ret,
            notify=args.notify,
            **({} if args.by is None else {"by": args.by}),
        )
    if context.json:
        write_json(ids)
    else:
        for entry in ids:
            write(entry)
    return exits.OK


def _recipient(text: str) -> str:
    if "," in text and '"' not in text:
        raise argparse.ArgumentTypeError("takes one address: say it again for each further recipient")
    return text


def _by(text: str) -> str:
    """As BY= has it, of ``90``, ``90N``, ``90;RT``; what is none of them is left to be refused."""
    found = re.fullmatch(r"([+-]?[0-9]+);?([A-Za-z]*)", text)
    return text if found is None else f"{found[1]};{found[2] or 'R'}"


def _opened(name: str) -> Any:
    if name != "-":
        try:
            return open(name, "rb")
        except OSError as why:
            raise UsageError(
                f"cannot read {name}: {why.strerror}; give a file with the message", exits.NO_INPUT
            ) from None
    if sys.stdin is None:
        raise UsageError("there is no standard input; give a file with the message", exits.NO_INPUT)
    if sys.stdin.isatty():
        print("jobctl: type the message, header first; end with Ctrl-D", file=sys.stderr)
    return contextlib.nullcontext(sys.stdin.buffer)


class _Readable:
    """A file whose trouble is told as the operator's, not as the connection's."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name

    def read(self, count: int) -> bytes:
        try:
            return self._file.read(count)
        except OSError as why:
            raise UsageError(
                f"cannot read {self._name}: {why.strerror}; nothing was queued", exits.IO
            ) from None
