"""``jobctl top``: a live screen of what goes on."""

import contextlib
import os
import select
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.output import write, write_json
from jobctl.commands.parser import Commands, command
from jobctl.commands.top_screen import DIM, HEADING, TITLE, Line, screen
from jobctl.control.client import Client
from jobctl.control.refusals import ControlError
from jobctl.errors import UsageError

_STYLES = {TITLE: "bold", HEADING: "reverse", DIM: "dim"}
# Width where there is no terminal.
_WIDTH = 120
_LEAVE = b"qQ\x03\x04"


def register(commands: Commands) -> None:
    """Make the command known."""
    parser = command(
        commands,
        "top",
        top,
        "watch what goes on: channels, destinations, jobs, rates",
        "  jobctl top\n  jobctl top --interval 5\n  jobctl top --once          once, as text\n"
        "  jobctl top --json          once, for programs",
        description="Show what goes on, again and again: channels with their rates, the busiest destinations, "
        "and what is in the hands of jobs: message, recipient, phase of the dialogue, who is at the other "
        "end, octets sent of all, age. q ends it. Where standard output is no terminal it is shown once.",
    )
    parser.add_argument(
        "--interval", type=float, default=2.0, metavar="SECONDS", help="between two looks (2; at least 0.2)"
    )
    parser.add_argument("--once", action="store_true", help="show it once, all of it, as text")


def top(context: Context) -> int:
    """Once, or until q."""
    args = context.args
    if not 0.2 <= args.interval <= 3600:
        raise UsageError("--interval is 0.2 to 3600 seconds")
    with context.client() as client:
        if context.json:
            write_json(_look(client))
            return exits.OK
        if args.once or not sys.stdout.isatty():
            size = shutil.get_terminal_size((_WIDTH, 24))
            for line in screen(_look(client), None, size.columns, None):
                write(line.text)
            return exits.OK
    return _live(context, args.interval)


def _look(client: Client, messages: int = 200) -> dict[str, Any]:
    found: dict[str, Any] = client.call("top", messages=messages)
    return found


def _live(context: Context, interval: float) -> int:
    # Imported late: it takes longer than all the rest of a command.
    from rich.console import Console
    from rich.live import Live

    console = Console()
    before: dict[str, Any] | None = None
    trouble = ""
    client: Client | None = None
    with _keys() as key, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            try:
                if client is None:
                    client = context.client()
                now = _look(client, max(console.size.height, 20))
                lines = screen(now, before, console.size.width, console.size.height - 1)
                before, trouble = now, ""
            except ControlError as why:
                # A daemon that is being restarted comes back.
                trouble, lines = str(why), [Line("")]
                if client is not None:
                    client.close()
                    client = None
            live.update(_drawn(lines, trouble, console.size.width), refresh=True)
            if key(interval):
                break
    if client is not None:
        client.close()
    if trouble:
        raise UsageError(trouble, exits.UNAVAILABLE)
    return exits.OK


def _drawn(lines: list[Line], trouble: str, width: int) -> Any:
    from rich.text import Text

    drawn = Text(no_wrap=True, overflow="crop")
    for line in lines:
        drawn.append(line.text.ljust(width) if line.style == HEADING else line.text, _STYLES.get(line.style))
        drawn.append("\n")
    drawn.append(trouble[:width] if trouble else "q: leave", "red" if trouble else "dim")
    return drawn


@contextlib.contextmanager
def _keys() -> Iterator[Any]:
    """
    Waiting for keys, one at a time and not shown.

    :return: Called with seconds to wait: whether the key to leave was pressed.
    """
    import termios
    import tty

    if sys.stdin is None or not sys.stdin.isatty():
        yield _wait
        return
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def pressed(seconds: float) -> bool:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([descriptor], [], [], left)[0]:
                return False
            typed = os.read(descriptor, 64)
            if not typed or any(one in _LEAVE for one in typed):
                return True
        return False

    try:
        tty.setcbreak(descriptor)
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _wait(seconds: float) -> bool:
    time.sleep(seconds)
    return False
