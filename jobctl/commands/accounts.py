"""``jobctl ledger``: whether everything that came in has left or waits."""

import sys
from typing import Any

from jobctl.accounts.balance import COUNTS, ledger_rows, told
from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import Column, count, write_json, write_table
from jobctl.commands.parser import Commands, command
from jobctl.commands.without_daemon import ask_or_read

_LEDGER = (
    Column("Channel", "channel"),
    *(Column(name.capitalize(), name, count, right=True) for name in (*COUNTS, "missing")),
)


def register(commands: Commands) -> None:
    """Make the commands known."""
    command(
        commands,
        "ledger",
        ledger,
        "the accounts of each channel, and whether they balance",
        "  jobctl ledger\n  jobctl ledger --json",
        description=(
            "Show how many recipients came in and what became of them, channel by channel, counted now:\n"
            "accepted + generated = delivered + relayed + failed + expired + deleted + moved + queued.\n"
            "Exit status 70 when that is not so."
        ),
    )


def ledger(context: Context) -> int:
    """The ledger, counted now."""
    rows = ask_or_read(context, "ledger", {}, lambda store: ledger_rows(store.ledger()))
    if context.json:
        write_json(rows)
    else:
        totals: dict[str, Any] = {name: sum(row[name] for row in rows) for name in (*COUNTS, "missing")}
        write_table(_LEDGER, rows, ["Totals", *(str(total) for total in totals.values())])
    gaps = {row["channel"]: row["missing"] for row in rows if row["missing"]}
    if gaps:
        print(
            f"jobctl: the ledger does not balance: {told(gaps)}; keep a copy of the queue directory, and "
            "look for 'store' in the log",
            file=sys.stderr,
        )
        return exits.SOFTWARE
    return exits.OK
