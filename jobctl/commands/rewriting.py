"""``jobctl test rewrite``: where addresses would go, and by which rule."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import msgspec

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.few_words import few_words
from jobctl.commands.output import printable, write, write_json
from jobctl.commands.parser import Commands, command
from jobctl.commands.session import complain
from jobctl.control.refusals import bad_address, unknown_channel
from jobctl.errors import UsageError

_PROMPT = "Address: "
# Options of the original that have nothing to act on, and why.
_VALUES = {
    "alias_file": "there are no alias files",
    "mapping_file": "mapping tables are in the configuration: give another with --config",
    "option_file": "options are in the configuration: give another with --config",
    "from": "routing does not look at the sender",
    "sender": "routing does not look at the sender",
    "restricted": "nothing is encoded for restricted systems",
}
_SWITCHES = {
    "image_file": "the configuration is read as it is, never compiled",
    "check_expansions": "addresses are not expanded",
    "local_alias": "there are no aliases",
    "delivery_receipt": "routing does not look at receipts",
    "read_receipt": "routing does not look at receipts",
    "reprocessing": "nothing is reprocessed",
}


def register(subcommands: Commands) -> None:
    """Make the command known."""
    parser = command(
        subcommands,
        "rewrite",
        rewrite,
        "where would an address go, and by which rule?",
        "  jobctl test rewrite bob@example.net\n"
        "  jobctl test rewrite bob@example.net --source-channel tcp_local --channel\n"
        "  jobctl test rewrite                                 asks for addresses until Ctrl-D\n"
        "  imsimta test -rewrite -configuration_file=new.toml -input=addresses -output=where",
        description="Show what the rewrite rules make of an address, without sending anything. Without an "
        "address they are asked for, or read from --input, one a line.",
    )
    parser.add_argument("address", nargs="?", metavar="ADDRESS")
    parser.add_argument(
        "--source-channel", default="l", metavar="NAME", help="the channel it comes in by (l)"
    )
    parser.add_argument(
        "--destination-channel", metavar="NAME", help="exit status 65 unless all of them go there"
    )
    parser.add_argument(
        "--channel", action=argparse.BooleanOptionalAction, default=False, help="the channel's settings, too"
    )
    parser.add_argument(
        "--debug",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="every rule that was looked at",
    )
    parser.add_argument(
        "--configuration-file", dest="config", metavar="FILE", default=argparse.SUPPRESS, help="as --config"
    )
    parser.add_argument("--input", metavar="FILE", help="read addresses from there, one a line")
    parser.add_argument("--output", metavar="FILE", help="write there instead of on the terminal")
    for name, why in _VALUES.items():
        parser.add_argument(_option(name), dest=f"x_{name}", metavar="X", help=f"without effect: {why}")
    for name, why in _SWITCHES.items():
        parser.add_argument(
            _option(name),
            dest=f"x_{name}",
            action=argparse.BooleanOptionalAction,
            help=f"without effect: {why}",
        )


def rewrite(context: Context) -> int:
    """One address, or many."""
    args = context.args
    settings = context.settings
    for name in (args.source_channel, args.destination_channel):
        if name is not None and name not in settings.channels:
            raise unknown_channel(name, settings.channels)
    for name, why in {**_VALUES, **_SWITCHES}.items():
        if getattr(args, f"x_{name}") is not None:
            print(f"jobctl: {_option(name)} has no effect: {why}", file=sys.stderr)
    with ExitStack() as open_files:
        if args.output is not None:
            sys.stdout, before = open_files.enter_context(_opened(args.output, "w")), sys.stdout
            open_files.callback(lambda: setattr(sys, "stdout", before))
        if args.address is not None:
            return _show(context, args.address)
        return _many(context, open_files)


def _many(context: Context, open_files: ExitStack) -> int:
    """Trouble with one is told and does not end it; gives the first trouble's status."""
    status = exits.OK
    for line in _asked(context.args.input, open_files):
        address = line.strip()
        if not address:
            continue
        try:
            found = _show(context, address)
        except UsageError as why:
            found = complain([str(why)], why.exit_status)
        status = status or found
    return status


def _asked(path: str | None, open_files: ExitStack) -> Iterator[str]:
    if path is not None:
        yield from open_files.enter_context(_opened(path, "r"))
    elif sys.stdin is not None and sys.stdin.isatty():
        while True:
            try:
                yield input(_PROMPT)
            except EOFError:
                print(file=sys.stderr)
                return
    else:
        yield from sys.stdin or ()


def _opened(path: str, mode: str) -> Any:
    try:
        return open(path, mode, encoding="utf-8", errors="surrogateescape")
    except OSError as why:
        status = exits.NO_INPUT if mode == "r" else exits.IO
        raise UsageError(f"{path}: {why.strerror}", status) from None


def _show(context: Context, given: str) -> int:
    from jobctl.mail.address import parse_path
    from jobctl.routing.router import NoRoute, Router

    settings, args = context.settings, context.args
    try:
        address = parse_path(given, False)
    except ValueError as why:
        raise bad_address(given, why) from None
    try:
        route = Router(settings).route(address, args.source_channel)
    except NoRoute as why:
        raise UsageError(
            f"{address} goes nowhere: {why}; see [rewrite] in {settings.path}", exits.NO_HOST
        ) from None
    if context.json:
        write_json(_value(context, route))
    else:
        _write(context, route)
    if args.destination_channel not in (None, route.channel):
        raise UsageError(f"{address} goes to {route.channel}, not to {args.destination_channel}", exits.DATA)
    return exits.OK


def _value(context: Context, route: Any) -> dict[str, Any]:
    value = {
        "address": route.address,
        "channel": route.channel,
        "host": route.host,
        "next_hop": route.next_hop,
        "rule": route.rule.pattern,
        "template": route.rule.template,
        "line": route.rule.line,
        "steps": list(route.steps),
    }
    if context.args.channel:
        value["settings"] = msgspec.to_builtins(context.settings.channels[route.channel])
    return value


def _write(context: Context, route: Any) -> None:
    settings = context.settings
    channel = settings.channels[route.channel]
    if context.args.debug:
        for step in route.steps:
            write(f"  {printable(step)}")
    write(f"address:  {printable(route.address)}")
    write(f"channel:  {route.channel} (official host name {channel.official_host_name})")
    if context.args.channel:
        for line in _set(channel):
            write(f"          {printable(line)}")
    write(f"host:     {printable(route.host) or '(any: all of the channel go together)'}")
    write(f"next hop: {printable(route.next_hop) or '(none: delivered on this machine)'}")
    where = f"{settings.path}:{route.rule.line}" if route.rule.line else "a channel's own name"
    write(f"rule:     {printable(route.rule.pattern)} = {printable(route.rule.template)} ({where})")


def _set(channel: Any) -> Iterator[str]:
    """The settings that are others than those of a channel about which nothing is said."""
    from jobctl.config.settings import ChannelSettings

    plain = ChannelSettings(name=channel.name, official_host_name="", local_host="")
    for field in ChannelSettings.__struct_fields__:
        value = getattr(channel, field)
        if value == getattr(plain, field) or field in ("name", "official_host_name"):
            continue
        if isinstance(value, msgspec.Struct):
            continue
        if field == "keywords":
            yield from (f"{name} = {one}" for name, one in sorted(value.items()))
            continue
        yield f"{field} = {few_words(field, value)}"


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
