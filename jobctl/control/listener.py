"""The control socket as a file: made safely, kept from a second daemon, removed when it is still ours."""

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from twisted.internet import tcp, unix
from twisted.internet.error import CannotListenError

from jobctl.control.socketpath import reachable
from jobctl.errors import ConfigError, StoreBusy

MODE = 0o660
_BACKLOG = 128


class ControlPort(unix.Port):
    """
    A listening UNIX socket that removes its file only while the file is its own.

    The stock port changes the mode of whatever has the name when it starts and
    removes whatever has it when it stops.
    """

    place = ""
    _identity: tuple[int, int] | None = None

    def identify_file(self) -> None:
        """Remember which file is ours."""
        self._identity = _identity(self.place)

    def give_to(self, group: int) -> None:
        """Let the members of a group connect."""
        if _identity(self.place) == self._identity:
            os.chown(self.place, -1, group)

    def connectionLost(self, reason: Any) -> None:
        if self._identity is not None and _identity(self.place) == self._identity:
            os.unlink(self.place)
        tcp.Port.connectionLost(self, reason)


def listen(reactor: Any, path: str, factory: Any, group: int | None = None) -> ControlPort:
    """
    Listen at ``path``, mode 0660.

    A socket file that nobody answers at (left by a daemon that died) is
    replaced; one where somebody does is not, and nothing else ever is.

    :param group: Group id the file is given to.
    :raises StoreBusy: Another daemon answers there.
    :raises ConfigError: The place will not do.
    """
    try:
        with _sole(os.path.dirname(path) or "."), reachable(path) as name:
            _clear(path, name)
            # Nobody can connect before the mode and group are right.
            before = os.umask(0o177)
            try:
                port = ControlPort(name, factory, _BACKLOG, 0o600, reactor)  # type: ignore[arg-type]
                port.place = path
                port.startListening()
            finally:
                os.umask(before)
            port.identify_file()
            if group is not None:
                os.chown(path, -1, group)
            os.chmod(path, MODE)
    except CannotListenError as why:
        raise ConfigError([f"control_socket: cannot listen at {path}: {why.socketError}"]) from None
    except OSError as why:
        raise ConfigError([f"control_socket: cannot listen at {path}: {why.strerror or why}"]) from None
    return port


@contextmanager
def _sole(folder: str) -> Iterator[None]:
    """Two daemons that start together look and bind one after the other."""
    os.makedirs(folder, mode=0o755, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _clear(path: str, name: str) -> None:
    """Remove a socket file that nobody answers at."""
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(there.st_mode):
        raise ConfigError([f"control_socket: {path} is there and is not a socket; move it away"])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A live daemon with a full backlog answers EAGAIN at once instead of letting us wait.
        probe.setblocking(False)
        if probe.connect_ex(name) != errno.ECONNREFUSED:
            raise StoreBusy(
                f"another Job Controller answers at {path}; stop it first, or give this one its own queue"
            )
    os.unlink(path)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        there = os.lstat(path)
    except OSError:
        return None
    return there.st_dev, there.st_ino
