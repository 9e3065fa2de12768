"""Who is at the other end of a UNIX socket, and what may they do."""

import grp
import os
import pwd
import socket
import struct
from collections.abc import Collection

import msgspec

from jobctl.control.operations import Caller
from jobctl.control.requests import CHANGE, READ

# Linux 4.13 (socket(7)); the socket module has no name for it.
SO_PEERGROUPS = 59
# The most octets the socket module takes: 256 groups.
_MOST = 1024
_CREDENTIALS = struct.Struct("=3i")
_BOTH = frozenset({READ, CHANGE})
_LOOK = frozenset({READ})
_NONE: frozenset[str] = frozenset()


class Rights(msgspec.Struct, frozen=True):
    """
    Who may do what.

    Root and the user the daemon runs as may do everything; so may the members
    of ``group``, but for those named in ``readers``, who may only look.

    :ivar uid: The daemon's own.
    :ivar group: Group id of the operators, ``None``: there are no others.
    :ivar readers: Login names.
    """

    uid: int
    group: int | None = None
    readers: frozenset[str] = frozenset()

    def of(self, uid: int, name: str, groups: Collection[int]) -> frozenset[str]:
        """The rights of one who was identified."""
        if uid in (0, self.uid):
            return _BOTH
        if name in self.readers:
            return _LOOK
        if self.group is not None and self.group in groups:
            return _BOTH
        return _NONE


def identify(connection: socket.socket, rights: Rights) -> Caller:
    """Who connected, as of the moment they did (SO_PEERCRED); nothing they say can change it."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(credentials)
    name = login_name(uid)
    return Caller(uid=uid, pid=pid, name=name, rights=rights.of(uid, name, _groups(connection, gid, name)))


def login_name(uid: int) -> str:
    """``uid N`` when there is no such account."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _groups(connection: socket.socket, gid: int, name: str) -> set[int]:
    """The peer's group and its supplementary ones."""
    try:
        packed = connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, _MOST)
    except OSError:
        # An older kernel, or more groups than that: the group file is the next best thing.
        return {gid, *(group.gr_gid for group in grp.getgrall() if name in group.gr_mem)}
    return {gid, *struct.unpack(f"={len(packed) // 4}I", packed)}


def daemon_rights(group: str | None, readers: Collection[str]) -> Rights:
    """
    The rights that the configuration gives (``control_group``, ``control_readers``).

    :raises KeyError: There is no such group.
    """
    return Rights(
        uid=os.geteuid(),
        group=None if group is None else grp.getgrnam(group).gr_gid,
        readers=frozenset(readers),
    )
