"""The server's side of SASL mechanisms: responses in, challenges and claims out."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable

import msgspec

from jobctl.sasl.scram_server import ScramServer, ScramStep, unescaped
from jobctl.sasl.secrets import ScramKeys

# RFC 6750 section 2.1.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
# RFC 7628 section 3.2.2; what XOAUTH2 says is of the same shape, and its clients look at none of it.
_REFUSAL = b'{"status":"invalid_token","schemes":"bearer"}'


class Malformed(Exception):
    """A response that is none; the exchange is over (501)."""


class Challenge(msgspec.Struct, frozen=True):
    """To be sent to the client."""

    data: bytes


class PasswordClaim(msgspec.Struct, frozen=True):
    """``user`` says to be this with that password; whoever knows decides."""

    user: str
    password: str


class TokenClaim(msgspec.Struct, frozen=True):
    """The same with an OAuth 2.0 bearer token; ``user`` may be empty: the token says who it is."""

    user: str
    token: str


class KeysClaim(msgspec.Struct, frozen=True):
    """SCRAM has to know the keys of this user to go on: call ``keys``."""

    user: str


class Proved(msgspec.Struct, frozen=True):
    """The exchange itself has proved who the client is; ``user`` ``None``: that it is not."""

    user: str | None


Outcome = Challenge | PasswordClaim | TokenClaim | KeysClaim | Proved


class Exchange:
    """One exchange; :meth:`respond` takes what the client sends, decoded, ``None`` for no initial response."""

    def respond(self, data: bytes | None) -> Outcome:
        """:raises Malformed: The exchange is over."""
        raise TypeError("an exchange of no mechanism")

    def keys(self, keys: ScramKeys | None) -> Outcome:
        """The answer to :class:`KeysClaim`, ``None``: there is no such user."""
        raise TypeError("no keys were asked for")


class _Plain(Exchange):
    """RFC 4616."""

    def respond(self, data: bytes | None) -> Outcome:
        if data is None:
            return Challenge(b"")
        parts = data.split(b"\0")
        if len(parts) != 3:
            raise Malformed("PLAIN takes identity, user and password")
        identity, user, password = (_text(part) for part in parts)
        if identity not in ("", user):
            # Nobody may act for somebody else here.
            return Proved(None)
        return PasswordClaim(_named(user), password)


class _Login(Exchange):
    """Never standardised; prompts as clients know them."""

    def __init__(self) -> None:
        self._user: str | None = None

    def respond(self, data: bytes | None) -> Outcome:
        if data is None:
            return Challenge(b"Username:")
        if self._user is None:
            self._user = _named(_text(data))
            return Challenge(b"Password:")
        return PasswordClaim(self._user, _text(data))


class _Xoauth2(Exchange):
    """``user=NAME^Aauth=Bearer TOKEN^A^A``, as Google's and Microsoft's servers take it."""

    def respond(self, data: bytes | None) -> Outcome:
        if data is None:
            return Challenge(b"")
        pairs = _pairs(data)
        return TokenClaim(pairs.get("user", ""), _bearer(pairs))


class _Oauthbearer(Exchange):
    """RFC 7628 section 3.1: a GS2 header, then pairs."""

    def respond(self, data: bytes | None) -> Outcome:
        if data is None:
            return Challenge(b"")
        header, _, rest = data.partition(b"\x01")
        flag, *fields = _text(header).split(",")
        # No "p": the token is not bound to a TLS channel.
        if flag not in ("n", "y") or len(fields) != 2 or fields[1]:
            raise Malformed("OAUTHBEARER begins with a GS2 header")
        user = ""
        if fields[0]:
            user = (unescaped(fields[0][2:]) if fields[0].startswith("a=") else None) or ""
            if not user:
                raise Malformed("the identity is malformed")
        return TokenClaim(user, _bearer(_pairs(rest)))


class _Scram(Exchange):
    """RFC 5802, RFC 7677; with ``-PLUS`` the channel binding is part of what is proved."""

    def __init__(self, binding: tuple[str, bytes] | None, plus: bool) -> None:
        self._scram = ScramServer(secrets.token_urlsafe(18), binding, plus)

    def respond(self, data: bytes | None) -> Outcome:
        if data is None:
            return Challenge(b"")
        return _of_step(self._scram.respond(data))

    def keys(self, keys: ScramKeys | None) -> Outcome:
        return _of_step(self._scram.keys(keys))


def _of_step(step: ScramStep) -> Outcome:
    if step.malformed:
        raise Malformed(step.malformed)
    if step.wants:
        return KeysClaim(step.wants)
    if step.challenge is not None:
        return Challenge(step.challenge)
    return Proved(step.user)


def _bearer(pairs: dict[str, str]) -> str:
    scheme, _, token = pairs.get("auth", "").partition(" ")
    token = token.strip(" ")
    if scheme.lower() != "bearer" or not _TOKEN.fullmatch(token):
        raise Malformed("a bearer token is missing")
    return token


def _pairs(data: bytes) -> dict[str, str]:
    found = (_text(part).partition("=") for part in data.split(b"\x01"))
    return {name: value for name, equals, value in found if equals}


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Malformed("not UTF-8") from None
    if "\0" in text or "\r" in text or "\n" in text:
        raise Malformed("control characters")
    return text


def _named(user: str) -> str:
    if not user:
        raise Malformed("the user's name is missing")
    return user


_MECHANISMS: dict[str, Callable[[tuple[str, bytes] | None], Exchange]] = {
    "SCRAM-SHA-256-PLUS": lambda binding: _Scram(binding, True),
    "SCRAM-SHA-256": lambda binding: _Scram(binding, False),
    "OAUTHBEARER": lambda binding: _Oauthbearer(),
    "XOAUTH2": lambda binding: _Xoauth2(),
    "PLAIN": lambda binding: _Plain(),
    "LOGIN": lambda binding: _Login(),
}


def begin(mechanism: str, binding: tuple[str, bytes] | None) -> Exchange:
    """
    :param mechanism: One of those offered.
    :param binding: Kind and data of the TLS channel (RFC 5929, RFC 9266), where there is one.
    """
    return _MECHANISMS[mechanism](binding)


def refusal(mechanism: str) -> bytes | None:
    """
    The challenge that tells a client its token is no good; whatever it answers is followed by 535.

    ``None``: the mechanism has none, 535 follows at once.
    """
    return _REFUSAL if mechanism in ("OAUTHBEARER", "XOAUTH2") else None
