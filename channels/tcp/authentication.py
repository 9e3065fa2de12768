"""Who the clients of a server job are: checkers, and patience with those who guess."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import maybeDeferred
from twisted.python.failure import Failure

from jobctl.config.settings import ServiceSettings
from jobctl.mail.reply import Reply
from jobctl.net.password_checker import PasswordFile
from jobctl.sasl.secrets import ScramKeys
from jobctl.smtp.questions import PasswordGiven, TokenGiven
from jobctl.smtp.replies import AUTH_FAILED, AUTH_LATER

# Seconds that a wrong password costs, doubled for each further one from the same address.
_FIRST_DELAY = 1.0
_LONGEST_DELAY = 16.0
# How long an address is remembered for, and how many.
_MEMORY = 600.0
_MOST_REMEMBERED = 10_000

_GOOD = Reply(235)


class Authentication:
    """
    :param told: Gets lines for the log.
    :raises OSError: The password file cannot be read.
    :ivar mechanisms: What can be offered, best first.
    """

    def __init__(self, reactor: Any, service: ServiceSettings, told: Callable[[str], None]) -> None:
        self._reactor = reactor
        self._told = told
        self._file = (
            PasswordFile(reactor, service.password_file, told) if service.password_file is not None else None
        )
        self._passwords: ICredentialsChecker | None = self._file
        self.mechanisms: tuple[str, ...] = ()
        if self._file is not None:
            self.mechanisms = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN")
        self.patience = Patience()

    def check(self, claim: PasswordGiven | TokenGiven, decided: Callable[[Reply], None]) -> None:
        """Find out whether it is true; ``decided`` gets 235, 535, or 454 where nobody can tell."""
        if isinstance(claim, TokenGiven) or self._passwords is None:
            decided(AUTH_FAILED)
            return
        credentials = UsernamePassword(claim.user.encode(), claim.password.encode())

        def failed(why: Failure) -> Reply:
            if why.check(UnauthorizedLogin):
                return AUTH_FAILED
            self._told(f"AUTH {claim.mechanism} of {claim.user!r} cannot be checked: {why.getErrorMessage()}")
            return AUTH_LATER

        maybeDeferred(self._passwords.requestAvatarId, credentials).addCallbacks(
            lambda _: decided(_GOOD), lambda why: decided(failed(why))
        )

    def keys(self, user: str) -> ScramKeys | None:
        """What SCRAM needs of a user."""
        return self._file.keys(user) if self._file is not None else None


class Patience:
    """How long an address has to wait for the news that its password was wrong."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def failed(self, address: str, now: float) -> float:
        """Seconds to wait; ``now`` is a steady clock."""
        count = self._count(address, now)
        self._failures.pop(address, None)
        self._failures[address] = (count + 1, now)
        while len(self._failures) > _MOST_REMEMBERED:
            self._failures.popitem(last=False)
        return self.wait(address, now)

    def wait(self, address: str, now: float) -> float:
        """Seconds that an address has earned by what it guessed wrong before."""
        count = self._count(address, now)
        return min(_FIRST_DELAY * float(1 << min(count - 1, 16)), _LONGEST_DELAY) if count else 0.0

    def _count(self, address: str, now: float) -> int:
        count, since = self._failures.get(address, (0, now))
        return count if now - since <= _MEMORY else 0

    def succeeded(self, address: str) -> None:
        """Whoever logs in is forgiven."""
        self._failures.pop(address, None)
