"""A session of ``qm``: commands one after another, with numbers of the latest listing for ids."""

import argparse
import shlex
import sys
from typing import Any

from jobctl.commands import exits
from jobctl.commands.context import Context
from jobctl.commands.listing import Listing
from jobctl.commands.spelling import translate
from jobctl.errors import ConfigError, UsageError

# Commands that can be given at the prompt although they are not of ``qm``.
BESIDE = ("explain", "undo", "cache", "process", "version", "ledger", "submit", "reload")


class Leave(Exception):
    """The session is to end."""


class Session:
    """
    :param outer: The command line that began it: its ``--config``, ``--socket`` and ``--json`` count for all.
    :param parser: The whole command line's.
    :ivar listing: What was listed last.
    :ivar source: ``database`` or ``directory_tree``, where ``view`` has set one.
    :ivar status: Of the first command that failed.
    :ivar depth: Of files being run.
    """

    def __init__(self, outer: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
        self.outer = outer
        self.parser = parser
        self.listing = Listing()
        self.source: str | None = None
        self.status = exits.OK
        self.depth = 0

    def do(self, line: str) -> int:
        """
        One command; trouble is told on standard error.

        :return: Its exit status.
        :raises Leave: It is ``exit`` or ``quit``.
        :raises BrokenPipeError: Nobody reads the output any more.
        """
        status = self._do(line)
        sys.stdout.flush()
        if status and not self.status:
            self.status = status
        return status

    def _do(self, line: str) -> int:
        if not line.strip() or line.lstrip()[0] in "!#":
            return exits.OK
        try:
            words = shlex.split(line)
        except ValueError as why:
            return complain([f"{str(why).lower()}: {line.strip()}"], exits.USAGE)
        try:
            args = self.parser.parse_args(translate(self.parser, self._command(words)))
            self._complete(args)
            status: int = args.run(Context(args, self))
            return status
        except ConfigError as trouble:
            return complain(trouble.problems, exits.CONFIG)
        except UsageError as trouble:
            return complain([str(trouble)], trouble.exit_status)
        except BrokenPipeError:
            raise
        except OSError as trouble:
            return complain([f"{trouble.filename or 'output'}: {trouble.strerror or trouble}"], exits.IO)
        except KeyboardInterrupt:
            return complain(["interrupted"], exits.INTERRUPTED)
        except SystemExit as end:  # argparse has shown its help
            return end.code if isinstance(end.code, int) else exits.OK

    def _command(self, words: list[str]) -> list[str]:
        """Commands of ``qm``; others that are of use beside them by their whole name."""
        return words if words[0].lower() in BESIDE else ["qm", *words]

    def _complete(self, args: Any) -> None:
        """What the session knows and the command does not: source, socket, and which messages are meant."""
        for name in ("config", "socket"):
            if getattr(args, name, None) is None:
                setattr(args, name, getattr(self.outer, name, None))
        args.json = args.json or self.outer.json
        sourced = hasattr(args, "database") and not (args.database or args.directory_tree)
        if self.source and sourced:
            setattr(args, self.source, True)
        if hasattr(args, "ids"):
            self._choose(args)
        elif isinstance(getattr(args, "id", None), str):
            args.id = (self.listing.meant([args.id], None) or [""])[0]

    def _choose(self, args: Any) -> None:
        if args.all and args.ids:
            raise UsageError("give numbers or ids, or -all, not both")
        if not args.all:
            if args.ids:
                args.ids = self.listing.meant(args.ids, args.channel)
            return
        if getattr(args, "where", None):
            return  # a selector says itself what it means
        args.ids = self.listing.everything(args.channel)
        args.all, args.channel = False, None
        verb = getattr(args, "verb", None)
        if verb is not None and args.confirm is not False:
            confirm(
                f"{verb} {len(args.ids)} message{'' if len(args.ids) == 1 else 's'} of the latest listing"
            )
            args.confirm = False


def confirm(what: str) -> None:
    """:raises UsageError: It was not confirmed, or nobody can be asked."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(f"{what}: say -noconfirm where nobody can be asked")
    if input(f"{what}? (y/n) ").strip().lower() not in ("y", "yes"):
        raise UsageError("nothing was done")


def complain(lines: list[str], status: int) -> int:
    """Tell trouble; gives the status back."""
    sys.stdout.flush()
    for line in lines:
        print("jobctl: " + " ".join(line.split()), file=sys.stderr)
    return status
