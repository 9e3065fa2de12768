"""Users of a password file, as a checker of twisted.cred."""

import os
from collections.abc import Callable
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import LoginFailed, UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from jobctl.sasl.password_file import read_password_file, scram_keys_of
from jobctl.sasl.secrets import ScramKeys, matches, prepared, scram_keys, scram_line

# No password file is larger; reading one is not to fill the memory.
_LONGEST = 64 * 1024 * 1024


class CannotTell(LoginFailed):
    """Nothing can be said of this user now: a temporary failure, never a wrong password."""


@implementer(ICredentialsChecker)
class PasswordFile:
    """
    Checks passwords against a file, which is read again when it has changed.

    Hashing takes its time on purpose, so it happens in a thread; an unknown user takes as long as a known one.

    :param told: Gets a line for each thing wrong with the file.
    :raises OSError: It cannot be read when the program starts.
    """

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, reactor: Any, path: str, told: Callable[[str], None]) -> None:
        self._reactor = reactor
        self._path = path
        self._told = told
        self._mark: tuple[int, int] | None = None
        self._users: dict[str, str] = {}
        self._nobody = scram_line(scram_keys("nobody"))
        self._read()

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """:return: Fires with the user's name; fails with UnauthorizedLogin or :class:`CannotTell`."""
        user = prepared(credentials.username.decode("utf-8", "replace"))
        password = credentials.password.decode("utf-8", "replace")
        kept = self._current().get(user)
        done: Deferred[bool] = deferToThreadPool(
            self._reactor, self._reactor.getThreadPool(), matches, kept or self._nobody, password
        )

        def decide(good: bool) -> str:
            if not good or kept is None:
                raise UnauthorizedLogin("bad username or password")
            return user

        return done.addCallback(decide)

    def keys(self, user: str) -> ScramKeys:
        """What SCRAM needs of a user, also of one that there is not."""
        return scram_keys_of(self._current(), user)

    def _current(self) -> dict[str, str]:
        try:
            self._read()
        except OSError as why:
            self._told(f"password_file {self._path}: {why.strerror}; the users read before still count")
        return self._users

    def _read(self) -> None:
        status = os.stat(self._path)
        mark = (status.st_mtime_ns, status.st_size)
        if mark == self._mark:
            return
        with open(self._path, encoding="utf-8", errors="replace") as file:
            users, wrong = read_password_file(file.read(_LONGEST))
        self._mark, self._users = mark, users
        for number, what in wrong:
            self._told(f"{self._path}:{number}: {what}")


__all__ = ["CannotTell", "PasswordFile"]
