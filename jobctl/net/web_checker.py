"""Passwords and tokens by HTTP verifiers, as checkers of twisted.cred."""

from __future__ import annotations

from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ICredentials, IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure
from zope.interface import Attribute, implementer

from jobctl.config.settings import ServiceSettings
from jobctl.net.password_checker import CannotTell
from jobctl.net.remembered import Remembered
from jobctl.net.verifier_settings import read_client
from jobctl.net.web_agent import Web
from jobctl.sasl.verifier import (
    Verdict,
    WebAnswer,
    WebQuestion,
    password_question,
    password_verdict,
    token_question,
    token_verdict,
)


class IBearerToken(ICredentials):
    """An OAuth 2.0 bearer token (RFC 6750)."""

    username = Attribute("Whom the client says to be, as bytes; empty: the token tells.")
    token = Attribute("As bytes.")


@implementer(IBearerToken)
class BearerToken:
    """What a client of XOAUTH2 or OAUTHBEARER has shown."""

    def __init__(self, username: bytes, token: bytes) -> None:
        self.username = username
        self.token = token


class _Asker:
    """Asks, believes a yes for a while, and makes of a verdict what twisted.cred knows."""

    def __init__(self, reactor: Any, web: Web, url: str, lifetime: float) -> None:
        self._reactor = reactor
        self._web = web
        self._url = url
        self._remembered = Remembered(lifetime)

    def find(self, user: str, secret: str) -> str | None:
        return self._remembered.find(user, secret, self._reactor.seconds())

    def ask(self, question: WebQuestion, user: str, secret: str, judge: Any) -> Deferred[Any]:
        """:param judge: Makes a verdict of an answer."""

        def decide(answer: WebAnswer) -> str:
            verdict: Verdict = judge(answer)
            if verdict.good is None:
                raise CannotTell(f"{self._url}: {verdict.trouble}")
            if not verdict.good:
                raise UnauthorizedLogin("the verifier says no")
            now = self._reactor.seconds()
            self._remembered.keep(user, secret, verdict.user, now, verdict.until)
            return verdict.user

        def trouble(why: Failure) -> Any:
            # The reason is about the connection; it is told by its type and text, which have no secret.
            raise CannotTell(f"{self._url}: {_reason(why)}")

        return self._web.ask(self._url, question).addCallbacks(decide, trouble)


@implementer(ICredentialsChecker)
class WebPasswords:
    """
    ``auth_url``: is asked with HTTP Basic.

    :param web: How to ask.
    """

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, reactor: Any, service: ServiceSettings, web: Web) -> None:
        assert service.auth_url is not None
        self._asker = _Asker(reactor, web, service.auth_url, service.auth_cache_time)

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """:return: Fires with the user's name; fails with UnauthorizedLogin or CannotTell."""
        user, password = credentials.username.decode(), credentials.password.decode()
        known = self._asker.find(user, password)
        if known is not None:
            return succeed(known)
        question = password_question(user, password)
        if question is None:
            return fail(UnauthorizedLogin("no name that HTTP Basic can carry"))
        return self._asker.ask(question, user, password, lambda answer: password_verdict(user, answer))


@implementer(ICredentialsChecker)
class WebTokens:
    """
    ``introspection_url``: whose a token is, by RFC 7662.

    :param web: How to ask.
    """

    credentialInterfaces = (IBearerToken,)

    def __init__(self, reactor: Any, service: ServiceSettings, web: Web) -> None:
        assert service.introspection_url is not None
        self._client_file = service.introspection_client_file
        self._member = service.introspection_user
        self._asker = _Asker(reactor, web, service.introspection_url, service.auth_cache_time)

    def requestAvatarId(self, credentials: Any) -> Deferred[Any]:
        """:return: Fires with the user's name; fails with UnauthorizedLogin or CannotTell."""
        user, token = credentials.username.decode(), credentials.token.decode()
        known = self._asker.find(user, token)
        if known is not None:
            return succeed(known)
        try:
            question = token_question(token, read_client(self._client_file))
        except ValueError as why:
            return fail(CannotTell(str(why)))
        return self._asker.ask(
            question, user, token, lambda answer: token_verdict(user, answer, self._member)
        )


def _reason(why: Failure) -> str:
    reasons = getattr(why.value, "reasons", None)
    if reasons:
        # What Agent says of a connection that broke has the reason inside.
        return _reason(reasons[0])
    return f"{type(why.value).__name__}: {why.getErrorMessage()}"


__all__ = ["BearerToken", "IBearerToken", "WebPasswords", "WebTokens"]
