"""``jobctl test match``: what a pattern with wildcards matches."""

import sys
from collections.abc import Iterator

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import printable, write, write_json
from jobctl.commands.parser import Commands, command
from jobctl.errors import UsageError


def register(subcommands: Commands) -> None:
    """Make the command known."""
    parser = command(
        subcommands,
        "match",
        match,
        "what does a pattern with wildcards match?",
        "  jobctl test match '*@*.example.com' bob@mail.example.com\n"
        "  imsimta test -match                    asks for the pattern and for targets until Ctrl-D",
        description="Try a pattern as mapping tables have them: % is one character, * any number, $A, $D, "
        "$[a-z] and others before them say which, $_ makes one take as little as possible, $0* is what the "
        "first took. Without them pattern and targets are asked for, or read from standard input, one a line.",
    )
    parser.add_argument("pattern", nargs="?", metavar="PATTERN")
    parser.add_argument("targets", nargs="*", metavar="TARGET")


def match(context: Context) -> int:
    """The pattern's parts, and what each wildcard took of the targets."""
    from jobctl.mapping.patterns import read

    args = context.args
    terminal = sys.stdin is not None and sys.stdin.isatty()
    asked = _lines(terminal, "Pattern: " if args.pattern is None else "Target: ")
    given = args.pattern if args.pattern is not None else next(asked, None)
    if given is None:
        raise UsageError("no pattern was given; see 'jobctl test match --help'")
    try:
        pattern = read(given)
    except ValueError as why:
        raise UsageError(f"{given} is no pattern: {why}", exits.DATA) from None
    if not context.json:
        for number, element in enumerate(pattern.elements, 1):
            write(f"[{number:>2}] {printable(element)}")
    for target in args.targets or asked:
        took = pattern.match(target)
        if context.json:
            write_json({"target": target, "match": took is not None, "took": took})
            continue
        write("Match." if took is not None else "No match.")
        for place, text in enumerate(took or ()):
            write(f"{place} - {printable(text)}")
    return exits.OK


def _lines(terminal: bool, first: str) -> Iterator[str]:
    if not terminal:
        for line in sys.stdin or ():
            yield line.rstrip("\r\n")
        return
    prompt = first
    while True:
        try:
            yield input(prompt)
        except EOFError:
            print(file=sys.stderr)
            return
        prompt = "Target: "
