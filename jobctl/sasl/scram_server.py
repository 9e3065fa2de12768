"""SCRAM-SHA-256 on the server's side (RFC 5802, RFC 7677)."""

import base64
import binascii
import hashlib
import hmac
import secrets

import msgspec

from jobctl.sasl.secrets import ITERATIONS, ScramKeys

# So that a user who does not exist gets the same salt each time, as one who does would.
_SHADOW = secrets.token_bytes(32)


class ScramStep(msgspec.Struct, frozen=True):
    """
    What follows from a response: exactly one of these.

    :ivar malformed: The exchange is over, for this reason.
    :ivar wants: The user whose keys are needed.
    :ivar challenge: To be sent.
    :ivar user: Who was proved; with nothing else set and ``None``: nobody.
    """

    malformed: str = ""
    wants: str = ""
    challenge: bytes | None = None
    user: str | None = None


class ScramServer:
    """
    One exchange.

    :param nonce: Our part of it, printable and without a comma.
    :param binding: Kind (``tls-exporter``) and data of the TLS channel, ``None`` without one.
    :param plus: The mechanism with channel binding was chosen.
    """

    def __init__(self, nonce: str, binding: tuple[str, bytes] | None, plus: bool) -> None:
        self._own_nonce = nonce
        self._binding = binding
        self._plus = plus
        self._first = ""
        self._nonce = ""
        self._header = ""
        self._user = ""
        self._server_first = ""
        self._keys: ScramKeys | None = None
        self._known = False
        self._proved = False

    def respond(self, data: bytes) -> ScramStep:
        """Take the client's first, final or last (empty) message."""
        if self._proved:
            return ScramStep(user=self._user) if not data else ScramStep(malformed="nothing was asked")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return ScramStep(malformed="not UTF-8")
        return self._final(text) if self._server_first else self._client_first(text)

    def keys(self, keys: ScramKeys | None) -> ScramStep:
        """The keys of the user, ``None``: unknown; that is told at the end only."""
        self._known = keys is not None
        if keys is None:
            salt = hmac.digest(_SHADOW, self._user.encode(), "sha256")[:16]
            keys = ScramKeys(ITERATIONS, salt, bytes(32), bytes(32))
        self._keys = keys
        salt_text = base64.b64encode(keys.salt).decode()
        self._server_first = f"r={self._nonce},s={salt_text},i={keys.iterations}"
        return ScramStep(challenge=self._server_first.encode())

    def _client_first(self, text: str) -> ScramStep:
        parts = text.split(",", 2)
        if len(parts) != 3:
            return ScramStep(malformed="no GS2 header")
        flag, identity, bare = parts
        if (wrong := self._flag_problem(flag)) is not None:
            return ScramStep(malformed=wrong)
        fields = bare.split(",")
        if len(fields) < 2 or not fields[0].startswith("n=") or not fields[1].startswith("r="):
            return ScramStep(malformed="user and nonce are missing")
        user = unescaped(fields[0][2:])
        if user is None or len(fields[1]) < 10:
            return ScramStep(malformed="user or nonce is malformed")
        if identity not in ("", f"a={fields[0][2:]}"):
            return ScramStep(malformed="nobody may act for somebody else")
        self._header = f"{flag},{identity},"
        self._first = bare
        self._user = user
        self._nonce = fields[1][2:] + self._own_nonce
        return ScramStep(wants=user)

    def _flag_problem(self, flag: str) -> str | None:
        if self._plus:
            kind = self._binding[0] if self._binding is not None else ""
            return None if flag == f"p={kind}" else "channel binding of another kind"
        # "y": it could bind and thinks that we cannot, which is wrong where we offer it: somebody took it out.
        if flag == "y" and self._binding is not None:
            return "the list of mechanisms was changed on its way"
        return None if flag in ("n", "y") else "channel binding without -PLUS"

    def _final(self, text: str) -> ScramStep:
        without_proof, _, proof_text = text.rpartition(",p=")
        fields = without_proof.split(",")
        bound = self._header.encode() + (
            self._binding[1] if self._plus and self._binding is not None else b""
        )
        expected = f"c={base64.b64encode(bound).decode()}"
        try:
            proof = base64.b64decode(proof_text, validate=True)
        except (binascii.Error, ValueError):
            return ScramStep(malformed="the proof is malformed")
        if len(fields) < 2 or not fields[1].startswith("r=") or len(proof) != 32:
            return ScramStep(malformed="binding, nonce or proof is missing")
        keys = self._keys
        assert keys is not None
        message = f"{self._first},{self._server_first},{without_proof}".encode()
        signature = hmac.digest(keys.stored_key, message, "sha256")
        client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        good = hmac.compare_digest(hashlib.sha256(client_key).digest(), keys.stored_key)
        same = fields[0] == expected and fields[1] == f"r={self._nonce}"
        if not (good and same and self._known):
            return ScramStep()
        self._proved = True
        said = base64.b64encode(hmac.digest(keys.server_key, message, "sha256")).decode()
        return ScramStep(challenge=f"v={said}".encode())


def unescaped(name: str) -> str | None:
    """``=2C`` and ``=3D`` stand for comma and equals sign; anything else with ``=`` is wrong."""
    left = name.replace("=2C", "").replace("=3D", "")
    return None if "=" in left or not name else name.replace("=2C", ",").replace("=3D", "=")
