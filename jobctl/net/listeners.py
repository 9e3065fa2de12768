"""Listening sockets made of Twisted endpoint strings, to be handed to programs."""

import os
import socket
import stat
from typing import Any

from twisted.internet.endpoints import serverFromString

_FIRST = {"tcp": "port", "tcp6": "port", "unix": "address"}


def open_listener(endpoint: str, backlog: int = 1024, shared: bool = False) -> socket.socket:
    """
    A bound, listening, non-blocking, close-on-exec socket.

    The strings of Twisted's ``serverFromString`` of the kinds ``tcp``, ``tcp6``, ``unix``
    and ``systemd``, without making a port of the reactor: the socket is for other
    processes to accept on.

    :param backlog: Unless the string has one (``backlog=``); the kernel has a limit of its own.
    :param shared: The port may be that of another socket of ours that says so too (SO_REUSEPORT).
    :raises ValueError: The string is none of those.
    :raises OSError: The address cannot be had; the text names the endpoint.
    """
    kind, options = parse_endpoint(endpoint)
    try:
        length = int(options.get("backlog", backlog))
        if kind == "unix":
            listener = _unix(options["address"], int(options.get("mode", "666"), 8))
        elif kind == "systemd":
            listener = _inherited(endpoint)
        elif kind in ("tcp", "tcp6"):
            listener = _tcp(kind, options.get("interface", ""), int(options["port"]), shared)
        else:
            raise ValueError(f"{endpoint!r} is not tcp:PORT, tcp6:PORT, unix:PATH or systemd:...")
        listener.listen(length)
    except KeyError as missing:
        raise ValueError(f"{endpoint!r} lacks {missing}") from None
    except OSError as why:
        raise OSError(why.errno, f"cannot listen on {endpoint}: {why.strerror or why}") from None
    listener.setblocking(False)
    return listener


def parse_endpoint(endpoint: str) -> tuple[str, dict[str, str]]:
    """
    Take ``kind:first:name=value`` apart; ``\\`` takes the meaning from the character after it.

    :return: Kind, and arguments by name; the nameless first one gets the name that its kind gives it.
    """
    fields: list[tuple[str, str]] = []
    name, text = "", ""
    characters = iter(endpoint)
    for character in characters:
        if character == "\\":
            text += next(characters, "")
        elif character == "=" and not name and fields:
            name, text = text, ""
        elif character == ":":
            fields.append((name, text))
            name, text = "", ""
        else:
            text += character
    (_, kind), *rest = [*fields, (name, text)]
    return kind, {name or _FIRST.get(kind, ""): value for name, value in rest}


def _tcp(kind: str, interface: str, port: int, shared: bool) -> socket.socket:
    six = kind == "tcp6" or ":" in interface
    listener = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it: without it a turn of the dialogue can take 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((interface, port))
    except (OSError, OverflowError) as why:
        listener.close()
        if isinstance(why, OverflowError):
            raise ValueError(f"there is no port {port}") from None
        raise
    return listener


def _unix(path: str, mode: int) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _abandoned(path):
            os.unlink(path)
        listener.bind(path)
        os.chmod(path, mode)
    except OSError:
        listener.close()
        raise
    return listener


def _abandoned(path: str) -> bool:
    """Whether ``path`` is a socket on which nobody listens any more."""
    if not os.path.exists(path) or not stat.S_ISSOCK(os.stat(path).st_mode):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
    return False


def _inherited(endpoint: str) -> socket.socket:
    """
    A socket that systemd opened for us (sd_listen_fds), by ``index`` or ``name``.

    Asked of Twisted, which has taken the variables out of the environment when it was imported.
    """
    try:
        adopted: Any = serverFromString(None, endpoint)
    except (IndexError, KeyError):
        raise OSError(0, "systemd gave us no such socket") from None
    # A copy: the descriptor that was inherited stays for who asks again, as after a reload.
    return socket.socket(fileno=os.dup(adopted.fileno))
