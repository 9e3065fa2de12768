"""``jobctl run`` and ``jobctl submit``: have a channel's mail tried, in sight or in the background."""

import sys

import msgspec

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import printable, write, write_json
from jobctl.commands.parser import Commands, command
from jobctl.errors import UsageError

_RUN = """\
  jobctl run tcp_local          try everything queued to tcp_local now, and show the dialogue
  jobctl run tcp_local poll     start the program even when nothing is queued"""
_SUBMIT = """\
  jobctl submit tcp_local       look at tcp_local now; what waits for its backoff goes on waiting
  jobctl submit                 the same for the local channel, l"""


def register(commands: Commands) -> None:
    """Make the commands known."""
    parser = command(
        commands,
        "run",
        run,
        "try a channel's mail now, backoff ignored, and watch",
        _RUN,
        description="Try all mail of a channel now, deferred or not, with the dialogue on the terminal. "
        "Exit status: 0 all that was tried was delivered, 75 something was deferred, 69 something failed, "
        "78 the channel is not configured rightly. Ctrl-C ends the watching, not the delivery.",
    )
    parser.add_argument("channel", metavar="CHANNEL")
    parser.add_argument("poll", nargs="?", choices=("poll",), help="run even if nothing is queued")
    parser = command(
        commands,
        "submit",
        submit,
        "have a channel's due mail tried in the background",
        _SUBMIT,
        description="Have the Job Controller look at a channel now, within its limits and backoff; "
        "returns at once.",
    )
    parser.add_argument("channel", nargs="?", default="l", metavar="CHANNEL", help="default: l")
    parser.add_argument("poll", nargs="?", choices=("poll",), help="run even if nothing is queued")


def run(context: Context) -> int:
    """Watch a run to its end."""
    args = context.args
    with context.client(absent=exits.TEMPORARY) as client:
        try:
            result = None
            for answer, _ in client.stream("run", channel=args.channel, poll=args.poll is not None):
                if answer.line is not None and not context.json:
                    write(printable(answer.line))
                    sys.stdout.flush()
                elif answer.result is not msgspec.UNSET:
                    result = answer.result
        except KeyboardInterrupt:
            print(
                "jobctl: no longer watching; what is under way is finished by the Job Controller",
                file=sys.stderr,
            )
            return exits.INTERRUPTED
    counts = {key: int((result or {}).get(key, 0)) for key in ("delivered", "deferred", "failed")}
    if context.json:
        write_json(counts)
    else:
        write(", ".join(f"{number} {what}" for what, number in counts.items()))
    if counts["failed"]:
        return exits.UNAVAILABLE
    return exits.TEMPORARY if counts["deferred"] else exits.OK


def submit(context: Context) -> int:
    """Ask for it and return."""
    args = context.args
    channel, poll = args.channel, args.poll is not None
    if channel == "poll" and not poll:
        # 'submit poll' has always meant the default channel.
        channel, poll = "l", True
    with context.client(absent=exits.TEMPORARY) as client:
        result = client.call("submit", channel=channel, poll=poll)
    if not isinstance(result, dict):
        raise UsageError(
            "the Job Controller's answer makes no sense; do daemon and command belong together?",
            exits.PROTOCOL,
        )
    if context.json:
        write_json(result)
    else:
        started = result.get("started", 0)
        write(f"channel {channel}: {started} job{'' if started == 1 else 's'} started")
    return exits.OK
