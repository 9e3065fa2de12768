"""``jobctl test``: try the configuration without touching the queue."""

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import printable, write, write_json
from jobctl.commands.parser import Commands, command, family
from jobctl.control.refusals import bad_address, unknown_channel

_EXAMPLES = """\
  jobctl test config
  jobctl --config new.toml test config
  jobctl test rewrite bob@example.net
  imsimta test -rewrite -source_channel=tcp_local bob@example.net"""


def register(commands: Commands) -> None:
    """Make the commands known."""
    subcommands = family(commands, "test", "try the configuration", _EXAMPLES)
    command(
        subcommands,
        "config",
        config,
        "check the configuration",
        "  jobctl test config\n  jobctl --config new.toml test config --json",
        description="Check the whole configuration. Every mistake is named with file, line and key "
        "(exit status 78); options that are accepted and do not act yet are listed.",
    )
    parser = command(
        subcommands,
        "rewrite",
        rewrite,
        "where would an address go, and by which rule?",
        "  jobctl test rewrite bob@example.net\n"
        "  jobctl test rewrite bob@example.net --source-channel tcp_local",
    )
    parser.add_argument("address", metavar="ADDRESS")
    parser.add_argument(
        "--source-channel", default="l", metavar="NAME", help="the channel it comes in by (l)"
    )


def config(context: Context) -> int:
    """A wrong configuration never gets this far: it is told by the one who reports errors."""
    settings = context.settings
    if context.json:
        notes = [{"line": note.line, "key": note.key, "text": note.text} for note in settings.notes]
        write_json({"path": settings.path, "channels": sorted(settings.channels), "notes": notes})
        return exits.OK
    for note in settings.notes:
        write(f"{settings.path}:{note.line}: {note.key}: {note.text}")
    write(
        f"{settings.path} is in order: {len(settings.channels)} channels, {len(settings.services)} services, "
        f"{len(settings.rules)} rewrite rules"
    )
    return exits.OK


def rewrite(context: Context) -> int:
    """What the rewrite rules make of an address."""
    from jobctl.errors import UsageError
    from jobctl.mail.address import parse_path
    from jobctl.routing.router import NoRoute, Router

    given, source = context.args.address, context.args.source_channel
    settings = context.settings
    if source not in settings.channels:
        raise unknown_channel(source, settings.channels)
    try:
        address = parse_path(given, False)
    except ValueError as why:
        raise bad_address(given, why) from None
    try:
        route = Router(settings).route(address, source)
    except NoRoute as why:
        raise UsageError(
            f"{address} goes nowhere: {why}; see [rewrite] in {settings.path}", exits.NO_HOST
        ) from None
    if context.json:
        write_json(
            {
                "address": route.address,
                "channel": route.channel,
                "host": route.host,
                "next_hop": route.next_hop,
                "rule": route.rule.pattern,
                "template": route.rule.template,
                "line": route.rule.line,
                "steps": list(route.steps),
            }
        )
        return exits.OK
    channel = settings.channels[route.channel]
    for step in route.steps:
        write(f"  {printable(step)}")
    write(f"address:  {printable(route.address)}")
    write(f"channel:  {route.channel} (official host name {channel.official_host_name})")
    write(f"host:     {printable(route.host) or '(any: all of the channel go together)'}")
    write(f"next hop: {printable(route.next_hop) or '(none: delivered on this machine)'}")
    where = f"{settings.path}:{route.rule.line}" if route.rule.line else "a channel's own name"
    write(f"rule:     {printable(route.rule.pattern)} = {printable(route.rule.template)} ({where})")
    return exits.OK
