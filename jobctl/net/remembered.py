"""Who a verifier has said yes to a moment ago."""

import hashlib
import secrets
from collections import OrderedDict

# A mail program sends several messages with one secret; more users than this share the verifier's patience.
MOST = 10_000


class Remembered:
    """
    Good claims by a keyed hash, which is of no use outside of this process; a no is never kept.

    :param lifetime: Seconds for which a yes is believed; 0: nothing is kept.
    """

    def __init__(self, lifetime: float, most: int = MOST) -> None:
        self._lifetime = lifetime
        self._most = most
        self._key = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[float, str]] = OrderedDict()

    def find(self, user: str, secret: str, now: float) -> str | None:
        """Whose the secret is, ``None``: ask again; ``now`` in epoch seconds."""
        key = self._hash(user, secret)
        ends, found = self._known.get(key, (0.0, ""))
        if ends > now:
            return found
        self._known.pop(key, None)
        return None

    def keep(self, user: str, secret: str, found: str, now: float, until: float | None = None) -> None:
        """
        :param user: As claimed; ``found``: who it is.
        :param until: Epoch seconds after which it is true no more, whatever the lifetime.
        """
        ends = now + self._lifetime
        if until is not None:
            ends = min(ends, until)
        if ends <= now:
            return
        self._known[self._hash(user, secret)] = (ends, found)
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def _hash(self, user: str, secret: str) -> bytes:
        name = user.encode()
        whole = b"%d:%b%b" % (len(name), name, secret.encode())
        return hashlib.blake2b(whole, key=self._key, digest_size=32).digest()
