"""``jobctl qm start|stop``, and where the other changes of the queue are."""

from typing import Any

from jobctl.commands import bulk, exits
from jobctl.commands.context import Context
from jobctl.commands.output import joined, write, write_json
from jobctl.commands.parser import Commands, command
from jobctl.commands.without_daemon import ask_or_read, channels_meant


def register(subcommands: Commands) -> None:
    """Make the commands known."""
    for name, summary, description in (
        ("start", "let a channel work again", "Let a stopped channel work again, at once."),
        (
            "stop",
            "no deliveries by a channel until it is started",
            "Stop a channel: mail is still accepted for it and kept. "
            "This survives restarts, and works with the daemon down.",
        ),
    ):
        examples = f"  jobctl qm {name} tcp_local\n  jobctl qm {name} 'tcp_*'"
        parser = command(subcommands, name, start_or_stop, summary, examples, description=description)
        parser.add_argument("channel", metavar="CHANNEL", help="wildcards * and ?")
        parser.set_defaults(verb=name)
    bulk.register(subcommands)


def start_or_stop(context: Context) -> int:
    """A channel, or several by wildcards."""
    verb, pattern = context.args.verb, context.args.channel
    stop = verb == "stop"

    def write_down(store: Any) -> dict[str, list[str]]:
        import getpass
        import os

        names = channels_meant(context, pattern)
        marked = set(store.stopped())
        changed = names if stop else [name for name in names if name in marked]
        author = getpass.getuser()
        if changed:
            store.note(author, os.getuid(), verb, pattern, " ".join(changed))
        for name in changed:
            store.set_stopped(name, stop, author)
        return {"channels": changed}

    result = ask_or_read(context, f"qm.{verb}", {"channel": pattern}, write_down)
    names = result["channels"]
    if context.json:
        write_json(result)
    elif names:
        write(f"{'stopped' if stop else 'started'}: {joined(names)}")
    else:
        write(f"{pattern} was not stopped")
    return exits.OK
