"""What all commands have in common on the command line."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from jobctl.errors import UsageError

Commands = Any  # argparse._SubParsersAction of this parser class


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line that says where help is."""

    def __init__(self, *args: Any, **keys: Any) -> None:
        keys.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, **keys)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """What the command itself does not know nobody knows, and it is its help that tells."""
        found, left = super().parse_known_args(args, namespace)
        if left and self._subparsers is None:
            self.error(f"unrecognized arguments: {' '.join(left)}")
        return found, left

    def error(self, message: str) -> NoReturn:
        """:raises UsageError: Always."""
        raise UsageError(f"{message}; see '{self.prog} --help'")


def command(
    commands: Commands, name: str, run: Callable[[Any], int], summary: str, examples: str, **keys: Any
) -> argparse.ArgumentParser:
    """
    A command that does something.

    :param run: Takes a :class:`jobctl.commands.context.Context`, gives the exit status.
    :param examples: Commands with what they do, for the end of its help.
    :param keys: ``description`` where the summary does not say it all.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=keys.get("description", summary[0].upper() + summary[1:] + "."),
        epilog=f"examples:\n{examples}",
    )
    parser.set_defaults(run=run)
    add_shared(parser, default=argparse.SUPPRESS)
    return parser


def family(
    commands: Commands,
    name: str,
    summary: str,
    examples: str,
    alone: Callable[[Any], int] | None = None,
) -> Commands:
    """
    A command that has sub-commands.

    :param alone: What it does without one; ``None``: one must be given.
    """
    parser = commands.add_parser(
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"examples:\n{examples}\n\n'jobctl {name} COMMAND --help' tells more about each.",
    )
    add_shared(parser, default=argparse.SUPPRESS)
    if alone is not None:
        parser.set_defaults(run=alone)
    return parser.add_subparsers(
        metavar="COMMAND", dest=f"{name}_command", required=alone is None, parser_class=Parser
    )


def add_shared(parser: argparse.ArgumentParser, default: Any = None) -> None:
    """The options that every command understands, before its name or after it."""
    parser.add_argument("--config", metavar="FILE", default=default, help="the configuration (JOBCTL_CONFIG)")
    parser.add_argument(
        "--socket", metavar="PATH", default=default, help="the control socket, instead of the configured one"
    )
    parser.add_argument(
        "--json", action="store_true", default=default or False, help="for programs: JSON with stable keys"
    )


def add_where(parser: Any) -> None:
    """The option that says which messages are meant."""
    option = parser.add_argument(
        "--where",
        metavar="SELECTOR",
        help="only messages that this means, such as 'rcpt.domain=example.com and age>1h' (docs/selectors.md)",
    )
    complete_selector(option)


def complete_selector(option: Any) -> None:
    """What the shell completes an argument with, see :mod:`jobctl.commands.completion`."""
    option.complete = dict.fromkeys(("bash", "zsh"), "_jobctl_selector")
