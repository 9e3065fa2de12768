"""The client's side of SASL mechanisms: challenges in, responses out."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

import msgspec

from jobctl.sasl.secrets import prepared

# Mechanisms by what they give away, best first; tokens are used only when they are named.
_BEST = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN")
_SHOWS_PASSWORD = frozenset({"PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER"})
# A server that asks for more wants our processor, not our password.
_MOST_ITERATIONS = 10_000_000

Binding = tuple[str, bytes]


class Credentials(msgspec.Struct, frozen=True):
    """
    :ivar secret: The password, or the bearer token; it stands in no ``repr``.
    :ivar mechanism: ``auto`` or the one to be used.
    """

    user: str
    secret: str
    mechanism: str = "auto"

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r}, mechanism={self.mechanism!r})"


class Failed(Exception):
    """The server's challenge is not what the mechanism has; the exchange must be given up."""


def choose(credentials: Credentials, offered: list[str], secure: bool, binding: Binding | None) -> str | None:
    """
    The mechanism to use, ``None`` when there is none.

    A password is shown to whoever listens only where ``auth_mechanism`` names such a mechanism.

    :param offered: In upper case.
    :param secure: The connection is encrypted.
    """
    wanted = (credentials.mechanism,) if credentials.mechanism != "auto" else _BEST
    for name in wanted:
        if name not in offered or (name.endswith("-PLUS") and binding is None):
            continue
        if secure or name not in _SHOWS_PASSWORD or credentials.mechanism != "auto":
            return name
    return None


class Exchange:
    """One exchange, of a mechanism that :func:`choose` gave."""

    def __init__(self, mechanism: str, credentials: Credentials, binding: Binding | None) -> None:
        self.mechanism = mechanism
        self._user = credentials.user
        self._secret = credentials.secret
        self._steps = 0
        self._scram = (
            _Scram(self._user, self._secret, binding, mechanism.endswith("-PLUS"))
            if mechanism.startswith("SCRAM")
            else None
        )

    def initial(self) -> bytes | None:
        """The initial response, ``None`` for a mechanism in which the server speaks first."""
        user, secret = self._user, self._secret
        if self._scram is not None:
            return self._scram.first()
        if self.mechanism == "PLAIN":
            return f"\0{user}\0{secret}".encode()
        if self.mechanism == "XOAUTH2":
            return f"user={user}\x01auth=Bearer {secret}\x01\x01".encode()
        if self.mechanism == "OAUTHBEARER":
            name = user.replace("=", "=3D").replace(",", "=2C")
            return f"n,a={name},\x01auth=Bearer {secret}\x01\x01".encode()
        return None

    def respond(self, challenge: bytes) -> bytes:
        """:raises Failed: The challenge makes no sense."""
        self._steps += 1
        if self._scram is not None:
            return self._scram.respond(challenge)
        if self.mechanism == "LOGIN" and self._steps <= 2:
            return (self._user if self._steps == 1 else self._secret).encode()
        if self.mechanism in ("XOAUTH2", "OAUTHBEARER") and self._steps == 1:
            # The server tells what is wrong with the token, and waits for this to say 535.
            return b"\x01" if self.mechanism == "OAUTHBEARER" else b""
        raise Failed("a challenge that the mechanism does not have")

    @property
    def proved(self) -> bool:
        """Whether the server has shown that it knows us too, where the mechanism provides for that."""
        return self._scram is None or self._scram.proved


class _Scram:
    """SCRAM-SHA-256 (RFC 5802, RFC 7677)."""

    def __init__(self, user: str, password: str, binding: Binding | None, plus: bool) -> None:
        self._password = prepared(password)
        self._nonce = secrets.token_urlsafe(18)
        name = prepared(user).replace("=", "=3D").replace(",", "=2C")
        flag = f"p={binding[0]}" if plus and binding is not None else "y" if binding is not None else "n"
        self._header = f"{flag},,"
        self._bound = binding[1] if plus and binding is not None else b""
        self._first = f"n={name},r={self._nonce}"
        self._signature = b""
        self.proved = False

    def first(self) -> bytes:
        return (self._header + self._first).encode()

    def respond(self, challenge: bytes) -> bytes:
        text = challenge.decode("utf-8", "replace")
        if self._signature:
            said = f"v={base64.b64encode(self._signature).decode()}"
            if not hmac.compare_digest(said.encode(), text.partition(",")[0].encode()):
                raise Failed("the server does not know the password")
            self.proved = True
            return b""
        return self._prove(text)

    def _prove(self, text: str) -> bytes:
        fields = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
        try:
            nonce, salt, iterations = (
                fields["r"],
                base64.b64decode(fields["s"], validate=True),
                int(fields["i"]),
            )
        except (KeyError, ValueError, binascii.Error):
            raise Failed("nonce, salt or iterations are missing") from None
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise Failed("a nonce that is not ours")
        if not 1 <= iterations <= _MOST_ITERATIONS:
            raise Failed(f"{iterations} iterations")
        salted = hashlib.pbkdf2_hmac("sha256", self._password.encode(), salt, iterations)
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        binding = base64.b64encode(self._header.encode() + self._bound).decode()
        unproved = f"c={binding},r={nonce}"
        message = f"{self._first},{text},{unproved}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._signature = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        return f"{unproved},p={base64.b64encode(proof).decode()}".encode()
