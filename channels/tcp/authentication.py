"""Who the clients of a server job are: checkers, and patience with those who guess."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import maybeDeferred
from twisted.python.failure import Failure

from jobctl.config.settings import ServiceSettings
from jobctl.mail.reply import Reply
from jobctl.net.verifier_settings import check_sources, mechanisms
from jobctl.sasl.secrets import ScramKeys
from jobctl.smtp.questions import PasswordGiven, TokenGiven
from jobctl.smtp.replies import AUTH_FAILED, AUTH_LATER

if TYPE_CHECKING:
    from jobctl.net.password_checker import PasswordFile

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
    :raises ValueError: A library or another file is missing.
    :ivar mechanisms: What can be offered, best first.
    """

    def __init__(self, reactor: Any, service: ServiceSettings, told: Callable[[str], None]) -> None:
        self._reactor = reactor
        self._told = told
        self._file: PasswordFile | None = None
        self._passwords: ICredentialsChecker | None = None
        self._tokens: ICredentialsChecker | None = None
        check_sources(service)
        self._load(service)
        self.mechanisms = mechanisms(service)
        self.patience = Patience()

    def _load(self, service: ServiceSettings) -> None:
        # Late, each of them: a service has one or two, and HTTP costs 80 ms.
        if service.password_file is not None:
            from jobctl.net.password_checker import PasswordFile

            self._passwords = self._file = PasswordFile(self._reactor, service.password_file, self._told)
        elif service.pam_service is not None:
            from jobctl.net.pam_checker import PamUsers

            self._passwords = PamUsers(self._reactor, service.pam_service, service.auth_timeout)
        if service.auth_url is not None or service.introspection_url is not None:
            from jobctl.net.web_agent import Web
            from jobctl.net.web_checker import WebPasswords, WebTokens

            web = Web(self._reactor, service.auth_ca_file, service.auth_timeout)
            if service.auth_url is not None:
                self._passwords = WebPasswords(self._reactor, service, web)
            if service.introspection_url is not None:
                self._tokens = WebTokens(self._reactor, service, web)

    def check(self, claim: PasswordGiven | TokenGiven, decided: Callable[[Reply, str], None]) -> None:
        """Find out whether it is true; ``decided`` gets 235 and a user, 535, or 454 where nobody can tell."""
        checker, credentials = self._asked(claim)
        if checker is None:
            decided(AUTH_FAILED, "")
            return

        def failed(why: Failure) -> Reply:
            if why.check(UnauthorizedLogin):
                return AUTH_FAILED
            self._told(f"AUTH {claim.mechanism} of {claim.user!r} cannot be checked: {why.getErrorMessage()}")
            return AUTH_LATER

        maybeDeferred(checker.requestAvatarId, credentials).addCallbacks(
            lambda user: decided(_GOOD, str(user)), lambda why: decided(failed(why), "")
        )

    def _asked(self, claim: PasswordGiven | TokenGiven) -> tuple[ICredentialsChecker | None, Any]:
        if isinstance(claim, PasswordGiven):
            return self._passwords, UsernamePassword(claim.user.encode(), claim.password.encode())
        if self._tokens is None:
            return None, None
        from jobctl.net.web_checker import BearerToken

        return self._tokens, BearerToken(claim.user.encode(), claim.token.encode())

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
