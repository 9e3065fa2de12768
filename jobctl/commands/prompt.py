"""``jobctl qm`` without a command: the prompt ``qm.maint>``, with history and completion on a terminal."""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.session import BESIDE, Leave, Session
from jobctl.errors import JobctlError
from jobctl.selection.words import continued

PROMPT = "qm.maint> "
# Lines kept in the history file.
_KEPT = 1000
# Words of more than these belong together when they are completed.
_DELIMITERS = " \t\n,"


def interact(context: Context) -> int:
    """
    Read commands until ``exit``, or the end of standard input.

    :return: From a terminal 0; of a script the status of the first command that failed.
    """
    from jobctl.commands.main import build_parser

    session = Session(context.args, build_parser("jobctl"))
    terminal = sys.stdin is not None and sys.stdin.isatty()
    lines = _typed(session) if terminal else _piped()
    with contextlib.suppress(Leave):
        for line in lines:
            session.do(line)
    return exits.OK if terminal else session.status


def _piped() -> Iterator[str]:
    yield from sys.stdin or ()


def _typed(session: Session) -> Iterator[str]:
    with _editing(session):
        while True:
            try:
                yield input(PROMPT)
            except EOFError:
                print()
                return
            except KeyboardInterrupt:
                print()


@contextlib.contextmanager
def _editing(session: Session) -> Iterator[None]:
    """Line editing; Pythons without it have a prompt all the same."""
    try:
        import readline
    except ImportError:
        yield
        return
    path = history_path(os.environ)
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    readline.set_history_length(_KEPT)
    readline.set_completer_delims(_DELIMITERS)
    readline.set_completer(_Completer(session, readline).complete)
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        # What cannot be kept is no reason to complain.
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            readline.write_history_file(path)
            os.chmod(path, 0o600)


def history_path(environment: Any) -> str:
    """Where lines are kept (XDG Base Directory Specification: state)."""
    state = environment.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(state, "jobctl", "qm_history")


class _Completer:
    """Joins :func:`candidates` to readline."""

    def __init__(self, session: Session, readline: Any) -> None:
        self._session = session
        self._readline = readline
        self._found: list[str] = []
        self._channels: list[str] | None = None

    def complete(self, text: str, state: int) -> str | None:
        """As readline calls it: the candidates one by one, then ``None``."""
        if state == 0:
            before = self._readline.get_line_buffer()[: self._readline.get_begidx()]
            listed = self._session.listing.ids
            self._found = candidates(self._session.parser, before.split(), text, self._known(), listed)
        return self._found[state] if state < len(self._found) else None

    def _known(self) -> list[str]:
        """Channels, asked for once; none when nobody can be asked."""
        if self._channels is None:
            try:
                context = Context(self._session.outer)
                self._channels = [row["channel"] for row in context.call("qm.summarize")]
            except JobctlError:
                self._channels = []
        return self._channels


def candidates(
    parser: argparse.ArgumentParser, before: list[str], text: str, channels: list[str], ids: list[str]
) -> list[str]:
    """
    What a word may become.

    :param before: The words before it.
    :param channels: Names of channels; ``ids``: of the latest listing.
    """
    top = _choices(parser)
    commands = {**_choices(top["qm"]), **{name: top[name] for name in BESIDE}}
    if not before:
        return [name + " " for name in sorted(commands) if name.startswith(text.lower())]
    meant = [name for name in commands if name.startswith(before[0].lower().lstrip("-"))]
    command = commands.get(before[0].lower()) or (commands[meant[0]] if len(meant) == 1 else None)
    if command is None:
        return []
    selector = _selector_begun(before)
    if selector is not None:
        return [found[len(selector) :] for found in continued(selector + text)]
    if text.startswith("-"):
        return _options(command, text, channels)
    if before[-1] in ("-channel", "--channel"):
        return [name + " " for name in channels if name.startswith(text)]
    if before[0].lower() == "help":
        return [name + " " for name in sorted(commands) if name.startswith(text.lower())]
    positional = {action.dest for action in command._actions if not action.option_strings}
    known = channels if "channel" in positional else ids if positional & {"ids", "id"} else []
    return [word + " " for word in known if word.startswith(text)]


def _selector_begun(before: list[str]) -> str | None:
    """What stands before the word in a selector whose quotes are not closed yet."""
    line = " ".join([*before, ""])
    for option in ("-where=", "--where ", "-where "):
        _, found, value = line.rpartition(option)
        if found and value[:1] in ("'", '"') and value[0] not in value[1:]:
            return value[1:]
    return None


def _options(command: argparse.ArgumentParser, text: str, channels: list[str]) -> list[str]:
    """Options in the spelling that was begun: ``-noenvelope`` or ``--no-envelope``, ``-channel=NAME``."""
    name, equals, value = text.partition("=")
    if equals:
        if name.lstrip("-") == "where" and value[:1] in ("'", '"'):
            return [f"{name}={value[0]}{found}" for found in continued(value[1:])]
        if name.lstrip("-") != "channel":
            return []
        return [f"{name}={channel} " for channel in channels if channel.startswith(value)]
    found = []
    for option, action in command._option_string_actions.items():
        if not option.startswith("--"):
            continue
        spelt = option
        if not text.startswith("--"):
            spelt = "-" + option[2:].replace("no-", "no", 1) if option.startswith("--no-") else option[1:]
            spelt = spelt[:1] + spelt[1:].replace("-", "_")
        if spelt.startswith(text.lower()):
            found.append(spelt + ("=" if action.nargs is None else " "))
    return sorted(found)


def _choices(parser: argparse.ArgumentParser) -> dict[str, Any]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}
