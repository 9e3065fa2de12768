"""What a program is started with: its variables, where it lies, as whom it runs."""

import os
import pwd
import shutil
import sys
from collections.abc import Mapping

# Everything else of the daemon's environment stays with the daemon.
ALLOWED = frozenset(
    {
        "PATH", "LANG", "TZ", "HOME", "USER", "JOBCTL_CONFIG",
        "PYTHONPATH", "PYTHONHOME", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED",
        "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG",
    }
)  # fmt: skip


class CannotStart(Exception):
    """
    A program cannot be started.

    :ivar temporary: Trying again later may help without anybody changing anything.
    :ivar status: RFC 3463 status when it is the destination that fails (``4.4.1`` nobody answers,
        ``5.1.2`` no such host); ``""`` when it is us, and no recipient may suffer for it.
    """

    def __init__(self, reason: str, temporary: bool, status: str = "") -> None:
        super().__init__(reason)
        self.temporary = temporary
        self.status = status


def search_path(environment: Mapping[str, str]) -> str:
    """PATH with the directory of the running Python in front: a virtual environment's programs are found."""
    return os.pathsep.join([os.path.dirname(sys.executable), environment.get("PATH", os.defpath)])


def program_environment(ours: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """
    A program's whole environment.

    :param ours: The daemon's; only what is allowed is taken from it.
    :param added: Variables of this job; they win.
    """
    environment = {name: value for name, value in ours.items() if name in ALLOWED or name.startswith("LC_")}
    environment["PATH"] = search_path(ours)
    environment.update(added)
    return environment


def find_program(name: str, path: str) -> str:
    """
    The absolute path of a program.

    :param name: A name looked up in ``path``, or a path (relative ones from the working directory).
    :raises CannotStart: There is none that can be executed.
    """
    found = shutil.which(name, path=path)
    if found is None:
        what = "is not an executable file" if os.path.exists(name) else "was not found"
        raise CannotStart(f"program {name} {what}", temporary=False)
    return os.path.abspath(found)


def identity(user: str | None) -> tuple[int, int] | None:
    """
    (uid, gid) to run as, ``None`` for our own.

    :param user: A login name or ``None``.
    :raises CannotStart: No such user, or we may not become it.
    """
    if user is None:
        return None
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise CannotStart(f"there is no user {user} to run as", temporary=False) from None
    if entry.pw_uid == os.geteuid():
        return None
    if os.geteuid() != 0:
        raise CannotStart(f"cannot run as user {user}: the daemon does not run as root", temporary=False)
    return entry.pw_uid, entry.pw_gid
