"""
The manual page, made of the parser so that it cannot say anything else.

    python -m jobctl.commands.manual docs/man

writes it.  argparse-manpage was tried: its page leaves the examples out, has
the usage in filled text, and differs between releases of Python.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from jobctl.commands import exits
from jobctl.commands.context import CONFIG_VARIABLE, PLACES
from jobctl.commands.former import listed
from jobctl.commands.main import EPILOG, build_parser

_ALIAS = ".so man1/jobctl.1\n"
_SHARED = ("--config", "--socket", "--json")


def pages() -> dict[str, str]:
    """File name to content (man(7))."""
    return {"jobctl.1": "\n".join(_lines(build_parser("jobctl"))) + "\n", "imsimta.1": _ALIAS}


def _lines(parser: argparse.ArgumentParser) -> Iterator[str]:
    yield '.TH JOBCTL 1 "" jobctl "jobctl manual"'
    yield from (".SH NAME", "jobctl, imsimta \\- operate a mail queue")
    yield from (".SH SYNOPSIS", ".B jobctl", "[\\fIOPTION\\fR ...] \\fICOMMAND\\fR ...")
    yield from (".SH DESCRIPTION", _text(parser.description), ".SH OPTIONS")
    yield "Before the command or after it:"
    yield from _options(parser, shared=True)
    yield ".SH COMMANDS"
    for command in _leaves(parser):
        yield f".SS {_text(command.prog.partition(' ')[2])}"
        yield f"\\fB{_text(command.prog)}\\fR {_text(_operands(command))}"
        yield from (".PP", _text(command.description))
        yield from _options(command, shared=False)
        yield from _examples(command.epilog)
    yield from (".SH EXAMPLES", *_verbatim(EPILOG.partition("examples:\n")[2]))
    yield ".SH EXIT STATUS"
    for status, meaning in exits.MEANINGS.items():
        yield from (".TP", f".B {status}", _text(meaning))
    yield ".SH ENVIRONMENT"
    yield from (".TP", f".B {CONFIG_VARIABLE}", "the configuration, where no \\fB\\-\\-config\\fR is given")
    yield ".SH FILES"
    yield from (".TP", f".I {' '.join(PLACES)}", "where the configuration is looked for, in this order")


def _leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The commands that do something, in the order of the help."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in listed(list(action.choices.values())):
                yield from _leaves(command)
            return
    yield parser


def _operands(command: argparse.ArgumentParser) -> str:
    """What must be given, options first, and what may follow."""
    words = [
        f"{action.option_strings[0]} {_value(action)}"
        for action in command._actions
        if action.option_strings and action.required
    ]
    for action in command._actions:
        name = _value(action)
        if action.option_strings:
            continue
        if action.nargs == "*":
            words.append(f"[{name} ...]")
        else:
            words.append(f"[{name}]" if action.nargs == "?" else name)
    return " ".join(words)


def _options(command: argparse.ArgumentParser, shared: bool) -> Iterator[str]:
    for action in command._actions:
        names = action.option_strings
        if isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
            continue
        if names and (names[0] in _SHARED) is not shared:
            continue
        shown = " " + _value(action) if names and action.nargs is None else ""
        heading = ", ".join(f"\\fB{_text(name)}\\fR" for name in names) or f"\\fI{_text(_value(action))}\\fR"
        yield from (".TP", f"{heading}\\fI{_text(shown)}\\fR", _text(action.help))


def _value(action: argparse.Action) -> str:
    if action.choices is not None:
        return "|".join(map(str, action.choices))
    return str(action.metavar or action.dest)


def _examples(epilog: str | None) -> Iterator[str]:
    if epilog:
        yield from (".PP", "Examples:", *_verbatim(epilog.partition("examples:\n")[2]))


def _verbatim(text: str) -> Iterator[str]:
    yield from (".nf", *(_text(line) for line in text.rstrip().split("\n")), ".fi")


def _text(text: str | None) -> str:
    """What troff would take for something else, escaped; a line that begins with a dot or quote too."""
    escaped = (text or "").replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pages().items():
        (folder / name).write_text(content)
