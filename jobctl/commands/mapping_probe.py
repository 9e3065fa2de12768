"""``jobctl test mapping``: what a mapping table makes of a text."""

import sys

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import printable, write, write_json
from jobctl.commands.parser import Commands, command
from jobctl.errors import UsageError
from jobctl.mapping.tables import Tables, compiled


def register(subcommands: Commands) -> None:
    """Make the command known."""
    parser = command(
        subcommands,
        "mapping",
        mapping,
        "what does a mapping table make of a text?",
        "  jobctl test mapping --table PORT_ACCESS 'TCP|192.0.2.1|25|198.51.100.7|40001'\n"
        "  jobctl test mapping --table SEND_ACCESS 'tcp_local|a@b.example|maildir|c@d.example'     the probes: "
        "docs/access.md\n"
        "  imsimta test -mapping -table=FROM_ACCESS     reads texts from standard input, one a line",
        description="Probe a table of [mapping]: the result, the flags it sets, and the entry that made it. Exit "
        "status 0 whether it matches or not.",
    )
    parser.add_argument("text", nargs="*", metavar="TEXT")
    parser.add_argument("--table", required=True, metavar="NAME")
    parser.add_argument(
        "--flags", default="", metavar="LETTERS", help="flags that are set from the beginning"
    )


def mapping(context: Context) -> int:
    """Each text by itself."""
    args = context.args
    settings = context.settings
    tables = compiled(settings.mta.mappings)
    name = args.table.upper()
    if name not in tables:
        known = ", ".join(tables.names()) or "none"
        raise UsageError(
            f"there is no table {name} in [mapping] of {settings.path}; known: {known}", exits.NO_INPUT
        )
    flags = frozenset(letter.upper() for letter in args.flags if letter.isalnum())
    for text in args.text or (line.rstrip("\r\n") for line in sys.stdin):
        _show(context, tables, name, text, flags)
    return exits.OK


def _show(context: Context, tables: Tables, name: str, text: str, flags: frozenset[str]) -> None:
    found = tables.probe(name, text, flags)
    entry = found.entry.text if found.entry is not None else None
    if context.json:
        write_json(
            {
                "table": name,
                "text": text,
                "matched": found.matched,
                "result": found.text,
                "flags": sorted(found.flags),
                "entry": entry,
            }
        )
    elif not found.matched:
        write("no entry matches")
    else:
        write(f"result: {printable(found.text)}")
        write(f"flags:  {' '.join(f'${flag}' for flag in sorted(found.flags)) or '(none)'}")
        write(f"entry:  {printable(entry or '')}")
