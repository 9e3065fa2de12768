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
from jobctl.errors import ConfigError

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
    of ``group``, but for the readers, who may only look.

    :ivar uid: The daemon's own.
    :ivar group: Group id of the operators, ``None``: there are no others.
    :ivar readers: User ids.
    :ivar reader_groups: Group ids; their members are readers too.
    """

    uid: int
    group: int | None = None
    readers: frozenset[int] = frozenset()
    reader_groups: frozenset[int] = frozenset()

    def of(self, uid: int, groups: Collection[int]) -> frozenset[str]:
        """The rights of one who was identified."""
        if uid in (0, self.uid):
            return _BOTH
        if uid in self.readers or not self.reader_groups.isdisjoint(groups):
            return _LOOK
        if self.group is not None and self.group in groups:
            return _BOTH
        return _NONE


def identify(connection: socket.socket, rights: Rights) -> Caller:
    """Who connected, as of the moment they did (SO_PEERCRED); nothing they say can change it."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(credentials)
    name = login_name(uid)
    return Caller(uid=uid, pid=pid, name=name, rights=rights.of(uid, _groups(connection, gid, name)))


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

    :raises ConfigError: There is no such group, or a reader is neither a user nor a group.
    """
    problems: list[str] = []
    operators = None if group is None else _group_id(group)
    if group is not None and operators is None:
        problems.append(f"control_group: there is no group {group}")
    users = {name: _user_id(name) for name in readers}
    groups = {name: _group_id(name) for name in readers}
    for name in readers:
        if users[name] is None and groups[name] is None:
            problems.append(f"control_readers: there is no user and no group {name}")
    if problems:
        raise ConfigError(problems)
    return Rights(
        uid=os.geteuid(),
        group=operators,
        readers=frozenset(uid for uid in users.values() if uid is not None),
        reader_groups=frozenset(gid for gid in groups.values() if gid is not None),
    )


def _user_id(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _group_id(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None
