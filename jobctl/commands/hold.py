"""``jobctl hold where|list|remove``: mail that is still to come is held."""

from typing import Any

from jobctl.commands import exits
from jobctl.commands.bulk import report, tell_failures, watched
from jobctl.commands.context import Context
from jobctl.commands.output import Column, count, show_rows, text, when, write, write_json, yes
from jobctl.commands.parser import Commands, command, complete_selector, family
from jobctl.errors import UsageError

_RULES = (
    Column("Rule", "rule", count, right=True),
    Column("Where", "where"),
    Column("Reason", "reason", text),
    Column("By", "author"),
    Column("Since", "since", when),
    Column("Expires", "expires", when),
    Column("Releases", "release", yes),
)
_EXAMPLES = """\
  jobctl hold where 'rcpt.domain=partner.example' --reason 'partner moves' --expires 2h --release
  jobctl hold list
  jobctl hold remove 12 --release"""


def register(commands: Commands) -> None:
    """Make the commands known."""
    subcommands = family(commands, "hold", "hold mail that is still to come", _EXAMPLES)
    parser = command(
        subcommands,
        "where",
        add,
        "a rule by which new mail is held",
        "  jobctl hold where 'rcpt.domain=partner.example' --reason 'partner moves' --expires 2h --release\n"
        "  jobctl hold where 'source.ip=192.0.2.* and rcpt.count>100' --reason 'looked at by ann' --queued",
        description="Hold new mail that a selector means as it comes in, until the rule expires or is removed, "
        "over restarts too. 'qm held' shows what is held and by which rule.",
    )
    complete_selector(
        parser.add_argument("where", metavar="SELECTOR", help="what is meant (docs/selectors.md)")
    )
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for lists and the record")
    parser.add_argument("--expires", metavar="DURATION", help="end of the rule from now: 90m, 2h, PT2H")
    parser.add_argument(
        "--release", action="store_true", help="when the rule ends, what it has held goes again"
    )
    parser.add_argument("--queued", action="store_true", help="hold what is queued by now as well")
    command(subcommands, "list", show, "the rules, with author and expiry", "  jobctl hold list --json")
    parser = command(
        subcommands,
        "remove",
        remove,
        "hold no more mail by a rule",
        "  jobctl hold remove 12\n  jobctl hold remove 12 --release",
    )
    parser.add_argument("rule", type=int, metavar="RULE", help="its number, as 'hold list' shows it")
    parser.add_argument("--release", action="store_true", help="what it has held goes again")


def add(context: Context) -> int:
    """A new rule."""
    args = context.args
    keys: dict[str, Any] = {"where": args.where, "reason": args.reason, "release": args.release or None}
    if args.expires is not None:
        keys["expires"] = _seconds(args.expires)
    rule = context.call("hold.add", **keys)
    if not context.json:
        until = "until it is removed" if rule["expires"] is None else f"until {when(rule['expires'])}"
        write(f"hold rule {rule['rule']}, {until}")
    held: dict[str, Any] = {}
    if args.queued:
        # Nothing comes past both: the rule is in force by now.
        held = watched(context, "qm.hold", {"where": args.where, "reason": rule["cause"]}, "hold")
    if context.json:
        write_json({**rule, "held": held or None})
    elif held:
        report(held, "held")
    return tell_failures(held)


def show(context: Context) -> int:
    """All rules."""
    rows = context.call("hold.list")
    return show_rows(context, _RULES, rows)


def remove(context: Context) -> int:
    """One rule goes."""
    args = context.args
    rule = context.call("hold.remove", rule=args.rule, release=args.release or None)
    if context.json:
        write_json(rule)
    else:
        write(f"hold rule {rule['rule']} is removed")
    if not rule["released"]:
        return exits.OK
    if not context.json:
        report(rule["released"], "released")
    return tell_failures(rule["released"])


def _seconds(given: str) -> float:
    """:raises UsageError: It is no time from now."""
    from jobctl.selection.quantities import duration

    try:
        seconds = duration(given)
    except ValueError as why:
        raise UsageError(f"--expires: {why}") from None
    if not seconds:
        raise UsageError("--expires: a rule that ends at once holds nothing")
    return seconds
