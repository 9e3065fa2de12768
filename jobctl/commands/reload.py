"""``jobctl reload``: bring the configuration file into force while the daemon runs."""

import sys
from typing import Any

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.few_words import few_words
from jobctl.commands.output import Column, count, text, write, write_json, write_table
from jobctl.commands.parser import Commands, command

_COLUMNS = (
    Column("Key", "key"),
    Column("Now", "old", text),
    Column("New", "new", text),
    Column("Messages", "messages", count, right=True),
    Column("What it means", "effect"),
)


def register(commands: Commands) -> None:
    """Make the command known."""
    parser = command(
        commands,
        "reload",
        reload,
        "bring the changed configuration into force",
        "  jobctl reload --dry-run            what would change, and for how many messages\n  jobctl reload",
        description="Have the Job Controller read its configuration file again: checked whole, then applied "
        "at once. A wrong file changes nothing (exit status 78, every mistake named). Jobs with old settings "
        "are replaced after their current message, sessions go on to their end.",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what would change, for how many messages"
    )


def reload(context: Context) -> int:
    """Ask the daemon: it is its file that counts."""
    dry = context.args.dry_run
    outcome: dict[str, Any] = context.call("reload", dry_run=dry or None)
    changes = outcome["changes"]
    if context.json:
        write_json(outcome)
    for problem in outcome["problems"]:
        print(f"jobctl: {problem}", file=sys.stderr)
    if outcome["problems"]:
        if not context.json:
            print("jobctl: nothing was changed: the old configuration stays in force", file=sys.stderr)
        return exits.CONFIG
    if context.json:
        return exits.OK
    path = outcome["configuration"]
    if changes:
        write_table(_COLUMNS, [_for_eyes(row) for row in changes])
    if dry:
        write(
            f"{path}: {_several(changes)} would come into force" if changes else f"{path}: nothing to change"
        )
    else:
        write(f"{path}: {_several(changes)} in force" if changes else f"{path}: nothing has changed")
    for row in changes:
        if row["restart"]:
            write(f"{row['key']} needs a restart; until then it stays {row['old']}")
    return exits.OK


def _several(changes: list[Any]) -> str:
    waiting = sum(row["restart"] for row in changes)
    ready = len(changes) - waiting
    return f"{ready} change{'' if ready == 1 else 's'}"


def _for_eyes(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "old": _short(row["key"], row["old"]), "new": _short(row["key"], row["new"])}


def _short(key: str, value: Any) -> str:
    whole = few_words(key.rpartition(".")[2], value)
    return whole if len(whole) <= 40 else whole[:37] + "..."
