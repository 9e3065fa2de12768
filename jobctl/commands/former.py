"""Commands of the original that have nothing to do here: each says what to use instead."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import write
from jobctl.commands.parser import Commands, Parser
from jobctl.errors import UsageError

_NO_TABLES = "there are no compiled tables and databases: what they held stands in the configuration (TOML)"

# Name -> what it says.
_REFUSED = {
    "crdb": _NO_TABLES,
    "dumpdb": _NO_TABLES,
    "renamedb": _NO_TABLES,
    "program": "the program of a pipe channel is the master_command of its class, or of the channel",
    "msconfig": "edit the configuration, 'jobctl test config' checks it, 'jobctl reload --dry-run' shows what "
    "changes, 'jobctl reload' applies it; values on the fly: 'jobctl cache change'",
    "refresh": "use 'jobctl reload': changed settings count at once and no retry schedule is lost",
}
# Of test.
_NO_TESTS = {
    "url": "there is no LDAP here",
    "expression": "there are no Sieve filters; selectors are tried by 'jobctl qm directory --where'",
    "domain": "there are no domains in a directory; where one goes is shown by 'jobctl test rewrite'",
}


class _Any(Parser):
    """Takes whatever words follow."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if any(word in ("-h", "--help") for word in args or ()):
            return super().parse_known_args(args, namespace)
        found = argparse.Namespace(**self._defaults)
        found.words = list(args or ())
        return found, []


def register(commands: Commands) -> None:
    """Make them known, without listing them."""
    for name, text in _REFUSED.items():
        _add(commands, name, _refuse(f"{name} has no place here: {text}"))
    _add(commands, "cnbuild", _checked)
    _add(commands, "chbuild", _nothing)


def register_tests(subcommands: Commands) -> None:
    """Those of ``test``."""
    for name, text in _NO_TESTS.items():
        _add(subcommands, name, _refuse(f"test {name} has no place here: {text}"))


def alias(commands: Commands, name: str, of: argparse.ArgumentParser) -> None:
    """Another name of a command."""
    commands.choices[name] = of


def _add(commands: Commands, name: str, run: Callable[[Context], int]) -> None:
    # Not by add_parser: they are no part of the help, only an answer to habits.
    parser = _Any(prog=f"jobctl {name}", description="Not a command here; it says what to use instead.")
    parser.set_defaults(run=run, config=None, socket=None, json=False)
    commands.choices[name] = parser


def _refuse(text: str) -> Callable[[Context], int]:
    def run(context: Context) -> int:
        raise UsageError(text)

    return run


def _checked(context: Context) -> int:
    from jobctl.commands.checks import config

    status = config(context)
    write("nothing is compiled: 'jobctl reload' brings it into force")
    return status


def _nothing(context: Context) -> int:
    write("nothing is compiled here: character sets need no tables")
    return exits.OK


def is_former(parser: Any) -> bool:
    """Whether a parser is one of these: for those who list the commands."""
    return isinstance(parser, _Any)


def listed(parsers: Sequence[Any]) -> list[Any]:
    """The commands to be listed: each once, and none of these."""
    return list({id(one): one for one in parsers if not is_former(one)}.values())
