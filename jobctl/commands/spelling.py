"""
The old spelling of commands, as PMDF and Messaging Server had it, turned into the one that argparse reads.

``-option=value``, ``-nooption``, ``_`` for ``-``, upper case, abbreviations of
commands and options wherever only one is meant, and sub-commands spelled as
options (``cache -view``).
"""

import argparse
import re

from jobctl.commands.former import is_former
from jobctl.errors import UsageError

# A single dash and more than one letter; ``-h`` and ``-5`` are left alone.
_OLD = re.compile(r"-[A-Za-z][A-Za-z_-]+(?:=|$)")
# ``imsimta qm -maint ...``: qm has no other mode here.
_MODES = ("maintenance",)
_SHORTEST_MODE = 3
_ORIGINAL = frozenset(
    {
        *(
            "cache",
            "change",
            "clean",
            "counters",
            "date",
            "delete",
            "directory",
            "exit",
            "find",
            "held",
            "help",
        ),
        *("history", "hold", "jobs", "kill", "match", "messages", "process", "purge", "qclean", "qm", "qtop"),
        *(
            "quit",
            "read",
            "release",
            "reload",
            "restart",
            "return",
            "rewrite",
            "run",
            "start",
            "stop",
            "submit",
        ),
        *("summarize", "synchronize", "test", "top", "version", "view", "walk"),
    }
)


def translate(parser: argparse.ArgumentParser, argv: list[str]) -> list[str]:
    """
    The same command in the modern spelling: full names, ``--option=value``, options before operands.

    :raises UsageError: An abbreviation means more than one thing.
    """
    done: list[str] = []
    operands: list[str] = []
    left = list(argv)
    while left:
        word = left.pop(0)
        commands = _commands(parser)
        if word == "--":
            operands += [word, *left]
            break
        if not word.startswith("-") or word == "-":
            if commands is None:
                operands.append(word)
                continue
            name = _command(word, commands)
            done.append(name)
            parser = commands.get(name, parser)
            continue
        if commands is not None and _is_command(parser, word, commands):
            name = _command(word.lstrip("-").lower(), commands)
            done.append(name)
            parser = commands[name]
            continue
        if commands is not None and _is_mode(word):
            continue
        option, equals, value = _option(parser, word)
        if not equals:
            action = parser._option_string_actions.get(option)
            if action is not None and action.nargs is None and left:
                # Joined, so that a value that begins with a dash is a value.
                equals, value = "=", left.pop(0)
            elif action is not None and action.nargs == "?" and action.const is not None:
                # Its value only ever comes with an equals sign: what follows is another word.
                equals, value = "=", str(action.const)
        done.append(f"{option}{equals}{value}")
    return done + operands


def _commands(parser: argparse.ArgumentParser) -> "dict[str, argparse.ArgumentParser] | None":
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return None


def _command(word: str, commands: "dict[str, argparse.ArgumentParser]") -> str:
    """The command that a word is or abbreviates; a word that is none is left for argparse to refuse."""
    if word in commands:
        return word
    meant = _meant(word.lower(), commands)
    if len(meant) > 1:
        raise UsageError(f"{word} could be {' or '.join(meant)}; spell it out")
    return meant[0] if meant else word


def _meant(word: str, commands: "dict[str, argparse.ArgumentParser]") -> list[str]:
    """
    Names that a word begins, one for each thing meant.

    Those that only say what to use instead come last; those of the original first, so that what people
    have always typed goes on meaning what it did.
    """
    names = sorted((name for name in commands if name.startswith(word)), key=lambda name: (len(name), name))
    things = {id(commands[name]): name for name in reversed(names)}
    found = sorted(things.values())
    for better in (lambda name: not is_former(commands[name]), _ORIGINAL.__contains__):
        found = [name for name in found if better(name)] or found
    return found


def _is_command(
    parser: argparse.ArgumentParser, word: str, commands: "dict[str, argparse.ArgumentParser]"
) -> bool:
    """Whether a word with a dash is a sub-command: ``cache -view``, ``test -rewrite``."""
    name = word.lstrip("-").lower()
    if len(name) < 2 or "=" in name or _named(parser, "--" + name):
        return False
    return any(command.startswith(name) for command in commands)


def _is_mode(word: str) -> bool:
    name = word.lstrip("-").lower()
    return len(name) >= _SHORTEST_MODE and any(mode.startswith(name) for mode in _MODES)


def _option(parser: argparse.ArgumentParser, word: str) -> tuple[str, str, str]:
    """An option's full name with two dashes, ``=`` or nothing, and the value after it."""
    name, equals, value = word.partition("=")
    if _OLD.match(word):
        name = "-" + name
    if not name.startswith("--"):
        return name, equals, value
    name = name.lower().replace("_", "-")
    meant = _named(parser, name)
    if not meant and name.startswith("--no") and not name.startswith("--no-"):
        meant = _named(parser, "--no-" + name[4:])
    if len(meant) > 1:
        raise UsageError(f"{word} could be {' or '.join(meant)}; spell it out")
    return (meant[0] if meant else name), equals, value


def _named(parser: argparse.ArgumentParser, name: str) -> list[str]:
    """The long options that a name is or abbreviates, one for each thing meant."""
    if name in parser._option_string_actions:
        return [name]
    found = {
        (parser._option_string_actions[option], option.startswith("--no-")): option
        for option in reversed(list(parser._option_string_actions))
        if option.startswith(name)
    }
    return sorted(found.values())
