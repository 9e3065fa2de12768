"""The ``jobctl`` command; ``imsimta`` is the same."""

import argparse
import os
import sys
from typing import Any

from jobctl.commands import (
    accounts,
    acts,
    cache,
    checks,
    completion,
    control,
    counters,
    enqueue,
    exits,
    explain,
    former,
    history,
    hold,
    logs,
    passwd,
    processes,
    qm,
    qm_searches,
    reload,
    running,
    top,
)
from jobctl.commands.context import Context
from jobctl.commands.parser import Parser, add_shared
from jobctl.commands.session import complain
from jobctl.commands.spelling import translate
from jobctl.errors import ConfigError, UsageError

_FAMILIES = (
    enqueue,
    running,
    qm,
    qm_searches,
    top,
    acts,
    hold,
    explain,
    accounts,
    counters,
    history,
    cache,
    processes,
    control,
    reload,
    logs,
    checks,
    passwd,
    completion,
    former,
)
# Commands that people know by another name, too.
_OTHER_NAMES = {"return": "qm return", "startup": "start", "shutdown": "stop", "submit_master": "submit"}
EPILOG = """\
examples:
  jobctl enqueue --from ann@example.org --to bob@example.net message.eml
  jobctl qm summarize                the queues at a glance
  jobctl qm directory tcp_local      what is queued, since when, and why it is still here
  jobctl run tcp_local               try it all now and watch the dialogue
  jobctl qm stop tcp_local           keep its mail until 'jobctl qm start tcp_local'

'jobctl COMMAND --help' tells more about each. The old spelling works everywhere: -option=value,
-nooption, abbreviations. 'twistd -n jobctl --config FILE' runs the daemon in the foreground.
"""


def main(argv: list[str] | None = None) -> int:
    """
    Do one command.

    :param argv: Without the program's name; ``None``: the process's.
    :return: The exit status, see :mod:`jobctl.commands.exits`.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # Closed by whoever started us: nothing is read there, and nobody reads what is written.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            # An address that the terminal cannot show must not end the list.
            reconfigure(errors="backslashreplace")
    try:
        status = _do(sys.argv[1:] if argv is None else argv)
        sys.stdout.flush()
        return status
    except ConfigError as why:
        return complain(why.problems, exits.CONFIG)
    except UsageError as why:
        return complain([str(why)], why.exit_status)
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.OK
    except OSError as why:
        return complain([f"{why.filename or 'output'}: {why.strerror or why}"], exits.IO)


def build_parser(prog: str) -> Parser:
    """The whole command line; also what man page and completion are made of."""
    statuses = "\n".join(f"  {status:>3}  {meaning}" for status, meaning in exits.MEANINGS.items())
    parser = Parser(
        prog=prog,
        description="Operate a jobctl mail queue: hand over mail, look at it, steer it.",
        epilog=f"{EPILOG}\nexit statuses:\n{statuses}",
    )
    add_shared(parser)
    commands = parser.add_subparsers(metavar="COMMAND", dest="command", required=True, parser_class=Parser)
    for module in _FAMILIES:
        module.register(commands)
    for name, of in _OTHER_NAMES.items():
        former.alias(commands, name, _found(parser, of.split()))
    return parser


def _found(parser: Any, words: list[str]) -> Any:
    for word in words:
        action = next(one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
        parser = action.choices[word]
    return parser


def _do(argv: list[str]) -> int:
    parser = build_parser(os.path.basename(sys.argv[0]) if sys.argv[0].endswith("imsimta") else "jobctl")
    args: Any = parser.parse_args(translate(parser, argv))
    status: int = args.run(Context(args))
    return status


if __name__ == "__main__":
    sys.exit(main())
