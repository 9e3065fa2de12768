"""Joining the Job Controller by hand: over its control socket, which then carries the job protocol."""

import os
import socket
from typing import Any

import msgspec

from channels.kit.startup import EX_CONFIG, EX_NOPERM, EX_TEMPFAIL, CannotStart, Start
from jobctl.config.settings import Settings
from jobctl.errors import ConfigError

# Seconds in which a controller that is alive takes the connection and answers.
PATIENCE = 10.0
_LONGEST_ANSWER = 64 * 1024


def settings_of(start: Start) -> Settings:
    """
    The configuration of a run by hand, in which the channel must stand.

    :raises CannotStart: It cannot be read, has mistakes, or has no such channel.
    """
    # Late: a program under the controller needs none of it.
    from jobctl.config.loader import DEFAULT, load

    path = start.config or ("jobctl.toml" if os.path.exists("jobctl.toml") else DEFAULT)
    try:
        settings = load(path)
    except ConfigError as why:
        more = f" (and {len(why.problems) - 1} more: jobctl test config)" if len(why.problems) > 1 else ""
        raise CannotStart(why.problems[0].replace("\n", " ") + more, EX_CONFIG) from None
    if start.channel not in settings.channels:
        raise CannotStart(
            f"PMDF_CHANNEL: there is no channel {start.channel} in {path}; it has "
            + ", ".join(sorted(settings.channels)),
            EX_CONFIG,
        )
    return settings


def attach(path: str, channel: str, role: str) -> tuple[socket.socket, bytes]:
    """
    Become a job of a running controller.

    :param path: Of the control socket.
    :param role: ``master`` or ``slave``.
    :return: The connection, and what the controller said of the job protocol already.
    :raises CannotStart: No controller answers (exit status 75), or it refuses.
    """
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.settimeout(PATIENCE)
    try:
        link.connect(path)
        link.sendall(msgspec.json.encode({"op": "attach", "id": 1, "channel": channel, "role": role}) + b"\n")
        line, rest = _line(link)
    except PermissionError:
        link.close()
        raise CannotStart(f"you may not use the control socket {path}", EX_NOPERM) from None
    except (OSError, ValueError) as why:
        link.close()
        raise CannotStart(
            f"no Job Controller answers at {path} ({_reason(why)}); start it: twistd jobctl", EX_TEMPFAIL
        ) from None
    _check(line, path, link)
    link.settimeout(None)
    return link, rest


def _line(link: socket.socket) -> tuple[bytes, bytes]:
    """:raises ValueError: No line came."""
    data = b""
    while b"\n" not in data:
        if len(data) > _LONGEST_ANSWER:
            raise ValueError("an answer without end")
        more = link.recv(65536)
        if not more:
            raise ValueError("it closed the connection")
        data += more
    line, _, rest = data.partition(b"\n")
    return line, rest


def _check(line: bytes, path: str, link: socket.socket) -> None:
    try:
        answer: dict[str, Any] = msgspec.json.decode(line, type=dict)
    except msgspec.DecodeError:
        answer = {}
    error = answer.get("error")
    if "result" in answer and not error:
        return
    link.close()
    if isinstance(error, dict):
        status = error.get("exit")
        raise CannotStart(
            str(error.get("text")), status if isinstance(status, int) and 0 < status < 126 else EX_TEMPFAIL
        )
    raise CannotStart(f"what answers at {path} is no Job Controller", EX_TEMPFAIL)


def _reason(why: Exception) -> str:
    if isinstance(why, FileNotFoundError):
        return "there is no such socket"
    if isinstance(why, TimeoutError):
        return f"no answer within {PATIENCE:.0f} s"
    return getattr(why, "strerror", None) or str(why)
