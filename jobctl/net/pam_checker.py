"""Users of PAM, as a checker of twisted.cred."""

import threading
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, TimeoutError, fail
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from jobctl.net.pam import ask_pam
from jobctl.net.password_checker import CannotTell
from jobctl.sasl.verifier import Verdict

# A module may wait for a directory server: so many users are checked at a time ...
_THREADS = 10
# ... and so many more wait for it.
_WAITING = 100


@implementer(ICredentialsChecker)
class PamUsers:
    """
    Checks passwords by a PAM service, in threads of its own.

    :param seconds: That a client waits for the verdict; the thread is PAM's until it returns.
    :param ask: As :func:`jobctl.net.pam.ask_pam`.
    """

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, reactor: Any, name: str, seconds: float, ask: Any = ask_pam) -> None:
        self._reactor = reactor
        self._name = name
        self._seconds = seconds
        self._ask = ask
        self._busy = 0
        self._pool = ThreadPool(0, _THREADS, "PAM")
        # The end of the program waits for no module.
        self._pool.threadFactory = _Daemon
        self._pool.start()

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """:return: Fires with the user's name; fails with UnauthorizedLogin or CannotTell."""
        if self._busy >= _THREADS + _WAITING:
            return fail(CannotTell("PAM: too many are being checked already"))
        self._busy += 1
        user, password = credentials.username.decode(), credentials.password.decode()
        asked: Deferred[Any] = deferToThreadPool(self._reactor, self._pool, self._in_thread, user, password)
        asked.addTimeout(self._seconds, self._reactor)
        return asked.addCallbacks(self._decide, self._trouble)

    def _in_thread(self, user: str, password: str) -> Verdict:
        try:
            verdict: Verdict = self._ask(self._name, user, password)
            return verdict
        finally:
            self._reactor.callFromThread(self._free)

    def _free(self) -> None:
        self._busy -= 1

    def _decide(self, verdict: Verdict) -> str:
        if verdict.good is None:
            raise CannotTell(verdict.trouble)
        if not verdict.good:
            raise UnauthorizedLogin("PAM says no")
        return verdict.user

    def _trouble(self, why: Failure) -> Any:
        if why.check(TimeoutError):
            raise CannotTell(f"PAM: no answer within {self._seconds:.0f} s")
        raise CannotTell(f"PAM: {type(why.value).__name__}")


class _Daemon(threading.Thread):
    """A thread that the end of the program ends."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, daemon=True, **named)
