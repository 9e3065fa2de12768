"""What a command works with: the configuration, the daemon, or the queue itself while no daemon runs."""

import argparse
import os
import time
from typing import TYPE_CHECKING, Any

from jobctl.commands import exits
from jobctl.control.client import Client
from jobctl.control.refusals import NoDaemon
from jobctl.errors import ConfigError, StoreBusy, StoreError, StoreFull, UsageError

if TYPE_CHECKING:
    from jobctl.commands.session import Session
    from jobctl.config.settings import Settings

CONFIG_VARIABLE = "JOBCTL_CONFIG"
PLACES = ("jobctl.toml", "/etc/jobctl/jobctl.toml")


class Context:
    """
    One command's surroundings, found when they are asked for.

    :ivar args: The parsed command line.
    :ivar session: The :class:`jobctl.commands.session.Session` it is part of; ``None``: it stands alone.
    """

    def __init__(self, args: argparse.Namespace, session: "Session | None" = None) -> None:
        self.args = args
        self.session = session
        self._settings: Settings | None = None

    @property
    def json(self) -> bool:
        """Whether a program reads the output."""
        return bool(self.args.json)

    @property
    def settings(self) -> "Settings":
        """
        The configuration: ``--config``, ``JOBCTL_CONFIG``, the usual places, or the embedded default
        where it has been run in the current directory.

        :raises ConfigError: It is wrong.
        :raises UsageError: There is none.
        """
        if self._settings is None:
            self._settings = find_settings(self.args.config)
        return self._settings

    def client(self, absent: int = exits.UNAVAILABLE) -> Client:
        """
        A connection to the daemon.

        :param absent: The exit status when none runs.
        """
        path = self.args.socket or self._socket()
        try:
            return Client(path)
        except NoDaemon as why:
            why.exit_status = absent
            raise

    def _socket(self) -> str:
        """The configured one; a running daemon can be steered, whatever has become of its file since."""
        try:
            return self.settings.controller.control_socket
        except ConfigError:
            from jobctl.config.loader import control_socket

            place = control_socket(found_configuration(self.args.config) or "")
            if place is None or not os.path.exists(place):
                raise
            return place

    def call(self, op: str, **keys: Any) -> Any:
        """One operation of the daemon."""
        with self.client() as client:
            return client.call(op, **keys)

    def offline(self) -> Any:
        """
        The queue itself: :class:`jobctl.store.offline.OfflineQueue`, to be used in a ``with``.

        Only for when no daemon runs, or on the operator's explicit wish.
        """
        from jobctl.store.offline import OfflineQueue

        return OfflineQueue(self.settings.controller.queue_directory, time.time)


def found_configuration(path: str | None) -> str | None:
    """The file that is named, or lies where it is looked for."""
    return path or os.environ.get(CONFIG_VARIABLE) or next(filter(os.path.exists, PLACES), None)


def find_settings(path: str | None) -> "Settings":
    """See :attr:`Context.settings`."""
    from jobctl.config.loader import load, load_default

    path = found_configuration(path)
    if path is not None:
        return load(path)
    if os.path.exists("var/control.sock") or os.path.isdir("var/queue"):
        return load_default(os.getcwd())
    raise UsageError(
        f"no configuration: give --config FILE or set {CONFIG_VARIABLE}; "
        f"there is no {' and no '.join(PLACES)}, and no queue in ./var",
        exits.CONFIG,
    )


def store_trouble(why: StoreError) -> UsageError:
    """What a command says when it works on the queue itself and cannot."""
    if isinstance(why, StoreBusy):
        return UsageError(f"another process has the queue open: {why}", exits.TEMPORARY)
    if isinstance(why, StoreFull):
        return UsageError("the queue's disk is full; make room and try again", exits.TEMPORARY)
    return UsageError(f"the queue cannot be read: {why}", exits.IO)
